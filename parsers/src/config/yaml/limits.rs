//! What a document may cost: every bound of the reader in one place.

/// Longest implicit key (`key: value` on one line), in characters: YAML 1.2.2, section 7.4.
pub const KEY_CHARS_MAX: usize = 1_024;

/// Longest tag with its prefix, in bytes.
pub const TAG_BYTES_MAX: usize = 1_024;

/// Most directives before one document.
pub const DIRECTIVES_MAX: usize = 64;

/// Most bytes of one text (2 GiB): offsets and columns are kept in 32 bits, columns with a sign.
pub const TEXT_BYTES_MAX: usize = i32::MAX as usize;

/// Most nodes of one tree, whatever [`Options`] says: their numbers are kept in 32 bits.
pub const NODES_MAX: usize = u32::MAX as usize - 1;

/// How a stream is read. The default suits files that others have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most collections open at once.
    pub depth_max: usize,
    /// Most nodes of all documents together; a node takes sixteen bytes. A flow collection where a key may
    /// stand counts twice.
    pub nodes_max: usize,
    /// Most documents.
    pub documents_max: usize,
    /// Keep the places of comments.
    pub comments: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { depth_max: 100, nodes_max: 10_000_000, documents_max: 100_000, comments: false }
    }
}
