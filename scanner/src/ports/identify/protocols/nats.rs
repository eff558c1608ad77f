//! NATS: the server says `INFO {…}` first. Nothing is sent.

use super::{Answer, Flow, Step};

/// Reads the line.
pub fn answer(bytes: &[u8], flow: Flow) -> Step {
    const BEGIN: &[u8] = b"INFO {";
    if bytes.len() < BEGIN.len() {
        let may_be = BEGIN.starts_with(bytes) && flow == Flow::Open;
        return if may_be { Step::More } else { Step::Foreign };
    }
    if !bytes.starts_with(BEGIN) {
        return Step::Foreign;
    }
    match memchr::memchr(b'\n', bytes) {
        None if flow == Flow::Open => Step::More,
        None => Step::Foreign,
        Some(end) => {
            let mut answer = Answer::new("nats", "nats.info", bytes[5..end].trim_ascii());
            // The object names addresses and a nonce; the version is all that is worth showing.
            answer.banner = "INFO".to_string();
            Step::Done(answer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_read() {
        let line = b"INFO {\"server_id\":\"N\",\"version\":\"2.10.7\"}\r\nPING\r\n";
        let Step::Done(found) = answer(line, Flow::Open) else { panic!() };
        let text = b"{\"server_id\":\"N\",\"version\":\"2.10.7\"}".to_vec();
        assert_eq!((found.service, found.texts), ("nats", vec![("nats.info", text)]));
        assert_eq!(answer(b"INFO {\"a", Flow::Open), Step::More);
        assert_eq!(answer(b"INF", Flow::Over), Step::Foreign);
        assert_eq!(answer(b"INFO x\n", Flow::Open), Step::Foreign);
    }
}
