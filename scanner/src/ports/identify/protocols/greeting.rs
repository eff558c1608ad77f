//! Services that speak first: their first line or packet tells what they are.
//!
//! SSH (RFC 4253, 4.2), SMTP (RFC 5321, 4.2), FTP (RFC 959), IMAP (RFC 9051, 7.1), POP3 (RFC 1939),
//! MySQL, NATS, VNC, rsync and a few more. The form of the greeting decides, never the port; the
//! protocol that was expected only tells SMTP from FTP where both are possible.

use super::{Answer, Flow, Step, http, mysql, nats};
use crate::ports::identify::plan::Protocol;

/// Most lines of a greeting that are looked at.
const LINES_MAX: usize = 100;

/// Reads one form of greeting.
type Reader = fn(&[u8], Flow, Protocol) -> Step;

/// Reads what a service sent before it was asked anything.
pub fn answer(bytes: &[u8], flow: Flow, expected: Protocol) -> Step {
    if bytes.is_empty() {
        return if flow == Flow::Over { Step::Foreign } else { Step::More };
    }
    let readers: [Reader; 5] = [
        |bytes, flow, _| ssh(bytes, flow),
        numbered,
        |bytes, flow, _| mailbox(bytes, flow),
        |bytes, _, _| mysql::answer(bytes),
        |bytes, flow, _| nats::answer(bytes, flow),
    ];
    let mut more = false;
    for reader in readers {
        match reader(bytes, flow, expected) {
            Step::Foreign => {}
            Step::More => more = true,
            done => return done,
        }
    }
    if bytes.starts_with(b"HTTP/1.") {
        return http::answer(bytes, flow, "http", &[]);
    }
    if more && flow == Flow::Open {
        return Step::More;
    }
    other(bytes, flow)
}

/// The identification line, perhaps behind others.
fn ssh(bytes: &[u8], flow: Flow) -> Step {
    if is_begin_of(bytes, b"SSH-") {
        return ended(flow);
    }
    for line in lines(bytes) {
        if let Some(rest) = line.text.strip_prefix(b"SSH-") {
            if !line.whole && flow == Flow::Open {
                return Step::More;
            }
            let Some(dash) = memchr::memchr(b'-', rest) else { return Step::Foreign };
            let mut answer = Answer::new("ssh", "ssh.banner", &rest[dash + 1..]);
            answer.banner = text(line.text);
            return Step::Done(answer);
        }
    }
    Step::Foreign
}

/// `220 …` of SMTP and FTP, and the codes with which they refuse.
fn numbered(bytes: &[u8], flow: Flow, expected: Protocol) -> Step {
    const CODES: [&[u8; 3]; 5] = [b"220", b"421", b"530", b"554", b"120"];
    let code = &bytes[..bytes.len().min(3)];
    if !CODES.iter().any(|known| is_begin_of(code, *known) || code == *known) {
        return Step::Foreign;
    }
    if bytes.len() < 4 {
        return ended(flow);
    }
    if !matches!(bytes[3], b' ' | b'-') {
        return Step::Foreign;
    }
    // The last line has a blank behind the code.
    let is_last =
        |line: &Line| line.whole && line.text.starts_with(code) && line.text.get(3) == Some(&b' ');
    if !lines(bytes).any(|line| is_last(&line)) && flow == Flow::Open {
        return Step::More;
    }
    let greeting: Vec<&[u8]> = lines(bytes)
        .filter(|line| line.text.starts_with(code))
        .map(|line| line.text.get(4..).unwrap_or_default())
        .collect();
    let whole = greeting.iter().map(|line| text(line)).collect::<Vec<_>>().join(" ");
    let (mail, files) = (("smtp", "smtp.banner"), ("ftp", "ftp.banner"));
    let kinds = match (expected, says(&whole, "SMTP") || says(&whole, "LMTP"), says(&whole, "FTP"))
    {
        (_, true, false) | (Protocol::Smtp, _, _) => [mail, files],
        (_, false, true) | (Protocol::Ftp, _, _) => [files, mail],
        // Nothing tells them apart: neither is claimed.
        _ => [("greeting", "smtp.banner"), ("greeting", "ftp.banner")],
    };
    // A line that names the product is not always the first one.
    let texts = kinds[..if kinds[0].0 == "greeting" { 2 } else { 1 }]
        .iter()
        .flat_map(|(_, kind)| greeting.iter().map(|line| (*kind, line.to_vec())))
        .collect();
    let service = kinds[0].0;
    Step::Done(Answer { service, texts, banner: whole, goodbye: b"QUIT\r\n", ..Answer::default() })
}

/// IMAP and POP3.
fn mailbox(bytes: &[u8], flow: Flow) -> Step {
    let forms: [(&[u8], &str, &str, &[u8]); 5] = [
        (b"* OK", "imap", "imap4.banner", b"a LOGOUT\r\n"),
        (b"* PREAUTH", "imap", "imap4.banner", b"a LOGOUT\r\n"),
        (b"* BYE", "imap", "imap4.banner", b""),
        (b"+OK", "pop3", "pop3.banner", b"QUIT\r\n"),
        (b"-ERR", "pop3", "pop3.banner", b"QUIT\r\n"),
    ];
    for (form, service, kind, goodbye) in forms {
        if is_begin_of(bytes, form) {
            return ended(flow);
        }
        let Some(line) = lines(bytes).next().filter(|line| line.text.starts_with(form)) else {
            continue;
        };
        if !line.whole && flow == Flow::Open {
            return Step::More;
        }
        let said = line.text[form.len()..].trim_ascii_start();
        let mut answer = Answer::new(service, kind, said).with_goodbye(goodbye);
        answer.without_tls = said.starts_with(b"[CAPABILITY ") && !says(&answer.banner, "STARTTLS");
        return Step::Done(answer);
    }
    Step::Foreign
}

/// What has no form of its own here: shown, and named where a fingerprint knows it.
fn other(bytes: &[u8], flow: Flow) -> Step {
    let named: [(&[u8], &str); 6] = [
        (b"RFB ", "vnc"),
        (b"@RSYNCD:", "rsync"),
        (b"( success (", "svn"),
        (b"200 ", "nntp"),
        (b"201 ", "nntp"),
        (b"\xff\xfd", "telnet"),
    ];
    if flow == Flow::Open && memchr::memchr(b'\n', bytes).is_none() && !bytes.starts_with(b"\xff") {
        return Step::More;
    }
    let service = named.iter().find(|(form, _)| bytes.starts_with(form)).map(|(_, name)| *name);
    let first = lines(bytes).next().map(|line| line.text).unwrap_or_default();
    let mut answer = Answer::new(service.unwrap_or("greeting"), "greeting", first);
    if service == Some("telnet") {
        // What follows the negotiation of options.
        answer.banner = text(bytes.split(|byte| *byte == 0xff).next_back().unwrap_or_default());
    }
    Step::Done(answer)
}

struct Line<'b> {
    text: &'b [u8],
    whole: bool,
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(LINES_MAX)
        .map(|line| Line { text: line.trim_ascii_end(), whole: line.ends_with(b"\n") })
}

/// Whether so little has come that it may still become `form`.
fn is_begin_of(bytes: &[u8], form: &[u8]) -> bool {
    bytes.len() < form.len() && form.starts_with(bytes)
}

fn ended(flow: Flow) -> Step {
    if flow == Flow::Over { Step::Foreign } else { Step::More }
}

fn says(text: &str, word: &str) -> bool {
    text.to_ascii_uppercase().contains(word)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], expected: Protocol) -> (Step, Step) {
        (answer(bytes, Flow::Open, expected), answer(bytes, Flow::Over, expected))
    }

    fn done(bytes: &[u8]) -> Answer {
        match answer(bytes, Flow::Open, Protocol::Greeting) {
            Step::Done(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn first(answer: &Answer) -> (&'static str, &'static str, String) {
        let (kind, said) = &answer.texts[0];
        (answer.service, kind, text(said))
    }

    #[test]
    fn the_form_of_a_greeting_tells_the_protocol() {
        for (bytes, service, kind, said) in [
            (
                &b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"[..],
                "ssh",
                "ssh.banner",
                "OpenSSH_9.2p1 Debian-2",
            ),
            (b"go away\r\nSSH-1.99-x-y\n", "ssh", "ssh.banner", "x-y"),
            (b"220 mx ESMTP Postfix\r\n", "smtp", "smtp.banner", "mx ESMTP Postfix"),
            (
                b"220-mx ESMTP Exim 4.96\r\n220-no\r\n220 spam\r\n",
                "smtp",
                "smtp.banner",
                "mx ESMTP Exim 4.96",
            ),
            (b"220 (vsFTPd 3.0.3)\r\n", "ftp", "ftp.banner", "(vsFTPd 3.0.3)"),
            (
                b"220--- Welcome to Pure-FTPd ---\r\n220 x\r\n",
                "ftp",
                "ftp.banner",
                "-- Welcome to Pure-FTPd ---",
            ),
            (
                b"* OK [CAPABILITY X] Dovecot ready.\r\n",
                "imap",
                "imap4.banner",
                "[CAPABILITY X] Dovecot ready.",
            ),
            (b"+OK Dovecot ready.\r\n", "pop3", "pop3.banner", "Dovecot ready."),
            (b"RFB 003.008\n", "vnc", "greeting", "RFB 003.008"),
            (b"@RSYNCD: 31.0\n", "rsync", "greeting", "@RSYNCD: 31.0"),
            (b"hello\n", "greeting", "greeting", "hello"),
        ] {
            assert_eq!(first(&done(bytes)), (service, kind, said.to_string()));
        }
        assert_eq!(done(b"220 x SMTP\r\n").goodbye, b"QUIT\r\n");
        assert!(done(b"* OK [CAPABILITY IMAP4rev1 ID] ready\r\n").without_tls);
        assert!(!done(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n").without_tls);
        assert!(!done(b"* OK ready\r\n").without_tls, "it did not say");
        assert_eq!(done(b"\xff\xfd\x18login: ").service, "telnet");
        assert_eq!(
            done(b"HTTP/1.1 400 Bad\r\nServer: x\r\nContent-Length: 0\r\n\r\n").service,
            "http"
        );
    }

    #[test]
    fn what_may_still_grow_is_waited_for() {
        for begin in [
            "S",
            "SSH-2.0-Op",
            "22",
            "220",
            "220 mx",
            "220-mx\r\n",
            "220-a\r\n220 b",
            "* O",
            "* OK Dov",
            "+",
            "+OK",
            "x",
            "INFO {",
        ] {
            let (open, over) = read(begin.as_bytes(), Protocol::Greeting);
            assert_eq!(open, Step::More, "{begin}");
            assert_ne!(over, Step::More, "{begin}");
        }
        assert_eq!(read(b"", Protocol::Ssh), (Step::More, Step::Foreign));
    }

    #[test]
    fn what_both_mail_and_files_could_say_is_told_by_what_was_expected() {
        let bytes = b"220 welcome\r\n";
        for (expected, service) in
            [(Protocol::Smtp, "smtp"), (Protocol::Ftp, "ftp"), (Protocol::Http, "greeting")]
        {
            let (Step::Done(answer), _) = read(bytes, expected) else { panic!() };
            assert_eq!(answer.service, service);
        }
    }

    #[test]
    fn any_begin_of_a_greeting_is_read_without_panic() {
        for whole in [
            &b"220-a\r\n220 b\r\n"[..],
            b"* OK x\r\n",
            b"SSH-2.0-x\r\n",
            b"\xff\xfb\x01\xff",
            b"* BYE\n",
            b"SSH-\n",
        ] {
            for end in 0..=whole.len() {
                let _ = read(&whole[..end], Protocol::Greeting);
            }
        }
    }
}
