//! The checks around the settings: would sshd start, does the running daemon use what the files
//! say, and who may read its keys and write its files.

use std::net::SocketAddr;
use std::path::Path;

use consensus::Severity;
use parsers::config::sshd::Sshd;
use parsers::place::Place;
use parsers::tree::{Links, Stat};

use super::super::services::intent::{Intent, Wanted};
use super::super::{Observation, Outcome};
use super::fact::SshFact;
use crate::facts::Facts;
use crate::ports::{Inventory, Listener};

/// Most findings of one kind that are reported one by one.
const SHOWN_MAX: usize = 20;
/// Keys that sshd loads when none is configured.
const DEFAULT_KEYS: &[&str] =
    &["/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"];

fn with(facts: &Facts<'_>, look: impl FnOnce(&SshFact, &Sshd) -> Outcome) -> Outcome {
    let fact = facts.get::<SshFact>();
    match fact.sshd() {
        Ok(sshd) => look(&fact, sshd).unseen(fact.unseen.iter().cloned()),
        Err(outcome) => outcome,
    }
}

pub(super) fn refused(facts: &Facts<'_>) -> Outcome {
    with(facts, |fact, sshd| {
        let observations = sshd.problems.iter().take(SHOWN_MAX).map(|problem| {
            // The line itself is not shown: what sshd cannot read may be anything, a password too.
            Observation::at(&problem.place, &problem.message)
                .key(problem.message.as_str())
                .title(format!("sshd would not start: {}", problem.message))
                .fact("lines", sshd.problems.len().to_string())
        });
        let files = sshd.files().count();
        Outcome::failed_or(
            observations.collect(),
            format!("{} and what it includes ({files} files) is accepted", fact.path),
        )
    })
}

pub(super) fn unapplied(facts: &Facts<'_>) -> Outcome {
    if !facts.live {
        return Outcome::not_applicable("a mounted tree has no running daemon");
    }
    with(facts, |fact, sshd| {
        if let Some(why) = &fact.daemon_hidden {
            return Outcome::not_run(why);
        }
        let Some(daemon) = &fact.daemon else {
            return Outcome::not_applicable("no sshd is listening");
        };
        let Some(started) = daemon.started else {
            return Outcome::unknown(format!("start of process {} is not known", daemon.pid));
        };
        let mut unseen = Vec::new();
        let mut newer = Vec::new();
        for path in sshd.files() {
            match facts.tree.stat(Path::new(path), Links::Follow) {
                Ok(stat) if stat.modified > started => newer.push((stat.modified, path)),
                Ok(_) => {}
                Err(error) => unseen.push(error.to_string()),
            }
        }
        newer.sort_unstable_by(|a, b| b.cmp(a));
        let Some(&(modified, path)) = newer.first() else {
            return Outcome::passed(format!("process {} is newer than its files", daemon.pid))
                .unseen(unseen);
        };
        let after = modified - started;
        let mut seen = Observation::at(
            &Place::whole(path),
            &format!("changed {after} s after sshd (process {}) was started", daemon.pid),
        )
        .title("the running sshd may not use its configuration yet")
        .fact("pid", daemon.pid.to_string())
        .fact("seconds_behind", after.to_string());
        for (_, path) in newer.iter().skip(1).take(SHOWN_MAX) {
            seen = seen.line(&Place::whole(*path), "changed after sshd was started");
        }
        // A reload keeps the process and is not to be seen from outside.
        Outcome::failed(seen).unseen(unseen)
    })
}

/// Where sshd is to listen, and where the daemon does: not its sessions, which listen for what their users
/// forward. `None` where that cannot be told, or systemd listens in its place.
pub(in crate::checks) fn intent<'i>(
    facts: &Facts<'_>,
    inventory: &'i Inventory,
) -> Option<Intent<'i>> {
    let fact = facts.get::<SshFact>();
    let (sshd, daemon) = (fact.sshd().ok()?, fact.daemon.as_ref()?);
    let is_listener = daemon.command.text.contains("[listener]")
        || daemon.command.text.split(' ').next().is_some_and(|word| word.ends_with("/sshd"));
    let is_whole = sshd.problems.is_empty() && sshd.unread.is_empty() && fact.unseen.is_empty();
    if !is_listener || !is_whole || fact.socket.unit.is_some() {
        return None;
    }
    let of_ssh = || {
        let tcp = inventory.listeners.iter().filter(|one| one.protocol == "tcp");
        tcp.filter(|one| one.service == "ssh")
    };
    let holds = |one: &&Listener, pid: u32| one.owners.iter().any(|owner| owner.pid == pid);
    let found: Vec<&Listener> = of_ssh().filter(|one| holds(one, daemon.pid)).collect();
    let contained =
        found.iter().any(|one| one.owners.iter().any(|owner| owner.container.is_some()));
    if contained || of_ssh().any(|one| holds(&one, 1)) {
        return None;
    }
    let global = sshd.global();
    let mut wanted = Vec::new();
    if let Some(setting) = global.get("listenaddress") {
        for one in &setting.values {
            let place: SocketAddr = one.value.parse().ok()?;
            let (address, port) = (place.ip(), place.port());
            let said = (one.place.clone(), one.text.clone());
            wanted.push(Wanted { address: Some(address), port, required: address.is_ipv4(), said });
        }
    } else if let Some(setting) = global.get("port") {
        for one in &setting.values {
            let said = (one.place.clone(), one.text.clone());
            let port = one.value.parse().ok()?;
            wanted.push(Wanted { address: None, port, required: true, said });
        }
    } else {
        let said = (Place::whole(fact.path.as_str()), "Port 22 is the default".to_string());
        wanted.push(Wanted { address: None, port: 22, required: true, said });
    }
    Some(Intent { daemon: "ssh", wanted, found })
}

pub(super) fn command_line(facts: &Facts<'_>) -> Outcome {
    with(facts, |fact, _| {
        if let Some(why) = &fact.daemon_hidden {
            return Outcome::not_run(why);
        }
        let Some(daemon) = &fact.daemon else {
            return Outcome::not_applicable("no running sshd was seen");
        };
        let command = &daemon.command;
        let place = Place::whole(format!("/proc/{}/cmdline", daemon.pid));
        let mut observations = Vec::new();
        if let Some(config) = &command.config
            && config != parsers::config::sshd::DEFAULT_PATH
        {
            observations.push(
                Observation::at(&place, &command.text)
                    .key("-f")
                    .title(crate::redact::line(&format!("the running sshd reads {config}")))
                    .fact("configuration", crate::redact::line(config)),
            );
        }
        for setting in command.settings.iter().take(SHOWN_MAX) {
            let line = crate::redact::line(&setting.value);
            let title =
                format!("the running sshd was started with `{line}`, whatever its file says");
            observations
                .push(Observation::at(&place, &command.text).key(line.clone()).title(title));
        }
        Outcome::failed_or(observations, crate::redact::line(&command.text))
    })
}

pub(super) fn socket_unit(facts: &Facts<'_>) -> Outcome {
    with(facts, |fact, sshd| {
        let Some(unit) = fact.socket.unit else {
            return Outcome::not_applicable("no socket unit of sshd is enabled");
        };
        let listens: Vec<&str> =
            fact.socket.listens.iter().map(|listen| listen.value.as_str()).collect();
        let listens = listens.join(", ");
        let global = sshd.global();
        let mut observations = Vec::new();
        for keyword in ["port", "listenaddress"] {
            let Some(setting) = global.get(keyword) else { continue };
            // Ubuntu's generator writes what the file says into the unit.
            let follows = |port: &str| {
                fact.socket.listens.iter().any(|listen| {
                    listen.value == port || listen.value.rsplit(':').next() == Some(port)
                })
            };
            let ports: Vec<&str> = setting
                .values
                .iter()
                .map(|value| value.value.rsplit(':').next().unwrap_or_default())
                .collect();
            if ports.iter().all(|port| follows(port)) {
                continue;
            }
            let mut seen = Observation::at(setting.place(), setting.text())
                .key(keyword)
                .title(format!("{unit} decides where SSH listens, not {keyword}"))
                .fact("listens", crate::redact::line(&listens))
                .fact("value", setting.value());
            for listen in fact.socket.listens.iter().take(SHOWN_MAX) {
                seen = seen.line(&listen.place, &listen.text);
            }
            observations.push(seen);
        }
        Outcome::failed_or(observations, format!("{unit} listens on {listens}"))
    })
}

pub(super) fn host_keys(facts: &Facts<'_>) -> Outcome {
    with(facts, |_, sshd| {
        let global = sshd.global();
        let configured: Vec<(String, Option<Place>)> = match global.get("hostkey") {
            Some(setting) => setting
                .values
                .iter()
                .map(|key| (key.value.clone(), Some(key.place.clone())))
                .collect(),
            None => DEFAULT_KEYS.iter().map(|path| ((*path).to_string(), None)).collect(),
        };
        let mut observations = Vec::new();
        let mut unseen = Vec::new();
        let mut keys = 0;
        for (path, _) in configured.iter().filter(|(path, _)| path != "none") {
            match facts.tree.stat(Path::new(path), Links::Follow) {
                Ok(stat) => {
                    keys += 1;
                    observations.extend(key_fault(facts, path, &stat));
                }
                Err(error) if error.not_found() => {}
                Err(error) => unseen.push(error.to_string()),
            }
        }
        if keys == 0 && unseen.is_empty() {
            return Outcome::not_applicable("there is no host key");
        }
        Outcome::failed_or(observations, format!("{keys} host keys are readable by root only"))
            .unseen(unseen)
    })
}

fn key_fault(facts: &Facts<'_>, path: &str, stat: &Stat) -> Option<Observation> {
    let what = if stat.uid != 0 {
        format!("belongs to user {}", stat.uid)
    } else if stat.mode & 0o007 != 0 {
        "is readable or writable by every user".to_string()
    } else if stat.mode & 0o020 != 0 || stat.mode & 0o040 != 0 && !is_key_group(facts, stat.gid) {
        format!("is open to group {}", stat.gid)
    } else {
        return None;
    };
    let mut seen = Observation::at(&Place::whole(path), &described(stat))
        .key(path)
        .title(format!("host key {path} {what}"))
        .fact("mode", format!("{:04o}", stat.mode));
    seen = if stat.mode & 0o007 != 0 || stat.uid != 0 {
        seen.floor(Severity::High)
    } else {
        seen.level(Severity::Medium)
    };
    seen.subject.path = Some(path.to_string());
    seen.snippet = Some(format!("chown root:root {path} && chmod 600 {path}"));
    Some(seen)
}

/// Root's group, or Red Hat's group of the program that signs with host keys.
fn is_key_group(facts: &Facts<'_>, gid: u32) -> bool {
    gid == 0
        || facts.read("/etc/group").is_ok_and(|bytes| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let wanted = gid.to_string();
            text.lines().any(|line| {
                let mut fields = line.split(':');
                fields.next() == Some("ssh_keys") && fields.nth(1) == Some(wanted.as_str())
            })
        })
}

fn described(stat: &Stat) -> String {
    format!("mode {:04o}, owner {}, group {}", stat.mode, stat.uid, stat.gid)
}

pub(super) fn file_modes(facts: &Facts<'_>) -> Outcome {
    with(facts, |_, sshd| {
        let mut observations = Vec::new();
        let mut unseen = Vec::new();
        let directory = Path::new("/etc/ssh/sshd_config.d");
        let mut paths: Vec<&Path> = sshd.files().map(Path::new).collect();
        paths.push(Path::new("/etc/ssh"));
        paths.push(directory);
        for path in paths {
            let stat = match facts.tree.stat(path, Links::Follow) {
                Ok(stat) => stat,
                Err(error) if error.not_found() => continue,
                Err(error) => {
                    unseen.push(error.to_string());
                    continue;
                }
            };
            let group = stat.mode & 0o020 != 0 && stat.gid != 0;
            if stat.uid == 0 && stat.mode & 0o002 == 0 && !group {
                continue;
            }
            let path = path.display().to_string();
            let mut seen = Observation::at(&Place::whole(path.as_str()), &described(&stat))
                .key(path.as_str())
                .title(format!("somebody else than root may write {path}"))
                .fact("mode", format!("{:04o}", stat.mode))
                .floor(Severity::High);
            seen.snippet = Some(format!("chown root:root {path} && chmod go-w {path}"));
            seen.subject.path = Some(path);
            observations.push(seen);
        }
        Outcome::failed_or(observations, "only root may write sshd's configuration").unseen(unseen)
    })
}
