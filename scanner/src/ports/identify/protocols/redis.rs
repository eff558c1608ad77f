//! Redis and its relatives: `INFO server`, which reads and changes nothing.
//!
//! Where a password is wanted the answer is an error, which is told apart and counts nowhere.

use super::{Answer, Flow, Step};

/// `INFO server` as an array of bulk strings (RESP).
pub const QUESTION: &[u8] = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n";

/// Fields that say nothing of the version and something of the host.
const SHOWN: [&str; 4] = ["redis_version:", "valkey_version:", "dragonfly_version:", "redis_mode:"];

/// Reads a bulk string or an error.
pub fn answer(bytes: &[u8], flow: Flow) -> Step {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        let may_be = matches!(bytes.first(), None | Some(b'$' | b'-')) && flow == Flow::Open;
        return if may_be { Step::More } else { Step::Foreign };
    };
    let (line, body) = (bytes[..end].trim_ascii_end(), &bytes[end + 1..]);
    let body = match line.split_first() {
        Some((b'-', _)) if is_error(line) => line,
        Some((b'$', length)) => {
            let length =
                std::str::from_utf8(length).ok().and_then(|text| text.parse::<usize>().ok());
            match length {
                Some(length) if body.len() >= length => &body[..length],
                Some(_) if flow == Flow::Open => return Step::More,
                // A very long answer is cut where reading stopped.
                Some(_) if !body.is_empty() => body,
                _ => return Step::Foreign,
            }
        }
        _ => return Step::Foreign,
    };
    let Some(first) = body.first() else { return Step::Foreign };
    if *first != b'-' && memchr::memmem::find(body, b"_version:").is_none() {
        return Step::Foreign;
    }
    let body: Vec<u8> = body.iter().copied().filter(|byte| *byte != b'\r').collect();
    let mut answer = Answer::new("redis", "redis.info", body).with_goodbye(b"QUIT\r\n");
    if answer.texts[0].1[0] != b'-' {
        let shown =
            answer.banner.lines().filter(|line| SHOWN.iter().any(|name| line.starts_with(name)));
        answer.banner = shown.collect::<Vec<_>>().join(" ");
    }
    Step::Done(answer)
}

/// `-NOAUTH …`: a word in capitals.
fn is_error(line: &[u8]) -> bool {
    let word = line[1..].split(|byte| *byte == b' ').next().unwrap_or_default();
    word.len() >= 3 && word.iter().all(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_strings_and_errors_are_read() {
        let info =
            b"# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\ntcp_port:6379\r\n";
        let whole = [format!("${}\r\n", info.len()).as_bytes(), info, b"\r\n"].concat();
        let Step::Done(found) = answer(&whole, Flow::Open) else { panic!() };
        assert!(found.texts[0].1.starts_with(b"# Server\nredis_version:7.0.15\n"));
        assert_eq!(found.banner, "redis_version:7.0.15 redis_mode:standalone");
        for end in 0..whole.len() - 2 {
            assert_eq!(answer(&whole[..end], Flow::Open), Step::More, "{end}");
        }
        assert!(matches!(answer(&whole[..40], Flow::Over), Step::Done(_)));
        let Step::Done(found) = answer(b"-NOAUTH Authentication required.\r\n", Flow::Open) else {
            panic!()
        };
        assert_eq!(found.texts[0].1, b"-NOAUTH Authentication required.");
    }

    #[test]
    fn anything_else_is_foreign() {
        for bytes in [
            &b"HTTP/1.1 400 x\r\n"[..],
            b"$5\r\nhello\r\n",
            b"-x\r\n",
            b"$-1\r\n",
            b"$x\r\n",
            b"\n",
            b"$0\r\n\r\n",
            b"$99999999999999999999\r\nx",
        ] {
            assert_eq!(answer(bytes, Flow::Over), Step::Foreign, "{bytes:?}");
        }
    }
}
