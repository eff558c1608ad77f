//! `wardmote verify`: whether the passwords on stdin are those of their PHC strings.

use std::io::Write;

use crypto::password::{Checked, verify_lines_against};

use crate::commands::Global;
use crate::commands::hash::{Made, jobs, of_batch, secret_stdin};
use crate::exit::{Exit, hinted};
use crate::pending::Stream;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each line of stdin is `PHC<TAB>password`. One answer a line, in input order: \
    `ok`, `mismatch` or `error: …`. Exit code 1 when any line is not ok. With --needs-rehash, `ok \
    needs-rehash` is a good password whose hash is of another variant, of version 16, of less memory or \
    fewer passes than the cost given, or shorter than new ones: hash it again while it is known."
)]
pub struct Args {
    /// Lines verified at the same time [default: the number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Tell good passwords whose hash is weaker than a new one: `ok needs-rehash`
    #[arg(long)]
    needs_rehash: bool,
    #[command(flatten)]
    made: Made,
}

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    crate::secrets::shield();
    let wanted = args.made.plan()?;
    let wanted = args.needs_rehash.then_some(wanted);
    let input = secret_stdin("lines of PHC<TAB>password; end with Ctrl-D", global.quiet)?;
    let mut out = Stream::open(global.output.as_deref())?;
    let mut holds = true;
    let count = verify_lines_against(wanted, jobs(args.jobs), input, |checked| {
        holds &= matches!(checked, Checked::Ok | Checked::NeedsRehash);
        match checked {
            Checked::Ok => writeln!(out, "ok"),
            Checked::NeedsRehash => writeln!(out, "ok needs-rehash"),
            Checked::Mismatch => writeln!(out, "mismatch"),
            Checked::Error(why) => writeln!(out, "error: {why}"),
        }
    })
    .map_err(of_batch)?;
    out.finish()?;
    if count == 0 {
        return Err(hinted("nothing to verify on stdin", "give lines of PHC<TAB>password"));
    }
    Ok(if holds { Exit::Clean } else { Exit::Found })
}
