//! `journal:` in the configuration: how large the service's record may become.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;
use crate::journal::Options;

/// Sizes of segments that are taken, in MiB.
const SEGMENT_MIB: std::ops::RangeInclusive<u64> = 1..=64;
/// Largest budget, in MiB.
const KEEP_MIB_MAX: u64 = 1 << 20;
/// Numbers of records of an epoch that are taken.
const EPOCH_RECORDS: std::ops::RangeInclusive<u64> = 1..=1_000_000;
/// Longest epoch: as long as that, whoever breaks in could rewrite the past.
const EPOCH_MAX: Duration = Duration::from_secs(3_600);

/// The journal's settings. A service that runs takes new ones when it opens its journal again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JournalSettings {
    /// What the closed segments may take together, in MiB: over that the least grave go first.
    pub keep_mib: u64,
    /// A segment ends at this size, in MiB.
    pub segment_mib: u64,
    /// The key moves on after so many records …
    pub epoch_records: u64,
    /// … or so much time, with records or without.
    pub epoch_every: Span,
}

impl Default for JournalSettings {
    fn default() -> Self {
        let options = Options::default();
        Self {
            keep_mib: options.budget_bytes >> 20,
            segment_mib: options.segment_bytes >> 20,
            epoch_records: options.epoch_records,
            epoch_every: Span(Duration::from_micros(options.epoch_us)),
        }
    }
}

impl JournalSettings {
    /// Whether nothing was set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// As the journal takes them, or what is out of bounds.
    pub fn options(&self) -> Result<Options, String> {
        let Self { keep_mib, segment_mib, epoch_records, epoch_every } = *self;
        if !SEGMENT_MIB.contains(&segment_mib) {
            return Err(format!("journal.segment_mib is {segment_mib}, not 1 to 64"));
        }
        if keep_mib < 2 * segment_mib || keep_mib > KEEP_MIB_MAX {
            return Err(format!(
                "journal.keep_mib is {keep_mib}, not two segments to {KEEP_MIB_MAX}"
            ));
        }
        if !EPOCH_RECORDS.contains(&epoch_records) {
            return Err(format!("journal.epoch_records is {epoch_records}, not 1 to 1000000"));
        }
        if epoch_every.0 < Duration::from_secs(1) || epoch_every.0 > EPOCH_MAX {
            return Err(format!("journal.epoch_every is {epoch_every}, not 1s to 60m"));
        }
        Ok(Options {
            segment_bytes: segment_mib << 20,
            budget_bytes: keep_mib << 20,
            epoch_records,
            epoch_us: epoch_every.0.as_secs() * 1_000_000,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_at_their_ends_and_not_beyond() {
        assert_eq!(JournalSettings::default().options(), Ok(Options::default()));
        let holds = |change: fn(&mut JournalSettings)| {
            let mut settings = JournalSettings::default();
            change(&mut settings);
            settings.options().is_ok()
        };
        assert!(holds(|one| one.segment_mib = 1) && holds(|one| one.segment_mib = 64));
        assert!(!holds(|one| one.segment_mib = 0) && !holds(|one| one.segment_mib = 65));
        assert!(holds(|one| one.keep_mib = 8) && !holds(|one| one.keep_mib = 7));
        assert!(holds(|one| one.keep_mib = 1 << 20) && !holds(|one| one.keep_mib = u64::MAX));
        assert!(holds(|one| one.epoch_records = 1) && !holds(|one| one.epoch_records = 0));
        assert!(!holds(|one| one.epoch_records = 1_000_001));
        let every = |seconds| Span(Duration::from_secs(seconds));
        for (seconds, good) in [(0, false), (1, true), (3_600, true), (3_601, false)] {
            let settings = JournalSettings { epoch_every: every(seconds), ..Default::default() };
            assert_eq!(settings.options().is_ok(), good, "{seconds} s");
        }
    }
}
