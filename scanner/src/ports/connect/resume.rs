//! What an interrupted scan had found, as a file that a later scan of the same ports goes on from.
//!
//! JSON, `wardmote.scan-resume/1`. Kept are open, closed and filtered ports; what this host could not
//! ask is asked again. The file is somebody else's by the time it is read: everything in it is checked,
//! and a port twice, out of order or not of this scan makes the whole file unusable.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{State, known_reason};

/// The schema's name.
const SCHEMA: &str = "wardmote.scan-resume/1";
/// Most hosts of a file: as many as a scan has.
const HOSTS_MAX: usize = crate::ports::targets::HOSTS_MAX;

/// A file that no scan can go on from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// Not JSON of that shape; the file is damaged or something else.
    #[error("not what an interrupted scan wrote ({0})")]
    Shape(String),
    /// The user asks for something else than the interrupted scan did.
    #[error("it belongs to a scan of other {0}")]
    Other(&'static str),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    /// When it was written, in seconds since the epoch.
    written: i64,
    /// The ports that were asked for; absent for the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ports: Option<String>,
    hosts: Vec<Host>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    address: IpAddr,
    /// Port and microseconds to the answer.
    open: Vec<(u16, u32)>,
    closed: String,
    /// Ports by reason.
    filtered: BTreeMap<String, String>,
}

/// What an earlier scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// When it was written, in seconds since the epoch.
    pub written: i64,
    /// States by address, in the order of the address's ports.
    pub states: BTreeMap<IpAddr, Vec<State>>,
}

/// The file for what was found of each address: address, its ports in ascending order, their states.
/// `wanted` are the ports of the request. Hosts of which nothing is known are left out.
pub fn render<'a>(
    wanted: Option<&[u16]>,
    found: impl Iterator<Item = (IpAddr, &'a [u16], &'a [State])>,
    now: i64,
) -> String {
    let mut hosts = Vec::new();
    for (address, ports, states) in found {
        let mut open = Vec::new();
        let mut closed = Vec::new();
        let mut filtered: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
        for (port, state) in ports.iter().zip(states) {
            match state {
                State::Open(took) => open.push((*port, *took)),
                State::Closed => closed.push(*port),
                State::Filtered(reason) => filtered.entry(reason).or_default().push(*port),
                State::LocalError(_) | State::NotProbed => {}
            }
        }
        if open.is_empty() && closed.is_empty() && filtered.is_empty() {
            continue;
        }
        let filtered = filtered.into_iter().map(|(why, all)| (why.to_string(), ranges(&all)));
        hosts.push(Host { address, open, closed: ranges(&closed), filtered: filtered.collect() });
    }
    let ports = wanted.map(ranges);
    let file = File { schema: SCHEMA.to_string(), written: now, ports, hosts };
    serde_json::to_string(&file).unwrap_or_default() + "\n"
}

/// Reads such a file for a request of the same ports; `ports_of` gives an address's ports, in ascending
/// order, or `None` for an address that is not asked.
pub fn parse<'a>(
    bytes: &[u8],
    wanted: Option<&[u16]>,
    ports_of: impl Fn(IpAddr) -> Option<&'a [u16]>,
) -> Result<Earlier, ResumeError> {
    let shape = |why: String| ResumeError::Shape(crate::redact::line(&why));
    let file: File = serde_json::from_slice(bytes).map_err(|error| shape(error.to_string()))?;
    if file.schema != SCHEMA || file.hosts.len() > HOSTS_MAX {
        return Err(shape("its schema".to_string()));
    }
    if file.ports != wanted.map(ranges) {
        return Err(ResumeError::Other("ports"));
    }
    let mut earlier = Earlier { written: file.written, ..Earlier::default() };
    for host in file.hosts {
        let ports = ports_of(host.address).ok_or(ResumeError::Other("addresses"))?;
        let states = states(&host, ports).ok_or_else(|| shape(format!("{}", host.address)))?;
        if earlier.states.insert(host.address, states).is_some() {
            return Err(shape(format!("{} twice", host.address)));
        }
    }
    Ok(earlier)
}

fn states(host: &Host, ports: &[u16]) -> Option<Vec<State>> {
    let mut states = vec![State::NotProbed; ports.len()];
    let mut set = |port: u16, state: State| {
        let slot = states.get_mut(ports.binary_search(&port).ok()?)?;
        let first = *slot == State::NotProbed;
        *slot = state;
        first.then_some(())
    };
    for (port, took) in &host.open {
        set(*port, State::Open(*took))?;
    }
    each(&host.closed, |port| set(port, State::Closed))?;
    for (reason, ports) in &host.filtered {
        let reason = known_reason(reason)?;
        each(ports, |port| set(port, State::Filtered(reason)))?;
    }
    Some(states)
}

/// The ports of `22,80,8000-8010`; each call ends at the first that is refused, so that a hostile list
/// costs no more than the ports of the scan.
fn each(text: &str, mut take: impl FnMut(u16) -> Option<()>) -> Option<()> {
    if text.is_empty() {
        return Some(());
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        if first > last {
            return None;
        }
        for port in first..=last {
            take(port)?;
        }
    }
    Some(())
}

/// `22,80,8000-8010` for ascending ports.
pub fn ranges(ports: &[u16]) -> String {
    let mut parts: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match parts.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*port) => *last = *port,
            _ => parts.push((*port, *port)),
        }
    }
    let one = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    parts.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOST: &str = "192.0.2.1";

    fn address() -> IpAddr {
        HOST.parse().unwrap()
    }

    fn state() -> impl Strategy<Value = State> {
        prop_oneof![
            (0_u32..1_000_000).prop_map(State::Open),
            Just(State::Closed),
            Just(State::Filtered(super::super::TIMEOUT)),
            Just(State::Filtered("host unreachable")),
            Just(State::LocalError(24)),
            Just(State::NotProbed),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_without_what_has_to_be_asked_again(
            states in proptest::collection::vec(state(), 1..300), explicit: bool
        ) {
            let ports: Vec<u16> = (0..states.len()).map(|nth| 3 + 7 * nth as u16).collect();
            let wanted = explicit.then_some(&*ports);
            let text = render(wanted, [(address(), &*ports, &*states)].into_iter(), 17);
            let of = |asked: IpAddr| (asked == address()).then_some(&*ports);
            let earlier = parse(text.as_bytes(), wanted, of).unwrap();
            let kept: Vec<State> = states
                .iter()
                .map(|state| match state {
                    State::LocalError(_) => State::NotProbed,
                    kept => *kept,
                })
                .collect();
            prop_assert_eq!(earlier.written, 17);
            match earlier.states.get(&address()) {
                Some(read) => prop_assert_eq!(read, &kept),
                None => prop_assert!(kept.iter().all(|state| *state == State::NotProbed)),
            }
        }
    }

    #[test]
    fn a_file_of_another_scan_or_a_damaged_one_is_refused() {
        let ports = [1_u16, 2, 3];
        let states = [State::Closed, State::NotProbed, State::Open(9)];
        let text = render(Some(&ports), [(address(), &ports[..], &states[..])].into_iter(), 1);
        let of = |asked: IpAddr| (asked == address()).then_some(&ports[..]);
        let read = |text: &str| parse(text.as_bytes(), Some(&ports), of);
        assert!(read(&text).is_ok());
        assert_eq!(parse(text.as_bytes(), Some(&[1, 2]), of), Err(ResumeError::Other("ports")),);
        assert_eq!(parse(text.as_bytes(), None, of), Err(ResumeError::Other("ports")));
        assert_eq!(
            parse(text.as_bytes(), Some(&ports), |_| None),
            Err(ResumeError::Other("addresses"))
        );
        for (from, to) in [
            ("resume/1", "resume/2"),
            ("\"closed\":\"1\"", "\"closed\":\"1,1\""),
            ("\"closed\":\"1\"", "\"closed\":\"3\""),
            ("\"closed\":\"1\"", "\"closed\":\"4\""),
            ("\"closed\":\"1\"", "\"closed\":\"2-1\""),
            ("\"closed\":\"1\"", "\"closed\":\"x\""),
            ("\"filtered\":{}", "\"filtered\":{\"never heard of\":\"2\"}"),
            ("\"filtered\":{}", "\"filtered\":{},\"more\":1"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert!(matches!(read(&changed), Err(ResumeError::Shape(_))), "{to}");
        }
        assert!(read(&text[..text.len() / 2]).is_err());
    }
}
