//! Mandatory access control, time synchronisation, logging, firewall.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
