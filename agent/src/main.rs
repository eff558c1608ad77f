//! wardmote: looks at a Linux server, lets a panel of experts judge what it finds, says how bad it is.
//!
//! This file only wires: it reads the command line, calls one command, and turns what comes back into
//! an exit code. What a command does is in `commands/`, one file each.

/// Writes a line on stderr; a stderr that takes nothing changes neither the result nor the exit code.
macro_rules! say {
    ($($words:tt)*) => { crate::exit::say(format_args!($($words)*)) };
}

mod commands;
mod control;
mod cursor;
mod events;
mod exit;
mod govern;
mod journal;
mod notices;
mod notify;
mod output;
mod outside;
mod pending;
mod pipeline;
mod powers;
mod progress;
mod proven;
mod report;
mod rule_cache;
mod sandbox;
mod secrets;
mod service;
mod settings;
mod store;
mod sys;
mod systemd;

use std::process::ExitCode;

use clap::FromArgMatches;

use crate::commands::Cli;
use crate::exit::Exit;

fn main() -> ExitCode {
    exit::quiet_panics();
    let words = commands::program().try_get_matches();
    let cli = match words.and_then(|words| Cli::from_arg_matches(&words)) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let ended = std::panic::catch_unwind(move || commands::run(cli));
    match ended {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(error)) => exit::report(&error).into(),
        Err(_) => Exit::Internal.into(),
    }
}
