//! TLS handshakes with `openssl s_server`, directly and behind STARTTLS, compared with what
//! `openssl x509` says of the same certificates.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use scanner::ports::report::TlsReport;
use scanner::ports::tls::{self, Stage, Start, TalkError, TlsError};

const WITHIN: Duration = Duration::from_secs(10);

/// Whether openssl is there; without it the tests are skipped, unless peers are required.
fn openssl() -> bool {
    let there =
        Command::new("openssl").arg("version").output().is_ok_and(|out| out.status.success());
    if !there {
        assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "openssl is not installed");
        println!("skipped: openssl is not installed");
    }
    there
}

fn run(program: &str, words: &[&str], directory: &Path) -> String {
    let out = Command::new(program).args(words).current_dir(directory).output().unwrap();
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Makes `NAME.pem` and `NAME.key`, self-signed.
fn certificate(directory: &Path, name: &str, key: &[&str], more: &[&str]) {
    let (pem, secret) = (format!("{name}.pem"), format!("{name}.key"));
    let mut words = vec!["req", "-x509", "-nodes", "-subj", "/O=Ward \u{2713}/CN=a.example.org"];
    words.extend(["-utf8", "-keyout", &secret, "-out", &pem]);
    words.extend(key);
    words.extend(more);
    run("openssl", &words, directory);
}

const SAN: [&str; 2] =
    ["-addext", "subjectAltName=DNS:a.example.org,DNS:*.b.example.org,IP:192.0.2.7"];
const RSA: [&str; 2] = ["-newkey", "rsa:2048"];
const EC: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
const YEAR: [&str; 2] = ["-days", "365"];

/// A loopback address that only this test process uses.
fn private_address() -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 110, high, low.max(2)))
}

fn free() -> SocketAddr {
    TcpListener::bind((private_address(), 0)).unwrap().local_addr().unwrap()
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `openssl s_server` with a certificate; waits until it listens.
fn serve(directory: &Path, name: &str, words: &[&str]) -> Server {
    let address = free();
    let (pem, key, at) = (format!("{name}.pem"), format!("{name}.key"), address.to_string());
    let child = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &at, "-cert", &pem, "-key", &key])
        .args(words)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child, address };
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(since.elapsed() < WITHIN, "s_server {words:?} does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    server
}

fn look(address: SocketAddr, start: Start, name: Option<&str>) -> Result<TlsReport, TlsError> {
    look_within(address, start, name, WITHIN)
}

fn look_within(
    address: SocketAddr,
    start: Start,
    name: Option<&str>,
    within: Duration,
) -> Result<TlsReport, TlsError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tls::look(address, start, name, within))
}

#[test]
fn the_facts_are_those_that_openssl_tells() {
    if !openssl() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    certificate(place.path(), "rsa", &RSA, &[&SAN[..], &YEAR].concat());
    certificate(place.path(), "ec", &EC, &[&SAN[..], &YEAR].concat());
    certificate(place.path(), "ed", &["-newkey", "ed25519"], &[&SAN[..], &YEAR].concat());
    let cases: [(&str, &[&str], &str, &str); 5] = [
        ("rsa", &["-tls1_3"], "1.3", "rsa 2048"),
        ("rsa", &["-tls1_2"], "1.2", "rsa 2048"),
        ("ec", &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], "1.2", "ec p-256"),
        ("ed", &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"], "1.3", "ed25519"),
        ("ec", &[], "1.3", "ec p-256"),
    ];
    for (name, words, version, key) in cases {
        let server = serve(place.path(), name, words);
        let seen = look(server.address, Start::Direct, Some("a.example.org")).unwrap();
        assert_eq!((seen.version.as_str(), seen.key.as_deref()), (version, Some(key)), "{words:?}");
        assert_eq!((seen.chain, seen.source.as_str(), seen.age_s), (1, "probe", 0));
        assert_eq!(seen.faults, Vec::<String>::new());
        assert_eq!(seen.names, ["a.example.org", "*.b.example.org", "192.0.2.7"]);
        let pem = format!("{name}.pem");
        let told = run(
            "openssl",
            &[
                "x509",
                "-in",
                &pem,
                "-noout",
                "-fingerprint",
                "-sha256",
                "-dates",
                "-dateopt",
                "iso_8601",
                "-subject",
                "-issuer",
                "-nameopt",
                "RFC2253,-esc_msb",
            ],
            place.path(),
        );
        let value = |key: &str| told.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        let digest = value("sha256 Fingerprint=").replace(':', "").to_ascii_lowercase();
        assert_eq!(seen.sha256.as_deref(), Some(digest.as_str()));
        let moment = |text: &Option<String>| text.clone().unwrap().replace('T', " ");
        assert_eq!(moment(&seen.not_before), value("notBefore="));
        assert_eq!(moment(&seen.not_after), value("notAfter="));
        assert_eq!(seen.subject.as_deref(), Some(value("subject=")));
        assert_eq!(seen.issuer.as_deref(), Some(value("issuer=")));
        let other = look(server.address, Start::Direct, Some("c.example.org")).unwrap();
        assert_eq!(other.faults, ["not for the name c.example.org"]);
    }
    let server = serve(place.path(), "rsa", &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"]);
    let seen = look(server.address, Start::Direct, None).unwrap();
    assert_eq!(seen.cipher.as_deref(), Some("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"));
}

#[test]
fn weak_certificates_are_seen_and_named() {
    if !openssl() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let small = ["-newkey", "rsa:1024"];
    certificate(place.path(), "small", &small, &[&SAN[..], &YEAR].concat());
    certificate(place.path(), "sha1", &RSA, &[&SAN[..], &YEAR, &["-sha1"]].concat());
    certificate(place.path(), "soon", &RSA, &[&SAN[..], &["-days", "20"]].concat());
    certificate(place.path(), "bare", &RSA, &YEAR);

    expired(place.path());
    // Of its 20 days there are 19 whole ones left only after the second in which it was made.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    // OpenSSL itself serves such certificates only at security level 0.
    let weak = ["-cipher", "DEFAULT:@SECLEVEL=0"];
    for (name, fault) in [
        ("small", "weak key: rsa 1024"),
        ("sha1", "signed with SHA-1"),
        ("bare", "no subject alternative name"),
        ("soon", "expires in 19 days (within 30)"),
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let server = serve(place.path(), name, &[&weak[..], &[version]].concat());
            let seen = look(server.address, Start::Direct, None).unwrap();
            assert_eq!(seen.faults, [fault], "{version}");
        }
    }
    let server = serve(place.path(), "old", &weak);
    let seen = look(server.address, Start::Direct, None).unwrap();
    assert_eq!(seen.not_after.as_deref(), Some("2021-01-01T00:00:00Z"));
    assert!(seen.faults[0].starts_with("expired "), "{:?}", seen.faults);
}

/// A certificate whose time is over: `openssl req` cannot date one back, `openssl ca` can.
fn expired(directory: &Path) {
    certificate(directory, "ca", &RSA, &YEAR);
    let words = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=old.example.org"];
    let more = ["-keyout", "old.key", "-out", "old.csr"];
    run("openssl", &[&words[..], &more].concat(), directory);
    std::fs::write(directory.join("index.txt"), "").unwrap();
    std::fs::write(directory.join("serial"), "01\n").unwrap();
    std::fs::write(
        directory.join("ca.conf"),
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
         policy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nsubjectAltName=DNS:old.example.org\n",
    )
    .unwrap();
    let words =
        ["ca", "-batch", "-notext", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key"];
    let more = ["-in", "old.csr", "-out", "old.pem", "-startdate", "20200101000000Z"];
    run("openssl", &[&words[..], &more, &["-enddate", "20210101000000Z"]].concat(), directory);
}

#[test]
fn old_protocols_and_ciphers_are_reached_by_the_old_hello() {
    if !openssl() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    certificate(place.path(), "rsa", &RSA, &[&SAN[..], &YEAR].concat());
    let cases: [(&[&str], &str, &str, &[&str]); 4] = [
        (
            &["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"],
            "1.0",
            "TLS_RSA_WITH_AES_128_CBC_SHA",
            &["speaks TLS 1.0 and nothing newer"],
        ),
        (
            &["-tls1_1", "-cipher", "ECDHE-RSA-AES256-SHA:@SECLEVEL=0"],
            "1.1",
            "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
            &["speaks TLS 1.1 and nothing newer"],
        ),
        (&["-tls1_2", "-cipher", "AES128-SHA256"], "1.2", "TLS_RSA_WITH_AES_128_CBC_SHA256", &[]),
        (
            &["-tls1_2", "-cipher", "NULL-SHA256:@SECLEVEL=0"],
            "1.2",
            "TLS_RSA_WITH_NULL_SHA256",
            &["chose TLS_RSA_WITH_NULL_SHA256: no encryption"],
        ),
    ];
    for (words, version, cipher, faults) in cases {
        let server = serve(place.path(), "rsa", words);
        let seen = look(server.address, Start::Direct, Some("a.example.org")).unwrap();
        assert_eq!((seen.version.as_str(), seen.cipher.as_deref()), (version, Some(cipher)));
        assert_eq!(seen.faults, faults, "{words:?}");
        assert_eq!((seen.key.as_deref(), seen.chain), (Some("rsa 2048"), 1));
    }
    // A suite that neither hello offers.
    let server = serve(place.path(), "rsa", &["-tls1_2", "-cipher", "ECDHE-ARIA128-GCM-SHA256"]);
    let seen = look(server.address, Start::Direct, None);
    assert_eq!(seen, Err(TlsError::Alert(40)));
}

#[test]
fn a_wish_for_our_certificate_is_told() {
    if !openssl() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    certificate(place.path(), "rsa", &RSA, &[&SAN[..], &YEAR].concat());
    for (words, expected) in [
        (&["-tls1_2", "-verify", "1"][..], "requested"),
        (&["-tls1_3", "-verify", "1"], "requested"),
        (&["-tls1_2", "-Verify", "1"], "required"),
    ] {
        let server = serve(place.path(), "rsa", words);
        let seen = look(server.address, Start::Direct, None).unwrap();
        assert_eq!(seen.client_certificate.as_deref(), Some(expected), "{words:?}");
        assert_eq!((seen.key.as_deref(), seen.faults.len()), (Some("rsa 2048"), 0));
    }
}

/// Answers one connection after another with what `answer` makes of it.
fn fake(answer: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((private_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(8).flatten() {
            stream.set_read_timeout(Some(WITHIN)).unwrap();
            answer(stream);
        }
    });
    address
}

fn hear(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).unwrap_or(0);
    buffer[..count].to_vec()
}

#[test]
fn what_is_no_tls_is_told_as_what_it_is() {
    let http = fake(|mut stream| {
        hear(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    assert_eq!(look(http, Start::Direct, None), Err(TlsError::NotTls("HTTP")));
    let ssh = fake(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n");
        hear(&mut stream);
    });
    assert_eq!(look(ssh, Start::Direct, None), Err(TlsError::NotTls("SSH")));
    let mute = fake(|mut stream| while !hear(&mut stream).is_empty() {});
    let short = Duration::from_millis(300);
    let late = look_within(mute, Start::Direct, None, short);
    assert_eq!(late, Err(TlsError::Late(Stage::Handshake)));
    let late = look_within(mute, Start::Smtp, None, short);
    assert_eq!(late, Err(TlsError::Late(Stage::Talk)));
    let shut = fake(|mut stream| drop(hear(&mut stream)));
    assert_eq!(look(shut, Start::Direct, None), Err(TlsError::Closed(Stage::Handshake)));
    let alert = fake(|mut stream| {
        hear(&mut stream);
        let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 112]);
    });
    assert_eq!(look(alert, Start::Direct, None), Err(TlsError::Alert(112)));
    let broken = fake(|mut stream| {
        hear(&mut stream);
        let _ = stream.write_all(&[22, 3, 3, 0xff, 0xff]);
        hear(&mut stream);
    });
    assert!(matches!(look(broken, Start::Direct, None), Err(TlsError::Malformed(_))));
    let nobody = look(free(), Start::Direct, None);
    assert!(matches!(nobody, Err(TlsError::Connect(_))), "{nobody:?}");
}

/// Says the lines before TLS, then hands both directions on to the server behind it.
fn prologue(
    server: SocketAddr,
    turns: &'static [(&'static [u8], usize)],
    last: &'static [u8],
) -> SocketAddr {
    fake(move |mut stream| {
        for (says, hears) in turns {
            stream.write_all(says).unwrap();
            let mut heard = vec![0; *hears];
            stream.read_exact(&mut heard).unwrap();
        }
        stream.write_all(last).unwrap();
        let mut behind = TcpStream::connect(server).unwrap();
        let (mut back, mut forth) = (behind.try_clone().unwrap(), stream.try_clone().unwrap());
        let copied = std::thread::spawn(move || std::io::copy(&mut back, &mut forth));
        let _ = std::io::copy(&mut stream, &mut behind);
        let _ = behind.shutdown(std::net::Shutdown::Write);
        let _ = copied.join();
    })
}

/// A greeting of MySQL 8 that offers TLS.
const MYSQL: &[u8] = b"\x2b\0\0\0\x0a8.0.36\0\x01\0\0\0aaaaaaaa\0\xff\xff\x2d\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0bbbb";

#[test]
fn tls_begins_after_the_talk_of_each_protocol() {
    if !openssl() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    certificate(place.path(), "rsa", &RSA, &[&SAN[..], &YEAR].concat());
    let new = serve(place.path(), "rsa", &[]);
    let old = serve(place.path(), "rsa", &["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"]);
    type Turns = &'static [(&'static [u8], usize)];
    let talks: [(Start, Turns, &[u8]); 7] = [
        (
            Start::Smtp,
            &[(b"220 mx ESMTP\r\n", 16), (b"250-mx\r\n250-STARTTLS\r\n250 DSN\r\n", 10)],
            b"220 Ready\r\n",
        ),
        (Start::Imap, &[(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] x\r\n", 12)], b"a OK go\r\n"),
        (Start::Pop3, &[(b"+OK ready\r\n", 6)], b"+OK go\r\n"),
        (Start::Ftp, &[(b"220 (vsFTPd 3.0.3)\r\n", 10)], b"234 Proceed.\r\n"),
        (Start::Postgresql, &[(b"", 8)], b"S"),
        (Start::Mysql, &[(MYSQL, 36)], b""),
        (Start::Ldap, &[(b"", 31)], b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0\x04\0\x04\0"),
    ];
    for (start, turns, last) in talks {
        let seen = look(prologue(new.address, turns, last), start, None).unwrap();
        assert_eq!((seen.version.as_str(), seen.starttls.as_deref()), ("1.3", start.name()));
        assert_eq!(seen.key.as_deref(), Some("rsa 2048"));
        let seen = look(prologue(old.address, turns, last), start, None).unwrap();
        assert_eq!((seen.version.as_str(), seen.starttls.as_deref()), ("1.0", start.name()));
    }
}

#[test]
fn a_service_without_starttls_is_told_and_left_politely() {
    let (told, hears) = std::sync::mpsc::channel();
    let plain = fake(move |mut stream| {
        stream.write_all(b"220 mx\r\n").unwrap();
        hear(&mut stream);
        stream.write_all(b"250 mx\r\n").unwrap();
        told.send(hear(&mut stream)).unwrap();
    });
    let seen = look(plain, Start::Smtp, None);
    assert_eq!(seen, Err(TlsError::Talk(TalkError::NotOffered)));
    assert_eq!(hears.recv_timeout(WITHIN).unwrap(), b"QUIT\r\n");
}

/// Not a test of time: prints what a handshake takes beside a whole `openssl s_client`.
#[test]
#[ignore = "a measurement"]
fn figures_of_one_handshake() {
    let place = tempfile::tempdir().unwrap();
    certificate(place.path(), "rsa", &RSA, &[&SAN[..], &YEAR].concat());
    certificate(place.path(), "ec", &EC, &[&SAN[..], &YEAR].concat());
    for name in ["rsa", "ec"] {
        let server = serve(place.path(), name, &[]);
        let at = server.address.to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..41 {
            let since = Instant::now();
            runtime.block_on(tls::look(server.address, Start::Direct, None, WITHIN)).unwrap();
            ours.push(since.elapsed());
            let since = Instant::now();
            let words = ["s_client", "-connect", &at];
            let out = Command::new("openssl").args(words).stdin(Stdio::null()).output().unwrap();
            assert!(String::from_utf8_lossy(&out.stdout).contains("BEGIN CERTIFICATE"));
            theirs.push(since.elapsed());
        }
        ours.sort();
        theirs.sort();
        println!("{name}: look {:?}, openssl s_client {:?} (median of 41)", ours[20], theirs[20]);
    }
}
