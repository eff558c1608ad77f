//! `wardmote journal verify`: proves, with the first key, that nothing was changed, moved or left out.
//!
//! On the host itself the writer's own state says how far the journal must reach at least. Whoever has seen a
//! head (`journal stats`) and kept it elsewhere gives it with `--expect-head`: a tail that was cut then shows.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::ValueEnum;
use crypto::chain::{BYTES, Head};
use crypto::journal::verify::{Fault, Report, Seen, Verifier};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Where, tell};
use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::journal::disk::Disk;
use crate::journal::segments::{self, Bytes};
use crate::journal::{Error, key, read};
use crate::{output, secrets};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What holds was written by whoever had the key of its time, and nothing before the last \
    head that you have seen was changed since. It does not say that what was written is true, nor that nothing \
    was cut off behind that head."
)]
pub struct Args {
    #[command(flatten)]
    at: Where,
    /// The verification key that `journal init` made, mode 0600
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// A head that `journal stats` or `verify` has told before; may be given more than once
    #[arg(long, value_name = "FRAME:HEX", value_parser = head)]
    expect_head: Vec<(u64, Head)>,
    /// Form of the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// A frame's number and its head, as it is written down.
pub fn head_text((number, head): (u64, Head)) -> String {
    format!("{number}:{}", crypto::mac::hex(&head))
}

fn head(text: &str) -> Result<(u64, Head), String> {
    let wrong = || "a head is a number, a colon, and 64 hexadecimal digits".to_string();
    let (number, digits) = text.split_once(':').ok_or_else(wrong)?;
    if digits.len() != 2 * BYTES || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut head = Head::default();
    for (at, byte) in head.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok((number.parse().map_err(|_| wrong())?, head))
}

/// Verifies.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<Exit> {
    secrets::shield();
    let bytes = secrets::read(&args.key_file, BYTES)?;
    let first: [u8; BYTES] = bytes.as_slice().try_into().map_err(|_| {
        let name = args.key_file.display();
        hinted(format!("{name}: not {BYTES} bytes"), "the file that `wardmote journal init` made")
    })?;
    let (path, disk) = args.at.open(global)?;
    let mut incomplete = Vec::new();
    // The state before the segments: what is written meanwhile only comes after it.
    let known = match key::peek(&disk) {
        Ok(state) => Some(state),
        Err(Error::None) => None,
        Err(error) => {
            incomplete.push(error.to_string());
            None
        }
    };
    let seen = Seen { head: None, epoch: known.as_ref().map(|state| state.key.epoch()) };
    let mut verifier = Verifier::new(Zeroizing::new(first), seen);
    let own = known.and_then(|state| Some((state.tail.number.checked_sub(1)?, state.tail.head)));
    for (number, head) in args.expect_head.iter().copied().chain(own) {
        verifier.expect(number, head);
    }
    walk(&disk, &mut verifier, &mut incomplete)?;
    let report = verifier.finish();
    let text = match args.format {
        Format::Text => text(&report),
        Format::Json => serde_json::to_string_pretty(&json(&report, &incomplete))? + "\n",
    };
    output::write(global.output.as_deref(), text.as_bytes())?;
    let exit = tell(&path, &incomplete);
    if report.holds() {
        return Ok(exit);
    }
    let is_first = |fault: &(String, Fault)| matches!(fault.1, Fault::Forged { number: 0, .. });
    if report.records == 0 && report.faults.iter().any(is_first) {
        say!("hint: not even the first frame holds: is {} its key?", args.key_file.display());
    }
    Ok(Exit::Found)
}

fn walk(
    disk: &dyn Disk,
    verifier: &mut Verifier,
    incomplete: &mut Vec<String>,
) -> std::io::Result<()> {
    read::parts(disk, read::Order::Own, |part| {
        match part.bytes {
            Ok(Bytes::Whole(bytes)) => {
                verifier.segment(&part.name, Some(part.number), &bytes, |_, _| {});
            }
            // Both are walked: the second is refused as what is there twice.
            Ok(Bytes::Twice(raw, packed)) => {
                for bytes in [raw, packed] {
                    verifier.segment(&part.name, Some(part.number), &bytes, |_, _| {});
                }
            }
            // A file that is not what its name says is no segment; one that the system does not give is unread.
            Err(error) if !segments::is_trouble(&error) => {
                verifier.segment(&part.name, Some(part.number), b"not a segment", |_, _| {});
                incomplete.push(format!("{}: {error}", part.name));
            }
            Err(error) => {
                verifier.unread(part.number);
                incomplete.push(format!("{}: {error}", part.name));
            }
        }
        Ok(())
    })
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let place = |name: &str| if name.is_empty() { "the journal" } else { name }.to_string();
    for ((name, fault), offset) in report.faults.iter().zip(&report.places) {
        let at = if name.is_empty() { String::new() } else { format!(":{offset}") };
        let _ = writeln!(out, "FAULT {}{at}: {fault}", place(name));
    }
    if report.more_faults > 0 {
        let _ = writeln!(out, "FAULT {} more", report.more_faults);
    }
    for (name, note) in &report.notes {
        let _ = writeln!(out, "note  {}: {note}", place(name));
    }
    let Report { segments, frames, records, unread, epoch, .. } = report;
    let unread = if *unread > 0 { format!(" ({unread} unread)") } else { String::new() };
    let _ = writeln!(
        out,
        "{segments} segments, {frames} frames and {records} records hold{unread}, epoch {epoch}"
    );
    if let Some(last) = report.last {
        let _ = writeln!(out, "head {}", head_text(last));
    }
    let verdict = match report.faults.len() as u64 + report.more_faults {
        0 => "everything holds".to_string(),
        1 => "it does NOT hold: 1 fault".to_string(),
        faults => format!("it does NOT hold: {faults} faults"),
    };
    out + &verdict + "\n"
}

fn json(report: &Report, incomplete: &[String]) -> serde_json::Value {
    let faults = report.faults.iter().zip(&report.places).map(|((name, fault), offset)| {
        let mut one = json!({ "fault": fault.name(), "text": fault.to_string() });
        if !name.is_empty() {
            one["segment"] = json!(name);
            one["offset"] = json!(offset);
        }
        one
    });
    let notes = report.notes.iter().map(|(name, note)| {
        let mut one = json!({ "text": note.to_string() });
        if !name.is_empty() {
            one["segment"] = json!(name);
        }
        one
    });
    let mut document = json!({
        "schema": "wardmote.journal/1",
        "holds": report.holds(),
        "faults": faults.collect::<Vec<_>>(),
        "more_faults": report.more_faults,
        "notes": notes.collect::<Vec<_>>(),
        "segments": report.segments,
        "frames": report.frames,
        "records": report.records,
        "unread": report.unread,
        "epoch": report.epoch,
        "incomplete": incomplete,
    });
    if let Some(last) = report.last {
        document["head"] = json!(head_text(last));
    }
    document
}
