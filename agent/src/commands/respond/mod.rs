//! `wardmote respond`: what waits for an operator, what is in effect, and what would have been.
//!
//! The service does it where it runs and has the right to; else this command does, on the store: whoever
//! changes a request holds the lock. What is approved is done at once; taking it back at its time is the
//! service's, and a block's timeout is the kernel's.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use clap::{Subcommand, ValueEnum};
use parsers::config::accounts;
use parsers::tree::Tree;
use rustix::fs::{FlockOperation, flock};

use crate::commands::Global;
use crate::commands::audit::create_private;
use crate::control::client;
use crate::control::words::{Ask, Form, Reply, Who};
use crate::exit::{Exit, failed, hinted};
use crate::govern::engine::Engine;
use crate::govern::operators::{Operator, Refused, Service};
use crate::govern::outbox::Outbox;
use crate::govern::{Ledger, actions, risk, worker};
use crate::output;
use crate::settings::{Settings, Span, is_missing, state_directory};
use crate::store::responses::{Request, Responses as _, State};
use crate::store::sqlite::SqliteStore;

pub mod list;
pub mod rehearse;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What waits for an operator and what is in effect
    List {
        /// Also what is over
        #[arg(long)]
        all: bool,
        /// Form of the result
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Do what waits; a critical action may need a second operator
    Approve {
        /// Number of the request
        #[arg(value_name = "ID")]
        id: i64,
    },
    /// Do not do what waits; take back what is in effect
    Deny {
        /// Number of the request
        #[arg(value_name = "ID")]
        id: i64,
    },
    /// Let what is in effect hold for its whole time
    Confirm {
        /// Number of the request
        #[arg(value_name = "ID")]
        id: i64,
    },
    /// What would have been done about the kept findings, and to which of your own people
    Rehearse {
        /// How far back
        #[arg(long, value_name = "DURATION", default_value = "30d")]
        since: Span,
        /// Form of the result
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Print the table by which the risk of an action is looked up
    Risk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let to = global.output.as_deref();
    if matches!(args.action, Action::Risk) {
        output::write(to, risk::printed().as_bytes())?;
        return Ok(Exit::Clean);
    }
    let state = state_directory(global.state_dir.as_deref());
    let now = jiff::Timestamp::now().as_second();
    // The configuration may be closed to an operator whom the service answers; what is named is wanted.
    let settings = Settings::load(global.config.as_deref());
    let settings = if global.config.is_some() { Ok(settings?) } else { settings };
    if let Action::Rehearse { since, format } = args.action {
        let settings = settings?;
        let (text, exit) = rehearse::run(&state, &settings, since, format, now)?;
        output::write(to, text.as_bytes())?;
        return Ok(exit);
    }
    let ask = asked(&args.action);
    let who = Who { uid: operator_uid()?, from: comes_from() };
    // What somebody who is not root and names no place asks is meant for the host's own service.
    let reply = match client::ask(global, &ask, Some(who.clone()))? {
        None => client::ask_system(global, &ask)?,
        reply => reply,
    };
    match reply {
        // The service has not the right; whoever is root here has.
        Some(Reply::Yourself { .. }) if rustix::process::geteuid().is_root() => {}
        Some(reply) => return super::replied(reply, global),
        None => {}
    }
    let settings = settings?;
    let decide = |said| decide(&state, &settings, Box::new(Outbox::new(&state)), &who, said, now);
    let text = match args.action {
        Action::List { all, format } => list::run(&state, all, format.into(), now)?,
        Action::Approve { id } => decide(Said::Approve(id))?,
        Action::Deny { id } => decide(Said::Deny(id))?,
        Action::Confirm { id } => decide(Said::Confirm(id))?,
        Action::Rehearse { .. } | Action::Risk => unreachable!("printed above"),
    };
    output::write(to, text.as_bytes())?;
    Ok(Exit::Clean)
}

fn asked(action: &Action) -> Ask {
    match *action {
        Action::Approve { id } => Ask::Approve { id },
        Action::Deny { id } => Ask::Deny { id },
        Action::Confirm { id } => Ask::Confirm { id },
        Action::List { all, format } => Ask::Requests { all, form: format.into() },
        Action::Rehearse { .. } | Action::Risk => unreachable!("asked of nobody"),
    }
}

impl From<Format> for Form {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Plain,
            Format::Json => Self::Json,
        }
    }
}

/// What an operator says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Approve(i64),
    Deny(i64),
    Confirm(i64),
}

/// Does what an operator says about a request, alone on the store; what became of it.
pub(crate) fn decide(
    state: &Path,
    settings: &Settings,
    ledger: Box<dyn Ledger + Send>,
    who: &Who,
    said: Said,
    now: i64,
) -> anyhow::Result<String> {
    let service = if service_runs(state) { Service::Runs } else { Service::Down };
    let done = change(state, settings, ledger, who, |engine, by| match said {
        Said::Approve(id) => engine.approve(id, by, &worker::live_now(now), service, now),
        Said::Deny(id) => engine.deny(id, by, now),
        Said::Confirm(id) => engine.confirm(id, by, now),
    })?;
    Ok(told(&done, state, now))
}

/// What this process would need and has not, to do what is asked: changing the firewall is a right of its own.
pub(crate) fn lacks(state: &Path, id: i64, ask: &Ask) -> Option<String> {
    let store = SqliteStore::read(&state.join("wardmote.db")).ok().flatten()?;
    let request = store.request(id).ok().flatten()?;
    let is_block = matches!(request.action, crate::govern::Action::Block { .. });
    let stays = matches!(ask, Ask::Deny { .. }) && request.state == State::Waiting;
    (is_block && !stays && !actions::may_block())
        .then(|| "the service itself may not change the firewall".to_string())
}

/// Does something to a request, alone on the store.
fn change(
    state: &Path,
    settings: &Settings,
    ledger: Box<dyn Ledger + Send>,
    who: &Who,
    what: impl FnOnce(&mut Engine, &Operator) -> Result<Request, Refused>,
) -> anyhow::Result<Request> {
    create_private(state)
        .map_err(|error| hinted(format!("{}: {error}", state.display()), "use sudo"))?;
    // A store that root made would shut out the service, which is somebody else: it makes its own.
    let foreign = std::fs::metadata(state)?.uid() != rustix::process::geteuid().as_raw();
    if foreign && is_missing(&state.join("wardmote.db")) {
        return Err(hinted("there is no request yet", "the service makes them"));
    }
    let operator = Operator { uid: who.uid, name: name_of(who.uid), from: who.from };
    let _lock = worker::lock(state)?;
    let mut engine = worker::engine(state, settings, ledger)?;
    what(&mut engine, &operator).map_err(|refused| match refused {
        Refused::Harm { .. } => failed(
            refused.to_string(),
            "nft does what you tell it; wardmote does not do this",
            Exit::Found,
        ),
        Refused::Unknown(_) | Refused::State { .. } => {
            hinted(refused.to_string(), "`wardmote respond list --all` shows all of them")
        }
        Refused::Twice(_) => hinted(refused.to_string(), "critical_operators in the configuration"),
        Refused::Store(error) => error.into(),
    })
}

/// What became of it, and who takes it back.
fn told(request: &Request, state: &Path, now: i64) -> String {
    let mut text = list::line(request, now) + "\n";
    if request.ends().is_some() && !service_runs(state) {
        text += "the service is not running: at its end a block ends by itself, a command is not taken \
                 back before the service starts\n";
    }
    text
}

/// Whether the service holds its lock.
fn service_runs(state: &Path) -> bool {
    let file = std::fs::File::open(state.join("agent.lock"));
    file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

/// Who says it: the one who logged in (the kernel remembers that, over sudo and su), else the user behind
/// sudo, else the one who runs this.
fn operator_uid() -> anyhow::Result<u32> {
    let host = worker::host()?;
    let real = rustix::process::getuid();
    let behind = std::env::var("SUDO_UID").ok().filter(|_| real.is_root());
    let behind = behind.and_then(|uid| uid.parse().ok()).unwrap_or(real.as_raw());
    Ok(logged_in_as(&host).unwrap_or(behind))
}

/// The name of an account, or its number where it has none.
pub(crate) fn name_of(uid: u32) -> String {
    let bytes = worker::host().ok().and_then(|host| host.read_config("/etc/passwd").ok());
    let users = accounts::passwd("/etc/passwd", &bytes.unwrap_or_default()).entries;
    let name = users.into_iter().find(|user| user.uid == uid).map(|user| user.name);
    name.unwrap_or_else(|| uid.to_string())
}

/// The login's user id (pam_loginuid(8)); `None` where the kernel was told of no login.
fn logged_in_as(tree: &dyn Tree) -> Option<u32> {
    let bytes = tree.read(Path::new("/proc/self/loginuid"), 64).ok()?;
    let uid: u32 = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
    (uid != u32::MAX).then_some(uid)
}

/// The peer of the own SSH connection (ssh(1)), where sudo has left the variable.
fn comes_from() -> Option<IpAddr> {
    let variable = std::env::var("SSH_CONNECTION").ok()?;
    let address: IpAddr = variable.split(' ').next()?.parse().ok()?;
    Some(address.to_canonical())
}
