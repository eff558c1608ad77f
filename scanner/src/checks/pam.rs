//! PAM basics: empty passwords, lock-out, quality.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
