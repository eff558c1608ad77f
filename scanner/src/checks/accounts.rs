//! Accounts: passwd, shadow, group, gshadow, login.defs.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
