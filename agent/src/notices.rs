//! What the service says about itself in the system journal: one line, a number that names the kind of
//! event for ever (`MESSAGE_ID`, sd-id128(3)), and fields to search by.
//!
//! `journalctl -x` explains each kind from the catalog (`systemd/catalog/wardmote.catalog`), and
//! `journalctl WARDMOTE_CASE=7` finds what belongs together. Where stderr is not the journal's the line goes
//! there and the rest is left out; a journal that does not take it at once gets the line by stderr too. Nobody
//! waits for a journal, and none of this is a record: that is [`crate::journal`].

use std::path::Path;
use std::time::Duration;

use consensus::Severity;

use crate::notify::{journald, syslog};

/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 1_000;
/// How long the journal may take; stderr comes next.
const PATIENCE: Duration = Duration::from_millis(100);

/// A kind of event that is worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A case began.
    CaseNew,
    /// A case is worse than what was told.
    CaseRisen,
    /// Somebody has come a tactic further.
    CaseFurther,
    /// Notifications had to make room.
    NotesLost,
    /// How the day was.
    Summary,
    /// An alert was opened.
    AlertNew,
    /// An alert is worse than what was told.
    AlertRisen,
    /// The service watches.
    Started,
    /// It ends.
    Stopped,
    /// The configuration was read again.
    Reloaded,
    /// The new configuration does not hold.
    ReloadRefused,
    /// Something keeps the service from its work.
    Trouble,
    /// That is over.
    TroubleOver,
    /// A response waits for an operator.
    ResponseWaiting,
    /// A response is in effect.
    ResponseDone,
    /// A response was taken back.
    ResponseReverted,
    /// A response did not work.
    ResponseFailed,
    /// The process that reads hostile text has more rights than it should.
    SandboxIncomplete,
}

impl Notice {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Self; 18] = [
        Self::CaseNew,
        Self::CaseRisen,
        Self::CaseFurther,
        Self::NotesLost,
        Self::Summary,
        Self::AlertNew,
        Self::AlertRisen,
        Self::Started,
        Self::Stopped,
        Self::Reloaded,
        Self::ReloadRefused,
        Self::Trouble,
        Self::TroubleOver,
        Self::ResponseWaiting,
        Self::ResponseDone,
        Self::ResponseReverted,
        Self::ResponseFailed,
        Self::SandboxIncomplete,
    ];

    /// Its number: the same everywhere and for ever.
    pub fn id(self) -> &'static str {
        match self {
            Self::CaseNew => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e01",
            Self::CaseRisen => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e02",
            Self::CaseFurther => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e03",
            Self::NotesLost => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e04",
            Self::Summary => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e07",
            Self::AlertNew => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e05",
            Self::AlertRisen => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e06",
            Self::Started => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e10",
            Self::Stopped => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e11",
            Self::Reloaded => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e12",
            Self::ReloadRefused => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e13",
            Self::Trouble => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e14",
            Self::TroubleOver => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e15",
            Self::ResponseWaiting => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e20",
            Self::ResponseDone => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e21",
            Self::ResponseReverted => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e22",
            Self::ResponseFailed => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e23",
            Self::SandboxIncomplete => "6f3b1d0e1f0a4b8d9d0a6a0c5b7c1e30",
        }
    }

    /// How bad it is where nobody says (syslog(3)).
    fn priority(self) -> u8 {
        match self {
            Self::Trouble | Self::ReloadRefused => 3,
            Self::ResponseFailed | Self::NotesLost | Self::SandboxIncomplete => 4,
            Self::ResponseWaiting | Self::ResponseDone | Self::ResponseReverted => 5,
            _ => 6,
        }
    }
}

/// Says it: `line` without the name of the program, `fields` by names that begin with `WARDMOTE_`.
pub fn tell(notice: Notice, severity: Option<Severity>, fields: &[(&str, &str)], line: &str) {
    let line: String = line.chars().take(LINE_CHARS_MAX).collect();
    if !is_journal() {
        return say!("wardmote: {line}");
    }
    let entry = entry(notice, severity, fields, &line);
    let sent = journald::send(Path::new(journald::SOCKET), &entry, PATIENCE);
    if sent.is_err() {
        say!("wardmote: {line}");
    }
}

fn entry(
    notice: Notice,
    severity: Option<Severity>,
    fields: &[(&str, &str)],
    line: &str,
) -> Vec<u8> {
    let level = severity.map_or(notice.priority(), syslog::level).to_string();
    let word = severity.map(|severity| severity.to_string());
    let mut all = vec![
        ("MESSAGE", line),
        ("MESSAGE_ID", notice.id()),
        ("PRIORITY", &level),
        ("SYSLOG_IDENTIFIER", "wardmote"),
    ];
    all.extend(word.as_deref().map(|word| ("WARDMOTE_SEVERITY", word)));
    all.extend_from_slice(fields);
    journald::encode(&all)
}

/// Whether stderr goes to the journal: then `JOURNAL_STREAM` names its device and inode (systemd.exec(5)).
fn is_journal() -> bool {
    let Ok(told) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|stderr| told == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `journalctl -x` shows the catalog's text of a number; one without a text, or a text that nothing
    /// leads to, helps nobody.
    #[test]
    fn every_kind_of_event_is_in_the_catalog_and_nothing_else_is() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/catalog/wardmote.catalog");
        let catalog = std::fs::read_to_string(path).unwrap();
        let listed: Vec<&str> =
            catalog.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
        let known: BTreeSet<&str> = Notice::ALL.iter().map(|notice| notice.id()).collect();
        assert_eq!(known.len(), Notice::ALL.len(), "no two share a number");
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), known);
        assert_eq!(listed.len(), known.len(), "each text once");
        for text in catalog.split("-- ").skip(1) {
            let (head, body) = text.split_once("\n\n").unwrap();
            assert!(head.contains("Subject: ") && head.contains("Defined-By: wardmote"), "{text}");
            assert!(!body.trim().is_empty(), "{text}");
            // A field that a text shows is one that is sent.
            for field in body.split('@').skip(1).step_by(2) {
                assert!(field == "MESSAGE" || field.starts_with("WARDMOTE_"), "{field}");
            }
        }
    }

    #[test]
    fn an_entry_says_how_bad_it_is_and_its_fields_cannot_make_others() {
        let fields = [("WARDMOTE_CASE", "7\nPRIORITY=0")];
        let text = |severity| {
            let bytes = entry(Notice::CaseNew, severity, &fields, "one line");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let grave = text(Some(Severity::High));
        assert!(grave.contains("PRIORITY\n\u{1}\0\0\0\0\0\0\u{0}3\n"), "{grave:?}");
        assert!(grave.contains("WARDMOTE_SEVERITY\n\u{4}\0\0\0\0\0\0\0high\n"), "{grave:?}");
        // With its length before it, a line end in a value is only that.
        assert!(
            grave.contains("WARDMOTE_CASE\n\u{c}\0\0\0\0\0\0\u{0}7\nPRIORITY=0\n"),
            "{grave:?}"
        );
        assert!(!text(None).contains("WARDMOTE_SEVERITY"));
    }
}
