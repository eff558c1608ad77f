//! Formats made of directives and blocks, and those of packet filters and certificates.

use parsers::config::apache::{Apache, Facts, Request};
use parsers::config::certificates::Certificates;
use parsers::config::nginx::Nginx;
use parsers::config::rsyslog::{Rsyslog, Statement};
use parsers::config::{docker, iptables, nftables};

use crate::exit::hinted;

use super::daemons::shown;
use super::source::Source;
use super::{Args, Kind, Parsed, plain, unreadable};

/// Whether a kind is read here.
pub(super) fn handles(kind: Kind) -> bool {
    use Kind::{Apache, Certificate, Docker, Iptables, Nftables, Nginx, Rsyslog};
    matches!(kind, Nginx | Apache | Iptables | Nftables | Docker | Certificate | Rsyslog)
}

/// Whether a kind that is read here has an effective view.
pub(super) fn has_effective(kind: Kind) -> bool {
    matches!(kind, Kind::Nginx | Kind::Apache | Kind::Docker)
}

/// Reads a file: its structure, or what holds in the end.
pub(super) fn read(source: &Source, kind: Kind, args: &Args) -> anyhow::Result<Parsed> {
    match kind {
        Kind::Nginx => nginx(source, args.effective),
        Kind::Apache => apache(source, args),
        Kind::Docker => docker_daemon(source),
        Kind::Rsyslog => rsyslog(source),
        Kind::Iptables => {
            let mut read = iptables::Ruleset::parse(source.name(), &source.bytes()?);
            let problems = std::mem::take(&mut read.problems);
            Ok(Parsed::new(plain(&read)?, "rules", problems))
        }
        Kind::Nftables => {
            let mut read = nftables::Ruleset::parse(source.name(), &source.bytes()?);
            let problems = std::mem::take(&mut read.problems);
            Ok(Parsed::new(plain(&read)?, "rules", problems))
        }
        Kind::Certificate => {
            let mut read = Certificates::parse(source.name(), &source.bytes()?);
            let problems = std::mem::take(&mut read.problems);
            Ok(Parsed::new(plain(&read)?, "certificates", problems))
        }
        _ => anyhow::bail!("this kind is not read here"),
    }
}

fn nginx(source: &Source, effective: bool) -> anyhow::Result<Parsed> {
    let mut read = Nginx::read(source.tree(), source.path()).map_err(|e| unreadable(&e))?;
    let mut problems = std::mem::take(&mut read.problems);
    let unread = std::mem::take(&mut read.unread);
    if !effective {
        return Ok(Parsed::new(plain(&read)?, "directives", problems).unread(unread));
    }
    let effective = read.effective();
    for problem in effective.problems.kept.iter() {
        problems.push(problem.place.clone(), problem.message.clone());
    }
    Ok(Parsed::new(effective.to_json(), "blocks", problems).unread(unread))
}

/// Debian's variables, where it has them.
const ENVVARS: &str = "/etc/apache2/envvars";

fn apache(source: &Source, args: &Args) -> anyhow::Result<Parsed> {
    let mut facts = Facts::default();
    if let Some((directory, _)) = source.path().rsplit_once('/') {
        // Debian starts it below the directory of the main file.
        let is_main = ["apache2.conf", "httpd.conf"].iter().any(|n| source.path().ends_with(n));
        if is_main {
            facts.server_root = directory.to_string();
        }
    }
    if let Ok(bytes) = source.tree().read_config(ENVVARS) {
        facts = facts.with_envvars(&bytes);
    }
    let read = Apache::read(source.tree(), source.path(), &facts);
    let mut read = read.map_err(|e| unreadable(&e))?;
    let mut problems = std::mem::take(&mut read.problems);
    let unread = std::mem::take(&mut read.unread);
    if !args.effective {
        return Ok(Parsed::new(plain(&read)?, "directives", problems).unread(unread));
    }
    let effective = read.effective(&request(args.connection.as_deref().unwrap_or_default())?);
    for problem in &effective.problems.kept {
        problems.push(problem.place.clone(), problem.message.clone());
    }
    Ok(Parsed::new(effective.to_json(), "settings", problems).unread(unread))
}

/// Reads `host=…,path=/…,file=/…`.
fn request(list: &str) -> anyhow::Result<Request> {
    let mut request = Request::default();
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let known = "for apache known are host, path and file";
        let (name, value) =
            part.split_once('=').ok_or_else(|| hinted("--for: `name=value` is expected", known))?;
        let text = Some(value.to_string());
        match name.trim() {
            "host" => request.host = text,
            "path" => request.path = text,
            "file" => request.file = text,
            _ => return Err(hinted("--for: unknown name", known)),
        }
    }
    Ok(request)
}

/// Options are settings already: what a name that stands twice overrode is always told.
fn docker_daemon(source: &Source) -> anyhow::Result<Parsed> {
    let mut read = docker::parse(source.name(), &source.bytes()?);
    let problems = std::mem::take(&mut read.problems);
    Ok(Parsed::new(read.to_json(), "settings", problems))
}

fn rsyslog(source: &Source) -> anyhow::Result<Parsed> {
    let mut read = Rsyslog::read(source.tree(), source.path()).map_err(|e| unreadable(&e))?;
    let problems = std::mem::take(&mut read.problems);
    let unread = std::mem::take(&mut read.unread);
    hide_statements(&mut read.statements);
    Ok(Parsed::new(plain(&read)?, "statements", problems).unread(unread))
}

/// Passwords of databases and keys are parameters. Depth is bounded by that of blocks and includes.
fn hide_statements(all: &mut [Statement]) {
    for statement in all {
        statement.text = shown("", &statement.text);
        for (name, values) in &mut statement.parameters {
            let is_secret = matches!(name.as_str(), "pwd" | "key" | "pass");
            for value in values {
                let key = if is_secret { "password" } else { name.as_str() };
                value.value = shown(key, &value.value);
            }
        }
        for inner in [&mut statement.block, &mut statement.otherwise] {
            hide_statements(inner.as_deref_mut().unwrap_or_default());
        }
    }
}
