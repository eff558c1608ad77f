//! Mail, through the system's own `sendmail`: it knows the way, its queue and its credentials. ([`super::smtp`]
//! does without it.)
//!
//! The recipients are arguments after `--`, never taken from the text; no line of the header holds anything
//! but plain characters, so that no title makes another header.

use std::time::Duration;

use super::command::run;
use super::{Failure, Kind, Note, Notifier};
use crate::settings::EmailSettings;

const PATIENCE: Duration = Duration::from_secs(20);
/// Longest subject in characters.
const SUBJECT_CHARS_MAX: usize = 150;

/// Some mailboxes.
pub struct Email {
    words: Vec<String>,
    from: Option<String>,
    to: Vec<String>,
}

impl Email {
    /// Who is written to.
    pub fn new(settings: &EmailSettings) -> Self {
        let mut words = vec![settings.sendmail.display().to_string(), "-i".into()];
        if let Some(from) = &settings.from {
            words.extend(["-f".into(), from.clone()]);
        }
        words.push("--".into());
        words.extend(settings.to.iter().cloned());
        Self { words, from: settings.from.clone(), to: settings.to.clone() }
    }
}

impl Notifier for Email {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        let message = message(note, self.from.as_deref(), &self.to);
        run(&self.words, message.as_bytes(), PATIENCE).map_err(Failure::Later)
    }
}

/// The message (RFC 5322), its body as UTF-8 in base64 lines of 76 characters.
pub fn message(note: &Note, from: Option<&str>, to: &[String]) -> String {
    let subject: String = format!("[wardmote] {} {}: {}", note.severity, note.host, note.title)
        .chars()
        .take(SUBJECT_CHARS_MAX)
        .collect();
    let date = jiff::Timestamp::from_second(note.time).unwrap_or_default();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S +0000");
    let text = match (note.kind, note.body["text"].as_str()) {
        (Kind::Summary, Some(text)) => format!("{}\n\n{text}", note.title),
        _ => format!(
            "{}\n\nseverity  {}\nhost      {}\nabout     {}\nnote      {}\n\n{:#}\n",
            note.title, note.severity, note.host, note.key, note.id, note.body
        ),
    };
    let mut out = String::new();
    if let Some(from) = from {
        out.push_str(&format!("From: {from}\n"));
    }
    out.push_str(&format!(
        "To: {}\nSubject: {}\nDate: {date}\nMessage-ID: <{}@{}>\nAuto-Submitted: auto-generated\n\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: base64\n\n",
        // A line is 998 characters at most (RFC 5322, section 2.1.1): one of each recipient where they are many.
        to.join(if to.iter().map(String::len).sum::<usize>() > 800 { ",\n " } else { ", " }),
        words(&subject),
        note.id,
        note.host
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
            .collect::<String>(),
    ));
    for line in base64(text.as_bytes()).as_bytes().chunks(76) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out
}

/// A header's text: as it is when plain, else as encoded words (RFC 2047), each below 75 characters.
fn words(text: &str) -> String {
    if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return text.into();
    }
    let mut words = Vec::new();
    let mut part = String::new();
    for c in text.chars() {
        if part.len() + c.len_utf8() > 42 {
            words.push(std::mem::take(&mut part));
        }
        part.push(c);
    }
    words.push(part);
    let encoded: Vec<String> =
        words.iter().map(|part| format!("=?utf-8?B?{}?=", base64(part.as_bytes()))).collect();
    encoded.join("\n ")
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
