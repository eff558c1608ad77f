//! Log sweeps: which files, which rules, what was detected, where to go on next time.
