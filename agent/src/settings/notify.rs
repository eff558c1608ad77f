//! Who is told of cases, as the operator configures it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use consensus::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credential::Secret;
use super::expert::Patience;
use super::time_of_day::TimeOfDay;
use crate::exit::hinted;

/// Most targets.
pub const TARGETS_MAX: usize = 16;
const NAME_MAX: usize = 32;
const WORDS_MAX: usize = 64;
const RECIPIENTS_MAX: usize = 32;
const SPOOL_BYTES: u64 = 4 << 20;
const SPOOL_BYTES_MAX: u64 = 256 << 20;
const FILE_BYTES_MIN: u64 = 64 << 10;
const FILE_BYTES: u64 = 10 << 20;
const KEEP_MAX: u32 = 100;

/// One target of notifications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Given", into = "Given")]
#[schemars(with = "Given")]
pub struct NotifySettings {
    /// Its name.
    pub name: String,
    /// The mildest level that it is told of.
    pub from: Severity,
    /// Bytes that wait on the disk at most while it is down.
    pub spool_bytes: u64,
    /// When it is told how the day was, if at all.
    pub summary: Option<SummarySettings>,
    /// How it is told.
    pub way: Way,
}

/// A way out.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// HTTP.
    Webhook(WebhookSettings),
    /// OpenTelemetry.
    Otlp(OtlpSettings),
    /// Syslog.
    Syslog(SyslogSettings),
    /// The system journal.
    Journald(JournaldSettings),
    /// Mail.
    Email(EmailSettings),
    /// A command.
    Command(NotifyCommandSettings),
    /// A file.
    File(FileSettings),
}

/// As it is written: a name, and one way.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Given {
    /// Letters, digits, `-` and `_`; its spool is called so.
    name: String,
    /// The mildest level that it is told of.
    #[serde(default = "medium")]
    from: Severity,
    /// Bytes that wait on the disk at most while it is down.
    #[serde(default = "spool_bytes")]
    spool_bytes: u64,
    /// A summary every day, whatever `from` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<SummarySettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webhook: Option<WebhookSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    otlp: Option<OtlpSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    syslog: Option<SyslogSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    journald: Option<JournaldSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<EmailSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<NotifyCommandSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FileSettings>,
}

/// A summary every day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SummarySettings {
    /// Local time, `HH:MM`.
    pub at: TimeOfDay,
    /// Nothing is said when nothing is new, waits or goes wrong.
    pub quiet: bool,
}

fn medium() -> Severity {
    Severity::Medium
}

fn spool_bytes() -> u64 {
    SPOOL_BYTES
}

/// Signed JSON by POST (Standard Webhooks).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// `https://…`; `http://` only to loopback.
    pub url: String,
    /// Secrets, one `whsec_…` a line, the newest first: a file of mode 0600, or `credential:NAME`.
    pub secret_file: Secret,
    /// Certificates to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// OpenTelemetry logs, as JSON over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtlpSettings {
    /// `https://…/v1/logs`; `http://` only to loopback.
    pub url: String,
    /// Headers such as tokens, one a line: a file of mode 0600, or `credential:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<Secret>,
    /// Certificates to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// RFC 5424.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyslogSettings {
    /// `/dev/log` or another local socket, `udp:ADDRESS:PORT` or `tcp:ADDRESS:PORT`.
    #[serde(default)]
    pub address: SyslogTarget,
}

/// Where a syslog listens.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(with = "String")]
pub enum SyslogTarget {
    /// A local socket of datagrams.
    Local(PathBuf),
    /// Datagrams.
    Udp(SocketAddr),
    /// A connection.
    Tcp(SocketAddr),
}

impl Default for SyslogTarget {
    fn default() -> Self {
        Self::Local("/dev/log".into())
    }
}

impl std::str::FromStr for SyslogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a syslog is a path, udp:ADDRESS:PORT or tcp:ADDRESS:PORT".to_string();
        match text.split_once(':') {
            Some(("udp", address)) => address.parse().map(Self::Udp).map_err(|_| wrong()),
            Some(("tcp", address)) => address.parse().map(Self::Tcp).map_err(|_| wrong()),
            _ if text.starts_with('/') => Ok(Self::Local(text.into())),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for SyslogTarget {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(path) => write!(out, "{}", path.display()),
            Self::Udp(address) => write!(out, "udp:{address}"),
            Self::Tcp(address) => write!(out, "tcp:{address}"),
        }
    }
}

impl Serialize for SyslogTarget {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SyslogTarget {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The native protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JournaldSettings {
    /// Its socket.
    pub socket: PathBuf,
}

impl Default for JournaldSettings {
    fn default() -> Self {
        Self { socket: "/run/systemd/journal/socket".into() }
    }
}

/// Through the system's sendmail, or a mail server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailSettings {
    /// Recipients.
    pub to: Vec<String>,
    /// Sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The program.
    #[serde(default = "sendmail")]
    pub sendmail: PathBuf,
    /// A mail server, instead of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpSettings>,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    #[serde(default = "submission")]
    pub port: u16,
    /// How the connection is protected.
    #[serde(default)]
    pub security: SmtpSecurity,
    /// Account, if it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password: a file of mode 0600, or `credential:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<Secret>,
    /// Certificates to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmtpSecurity {
    /// TLS from the answer to STARTTLS on; never without.
    #[default]
    Starttls,
    /// TLS from the first byte on (port 465).
    Tls,
    /// Only to a loopback address.
    None,
}

fn submission() -> u16 {
    587
}

fn sendmail() -> PathBuf {
    "/usr/sbin/sendmail".into()
}

/// JSON on stdin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyCommandSettings {
    /// The program's absolute path and its arguments; no shell is involved.
    pub run: Vec<String>,
    /// How long it may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Patience,
}

fn ten_seconds() -> Patience {
    Patience(Duration::from_secs(10))
}

/// A line a note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// The file; relative to the state directory.
    pub path: PathBuf,
    /// What a line is.
    #[serde(default)]
    pub format: FileFormat,
    /// Size from which on it is rotated.
    #[serde(default = "file_bytes")]
    pub bytes_max: u64,
    /// Rotated files that are kept.
    #[serde(default = "five")]
    pub keep: u32,
}

/// What a line of a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Our JSON.
    #[default]
    Jsonl,
    /// OCSF's Detection Finding.
    Ocsf,
}

fn file_bytes() -> u64 {
    FILE_BYTES
}

fn five() -> u32 {
    5
}

impl TryFrom<Given> for NotifySettings {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let Given { name, from, spool_bytes, summary, .. } = given;
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
            return Err(format!(
                "a target's name is 1 to {NAME_MAX} letters, digits, hyphens and underscores"
            ));
        }
        if !(64 << 10..=SPOOL_BYTES_MAX).contains(&spool_bytes) {
            return Err(format!("spool_bytes is 65536 to {SPOOL_BYTES_MAX}"));
        }
        let ways = [
            given.webhook.map(Way::Webhook),
            given.otlp.map(Way::Otlp),
            given.syslog.map(Way::Syslog),
            given.journald.map(Way::Journald),
            given.email.map(Way::Email),
            given.command.map(Way::Command),
            given.file.map(Way::File),
        ];
        let mut ways = ways.into_iter().flatten();
        let one =
            "a target has exactly one of webhook, otlp, syslog, journald, email, command and file";
        let (Some(way), None) = (ways.next(), ways.next()) else { return Err(one.into()) };
        way.check()?;
        Ok(Self { name, from, spool_bytes, summary, way })
    }
}

impl From<NotifySettings> for Given {
    fn from(settings: NotifySettings) -> Self {
        let NotifySettings { name, from, spool_bytes, summary, way } = settings;
        let mut given = Self {
            name,
            from,
            spool_bytes,
            summary,
            webhook: None,
            otlp: None,
            syslog: None,
            journald: None,
            email: None,
            command: None,
            file: None,
        };
        match way {
            Way::Webhook(way) => given.webhook = Some(way),
            Way::Otlp(way) => given.otlp = Some(way),
            Way::Syslog(way) => given.syslog = Some(way),
            Way::Journald(way) => given.journald = Some(way),
            Way::Email(way) => given.email = Some(way),
            Way::Command(way) => given.command = Some(way),
            Way::File(way) => given.file = Some(way),
        }
        given
    }
}

impl Way {
    /// Whether it leaves this host by itself: then it is the sender's, where there is one. (A sendmail, a
    /// local syslog and commands see to that themselves.)
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Webhook(_) | Self::Otlp(_) => true,
            Self::Syslog(way) => !matches!(way.address, SyslogTarget::Local(_)),
            Self::Email(way) => way.smtp.is_some(),
            Self::Journald(_) | Self::Command(_) | Self::File(_) => false,
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Webhook(way) => crate::notify::url(&way.url),
            Self::Otlp(way) => crate::notify::url(&way.url),
            Self::Email(way) => mailboxes(way),
            Self::Command(way) => command(&way.run),
            Self::File(way) if way.bytes_max < FILE_BYTES_MIN || way.keep > KEEP_MAX => {
                Err(format!("bytes_max is at least {FILE_BYTES_MIN}, keep at most {KEEP_MAX}"))
            }
            Self::Syslog(_) | Self::Journald(_) | Self::File(_) => Ok(()),
        }
    }
}

fn command(words: &[String]) -> Result<(), String> {
    match words.first() {
        Some(program) if program.starts_with('/') && words.len() <= WORDS_MAX => Ok(()),
        _ => Err(format!("a command is an absolute path and at most {WORDS_MAX} words in all")),
    }
}

fn mailboxes(way: &EmailSettings) -> Result<(), String> {
    // Local names are mailboxes as well; nothing that a header or sendmail could take for more.
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"@._+-=".contains(&c);
    let is_one = |text: &String| {
        (1..=254).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain)
    };
    if way.to.is_empty() || way.to.len() > RECIPIENTS_MAX {
        return Err(format!("an email goes to 1 to {RECIPIENTS_MAX} recipients"));
    }
    if !way.to.iter().chain(&way.from).all(is_one) {
        return Err("an email's address is letters, digits and @._+-= only".into());
    }
    if !way.sendmail.is_absolute() {
        return Err("sendmail is an absolute path".into());
    }
    let Some(smtp) = &way.smtp else { return Ok(()) };
    if way.from.is_none() {
        return Err("smtp needs a sender: from".into());
    }
    mail_server(smtp)
}

fn mail_server(smtp: &SmtpSettings) -> Result<(), String> {
    let host = &smtp.host;
    let loopback = host == "localhost"
        || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    let plain = |c: u8| c.is_ascii_alphanumeric() || b".-:_".contains(&c);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) {
        return Err("smtp: host is a name or an address".into());
    }
    if smtp.security == SmtpSecurity::None && !loopback {
        return Err("smtp: security is none only to a loopback address".into());
    }
    let bad =
        |user: &String| user.is_empty() || user.len() > 254 || user.contains(char::is_control);
    match (&smtp.user, &smtp.password_file) {
        (None, None) => Ok(()),
        (Some(user), Some(_)) if !bad(user) => Ok(()),
        _ => Err("smtp: user and password_file come together".into()),
    }
}

/// Refuses too many targets, and two of one name.
pub fn distinct(targets: &[NotifySettings]) -> anyhow::Result<()> {
    if targets.len() > TARGETS_MAX {
        let message = format!("configuration: more than {TARGETS_MAX} targets of notifications");
        return Err(hinted(message, "let one of them tell the others"));
    }
    let names: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    match names.len() == targets.len() {
        true => Ok(()),
        false => Err(hinted("configuration: two targets have one name", "rename one of them")),
    }
}

/// Root takes commands only from a configuration that nobody else can write.
pub fn only_roots(file: &Path) -> anyhow::Result<()> {
    let meta = std::fs::metadata(file)
        .map_err(|error| hinted(format!("{}: {error}", file.display()), "use sudo"))?;
    let open = meta.uid() != 0 || meta.mode() & 0o022 != 0;
    if open && rustix::process::geteuid().is_root() {
        return Err(hinted(
            format!(
                "{}: it says whom to notify, and others than root may write it",
                file.display()
            ),
            format!("chown root {0} && chmod 644 {0}", file.display()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NotifySettings, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_target_has_a_name_and_exactly_one_way() {
        let good = [
            "{name: ops, webhook: {url: 'https://example.org/x', secret_file: /etc/s}}",
            "{name: ops, webhook: {url: 'https://example.org/x', secret_file: 'credential:ops'}}",
            "{name: otel, otlp: {url: 'http://127.0.0.1:4318', headers_file: 'credential:otel'}}",
            "{name: a-b_1, from: high, syslog: {}}",
            "{name: s, summary: {}, syslog: {}}",
            "{name: s, summary: {at: '07:30', quiet: true}, syslog: {}}",
            "{name: s, syslog: {address: 'udp:127.0.0.1:514'}}",
            "{name: s, syslog: {address: 'tcp:[::1]:601'}}",
            "{name: j, journald: {}}",
            "{name: m, email: {to: [root, ops@example.org], from: wardmote@example.org}}",
            "{name: m, email: {to: [a@b], from: c@d, smtp: {host: mail.example.org, user: u, password_file: /etc/s}}}",
            "{name: m, email: {to: [a@b], from: c@d, smtp: {host: '::1', port: 25, security: none}}}",
            "{name: c, command: {run: [/usr/bin/logger, -t, x], timeout: 2s}}",
            "{name: f, file: {path: notes.jsonl, format: ocsf, bytes_max: 65536, keep: 0}}",
        ];
        for text in good {
            let settings = read(text).unwrap();
            let written = serde_yaml::to_string(&settings).unwrap();
            assert_eq!(read(&written).unwrap(), settings, "{written}");
        }
        for (text, says) in [
            ("{name: x}", "exactly one of"),
            ("{name: x, journald: {}, syslog: {}}", "exactly one of"),
            ("{name: '', journald: {}}", "a target's name"),
            ("{name: ../x, journald: {}}", "a target's name"),
            ("{name: x, journal: {}}", "unknown field"),
            ("{name: x, summary: {at: '7:30'}, journald: {}}", "HH:MM"),
            ("{name: x, spool_bytes: 65535, journald: {}}", "spool_bytes"),
            ("{name: x, syslog: {address: dev}}", "a syslog is"),
            ("{name: x, syslog: {address: 'udp:localhost:514'}}", "a syslog is"),
            ("{name: x, command: {run: [logger]}}", "absolute path"),
            ("{name: x, command: {run: []}}", "absolute path"),
            ("{name: x, email: {to: []}}", "recipients"),
            ("{name: x, email: {to: ['-oQ/tmp']}}", "address is"),
            ("{name: x, email: {to: [\"a\\nBcc: b\"]}}", "address is"),
            ("{name: x, email: {to: [a], smtp: {host: m}}}", "needs a sender"),
            ("{name: x, email: {to: [a], from: b, smtp: {host: m, security: none}}}", "loopback"),
            ("{name: x, email: {to: [a], from: b, smtp: {host: 'a b'}}}", "host is"),
            ("{name: x, email: {to: [a], from: b, smtp: {host: m, user: u}}}", "come together"),
            ("{name: x, email: {to: [a], from: b, smtp: {host: m, security: ssl}}}", "starttls"),
            ("{name: x, file: {path: x, bytes_max: 1}}", "bytes_max"),
            ("{name: x, webhook: {url: 'ftp://x', secret_file: /s}}", "https://"),
            ("{name: x, webhook: {url: 'http://example.org', secret_file: /s}}", "loopback"),
            (
                "{name: x, webhook: {url: 'https://x', secret_file: 'credential:../s'}}",
                "credential",
            ),
            ("{name: x, webhook: {url: 'https://u:p@example.org', secret_file: /s}}", "password"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn names_differ_and_targets_are_bounded() {
        let one = |name: usize| read(&format!("{{name: n{name}, journald: {{}}}}")).unwrap();
        let many: Vec<NotifySettings> = (0..=TARGETS_MAX).map(one).collect();
        assert!(distinct(&many[..TARGETS_MAX]).is_ok() && distinct(&many).is_err());
        assert!(distinct(&[one(1), one(1)]).is_err());
    }
}
