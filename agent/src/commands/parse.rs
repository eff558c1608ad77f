//! `wardmote parse`: a configuration file as structure, with the places of its values.
//!
//! What a grammar does not accept is told on stderr with the line and a caret, while the rest is still
//! printed (exit code 3); a document that is no YAML or JSON at all is an error (exit code 2).
//! Password hashes are never printed.

use std::collections::BTreeMap;

use clap::ValueEnum;
use parsers::config::keyvalue::{Dialect, Entry, KeyValues};
use parsers::config::problems::Problems;
use parsers::config::sshd::{Connection, Sshd};
use parsers::config::sysctl::Sysctl;
use parsers::config::{accounts, cron, pam, sudoers, yaml};
use parsers::place::{Place, Problem};
use parsers::tree::LookError;
use serde_json::{Value, json};

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::output;

mod auto;
mod blocks;
mod daemons;
mod manifests;
mod shape;
mod source;
mod system;

use source::Source;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to read, `-` for standard input; inside of --root where that is given
    #[arg(value_name = "FILE")]
    file: String,
    /// What the file is
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kind: Kind,
    /// How to print it
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// Add the line and column of every value in a parallel tree
    #[arg(long)]
    spans: bool,
    /// What holds in the end: includes, drop-ins and precedence resolved (sshd, sysctl, login.defs,
    /// keyvalue; for sysctl every directory that the boot reads, not only FILE)
    #[arg(long)]
    effective: bool,
    /// For whom: user=…,host=…,addr=…,laddr=…,lport=…,group=… (sshd) or host=…,path=/…,file=/… (apache)
    #[arg(long = "for", value_name = "LIST", requires = "effective")]
    connection: Option<String>,
    /// Read inside of this directory, as a mounted tree
    #[arg(long, value_name = "DIR")]
    root: Option<std::path::PathBuf>,
}

/// Grammars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// What its path or its text tells; said on stderr
    Auto,
    /// OpenSSH server configuration
    Sshd,
    /// YAML, one or more documents
    Yaml,
    /// JSON
    Json,
    /// passwd(5)
    Passwd,
    /// shadow(5), without the hashes
    Shadow,
    /// group(5)
    Group,
    /// gshadow(5), without the hashes
    Gshadow,
    /// sysctl.d(5), sysctl.conf(5)
    Sysctl,
    /// sudoers(5), with its includes
    Sudoers,
    /// A PAM service with its includes
    Pam,
    /// A crontab: with a user field below /etc, without one elsewhere
    Crontab,
    /// login.defs(5)
    #[value(name = "login.defs")]
    LoginDefs,
    /// `key = value` lines, such as pwhistory.conf(5)
    Keyvalue,
    /// pwquality.conf(5); with --effective with the directory of drop-ins beside it
    Pwquality,
    /// faillock.conf(5)
    Faillock,
    /// nginx.conf with its includes, or a site that others include
    Nginx,
    /// httpd.conf or apache2.conf with its includes, or a site that others include
    Apache,
    /// A systemd unit or drop-in; with --effective all that the manager reads for it
    SystemdUnit,
    /// postgresql.conf with its includes and postgresql.auto.conf
    Postgresql,
    /// pg_hba.conf
    PgHba,
    /// pg_ident.conf
    PgIdent,
    /// An option file of MySQL or MariaDB; with --effective what the server reads
    #[value(name = "my.cnf")]
    MyCnf,
    /// redis.conf with its includes
    Redis,
    /// logrotate.conf with its includes
    Logrotate,
    /// A list of package sources of apt, in deb822 when its name ends in .sources
    AptSources,
    /// limits.conf(5); with --effective all that pam_limits reads, for each domain by itself
    Limits,
    /// What iptables-save or ip6tables-save printed
    Iptables,
    /// What `nft -j list ruleset` printed
    Nftables,
    /// Docker's daemon.json
    Docker,
    /// fstab(5)
    Fstab,
    /// The kernel's table of mounts, such as /proc/self/mountinfo
    Mountinfo,
    /// journald.conf, logind.conf and others of systemd; with --effective all that the program reads
    SystemdConf,
    /// The jails of fail2ban, with every file beside jail.conf
    #[value(alias = "jails")]
    Fail2ban,
    /// Certificates and keys in PEM or DER; nothing secret is printed
    Certificate,
    /// A file of netplan; with --effective all of them, merged
    Netplan,
    /// cloud.cfg or user data of cloud-init; with --effective with its drop-ins
    CloudInit,
    /// A Compose file; with --effective with the override file beside it
    Compose,
    /// The kubelet's configuration; with --effective with /etc/kubernetes/kubelet.conf.d
    Kubelet,
    /// Kubernetes manifests: objects, and the containers that they run
    Kubernetes,
    /// rsyslog.conf with its includes
    Rsyslog,
    /// apt.conf or a drop-in; with --effective all that apt reads
    #[value(name = "apt.conf")]
    AptConf,
}

/// Outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON value
    Json,
    /// One JSON value an entry (of YAML: a document)
    Jsonl,
    /// The events of yaml-test-suite, one a line (YAML only)
    Events,
}

/// A file as structure.
struct Parsed {
    /// The whole.
    value: Value,
    /// Where its entries are, for JSON lines; `None` makes the whole one line.
    entries: Option<&'static str>,
    /// What the grammar did not accept.
    problems: Vec<Problem>,
    /// How many more problems there were.
    more: usize,
    /// What could not be read.
    unread: Vec<LookError>,
}

impl Parsed {
    fn new(value: Value, entries: &'static str, problems: Problems) -> Self {
        let Problems { kept, more } = problems;
        Self { value, entries: Some(entries), problems: kept, more, unread: Vec::new() }
    }

    fn unread(mut self, unread: Vec<LookError>) -> Self {
        self.unread = unread;
        self
    }
}

/// Runs the command.
pub fn run(mut args: Args, global: &Global) -> anyhow::Result<Exit> {
    if args.kind != Kind::Auto {
        refuse_nonsense(&args)?;
    }
    let source = Source::open(&args.file, args.root.as_deref())?;
    if args.kind == Kind::Auto {
        args.kind = auto::kind(&source)?;
        refuse_nonsense(&args)?;
        let name = scanner::redact::printable(source.name());
        say!("wardmote: {name} is read as {}", auto::name(args.kind));
    }
    if args.format == Format::Events {
        let bytes = source.bytes()?;
        let tree = yaml::config_tree(&bytes).map_err(|error| unread(&source, args.kind, &error))?;
        output::write(global.output.as_deref(), tree.events().as_bytes())?;
        return Ok(Exit::Clean);
    }
    let mut parsed = match args.kind {
        Kind::Yaml | Kind::Json => documents(&source, &args)?,
        Kind::Sshd => sshd(&source, &args)?,
        kind if blocks::handles(kind) => blocks::read(&source, kind, &args)?,
        kind if system::handles(kind) => system::read(&source, kind, args.effective)?,
        kind if manifests::handles(kind) => manifests::read(&source, kind, &args)?,
        kind if daemons::handles(kind) => daemons::read(&source, kind, args.effective)?,
        _ if args.effective => effective(&source, args.kind)?,
        _ => entries(&source, args.kind)?,
    };
    let has_own_spans = matches!(args.kind, Kind::Yaml | Kind::Json | Kind::Sshd);
    if !has_own_spans && !manifests::handles(args.kind) && !args.effective {
        parsed.value = shape::placed(parsed.value, args.spans);
    }
    output::write(global.output.as_deref(), text(&parsed, args.format)?.as_bytes())?;
    Ok(report(&parsed, &source, args.kind))
}

fn refuse_nonsense(args: &Args) -> anyhow::Result<()> {
    let name = args.kind.to_possible_value().map_or(String::new(), |v| v.get_name().to_string());
    let has_effective =
        matches!(args.kind, Kind::Sshd | Kind::Sysctl | Kind::LoginDefs | Kind::Keyvalue);
    let elsewhere = blocks::has_effective(args.kind)
        || daemons::has_effective(args.kind)
        || system::has_effective(args.kind)
        || manifests::has_effective(args.kind);
    if args.effective && !has_effective && !elsewhere {
        let hint =
            "leave it out, or use --as sshd, sysctl, login.defs, keyvalue or a daemon's kind";
        return Err(hinted(format!("--effective has no meaning for {name}"), hint));
    }
    if args.connection.is_some() && !matches!(args.kind, Kind::Sshd | Kind::Apache) {
        return Err(hinted(format!("--for has no meaning for {name}"), "use --as sshd or apache"));
    }
    if args.spans && args.kind == Kind::Json {
        let hint = "use --as yaml, which reads JSON too; every other kind has them";
        return Err(hinted(format!("places of {name} values are not kept"), hint));
    }
    if args.format == Format::Events && args.kind != Kind::Yaml {
        return Err(hinted(format!("--format events has no meaning for {name}"), "use --as yaml"));
    }
    Ok(())
}

fn documents(source: &Source, args: &Args) -> anyhow::Result<Parsed> {
    let bytes = source.bytes()?;
    let read = match args.kind {
        Kind::Json => yaml::json(&bytes).map(|value| vec![value]),
        _ => yaml::config_tree(&bytes).and_then(|tree| {
            let values = tree.to_json(yaml::Tags::Shown)?;
            if !args.spans {
                return Ok(values);
            }
            if values.is_empty() {
                let message = "no document, so no places".to_string();
                return Err(yaml::DocumentError { line: 0, column: 0, message });
            }
            let spans = tree.to_places()?;
            Ok(values.iter().zip(&spans).map(|(value, spans)| beside(value, spans)).collect())
        }),
    };
    let mut values = read.map_err(|error| unread(source, args.kind, &error))?;
    let value = match (args.format, values.len()) {
        (Format::Jsonl, _) => Value::Array(values),
        (_, 0) => Value::Null,
        (_, 1) => values.remove(0),
        (_, count) => {
            let message = format!("{}: {count} documents", source.name());
            return Err(hinted(message, "--format jsonl prints one JSON value a document"));
        }
    };
    Ok(Parsed { value, entries: None, problems: Vec::new(), more: 0, unread: Vec::new() })
}

/// A document with its places: under `spans` if it is a mapping without such a key, else both are wrapped.
fn beside(value: &Value, spans: &Value) -> Value {
    match value.get("spans") {
        None => shape::with(value, "spans", spans),
        Some(_) => json!({ "value": value, "spans": spans }),
    }
}

/// A document that is none, with its line and a caret.
fn unread(source: &Source, kind: Kind, error: &yaml::DocumentError) -> anyhow::Error {
    let place = Place::new(&source.name().into(), error.line, error.column);
    let shown = source.excerpt(&place).unwrap_or_default();
    let hint = match kind {
        Kind::Json => "JSON has no comments and no comma after the last value",
        _ => "look at the indentation and the quotes just before this place",
    };
    hinted(format!("{place}: {}{shown}", error.message), hint)
}

fn sshd(source: &Source, args: &Args) -> anyhow::Result<Parsed> {
    let mut read = Sshd::read(source.tree(), source.path()).map_err(|e| unreadable(&e))?;
    let mut problems = std::mem::take(&mut read.problems);
    let (value, entries) = if args.effective {
        let connection = connection(args.connection.as_deref().unwrap_or_default())?;
        let effective = read.effective(&connection);
        let value = effective.to_json();
        problems.extend(
            effective.problems.into_iter().filter(|p| !problems.contains(p)).collect::<Vec<_>>(),
        );
        (value, "settings")
    } else {
        (read.to_json(), "lines")
    };
    let unread = std::mem::take(&mut read.unread);
    Ok(Parsed { value, entries: Some(entries), problems, more: 0, unread })
}

/// Reads `user=…,host=…,addr=…`.
fn connection(list: &str) -> anyhow::Result<Connection> {
    let mut connection = Connection::default();
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let known = "known are user, host, addr, laddr, lport, rdomain and group";
        let (name, value) =
            part.split_once('=').ok_or_else(|| hinted("--for: `name=value` is expected", known))?;
        let text = Some(value.to_string());
        match name.trim() {
            "user" => connection.user = text,
            "host" => connection.host = text,
            "addr" => connection.addr = text,
            "laddr" => connection.laddr = text,
            "rdomain" => connection.rdomain = text,
            "group" => connection.groups.push(value.to_string()),
            "lport" => {
                let port = value.parse().map_err(|_| {
                    hinted("--for: lport is not a port", "a number from 0 to 65535")
                })?;
                connection.lport = Some(port);
            }
            _ => return Err(hinted("--for: unknown name", known)),
        }
    }
    Ok(connection)
}

fn unreadable(error: &LookError) -> anyhow::Error {
    let hint = match error.why {
        parsers::tree::Why::Denied => "run it with sudo, or give the text on standard input (`-`)",
        parsers::tree::Why::NotRegular(_) => "only regular files are read; use `-` for a pipe",
        _ => "",
    };
    hinted(error.to_string(), hint)
}

/// What holds in the end, in the shape of sshd's.
fn effective(source: &Source, kind: Kind) -> anyhow::Result<Parsed> {
    let mut settings = BTreeMap::new();
    let (problems, unread) = match kind {
        Kind::Sysctl => {
            let read = Sysctl::read(source.tree());
            for (key, set) in read.settings.iter().chain(read.patterns.iter().map(|(k, s)| (k, s)))
            {
                let lost = set.overrides.iter().map(|old| (&old.place, old.value.as_str()));
                settings.insert(key.clone(), setting(&set.place, &set.value, lost));
            }
            (read.problems, read.unread)
        }
        _ => {
            let read = key_values(source, kind)?;
            let mut by_key: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
            for entry in &read.entries {
                by_key.entry(&entry.key).or_default().push(entry);
            }
            for (key, mut entries) in by_key {
                if let Some(last) = entries.pop() {
                    let lost = entries.iter().map(|old| (&old.place, old.value.as_str()));
                    settings.insert(key.to_string(), setting(&last.place, &last.value, lost));
                }
            }
            (read.problems, Vec::new())
        }
    };
    Ok(Parsed::new(json!({ "settings": settings }), "settings", problems).unread(unread))
}

fn setting<'a>(
    place: &Place,
    value: &str,
    lost: impl Iterator<Item = (&'a Place, &'a str)>,
) -> Value {
    let overrides: Vec<Value> = lost
        .map(|(at, value)| json!({"file": &*at.file, "line": at.line, "column": at.column, "value": value}))
        .collect();
    json!({
        "value": value,
        "file": &*place.file,
        "line": place.line,
        "column": place.column,
        "overrides": overrides,
    })
}

fn key_values(source: &Source, kind: Kind) -> anyhow::Result<KeyValues> {
    let dialect = match kind {
        Kind::LoginDefs => Dialect::LoginDefs,
        _ => Dialect::Equals,
    };
    Ok(KeyValues::parse(source.name(), &source.bytes()?, dialect))
}

/// The lines of a file as entries.
fn entries(source: &Source, kind: Kind) -> anyhow::Result<Parsed> {
    let name = source.name();
    let bytes = || source.bytes();
    Ok(match kind {
        Kind::Passwd => table(accounts::passwd(name, &bytes()?))?,
        Kind::Shadow => table(accounts::shadow(name, &bytes()?))?,
        Kind::Group => table(accounts::group(name, &bytes()?))?,
        Kind::Gshadow => table(accounts::gshadow(name, &bytes()?))?,
        Kind::Sysctl => {
            let read = Sysctl::parse(name, &bytes()?);
            let value = json!({
                "file": name,
                "settings": read.settings,
                "patterns": read.patterns,
                "excluded": read.excluded,
            });
            Parsed::new(value, "settings", read.problems)
        }
        Kind::Sudoers => {
            let read = sudoers::Sudoers::read(source.tree(), source.path());
            let mut read = read.map_err(|e| unreadable(&e))?;
            let problems = std::mem::take(&mut read.problems);
            let unread = std::mem::take(&mut read.unread);
            Parsed::new(plain(&read)?, "rules", problems).unread(unread)
        }
        Kind::Pam => {
            let read = pam::Stack::read(source.tree(), source.path());
            let mut read = read.map_err(|e| unreadable(&e))?;
            let problems = std::mem::take(&mut read.problems);
            let unread = std::mem::take(&mut read.unread);
            Parsed::new(plain(&read)?, "rules", problems).unread(unread)
        }
        Kind::Crontab => {
            let form = form(name);
            let mut read = cron::Crontab::parse(name, &bytes()?, &form);
            let problems = std::mem::take(&mut read.problems);
            Parsed::new(plain(&read)?, "jobs", problems)
        }
        _ => {
            let mut read = key_values(source, kind)?;
            let problems = std::mem::take(&mut read.problems);
            Parsed::new(plain(&read)?, "entries", problems)
        }
    })
}

/// A crontab below `/etc` names its users; elsewhere the file's name is the user.
fn form(name: &str) -> cron::Form {
    if name.starts_with("/etc/") {
        return cron::Form::System;
    }
    cron::Form::User(name.rsplit('/').next().unwrap_or(name).to_string())
}

fn table<T: serde::Serialize>(mut table: accounts::Table<T>) -> anyhow::Result<Parsed> {
    let problems = std::mem::take(&mut table.problems);
    Ok(Parsed::new(plain(&table)?, "entries", problems))
}

/// A parser's value as JSON, without the list of problems (they go to stderr).
fn plain<T: serde::Serialize>(value: &T) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(value)?;
    if let Value::Object(fields) = &mut value {
        fields.shift_remove("problems");
    }
    Ok(value)
}

/// The output's text.
fn text(parsed: &Parsed, format: Format) -> anyhow::Result<String> {
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(&parsed.value)? + "\n");
    }
    let mut out = String::new();
    let mut line = |value: &Value| -> anyhow::Result<()> {
        out.push_str(&serde_json::to_string(value)?);
        out.push('\n');
        Ok(())
    };
    let (entries, spans) = match parsed.entries {
        Some(name) => (&parsed.value[name], parsed.value["spans"].get(name)),
        None => (&parsed.value, None),
    };
    match entries {
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                match spans.and_then(|spans| spans.get(index)) {
                    Some(spans) => line(&shape::with(value, "spans", spans))?,
                    None => line(value)?,
                }
            }
        }
        Value::Object(values) => {
            for (key, value) in values {
                let value = match spans.and_then(|spans| spans.get(key)) {
                    Some(spans) => shape::with(value, "spans", spans),
                    None => value.clone(),
                };
                line(&shape::with(&value, "key", &json!(key)))?;
            }
        }
        other => line(other)?,
    }
    Ok(out)
}

/// Most problems that are shown one by one.
const PROBLEMS_SHOWN_MAX: usize = 20;

/// Tells on stderr what could not be understood or read; the exit code that it means.
fn report(parsed: &Parsed, source: &Source, kind: Kind) -> Exit {
    // Malformed account lines may hold a hash in any field: only their place is told.
    // So may a line of a key, a list of passwords or a Secret.
    let is_secret = matches!(
        kind,
        Kind::Passwd
            | Kind::Shadow
            | Kind::Group
            | Kind::Gshadow
            | Kind::Certificate
            | Kind::CloudInit
            | Kind::Kubernetes
    );
    for problem in parsed.problems.iter().take(PROBLEMS_SHOWN_MAX) {
        let shown = match is_secret {
            true => String::new(),
            false => source.excerpt(&problem.place).unwrap_or_default(),
        };
        let place = scanner::redact::printable(&problem.place.to_string());
        let message = scanner::redact::line(&problem.message);
        say!("wardmote: warning: {place}: {message}{shown}");
    }
    let more = parsed.problems.len().saturating_sub(PROBLEMS_SHOWN_MAX) + parsed.more;
    if more > 0 {
        say!("wardmote: warning: and {more} more problems");
    }
    for error in &parsed.unread {
        say!("wardmote: warning: {}", scanner::redact::printable(&error.to_string()));
    }
    match parsed.problems.is_empty() && more == 0 && parsed.unread.is_empty() {
        true => Exit::Clean,
        false => Exit::Incomplete,
    }
}

#[cfg(test)]
mod tests;
