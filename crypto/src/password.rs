//! Argon2 (RFC 9106) hashing and verification in batches.
