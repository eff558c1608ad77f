//! What can go wrong, and whose fault it is.

/// An error of this crate. No variant carries or quotes a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator's, or the file's: a cost outside of the bounds.
    #[error("{what} is {value}, outside of {least} to {most}")]
    Bounds {
        /// Which parameter.
        what: &'static str,
        /// What was asked for.
        value: u64,
        /// Smallest accepted value.
        least: u64,
        /// Largest accepted value.
        most: u64,
    },
    /// The file's: a sealed file whose key commitment does not match.
    #[error("wrong key, passphrase or context, or a damaged head")]
    Commitment,
    /// The file's: not a hash of crypt(5) that we read.
    #[error("{0}")]
    Crypt(&'static str),
    /// The file's: a chunk that was changed, moved, or comes from another file.
    #[error("damaged: chunk {chunk} (byte {offset}) is not authentic")]
    Damaged {
        /// Chunk, from 0.
        chunk: u64,
        /// Offset of the chunk in the sealed stream.
        offset: u64,
    },
    /// The caller's stream: reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The input's: a line over the limit.
    #[error("line {line} is longer than {max_bytes} bytes")]
    LineTooLong {
        /// Line, from 1.
        line: u64,
        /// The limit.
        max_bytes: usize,
    },
    /// The list's: a line that is not `MAC, two blanks, name`.
    #[error("not a check line: {0}")]
    List(&'static str),
    /// The system's: no memory for the hash.
    #[error("not enough memory for a hash of {kib} KiB")]
    Memory {
        /// What was asked of the system.
        kib: u32,
    },
    /// The input's: not a PHC string that we read.
    #[error("not an Argon2 PHC string: {0}")]
    Phc(&'static str),
    /// The input's: longer than the format allows (2^38 chunks, 4 PiB).
    #[error("longer than the format allows")]
    TooLong,
    /// The file's: it ends early.
    #[error("truncated: {0}")]
    Truncated(&'static str),
    /// The sender's, or the operator's: a webhook's secret or header.
    #[error("not a webhook to trust: {0}")]
    Webhook(&'static str),
    /// Ours: a worker ended without an answer.
    #[error("a worker ended without an answer")]
    Worker,
}
