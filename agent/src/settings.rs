//! The operator's configuration: `/etc/wardmote/wardmote.yaml`, then `conf.d/*.yaml` in order of name,
//! then `WARDMOTE_SECTION_KEY`, then flags. The later one wins, key by key; lists are replaced.
//!
//! Every file must hold by itself: an unknown key or a wrong value is an error with file, line, column,
//! the line with a caret, and the key that was probably meant. A missing default file is fine; a file
//! named with `--config` must exist.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use consensus::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use crate::exit::hinted;

pub mod credential;
mod expert;
mod journal;
mod loopback;
mod notify;
mod responses;
mod site;
mod span;
mod time_of_day;

pub use expert::ExpertSettings;
pub use journal::JournalSettings;
pub use loopback::Loopback;
pub use notify::{
    EmailSettings, FileFormat, FileSettings, JournaldSettings, NotifyCommandSettings,
    NotifySettings, OtlpSettings, SmtpSecurity, SmtpSettings, SummarySettings, SyslogSettings,
    SyslogTarget, Way, WebhookSettings,
};
pub use responses::{CommandSettings, ResponseSettings, Restores, Unconfirmed};
pub use site::SiteSettings;
pub use span::Span;
#[cfg(test)]
pub use time_of_day::TimeOfDay;

/// Where the configuration is looked for unless `--config` says otherwise.
pub const DEFAULT_FILE: &str = "/etc/wardmote/wardmote.yaml";
/// Most bytes of one configuration file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most drop-ins.
const DROP_INS_MAX: usize = 1_000;
/// `WARDMOTE_…` variables that are no settings: the tests' own.
const OTHER_VARIABLES: [&str; 2] = ["WARDMOTE_CORPORA", "WARDMOTE_REQUIRE_PEERS"];

/// Everything that can be configured, with its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The audit.
    pub audit: AuditSettings,
    /// The service.
    pub agent: AgentSettings,
    /// The record of what the service judges and tells.
    #[serde(skip_serializing_if = "JournalSettings::is_default")]
    pub journal: JournalSettings,
    /// Experts from outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub experts: Vec<ExpertSettings>,
    /// Who is told of cases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<NotifySettings>,
    /// What the operator tells about the host.
    pub site: SiteSettings,
    /// What may be done about a case.
    #[serde(skip_serializing_if = "ResponseSettings::is_default")]
    pub responses: ResponseSettings,
}

/// The audit's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// Exit code 1 from this level up.
    pub fail_on: Severity,
    /// How far back logs are read.
    pub since: Span,
    /// File of accepted findings.
    pub accept: PathBuf,
    /// Starts of `incomplete` entries that are known and do not count for the exit code.
    pub expected_incomplete: Vec<String>,
}

/// The service's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSettings {
    /// How often the whole host is audited again.
    pub audit_every: Span,
    /// How often logs are looked at.
    pub sweep_every: Span,
    /// Alerts as JSON lines; relative to the state directory.
    pub alerts: PathBuf,
    /// Cases of which there are news, as JSON lines; relative to the state directory.
    pub cases: PathBuf,
    /// How the service is, for Prometheus' textfile collector; none unless it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<PathBuf>,
    /// Alerts and cases below this level are kept in the store but not written as lines.
    pub alert_from: Severity,
    /// How long a fixed alert is remembered.
    pub keep: Span,
    /// Whether logs and configuration are read in a child process without rights; holds from the next start on.
    #[serde(skip_serializing_if = "SandboxSetting::is_auto")]
    pub sandbox: SandboxSetting,
    /// The same over HTTP on a unix socket (`GET /metrics`); relative to the state directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_socket: Option<PathBuf>,
    /// The same over HTTP on a loopback address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<Loopback>,
    /// Users (names or numbers) who may ask the service, say what findings were, and decide about responses
    /// without being root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<String>,
    /// Who delivers to targets over the network.
    #[serde(skip_serializing_if = "Deliver::is_auto")]
    pub deliver: Deliver,
    /// Where `wardmote send` finds what it is to deliver.
    #[serde(skip_serializing_if = "is_default_spool")]
    pub spool: PathBuf,
}

/// Whether what is hostile is read in a process without rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SandboxSetting {
    /// As far as the kernel can; what is missing is said.
    #[default]
    Auto,
    /// The service does not start where anything is missing.
    Required,
    /// The service reads everything itself.
    Off,
}

impl SandboxSetting {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// Who delivers to targets over the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Deliver {
    /// `wardmote send`, where the spool for it is there and the service's own; else the service.
    #[default]
    Auto,
    /// The service itself.
    Here,
    /// `wardmote send`; without its spool nobody is told, and that is said.
    Apart,
}

impl Deliver {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// Where the packaging makes the spool.
pub const SPOOL: &str = "/var/spool/wardmote";

fn is_default_spool(path: &Path) -> bool {
    path == Path::new(SPOOL)
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            fail_on: Severity::High,
            since: Span::days(7),
            accept: "/etc/wardmote/accepted.yaml".into(),
            expected_incomplete: Vec::new(),
        }
    }
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            audit_every: Span::days(1),
            sweep_every: Span(Duration::from_secs(2)),
            alerts: "alerts.jsonl".into(),
            cases: "cases.jsonl".into(),
            metrics: None,
            metrics_socket: None,
            metrics_listen: None,
            operators: Vec::new(),
            alert_from: Severity::Low,
            keep: Span::days(90),
            sandbox: SandboxSetting::default(),
            deliver: Deliver::Auto,
            spool: SPOOL.into(),
        }
    }
}

impl Settings {
    /// Loads the configuration: `named` must exist if given; the default may be missing.
    pub fn load(named: Option<&Path>) -> anyhow::Result<Self> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::load_from(named, Path::new(DEFAULT_FILE), variables.collect())
    }

    fn load_from(
        named: Option<&Path>,
        default: &Path,
        variables: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let main = named.unwrap_or(default);
        let mut merged = Value::Mapping(serde_yaml::Mapping::new());
        for file in files(main)? {
            if let Some(text) = read(&file, named.is_some_and(|name| name == file))? {
                let layer = check(&file, &text)?;
                for names in ["experts", "responses"] {
                    if layer.get(names).is_some() {
                        expert::only_roots(&file, names)?;
                    }
                }
                if layer.get("notify").is_some() {
                    notify::only_roots(&file)?;
                }
                if layer.get("agent").is_some_and(|agent| agent.get("operators").is_some()) {
                    expert::only_roots(&file, "agent.operators")?;
                }
                merge(&mut merged, layer);
            }
        }
        for (name, value) in variables {
            set_from_variable(&mut merged, &name, &value)?;
        }
        let settings: Self = serde_yaml::from_value(merged).map_err(|error| {
            hinted(format!("configuration: {error}"), "see wardmote config show")
        })?;
        expert::distinct(&settings.experts)?;
        responses::distinct(&settings.responses.commands)?;
        notify::distinct(&settings.notify)?;
        Ok(settings)
    }
}

/// The main file and its drop-ins, in the order in which they are read.
fn files(main: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = vec![main.to_path_buf()];
    let folder = main.with_file_name("conf.d");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(unreadable(&folder, &error)),
    };
    let mut drop_ins: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .take(DROP_INS_MAX + 1)
        .collect();
    if drop_ins.len() > DROP_INS_MAX {
        return Err(hinted(
            format!("{}: more than {DROP_INS_MAX} drop-ins", folder.display()),
            "merge them into fewer files",
        ));
    }
    drop_ins.sort();
    files.append(&mut drop_ins);
    Ok(files)
}

/// Reads one file; `None` when it may be missing and is.
fn read(file: &Path, must_exist: bool) -> anyhow::Result<Option<String>> {
    if !must_exist && is_missing(file) {
        return Ok(None);
    }
    let (bytes, _) = bounded(file, FILE_BYTES_MAX, "name a YAML file with --config, or use sudo")?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(hinted(format!("{}:{line}: not UTF-8", file.display()), "save the file as UTF-8"))
        }
    }
}

/// Whether there is nothing under this name.
pub fn is_missing(file: &Path) -> bool {
    let seen = std::fs::metadata(file);
    seen.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Reads a regular file of at most `most` bytes, whatever its size says, and waits for no FIFO.
pub fn bounded(file: &Path, most: u64, hint: &str) -> anyhow::Result<(Vec<u8>, Metadata)> {
    let fail = |why: &dyn std::fmt::Display| hinted(format!("{}: {why}", file.display()), hint);
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let opened = File::options().read(true).custom_flags(nonblocking).open(file);
    let opened = opened.map_err(|error| fail(&error))?;
    let mut bytes = Vec::new();
    let meta = opened.metadata().map_err(|error| fail(&error))?;
    if meta.is_file() {
        opened.take(most + 1).read_to_end(&mut bytes).map_err(|error| fail(&error))?;
        if bytes.len() as u64 <= most {
            return Ok((bytes, meta));
        }
    }
    Err(fail(&format!("not a regular file of at most {most} bytes")))
}

fn unreadable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    hinted(format!("{}: {error}", path.display()), "name another file with --config, or use sudo")
}

/// Checks that a file holds by itself, with a place for what does not; its value.
fn check(file: &Path, text: &str) -> anyhow::Result<Value> {
    if text.trim().is_empty()
        || text.lines().all(|line| line.trim_start().starts_with('#') || line.trim().is_empty())
    {
        return Ok(Value::Mapping(serde_yaml::Mapping::new()));
    }
    serde_yaml::from_str::<Settings>(text).map_err(|error| placed(file, text, &error))?;
    serde_yaml::from_str(text).map_err(|error| placed(file, text, &error))
}

/// An error of the YAML library as `file:line:column`, the line with a caret, and a suggestion.
pub fn placed(file: &Path, text: &str, error: &serde_yaml::Error) -> anyhow::Error {
    let message = error.to_string();
    let short = unquoted(message.split(" at line ").next().unwrap_or(&message));
    let word = quoted(&short);
    let found = word
        .as_deref()
        .filter(|_| short.contains("unknown field"))
        .and_then(|key| find_key(text, key));
    let (line, column) =
        found.or_else(|| error.location().map(|at| (at.line(), at.column()))).unwrap_or((1, 1));
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or("");
    let caret = format!("{}^", " ".repeat(column.saturating_sub(1)));
    // A first colon without a space after it is no setting: `--config` may have met a file of secrets.
    let is_setting = shown
        .split_once(':')
        .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(char::is_whitespace));
    let safe = match is_setting {
        true => scanner::redact::line(shown),
        false => scanner::redact::HIDDEN.to_string(),
    };
    let hint = match suggestion(&short, word.as_deref()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`wardmote config show` prints every key with its value".to_string(),
    };
    hinted(format!("{}:{line}:{column}: {short}\n  {safe}\n  {caret}", file.display()), hint)
}

/// A message without the value that it quotes (`invalid type: string "…"`): it may be a secret.
fn unquoted(message: &str) -> String {
    let hidden = match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}{}{}", &message[..first], scanner::redact::HIDDEN, &message[last + 1..])
        }
        _ => message.to_string(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    match quoted(&hidden) {
        Some(word) if !word.chars().all(plain) => {
            hidden.replace(&format!("`{word}`"), scanner::redact::HIDDEN)
        }
        _ => scanner::redact::secrets(&hidden).into_owned(),
    }
}

/// The first word in backquotes.
fn quoted(message: &str) -> Option<String> {
    message.split('`').nth(1).map(str::to_string)
}

/// Where a key stands in the text: line and column from 1.
fn find_key(text: &str, key: &str) -> Option<(usize, usize)> {
    text.lines().enumerate().find_map(|(index, line)| {
        let trimmed = line.trim_start().trim_start_matches("- ");
        let rest = trimmed.strip_prefix(key)?;
        rest.trim_start().starts_with(':').then(|| (index + 1, line.len() - trimmed.len() + 1))
    })
}

/// The expected name nearest to the unknown one, if it is near.
fn suggestion(message: &str, word: Option<&str>) -> Option<String> {
    let word = word.filter(|_| message.contains("unknown"))?;
    let names = message.split('`').skip(3).step_by(2);
    names
        .map(|name| (distance(word, name), name.to_string()))
        .filter(|(steps, name)| *steps <= name.len().div_ceil(2))
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance of two short names.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let cost = (row[j] + 1).min(row[j + 1] + 1).min(corner + usize::from(a != *b));
            corner = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[right.len()]
}

/// Lays `above` over `below`: mappings key by key, anything else whole.
fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Mapping(below), Value::Mapping(above)) => {
            for (key, value) in above {
                match below.get_mut(&key) {
                    Some(known) => merge(known, value),
                    None => {
                        below.insert(key, value);
                    }
                }
            }
        }
        (below, above) => *below = above,
    }
}

/// `WARDMOTE_AUDIT_FAIL_ON=medium` sets `audit.fail_on`.
fn set_from_variable(merged: &mut Value, name: &str, value: &str) -> anyhow::Result<()> {
    let Some(rest) = name.strip_prefix("WARDMOTE_") else { return Ok(()) };
    if OTHER_VARIABLES.contains(&name) {
        return Ok(());
    }
    let rest = rest.to_ascii_lowercase();
    let Some((section, key)) = rest.split_once('_') else {
        return Err(hinted(
            format!("environment: {name} names no setting"),
            "WARDMOTE_SECTION_KEY",
        ));
    };
    let scalar: Value = serde_yaml::from_str(value)
        .map_err(|error| hinted(format!("environment: {name}: {error}"), "give a YAML value"))?;
    let wanted = serde_yaml::Mapping::from_iter([(Value::from(key), scalar)]);
    let layer =
        Value::Mapping(serde_yaml::Mapping::from_iter([(Value::from(section), wanted.into())]));
    serde_yaml::from_value::<Settings>(layer.clone()).map_err(|error| {
        hinted(format!("environment: {name}: {error}"), "see wardmote config show for the names")
    })?;
    merge(merged, layer);
    Ok(())
}

/// The state directory: the flag, or root's, or the user's own (XDG Base Directory). A user without a
/// home gets root's, which refuses: never a name in `/tmp` that anybody could have made first.
pub fn state_directory(flag: Option<&Path>) -> PathBuf {
    if let Some(given) = flag {
        return given.to_path_buf();
    }
    if rustix::process::geteuid().is_root() {
        return "/var/lib/wardmote".into();
    }
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    base.map_or_else(|| "/var/lib/wardmote".into(), |base| base.join("wardmote"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        std::fs::create_dir(dir.path().join("conf.d")).unwrap();
        std::fs::write(&file, text).unwrap();
        (dir, file)
    }

    #[test]
    fn drop_ins_and_variables_win_key_by_key() {
        let (dir, file) = write("w.yaml", "audit:\n  fail_on: low\n  since: 3d\n");
        std::fs::write(dir.path().join("conf.d/50.yaml"), "audit: {fail_on: medium}\n").unwrap();
        let variables = vec![("WARDMOTE_AGENT_KEEP".to_string(), "5d".to_string())];
        let settings = Settings::load_from(Some(&file), &file, variables).unwrap();
        assert_eq!(settings.audit.fail_on, Severity::Medium);
        assert_eq!(settings.audit.since, Span::days(3));
        assert_eq!(settings.agent.keep, Span::days(5));
    }

    #[test]
    fn an_unknown_key_names_its_place_and_the_one_that_was_meant() {
        let (_dir, file) = write("w.yaml", "audit:\n  since: 3d\n  fail_onn: low\n");
        let error = Settings::load_from(Some(&file), &file, Vec::new()).unwrap_err();
        let text = format!("{:?}", error.downcast_ref::<crate::exit::Hinted>());
        assert!(error.to_string().contains("w.yaml:3:3: "), "{error}");
        assert!(error.to_string().ends_with("\n    fail_onn: low\n    ^"), "{error}");
        assert!(text.contains("did you mean `fail_on`?"), "{text}");
    }

    #[test]
    fn what_the_site_tells_is_read_and_a_wrong_address_has_a_place() {
        let text = "site:\n  role: bastion\n  own_networks: [10.0.0.0/8]\n  accepted:\n  \
                    - {check: sudo-shell, user: deploy}\n";
        let (_dir, file) = write("w.yaml", text);
        let site = Settings::load_from(Some(&file), &file, Vec::new()).unwrap().site;
        let operator = site.operator().unwrap();
        assert!(operator.own_networks.contains("10.1.2.3".parse().unwrap()));
        assert_eq!(operator.accepted[0].user.as_deref(), Some("deploy"));
        let (_dir, file) = write("w.yaml", "site:\n  monitoring:\n  - 192.0.2.0/24\n  - gate\n");
        let error = Settings::load_from(Some(&file), &file, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("w.yaml:4:5: ") && error.contains("not an address"), "{error}");
        let (_dir, file) = write("w.yaml", "site:\n  accepted:\n  - chek: sudo-shell\n");
        let error = Settings::load_from(Some(&file), &file, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("w.yaml:3:5: "), "{error}");
        let (_dir, file) = write("w.yaml", "site:\n  role: throne\n");
        let error = Settings::load_from(Some(&file), &file, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("w.yaml:2:9: ") && error.contains("bastion"), "{error}");
    }

    #[test]
    fn whom_to_notify_is_read_and_a_wrong_target_has_a_place() {
        let text =
            "notify:\n- {name: j, journald: {}}\n- {name: ops, from: high, file: {path: x}}\n";
        let (_dir, file) = write("w.yaml", text);
        let settings = Settings::load_from(Some(&file), &file, Vec::new()).unwrap();
        assert_eq!((settings.notify.len(), settings.notify[1].from), (2, Severity::High));
        let (_dir, file) = write("w.yaml", "notify:\n- name: j\n  journal: {}\n");
        let error = Settings::load_from(Some(&file), &file, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("w.yaml:3:3: ") && error.contains("journald"), "{error}");
        let (_dir, file) = write("w.yaml", "notify:\n- name: j\n  syslog: {address: here}\n");
        let error = Settings::load_from(Some(&file), &file, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("w.yaml:3:") && error.contains("a syslog is"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_an_error_and_a_missing_default_is_fine() {
        let (_dir, file) = write("w.yaml", "audit:\n  since: soon\n");
        let error = Settings::load_from(Some(&file), &file, Vec::new()).unwrap_err();
        assert!(error.to_string().contains("w.yaml:2:"), "{error}");
        let none = Path::new("/nonexistent/wardmote.yaml");
        assert_eq!(Settings::load_from(None, none, Vec::new()).unwrap(), Settings::default());
        assert!(Settings::load_from(Some(none), none, Vec::new()).is_err());
        let variables = vec![("WARDMOTE_AUDIT_NONE".to_string(), "1".to_string())];
        assert!(Settings::load_from(None, none, variables).is_err());
    }

    #[test]
    fn a_file_of_secrets_is_not_quoted_and_a_fifo_is_not_waited_for() {
        let (dir, file) = write("shadow", "root:correct-horse:19000::::::\n");
        let error = Settings::load_from(Some(&file), &file, Vec::new()).unwrap_err();
        assert!(!format!("{error:?}{error}").contains("horse"), "{error}");
        let fifo = dir.path().join("fifo");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, rustix::fs::Mode::RUSR, 0).unwrap();
        for file in [fifo.as_path(), dir.path(), Path::new("/dev/zero")] {
            let error = Settings::load_from(Some(file), file, Vec::new()).unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{error}");
        }
        assert!(bounded(&file, 3, "").is_err());
    }

    #[test]
    fn empty_and_comment_only_files_change_nothing() {
        for text in ["", "# nothing\n", "\n\n"] {
            let (_dir, file) = write("w.yaml", text);
            assert_eq!(
                Settings::load_from(Some(&file), &file, vec![]).unwrap(),
                Settings::default()
            );
        }
    }

    #[test]
    fn spans_have_units_and_a_bound() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("24h", 86_400), ("2w", 1_209_600)] {
            assert_eq!(text.parse::<Span>().unwrap().seconds(), seconds);
        }
        assert_eq!(Span(Duration::from_secs(86_400)).to_string(), "1d");
        for wrong in ["", "7", "d", "7y", "-1d", "99999999999d", "7日"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
