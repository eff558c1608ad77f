//! The stamps of lines followed without reading them, as long as they stay in one hour.

use parsers::time::{Stamp, Wall};

use super::fail2ban::date::leading_end;
use super::part::{Here, Part};

/// `:MM:SS`, after the hour.
const MINUTES_BYTES: usize = 6;
/// `Jun  1 00` of a stamp without a year.
const HOUR_BYTES: usize = 9;
/// `2024-05-01T10`.
const ISO_HOUR_BYTES: usize = 13;
/// Longest stretch of time between two lines that a clock sees; far less than clocks are ever moved.
const STRETCH_SECONDS: u32 = 600;
/// Longest fraction and offset after the seconds.
const ZONE_BYTES_MAX: usize = 16;

/// Follows the stamps of lines without reading them, as long as they stay in one hour.
///
/// A clock needs to see a line when a new hour begins (with it a month or a year may), when a wall clock
/// goes back (the repeated hour of a change to winter time), and every [`STRETCH_SECONDS`]: what it makes
/// of a line is then the same as had it seen every line before.
#[derive(Default)]
pub(super) struct Pace {
    /// The text up to the hour that lines share; empty: none known.
    hour: Vec<u8>,
    leads: bool,
    form: u64,
    /// Length of the stamps of the known hour.
    stamp_bytes: usize,
    /// Length of a fraction and the text of the offset, for stamps that name theirs.
    zone: Option<(usize, Vec<u8>)>,
    /// Hour of the last dated line, and the second within it; none after a stamp with an offset.
    wall: Option<(Wall, u32)>,
    /// Number of the last dated line and its stamp, or where it is.
    last: Option<(u64, Last)>,
    /// Whether that line is among the part's times.
    told: bool,
    /// Second within the hour of the last line that was told for its own sake.
    told_at: u32,
}

#[derive(Clone, Copy)]
enum Last {
    Read(Stamp),
    At(usize),
}

impl Pace {
    /// Whether a line begins with a stamp of the known hour, and so is a syslog line of it.
    #[inline]
    pub(super) fn step(&self, line: &[u8]) -> bool {
        if self.hour.is_empty() || !line.starts_with(&self.hour) {
            return false;
        }
        let rest = &line[self.hour.len()..];
        let Some(minutes) = rest.first_chunk() else { return false };
        if !are_minutes(minutes) {
            return false;
        }
        let Some((fraction, zone)) = &self.zone else { return true };
        let digits = rest.get(MINUTES_BYTES..MINUTES_BYTES + fraction).unwrap_or_default();
        digits.len() == *fraction
            && digits.iter().skip(1).all(u8::is_ascii_digit)
            && (digits.is_empty() || matches!(digits[0], b'.' | b','))
            && rest[MINUTES_BYTES + fraction..].starts_with(zone)
    }

    /// Where in a line of the known hour the text after its stamp begins, if all such lines begin with a
    /// date that filters of fail2ban take without a search, where what follows it allows that. Not for a
    /// leap second, and not where the last digit of the stamp may be one of a longer number.
    pub(super) fn after_stamp(&self, line: &[u8]) -> Option<usize> {
        let leap = line.get(self.hour.len() + 4) == Some(&b'6');
        let longer = line.get(self.stamp_bytes).is_some_and(u8::is_ascii_digit);
        (self.leads && !leap && !longer).then_some(self.stamp_bytes)
    }

    /// A number for the form of the stamps of the known hour: stamps of one number have one shape.
    pub(super) fn form(&self) -> u64 {
        self.form
    }

    /// A line of the known hour.
    pub(super) fn goes_on(&mut self, here: &Here<'_>, part: &mut Part) {
        let minutes = here.line.get(self.hour.len()..).and_then(|rest| rest.first_chunk());
        let within = minutes.map_or(0, seconds_of);
        let told_at = self.told_at;
        let moves = self.wall.as_mut().is_some_and(|(_, before)| {
            let back = within < std::mem::replace(before, within);
            back || within > told_at + STRETCH_SECONDS
        });
        if moves {
            self.tell(here.block, part);
        }
        self.last = Some((part.lines, Last::At(here.offset as usize)));
        self.told = false;
        if moves {
            self.told_at = within;
            self.tell(here.block, part);
        }
    }

    /// A dated line that was read.
    pub(super) fn begins(&mut self, here: &Here<'_>, stamp: Stamp, syslog: bool, part: &mut Part) {
        let wall = match stamp {
            Stamp::Exact(_) => None,
            Stamp::Local(wall) | Stamp::Yearless(wall) => {
                Some((Wall { second: wall.second / 3600, ..wall }, wall.second % 3600))
            }
        };
        let stands = match (self.wall, wall) {
            (Some((before, at)), Some((now, within))) => {
                before == now && at <= within && within <= self.told_at + STRETCH_SECONDS
            }
            (_, None) => true,
            _ => false,
        };
        if !stands {
            self.tell(here.block, part);
        }
        self.wall = wall;
        self.last = Some((part.lines, Last::Read(stamp)));
        self.told = false;
        if !stands {
            self.told_at = wall.map_or(0, |(_, within)| within);
            self.tell(here.block, part);
        }
        self.learn(here.line, stamp, syslog);
    }

    /// Takes the hour of a line as the known one, where the next lines can be told by it.
    fn learn(&mut self, line: &[u8], stamp: Stamp, syslog: bool) {
        self.hour.clear();
        self.zone = None;
        let length = match stamp {
            Stamp::Yearless(_) => HOUR_BYTES,
            Stamp::Exact(_) => ISO_HOUR_BYTES,
            Stamp::Local(_) => return,
        };
        let at_start = line.first().is_some_and(u8::is_ascii_alphanumeric);
        let minutes = line.get(length..).and_then(|rest| rest.first_chunk());
        if !syslog || !is_possible(stamp) || !at_start || !minutes.is_some_and(are_minutes) {
            return;
        }
        if let Stamp::Exact(_) = stamp {
            let rest = &line
                [length + MINUTES_BYTES..line.len().min(length + MINUTES_BYTES + ZONE_BYTES_MAX)];
            let fraction = match rest.first() {
                Some(b'.' | b',') => {
                    1 + rest.iter().skip(1).take(9).take_while(|b| b.is_ascii_digit()).count()
                }
                _ => 0,
            };
            let zone = &rest[fraction..];
            let length = match zone.first() {
                Some(b'Z' | b'z') => 1,
                Some(b'+' | b'-') if zone.get(3) == Some(&b':') => 6,
                Some(b'+' | b'-') => 5,
                _ => return,
            };
            let Some(zone) = zone.get(..length) else { return };
            self.zone = Some((fraction, zone.to_vec()));
        }
        self.hour.extend_from_slice(&line[..length]);
        let (fraction, zone) = self.zone.as_ref().map_or((0, &[][..]), |(f, z)| (*f, z.as_slice()));
        let part: Vec<u8> = (0..fraction).map(|at| if at == 0 { b'.' } else { b'0' }).collect();
        let stamp = [&self.hour, &b":00:00"[..], &part, zone].concat();
        self.leads = leading_end(&[&stamp, &b" x"[..]].concat()).is_some();
        self.stamp_bytes = stamp.len();
        self.form = form_of(&stamp);
    }

    /// Adds the last dated line to the part's times, unless it is there.
    pub(super) fn tell(&mut self, block: &[u8], part: &mut Part) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        if let Some((number, last)) = self.last {
            let stamp = match last {
                Last::Read(stamp) => Some(stamp),
                Last::At(at) => stamp_at(block, at),
            };
            part.times.extend(stamp.map(|stamp| (number, stamp)));
        }
    }
}

/// Whether the day exists, in some year.
pub(super) fn is_possible(stamp: Stamp) -> bool {
    match stamp {
        Stamp::Exact(_) => true,
        Stamp::Local(wall) => wall.as_utc().is_some(),
        Stamp::Yearless(wall) => Wall { year: LEAP_YEAR, ..wall }.as_utc().is_some(),
    }
}

/// A number for a stamp with its digits masked: every byte of it that is no digit counts, and where.
fn form_of(stamp: &[u8]) -> u64 {
    let masked = stamp.iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte });
    // FNV-1a: an hour is learnt once in many lines, and what may be in a stamp is known.
    masked.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A year with a 29 February.
const LEAP_YEAR: i16 = 2024;

fn stamp_at(block: &[u8], at: usize) -> Option<Stamp> {
    let line = block.get(at..)?;
    parsers::log::syslog::stamp(&line[..line.len().min(64)]).map(|(stamp, _)| stamp)
}

/// The second within the hour; a leap second counts as the one before it.
fn seconds_of(text: &[u8; MINUTES_BYTES]) -> u32 {
    let digit = |at: usize| u32::from(text[at].wrapping_sub(b'0'));
    (digit(1) * 10 + digit(2)) * 60 + (digit(4) * 10 + digit(5)).min(59)
}

fn are_minutes(text: &[u8; MINUTES_BYTES]) -> bool {
    let [first, m1, m2, second, s1, s2] = *text;
    let digit = |byte: u8| byte.is_ascii_digit();
    (first, second) == (b':', b':')
        && (b'0'..=b'5').contains(&m1)
        && digit(m2)
        && digit(s2)
        && ((b'0'..=b'5').contains(&s1) || (s1, s2) == (b'6', b'0'))
}
