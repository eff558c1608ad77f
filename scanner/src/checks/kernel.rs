//! sysctl: the live value and what the files will set after a reboot.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
