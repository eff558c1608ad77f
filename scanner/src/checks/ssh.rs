//! sshd: effective settings, and who decided them.

use super::Check;

/// The checks of this area.
pub const CHECKS: &[Check] = &[];
