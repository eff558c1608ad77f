//! `--expect FILE`: reads what is declared, and shows how a scan differs from it.

use std::collections::HashMap;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use scanner::ports::connect::{self, Asked, Request, State};
use scanner::ports::expect::{self, Drift, Expected};
use scanner::ports::report::HostReport;

use crate::exit::hinted;

/// Most bytes of a declaration.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Reads a declaration; every mistake ends the command before anything is asked.
pub(super) fn read(path: &Path) -> anyhow::Result<Expected> {
    let told = |why: String, hint: &str| hinted(format!("{}: {why}", path.display()), hint);
    let file = crate::secrets::open_regular(path)?;
    let mode = file.metadata().map_err(|error| told(error.to_string(), ""))?.mode();
    if mode & 0o002 != 0 {
        let hint = "whoever can write it decides what is unexpected: chmod o-w FILE";
        return Err(told(format!("everybody may write it (mode {:04o})", mode & 0o7777), hint));
    }
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    let hint = "`wardmote scan TARGET --format expect` prints one";
    if read.map_err(|error| told(error.to_string(), hint))? as u64 > FILE_BYTES_MAX {
        return Err(told(format!("larger than {FILE_BYTES_MAX} bytes"), hint));
    }
    expect::read(&bytes).map_err(|error| {
        let (line, column) = (error.line, error.column);
        let excerpt = error.excerpt(&bytes);
        let message = format!("{}:{line}:{column}: {error}\n{excerpt}", path.display());
        hinted(message.trim_end().to_string(), hint)
    })
}

/// Which ports of a host were asked. What was to be asked and was not, because the host was given up, the
/// scan ended or this host could not, is none of them: it may listen or not.
pub(super) fn asked<'a>(
    request: &Request,
    asked: &'a [Asked],
) -> impl Fn(&HostReport, u16) -> bool + use<'a> {
    let ports = [false, true].map(|own| connect::ports(request, own));
    let addresses = request.addresses.iter().map(|(address, _)| *address);
    let states: HashMap<IpAddr, &[State]> =
        addresses.zip(asked).map(|(address, asked)| (address, &*asked.states)).collect();
    move |host, port| {
        let index = ports[usize::from(host.own)].binary_search(&port).ok();
        let known = index.and_then(|index| states.get(&host.address)?.get(index));
        known.is_some_and(|state| !matches!(state, State::NotProbed | State::LocalError(_)))
    }
}

/// One difference in a line.
pub(super) fn line(drift: &Drift) -> String {
    let place = std::net::SocketAddr::new(drift.address, drift.port);
    let protocol = match drift.protocol {
        expect::Protocol::Tcp => "tcp",
        expect::Protocol::Udp => "udp",
    };
    let mut text = format!("{}: {protocol} {place}", drift.change.name());
    match (&drift.expected, &drift.found) {
        (Some(expected), Some(found)) => {
            text.push_str(&format!(": {found} instead of {expected}"));
        }
        (Some(told), None) | (None, Some(told)) => text.push_str(&format!(": {told}")),
        (None, None) => {}
    }
    // What was declared is told as it stands in the file.
    scanner::redact::printable(&text)
}
