//! Access logs of nginx and Apache (common and combined, with a virtual host in front or a wrapping
//! quote around the line) and their error logs.

use crate::time::{self, Stamp};

/// Brackets before a request among which its time is looked for.
const BRACKETS_MAX: usize = 4;

/// One request. Parts that the format lacks are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessRecord<'a> {
    /// When.
    pub stamp: Stamp,
    /// Client, as written: an address or a name.
    pub client: &'a [u8],
    /// Virtual host, where the line starts with it.
    pub host: &'a [u8],
    /// User of HTTP authentication; empty for `-`.
    pub user: &'a [u8],
    /// Method; empty when the request line is garbage.
    pub method: &'a [u8],
    /// Path and query, or the whole request line when it is garbage.
    pub uri: &'a [u8],
    /// `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// Status code.
    pub status: u16,
    /// Bytes sent, as written; empty for `-`.
    pub size: &'a [u8],
    /// Referer; empty for `-`.
    pub referer: &'a [u8],
    /// User agent; empty for `-`.
    pub agent: &'a [u8],
}

/// One line of an error log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRecord<'a> {
    /// When.
    pub stamp: Stamp,
    /// Level (`error`, `core:error` → `error`).
    pub level: &'a [u8],
    /// Client, where it is named, without its port.
    pub client: &'a [u8],
    /// What it said.
    pub message: &'a [u8],
}

/// Reads one line of an access log.
pub fn parse(line: &[u8]) -> Option<AccessRecord<'_>> {
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    // a user name may hold brackets too
    let (open, (stamp, used)) = memchr::memchr_iter(b'[', line)
        .take(BRACKETS_MAX)
        .find_map(|open| Some((open, time::access(&line[open + 1..])?)))?;
    let (host, client, user) = front(line[..open].trim_ascii_end())?;
    let rest = line.get(open + 1 + used..)?.strip_prefix(b"]")?.trim_ascii_start();
    let (request, rest) = quoted(rest)?;
    let (status, rest) = word(rest.trim_ascii_start());
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    let (size, rest) = word(rest.trim_ascii_start());
    let (referer, rest) = quoted(rest.trim_ascii_start()).unwrap_or((b"", b""));
    let (agent, _) = quoted(rest.trim_ascii_start()).unwrap_or((b"", b""));
    let (method, uri, protocol) = request_line(request);
    let size = given(size);
    let (referer, agent) = (given(referer), given(agent));
    Some(AccessRecord {
        stamp,
        client,
        host,
        user,
        method,
        uri,
        protocol,
        status,
        size,
        referer,
        agent,
    })
}

/// Reads one line of an Apache or nginx error log.
pub fn parse_error(line: &[u8]) -> Option<ErrorRecord<'_>> {
    if let Some(inner) = line.strip_prefix(b"[") {
        let (stamp, used) = time::asctime(inner).or_else(|| time::iso(inner))?;
        return apache_error(stamp, inner.get(used..)?.strip_prefix(b"]")?);
    }
    let (stamp, used) = time::iso(line)?;
    let rest = line[used..].strip_prefix(b" [")?;
    let close = memchr::memchr(b']', rest)?;
    let message = rest[close + 1..].trim_ascii_start();
    let client = match find(message, b", client: ") {
        Some(at) => until(&message[at + 10..], |byte| byte == b',' || byte == b' '),
        None => b"",
    };
    Some(ErrorRecord { stamp, level: &rest[..close], client, message })
}

fn apache_error(stamp: Stamp, mut rest: &[u8]) -> Option<ErrorRecord<'_>> {
    let (mut level, mut client) = (&b""[..], &b""[..]);
    // [module:level] [pid …] [client …]: at most a handful of brackets
    for index in 0..6 {
        let Some(inner) = rest.trim_ascii_start().strip_prefix(b"[") else { break };
        let Some(close) = memchr::memchr(b']', inner) else { break };
        let part = &inner[..close];
        if let Some(address) = part.strip_prefix(b"client ") {
            client = without_port(address);
        } else if index == 0 {
            level = part.rsplit(|byte| *byte == b':').next().unwrap_or(part);
        }
        rest = &inner[close + 1..];
    }
    Some(ErrorRecord { stamp, level, client, message: rest.trim_ascii_start() })
}

/// `[vhost[:port]] client ident user`; the user may hold spaces.
fn front(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (first, rest) = word(text);
    let (second, rest2) = word(rest.trim_ascii_start());
    if first.is_empty() {
        return None;
    }
    // With a host in front there is one word more, and what follows it looks like an address.
    if looks_like_address(second) && !looks_like_address(first) {
        let (_ident, user) = word(rest2.trim_ascii_start());
        return Some((first, second, given(user.trim_ascii())));
    }
    Some((b"", first, given(rest2.trim_ascii())))
}

fn looks_like_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

/// `GET /x HTTP/1.1`; anything else is a URI without a method.
fn request_line(request: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (method, rest) = word(request);
    let is_method = !method.is_empty()
        && method.len() <= 20
        && method.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'));
    if !is_method || rest.is_empty() {
        return (b"", request, b"");
    }
    let rest = &rest[1..];
    match memchr::memrchr(b' ', rest) {
        Some(at) if rest[at + 1..].starts_with(b"HTTP/") => (method, &rest[..at], &rest[at + 1..]),
        _ => (method, rest, b""),
    }
}

/// A quoted part with `\"` inside, and what follows it.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"\"")?;
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'"', b'\\', inner.get(from..)?) {
        let at = from + at;
        if inner[at] == b'"' {
            return Some((&inner[..at], &inner[at + 1..]));
        }
        from = at + 2;
    }
    None
}

fn given(text: &[u8]) -> &[u8] {
    if text == b"-" { b"" } else { text }
}

fn word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(memchr::memchr(b' ', text).unwrap_or(text.len()))
}

fn until(text: &[u8], stop: impl Fn(u8) -> bool) -> &[u8] {
    &text[..text.iter().position(|byte| stop(*byte)).unwrap_or(text.len())]
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, needle)
}

/// `192.0.2.1:4711` and `[2001:db8::1]:4711` without the port.
fn without_port(address: &[u8]) -> &[u8] {
    match address.iter().filter(|byte| **byte == b':').count() {
        1 => until(address, |byte| byte == b':'),
        0 => address,
        _ => {
            // 2001:db8::1:4711, as Apache writes it: the port is the last part if the rest is whole
            let at = address.iter().rposition(|byte| *byte == b':').unwrap_or(address.len());
            if looks_like_address(&address[..at]) { &address[..at] } else { address }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str =
        "[10/Oct/2000:13:55:36 -0700] \"GET /a?b=c d HTTP/1.1\" 404 - \"-\" \"curl \\\"x\\\"\"";

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn combined_lines_are_read_with_and_without_a_host() {
        for (front, host, client, user) in [
            ("192.0.2.1 - - ", "", "192.0.2.1", ""),
            ("\"192.0.2.1 - - ", "", "192.0.2.1", ""),
            ("192.0.2.1 - bob ", "", "192.0.2.1", "bob"),
            ("2001:db8::1 - bob smith ", "", "2001:db8::1", "bob smith"),
            ("www.example.org:80 192.0.2.1 - - ", "www.example.org:80", "192.0.2.1", ""),
            ("client.example.org - - ", "", "client.example.org", ""),
        ] {
            let line = format!("{front}{TAIL}");
            let record = parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(
                (text(record.host), text(record.client), text(record.user)),
                (host.into(), client.into(), user.into())
            );
            assert_eq!(
                (record.method, record.uri, record.status),
                (&b"GET"[..], &b"/a?b=c d"[..], 404)
            );
            assert_eq!((record.referer, record.agent), (&b""[..], &b"curl \\\"x\\\""[..]));
        }
    }

    #[test]
    fn a_common_line_and_a_garbage_request_are_still_records() {
        let line = b"192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"\\x16\\x03\\x01\" 400 150";
        let record = parse(line).unwrap();
        assert_eq!((record.method, record.uri), (&b""[..], &b"\\x16\\x03\\x01"[..]));
        for line in ["", "[", "x [10/Oct/2000:13:55:36 -0700] \"GET", "x y", "\0[\0"] {
            assert_eq!(parse(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn whatever_stands_in_a_request_the_parts_around_it_are_found() {
        for (front, request, method, uri, protocol) in [
            ("192.0.2.1 - -", "GET /a HTTP/2.0", "GET", "/a", "HTTP/2.0"),
            ("192.0.2.1 - -", "GET / HTTP/3", "GET", "/", "HTTP/3"),
            ("::1 - -", "-", "", "-", ""),
            ("192.0.2.1 - -", "", "", "", ""),
            ("192.0.2.1 - [x", "GET /a", "GET", "/a", ""),
            ("192.0.2.1 - a[b]c", "GET /[1] HTTP/1.0", "GET", "/[1]", "HTTP/1.0"),
            ("192.0.2.1 - -", "M-SEARCH * HTTP/1.1", "M-SEARCH", "*", "HTTP/1.1"),
            ("192.0.2.1 - -", "GET /a b \\\" c HTTP/1.1", "GET", "/a b \\\" c", "HTTP/1.1"),
            ("192.0.2.1 - -", "\\x16\\x03 \\x00", "", "\\x16\\x03 \\x00", ""),
            ("192.0.2.1 - -", "\u{3}\u{1}\u{7f}", "", "\u{3}\u{1}\u{7f}", ""),
        ] {
            for (tail, agent) in
                [("", ""), (" \"-\" \"a \\\"b\\\"\"", "a \\\"b\\\""), (" \"-\" \"-\"\"", "")]
            {
                let line =
                    format!("{front} [10/Oct/2000:13:55:36 -0700] \"{request}\" 400 0{tail}");
                let record = parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
                assert_eq!(
                    (text(record.method), text(record.uri), text(record.protocol)),
                    (method.into(), uri.into(), protocol.into()),
                    "{line}"
                );
                assert_eq!((record.status, text(record.agent)), (400, agent.into()), "{line}");
            }
        }
    }

    #[test]
    fn the_time_is_looked_for_behind_a_few_brackets_only() {
        let line = |brackets: usize| {
            let user = "[".repeat(brackets);
            let line =
                format!("192.0.2.1 - {user} [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1");
            parse(line.as_bytes()).is_some()
        };
        assert_eq!((line(BRACKETS_MAX - 1), line(BRACKETS_MAX)), (true, false));
    }

    #[test]
    fn error_lines_name_their_client() {
        for (line, level, client, message) in [
            ("[Sun Dec 04 04:47:44 2005] [error] mod_jk child", "error", "", "mod_jk child"),
            (
                "[Sun Dec 04 04:47:44.1 2005] [core:error] [pid 7:tid 8] [client 192.0.2.1:99] AH: x",
                "error",
                "192.0.2.1",
                "AH: x",
            ),
            (
                "2024/05/01 10:00:00 [error] 7#7: *1 open() failed, client: 192.0.2.1, server: x",
                "error",
                "192.0.2.1",
                "7#7: *1 open() failed, client: 192.0.2.1, server: x",
            ),
        ] {
            let record = parse_error(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(
                (text(record.level), text(record.client), text(record.message)),
                (level.into(), client.into(), message.into())
            );
        }
        assert_eq!(parse_error(b"[x"), None);
        assert_eq!(parse_error(b""), None);
    }
}
