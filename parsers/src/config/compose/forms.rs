//! Ports and volumes of a service in one form (compose-spec `05-services.md`: ports, volumes).

use serde::Serialize;

use super::Fault;
use super::variables;
use crate::config::document::{Data, Node};
use crate::config::problems::Problems;
use crate::place::Place;

/// A port of a service. Ports are text: they may be ranges, or hold variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// The service.
    pub service: String,
    /// The address that it is published on; all of them when there is none.
    pub host_ip: Option<String>,
    /// The port or range that it is published as; chosen by the daemon when there is none.
    pub host_port: Option<String>,
    /// The port or range in the container.
    pub container_port: String,
    /// `tcp` unless another is written.
    pub protocol: String,
    /// Where.
    pub place: Place,
}

/// What a service mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The service.
    pub service: String,
    /// `bind`, `volume`, `tmpfs` and the like.
    #[serde(rename = "type")]
    pub kind: String,
    /// A path of the host or the name of a volume; none for an unnamed one.
    pub source: Option<String>,
    /// The path in the container.
    pub target: String,
    /// Whether it may not be written; `None` when nothing says so.
    pub read_only: Option<bool>,
    /// Where.
    pub place: Place,
}

pub(super) fn ports(name: &str, service: &Node, out: &mut Vec<Port>, problems: &mut Problems) {
    for item in service.get("ports").map(Node::items).unwrap_or_default() {
        match port(name, item) {
            Ok(port) => out.push(port),
            Err((place, message)) => problems.push(place, message),
        }
    }
}

pub(super) fn volumes(name: &str, service: &Node, out: &mut Vec<Volume>, problems: &mut Problems) {
    for item in service.get("volumes").map(Node::items).unwrap_or_default() {
        match volume(name, item) {
            Ok(volume) => out.push(volume),
            Err((place, message)) => problems.push(place, message),
        }
    }
}

/// `[[IP:][HOST]:]CONTAINER[/PROTOCOL]`, or `{target, published, host_ip, protocol}`.
pub(super) fn port(service: &str, item: &Node) -> Result<Port, Fault> {
    let fault = |message| (item.place.clone(), message);
    let made = |host_ip: Option<String>,
                host_port: Option<String>,
                target: String,
                protocol: String| Port {
        service: service.to_string(),
        host_ip,
        host_port: host_port.filter(|port| !port.is_empty()),
        container_port: target,
        protocol,
        place: item.place.clone(),
    };
    if let Data::Map(_) = item.data {
        let of = |key: &str| item.get(key).and_then(Node::shown);
        let target = of("target").ok_or_else(|| fault("a port without its target"))?;
        let protocol = of("protocol").unwrap_or_else(|| "tcp".into());
        return Ok(made(of("host_ip"), of("published"), target, protocol));
    }
    let text = item.shown().ok_or_else(|| fault("a port is text or a mapping"))?;
    let (rest, protocol) = match text.rsplit_once('/') {
        Some((rest, protocol)) if !protocol.contains('}') => (rest, protocol.to_ascii_lowercase()),
        _ => (text.as_str(), "tcp".to_string()),
    };
    let mut parts = split(rest);
    let target = parts.pop().unwrap_or_default();
    let host_port = parts.pop().map(str::to_string);
    let ip = parts.join(":");
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    let looks_right = |port: &str| {
        variables::has_any(port)
            || (!port.is_empty() && port.chars().all(|c| c.is_ascii_digit() || c == '-'))
    };
    let host_is_right =
        host_port.as_deref().is_none_or(|port| port.is_empty() || looks_right(port));
    let ip_is_right =
        ip.is_empty() || variables::has_any(ip) || ip.parse::<std::net::IpAddr>().is_ok();
    if !looks_right(target) || !host_is_right || !ip_is_right {
        return Err(fault("not a port: [[IP:]HOST:]CONTAINER[/PROTOCOL] is expected"));
    }
    let ip = (!ip.is_empty()).then(|| ip.to_string());
    Ok(made(ip, host_port, target.to_string(), protocol))
}

/// `[SOURCE:]TARGET[:MODE]`, or `{type, source, target, read_only}`.
pub(super) fn volume(service: &str, item: &Node) -> Result<Volume, Fault> {
    let fault = |message| (item.place.clone(), message);
    let made = |kind: String, source: Option<String>, target: String, read_only| Volume {
        service: service.to_string(),
        kind,
        source,
        target,
        read_only,
        place: item.place.clone(),
    };
    if let Data::Map(_) = item.data {
        let of = |key: &str| item.get(key).and_then(Node::shown);
        let target = of("target").ok_or_else(|| fault("a volume without its target"))?;
        let kind = of("type").unwrap_or_else(|| "volume".into());
        return Ok(made(kind, of("source"), target, item.get("read_only").and_then(Node::bool)));
    }
    let text = item.text().ok_or_else(|| fault("a volume is text or a mapping"))?;
    let parts = split(text);
    let (source, target, mode) = match parts[..] {
        [target] => (None, target, None),
        [source, target] => (Some(source), target, None),
        [source, target, mode] => (Some(source), target, Some(mode)),
        _ => return Err(fault("not a volume: [SOURCE:]TARGET[:MODE] is expected")),
    };
    let is_path = |source: &str| source.starts_with(['.', '/', '~']);
    let kind = if source.is_some_and(is_path) { "bind" } else { "volume" };
    let read_only = mode.map(|mode| mode.split(',').any(|word| word == "ro"));
    Ok(made(kind.into(), source.map(str::to_string), target.to_string(), read_only))
}

/// Splits at colons outside of `${…}` and of the brackets of an IPv6 address.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::{Documents, Schema};

    fn item(text: &str) -> Node {
        Documents::read(&"/x".into(), text.as_bytes(), Schema::GoYaml3).all.remove(0)
    }

    fn shape(text: &str) -> Option<(Option<String>, Option<String>, String, String)> {
        let port = port("a", &item(text)).ok()?;
        Some((port.host_ip, port.host_port, port.container_port, port.protocol))
    }

    #[test]
    fn every_form_of_a_port_is_one() {
        let made = |ip: Option<&str>, host: Option<&str>, target: &str, protocol: &str| {
            let own = |text: Option<&str>| text.map(str::to_string);
            Some((own(ip), own(host), target.to_string(), protocol.to_string()))
        };
        assert_eq!(shape("3000"), made(None, None, "3000", "tcp"));
        assert_eq!(shape("'3000-3005'"), made(None, None, "3000-3005", "tcp"));
        assert_eq!(
            shape("'9090-9091:8080-8081'"),
            made(None, Some("9090-9091"), "8080-8081", "tcp")
        );
        assert_eq!(
            shape("127.0.0.1:8001:8001"),
            made(Some("127.0.0.1"), Some("8001"), "8001", "tcp")
        );
        assert_eq!(shape("'127.0.0.1::80'"), made(Some("127.0.0.1"), None, "80", "tcp"));
        assert_eq!(shape("'[::1]:6000:6000/UDP'"), made(Some("::1"), Some("6000"), "6000", "udp"));
        assert_eq!(shape("'${P:-80}:80'"), made(None, Some("${P:-80}"), "80", "tcp"));
        let long = "{target: 80, host_ip: 127.0.0.1, published: '8080', protocol: udp}";
        assert_eq!(shape(long), made(Some("127.0.0.1"), Some("8080"), "80", "udp"));
        for odd in ["http", "'80:'", "'1.2.3:80:80'", "{published: 80}", "[80]", "''"] {
            assert_eq!(shape(odd), None, "{odd}");
        }
    }

    #[test]
    fn every_form_of_a_volume_is_one() {
        let shape = |text: &str| {
            let volume = volume("a", &item(text)).ok()?;
            Some((volume.kind, volume.source, volume.target, volume.read_only))
        };
        let own = |text: &str| text.to_string();
        assert_eq!(shape("/data"), Some((own("volume"), None, own("/data"), None)));
        let socket = "/var/run/docker.sock:/s:ro,z";
        let made = (own("bind"), Some(own("/var/run/docker.sock")), own("/s"), Some(true));
        assert_eq!(shape(socket), Some(made));
        let made = (own("volume"), Some(own("v")), own("/d"), Some(false));
        assert_eq!(shape("v:/d:rw"), Some(made));
        let long = "{type: bind, source: /, target: /host, read_only: true}";
        assert_eq!(shape(long), Some((own("bind"), Some(own("/")), own("/host"), Some(true))));
        assert_eq!((shape("a:b:c:d"), shape("{source: x}")), (None, None));
    }
}
