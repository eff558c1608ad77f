//! The life of a case, one file a stage, in the order in which evidence goes through them.
