//! The ways out, each against a real server on loopback or a real program; and (`desk`) what takes notes
//! for all of them.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use crypto::webhook::{Headers, Secret, verify};
use serde_json::Value;

use super::*;
use crate::settings::{
    EmailSettings, FileFormat, FileSettings, JournaldSettings, NotifyCommandSettings,
    SyslogSettings, SyslogTarget, WebhookSettings,
};

mod answers;
mod apart;
mod desk;
mod full;
mod smtp;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub fn note(key: &str, severity: Severity) -> Note {
    Note {
        id: format!("wm-{key}"),
        kind: Kind::New,
        time: 1_700_000_000,
        severity,
        title: key.to_string(),
        host: "host7".into(),
        key: key.to_string(),
        body: serde_json::json!({"first": 1, "last": 2, "steps": [{"fingerprint": "f", "title": "t"}]}),
    }
}

fn secret_file(dir: &Path) -> PathBuf {
    let path = dir.join("secret");
    std::fs::write(&path, format!("{SECRET}\n{OLD_SECRET}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path
}

/// Reads one request: head and body, as its length says.
fn request(stream: &mut impl Read) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    let mut room = [0; 4096];
    loop {
        let count = stream.read(&mut room).unwrap();
        assert!(count > 0, "a whole request");
        all.extend_from_slice(&room[..count]);
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        if all.len() >= end + 4 + length.parse::<usize>().unwrap() {
            return (head, all[end + 4..].to_vec());
        }
    }
}

/// Answers one request after the other with these statuses; gives what was asked.
fn server(statuses: &'static [u16]) -> (u16, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, all) = channel();
    std::thread::spawn(move || {
        for status in statuses {
            let mut stream = listener.accept().unwrap().0;
            seen.send(request(&mut stream)).unwrap();
            let _ = stream.write_all(format!("HTTP/1.1 {status} Word\r\nX: y\r\n\r\n").as_bytes());
        }
    });
    (port, all)
}

fn webhook_to(dir: &Path, url: String) -> webhook::Webhook {
    let settings = WebhookSettings { url, secret_file: secret_file(dir).into(), ca_file: None };
    webhook::Webhook::new(&settings).unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line =
        head.lines().find_map(|line| line.split_once(": ").filter(|(known, _)| *known == name));
    line.unwrap().1
}

#[test]
fn a_webhook_arrives_signed_with_every_secret_and_failures_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (port, asked) = server(&[204, 500, 410, 302]);
    let mut webhook = webhook_to(dir.path(), format!("http://127.0.0.1:{port}/in?x=1"));
    webhook.send(&note("a", Severity::High)).unwrap();
    let (head, body) = asked.recv().unwrap();
    assert!(head.starts_with("POST /in?x=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "Host"), format!("127.0.0.1:{port}"));
    let headers = Headers {
        id: header(&head, "webhook-id"),
        timestamp: header(&head, "webhook-timestamp"),
        signatures: header(&head, "webhook-signature"),
    };
    assert_eq!(headers.id, "wm-a");
    let now = jiff::Timestamp::now().as_second();
    for secret in [SECRET, OLD_SECRET] {
        verify(&[Secret::parse(secret).unwrap()], headers, &body, now).unwrap();
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["type"], &body["severity"]), (&"case.new".into(), &"high".into()));
    let mut again = || webhook.send(&note("a", Severity::High));
    assert_eq!(again(), Err(Failure::Later("HTTP status 500".into())));
    assert_eq!(again(), Err(Failure::Never("HTTP status 410".into())));
    assert_eq!(again(), Err(Failure::Later("HTTP status 302".into())));
    assert!(matches!(again(), Err(Failure::Later(_))), "nobody answers any more");
}

#[test]
fn a_server_that_drips_or_says_no_http_ends_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        for _ in 0..200 {
            let _ = stream.write_all(b"H");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let webhook = webhook_to(dir.path(), format!("http://127.0.0.1:{port}/"));
    let started = Instant::now();
    let sent = webhook.within(Duration::from_millis(300)).send(&note("a", Severity::Low));
    assert!(matches!(sent, Err(Failure::Later(_))), "{sent:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn secrets_that_others_can_read_or_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = secret_file(dir.path());
    let new = || {
        let url = "http://127.0.0.1:1/".into();
        let settings = WebhookSettings { url, secret_file: file.clone().into(), ca_file: None };
        webhook::Webhook::new(&settings).err().map(|error| format!("{error:#}"))
    };
    assert_eq!(new(), None);
    for text in ["", "whsec_short\n", &format!("{SECRET}\n").repeat(5)] {
        std::fs::write(&file, text).unwrap();
        let error = new().unwrap();
        assert!(error.contains("secret") && !error.contains("MfKQ9r8GKYq"), "{error}");
    }
    std::fs::write(&file, SECRET).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(new().unwrap().contains("mode 0640"));
}

/// A certificate of `localhost` in `cert.pem`, and what a server is to be with it; `None` without openssl.
fn certificate(dir: &Path) -> Option<Arc<rustls::ServerConfig>> {
    use rustls::pki_types::pem::PemObject;
    let at = |name: &str| dir.join(name);
    let conf = "[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\n\
                subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\n";
    std::fs::write(at("conf"), conf).unwrap();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=localhost", "-days", "2", "-config"])
        .arg(at("conf"))
        .arg("-keyout")
        .arg(at("key.pem"))
        .arg("-out")
        .arg(at("cert.pem"))
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "openssl is required");
        println!("SKIPPED: no openssl");
        return None;
    }
    let certificate = rustls::pki_types::CertificateDer::from_pem_file(at("cert.pem")).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(at("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Some(Arc::new(config))
}

#[test]
fn https_is_spoken_with_who_has_a_certificate_of_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let Some(config) = certificate(dir.path()) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let server = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(server, stream.unwrap());
            let mut room = [0; 1];
            if stream.read(&mut room).is_ok_and(|count| count == 1) {
                let _ = request(&mut room.chain(&mut stream));
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            }
        }
    });
    let send = |host: &str, ca_file: Option<PathBuf>| {
        let url = format!("https://{host}:{port}/");
        let settings =
            WebhookSettings { url, secret_file: secret_file(dir.path()).into(), ca_file };
        webhook::Webhook::new(&settings).unwrap().send(&note("a", Severity::Low))
    };
    assert_eq!(send("localhost", Some(at("cert.pem"))), Ok(()));
    assert!(matches!(send("127.0.0.1", Some(at("cert.pem"))), Err(Failure::Later(_))));
    if Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
        assert!(matches!(send("localhost", None), Err(Failure::Later(_))), "nobody vouches for it");
    }
}

#[test]
fn urls_are_read_strictly() {
    let read = |text: &str| http::Url::parse(text).map(|url| (url.host, url.port, url.path));
    let is = |host: &str, port, path: &str| Ok((host.to_string(), port, path.to_string()));
    assert_eq!(read("https://example.org"), is("example.org", 443, "/"));
    assert_eq!(read("https://example.org:8443/a/b?c=d#e"), is("example.org", 8443, "/a/b?c=d"));
    assert_eq!(read("https://example.org?x"), is("example.org", 443, "/?x"));
    assert_eq!(read("http://[::1]:80/"), is("::1", 80, "/"));
    assert_eq!(read("http://localhost/"), is("localhost", 80, "/"));
    for text in [
        "",
        "example.org",
        "https://",
        "https://:1/",
        "https://a b/",
        "https://a:x/",
        "https://[::1/",
        "http://192.0.2.1/",
        "https://a\r\nX: y/",
        "https://u@a/",
        "https://a:70000/",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    assert!(read(&format!("https://a/{}", "x".repeat(http::URL_BYTES_MAX))).is_err());
}

#[test]
fn syslog_goes_to_a_socket_by_udp_and_by_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = note("case]1", Severity::Critical);
    wanted.title = "it is \u{e9}".into();
    let expected = format!(
        "<82>1 2023-11-14T22:13:20Z host7 wardmote {} new [wardmote@32473 id=\"wm-case\\]1\" \
         severity=\"critical\" key=\"case\\]1\"] \u{feff}it is \u{e9}",
        std::process::id()
    );
    let send =
        |address: SyslogTarget| syslog::Syslog::new(&SyslogSettings { address }).send(&wanted);
    let local = UnixDatagram::bind(dir.path().join("log")).unwrap();
    send(SyslogTarget::Local(dir.path().join("log"))).unwrap();
    let mut room = [0; 4096];
    let count = local.recv(&mut room).unwrap();
    assert_eq!(std::str::from_utf8(&room[..count]).unwrap(), expected);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    send(SyslogTarget::Udp(udp.local_addr().unwrap())).unwrap();
    let count = udp.recv(&mut room).unwrap();
    assert_eq!(std::str::from_utf8(&room[..count]).unwrap(), expected);
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let taken = std::thread::spawn(move || {
        let mut text = String::new();
        tcp.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    send(SyslogTarget::Tcp(address)).unwrap();
    assert_eq!(taken.join().unwrap(), format!("{} {expected}", expected.len()));
    assert!(matches!(send(SyslogTarget::Tcp(address)), Err(Failure::Later(_))));
    assert!(matches!(send(SyslogTarget::Local(dir.path().join("none"))), Err(Failure::Later(_))));
    let mut long = wanted.clone();
    long.title = "\u{e9}".repeat(5_000);
    let cut = syslog::message(&long, 1);
    assert!((syslog::MESSAGE_BYTES_MAX - 1..=syslog::MESSAGE_BYTES_MAX).contains(&cut.len()));
}

/// The fields of a native entry.
fn fields(mut entry: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    while let Some(end) = entry.iter().position(|byte| *byte == b'\n') {
        let name = String::from_utf8(entry[..end].to_vec()).unwrap();
        let length = u64::from_le_bytes(entry[end + 1..end + 9].try_into().unwrap()) as usize;
        let value = String::from_utf8(entry[end + 9..end + 9 + length].to_vec()).unwrap();
        assert_eq!(entry[end + 9 + length], b'\n');
        entry = &entry[end + 10 + length..];
        fields.push((name, value));
    }
    fields
}

#[test]
fn the_journal_takes_fields_and_large_ones_as_a_sealed_file() {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let server = UnixDatagram::bind(&socket).unwrap();
    let mut journald = journald::Journald::new(&JournaldSettings { socket });
    let mut wanted = note("case-1", Severity::High);
    wanted.title = "one\nPRIORITY=0".into();
    journald.send(&wanted).unwrap();
    let mut room = vec![0; 1 << 16];
    let count = server.recv(&mut room).unwrap();
    let seen = fields(&room[..count]);
    let has = |name: &str, value: &str| seen.contains(&(name.to_string(), value.to_string()));
    assert!(has("MESSAGE", "one\nPRIORITY=0") && has("PRIORITY", "3"), "{seen:?}");
    assert!(has("WARDMOTE_FINDING", "case-1") && has("WARDMOTE_SEVERITY", "high"));
    assert!(has("MESSAGE_ID", journald::message_id(Kind::New)));

    wanted.body = "x".repeat(4 << 20).into();
    journald.send(&wanted).unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [std::io::IoSliceMut::new(&mut room)];
    recvmsg(&server, &mut iov, &mut control, RecvFlags::empty()).unwrap();
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    let mut file = std::fs::File::from(descriptor.unwrap());
    assert!(file.write_all(b"x").is_err(), "it is sealed");
    let mut entry = Vec::new();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_end(&mut entry).unwrap();
    assert_eq!(fields(&entry).last().unwrap().1.len(), (4 << 20) + 2);
}

fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_command_gets_the_note_a_bare_environment_and_no_more_than_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let words = |text: &str| {
        let script = script(dir.path(), "command", text);
        vec![script.display().to_string(), out.display().to_string(), "$(id) `id`".into()]
    };
    let send = |text: &str, millis: u64| {
        let timeout = Duration::from_millis(millis);
        let timeout = format!("{}ms", timeout.as_millis()).parse().unwrap();
        command::Command::new(&NotifyCommandSettings { run: words(text), timeout })
            .send(&note("a", Severity::Low))
    };
    send("cat >\"$1\"; printf '%s|' \"$2\" >>\"$1\"; env >>\"$1\"", 5_000).unwrap();
    let seen = std::fs::read_to_string(&out).unwrap();
    let (json, rest) = seen.split_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<Value>(json).unwrap(), note("a", Severity::Low).json());
    assert!(rest.starts_with("$(id) `id`|"), "no shell looks at the words: {rest}");
    assert!(!rest.contains("HOME=") && !rest.contains("CARGO"), "{rest}");
    assert!(
        matches!(send("exit 3", 5_000), Err(Failure::Later(why)) if why.contains("exit status: 3"))
    );
    let started = Instant::now();
    let sent = send("sleep 60 & sleep 60", 200);
    assert!(matches!(sent, Err(Failure::Later(why)) if why.contains("killed")));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn mail_goes_through_sendmail_and_a_title_makes_no_header() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("mail");
    let sendmail =
        script(dir.path(), "sendmail", &format!("echo \"$@\" >{0}; cat >>{0}", out.display()));
    let to = vec!["root".to_string(), "ops@example.org".to_string()];
    let settings =
        EmailSettings { to, from: Some("wardmote@example.org".into()), sendmail, smtp: None };
    let mut wanted = note("case-1", Severity::High);
    wanted.title = "\u{e9}t\u{e9} ".repeat(30);
    email::Email::new(&settings).send(&wanted).unwrap();
    let seen = std::fs::read_to_string(&out).unwrap();
    assert!(seen.starts_with("-i -f wardmote@example.org -- root ops@example.org\n"), "{seen}");
    let (head, body) = seen.split_once("\n\n").unwrap();
    assert!(head.contains("\nTo: root, ops@example.org\n"), "{head}");
    assert!(head.contains("\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n"), "{head}");
    assert!(head.lines().all(|line| line.is_ascii() && line.len() <= 78), "{head}");
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.decode(body.replace('\n', "")).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("severity  high"));
    let mut hostile = note("a", Severity::Low);
    hostile.title = "x\r\nBcc: all@example.org".into();
    let message = email::message(&hostile, None, &["root".into()]);
    assert!(!message.contains("\nBcc:"), "{message}");
}

#[test]
fn files_are_private_rotated_by_size_and_lose_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("{}\n", note("00", Severity::Low).json()).len() as u64;
    let settings =
        |format| FileSettings { path: "notes.jsonl".into(), format, bytes_max: 3 * line, keep: 2 };
    let mut file = file::Lines::new(&settings(FileFormat::Jsonl), dir.path());
    for number in 10..18 {
        file.send(&note(&number.to_string(), Severity::Low)).unwrap();
    }
    let read = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        let key = |line: &str| serde_json::from_str::<Value>(line).unwrap()["key"].clone();
        text.lines().map(|line| key(line).as_str().unwrap().to_string()).collect()
    };
    assert_eq!(read("notes.jsonl"), ["16", "17"]);
    assert_eq!(
        (read("notes.jsonl.1"), read("notes.jsonl.2")),
        (
            vec!["13".to_string(), "14".into(), "15".into()],
            vec!["10".to_string(), "11".into(), "12".into()],
        )
    );
    let mode = std::fs::metadata(dir.path().join("notes.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    (0..2).for_each(|_| file.send(&note("20", Severity::Low)).unwrap());
    assert!(!dir.path().join("notes.jsonl.3").exists(), "no more than two are kept");
}

#[test]
fn ocsf_events_are_detection_findings() {
    let event = ocsf::finding(&note("case-1", Severity::Critical));
    for (name, value) in
        [("class_uid", 2004), ("category_uid", 2), ("activity_id", 1), ("type_uid", 200_401)]
    {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!(event["severity_id"], 5);
    assert_eq!(event["time"], 1_700_000_000_000_i64);
    assert_eq!(event["finding_info"]["uid"], "case-1");
    assert_eq!(event["finding_info"]["last_seen_time"], 2_000);
    assert_eq!(event["metadata"]["product"]["name"], "wardmote");
}
