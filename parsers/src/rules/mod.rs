//! Rule formats (deciding is the scanner's).

pub mod sigma;
