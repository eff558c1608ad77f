//! A value whose memory is overwritten when it is dropped, for types that do not do so themselves.

use std::mem::MaybeUninit;
use std::ops::Deref;
use std::sync::atomic::{Ordering, compiler_fence};

/// A value on the heap, overwritten with zeros after its own destructor has run. What it keeps elsewhere on
/// the heap is its own affair, and so are copies that making it left on the stack.
pub(crate) struct Wiped<T>(Box<MaybeUninit<T>>);

impl<T> Wiped<T> {
    /// Takes what `make` gives.
    pub(crate) fn new(make: impl FnOnce() -> T) -> Self {
        Self(Box::new(MaybeUninit::new(make())))
    }
}

impl<T> Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` has put a value in, and only `drop` takes it out.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        // SAFETY: the value is there, and nobody reads it after this.
        unsafe { self.0.assume_init_drop() };
        wipe(&mut self.0);
    }
}

/// Overwrites all bytes of a place, padding included.
fn wipe<T>(place: &mut MaybeUninit<T>) {
    let start = place.as_mut_ptr().cast::<u8>();
    for at in 0..size_of::<T>() {
        // SAFETY: within the place, which is ours alone; a byte of a `MaybeUninit` may be anything.
        unsafe { start.add(at).write_volatile(0) };
    }
    compiler_fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn every_byte_is_overwritten() {
        let mut place = MaybeUninit::new([0xa5_u8; 77]);
        wipe(&mut place);
        // SAFETY: all 77 bytes were written.
        assert_eq!(unsafe { place.assume_init() }, [0; 77]);
    }

    #[test]
    fn the_value_is_there_until_its_own_end_which_comes_once() {
        struct Ends<'a>(&'a Cell<u32>);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let ended = Cell::new(0);
        let wiped = Wiped::new(|| Ends(&ended));
        assert_eq!(wiped.deref().0.get(), 0);
        drop(wiped);
        assert_eq!(ended.get(), 1);
    }
}
