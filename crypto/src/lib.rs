//! Secrets and proofs: password hashing in batches, sealed files, message authentication.
//!
//! Values in, values out: no clock, no environment, no files; randomness is given by the caller.
//! Secrets are zeroized and compared in constant time.
#![forbid(unsafe_code)]

pub mod mac;
pub mod password;
pub mod seal;
