//! What is behind the open ports of a report: from the cache where it still holds, and asked of the
//! service with `--identify`, within the budget of each endpoint of this host.

use std::net::SocketAddr;
use std::time::Duration;

use scanner::ports::Inventory;
use scanner::ports::identify::fingerprints::Fingerprints;
use scanner::ports::report::Report;

use crate::commands::Global;
use crate::commands::audit::{note, tell};
use crate::settings::state_directory;

use super::{cache, identify};

/// What services are told by.
pub(super) struct Known<'a> {
    /// With `--identify`: what their texts mean.
    pub fingerprints: Option<Fingerprints>,
    /// Of this host, where it is scanned itself.
    pub inventory: Option<&'a Inventory>,
    /// Longest time for the conversations with one other host, if there is one.
    pub host_timeout: Option<Duration>,
}

/// What was learnt, to be kept for the next scan.
pub(super) struct Kept<'a> {
    cache: cache::Kept,
    inventory: &'a Inventory,
}

impl Kept<'_> {
    /// Writes it; what could not be done, for a notice.
    pub(super) fn save(self) -> Option<String> {
        self.cache.save(self.inventory)
    }
}

/// Adds services, certificates and where they are known from. Gives what is to be saved.
pub(super) fn add<'a>(
    runtime: &tokio::runtime::Runtime,
    report: &mut Report,
    known: Known<'a>,
    flags: &cache::Flags,
    global: &Global,
) -> Option<Kept<'a>> {
    let state = state_directory(global.state_dir.as_deref());
    let mut kept = known.inventory.and_then(|inventory| {
        let given = identify::given(known.fingerprints.as_ref());
        match cache::Kept::open(flags, global.state_dir.as_deref(), &state, &given) {
            Ok((kept, notice)) => {
                note(global, notice);
                Some((kept, inventory))
            }
            Err(why) => {
                tell(global, Some(why));
                None
            }
        }
    });
    if let Some((kept, inventory)) = &mut kept {
        kept.fill(report, inventory);
        identify::settle_known(report);
    }
    if let Some(fingerprints) = &known.fingerprints {
        let mut spent = Vec::new();
        let may_ask = |place: SocketAddr| {
            let may = kept.as_mut().is_none_or(|(kept, _)| kept.spend(place));
            if !may {
                spent.push(place);
            }
            may
        };
        runtime.block_on(identify::add(report, fingerprints, known.host_timeout, may_ask));
        report.incomplete.extend(spent.iter().map(|place| {
            format!("{place}: asked often enough today, not probed again: its service is not known")
        }));
    }
    let (mut cache, inventory) = kept?;
    cache.learn(report, inventory);
    Some(Kept { cache, inventory })
}
