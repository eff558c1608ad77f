//! Rule formats (deciding is the scanner's).

pub mod fail2ban;
pub mod recog;
pub mod sigma;
