//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) in batches, and check lists.
