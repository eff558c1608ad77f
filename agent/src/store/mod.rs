//! Where alerts and findings are kept.
