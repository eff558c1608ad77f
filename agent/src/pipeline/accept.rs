//! Findings that the operator has accepted: a reviewed file with a reason and an end date.
//!
//! One entry a line, YAML flow mappings in a list, so that a diff shows one decision a line:
//!
//! ```yaml
//! - {fingerprint: "3fa9c1d25b07", reason: "lab network, ticket 4711", until: "2027-01-31", check: "ssh-x11"}
//! ```
//!
//! An accepted finding is silent in the text report, still counted, and back the day after `until`. A
//! file that others may write is refused: whoever can write it can silence the report.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::hinted;
use crate::settings::{bounded, is_missing};

/// Most bytes of an accept file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// One accepted finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The finding's fingerprint.
    pub fingerprint: String,
    /// Why it is acceptable.
    pub reason: String,
    /// Last day on which it is, `YYYY-MM-DD` (UTC); for ever where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The check, for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Who accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
}

impl Accepted {
    /// Whether it still holds at `now` (seconds since the epoch, UTC days).
    pub fn holds(&self, now: i64) -> bool {
        let Some(until) = &self.until else { return true };
        let Ok(until) = until.parse::<Date>() else { return false };
        jiff::Timestamp::from_second(now)
            .is_ok_and(|now| now.to_zoned(jiff::tz::TimeZone::UTC).date() <= until)
    }
}

/// Reads an accept file; `must_exist` where the operator named it.
pub fn read(file: &Path, must_exist: bool) -> anyhow::Result<Vec<Accepted>> {
    if !must_exist && is_missing(file) {
        return Ok(Vec::new());
    }
    let (bytes, meta) = bounded(file, FILE_BYTES_MAX, "name an accept file with --accept")?;
    if !owned_by_us(meta.uid()) {
        return Err(hinted(
            format!("{}: belongs to user id {}", file.display(), meta.uid()),
            "whoever owns the file can silence the report: give it to root or to who runs wardmote",
        ));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(hinted(
            format!("{}: others may write it (mode {:04o})", file.display(), meta.mode() & 0o7777),
            format!("chmod go-w {}", file.display()),
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| hinted(format!("{}: not UTF-8", file.display()), "save it as UTF-8"))?;
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let entries: Vec<Accepted> = serde_yaml::from_str(&text)
        .map_err(|error| crate::settings::placed(file, &text, &error))?;
    for entry in &entries {
        let dated = entry.until.as_ref().is_none_or(|until| until.parse::<Date>().is_ok());
        if entry.reason.trim().is_empty() || !dated {
            return Err(hinted(
                format!(
                    "{}: entry {}: needs a reason, and `until` as YYYY-MM-DD",
                    file.display(),
                    entry.fingerprint
                ),
                "an acceptance without a reason cannot be reviewed",
            ));
        }
    }
    Ok(entries)
}

/// Root, the user who runs the program, or the one who called sudo.
fn owned_by_us(uid: u32) -> bool {
    let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    uid == 0 || uid == rustix::process::geteuid().as_raw() || caller == Some(uid)
}

/// One entry as its line.
pub fn line(entry: &Accepted) -> anyhow::Result<String> {
    let quoted = |text: &str| serde_json::to_string(text);
    let mut parts = vec![
        format!("fingerprint: {}", quoted(&entry.fingerprint)?),
        format!("reason: {}", quoted(&entry.reason)?),
    ];
    for (name, value) in
        [("until", &entry.until), ("check", &entry.check), ("by", &entry.by), ("on", &entry.on)]
    {
        if let Some(value) = value {
            parts.push(format!("{name}: {}", quoted(value)?));
        }
    }
    Ok(format!("- {{{}}}\n", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn entry(until: Option<&str>) -> Accepted {
        Accepted {
            fingerprint: "abc".into(),
            reason: "a \"lab\": # host".into(),
            until: until.map(str::to_string),
            check: None,
            by: Some("root".into()),
            on: None,
        }
    }

    #[test]
    fn an_entry_holds_through_its_last_day() {
        let noon =
            |day: &str| format!("{day}T12:00:00Z").parse::<jiff::Timestamp>().unwrap().as_second();
        assert!(entry(None).holds(noon("2090-01-01")));
        assert!(entry(Some("2027-01-31")).holds(noon("2027-01-31")));
        assert!(!entry(Some("2027-01-31")).holds(noon("2027-02-01")));
    }

    #[test]
    fn what_is_written_is_read_again_and_a_file_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("accepted.yaml");
        let entries = [entry(Some("2027-01-31")), entry(None)];
        let text: String = entries.iter().map(|entry| line(entry).unwrap()).collect();
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&file, true).unwrap(), entries);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read(&file, true).unwrap_err().to_string().contains("others may write"));
        assert!(read(&dir.path().join("none"), false).unwrap().is_empty());
        assert!(read(&dir.path().join("none"), true).is_err());
        assert!(read(dir.path(), true).is_err());
    }
}
