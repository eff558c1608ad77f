//! PostgreSQL: an SSLRequest (protocol documentation, "SSL Session Encryption"), one byte in return.
//!
//! The byte tells the protocol and nothing else: no version is given before a user is named, and a
//! startup packet that is refused is logged as FATAL. After `N` the server takes a closed connection
//! for what clients do and logs nothing. After `S` it expects a handshake.

use super::{Answer, Step};

/// Length 8, code 1234.5679.
pub const QUESTION: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Reads the answer: exactly one byte; more is somebody else's.
pub fn answer(bytes: &[u8]) -> Step {
    match bytes {
        [] => Step::More,
        [b'S'] | [b'N'] => {
            let mut answer = Answer::new("postgresql", "postgresql.ssl", bytes);
            answer.banner = if bytes == b"S" { "TLS offered" } else { "no TLS" }.to_string();
            Step::Done(answer)
        }
        _ => Step::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_is_the_whole_answer() {
        for byte in [b'S', b'N'] {
            let Step::Done(found) = answer(&[byte]) else { panic!() };
            assert_eq!(found.texts, [("postgresql.ssl", vec![byte])]);
        }
        assert_eq!(answer(b""), Step::More);
        for other in [&b"X"[..], b"SS", b"HTTP/1.1 400"] {
            assert_eq!(answer(other), Step::Foreign);
        }
        assert_eq!(QUESTION.len(), 8);
    }
}
