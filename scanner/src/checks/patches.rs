//! Updates, reboots, old code still running, end of life: without a network.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
