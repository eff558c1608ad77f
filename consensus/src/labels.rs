//! Bring your own labels: pooling of a table of item, expert, label (the `consensus` command).
