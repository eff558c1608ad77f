//! Sixteen bytes at once: SSE2, which every x86-64 has; elsewhere plain loops with the same results.

/// Bytes in a [`Vector`].
pub(crate) const WIDTH: usize = 16;

pub(crate) use imp::Vector;

#[cfg(target_arch = "x86_64")]
mod imp {
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8,
        _mm_or_si128, _mm_set1_epi8,
    };

    use super::WIDTH;

    /// Sixteen bytes, or sixteen answers (all bits of a byte set, or none).
    #[derive(Clone, Copy)]
    pub(crate) struct Vector(__m128i);

    impl Vector {
        #[inline(always)]
        pub(crate) fn load(bytes: &[u8; WIDTH]) -> Self {
            // SAFETY: sixteen bytes are there to be read, in any alignment; SSE2 is part of x86-64.
            Self(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        }

        /// Which bytes equal this one.
        #[inline(always)]
        pub(crate) fn is(self, byte: u8) -> Self {
            // SAFETY: SSE2 is part of x86-64.
            Self(unsafe { _mm_cmpeq_epi8(self.0, _mm_set1_epi8(byte.cast_signed())) })
        }

        /// Which bytes are no larger than this one.
        #[inline(always)]
        pub(crate) fn at_most(self, byte: u8) -> Self {
            // SAFETY: SSE2 is part of x86-64.
            Self(unsafe {
                _mm_cmpeq_epi8(_mm_min_epu8(self.0, _mm_set1_epi8(byte.cast_signed())), self.0)
            })
        }

        /// Every byte with these bits set as well.
        #[inline(always)]
        pub(crate) fn with(self, bits: u8) -> Self {
            // SAFETY: SSE2 is part of x86-64.
            Self(unsafe { _mm_or_si128(self.0, _mm_set1_epi8(bits.cast_signed())) })
        }

        #[inline(always)]
        pub(crate) fn or(self, other: Self) -> Self {
            // SAFETY: SSE2 is part of x86-64.
            Self(unsafe { _mm_or_si128(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn and(self, other: Self) -> Self {
            // SAFETY: SSE2 is part of x86-64.
            Self(unsafe { _mm_and_si128(self.0, other.0) })
        }

        /// The answers as bits, the first byte's lowest.
        #[inline(always)]
        pub(crate) fn mask(self) -> u32 {
            // SAFETY: SSE2 is part of x86-64.
            unsafe { _mm_movemask_epi8(self.0) }.cast_unsigned()
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
use portable as imp;

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::WIDTH;

    /// Sixteen bytes, or sixteen answers.
    #[derive(Clone, Copy)]
    pub(crate) struct Vector([u8; WIDTH]);

    impl Vector {
        pub(crate) fn load(bytes: &[u8; WIDTH]) -> Self {
            Self(*bytes)
        }

        pub(crate) fn is(self, byte: u8) -> Self {
            Self(self.0.map(|here| if here == byte { 0xff } else { 0 }))
        }

        pub(crate) fn at_most(self, byte: u8) -> Self {
            Self(self.0.map(|here| if here <= byte { 0xff } else { 0 }))
        }

        pub(crate) fn with(self, bits: u8) -> Self {
            Self(self.0.map(|here| here | bits))
        }

        pub(crate) fn or(self, other: Self) -> Self {
            Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
        }

        pub(crate) fn and(self, other: Self) -> Self {
            Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
        }

        pub(crate) fn mask(self) -> u32 {
            (0..WIDTH).fold(0, |mask, at| mask | u32::from(self.0[at] >> 7) << at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{WIDTH, imp, portable};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_processor_and_plain_loops_agree(bytes: [u8; WIDTH], sign: u8, other: u8) {
            let (a, b) = (imp::Vector::load(&bytes), portable::Vector::load(&bytes));
            prop_assert_eq!(a.is(sign).mask(), b.is(sign).mask());
            prop_assert_eq!(a.at_most(sign).mask(), b.at_most(sign).mask());
            prop_assert_eq!(a.with(other).is(sign).mask(), b.with(other).is(sign).mask());
            prop_assert_eq!(a.is(sign).or(a.is(other)).mask(), b.is(sign).or(b.is(other)).mask());
            let (c, d) = (a.at_most(other), b.at_most(other));
            prop_assert_eq!(a.at_most(sign).and(c).mask(), b.at_most(sign).and(d).mask());
        }
    }
}
