//! Guarded memory mapping of files that may change under us.
