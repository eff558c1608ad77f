//! Sealed files: C2SP chunked encryption with AES-256-GCM and HKDF-SHA-512 (Cobblestone-256).
