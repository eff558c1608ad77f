//! Scheduled jobs and who may change what they run.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
