//! Walks of the system paths: set-id and world-writable files, modes and owners.
