//! The command line: one file a command. A new command: its file, its line in [`Command`], its arm in
//! [`run`]. Shown first in `--help` are the commands of every day; the rest are tools.

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::control::words::{Done, Reply};
use crate::exit::{Exit, hinted};
use crate::output::Color;

mod accept;
mod agent;
pub(crate) mod alerts;
pub(crate) mod audit;
mod completions;
mod config;
mod consensus;
mod db;
pub(crate) mod explain;
pub(crate) mod feedback;
mod filters;
mod fingerprints;
mod hash;
mod helper;
mod journal;
mod look;
mod mac;
mod man;
mod matches;
mod open;
mod panel;
mod parse;
mod passwords;
mod replay;
pub(crate) mod respond;
mod rule_files;
mod rules;
pub(crate) mod scan;
mod schema;
mod seal;
mod send;
mod status;
mod sweep;
mod triage;
mod verify;
mod why;

/// A security agent for Linux servers: looks, lets a panel of experts judge, says how bad and why.
#[derive(Debug, Parser)]
#[command(name = "wardmote", version, about, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Configuration file [default: /etc/wardmote/wardmote.yaml, then conf.d/*.yaml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Where state is kept [default: /var/lib/wardmote, or the user's state directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub state_dir: Option<PathBuf>,
    /// Write the result to a file, atomically and with mode 0600
    #[arg(short, long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub output: Option<PathBuf>,
    /// Colour the text: auto, always or never
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub color: Color,
    /// No progress and no notes on stderr
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// More detail (twice for even more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Examine the whole host (or a mounted tree) and say what to do first
    Audit(audit::Args),
    /// Look through logs with rules; for cron and timers
    Sweep(sweep::Args),
    /// Scan TCP ports of hosts
    Scan(scan::Args),
    /// The service: follows logs, audits on a timer, judges, keeps alerts
    Agent(agent::Args),
    /// How the service is, on one screen
    Status(status::Args),
    /// What the service keeps: open alerts and cases
    Alerts(alerts::Args),
    /// Why a finding was judged as it was
    Explain(explain::Args),
    /// Accept a finding with a reason and an end date
    Accept(accept::Args),
    /// Say what a finding really was: confirm, dismiss, or another severity
    Feedback(feedback::Args),
    /// The experts' record; what would change without one of them
    Panel(panel::Args),
    /// Derive a verdict again and compare it byte for byte
    Replay(replay::Args),
    /// Deliver the service's notifications over the network: the other half of the service
    Send(send::Args),
    /// What was done about findings, waits for a human, or would have been done
    Respond(respond::Args),
    /// Every (line, rule) hit with its fields: the rule author's tool
    #[command(name = "match")]
    Match(matches::Args),
    /// List, check and try rules for logs
    Rules(rules::Args),
    /// List and verify what services are known by
    Fingerprints(fingerprints::Args),
    /// Show a configuration file as structure, with places
    Parse(parse::Args),
    /// Pool labels or opinions of your own experts
    Consensus(consensus::Args),
    /// Fuse and rank the alerts of other tools by host and window
    Triage(triage::Args),
    /// Hash passwords from stdin with Argon2
    Hash(hash::Args),
    /// Verify lines of `PHC<TAB>password` from stdin
    Verify(verify::Args),
    /// Judge the shadow file; guess passwords when asked
    Passwords(passwords::Args),
    /// Encrypt and authenticate a file
    Seal(seal::Args),
    /// Open a sealed file
    Open(open::Args),
    /// Message authentication codes of files, and check lists
    Mac(mac::Args),
    /// Check, export and prune what the service keeps
    Db(db::Args),
    /// Make, verify and show the record of what was seen, judged and done
    Journal(journal::Args),
    /// Check or show the configuration
    Config(config::Args),
    /// Print the JSON Schema of an output
    Schema(schema::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
    /// The service's own process that reads logs and configuration
    #[command(hide = true)]
    Look(look::Args),
    /// What units with a right of their own run for the service
    #[command(hide = true)]
    Helper(helper::Args),
}

/// Commands of every day; the rest are tools.
const EVERYDAY: [&str; 6] = ["audit", "sweep", "scan", "agent", "status", "explain"];

/// The command line, with the commands of every day before the tools.
pub fn program() -> clap::Command {
    let mut program = Cli::command();
    program.build();
    let line = |command: &clap::Command| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        format!("  {:<12} {about}\n", command.get_name())
    };
    let (everyday, tools): (Vec<_>, Vec<_>) = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .partition(|command| EVERYDAY.contains(&command.get_name()));
    let list = |commands: Vec<&clap::Command>| commands.into_iter().map(line).collect::<String>();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\nCommands:\n{}\nTools:\n{}\nOptions:\n{{options}}{{after-help}}",
        list(everyday),
        list(tools)
    );
    Cli::command().help_template(template)
}

/// Runs one command.
pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    let global = cli.global;
    match cli.command {
        Command::Audit(args) => audit::run(args, &global),
        Command::Sweep(args) => sweep::run(args, &global),
        Command::Scan(args) => scan::run(args, &global),
        Command::Agent(args) => agent::run(args, &global),
        Command::Status(args) => status::run(args, &global),
        Command::Alerts(args) => alerts::run(args, &global),
        Command::Explain(args) => explain::run(args, &global),
        Command::Accept(args) => accept::run(args, &global),
        Command::Feedback(args) => feedback::run(args, &global),
        Command::Panel(args) => panel::run(args, &global),
        Command::Replay(args) => replay::run(args, &global),
        Command::Send(args) => send::run(args, &global),
        Command::Respond(args) => respond::run(args, &global),
        Command::Match(args) => matches::run(args, &global),
        Command::Rules(args) => rules::run(args, &global),
        Command::Fingerprints(args) => fingerprints::run(args, &global),
        Command::Parse(args) => parse::run(args, &global),
        Command::Consensus(args) => consensus::run(args, &global),
        Command::Triage(args) => triage::run(args, &global),
        Command::Hash(args) => hash::run(args, &global),
        Command::Verify(args) => verify::run(args, &global),
        Command::Passwords(args) => passwords::run(args, &global),
        Command::Seal(args) => seal::run(args, &global),
        Command::Open(args) => open::run(args, &global),
        Command::Mac(args) => mac::run(args, &global),
        Command::Db(args) => db::run(args, &global),
        Command::Journal(args) => journal::run(args, &global),
        Command::Config(args) => config::run(args, &global),
        Command::Schema(args) => schema::run(args, &global),
        Command::Completions(args) => completions::run(args, &global),
        Command::Man(args) => man::run(args, &global),
        Command::Look(args) => look::run(args),
        Command::Helper(args) => helper::run(args),
    }
}

/// Shows what the service has answered.
fn replied(reply: Reply, global: &Global) -> anyhow::Result<Exit> {
    match reply {
        Reply::Said { text, notes } => print(&Done { text, notes }, global),
        Reply::Yourself { why } => Err(hinted(why, "use sudo")),
        Reply::Refused { error, hint, exit } => Err(Reply::error(&error, &hint, exit)),
    }
}

fn print(done: &Done, global: &Global) -> anyhow::Result<Exit> {
    crate::output::write(global.output.as_deref(), done.text.as_bytes())?;
    for note in done.notes.iter().filter(|_| !global.quiet) {
        say!("wardmote: {note}");
    }
    Ok(Exit::Clean)
}
