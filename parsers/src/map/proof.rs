//! Whether a file is still the one that reading began with.
//!
//! A log may be truncated while it is read (`copytruncate`), and may have grown again beyond the place
//! that was reached: what is read then are other bytes at the old offset. So after each block the file's
//! size and times are asked for; when they moved, its beginning and its end, as they were, are read
//! again and compared. A file that only grew passes; one that was cut or written anew does not, and
//! nothing of the block is believed. Refuses nothing else: rewriting in place, with the same beginning
//! and end, is the right of who may write the log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of the beginning that are compared.
const HEAD_BYTES: usize = 512;

/// Bytes before the end that are compared.
const TAIL_BYTES: usize = 64;

/// A file was cut or written anew while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cut or written anew while it was read: what stood from byte {from} on was not seen")]
pub struct Torn {
    /// Everything before was read while the file was whole.
    pub from: u64,
}

impl Torn {
    /// The tear that an error of this room's readers is about.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Torn> for io::Error {
    fn from(torn: Torn) -> Self {
        Self::other(torn)
    }
}

/// What a file was when reading began: all readers of one file share it, so that nothing that happens
/// between two of them stays unseen.
#[derive(Debug)]
pub struct Proof {
    end: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// The proof of a reader that is made before it can fail.
pub(super) fn asked(proof: &io::Result<Arc<Proof>>) -> io::Result<&Proof> {
    let proof = proof.as_ref().map(|proof| &**proof);
    proof.map_err(|error| io::Error::new(error.kind(), error.to_string()))
}

impl Proof {
    /// Of a file that is to be read up to `end`.
    pub fn new(file: &File, end: u64) -> io::Result<Self> {
        let mut proof = Self { end, head: Vec::new(), tail: Vec::new() };
        (proof.head, proof.tail) = proof.edges(file)?;
        Ok(proof)
    }

    /// Up to where the file is read.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Fails when the file does not hold any more what it held; `from` is where the doubt begins.
    pub fn holds(&self, file: &File, from: u64) -> io::Result<()> {
        if u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0) >= self.end {
            let (head, tail) = self.edges(file)?;
            if (&head, &tail) == (&self.head, &self.tail) {
                return Ok(());
            }
        }
        Err(Torn { from }.into())
    }

    fn edges(&self, file: &File) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let length = |most: usize| usize::try_from(self.end).unwrap_or(most).min(most);
        let (head, tail) = (length(HEAD_BYTES), length(TAIL_BYTES));
        Ok((bytes_at(file, 0, head)?, bytes_at(file, self.end - tail as u64, tail)?))
    }
}

/// Up to `length` bytes from `from` on.
pub(super) fn bytes_at(file: &File, from: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn growing_is_fine_and_cutting_is_not_whatever_follows() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&b"line one\n".repeat(200)).unwrap();
        let proof = Proof::new(&file, 1800).unwrap();
        assert!(proof.holds(&file, 0).is_ok());
        file.write_all(b"more\n").unwrap();
        assert!(proof.holds(&file, 0).is_ok());
        file.set_len(1799).unwrap();
        let error = proof.holds(&file, 700).unwrap_err();
        assert_eq!(Torn::of(&error), Some(Torn { from: 700 }));
        assert!(error.to_string().contains("from byte 700 on"));
        file.set_len(0).unwrap();
        file.write_all_at(&b"line two\n".repeat(300), 0).unwrap();
        assert!(proof.holds(&file, 0).is_err());
        assert_eq!(Torn::of(&io::Error::other("else")), None);
    }

    /// As fast as that: no clock tells the two apart.
    #[test]
    fn a_file_of_the_same_size_is_not_the_same_file() {
        let file = tempfile::tempfile().unwrap();
        for _ in 0..100 {
            file.write_all_at(b"one line\n", 0).unwrap();
            let proof = Proof::new(&file, 9).unwrap();
            assert!(proof.holds(&file, 0).is_ok());
            file.set_len(0).unwrap();
            file.write_all_at(b"new line\n", 0).unwrap();
            assert!(proof.holds(&file, 0).is_err());
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_was_said_never_holds() {
        let file = tempfile::tempfile().unwrap();
        assert!(Proof::new(&file, 1).unwrap().holds(&file, 0).is_err());
        assert!(Proof::new(&file, 0).unwrap().holds(&file, 0).is_ok());
    }
}
