//! `wardmote send`: delivers what the service hands over, in a process that has the network and no right to
//! read anything else. Runs as `wardmote-send.service`, or under any other supervisor, until SIGTERM.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::commands::Global;
use crate::exit::{Exit, failed, hinted};
use crate::notify::handover::Handover;
use crate::notify::sender::Sender;
use crate::settings::SPOOL;
use crate::systemd::Notifier;

/// How often it is looked whether whom to tell has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A service that asks whether somebody serves holds the lock for a moment.
const LOCK_TRIES: usize = 20;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the service hands notifications over
    #[arg(long, value_name = "DIR", default_value = SPOOL)]
    spool: PathBuf,
}

/// Delivers until it is told to stop.
pub fn run(args: Args, _global: &Global) -> anyhow::Result<Exit> {
    crate::secrets::shield();
    let notifier = Notifier::from_environment();
    let handover = Handover::at(&args.spool);
    let _lock = lock(&handover, &args)?;
    let mut sender = Sender::new(handover, || jiff::Timestamp::now().as_second());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut said = String::new();
        notifier.ready();
        loop {
            // What a thread of its own does is no proof; that all of them are there is asked each time.
            sender.look().map_err(|why| failed(why, "", Exit::Internal))?;
            let line = sender.line();
            if line != said {
                notifier.status(&line);
                said = line;
            }
            notifier.feed_watchdog();
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        notifier.stopping();
        anyhow::Ok(())
    });
    ended?;
    Ok(Exit::Clean)
}

fn lock(handover: &Handover, args: &Args) -> anyhow::Result<std::fs::File> {
    let place = args.spool.display();
    let unusable = |error: std::io::Error| {
        hinted(
            format!("{place}: {error}"),
            "systemd-tmpfiles --create makes it; run this as the user wardmote-send, or name another with --spool",
        )
    };
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = handover.serve().map_err(unusable)? {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(failed(format!("{place}: another sender is running"), "one is enough", Exit::Busy))
}
