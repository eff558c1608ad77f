//! HTTP/1.1: one `GET` without side effects (RFC 9110, 9.2.1), its fields, and the title of its page.
//!
//! Also the question of services whose API is HTTP: `GET /version` of Docker, Kubernetes and etcd,
//! `GET /` of Elasticsearch.

use super::{Answer, Flow, Step};

/// Most bytes of the field section.
const FIELDS_BYTES_MAX: usize = 8 << 10;
/// Most fields that are looked at.
const FIELDS_MAX: usize = 64;
/// Most bytes of a title.
const TITLE_BYTES_MAX: usize = 256;

/// `GET` of a path. `host` is a name or an address that is already known to be one.
pub fn question(host: &str, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: wardmote/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
    .into_bytes()
}

/// Reads an answer. `bodies` are the kinds of text that its body may be.
pub fn answer(bytes: &[u8], flow: Flow, service: &'static str, bodies: &[&'static str]) -> Step {
    const BEGIN: &[u8] = b"HTTP/1.";
    let known = bytes.len().min(BEGIN.len());
    if bytes[..known] != BEGIN[..known] {
        return Step::Foreign;
    }
    let Some((fields, body)) = split(bytes) else {
        let more = flow == Flow::Open && bytes.len() <= FIELDS_BYTES_MAX;
        return if more { Step::More } else { Step::Foreign };
    };
    let fields: Vec<Field> =
        fields.split(|byte| *byte == b'\n').filter_map(field).take(FIELDS_MAX).collect();
    let status = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    if flow == Flow::Open && !is_whole(&fields, body, status) {
        return Step::More;
    }
    let value = |name: &str| fields.iter().find(|field| field.is(name)).map(|field| field.value);
    let mut texts: Vec<(&'static str, Vec<u8>)> = Vec::new();
    texts.extend(bodies.iter().map(|kind| (*kind, body.to_vec())));
    texts.extend(
        fields.iter().map(|field| ("http.field", [field.name, b": ", field.value].concat())),
    );
    texts.extend(value("server").map(|value| ("http_header.server", value.to_vec())));
    texts.extend(title(body).map(|title| ("html_title", title)));
    texts.extend(value("www-authenticate").map(|value| ("http_header.wwwauth", value.to_vec())));
    let server = value("server").map(|value| format!(" | {}", text(value))).unwrap_or_default();
    let page = title(body).map(|title| format!(" | {}", text(&title))).unwrap_or_default();
    let banner = format!("{}{server}{page}", text(status));
    Step::Done(Answer { service, texts, banner, ..Answer::default() })
}

struct Field<'b> {
    name: &'b [u8],
    value: &'b [u8],
}

impl Field<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The status line and fields, and what follows the empty line.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let within = &bytes[..bytes.len().min(FIELDS_BYTES_MAX)];
    let at = |end: &[u8]| memchr::memmem::find(within, end).map(|at| (at, at + end.len()));
    let ends = [at(b"\r\n\r\n"), at(b"\n\n")];
    let (end, body) = ends.into_iter().flatten().min()?;
    Some((&bytes[..end], &bytes[body..]))
}

fn field(line: &[u8]) -> Option<Field<'_>> {
    let line = line.trim_ascii_end();
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_token = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
    is_token.then_some(Field { name, value })
}

/// Whether nothing more is worth waiting for. Where no length is given, the end of the connection is
/// the end; a title is enough of a page.
fn is_whole(fields: &[Field], body: &[u8], status: &[u8]) -> bool {
    let value = |name: &str| fields.iter().find(|field| field.is(name)).map(|field| field.value);
    if matches!(status.get(9..12), Some(b"204" | b"304")) || title(body).is_some() {
        return true;
    }
    if value("transfer-encoding").is_some() {
        return body.ends_with(b"0\r\n\r\n");
    }
    let length =
        value("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// The text of the first `<title>`.
fn title(body: &[u8]) -> Option<Vec<u8>> {
    let open = find(body, b"<title")?;
    let start = open + memchr::memchr(b'>', &body[open..])? + 1;
    let end = start + find(&body[start..], b"</title")?;
    let title = body[start..end].trim_ascii();
    let title = String::from_utf8_lossy(&title[..title.len().min(TITLE_BYTES_MAX)]);
    let plain = title.replace("&amp;", "&").replace("&#39;", "'").replace("&quot;", "\"");
    Some(plain.split_whitespace().collect::<Vec<_>>().join(" ").into_bytes())
}

/// Where a lower-case word stands, in any case.
fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window.eq_ignore_ascii_case(word))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(bytes: &[u8], flow: Flow) -> Answer {
        match answer(bytes, flow, "http", &[]) {
            Step::Done(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn said(answer: &Answer, kind: &str) -> Option<String> {
        answer.texts.iter().find(|(of, _)| *of == kind).map(|(_, said)| text(said))
    }

    #[test]
    fn fields_and_title_are_read() {
        let page = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nX-Jenkins:  2.4 \r\nContent-Length: 70\r\n\r\n<html><TITLE lang=en>\n A &amp;\n B </Title>";
        let found = done(page, Flow::Open);
        assert_eq!(said(&found, "http_header.server").as_deref(), Some("nginx/1.22.1"));
        assert_eq!(said(&found, "html_title").as_deref(), Some("A & B"));
        assert!(found.texts.contains(&("http.field", b"X-Jenkins: 2.4".to_vec())));
        assert_eq!(found.banner, "HTTP/1.1 200 OK | nginx/1.22.1 | A & B");
    }

    #[test]
    fn an_answer_is_whole_by_its_length_its_last_chunk_or_its_end() {
        let more = |bytes: &[u8]| answer(bytes, Flow::Open, "http", &[]) == Step::More;
        assert!(more(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"));
        assert!(!more(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"));
        assert!(more(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"));
        assert!(!more(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"));
        assert!(!more(b"HTTP/1.1 204 No Content\r\n\r\n") && more(b"HTTP/1.0 200 OK\n\nabc"));
        assert!(more(b"HT") && more(b"HTTP/1.1 200 OK\r\nServer: x\r\n"));
        done(b"HTTP/1.0 200 OK\n\nabc", Flow::Over);
    }

    #[test]
    fn bodies_are_texts_of_the_kind_that_was_asked_for() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let Step::Done(found) = answer(bytes, Flow::Open, "etcd", &["etcd.version"]) else {
            panic!()
        };
        assert_eq!(
            (found.service, found.texts[0].clone()),
            ("etcd", ("etcd.version", b"{}".to_vec()))
        );
    }

    #[test]
    fn anything_else_is_foreign_and_bounded() {
        for bytes in [&b"SSH-2.0-x\r\n"[..], b"HTTP/2 200\r\n\r\n", b"ICY 200 OK\r\n\r\n"] {
            assert_eq!(answer(bytes, Flow::Open, "http", &[]), Step::Foreign);
        }
        let endless = [b"HTTP/1.1 200 OK\r\n", "x: y\r\n".repeat(2000).as_bytes()].concat();
        assert_eq!(answer(&endless, Flow::Open, "http", &[]), Step::Foreign);
        let many = [b"HTTP/1.1 200 OK\r\n", "x: y\r\n".repeat(FIELDS_MAX + 9).as_bytes(), b"\r\n"]
            .concat();
        assert_eq!(done(&many, Flow::Over).texts.len(), FIELDS_MAX);
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\n", Flow::Over, "http", &[]), Step::Foreign);
    }

    #[test]
    fn the_question_is_one_request_without_a_body() {
        let asked = String::from_utf8(question("192.0.2.9", "/version")).unwrap();
        assert!(asked.starts_with("GET /version HTTP/1.1\r\nHost: 192.0.2.9\r\n"));
        assert!(
            asked.ends_with("Connection: close\r\n\r\n") && asked.matches("\r\n\r\n").count() == 1
        );
    }
}
