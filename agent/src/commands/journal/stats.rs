//! `wardmote journal stats`: how much there is; proves nothing.

use std::fmt::Write as _;

use clap::ValueEnum;
use crypto::journal::state::Made;
use serde::Serialize;

use super::verify::head_text;
use super::{Where, moment, tell};
use crate::commands::Global;
use crate::exit::Exit;
use crate::journal::read::{Told, records};
use crate::journal::{Entry, Error, key};
use crate::output;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    at: Where,
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

/// What is told of a journal.
#[derive(Debug, Default, Serialize)]
struct Stats {
    schema: &'static str,
    segments: u64,
    records: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_a_record: Option<f64>,
    epochs: u64,
    /// Segments that were removed for want of room, as gaps say, with their records.
    removed_segments: u64,
    removed_records: u64,
    /// Records that could not be read.
    unread: u64,
    /// Records of kinds that this version does not know; `show` tells them all the same.
    unknown: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
    /// `FRAME:HEX`, for `journal verify --expect-head`.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    /// Whether somebody was given the key that verifies it, as far as it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_key: Option<bool>,
    incomplete: Vec<String>,
}

/// Tells.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<Exit> {
    let (path, disk) = args.at.open(global)?;
    let (mut oldest, mut newest) = (i64::MAX, i64::MIN);
    let mut unknown = 0;
    let mut told = records::<std::io::Error>(&disk, |_, record| {
        unknown += u64::from(Entry::of(&record).is_none());
        oldest = oldest.min(record.time_us);
        newest = newest.max(record.time_us);
        Ok(())
    })?;
    let made = match key::peek(&disk) {
        Ok(state) => Some(state.made == Made::WithVerifyKey),
        // A copy need not have it.
        Err(Error::None) => None,
        Err(error) => {
            told.incomplete.push(error.to_string());
            None
        }
    };
    let mut stats = Stats::of(told);
    stats.verify_key = made;
    stats.unknown = unknown;
    if oldest <= newest {
        (stats.oldest, stats.newest) = (Some(moment(oldest)), Some(moment(newest)));
    }
    let bytes = match args.format {
        Format::Text => stats.text(),
        Format::Json => serde_json::to_string_pretty(&stats)? + "\n",
    };
    output::write(global.output.as_deref(), bytes.as_bytes())?;
    Ok(tell(&path, &stats.incomplete))
}

impl Stats {
    fn of(told: Told) -> Self {
        let mut stats = Self { schema: "wardmote.journal-stats/1", ..Self::default() };
        for (contents, bytes) in &told.segments {
            stats.segments += 1;
            stats.bytes += bytes;
            stats.records += contents.records;
            stats.unread += contents.unread;
            stats.epochs += contents.epochs;
            if let Some(removed) = Some(&contents.removed).filter(|removed| !removed.is_empty()) {
                // The last gap names all.
                let segments =
                    removed.iter().map(|span| (span.last - span.first).saturating_add(1));
                let records = removed.iter().map(|span| span.to.saturating_sub(span.from));
                stats.removed_segments = segments.fold(0, u64::saturating_add);
                stats.removed_records = records.fold(0, u64::saturating_add);
            }
            stats.head = contents.last.map(head_text).or(stats.head);
        }
        stats.bytes_a_record = (stats.records > 0)
            .then(|| (stats.bytes as f64 / stats.records as f64 * 100.0).round() / 100.0);
        stats.incomplete = told.incomplete;
        stats
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let each = self.bytes_a_record.map(|bytes| format!(" ({bytes} a record)"));
        let mut row = |name: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(out, "{name:<10} {value}");
        };
        row("records", &self.records);
        row("bytes", &format!("{}{}", self.bytes, each.unwrap_or_default()));
        row("segments", &self.segments);
        row("epochs", &self.epochs);
        let (segments, records) = (self.removed_segments, self.removed_records);
        row("removed", &format!("{segments} segments, {records} records"));
        for (name, time) in [("oldest", &self.oldest), ("newest", &self.newest)] {
            row(name, &time.as_deref().unwrap_or("-"));
        }
        row("head", &self.head.as_deref().unwrap_or("-"));
        if self.verify_key == Some(false) {
            row("verify key", &"nobody has it: the service made this journal by itself");
        }
        out
    }
}
