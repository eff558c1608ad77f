//! Where daemons are to listen by their configuration, beside where they do.
//!
//! A difference is a daemon that was not restarted, a command line or a change at run time that overrides
//! the file, or an address that is not there. A false alarm is worse than a miss: a daemon is judged only
//! where it holds its sockets itself (no socket unit), runs on this host and not in a container, and every
//! word of its configuration that could matter is understood. A wildcard covers every address of its port,
//! and nobody has to listen on IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use consensus::{Exposure, Severity};
use parsers::config::nginx::Nginx;
use parsers::config::redis;
use parsers::config::systemd_unit::{Unit, UnitFiles};
use parsers::place::Place;
use parsers::tree::Tree;

use super::super::{Observation, Outcome, ssh};
use super::{observation, shown, with};
use crate::Facts;
use crate::ports::addresses::unmapped;
use crate::ports::{Inventory, Listener, Owner};

/// Port of a `listen` that names none.
const HTTP: u16 = 80;
/// Port of a redis.conf that names none, and how far its cluster's is from it.
const REDIS: (u16, u16) = (6379, 10_000);

/// A place where a daemon is to listen.
pub(in crate::checks) struct Wanted {
    /// Address; `None` is any.
    pub address: Option<IpAddr>,
    /// Port.
    pub port: u16,
    /// Whether something is wrong where nobody listens.
    pub required: bool,
    /// The line that says so, and its text.
    pub said: (Place, String),
}

/// What a daemon's configuration says, and which of its listeners are the daemon's own.
pub(in crate::checks) struct Intent<'i> {
    /// Its name.
    pub daemon: &'static str,
    /// Where it is to listen.
    pub wanted: Vec<Wanted>,
    /// Where it does.
    pub found: Vec<&'i Listener>,
}

/// The check.
pub(super) fn otherwise(facts: &Facts<'_>) -> Outcome {
    with(facts, |inventory| {
        let daemons = [
            redis_intent(facts.tree, inventory),
            nginx_intent(facts.tree, inventory),
            ssh::intent(facts, inventory),
        ];
        let judged: Vec<Intent<'_>> = daemons.into_iter().flatten().collect();
        if judged.is_empty() {
            let why =
                "no redis, nginx or sshd runs whose configuration tells where it is to listen";
            return Outcome::not_applicable(why);
        }
        let names: Vec<&str> = judged.iter().map(|one| one.daemon).collect();
        let found = judged.iter().flat_map(|one| differences(one, inventory)).collect();
        Outcome::failed_or(found, format!("{} as configured", names.join(", ")))
    })
}

fn differences(intent: &Intent<'_>, inventory: &Inventory) -> Vec<Observation> {
    let mut found = Vec::new();
    for listener in &intent.found {
        let of_port = intent.wanted.iter().filter(|wanted| wanted.port == listener.port);
        if of_port.clone().any(|wanted| wanted.covers(listener)) {
            continue;
        }
        // The line of the same port is what somebody reads and believes.
        let Some(said) = of_port.chain(&intent.wanted).next() else { continue };
        let title = format!(
            "{} listens on {}, and its configuration does not say so",
            intent.daemon,
            shown(listener)
        );
        let level = match listener.exposure {
            Exposure::Loopback => Severity::Low,
            Exposure::Private | Exposure::Unknown | Exposure::World => Severity::Medium,
        };
        let seen = observation(listener).title(title).level(level);
        found.push(seen.line(&said.said.0, &said.said.1));
    }
    for wanted in intent.wanted.iter().filter(|wanted| wanted.required) {
        // Whoever listens there: a proxy before the daemon is none of its faults.
        if inventory.listeners.iter().any(|one| wanted.is_met_by(one)) {
            continue;
        }
        let place = match wanted.address {
            Some(address) => SocketAddr::new(address, wanted.port).to_string(),
            None => format!("port {}", wanted.port),
        };
        let title = format!("{} is to listen on {place}, and nobody listens there", intent.daemon);
        let mut seen = Observation::at(&wanted.said.0, &wanted.said.1)
            .key(format!("{} {place}", intent.daemon))
            .title(title)
            .level(Severity::Low);
        seen.services = Some(vec![intent.daemon.to_string()]);
        seen.subject.port = Some(wanted.port);
        found.push(seen);
    }
    found
}

impl Wanted {
    /// Whether a listener of the port is where this says.
    fn covers(&self, listener: &Listener) -> bool {
        self.address.is_none_or(|address| {
            unmapped(address).is_unspecified() || unmapped(address) == unmapped(listener.address)
        })
    }

    /// Whether somebody listens here.
    fn is_met_by(&self, listener: &Listener) -> bool {
        let bound = unmapped(listener.address);
        listener.protocol == "tcp"
            && listener.port == self.port
            && (bound.is_unspecified()
                || self.address.is_none_or(|address| {
                    unmapped(address).is_unspecified() || unmapped(address) == bound
                }))
    }
}

/// The TCP listeners of one unit's processes with such an executable. `None` where there are none, or where
/// somebody else has a part in them: systemd by a socket unit, or a container.
fn held_by<'i>(
    inventory: &'i Inventory,
    service: &str,
    executables: &[&str],
    units: &[&'static str],
) -> Option<(&'static str, Vec<&'i Listener>)> {
    let of_service = || {
        let tcp = inventory.listeners.iter().filter(|one| one.protocol == "tcp");
        tcp.filter(|one| one.service == service)
    };
    if of_service().any(|one| one.owners.iter().any(|owner| owner.pid == 1)) {
        return None;
    }
    let is_executable = |owner: &Owner| {
        let name = owner.exe.as_deref().and_then(|exe| exe.rsplit('/').next());
        name.is_some_and(|name| executables.contains(&name)) && owner.container.is_none()
    };
    units.iter().find_map(|unit| {
        let is_its = |owner: &Owner| owner.unit.as_deref() == Some(*unit) && is_executable(owner);
        let held: Vec<&Listener> = of_service()
            .filter(|one| !one.owners.is_empty() && one.owners.iter().all(is_its))
            .collect();
        (!held.is_empty()).then_some((*unit, held))
    })
}

/// The words of a unit's command.
fn command(tree: &dyn Tree, unit: &str) -> Option<Vec<String>> {
    let unit = Unit::load(tree, &UnitFiles::list(tree), unit);
    let command = unit.settings.value("Service.ExecStart")?;
    // Quotes and variables may hide an option.
    let is_plain = !command.contains(['$', '%', '\\']);
    is_plain.then(|| command.split_ascii_whitespace().map(str::to_string).collect())
}

fn redis_intent<'i>(tree: &dyn Tree, inventory: &'i Inventory) -> Option<Intent<'i>> {
    let units =
        ["redis-server.service", "redis.service", "valkey-server.service", "valkey.service"];
    let (unit, found) =
        held_by(inventory, "redis", &["redis-server", "valkey-server", "redis-check-rdb"], &units)?;
    let words = command(tree, unit)?;
    let overrides = ["--port", "--bind", "--tls-port", "--cluster-port", "-"];
    let path = words.get(1).filter(|word| word.starts_with('/'))?;
    if words.iter().any(|word| overrides.contains(&word.as_str())) {
        return None;
    }
    let settings = redis::read(tree, path).ok()?;
    if !settings.problems.is_empty() || !settings.unread.is_empty() {
        return None;
    }
    let number = |name: &str, absent: u16| match settings.value(name) {
        Some(text) => text.parse::<u16>().ok(),
        None => Some(absent),
    };
    let (port, tls) = (number("port", REDIS.0)?, number("tls-port", 0)?);
    let said = |name: &str| {
        let setting = settings.by_key.get(name).and_then(|setting| setting.values.last());
        let whole = || (Place::whole(path.as_str()), String::new());
        setting.map_or_else(whole, |one| (one.place.clone(), one.text.clone()))
    };
    let mut wanted = Vec::new();
    for (port, name) in [(port, "bind"), (tls, "bind")].into_iter().filter(|(port, _)| *port != 0) {
        for word in settings.value("bind").unwrap_or("* -::*").split_ascii_whitespace() {
            let address = match word.trim_start_matches('-') {
                "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                text => text.parse().ok()?,
            };
            let required = address.is_ipv4() && !word.starts_with('-');
            wanted.push(Wanted { address: Some(address), port, required, said: said(name) });
        }
        if settings.value("cluster-enabled").is_some_and(|word| word.eq_ignore_ascii_case("yes")) {
            let bus = number("cluster-port", 0)?;
            let bus = if bus == 0 { port.saturating_add(REDIS.1) } else { bus };
            let said = said("cluster-enabled");
            wanted.push(Wanted { address: None, port: bus, required: false, said });
        }
    }
    (!wanted.is_empty()).then_some(Intent { daemon: "redis", wanted, found })
}

fn nginx_intent<'i>(tree: &dyn Tree, inventory: &'i Inventory) -> Option<Intent<'i>> {
    let (unit, found) = held_by(inventory, "http", &["nginx"], &["nginx.service"])?;
    let words = command(tree, unit)?;
    // Another file, prefix or directive on the command line.
    if words.iter().any(|word| matches!(&**word, "-c" | "-p") || word.contains("listen")) {
        return None;
    }
    let nginx = Nginx::read(tree, "/etc/nginx/nginx.conf").ok()?;
    if !nginx.problems.is_empty() || !nginx.unread.is_empty() {
        return None;
    }
    let mut wanted = Vec::new();
    let blocks = nginx.directives.iter();
    for block in blocks.filter(|block| matches!(&*block.name, "http" | "stream" | "mail")) {
        for server in block.named("server") {
            let mut any = false;
            for listen in server.named("listen") {
                any = true;
                let words: Vec<&str> =
                    listen.arguments.iter().map(|word| word.value.as_str()).collect();
                let is_udp = words.iter().any(|word| matches!(*word, "udp" | "quic"));
                let first = *words.first()?;
                if is_udp || first.starts_with("unix:") {
                    continue;
                }
                let (address, port) = endpoint(first)?;
                let text = listen.arguments[0].text.clone();
                let required = address.is_ipv4();
                let said = (listen.place.clone(), text);
                wanted.push(Wanted { address: Some(address), port, required, said });
            }
            if !any && block.name == "http" {
                let address = Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                let said = (server.place.clone(), "server {".to_string());
                wanted.push(Wanted { address, port: HTTP, required: true, said });
            }
        }
    }
    (!wanted.is_empty()).then_some(Intent { daemon: "nginx", wanted, found })
}

/// `80`, `*:80`, `192.0.2.1`, `192.0.2.1:80`, `[::]`, `[::]:80`; `None` for names and ranges of ports.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if let Ok(port) = text.parse() {
        return Some((any, port));
    }
    if let Some(port) = text.strip_prefix("*:") {
        return Some((any, port.parse().ok()?));
    }
    if let Ok(place) = text.parse::<SocketAddr>() {
        return Some((place.ip(), place.port()));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(|address| (address, HTTP))
}

#[cfg(test)]
#[path = "intent_tests.rs"]
mod tests;
