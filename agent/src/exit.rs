//! Exit codes (a promise, see the manual) and how errors are shown.

use std::io::Write;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing at or above `--fail-on`; for `match` a hit; for checks "it holds".
    Clean,
    /// Something at or above `--fail-on`; for `match` no hit; for checks "it does not hold".
    Found,
    /// Bad usage, bad configuration or unusable input: nothing was examined.
    Usage,
    /// Ran, but a part could not be examined.
    Incomplete,
    /// Internal error.
    Internal,
    /// Another one is running (`EX_TEMPFAIL` of sysexits.h).
    Busy,
    /// The reader of stdout went away (128 + SIGPIPE).
    ClosedPipe,
}

impl Exit {
    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Found => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Internal => 4,
            Self::Busy => 75,
            Self::ClosedPipe => 141,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error with a way out, shown as `hint: …`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Hinted {
    message: String,
    hint: String,
    exit: Exit,
}

impl Hinted {
    /// The way out.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// How the command ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

/// A user's error with a hint: exit code 2.
pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Hinted { message: message.into(), hint: hint.into(), exit: Exit::Usage }.into()
}

/// Ends the command with this exit code and error.
pub fn failed(message: impl Into<String>, hint: impl Into<String>, exit: Exit) -> anyhow::Error {
    Hinted { message: message.into(), hint: hint.into(), exit }.into()
}

/// Prints an error and its hint on stderr; the exit code that it means.
pub fn report(error: &anyhow::Error) -> Exit {
    if let Some(io) = error.downcast_ref::<std::io::Error>()
        && io.kind() == std::io::ErrorKind::BrokenPipe
    {
        return Exit::ClosedPipe;
    }
    say(format_args!("wardmote: error: {error:#}"));
    match error.downcast_ref::<Hinted>() {
        Some(hinted) => {
            if !hinted.hint.is_empty() {
                say(format_args!("hint: {}", hinted.hint));
            }
            hinted.exit
        }
        None => Exit::Usage,
    }
}

/// Help and version go to stdout with 0; everything else clap says is a usage error.
pub fn usage(error: &clap::Error) -> ExitCode {
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Clean };
    match error.print() {
        Err(io) if io.kind() == std::io::ErrorKind::BrokenPipe => Exit::ClosedPipe.into(),
        Err(io) if !error.use_stderr() => report(&anyhow::anyhow!("stdout: {io}")).into(),
        _ => exit.into(),
    }
}

/// One line on stderr; a stderr that takes nothing (full, or its reader gone) changes no exit code.
pub fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A panic becomes one line with its place, never its message, and exit code 4; the whole of it only
/// when a backtrace is asked for.
pub fn quiet_panics() {
    let asked = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    if asked {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line()));
        say(format_args!("wardmote: internal error{}", place.unwrap_or_default()));
        say(format_args!(
            "hint: this is a fault of wardmote; please report it with the command you ran"
        ));
    }));
}
