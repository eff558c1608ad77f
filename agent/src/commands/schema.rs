//! `wardmote schema NAME`: the JSON Schema of an output, generated from the types that make it.

use clap::ValueEnum;
use schemars::schema_for;

use crate::commands::Global;
use crate::exit::Exit;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Output to describe
    #[arg(value_enum)]
    name: Name,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// `audit --format json`
    Audit,
    /// A line of `audit --format jsonl`
    Finding,
    /// `scan --format json`
    Scan,
    /// `passwords --format json`
    Passwords,
    /// `status --format json`
    Status,
    /// A line of the service's `cases.jsonl`; `alerts show CASE --format json`
    Case,
    /// `respond list --format json`
    Respond,
    /// `respond rehearse --format json`
    Rehearsal,
    /// One piece of evidence, as experts see it
    Evidence,
    /// One verdict
    Verdict,
    /// The configuration file
    Settings,
    /// An entry of the accept file
    Accepted,
}

/// Prints the schema (JSON Schema 2020-12).
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let schema = match args.name {
        Name::Audit => schema_for!(crate::report::Report),
        Name::Finding => schema_for!(crate::report::Finding),
        Name::Scan => schema_for!(scanner::ports::report::Report),
        Name::Passwords => schema_for!(crate::commands::passwords::Report),
        Name::Status => schema_for!(crate::control::status::Status),
        Name::Case => schema_for!(crate::pipeline::case::CaseFile),
        Name::Respond => schema_for!(crate::commands::respond::list::Document<'_>),
        Name::Rehearsal => schema_for!(crate::commands::respond::rehearse::Rehearsal),
        Name::Evidence => schema_for!(consensus::Evidence),
        Name::Verdict => schema_for!(consensus::Verdict),
        Name::Settings => schema_for!(crate::settings::Settings),
        Name::Accepted => schema_for!(crate::pipeline::accept::Accepted),
    };
    let mut bytes = serde_json::to_vec_pretty(&schema)?;
    bytes.push(b'\n');
    crate::output::write(global.output.as_deref(), &bytes)?;
    Ok(Exit::Clean)
}
