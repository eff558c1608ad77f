//! What servers answer to webhooks and to OpenTelemetry's records.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use super::super::*;
use super::{header, note, request, webhook_to};
use crate::settings::OtlpSettings;

/// Answers with these texts, one a request.
fn says(answers: Vec<String>) -> (u16, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, all) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let mut stream = listener.accept().unwrap().0;
            seen.send(request(&mut stream)).unwrap();
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, all)
}

#[test]
fn a_target_that_wants_to_be_left_alone_says_for_how_long() {
    let dir = tempfile::tempdir().unwrap();
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(90);
    let date = soon.strftime("%a, %d %b %Y %H:%M:%S GMT");
    let (port, _asked) = says(vec![
        "HTTP/1.1 429 Slow\r\nretry-after: 7\r\n\r\n".into(),
        format!("HTTP/1.1 503 Down\r\nRetry-After: {date}\r\n\r\n"),
        "HTTP/1.1 503 Down\r\nRetry-After: tomorrow\r\n\r\n".into(),
        "HTTP/1.1 503 Down\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n".into(),
        // No end of the head, and no more to come.
        "HTTP/1.1 204 Done\r\nX: ".into(),
    ]);
    let mut webhook = webhook_to(dir.path(), format!("http://127.0.0.1:{port}/"));
    let mut send = || webhook.send(&note("a", Severity::High));
    assert_eq!(send(), Err(Failure::After(Duration::from_secs(7), "HTTP status 429".into())));
    match send() {
        Err(Failure::After(pause, _)) => assert!((80..=90).contains(&pause.as_secs()), "{pause:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(send(), Err(Failure::Later("HTTP status 503".into())));
    assert_eq!(send(), Err(Failure::Later("HTTP status 503".into())), "long ago");
    assert_eq!(send(), Ok(()));
}

#[test]
fn a_collector_gets_its_record_and_what_it_rejects_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("headers");
    std::fs::write(&file, "Authorization: Bearer t0k3n\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let rejected = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#;
    let (half, rest) = rejected.split_at(20);
    let chunked =
        format!("{:x}\r\n{half}\r\n{:x};x=y\r\n{rest}\r\n0\r\n\r\n", half.len(), rest.len());
    let with = |status: &str, headers: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}\r\n\r\n{body}")
    };
    let (port, asked) = says(vec![
        with("200 OK", "Content-Length: 2", "{}and more"),
        with("200 OK", &format!("Content-Length: {}", rejected.len()), rejected),
        with("200 OK", "Transfer-Encoding: chunked", &chunked),
        with("503 Down", "Retry-After: 3", ""),
        with("401 Who", "Content-Length: 0", ""),
        with("400 Bad", "Content-Length: 0", ""),
    ]);
    let settings = OtlpSettings {
        url: format!("http://127.0.0.1:{port}"),
        headers_file: Some(file.into()),
        ca_file: None,
    };
    let mut otlp = otlp::Otlp::new(&settings).unwrap();
    let mut send = || otlp.send(&note("a", Severity::High));
    assert_eq!(send(), Ok(()));
    let (head, body) = asked.recv().unwrap();
    assert!(head.starts_with("POST /v1/logs HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "Content-Type"), "application/json");
    assert_eq!(header(&head, "Authorization"), "Bearer t0k3n");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, otlp::request(&note("a", Severity::High)));
    for _ in 0..2 {
        assert_eq!(send(), Err(Failure::Never("1 records rejected: too old".into())));
    }
    assert_eq!(send(), Err(Failure::After(Duration::from_secs(3), "HTTP status 503".into())));
    assert_eq!(send(), Err(Failure::Later("HTTP status 401".into())));
    assert_eq!(send(), Err(Failure::Never("HTTP status 400".into())));
}
