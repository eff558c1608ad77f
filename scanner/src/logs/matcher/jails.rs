//! fail2ban's jails among the rules: a rule for each that its filter decides, and a correlation that
//! fires where the jail would ban.

use std::sync::{Arc, LazyLock};

use parsers::log::journal::Entry;
use parsers::place::Place;
use parsers::rules::sigma::{
    self, Correlation, CorrelationKind, Document, Header, Rule, Threshold,
};

use super::possible::Candidates;
use crate::logs::fail2ban::{Jail, Watch};
use crate::logs::literals::{Found, Literals};
use crate::logs::shape::Masked;

/// Longest time within which failures are counted: 90 days, as for correlations.
const FINDTIME_SECONDS_MAX: f64 = 90.0 * 86_400.0;
/// Most failures that a jail may take.
const MAXRETRY_MAX: u32 = 100_000;

/// Jails and the texts that their filters need.
#[derive(Default)]
pub struct Jails {
    /// Each jail with the position of its rule.
    pub(super) watched: Vec<(Jail, usize)>,
    literals: Literals,
    jails_of: Vec<Vec<u32>>,
    always: Vec<u32>,
    /// Filters that look at several lines, and of which texts say which.
    together: Vec<Watch>,
    marks: Literals,
    /// Of each mark: positions in `together`.
    marked: Vec<Vec<u32>>,
}

impl Jails {
    /// Jails whose rules are at these positions.
    pub(super) fn new(watched: Vec<(Jail, usize)>) -> Self {
        let mut texts: std::collections::BTreeMap<Vec<u8>, Vec<u32>> = Default::default();
        let mut always = Vec::new();
        let mut marks: std::collections::BTreeMap<Vec<u8>, Vec<u32>> = Default::default();
        let mut together = Vec::new();
        for (index, (jail, _)) in watched.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            match jail.filter.needed() {
                Some(needed) => {
                    for text in needed {
                        let jails = texts.entry(text.to_ascii_lowercase()).or_default();
                        if jails.last() != Some(&index) {
                            jails.push(index);
                        }
                    }
                }
                None => match jail.filter.marks() {
                    Some(texts) => {
                        let number = u32::try_from(together.len()).unwrap_or(u32::MAX);
                        for text in texts {
                            marks.entry(text.to_ascii_lowercase()).or_default().push(number);
                        }
                        together.push(Watch::new(index, jail.filter.maxlines()));
                    }
                    None => always.push(index),
                },
            }
        }
        let literals = Literals::new(texts.keys().map(Vec::as_slice));
        Self {
            watched,
            literals,
            jails_of: texts.into_values().collect(),
            always,
            together,
            marks: Literals::new(marks.keys().map(Vec::as_slice)),
            marked: marks.into_values().collect(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.watched.len()
    }

    /// A jail and the position of its rule.
    pub(in crate::logs) fn get(&self, index: usize) -> Option<&(Jail, usize)> {
        self.watched.get(index)
    }

    /// Which jails an entry of the journal is for: those that read the journal, whose `journalmatch` it
    /// satisfies, and one of whose texts stands in its line.
    pub(in crate::logs) fn of_entry(&self, entry: &Entry, line: &[u8]) -> Vec<u32> {
        let (mut found, mut asked) = (Vec::new(), Vec::new());
        if self.watched.iter().any(|(jail, _)| jail.reads_journal) {
            self.find(line, &mut found);
            self.asked(&found, &mut asked);
            asked.retain(|index| {
                let jail = &self.watched[*index as usize].0;
                jail.reads_journal && is_matched(jail.filter.journalmatch(), entry)
            });
        }
        asked
    }

    /// Which jails a log of this path is for: those that name it, and those that name none.
    pub(in crate::logs) fn of_log(&self, path: &str) -> Vec<bool> {
        let names =
            |glob: &String| parsers::config::glob::matches(glob.as_bytes(), path.as_bytes());
        let is_for = |jail: &Jail| {
            !jail.reads_journal && (jail.logpath.is_empty() || jail.logpath.iter().any(names))
        };
        self.watched.iter().map(|(jail, _)| is_for(jail)).collect()
    }

    /// The texts that filters need, in lower case.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.literals.texts()
    }

    /// Appends every place of a block where a text stands that a filter needs.
    pub(in crate::logs) fn find(&self, block: &[u8], found: &mut Vec<Found>) {
        self.literals.find(block, found);
    }

    /// Those of these jails that look at several lines, ready for the lines of a block.
    pub(in crate::logs) fn watch(&self, block: &[u8], jails: &[bool], watches: &mut Vec<Watch>) {
        watches.clear();
        let is_for = |watch: &&Watch| jails.get(watch.jail as usize) == Some(&true);
        if !self.together.iter().any(|watch| is_for(&watch)) {
            return;
        }
        let mut found = Vec::new();
        self.marks.find(block, &mut found);
        found.sort_unstable();
        for (number, watch) in (0_u32..).zip(&self.together).filter(|(_, watch)| is_for(watch)) {
            let mut watch = watch.clone();
            let own = found.iter().filter(|one| self.marked[one.text as usize].contains(&number));
            watch.begin(block, own.map(|one| one.at as usize));
            watches.push(watch);
        }
    }

    /// The jails whose filters may see something in a line of a shape, of which this is one, lowest first;
    /// and those that may if it holds a text. See [`Filter::may_see`](crate::logs::fail2ban::Filter).
    pub(in crate::logs) fn possible(
        &self,
        line: &[u8],
        shape: &Masked,
        leading: Option<usize>,
    ) -> Candidates {
        let (mut found, mut jails) = (Vec::new(), Vec::new());
        self.find(line, &mut found);
        found.retain(|one| !self.literals.is_numbered(one.text));
        self.asked(&found, &mut jails);
        let may = |jail: u32| self.watched[jail as usize].0.filter.may_see(shape, leading);
        let mut jails_if = Vec::new();
        for text in self.literals.numbered(line, |text| shape.may_contain(text)) {
            let more = self.jails_of[text as usize].iter();
            let more = more.filter(|jail| jails.binary_search(jail).is_err() && may(**jail));
            jails_if.extend(more.map(|jail| (text, *jail)));
        }
        jails.retain(|jail| may(*jail));
        (jails, jails_if)
    }

    /// Whether a text that filters need stands in a line.
    pub(in crate::logs) fn stands(&self, text: u32, line: &[u8]) -> bool {
        self.literals.stands(text, line)
    }

    /// The jails whose filters have to look at a line in which these texts were found, lowest first.
    pub(in crate::logs) fn asked(&self, found: &[Found], asked: &mut Vec<u32>) {
        asked.clear();
        asked.extend_from_slice(&self.always);
        for one in found {
            asked.extend_from_slice(&self.jails_of[one.text as usize]);
        }
        asked.sort_unstable();
        asked.dedup();
    }
}

/// Whether an entry satisfies one of the matches, as `journalctl` takes them: fields by the same name are
/// alternatives, different ones go together, and `+` stands between alternatives. None is all.
fn is_matched(matches: &[String], entry: &Entry) -> bool {
    let holds = |alternative: &str| {
        let terms: Vec<_> =
            alternative.split_whitespace().filter_map(|t| t.split_once('=')).collect();
        let said = |(name, value): &(&str, &str)| entry.field(name) == Some(value.as_bytes());
        let of_field = |name: &str| terms.iter().any(|term| term.0 == name && said(term));
        !terms.is_empty() && terms.iter().all(|(name, _)| of_field(name))
    };
    let mut alternatives = matches.iter().flat_map(|one| one.split(" + "));
    matches.is_empty() || alternatives.any(holds)
}

/// The name of a jail's rule.
pub(super) fn rule_name(jail: &str) -> String {
    format!("fail2ban-{jail}")
}

/// The rule of a jail, which no line satisfies by itself, and its correlation.
pub(super) fn documents(jail: &Jail) -> [Document; 2] {
    let name = &jail.name;
    let file: Arc<str> = format!("jail {name}").into();
    let header = |of: &Header, name: String, title: String| Header {
        name: Some(name),
        title,
        place: Place { file: Arc::clone(&file), ..of.place },
        ..of.clone()
    };
    let (rule, ban) = &*FORMS;
    let rule = Rule {
        header: header(
            &rule.header,
            rule_name(name),
            format!("A failure by the filter of fail2ban's jail {name}"),
        ),
        ..rule.clone()
    };
    #[allow(clippy::cast_possible_truncation)] // whole and bounded
    let timespan_s = jail.findtime_s.clamp(1.0, FINDTIME_SECONDS_MAX).ceil() as i64;
    let at_least = u64::from(jail.maxretry.clamp(1, MAXRETRY_MAX));
    let ban = Correlation {
        header: header(
            &ban.header,
            format!("fail2ban-{name}-ban"),
            format!("Failures for which fail2ban's jail {name} bans"),
        ),
        kind: CorrelationKind::EventCount(Threshold { at_least }),
        rules: vec![rule_name(name)],
        timespan_s,
        ..ban.clone()
    };
    [Document::Rule(Box::new(rule)), Document::Correlation(Box::new(ban))]
}

/// What the documents of all jails have in common.
const FORM: &str = "title: x\nname: x\nlogsource: {product: fail2ban}\n\
    detection: {s: [\"\\0fail2ban\\0\"], condition: s}\nlevel: low\n---\ntitle: x\nname: x\n\
    correlation: {type: event_count, rules: [x], group-by: [ip], timespan: 1s, condition: {gte: 1}}\n\
    level: medium\n";

static FORMS: LazyLock<(Rule, Correlation)> = LazyLock::new(|| {
    let documents = sigma::parse(&"jail".into(), FORM.as_bytes()).unwrap_or_default();
    match <[Document; 2]>::try_from(documents) {
        Ok([Document::Rule(rule), Document::Correlation(ban)]) => (*rule, *ban),
        other => unreachable!("a constant rule and its correlation: {other:?}"),
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journalmatch_means_what_journalctl_takes_it_for() {
        let text = b"_SYSTEMD_UNIT=sshd.service\n_COMM=sshd-session\nMESSAGE=x\n\n";
        let entry = parsers::log::journal::next_entry(&mut &text[..]).unwrap().unwrap();
        let matched = |matches: &[&str]| {
            let matches: Vec<String> = matches.iter().map(ToString::to_string).collect();
            is_matched(&matches, &entry)
        };
        assert!(matched(&[]));
        assert!(matched(&["_SYSTEMD_UNIT=sshd.service"]));
        assert!(matched(&["_COMM=sshd _COMM=sshd-session _SYSTEMD_UNIT=sshd.service"]));
        assert!(matched(&["_SYSTEMD_UNIT=ssh.service + _COMM=sshd-session"]));
        assert!(matched(&["_COMM=postfix", "_COMM=sshd-session"]));
        assert!(!matched(&["_SYSTEMD_UNIT=sshd.service _COMM=sshd"]));
        assert!(!matched(&["_SYSTEMD_UNIT=ssh.service + _COMM=sshd"]));
        assert!(!matched(&["_SYSTEMD_UNIT"]), "no match at all is none that holds");
    }
}
