//! The graph of one verdict: its sources, what they show, who says what of it, and what that counts.

use std::collections::BTreeMap;

use super::{Event, Graph, Id, Refused, Stage};
use crate::{Evidence, Verdict};

/// Most lines of one piece of evidence that are events of their own; the others are one event.
pub const MAX_LINES: usize = 256;

/// What a decision was added up from, where the caller knows: micro-nats towards it, as in
/// [`crate::pool::Explanation`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// One for each opinion, in the order of [`Verdict::opinions`]; empty where not known.
    pub opinions: &'a [i64],
    /// What counts besides, by name: the prior, the cost of missing something.
    pub others: &'a [(&'a str, i64)],
}

impl Graph {
    /// The graph of one verdict and the event of the verdict in it.
    pub fn of(
        evidence: &Evidence,
        verdict: &Verdict,
        terms: Terms<'_>,
        time: i64,
    ) -> Result<(Self, Id), Refused> {
        let mut graph = Self::new();
        let id = graph.add(evidence, verdict, terms, time)?;
        Ok((graph, id))
    }

    /// Adds a verdict with all that it came from, and gives its event.
    ///
    /// A file is the cause of the lines seen in it, and these are the cause of the fact. An opinion
    /// comes from the sources that it names, with their lines; from the fact itself where it names
    /// none. Opinions are appended in the order of [`Verdict::opinions`]. What was appended before a
    /// refusal stays.
    pub fn add(
        &mut self,
        evidence: &Evidence,
        verdict: &Verdict,
        terms: Terms<'_>,
        time: i64,
    ) -> Result<Id, Refused> {
        let seen = evidence.last.unwrap_or(time);
        let mut sources = Sources::default();
        for line in evidence.sources.iter().take(MAX_LINES) {
            let file = sources.named(self, &format!("file:{}", line.file), seen)?;
            let said = format!("{}:{}:{} {}", line.file, line.line, line.column, line.text);
            let line = self.happened(Stage::Evidence, &said, seen, None, &[file])?;
            sources.lines.entry(file).or_default().push(line);
        }
        let mut lines: Vec<Id> = sources.lines.values().flatten().copied().collect();
        let more = evidence.sources.len().saturating_sub(MAX_LINES);
        if more > 0 {
            let said = format!("and {more} more lines");
            lines.push(self.happened(Stage::Evidence, &said, seen, None, &[])?);
        }
        let told = [evidence.check.as_str(), &evidence.key, &evidence.title];
        let told: Vec<&str> = told.into_iter().filter(|part| !part.is_empty()).collect();
        let fact = self.happened(Stage::Evidence, &told.join(" "), seen, None, &lines)?;
        let mut causes = vec![fact];
        for (place, opinion) in verdict.opinions.iter().enumerate() {
            let mut rests_on = Vec::new();
            for name in &opinion.sources {
                let source = sources.named(self, name, seen)?;
                rests_on.push(source);
                rests_on.extend(sources.lines.get(&source).into_iter().flatten());
            }
            if rests_on.is_empty() {
                rests_on.push(fact);
            }
            let (expert, level) = (&opinion.expert, opinion.level());
            let said = format!("{expert} says {level}: {}", opinion.rationale);
            let said = self.happened(Stage::Opinion, &said, time, None, &rests_on)?;
            causes.push(match terms.opinions.get(place) {
                Some(nats) => self.happened(Stage::Weight, expert, time, Some(*nats), &[said])?,
                None => said,
            });
        }
        for (name, nats) in terms.others {
            causes.push(self.happened(Stage::Weight, name, time, Some(*nats), &[])?);
        }
        self.happened(Stage::Verdict, verdict.severity.name(), time, None, &causes)
    }

    /// Appends an event with this text.
    pub fn happened(
        &mut self,
        stage: Stage,
        text: &str,
        time: i64,
        nats: Option<i64>,
        parents: &[Id],
    ) -> Result<Id, Refused> {
        let label = self.label(text)?;
        self.append(Event { stage, label, time, nats }, parents)
    }
}

/// The sources of one verdict by name, and the lines seen in each.
#[derive(Default)]
struct Sources {
    named: BTreeMap<String, Id>,
    lines: BTreeMap<Id, Vec<Id>>,
}

impl Sources {
    fn named(&mut self, graph: &mut Graph, name: &str, time: i64) -> Result<Id, Refused> {
        if let Some(id) = self.named.get(name) {
            return Ok(*id);
        }
        let id = graph.happened(Stage::Source, name, time, None, &[])?;
        self.named.insert(name.to_string(), id);
        Ok(id)
    }
}
