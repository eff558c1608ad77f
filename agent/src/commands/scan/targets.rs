//! Words of the command line become addresses: `@FILE`, names, networks, exclusions.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use scanner::ports::firewall::Span;
use scanner::ports::targets::{self, Target, WORDS_MAX};

use crate::exit::hinted;

/// Most bytes of an `@file`.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Longest wait for a name.
const RESOLVE_WITHIN: Duration = Duration::from_secs(10);
/// Most names that are resolved.
const NAMES_MAX: usize = 4096;
/// The words of the command line with `@FILE` replaced by the words of that file.
pub(super) fn words(given: &[String]) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    for word in given {
        match word.strip_prefix('@') {
            None => words.push(word.clone()),
            Some(path) => words.extend(words_of_file(Path::new(path))?),
        }
        if words.len() > WORDS_MAX {
            return Err(hinted(format!("more than {WORDS_MAX} targets"), "write networks"));
        }
    }
    Ok(words)
}

/// Words of a file; `#` starts a comment.
fn words_of_file(path: &Path) -> anyhow::Result<Vec<String>> {
    let told = |why: String| hinted(format!("{}: {why}", path.display()), "one target a line");
    let file = crate::secrets::open_regular(path)?;
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(|error| told(error.to_string()))? as u64 > FILE_BYTES_MAX {
        return Err(told(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    // Editors of other systems put a byte order mark first.
    Ok(text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::split_ascii_whitespace)
        .take(WORDS_MAX + 1)
        .map(str::to_string)
        .collect())
}

pub(super) type Named = Vec<(IpAddr, String)>;

/// What some words stand for.
#[derive(Default)]
pub(super) struct Resolved {
    pub(super) spans: Vec<Span>,
    /// Addresses of names.
    pub(super) named: Named,
    /// Interfaces of link-local addresses.
    pub(super) zones: BTreeMap<Ipv6Addr, u32>,
    /// Names that do not resolve.
    pub(super) unresolved: Vec<String>,
}

/// Resolves names and zones.
pub(super) async fn resolve(words: &[String]) -> anyhow::Result<Resolved> {
    let mut found = Resolved::default();
    let mut names = 0;
    for word in words {
        if let Some(zoned) = targets::zoned(word) {
            let (address, zone) = zoned.map_err(usage)?;
            let index = interface(zone)?;
            if *found.zones.entry(address).or_insert(index) != index {
                return Err(hinted(format!("{address} on two interfaces"), "scan them one by one"));
            }
            found.spans.extend(Span::between(address.into(), address.into()));
            continue;
        }
        let name = match targets::target(word).map_err(usage)? {
            Target::Span(span) => {
                found.spans.push(span);
                continue;
            }
            Target::Name(name) => name,
        };
        names += 1;
        if names > NAMES_MAX {
            return Err(hinted(format!("more than {NAMES_MAX} names"), "write addresses"));
        }
        let asked = tokio::net::lookup_host((name.as_str(), 0));
        let unresolved = &mut found.unresolved;
        match tokio::time::timeout(RESOLVE_WITHIN, asked).await {
            Ok(Ok(all)) => {
                for one in all {
                    // Names of this host resolve to its link-local addresses too, with their interface.
                    if let SocketAddr::V6(six) = one
                        && six.scope_id() != 0
                    {
                        found.zones.entry(*six.ip()).or_insert(six.scope_id());
                    }
                    found.named.push((one.ip(), name.clone()));
                }
            }
            Ok(Err(error)) => unresolved.push(format!("{name}: not resolved: {error}")),
            Err(_) => unresolved.push(format!("{name}: not resolved in {RESOLVE_WITHIN:?}")),
        }
    }
    Ok(found)
}

/// The number of an interface by its name or by itself.
fn interface(zone: &str) -> anyhow::Result<u32> {
    if let Ok(index) = zone.parse::<u32>() {
        return Ok(index);
    }
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0))?;
    rustix::net::netdevice::name_to_index(&socket, zone)
        .map_err(|error| hinted(format!("interface `{zone}`: {error}"), "see `ip link`"))
}

/// Refuses link-local addresses without an interface: the kernel cannot tell on which link they are; and
/// the unspecified address, which as a destination is this host under a name that nothing else knows.
pub(super) fn check_zones(
    addresses: &[(IpAddr, Option<String>)],
    zones: &BTreeMap<Ipv6Addr, u32>,
) -> anyhow::Result<()> {
    for (address, _) in addresses {
        if address.is_unspecified() {
            let hint = "write 127.0.0.1, or the address that others use";
            return Err(hinted(format!("{address} is no address of a host"), hint));
        }
        if let IpAddr::V6(six) = address
            && six.is_unicast_link_local()
            && !zones.contains_key(six)
        {
            let hint = format!("write the interface too: {six}%eth0");
            return Err(hinted(format!("{six} is on every link of this host"), hint));
        }
    }
    Ok(())
}

/// The addresses to scan in their order, each once, with the name that was given for it, if any.
pub(super) fn pick(
    spans: &[Span],
    named: Named,
    excluded: &[Span],
) -> anyhow::Result<Vec<(IpAddr, Option<String>)>> {
    let mut seen = std::collections::HashSet::new();
    let plain = targets::addresses(spans, excluded).map_err(usage)?;
    let named = named
        .into_iter()
        .filter(|(address, _)| !excluded.iter().any(|span| span.contains(*address)))
        .map(|(address, name)| (address, Some(name)));
    let mut picked: Vec<_> = named
        .chain(plain.into_iter().map(|address| (address, None)))
        .filter(|(address, _)| seen.insert(*address))
        .collect();
    picked.sort_by_key(|(address, _)| *address);
    Ok(picked)
}

pub(super) fn usage(error: targets::TargetError) -> anyhow::Error {
    let hint = match error {
        targets::TargetError::Word(_) => "write 192.0.2.1, 192.0.2.0/24, 192.0.2.1-20 or a name",
        targets::TargetError::TooMany => "scan it in parts",
        targets::TargetError::Port(_) => "write 22,80,8000-8010, or - for all",
    };
    hinted(error.to_string(), hint)
}
