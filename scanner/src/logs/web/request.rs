//! The fields of a request by the names that rules use, and what is derived from them.
//!
//! Beside Sigma's names there are: `uri_decoded`, `uri_path` (opened, dots resolved) and `uri_query`
//! (opened); `uri_tricks` (how something was hidden); `payload_class`, `payload_score` and
//! `payload_where` (`uri`, `referer` or `agent`); `request_form` of what is no HTTP request (`tls`, `ssh`,
//! `binary`, `empty` …) or asks for another's site (`proxy`); `auth_user`, which is `cs-username` for rules
//! that want nothing but that there is one. The derived ones exist only for requests that
//! [`Request::is_suspect`], a test of a few bytes, lets through: a prefilter may look for [`SUSPECT`]
//! instead of their values, which stand in no line.

use std::borrow::Cow;
use std::cell::OnceCell;

use parsers::log::AccessRecord;

use super::payload::{self, Class, Payload};
use super::uri::{self, Opened};

/// Stands for "the line is suspect" where a prefilter wants a text.
pub const SUSPECT: &[u8] = b"\0suspect\0";

/// A longer target is suspect for its length.
pub const PLAIN_URI_BYTES_MAX: usize = 128;

/// Fields whose values stand in no line.
pub const DERIVED: [&str; 6] =
    ["payload_class", "payload_score", "payload_where", "uri_tricks", "request_form", "auth_user"];

/// What was read of one request, each part when first asked for.
#[derive(Default)]
pub struct Request {
    opened: OnceCell<Opened>,
    text: OnceCell<Option<Vec<u8>>>,
    found: OnceCell<Option<(Payload, &'static str)>>,
}

impl Request {
    /// A text besides the line itself in which what rules look for may stand: the opened target and, on a
    /// line of its own, its path with dots resolved. `None` when both are as written.
    pub fn text(&self, record: &AccessRecord<'_>) -> Option<&[u8]> {
        let text = self.text.get_or_init(|| {
            let odd = uri::is_written_oddly(record.uri);
            if !odd && !uri::is_indirect(stem(record.uri)) {
                return None;
            }
            let opened = self.opened(record);
            let mut text = opened.text.clone();
            if uri::is_indirect(opened.path()) {
                text.push(b'\n');
                text.extend_from_slice(&uri::resolved(opened.path()));
            }
            Some(text)
        });
        text.as_deref()
    }

    /// Whether the derived fields can exist: something in the request could be a payload.
    pub fn is_suspect(record: &AccessRecord<'_>) -> bool {
        let pair = |pair: &[u8]| matches!(pair, b"/." | b"//" | b"=/" | b"..");
        record.method.is_empty()
            || !record.user.is_empty()
            || record.uri.len() > PLAIN_URI_BYTES_MAX
            || record.uri.iter().any(|byte| SUSPICIOUS[usize::from(*byte)])
            || record.uri.windows(2).any(pair)
            || is_agent_suspect(record.agent)
            || is_referer_suspect(record.referer)
    }

    /// A field by the name that rules use.
    pub fn field<'a>(&'a self, record: &AccessRecord<'a>, name: &str) -> Option<Cow<'a, [u8]>> {
        let query = memchr::memchr(b'?', record.uri).map(|at| &record.uri[at + 1..]);
        let value = match name {
            "src_ip" | "c-ip" | "client_ip" => record.client,
            // SigmaHQ's rules look for paths in cs-uri-query: it is the whole request target there.
            "c-uri" | "cs-uri" | "cs-uri-query" | "c-uri-query" | "uri" => record.uri,
            "uri_decoded" if uri::is_written_oddly(record.uri) => &self.opened(record).text,
            "uri_decoded" => record.uri,
            "uri_query" if uri::is_written_oddly(record.uri) => self.opened(record).query()?,
            "uri_query" => query?,
            "uri_path" => return Some(self.path(record)),
            "cs-uri-stem" | "c-uri-stem" => stem(record.uri),
            "c-uri-extension" => {
                let name = stem(record.uri).rsplit(|byte| *byte == b'/').next()?;
                let dot = memchr::memrchr(b'.', name)?;
                &name[dot + 1..]
            }
            "cs-method" => given(record.method)?,
            "sc-status" | "status" => {
                return Some(Cow::Owned(record.status.to_string().into_bytes()));
            }
            "sc-bytes" => given(record.size)?,
            "c-useragent" | "cs-user-agent" | "c-user-agent" => given(record.agent)?,
            "cs-referer" | "cs-referrer" | "c-referer" => given(record.referer)?,
            "cs-host" => given(record.host)?,
            "cs-username" | "user" | "auth_user" => given(record.user)?,
            "cs-version" => given(record.protocol)?,
            "payload_class" => self.payload(record)?.0.class.name().as_bytes(),
            "payload_where" => self.payload(record)?.1.as_bytes(),
            "payload_score" => {
                let points = self.payload(record)?.0.points;
                return Some(Cow::Owned(points.to_string().into_bytes()));
            }
            "uri_tricks" => {
                if record.method.is_empty() || !uri::is_written_oddly(record.uri) {
                    return None;
                }
                let names = self.opened(record).tricks.names();
                return (!names.is_empty()).then(|| Cow::Owned(names.into_bytes()));
            }
            "request_form" => form(record)?.as_bytes(),
            _ => return None,
        };
        Some(Cow::Borrowed(value))
    }

    /// What the request tries, and where it stands.
    fn payload(&self, record: &AccessRecord<'_>) -> Option<(Payload, &'static str)> {
        *self.found.get_or_init(|| {
            if !Self::is_suspect(record) || record.method.is_empty() && form(record) != Some("text")
            {
                return None;
            }
            let found = payload::of_request(self.opened(record));
            if let Some(found) = found
                && found.class != Class::Fuzz
            {
                return Some((found, "uri"));
            }
            of_headers(record).or(found.map(|found| (found, "uri")))
        })
    }

    fn opened(&self, record: &AccessRecord<'_>) -> &Opened {
        self.opened.get_or_init(|| Opened::of(record.uri))
    }

    fn path<'a>(&'a self, record: &AccessRecord<'a>) -> Cow<'a, [u8]> {
        let path = stem(record.uri);
        if record.uri.len() <= uri::URI_BYTES_MAX && !uri::is_written_oddly(path) {
            return if uri::is_indirect(path) {
                Cow::Owned(uri::resolved(path))
            } else {
                Cow::Borrowed(path)
            };
        }
        let path = self.opened(record).path();
        if uri::is_indirect(path) { Cow::Owned(uri::resolved(path)) } else { Cow::Borrowed(path) }
    }
}

fn is_agent_suspect(agent: &[u8]) -> bool {
    agent.starts_with(b"()") || agent.iter().any(|byte| HEADER[usize::from(*byte)])
}

fn is_referer_suspect(referer: &[u8]) -> bool {
    referer.iter().any(|byte| matches!(byte, b'%' | b'(') || HEADER[usize::from(*byte)])
}

/// What the referer or the agent tries.
fn of_headers(record: &AccessRecord<'_>) -> Option<(Payload, &'static str)> {
    let clear = |found: &Payload| found.class != Class::Fuzz && found.class != Class::Remote;
    // the way to a referer's own page is of interest, not its host
    let host = memchr::memmem::find(record.referer, b"://").map_or(0, |at| at + 3);
    let way = memchr::memchr(b'/', &record.referer[host..]).map_or(host, |at| host + at);
    let way = if host == 0 { 0 } else { way };
    if is_referer_suspect(record.referer) {
        let found = payload::of_request(&Opened::of(&record.referer[way..])).filter(clear);
        if let Some(found) = found {
            return Some((found, "referer"));
        }
    }
    if !is_agent_suspect(record.agent) {
        return None;
    }
    let found = payload::of_value(&Opened::of(record.agent).text).filter(clear);
    found.map(|found| (found, "agent"))
}

/// What a request is that is no plain HTTP request.
fn form(record: &AccessRecord<'_>) -> Option<&'static str> {
    const FORMS: [(&[u8], &str); 22] = [
        (b"\\x16\\x03", "tls"),
        (b"\x16\x03", "tls"),
        (b"\\x80w\\x01\\x03", "tls"),
        (b"SSH-", "ssh"),
        (b"\\x03\\x00\\x00", "rdp"),
        (b"\\x03", "rdp"),
        (b"\\x00\\x00\\x00", "smb"),
        (b"\\xff\\x53MB", "smb"),
        (b"\\xFFSMB", "smb"),
        (b"\\x05\\x01", "socks"),
        (b"\\x05\\x02", "socks"),
        (b"\\x04\\x01", "socks"),
        (b"t3 ", "weblogic"),
        (b"JRMI", "rmi"),
        (b"MGLNDD_", "scanner"),
        (b"Gh0st", "rat"),
        (b"*1\\x0D", "redis"),
        (b"REMOTE HI_SRDK", "camera"),
        (b"stats", "memcached"),
        (b"\\x", "binary"),
        (b"\\0", "binary"),
        (b"\0", "binary"),
    ];
    if record.method.is_empty() {
        let known = FORMS.iter().find(|(start, _)| record.uri.starts_with(start));
        let binary = || record.uri.iter().any(|byte| !(b' '..0x7f).contains(byte));
        return Some(match known {
            Some((_, name)) => name,
            None if record.uri.is_empty() || record.uri == b"-" => "empty",
            None if binary() => "binary",
            None => "text",
        });
    }
    if record.method == b"CONNECT" {
        return Some("proxy");
    }
    let absolute = [&b"http://"[..], b"https://", b"HTTP://"];
    absolute.iter().any(|scheme| record.uri.starts_with(scheme)).then_some("proxy")
}

fn stem(uri: &[u8]) -> &[u8] {
    &uri[..memchr::memchr(b'?', uri).unwrap_or(uri.len())]
}

fn given(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}

/// Bytes that addresses of ordinary sites seldom hold, and payloads hardly do without.
const SUSPICIOUS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            0..=b' ' | b'"' | b'#' | b'$' | b'%' | b'\'' | b'(' | b')' | b'*' | b'+' | b':' | b';' | b'<' | b'>'
                | b'@' | b'[' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f..
        );
        byte += 1;
    }
    table
};

/// Bytes that agents and referers seldom hold.
const HEADER: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] =
            matches!(byte as u8, b'<' | b'\'' | b'$' | b'`' | b'{' | b'|' | b'"' | b'\\' | 0..=31);
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::log::access;

    fn field(request: &str, agent: &str, name: &str) -> Option<String> {
        let line = format!(
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"{request}\" 404 5 \"http://h/?q=%C3%A9\" \"{agent}\""
        );
        let record = access::parse(line.as_bytes()).unwrap();
        let request = Request::default();
        let value = request.field(&record, name)?;
        let texts = [line.as_bytes(), request.text(&record).unwrap_or_default()];
        let seen = texts.iter().any(|text| memchr::memmem::find(text, &value).is_some());
        if DERIVED.contains(&name) {
            assert!(
                Request::is_suspect(&record),
                "{name} of a request that no prefilter lets through"
            );
        } else {
            assert!(seen, "{name} is in no text that a prefilter sees");
        }
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn fields_are_opened_and_where_they_stand_is_told() {
        for (request, name, expected) in [
            ("GET /a/../%62?q=%3Cx+1 HTTP/1.1", "uri_decoded", Some("/a/../b?q=<x 1")),
            ("GET /a/../%62?q=%3Cx+1 HTTP/1.1", "uri_path", Some("/b")),
            ("GET /a/../%62?q=%3Cx+1 HTTP/1.1", "uri_query", Some("q=<x 1")),
            ("GET //a/./b HTTP/1.1", "uri_path", Some("/a/b")),
            ("GET /a?b HTTP/2.0", "uri_path", Some("/a")),
            ("GET /a?b HTTP/2.0", "cs-version", Some("HTTP/2.0")),
            ("GET /a HTTP/1.1", "uri_query", None),
            ("GET /a%252e HTTP/1.1", "uri_tricks", Some("layered")),
            ("GET /a HTTP/1.1", "uri_tricks", None),
            ("\\x03\\x00\\x00", "uri_tricks", None),
            ("GET /a?id=1'%20or%201=1 HTTP/1.1", "payload_class", Some("sqli")),
            ("GET /a?id=1'%20or%201=1 HTTP/1.1", "payload_where", Some("uri")),
            ("GET /a?id=1 HTTP/1.1", "payload_class", None),
            ("GET /a?f=/etc/passwd HTTP/1.1", "payload_class", Some("traversal")),
            ("\\x16\\x03\\x01\\x02", "request_form", Some("tls")),
            ("\\x16\\x03\\x01\\x02", "payload_class", None),
            ("SSH-2.0-Go", "request_form", Some("ssh")),
            ("", "request_form", Some("empty")),
            ("-", "request_form", Some("empty")),
            ("\\xAB\\xCD", "request_form", Some("binary")),
            ("quit now", "request_form", None),
            ("GET http://example.org/ HTTP/1.1", "request_form", Some("proxy")),
            ("CONNECT example.org:443 HTTP/1.1", "request_form", Some("proxy")),
            ("GET /a HTTP/1.1", "request_form", None),
        ] {
            assert_eq!(field(request, "curl", name).as_deref(), expected, "{request} {name}");
        }
    }

    #[test]
    fn a_payload_in_a_header_is_seen_and_a_browser_is_none() {
        for (agent, expected) in [
            ("() { :; }; /bin/id", Some("cmdi")),
            ("${jndi:ldap://x/a}", Some("lookup")),
            ("x' and sleep(5)#", Some("sqli")),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0", None),
            (
                "Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)",
                None,
            ),
        ] {
            assert_eq!(
                field("GET / HTTP/1.1", agent, "payload_class").as_deref(),
                expected,
                "{agent}"
            );
        }
    }
}
