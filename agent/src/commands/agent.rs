//! `wardmote agent`: the service. It follows the logs, audits the host on a timer, judges, and keeps
//! alerts in a SQLite store and as JSON lines.
//!
//! In the state directory: `wardmote.db` (the store), `alerts.jsonl` (what is new or has risen),
//! `agent-logs.json` (the place in the logs), `agent.lock` (one service at a time), `journal/` (the record).
//! SIGTERM and SIGINT end it, SIGHUP reads the configuration again.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::Global;
use crate::commands::audit::create_private;
use crate::control::answer::Answers;
use crate::control::{self, Shared};
use crate::events::{Bus, Event, Wish};
use crate::exit::{Exit, failed, hinted};
use crate::govern::worker::Responder;
use crate::journal::Options;
use crate::notices::{Notice, tell};
use crate::pipeline::case::CaseFile;
use crate::pipeline::case::quiet::GOES_ON_S;
use crate::powers::{Direct, Powers as _, StateFile};
use crate::sandbox::Proxy;
use crate::sandbox::proxy::this_program;
use crate::service::host::{CARRIED, Host};
use crate::service::record::SharedRecorder;
use crate::service::{Look, Parts, Service};
use crate::settings::{SandboxSetting, Settings, Span, state_directory};
use crate::store::sqlite::SqliteStore;
use crate::store::{ALERTS_MAX, Store as _};
use crate::systemd::Notifier;

/// Shortest time between two audits.
const AUDIT_EVERY_MIN: Span = Span(Duration::from_secs(60));
/// How long another service's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_millis(500);
/// Most cases that a service goes on with.
const OPEN_CASES_MAX: usize = 1_000;
/// Shortest time between two sweeps.
const SWEEP_EVERY_MIN: Span = Span(Duration::from_secs(1));

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the service until it is told to stop.
pub fn run(_args: Args, global: &Global) -> anyhow::Result<Exit> {
    let notifier = Notifier::from_environment();
    let named = global.config.clone();
    let settings = load(named.as_deref())?;
    let state = state_directory(global.state_dir.as_deref());
    create_private(&state).map_err(|error| unusable(&state, &error))?;
    let _lock = lock(&state)?;
    let database = state.join("wardmote.db");
    let store =
        SqliteStore::open(&database, ALERTS_MAX).map_err(|error| unusable(&database, &error))?;
    let open = store.cases(clock().saturating_sub(GOES_ON_S), OPEN_CASES_MAX);
    let (open, next) = (open?, store.next_case()?);
    let shared = Shared::default();
    let socket = state.clone();
    let bus = Bus::default();
    let recorder =
        SharedRecorder::new(&state).bounded(journal_options(&settings)?).telling(bus.clone());
    let answers = Answers {
        state: state.clone(),
        shared: Shared::clone(&shared),
        recorder: recorder.clone(),
    };
    let operators = settings.clone();
    let responder = Responder::start(&state, &settings, Box::new(recorder.clone()), clock)?;
    restore_places(&store, &state)?;
    let carried = store.place(CARRIED)?;
    let patience = notifier.feed_every().map(|half| half + half / 2);
    let look = look(&settings, &state, (open, next, carried), (responder, patience))?;
    let parts = Parts {
        store: Box::new(store),
        settings,
        reload: Box::new(move || load(named.as_deref())),
        state_directory: state,
        recorder,
        bus: bus.clone(),
        notifier,
        shared: Shared::clone(&shared),
        clock,
    };
    let service = Service::new(look, parts);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        forward_signals(&bus)?;
        // Without it nobody can ask, but the host is watched all the same.
        match control::listen(&socket) {
            Ok(listener) => drop(tokio::spawn(control::serve(listener, answers.clone()))),
            Err(error) => say!("wardmote: {}: {error}", control::path(&socket).display()),
        }
        match control::listen_for_operators(&operators) {
            Ok(Some(listener)) => drop(tokio::spawn(control::serve(listener, answers))),
            Ok(None) => {}
            Err(error) => say!("wardmote: the socket for operators: {error}"),
        }
        service.run().await
    });
    // A look that does not end is left behind; it only reads.
    runtime.shutdown_background();
    ended?;
    Ok(Exit::Clean)
}

/// The look at this host: in a child without rights, as far as that is wanted and reached.
fn look(
    settings: &Settings,
    state: &Path,
    (open, next, carried): (Vec<CaseFile>, u64, Option<Vec<u8>>),
    (responder, patience): (Responder, Option<Duration>),
) -> anyhow::Result<Box<dyn Look>> {
    let (root, wanted) = (PathBuf::from("/"), settings.agent.sandbox);
    if wanted == SandboxSetting::Off {
        tell(Notice::SandboxIncomplete, None, &[], "sandbox: off");
        let mut host = Host::new(root, state, clock)?;
        // What another version left is as good as nothing: it is learnt anew.
        if let Some(carried) = carried.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            host.resume(carried);
        }
        return Ok(Box::new(host.with_cases(open, next).with_responses(responder)));
    }
    let proxy = Proxy::open(root, state, clock, Box::new(this_program))?.within(patience);
    match proxy.level() {
        whole if whole.is_whole() => say!("wardmote: sandbox: {whole}"),
        less => tell(Notice::SandboxIncomplete, None, &[], &format!("sandbox: {less}")),
    }
    proxy.level().meets(wanted).map_err(|missing| {
        hinted(
            format!("agent.sandbox is required, and cannot be reached: {missing}"),
            "`agent.sandbox: auto` goes on with what this kernel has, and says what is missing",
        )
    })?;
    let proxy = proxy.with_cases(open, next).with_carried(carried);
    Ok(Box::new(proxy.with_responses(responder)))
}

/// Brings the files of the readers' places to what is stored: a crash may have come between the two, and what
/// is stored must not be read again.
fn restore_places(store: &SqliteStore, state: &Path) -> anyhow::Result<()> {
    let powers = Direct::new(state);
    for file in [StateFile::Place, StateFile::JournalPlace] {
        let Some(stored) = store.place(file.name())? else { continue };
        if powers.read(file).ok().flatten().as_ref() != Some(&stored) {
            powers.replace(file, &stored)?;
        }
    }
    Ok(())
}

/// Loads the configuration, and refuses a pace that would do nothing but look.
fn load(named: Option<&Path>) -> anyhow::Result<Settings> {
    let settings = Settings::load(named)?;
    for (key, span, least) in [
        ("agent.audit_every", settings.agent.audit_every, AUDIT_EVERY_MIN),
        ("agent.sweep_every", settings.agent.sweep_every, SWEEP_EVERY_MIN),
    ] {
        if span.0 < least.0 {
            return Err(hinted(
                format!("configuration: {key} is {span}, less than {least}"),
                "the service would do nothing else",
            ));
        }
    }
    journal_options(&settings)?;
    Ok(settings)
}

/// How large the journal may become, or what is wrong with what the configuration says of that.
fn journal_options(settings: &Settings) -> anyhow::Result<Options> {
    settings.journal.options().map_err(|why| {
        hinted(format!("configuration: {why}"), "the journal needs bounds that it can keep")
    })
}

fn clock() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// SIGTERM and SIGINT stop, SIGHUP reloads.
fn forward_signals(bus: &Bus) -> anyhow::Result<()> {
    let kinds = [
        (SignalKind::terminate(), Wish::Stop),
        (SignalKind::interrupt(), Wish::Stop),
        (SignalKind::hangup(), Wish::Reload),
    ];
    for (kind, wish) in kinds {
        let mut signals = signal(kind)?;
        let bus = bus.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                bus.emit(Event::Wish(wish));
            }
        });
    }
    Ok(())
}

/// One service a state directory.
fn lock(state: &Path) -> anyhow::Result<File> {
    let path = state.join("agent.lock");
    let careful = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(careful.bits().cast_signed())
        .open(&path)
        .map_err(|error| unusable(&path, &error))?;
    // A service that was killed while it started a program leaves it the lock for the moment before that begins.
    let until = std::time::Instant::now() + LOCK_WAIT;
    let locked = loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if std::time::Instant::now() < until => {
                std::thread::sleep(LOCK_WAIT / 50);
            }
            locked => break locked,
        }
    };
    match locked {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(failed(
            format!("{}: another agent is running", path.display()),
            "`systemctl status wardmote` shows it; --state-dir runs one more beside it",
            Exit::Busy,
        )),
        Err(error) => Err(unusable(&path, &error)),
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> anyhow::Error {
    hinted(
        format!("{}: {error}", path.display()),
        "run it as root or under its unit, or name another place with --state-dir",
    )
}
