//! memcached: `version` (protocol.txt).

use super::{Answer, Step};

/// The command.
pub const QUESTION: &[u8] = b"version\r\n";

/// Longest answer.
const LINE_BYTES_MAX: usize = 200;

/// Reads `VERSION 1.6.18`.
pub fn answer(bytes: &[u8]) -> Step {
    const BEGIN: &[u8] = b"VERSION ";
    let known = &bytes[..bytes.len().min(BEGIN.len())];
    if known != &BEGIN[..known.len()] {
        return Step::Foreign;
    }
    match memchr::memchr(b'\n', bytes) {
        Some(end) => {
            let line = bytes[..end].trim_ascii_end();
            Step::Done(
                Answer::new("memcached", "memcached.version", line).with_goodbye(b"quit\r\n"),
            )
        }
        None if bytes.len() > LINE_BYTES_MAX => Step::Foreign,
        None => Step::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_read() {
        let Step::Done(found) = answer(b"VERSION 1.6.18\r\n") else { panic!() };
        assert_eq!(found.texts, [("memcached.version", b"VERSION 1.6.18".to_vec())]);
        assert_eq!(
            (answer(b""), answer(b"VERS"), answer(b"VERSION 1.6.18")),
            (Step::More, Step::More, Step::More)
        );
        assert_eq!(
            (answer(b"ERROR\r\n"), answer(&[b"VERSION ", &[b'1'; 300][..]].concat())),
            (Step::Foreign, Step::Foreign)
        );
    }
}
