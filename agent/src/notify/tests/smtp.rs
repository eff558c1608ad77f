//! SMTP: against a server of the test's own that says what it is told to, and against Postfix' smtp-sink.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use super::super::smtp::{Smtp, content};
use super::super::*;
use super::{certificate, note};
use crate::settings::{EmailSettings, SmtpSecurity, SmtpSettings};

const PASSWORD: &str = "pa55 wörd";

/// What a server does.
#[derive(Clone)]
struct Script {
    /// Offers after EHLO, before and after STARTTLS.
    offers: [&'static [&'static str]; 2],
    /// Answers to the starts of lines; the first that fits is used up, unless it is the last for its start.
    answers: Vec<(&'static str, &'static str)>,
    tls: Option<Arc<rustls::ServerConfig>>,
    /// Said with the answer to STARTTLS, before TLS.
    smuggled: &'static str,
}

impl Script {
    fn plain(answers: &[(&'static str, &'static str)]) -> Self {
        Self { offers: [&[], &[]], answers: answers.to_vec(), tls: None, smuggled: "" }
    }

    fn answer(&mut self, line: &str) -> Option<&'static str> {
        let at = self.answers.iter().position(|(start, _)| line.starts_with(start))?;
        let (start, answer) = self.answers[at];
        let more = self.answers[at + 1..]
            .iter()
            .any(|(other, _)| line.starts_with(other) && *other == start);
        if more {
            self.answers.remove(at);
        }
        Some(answer)
    }
}

/// What the server heard, over all connections.
type Heard = Arc<Mutex<Vec<String>>>;

fn server(script: Script) -> (u16, Heard) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let all = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut script = script;
        for stream in listener.incoming() {
            converse(stream.unwrap(), &mut script, &all);
        }
    });
    (port, heard)
}

fn converse(mut stream: TcpStream, script: &mut Script, heard: &Heard) {
    let _ = stream.write_all(b"220 mail.test ESMTP\r\n");
    let begun =
        session(&mut BufReader::new(stream.try_clone().unwrap()), &mut stream, script, 0, heard);
    if begun {
        let config = Arc::clone(script.tls.as_ref().unwrap());
        let server = rustls::ServerConnection::new(config).unwrap();
        let mut tls = BufReader::new(rustls::StreamOwned::new(server, stream));
        session_over(&mut tls, script, heard);
    }
}

/// One side of the talk; whether TLS is to begin.
fn session(
    lines: &mut impl BufRead,
    out: &mut impl Write,
    script: &mut Script,
    phase: usize,
    heard: &Heard,
) -> bool {
    let mut line = String::new();
    let mut in_data = false;
    while matches!(lines.read_line(&mut line), Ok(1..)) {
        let said = line.trim_end_matches("\r\n").to_string();
        assert!(line.ends_with("\r\n"), "{line:?}");
        line.clear();
        heard.lock().unwrap().push(said.clone());
        if in_data && said != "." {
            continue;
        }
        let answer = match () {
            () if in_data => script.answer(".").unwrap_or("250 queued").to_string(),
            () if said.starts_with("EHLO") => {
                let offers = script.offers[phase].iter().map(|offer| format!("250-{offer}\r\n"));
                format!("250-mail.test\r\n{}250 SIZE 100000", offers.collect::<String>())
            }
            () if said == "STARTTLS" => {
                let _ = out.write_all(format!("220 go\r\n{}", script.smuggled).as_bytes());
                let _ = out.flush();
                return true;
            }
            () => {
                let usual = if said == "DATA" { "354 go" } else { "250 ok" };
                script.answer(&said).unwrap_or(usual).to_string()
            }
        };
        in_data = answer.starts_with("354");
        let _ = out.write_all(format!("{answer}\r\n").as_bytes());
        let _ = out.flush();
        if said == "QUIT" {
            return false;
        }
    }
    false
}

fn session_over(
    tls: &mut BufReader<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>,
    script: &mut Script,
    heard: &Heard,
) {
    // One stream is both ways: a line is read, then answered.
    loop {
        let mut line = String::new();
        if !matches!(tls.read_line(&mut line), Ok(1..)) {
            return;
        }
        let mut out = Vec::new();
        let mut one = BufReader::new(line.as_bytes());
        if line.starts_with("DATA") {
            heard.lock().unwrap().push("DATA".into());
            let _ = tls.get_mut().write_all(b"354 go\r\n");
            let mut text = String::new();
            while !text.ends_with("\r\n.\r\n") && matches!(tls.read_line(&mut text), Ok(1..)) {}
            out.extend_from_slice(b"250 queued\r\n");
        } else {
            session(&mut one, &mut out, script, 1, heard);
        }
        if tls.get_mut().write_all(&out).is_err() {
            return;
        }
    }
}

fn smtp(port: u16, security: SmtpSecurity, to: &[&str]) -> (EmailSettings, SmtpSettings) {
    let settings = SmtpSettings {
        host: "localhost".into(),
        port,
        security,
        user: None,
        password_file: None,
        ca_file: None,
    };
    let email = EmailSettings {
        to: to.iter().map(|to| (*to).to_string()).collect(),
        from: Some("wardmote@host7.example".into()),
        sendmail: "/usr/sbin/sendmail".into(),
        smtp: None,
    };
    (email, settings)
}

fn plain(port: u16, to: &[&str]) -> Smtp {
    let (email, settings) = smtp(port, SmtpSecurity::None, to);
    Smtp::new(&email, &settings).unwrap().within(Duration::from_secs(5))
}

fn commands(heard: &Heard) -> Vec<String> {
    let heard = heard.lock().unwrap();
    let words = ["EHLO", "MAIL", "RCPT", "DATA", "QUIT", "STARTTLS", "AUTH", "."];
    heard.iter().filter(|line| words.iter().any(|word| line.starts_with(word))).cloned().collect()
}

#[test]
fn a_message_is_handed_over_as_it_is_and_no_title_makes_another_command_or_header() {
    let (port, heard) = server(Script::plain(&[]));
    let hostile = Note {
        title: "x\r\nBcc: all@example.org\r\n.\r\nQUIT".into(),
        host: "h\r\nRSET".into(),
        key: ".".into(),
        ..note("a", Severity::High)
    };
    plain(port, &["root@example.org", "ops@example.org"]).send(&hostile).unwrap();
    // Nobody waits for what becomes of the last word.
    let until = Instant::now() + Duration::from_secs(5);
    while commands(&heard).last().is_none_or(|last| last != "QUIT") && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = commands(&heard);
    let wanted = [
        "MAIL FROM:<wardmote@host7.example>",
        "RCPT TO:<root@example.org>",
        "RCPT TO:<ops@example.org>",
        "DATA",
        ".",
        "QUIT",
    ];
    assert!(said[0].starts_with("EHLO "), "{said:?}");
    assert_eq!(said[1..], wanted);
    let heard = heard.lock().unwrap();
    let header: Vec<&String> = heard.iter().take_while(|line| !line.is_empty()).collect();
    assert!(!header.iter().any(|line| line.starts_with("Bcc") || *line == "RSET"), "{header:?}");
    assert!(
        heard.iter().all(|line| line.len() <= 998),
        "no line is longer than RFC 5322 lets it be"
    );
}

#[test]
fn lines_that_begin_with_a_dot_are_doubled_and_the_last_one_ends() {
    assert_eq!(content("a\n.\n..b\nc\r\n"), "a\r\n..\r\n...b\r\nc\r\n.\r\n");
}

#[test]
fn who_is_refused_for_good_keeps_nobody_from_it_and_who_is_refused_for_now_gets_it_once() {
    let (port, heard) = server(Script::plain(&[
        ("RCPT TO:<gone", "550 5.1.1 no such user"),
        ("RCPT TO:<grey", "450 4.2.0 try again"),
        ("RCPT TO:<grey", "250 ok"),
    ]));
    let mut way = plain(port, &["gone@example.org", "root@example.org", "grey@example.org"]);
    let first = way.send(&note("a", Severity::High));
    let Err(Failure::Later(why)) = first else { panic!("{first:?}") };
    assert!(why.contains("grey@example.org: 450 4.2.0 try again"), "{why}");
    assert_eq!(way.send(&note("a", Severity::High)), Ok(()));
    let rcpt: Vec<String> =
        commands(&heard).into_iter().filter(|line| line.starts_with("RCPT")).collect();
    assert_eq!(rcpt.len(), 4, "{rcpt:?}");
    assert_eq!(rcpt[3], "RCPT TO:<grey@example.org>", "the others are done");
    assert_eq!(way.send(&note("b", Severity::High)), Ok(()), "another note begins anew");
}

#[test]
fn what_is_refused_for_good_is_given_up_and_what_may_pass_is_kept() {
    let never = |answers: &[(&'static str, &'static str)]| {
        let (port, _) = server(Script::plain(answers));
        plain(port, &["root@example.org"]).send(&note("a", Severity::High))
    };
    for (start, answer) in [("RCPT", "550 no"), (".", "554 spam"), ("MAIL", "552 too much")] {
        let sent = never(&[(start, answer)]);
        assert!(matches!(&sent, Err(Failure::Never(why)) if why.contains(answer)), "{sent:?}");
    }
    for (start, answer) in [
        ("RCPT", "451 later"),
        (".", "452 full"),
        ("DATA", "451 later"),
        ("MAIL", "530 authenticate first"),
        ("MAIL", "421 closing"),
        ("DATA", "nonsense"),
    ] {
        let sent = never(&[(start, answer)]);
        assert!(matches!(&sent, Err(Failure::Later(_))), "{start}: {sent:?}");
    }
    let closed = plain(1, &["root@example.org"]).send(&note("a", Severity::High));
    assert!(matches!(closed, Err(Failure::Later(_))));
}

#[test]
fn one_who_is_never_ready_is_given_up_once_the_others_have_it() {
    let (port, heard) = server(Script::plain(&[("RCPT TO:<full", "452 mailbox full")]));
    let mut way = plain(port, &["root@example.org", "full@example.org"]);
    let mut later = 0;
    while let Err(Failure::Later(_)) = way.send(&note("a", Severity::High)) {
        later += 1;
        assert!(later < 50);
    }
    assert_eq!(later, 8);
    let data = commands(&heard).iter().filter(|line| *line == "DATA").count();
    assert_eq!(data, 1, "the other one got it once");
}

#[test]
fn a_server_that_drips_or_never_ends_a_reply_ends_in_time() {
    for endless in ["250-x\r\n".repeat(10_000), "2".repeat(1_000_000)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let _ = stream.write_all(endless.as_bytes());
        });
        let sent = plain(port, &["root@example.org"]).send(&note("a", Severity::High));
        assert!(matches!(sent, Err(Failure::Later(_))), "{sent:?}");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        for _ in 0..300 {
            let _ = stream.write_all(b"2");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let started = Instant::now();
    let way = plain(port, &["root@example.org"]).within(Duration::from_millis(300));
    let sent = { way }.send(&note("a", Severity::High));
    assert!(matches!(sent, Err(Failure::Later(_))), "{sent:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn servers_that_say_anything_at_all_make_nothing_panic() {
    const TALKS: u64 = 400;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |most: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % most).unwrap()
        };
        let words: [&[u8]; 10] = [
            b"220 ",
            b"250 ",
            b"250-",
            b"354 ",
            b"\r\n",
            b"\n",
            b"STARTTLS",
            b"5",
            b"\xff\xc3",
            b"25\xc3\xa9 ",
        ];
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut said = if random(2) == 0 { Vec::new() } else { b"220 x\r\n250 y\r\n".to_vec() };
            (0..random(40)).for_each(|_| said.extend_from_slice(words[random(10)]));
            let _ = stream.write_all(&said);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    let mut way = plain(port, &["root@example.org", "ops@example.org"]);
    let delivered = (0..TALKS).filter(|_| way.send(&note("a", Severity::High)).is_ok()).count();
    assert!(delivered < 40, "junk is no delivery: {delivered}");
}

#[test]
fn passwords_go_over_tls_alone_and_nothing_is_believed_that_was_said_before() {
    let dir = tempfile::tempdir().unwrap();
    let Some(config) = certificate(dir.path()) else { return };
    let secret = dir.path().join("secret");
    std::fs::write(&secret, format!("{PASSWORD}\n")).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let way = |port, ca_file| {
        let (email, mut settings) = smtp(port, SmtpSecurity::Starttls, &["root@example.org"]);
        settings.user = Some("wardmote".into());
        settings.password_file = Some(secret.clone().into());
        settings.ca_file = ca_file;
        Smtp::new(&email, &settings).unwrap().within(Duration::from_secs(5))
    };
    let ca_file = || Some(dir.path().join("cert.pem"));
    let script = |before: &'static [&'static str], after, smuggled| Script {
        offers: [before, after],
        answers: vec![
            ("AUTH PLAIN", "235 ok"),
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            ("d2FyZG1vdGU=", "334 UGFzc3dvcmQ6"),
            ("cGE1", "235 ok"),
        ],
        tls: Some(Arc::clone(&config)),
        smuggled,
    };
    let one = note("a", Severity::High);
    for (ways, sign) in
        [(&["AUTH LOGIN PLAIN"][..], "AUTH PLAIN "), (&["AUTH LOGIN"], "AUTH LOGIN")]
    {
        let (port, heard) = server(script(&["STARTTLS", "AUTH PLAIN"], ways, ""));
        assert_eq!(way(port, ca_file()).send(&one), Ok(()));
        let said = commands(&heard);
        let [tls, auth] = ["STARTTLS", sign]
            .map(|start| said.iter().position(|line| line.starts_with(start)).unwrap());
        assert!(tls < auth, "{said:?}");
    }
    let asked = [
        (script(&["AUTH PLAIN"], &[], ""), "no STARTTLS"),
        (script(&["STARTTLS"], &["AUTH PLAIN"], "250 evil\r\n"), "before TLS"),
        (script(&["STARTTLS"], &["AUTH CRAM-MD5"], ""), "neither AUTH PLAIN nor LOGIN"),
    ];
    for (script, why) in asked {
        let (port, heard) = server(script);
        let sent = way(port, ca_file()).send(&one);
        assert!(matches!(&sent, Err(Failure::Later(said)) if said.contains(why)), "{sent:?}");
        assert!(!commands(&heard).iter().any(|line| line.starts_with("AUTH")), "{why}");
    }
    let (port, heard) = server(script(&["STARTTLS"], &["AUTH PLAIN"], ""));
    let stranger = Path::new("/etc/ssl/certs/ca-certificates.crt");
    if stranger.exists() {
        let sent = way(port, None).send(&one);
        assert!(matches!(sent, Err(Failure::Later(_))), "nobody vouches for it: {sent:?}");
        assert!(!commands(&heard).iter().any(|line| line.starts_with("AUTH")));
    }
}

/// Postfix' own test server, where it is installed.
#[test]
fn postfix_takes_it() {
    let sink = ["/usr/sbin/smtp-sink", "/usr/bin/smtp-sink"].map(Path::new);
    let Some(sink) = sink.into_iter().find(|path| path.exists()) else {
        assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "smtp-sink is required");
        println!("SKIPPED: no smtp-sink");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut server = std::process::Command::new(sink)
        .args(["-u", "nobody", "-d", "%M."])
        .arg(format!("inet:127.0.0.1:{port}"))
        .arg("10")
        .current_dir(dir.path())
        .spawn()
        .unwrap();
    let mut way = plain(port, &["root@example.org"]);
    let until = Instant::now() + Duration::from_secs(10);
    let mut sent = way.send(&note("a", Severity::High));
    while sent.is_err() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
        sent = way.send(&note("a", Severity::High));
    }
    let _ = server.kill();
    let _ = server.wait();
    assert_eq!(sent, Ok(()));
    let message = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let message = std::fs::read_to_string(message).unwrap();
    assert!(message.contains("X-Rcpt-Args: <root@example.org>"), "{message}");
    assert!(message.contains("Subject: [wardmote] high host7: a"), "{message}");
}
