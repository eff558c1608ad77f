//! The child: gives up its rights, then does what it is told, until the broker goes or says that it may rest.
//!
//! Its one socket is its stdin. It has no clock: the time comes with each order.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use scanner::ports::netlink;

use super::asked::{Asking, Lane};
use super::close;
use super::message::{Begin, Done, Gave, Order};
use super::wire::Socket;
use crate::exit::Exit;
use crate::pipeline::look::remember_system_zone;
use crate::service::host::Host;
use crate::service::{Look, Looked};

/// The time of the order under way.
static NOW: AtomicI64 = AtomicI64::new(0);

/// Runs the child.
pub fn run() -> anyhow::Result<Exit> {
    // Whoever calls this by hand has no broker behind stdin.
    if rustix::net::sockopt::socket_type(io::stdin()).is_err() {
        return Err(crate::exit::hinted("this command is for `wardmote agent` alone", ""));
    }
    remember_system_zone();
    let socket = Socket::of(io::stdin().as_fd().try_clone_to_owned()?);
    let level = close::close();
    serve(Lane::new(socket), level)
}

/// Does what it is told.
pub(super) fn serve(lane: Arc<Lane>, level: super::Level) -> anyhow::Result<Exit> {
    lane.done(&Done::Closed(level))?;
    let powers = Asking::new(Arc::clone(&lane));
    netlink::ask_through(powers.asked());
    let mut looking: Option<Looking> = None;
    while let Some(order) = lane.order()? {
        let done = match (order, &mut looking) {
            (Order::Begin(begin), _) => match Looking::new(*begin, &powers) {
                Ok(new) => {
                    looking = Some(new);
                    Done::Yes
                }
                Err(error) => failed(&error),
            },
            (order, Some(looking)) => looking.obey(order, &powers).unwrap_or_else(|e| failed(&e)),
            (_, None) => Done::Failed("nothing has begun".into()),
        };
        lane.done(&done)?;
    }
    Ok(Exit::Clean)
}

fn failed(error: &anyhow::Error) -> Done {
    Done::Failed(scanner::redact::line(&format!("{error:#}")))
}

struct Looking {
    host: Host,
    /// What the broker has of that already.
    carried: String,
}

impl Looking {
    fn new(begin: Begin, powers: &Asking) -> anyhow::Result<Self> {
        let powers = Arc::new(powers.clone());
        let host = Host::with_powers(begin.root, powers, || NOW.load(Ordering::Relaxed))?;
        let mut host = host.with_cases(begin.cases, begin.next);
        // What another version left is as good as nothing: it is learnt anew.
        let carried = begin.carried.as_ref().and_then(|text| serde_json::from_str(text).ok());
        if let Some(carried) = carried {
            host.resume(carried);
        }
        let carried = serde_json::to_string(&host.carried())?;
        Ok(Self { host, carried })
    }

    fn obey(&mut self, order: Order, powers: &Asking) -> anyhow::Result<Done> {
        match order {
            Order::Audit { now, settings, accepted } => {
                NOW.store(now, Ordering::Relaxed);
                powers.accept(accepted);
                let looked = self.host.audit(&settings)?;
                Ok(Done::Gave(Box::new(self.gave(looked)?)))
            }
            Order::Sweep { now, settings } => {
                NOW.store(now, Ordering::Relaxed);
                let looked = self.host.sweep(&settings)?;
                Ok(Done::Gave(Box::new(self.gave(looked)?)))
            }
            Order::Told(cases) => {
                self.host.told(&cases);
                Ok(Done::Yes)
            }
            Order::Kept { now } => {
                NOW.store(now, Ordering::Relaxed);
                self.host.keep_place()?;
                Ok(Done::Yes)
            }
            Order::Rest { now } => {
                NOW.store(now, Ordering::Relaxed);
                Ok(Done::Left(serde_json::to_string(&self.host.rest()?)?))
            }
            Order::Begin(_) => Ok(Done::Failed("it has begun".into())),
        }
    }

    fn gave(&mut self, mut looked: Looked) -> anyhow::Result<Gave> {
        // They go beside it, as texts.
        looked.places = Vec::new();
        let carried = serde_json::to_string(&self.host.carried())?;
        let judged = self.host.take_offered();
        let (place, journal_place) = self.host.places();
        Ok(Gave {
            looked,
            judged,
            place: place.map(str::to_string),
            journal_place,
            carried: (carried != self.carried)
                .then(|| self.carried.clone_from(&carried))
                .map(|()| carried),
        })
    }
}
