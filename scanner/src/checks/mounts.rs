//! Mount options of the places where others may write.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
