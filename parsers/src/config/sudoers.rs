//! sudoers(5).
