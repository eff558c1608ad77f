//! sudoers.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
