//! Where in a line its date stands, and what it says: a date detector like fail2ban's.
//!
//! A filter names its patterns, or takes the defaults below. Of several that match, one that is tied to
//! the start of the line wins, then one that begins at its first or second character, then the one that
//! begins first. fail2ban moreover remembers which pattern matched before and where; here each line is
//! judged for itself, so that a line gives the same date on any thread and from any place in a file.

mod fast;
mod moment;
mod template;

pub use moment::{Fields, Moment};
pub use template::{Found, Template};

use std::sync::{Arc, OnceLock};

use super::pattern::{Machine, PatternError, Undecided};

/// Most patterns of a filter.
pub const TEMPLATES_MAX: usize = 100;

/// The patterns of a filter.
#[derive(Debug)]
pub struct Detector {
    templates: Vec<Arc<Template>>,
    /// Whether the first patterns are the defaults, tied to the start of the line.
    fast: bool,
    words: bool,
}

const SECONDS: &str = r"%H:%M:%S";

/// Ways to write a date, the likeliest first.
fn defaults() -> [String; 17] {
    const SEPARATED: &str = "(?P<_sep>[-/])";
    const ASCTIME: &str = r"(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?";
    let zone = r"(?:[.,]%f)?(?:\s*%z)?";
    [
        // ISO 8601, also with slashes or dots, with fraction and zone.
        format!(r"%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?){SECONDS}{zone}"),
        // syslog and asctime, the year at the end or after the day.
        ASCTIME.to_string(),
        r"(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?".to_string(),
        // Day first, year with four digits or two.
        format!("%d{SEPARATED}%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S"),
        // Access logs, named, roundcube.
        format!(r"%d{SEPARATED}%b(?P=_sep)%ExY[ :]?{SECONDS}(?:\.%f)?(?: %z)?"),
        // Month first.
        format!("%m/%d/%ExY:{SECONDS}"),
        r"%m-%d-%ExY %k:%M:%S(?:\.%f)?".to_string(),
        "EPOCH".to_string(),
        format!("{{^LN-BEG}}{SECONDS}"),
        format!("^<%m/%d/%Exy@{SECONDS}>"),
        // MySQL, Tomcat, ASSP.
        format!("%Exy%Exm%Exd  ?{SECONDS}"),
        "%b %d, %ExY %I:%M:%S %p".to_string(),
        "^%b-%d-%Exy %k:%M:%S".to_string(),
        // ISO 8601 without separators.
        format!("%ExY%Exm%Exd(?:T|  ?)%ExH%ExM%ExS{zone}"),
        // A zone before the date.
        format!("(?:%Z )?{ASCTIME}"),
        format!("(?:%z )?{ASCTIME}"),
        "TAI64N".to_string(),
    ]
}

/// Whether a pattern cuts whole words out of a line: it ends with a field, and begins with one, at the
/// start of the line or after an opening bracket or quote. (No wrong yes; a no only costs time.)
fn cuts_words(pattern: &str) -> bool {
    if matches!(pattern, "{^LN-BEG}" | "{DEFAULT}" | "{NONE}") {
        return true;
    }
    let end = pattern.trim_end_matches([')', '?']);
    let mut last = end.chars().rev();
    let field = last.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && (last.next() == Some('%') || end.len() > 4 && end[..end.len() - 1].ends_with("%Ex"));
    if !field && !end.ends_with("{DATE}") {
        return false;
    }
    let begins = |text: &str| {
        let text = text.trim_start_matches("(?:").trim_start_matches('(');
        text.starts_with('%') && !text.starts_with("%%") || text.starts_with("{DATE}")
    };
    if begins(pattern.strip_prefix("{^LN-BEG}").unwrap_or(pattern)) {
        return true;
    }
    let Some(rest) = pattern.strip_prefix('^') else { return false };
    let cut = rest.split_once("({DATE}").filter(|(before, _)| !before.contains('('));
    begins(rest) || cut.is_some_and(|(before, _)| before.ends_with(['[', '<', '{', '"', '\'']))
}

/// Each default tied to the start of the line, then all of them as they are; one set for every filter.
fn shared(last_year: i16) -> &'static [Arc<Template>] {
    static DECADES: [OnceLock<Vec<Arc<Template>>>; 8] = [const { OnceLock::new() }; 8];
    let decade = usize::try_from((last_year - 2020) / 10).unwrap_or(0).min(DECADES.len() - 1);
    DECADES[decade].get_or_init(|| {
        let all = defaults();
        let free =
            all.iter().filter(|text| !text.starts_with('^') && !text.starts_with("{^LN-BEG}"));
        let tied: Vec<String> = free.map(|text| format!("{{^LN-BEG}}{text}")).collect();
        let texts = tied.iter().chain(&all);
        texts.filter_map(|text| Template::new(text, last_year).ok().map(Arc::new)).collect()
    })
}

/// Where the date at the very start of a line ends, if it is one that every detector with the default
/// patterns takes without a search.
pub fn leading_end(line: &[u8]) -> Option<usize> {
    fast::leading(line).map(|(_, found)| found.end)
}

impl Detector {
    /// The detector of a `datepattern`, one pattern a line; the defaults where it is empty.
    /// `last_year` is the last year that a date may sensibly have.
    pub fn new(patterns: &str, last_year: i16) -> Result<Self, PatternError> {
        Self::of(patterns, last_year, Template::checked)
    }

    /// The same for patterns that [`Detector::new`] has accepted: compiled when a line needs them.
    pub fn checked_before(patterns: &str, last_year: i16) -> Result<Self, PatternError> {
        Self::of(patterns, last_year, Ok)
    }

    fn of(
        patterns: &str,
        last_year: i16,
        check: fn(Template) -> Result<Template, PatternError>,
    ) -> Result<Self, PatternError> {
        let mut detector = Self { templates: Vec::new(), fast: false, words: true };
        let lines: Vec<&str> =
            patterns.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        detector.fast = matches!(lines.first(), None | Some(&"{^LN-BEG}" | &"{DEFAULT}"));
        if lines.is_empty() {
            detector.templates = shared(last_year).to_vec();
        }
        for line in lines {
            let key = if line.contains('%') { line.to_string() } else { line.to_uppercase() };
            detector.words = detector.words && cuts_words(&key);
            if key == "{^LN-BEG}" {
                detector.add_defaults(|template| template.tied_to_start, last_year)?;
            } else if key == "{DEFAULT}" {
                detector.add_defaults(|_| true, last_year)?;
            } else if let Some(at) = key.to_ascii_uppercase().find("{DATE}") {
                for (index, default) in
                    defaults().iter().filter(|text| text.contains('%')).enumerate()
                {
                    let bare = default.strip_prefix("{^LN-BEG}").unwrap_or(default);
                    let text = [&line[..at], bare, &line[at + 6..]].concat();
                    let template = Template::new(&text, last_year)?;
                    // What is wrong with one is wrong with all.
                    let template = if index == 0 { check(template)? } else { template };
                    detector.add(Arc::new(template))?;
                }
            } else if key == "{NONE}" {
                detector.add(Arc::new(check(Template::new("{UNB}^", last_year)?)?))?;
            } else {
                detector.add(Arc::new(check(Template::new(line, last_year)?)?))?;
            }
        }
        Ok(detector)
    }

    /// The defaults that are wanted.
    fn add_defaults(
        &mut self,
        wanted: impl Fn(&Template) -> bool,
        last_year: i16,
    ) -> Result<(), PatternError> {
        for template in shared(last_year).iter().filter(|template| wanted(template)) {
            self.add(Arc::clone(template))?;
        }
        Ok(())
    }

    fn add(&mut self, template: Arc<Template>) -> Result<(), PatternError> {
        if self.templates.iter().any(|known| known.name == template.name) {
            return Ok(());
        }
        if self.templates.len() == TEMPLATES_MAX {
            return Err(PatternError { at: 0, what: "too many date patterns" });
        }
        self.templates.push(template);
        Ok(())
    }

    /// Whether it takes a date at the very start of a line (see [`leading_end`]) without a search.
    pub fn takes_leading(&self) -> bool {
        self.fast
    }

    /// Whether what the patterns cut out of a line are whole words.
    pub fn cuts_words(&self) -> bool {
        self.words
    }

    /// The patterns in their order.
    pub fn templates(&self) -> &[Arc<Template>] {
        &self.templates
    }

    /// Finds the date of a line, and which pattern found it.
    pub fn find(
        &self,
        line: &str,
        machine: &mut Machine,
    ) -> Result<Option<(usize, Found)>, Undecided> {
        if self.fast
            && let Some(found) = fast::leading(line.as_bytes())
        {
            return Ok(Some(found));
        }
        self.find_slowly(line, machine)
    }

    fn find_slowly(
        &self,
        line: &str,
        machine: &mut Machine,
    ) -> Result<Option<(usize, Found)>, Undecided> {
        let mut best: Option<(usize, Found)> = None;
        for (index, template) in self.templates.iter().enumerate() {
            let Some(found) = template.find(line, machine)? else { continue };
            let last = index + 1 == self.templates.len();
            if last || template.tied || found.distance <= 1 {
                return Ok(Some((index, found)));
            }
            if best.is_none_or(|(_, best)| found.distance < best.distance) {
                best = Some((index, found));
            }
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests;
