//! The one place with `unsafe`: Argon2's compression function built for instruction sets that the
//! processor was asked for, and memory that is overwritten at its end. Every index is checked before a
//! pointer is made of it, and the tests hold each kernel against plain Rust and against another
//! implementation.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod wiped;

pub(crate) use wiped::Wiped;
#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, avx512::Avx512};
