//! os-release(5).
