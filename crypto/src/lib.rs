//! Secrets and proofs: password hashing in batches, sealed files, message authentication.
//!
//! Values and streams in, values and streams out: no clock, no environment, no file is opened here;
//! randomness is given by the caller. Secrets are zeroized and compared in constant time, and no
//! error quotes one.
#![deny(unsafe_code)]

mod argon2;
mod batch;
pub mod chain;
mod error;
pub mod journal;
mod lines;
pub mod mac;
pub mod password;
pub mod phc;
pub mod seal;
pub mod shadow;
mod sys;
pub mod webhook;

pub use batch::ordered;
pub use error::Error;
