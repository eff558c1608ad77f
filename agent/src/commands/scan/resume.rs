//! `scan --resume FILE`: an interrupted scan writes what it found, the next one goes on from there.
//!
//! The format is `scanner::ports::connect::resume`. The file appears whole or not at all, when all has been
//! asked or the asking was interrupted, and is removed when the report of a complete scan is out: whoever
//! interrupts the identification asks no port again.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scanner::ports::addresses::OwnAddresses;
use scanner::ports::connect::resume::{self, Earlier};
use scanner::ports::connect::{self, Asked, Request, State, Watch};
use scanner::ports::report::Report;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::hinted;
use crate::output;

/// Most bytes of a resume file: what the largest scan may write, with room to spare.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What FILE says was found before; nothing when there is no such file yet.
pub(super) fn read(path: &Path, request: &Request, own: &OwnAddresses) -> anyhow::Result<Earlier> {
    if !path.exists() {
        return Ok(Earlier::default());
    }
    let told = |why: String| {
        hinted(
            format!("{}: {why}", path.display()),
            "name the targets and ports of the first run, or another file",
        )
    };
    let mut bytes = Vec::new();
    let file = crate::secrets::open_regular(path)?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    if read.map_err(|error| told(error.to_string()))? as u64 > FILE_BYTES_MAX {
        return Err(told(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let (near, far) = (connect::ports(request, true), connect::ports(request, false));
    let asked: std::collections::HashSet<IpAddr> =
        request.addresses.iter().map(|(address, _)| *address).collect();
    let ports_of = |address: IpAddr| {
        asked.contains(&address).then_some(if own.contains(address) { &*near } else { &*far })
    };
    resume::parse(&bytes, request.ports.as_deref(), ports_of)
        .map_err(|error| told(error.to_string()))
}

/// The first SIGINT or SIGTERM ends the asking instead of the process. One that comes when all has been asked
/// (which the caller tells by the flag), or a second one, ends the process as it would without this.
pub(super) fn stop_on_signals(watch: &Arc<Watch>) -> anyhow::Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    drop(guard);
    let watch = Arc::clone(watch);
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let number = tokio::select! {
                    _ = terminate.recv() => rustix::process::Signal::TERM.as_raw(),
                    _ = interrupt.recv() => rustix::process::Signal::INT.as_raw(),
                };
                if watch.is_stopped() || asked.load(Ordering::Relaxed) {
                    // As a shell tells the death by a signal.
                    std::process::exit(128 + number);
                }
                watch.stop();
            }
        });
    });
    Ok(is_asked)
}

/// Writes what was found so far.
pub(super) fn write(path: &Path, request: &Request, asked: &[Asked]) -> anyhow::Result<()> {
    let (near, far) = (connect::ports(request, true), connect::ports(request, false));
    let found = request.addresses.iter().zip(asked).map(|((address, _), asked)| {
        let ports = if asked.own { &*near } else { &*far };
        (*address, ports, &*asked.states)
    });
    let now = jiff::Timestamp::now().as_second();
    let text = resume::render(request.ports.as_deref(), found, now);
    output::write(Some(path), text.as_bytes())
}

/// Says of each port that the earlier run found how old that is.
pub(super) fn date(report: &mut Report, request: &Request, earlier: &Earlier) {
    let age = (jiff::Timestamp::now().as_second() - earlier.written).max(0).unsigned_abs();
    for host in &mut report.hosts {
        let Some(states) = earlier.states.get(&host.address) else { continue };
        let ports = connect::ports(request, host.own);
        for port in &mut host.ports {
            let index = ports.binary_search(&port.port).ok();
            let known = index.and_then(|index| states.get(index));
            if known.is_some_and(|state| *state != State::NotProbed) {
                port.age_s = age;
            }
        }
    }
}
