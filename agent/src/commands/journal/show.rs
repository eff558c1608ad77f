//! `wardmote journal show` and `export`: records as they are told; nothing is proven here.

use std::io::Write;

use clap::ValueEnum;
use consensus::Severity;
use crypto::journal::codec::{Decoded, Value};
use scanner::redact::printable;
use serde_json::{Map, json};

use super::{Where, moment, tell};
use crate::commands::Global;
use crate::exit::Exit;
use crate::journal::read;
use crate::output::painted;
use crate::pending::Stream;
use crate::settings::Span;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    at: Where,
    /// Only records of the last DUR, such as 90s, 24h or 7d, by the wall clock of when they were made
    #[arg(long, value_name = "DUR")]
    since: Option<Span>,
    /// Only records of this level and above: info, low, medium, high or critical
    #[arg(long, value_name = "LEVEL")]
    level: Option<Severity>,
    /// Only records of this kind, such as alert or decided
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Form of the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object a record
    Jsonl,
}

/// Shows what is asked for.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<Exit> {
    let now = jiff::Timestamp::now().as_microsecond();
    let from = args.since.map(|span| now.saturating_sub(span.seconds().saturating_mul(1_000_000)));
    let wanted = |record: &Decoded<'_>| {
        from.is_none_or(|from| record.time_us >= from)
            && args.level.is_none_or(|level| level.index() <= record.level().into())
            && args.kind.as_ref().is_none_or(|kind| kind == record.kind())
    };
    let color = global.color.on_stdout(global.output.is_some());
    each(&args.at, global, |number, record, out| {
        if !wanted(&record) {
            return Ok(());
        }
        match args.format {
            Format::Text => text(number, &record, color, out),
            Format::Jsonl => line(number, &record, out),
        }
    })
}

/// Shows everything as JSON lines.
pub fn export(at: &Where, global: &Global) -> anyhow::Result<Exit> {
    each(at, global, |number, record, out| line(number, &record, out))
}

fn each(
    at: &Where,
    global: &Global,
    mut show: impl FnMut(u64, Decoded<'_>, &mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let (path, disk) = at.open(global)?;
    let mut out = std::io::BufWriter::new(Stream::open(global.output.as_deref())?);
    let told = read::records(&disk, |number, record| show(number, record, &mut out));
    let told = told?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.finish()?;
    Ok(tell(&path, &told.incomplete))
}

fn text(number: u64, record: &Decoded<'_>, color: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let level = Severity::from_index(record.level().into());
    let name = format!("{:<8}", level.name().to_ascii_uppercase());
    let name = if color { painted(&name, level) } else { name };
    write!(out, "{} {name} {:<8} #{number}", moment(record.time_us), printable(record.kind()))?;
    for (name, value) in record.fields() {
        let shown = match value {
            Value::Name(text) | Value::Text(text) => printable(text),
            Value::Number(number) => number.to_string(),
        };
        let name = printable(name);
        match shown.is_empty() || shown.contains([' ', '=', '"']) {
            true => write!(out, " {name}={:?}", shown)?,
            false => write!(out, " {name}={shown}")?,
        }
    }
    Ok(writeln!(out)?)
}

fn line(number: u64, record: &Decoded<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let fields: Map<String, serde_json::Value> = record
        .fields()
        .map(|(name, value)| {
            let value = match value {
                Value::Name(text) | Value::Text(text) => json!(text),
                Value::Number(number) => json!(number),
            };
            (name.to_string(), value)
        })
        .collect();
    let level = Severity::from_index(record.level().into());
    let time = moment(record.time_us);
    let kind = record.kind();
    let line =
        json!({ "record": number, "time": time, "level": level, "kind": kind, "fields": fields });
    serde_json::to_writer(&mut *out, &line)?;
    Ok(out.write_all(b"\n")?)
}
