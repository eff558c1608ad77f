//! What verification can find: faults, and notes that are none.

use super::{Removed, Span};

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A file of no bytes.
    #[error("empty: a segment begins with its own frame")]
    Empty,
    /// Not a segment.
    #[error("not a segment of a journal")]
    Foreign,
    /// A version that is not known.
    #[error("version {0} of the form is not known")]
    Version(u16),
    /// Heads of zeros: somebody took the proof away.
    #[error("frame {0} is not sealed")]
    NotSealed(u64),
    /// A frame whose checksum does not fit.
    #[error("frame {number} at byte {offset} is damaged")]
    Damaged {
        /// Its number, as far as it can be read.
        number: u64,
        /// Where it is.
        offset: usize,
    },
    /// A frame whose checksum fits and whose head does not: it was changed by somebody who knew the form,
    /// or comes from elsewhere, or was sealed with another key.
    #[error("frame {number} at byte {offset} was not written here: its head does not follow")]
    Forged {
        /// Its number.
        number: u64,
        /// Where it is.
        offset: usize,
    },
    /// A segment that another one follows, without its last frame.
    #[error("its end is missing: another segment follows")]
    NoEnd,
    /// Bytes behind the last frame.
    #[error("frames behind its end")]
    AfterEnd,
    /// Numbers that jump forward.
    #[error("frames {from} to {to} are missing")]
    Missing {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// Numbers that jump back: frames that were there before, or in another order.
    #[error("frame {found} where frame {expected} was next: repeated or in another order")]
    Order {
        /// What is there.
        found: u64,
        /// What should be.
        expected: u64,
    },
    /// An epoch that does not follow.
    #[error("epoch {found} where epoch {expected} is open")]
    Epoch {
        /// What is there.
        found: u64,
        /// What should be.
        expected: u64,
    },
    /// A segment of another journal.
    #[error("it belongs to another journal")]
    OtherJournal,
    /// Two files of one segment.
    #[error("segment {0} is there twice")]
    Twice(u64),
    /// A file whose name says another number.
    #[error("it is segment {0}: the file was renamed")]
    Renamed(u64),
    /// Segments that are not there, and no gap names them.
    #[error("segments {from} to {to} are missing")]
    SegmentsMissing {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// The journal ends before what somebody has seen.
    #[error("it ends with frame {found}, and frame {seen} has been seen: its tail was cut")]
    Tail {
        /// Last frame.
        found: u64,
        /// What was seen.
        seen: u64,
    },
    /// The journal ends in an epoch before the one that its key is in.
    #[error("it ends in epoch {found}, and its key is in epoch {seen}: its tail was cut")]
    TailEpoch {
        /// Last epoch.
        found: u64,
        /// What the key says.
        seen: u64,
    },
    /// A head that somebody has seen is another one here.
    #[error("frame {0} has another head than the one that was seen")]
    Head(u64),
    /// Records that cannot be read, in a frame that holds.
    #[error("the records of frame {0} cannot be read")]
    Records(u64),
    /// A frame whose body is not what its kind has.
    #[error("frame {0} is malformed")]
    Malformed(u64),
    /// No segment at all.
    #[error("there is no segment: nothing is sealed here")]
    Nothing,
}

impl Fault {
    /// A word for programs: it never changes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Foreign => "foreign",
            Self::Version(_) => "version",
            Self::NotSealed(_) => "not_sealed",
            Self::Damaged { .. } => "damaged",
            Self::Forged { .. } => "forged",
            Self::NoEnd => "no_end",
            Self::AfterEnd => "after_end",
            Self::Missing { .. } => "missing",
            Self::Order { .. } => "order",
            Self::Epoch { .. } => "epoch",
            Self::OtherJournal => "other_journal",
            Self::Twice(_) => "twice",
            Self::Renamed(_) => "renamed",
            Self::SegmentsMissing { .. } => "segments_missing",
            Self::Tail { .. } => "tail",
            Self::TailEpoch { .. } => "tail_epoch",
            Self::Head(_) => "head",
            Self::Records(_) => "records",
            Self::Malformed(_) => "malformed",
            Self::Nothing => "nothing",
        }
    }
}

/// What is worth knowing though everything holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The wall clock moved against the monotonic one, by so many seconds.
    ClockStep {
        /// At which frame.
        frame: u64,
        /// Forward or back.
        seconds: i64,
    },
    /// A write that was not finished, at the end of the last segment: nobody was told that it was durable.
    TornTail {
        /// Bytes.
        bytes: usize,
    },
    /// Bytes of an unfinished write that a later writer cut off.
    TornBefore {
        /// Bytes.
        bytes: u64,
    },
    /// A segment that was removed for want of room, and said so.
    Removed(Removed),
    /// The same of neighbours.
    RemovedSpan(Span),
}

impl std::fmt::Display for Note {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ClockStep { frame, seconds } => {
                write!(out, "the wall clock stepped by {seconds} s before frame {frame}")
            }
            Self::TornTail { bytes } => {
                write!(out, "an unfinished write of {bytes} bytes at its end")
            }
            Self::TornBefore { bytes } => {
                write!(out, "an unfinished write of {bytes} bytes was cut off by the next writer")
            }
            Self::Removed(Removed { segment, from, to }) => {
                let count = to.saturating_sub(*from);
                write!(
                    out,
                    "segment {segment} was removed for want of room: {count} records from {from}"
                )
            }
            Self::RemovedSpan(Span { first, last, from, to }) => {
                let count = to.saturating_sub(*from);
                write!(
                    out,
                    "segments {first} to {last} were removed for want of room: {count} records from {from}"
                )
            }
        }
    }
}
