//! `wardmote respond`: what waits for an operator, what is in effect, and what would have been.
//!
//! Works on the store, with the service or without it: whoever changes a request holds the lock. What
//! is approved here is done at once by this command; taking it back at its time is the service's, and
//! a block's timeout is the kernel's.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use clap::{Subcommand, ValueEnum};
use parsers::config::accounts;
use parsers::tree::Tree;
use rustix::fs::{FlockOperation, flock};

use crate::commands::Global;
use crate::commands::audit::create_private;
use crate::exit::{Exit, failed, hinted};
use crate::govern::engine::Engine;
use crate::govern::operators::{Operator, Refused, Service};
use crate::govern::outbox::Outbox;
use crate::govern::{risk, worker};
use crate::output;
use crate::settings::{Settings, Span, is_missing, state_directory};
use crate::store::responses::Request;

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
    let settings = Settings::load(global.config.as_deref())?;
    let state = state_directory(global.state_dir.as_deref());
    let now = jiff::Timestamp::now().as_second();
    let (text, exit) = match args.action {
        Action::List { all, format } => (list::run(&state, all, format, now)?, Exit::Clean),
        Action::Rehearse { since, format } => rehearse::run(&state, &settings, since, format, now)?,
        Action::Approve { id } => {
            let service = if service_runs(&state) { Service::Runs } else { Service::Down };
            let done = change(&state, &settings, |engine, operator| {
                engine.approve(id, operator, &worker::live_now(now), service, now)
            })?;
            (told(&done, &state, now), Exit::Clean)
        }
        Action::Deny { id } => {
            let done = change(&state, &settings, |engine, by| engine.deny(id, by, now))?;
            (told(&done, &state, now), Exit::Clean)
        }
        Action::Confirm { id } => {
            let done = change(&state, &settings, |engine, by| engine.confirm(id, by, now))?;
            (told(&done, &state, now), Exit::Clean)
        }
        Action::Risk => unreachable!("printed above"),
    };
    output::write(to, text.as_bytes())?;
    Ok(exit)
}

/// Does something to a request, alone on the store.
fn change(
    state: &Path,
    settings: &Settings,
    what: impl FnOnce(&mut Engine, &Operator) -> Result<Request, Refused>,
) -> anyhow::Result<Request> {
    create_private(state)
        .map_err(|error| hinted(format!("{}: {error}", state.display()), "use sudo"))?;
    // A store that root made would shut out the service, which is somebody else: it makes its own.
    let foreign = std::fs::metadata(state)?.uid() != rustix::process::geteuid().as_raw();
    if foreign && is_missing(&state.join("wardmote.db")) {
        return Err(hinted("there is no request yet", "the service makes them"));
    }
    let operator = operator()?;
    let _lock = worker::lock(state)?;
    let mut engine = worker::engine(state, settings, Box::new(Outbox::new(state)))?;
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
/// sudo, else the one who runs this; and from where, as far as known.
fn operator() -> anyhow::Result<Operator> {
    let host = worker::host()?;
    let real = rustix::process::getuid();
    let behind = std::env::var("SUDO_UID").ok().filter(|_| real.is_root());
    let behind = behind.and_then(|uid| uid.parse().ok()).unwrap_or(real.as_raw());
    let uid = logged_in_as(&host).unwrap_or(behind);
    let bytes = host.read_config("/etc/passwd").unwrap_or_default();
    let users = accounts::passwd("/etc/passwd", &bytes).entries;
    let name = users.into_iter().find(|user| user.uid == uid).map(|user| user.name);
    Ok(Operator { uid, name: name.unwrap_or_else(|| uid.to_string()), from: comes_from() })
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
