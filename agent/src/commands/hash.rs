//! `wardmote hash`: one Argon2 PHC string a line for each password on stdin.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use clap::ValueEnum;
use crypto::password::{Plan, hash_lines};
use crypto::phc::{Cost, Variant};

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::pending::Stream;
use crate::secrets::random;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each line of stdin is one password; only LF ends a line. At most 4096 bytes a \
    line. The jobs together use at most 1 GiB of memory: fewer run when MEMORY times JOBS is more."
)]
pub struct Args {
    #[command(flatten)]
    made: Made,
    /// Passwords hashed at the same time [default: the number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// How a hash is made: the same for `verify --needs-rehash`.
#[derive(Debug, clap::Args)]
pub struct Made {
    /// Memory of one hash in KiB, 8 to 1048576 [default: the profile's]
    #[arg(long, value_name = "KIB")]
    memory: Option<u32>,
    /// Passes over the memory, 1 to 10 [default: the profile's]
    #[arg(long, value_name = "N")]
    time: Option<u32>,
    /// Lanes, 1 to 16 [default: the profile's]
    #[arg(long, value_name = "N")]
    lanes: Option<u32>,
    /// Cost to start from
    #[arg(long, value_enum, default_value = "owasp")]
    profile: Profile,
    /// Kind of Argon2
    #[arg(long, value_enum, default_value = "argon2id")]
    variant: Kind,
}

impl Made {
    /// The variant and cost that were asked for, within bounds.
    pub fn plan(&self) -> anyhow::Result<(Variant, Cost)> {
        let base = match self.profile {
            Profile::Owasp => Cost::OWASP,
            Profile::Rfc9106 => Cost::RFC9106,
        };
        let cost = Cost::new(
            self.memory.unwrap_or(base.memory_kib()),
            self.time.unwrap_or(base.time()),
            self.lanes.unwrap_or(base.lanes()),
        )
        .map_err(|error| hinted(error.to_string(), "see `wardmote hash --help`"))?;
        let variant = match self.variant {
            Kind::Argon2id => Variant::Id,
            Kind::Argon2i => Variant::I,
            Kind::Argon2d => Variant::D,
        };
        Ok((variant, cost))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// 19 MiB, 2 passes, 1 lane
    Owasp,
    /// 64 MiB, 3 passes, 4 lanes (RFC 9106, second recommendation)
    Rfc9106,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// The one to use
    Argon2id,
    /// Data-independent
    Argon2i,
    /// Data-dependent
    Argon2d,
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    crate::secrets::shield();
    let (variant, cost) = args.made.plan()?;
    let plan = Plan { variant, cost, workers: jobs(args.jobs) };
    let input = secret_stdin("passwords, one a line; end with Ctrl-D", global.quiet)?;
    let mut out = Stream::open(global.output.as_deref())?;
    hash_lines(plan, input, random, |phc| writeln!(out, "{phc}")).map_err(of_batch)?;
    out.finish()?;
    Ok(Exit::Clean)
}

/// Jobs at the same time: as asked, else the number of cores.
pub fn jobs(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// stdin without the standard library's buffer, which would keep a copy of what was typed.
pub fn secret_stdin(what: &str, quiet: bool) -> anyhow::Result<File> {
    let stdin = io::stdin();
    if stdin.is_terminal() && !quiet {
        say!("wardmote: reading {what}");
    }
    Ok(File::from(stdin.as_fd().try_clone_to_owned()?))
}

/// An error of a batch as the user sees it; a closed pipe stays what it is.
pub fn of_batch(error: crypto::Error) -> anyhow::Error {
    match error {
        crypto::Error::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => error.into(),
        crypto::Error::Io(error) => hinted(format!("reading or writing the lines: {error}"), ""),
        error @ crypto::Error::LineTooLong { .. } => {
            hinted(format!("stdin: {error}"), "the lines before it were answered")
        }
        error @ crypto::Error::Memory { .. } => {
            hinted(error.to_string(), "use fewer --jobs or less --memory")
        }
        error => error.into(),
    }
}
