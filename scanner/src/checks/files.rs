//! Set-id and world-writable files, critical modes and owners, key files.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
