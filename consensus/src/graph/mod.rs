//! Why something was decided: an append-only graph of what caused what, from sources and evidence over
//! opinions and weights to verdicts, decisions, actions and their reverts.
//!
//! An event names its causes when it is appended, and they must be there already: a cycle cannot be
//! made, and the numbers of events are an order in which causes come first. [`Graph::backward`] gives
//! what an event came from, [`Graph::forward`] what came of it, [`Graph::smallest_cut`] the least that
//! would have to be missing for a verdict to be lower. Time is a value that the caller gives.
//!
//! It refuses, counted and never silently, more than [`MAX_EVENTS`], [`MAX_EDGES`] and
//! [`MAX_LABELS`]; a slice costs time linear in the events between its ends.

mod cut;
mod render;
mod verdict;

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

pub use cut::{Cut, Decision, EXACT_DECISIONS, MAX_CANDIDATES, smallest_cut};
pub use render::{Document, MAX_TREE_DEPTH, MAX_TREE_LINES, Node};
pub use verdict::{MAX_LINES, Terms};

/// Most events of one graph.
pub const MAX_EVENTS: usize = 1 << 20;
/// Most causes that all events of one graph name together.
pub const MAX_EDGES: usize = 1 << 22;
/// Most causes that one event names.
pub const MAX_PARENTS: usize = 1024;
/// Most different labels of one graph.
pub const MAX_LABELS: usize = 1 << 18;
/// Most bytes of a label that are kept.
pub const MAX_LABEL_BYTES: usize = 1024;

/// The number of an event: causes have lower ones than what they cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Id(u32);

/// A text that was made known to a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(u32);

/// What sort of event it is, in the order in which things come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A file, table or memory that was looked at: what would have to be forged.
    Source,
    /// What was seen there.
    Evidence,
    /// What an expert says.
    Opinion,
    /// What that counts for.
    Weight,
    /// What was decided about the evidence.
    Verdict,
    /// What was decided to do about it.
    Decision,
    /// What was done.
    Action,
    /// What was taken back.
    Revert,
}

impl Stage {
    /// The word used in every rendering.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Evidence => "evidence",
            Self::Opinion => "opinion",
            Self::Weight => "weight",
            Self::Verdict => "verdict",
            Self::Decision => "decision",
            Self::Action => "action",
            Self::Revert => "revert",
        }
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What sort of event.
    pub stage: Stage,
    /// What it says.
    pub label: Label,
    /// When, seconds since the epoch.
    pub time: i64,
    /// What it counts for, micro-nats, where it counts for something.
    pub nats: Option<i64>,
}

/// Why an event is not in the graph; the caller gave too much, or a cause that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The graph is full of events.
    #[error("the graph already holds {MAX_EVENTS} events")]
    Events,
    /// The graph is full of edges.
    #[error("the graph already holds {MAX_EDGES} causes")]
    Edges,
    /// The event names too many causes.
    #[error("an event names more than {MAX_PARENTS} causes")]
    Parents,
    /// A cause is not there (yet): an event is never its own cause.
    #[error("a cause is not in the graph")]
    NotThere,
    /// The graph is full of labels.
    #[error("the graph already holds {MAX_LABELS} labels")]
    Labels,
    /// The label is another graph's.
    #[error("the label is not known to the graph")]
    NoLabel,
}

/// Events and their causes.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    events: Vec<Event>,
    /// Where in `parents` an event's causes end; they begin where those of the event before end.
    ends: Vec<u32>,
    parents: Vec<Id>,
    labels: HashMap<Arc<str>, Label>,
    texts: Vec<Arc<str>>,
    refused: u64,
}

impl Graph {
    /// A graph without events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a text known, cut to [`MAX_LABEL_BYTES`]; the same text is the same label.
    pub fn label(&mut self, text: &str) -> Result<Label, Refused> {
        let text = &text[..text.floor_char_boundary(MAX_LABEL_BYTES)];
        if let Some(label) = self.labels.get(text) {
            return Ok(*label);
        }
        if self.texts.len() >= MAX_LABELS {
            return Err(self.refuse(Refused::Labels));
        }
        let label = Label(self.texts.len() as u32);
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.labels.insert(text, label);
        Ok(label)
    }

    /// Appends an event with its causes, which must be in the graph.
    pub fn append(&mut self, event: Event, parents: &[Id]) -> Result<Id, Refused> {
        let next = self.events.len();
        let refused = if next >= MAX_EVENTS {
            Some(Refused::Events)
        } else if parents.len() > MAX_PARENTS {
            Some(Refused::Parents)
        } else if self.parents.len() + parents.len() > MAX_EDGES {
            Some(Refused::Edges)
        } else if parents.iter().any(|parent| parent.0 as usize >= next) {
            Some(Refused::NotThere)
        } else if event.label.0 as usize >= self.texts.len() {
            Some(Refused::NoLabel)
        } else {
            None
        };
        if let Some(refused) = refused {
            return Err(self.refuse(refused));
        }
        self.parents.extend_from_slice(parents);
        self.ends.push(self.parents.len() as u32);
        self.events.push(event);
        Ok(Id(next as u32))
    }

    fn refuse(&mut self, refused: Refused) -> Refused {
        self.refused += 1;
        refused
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many events and labels were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// All events, causes first.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = Id> + use<> {
        (0..self.events.len() as u32).map(Id)
    }

    /// An event of this graph.
    pub fn event(&self, id: Id) -> Option<&Event> {
        self.events.get(id.0 as usize)
    }

    /// What an event says; empty for one that is not in this graph.
    pub fn text(&self, id: Id) -> &str {
        self.event(id).map_or("", |event| &self.texts[event.label.0 as usize])
    }

    /// The causes of an event; none for one that is not in this graph.
    pub fn parents(&self, id: Id) -> &[Id] {
        let at = id.0 as usize;
        let Some(end) = self.ends.get(at) else { return &[] };
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.parents[begin as usize..*end as usize]
    }

    /// The event, and everything that it came from, causes first. One pass over the older events.
    pub fn backward(&self, id: Id) -> Vec<Id> {
        if self.event(id).is_none() {
            return Vec::new();
        }
        let mut marks = Marks::up_to(id.0);
        marks.set(id.0);
        // Causes have lower numbers: a word that was passed is never marked again.
        for word in (0..marks.0.len()).rev() {
            let mut left = marks.0[word];
            while left != 0 {
                let bit = 63 - left.leading_zeros();
                for parent in self.parents(Id(word as u32 * 64 + bit)) {
                    marks.set(parent.0);
                }
                // Causes within the same word are lower: they are still to come.
                left = marks.0[word] & ((1 << bit) - 1);
            }
        }
        marks.ids()
    }

    /// The events, and everything that came of them, causes first. One pass over the younger events:
    /// nothing is kept from causes to effects.
    pub fn forward(&self, from: &[Id]) -> Vec<Id> {
        let Some(first) = from.iter().filter(|id| self.event(**id).is_some()).min() else {
            return Vec::new();
        };
        let mut marks = Marks::up_to(self.events.len() as u32 - 1);
        from.iter().filter(|id| self.event(**id).is_some()).for_each(|id| marks.set(id.0));
        for next in first.0..self.events.len() as u32 {
            if self.parents(Id(next)).iter().any(|parent| marks.has(parent.0)) {
                marks.set(next);
            }
        }
        marks.ids()
    }

    /// Those of a stage that an event came from, causes first.
    pub fn causes(&self, of: Id, stage: Stage) -> Vec<Id> {
        let mut causes = self.backward(of);
        causes.retain(|id| self.events[id.0 as usize].stage == stage);
        causes
    }

    /// Those of a stage that an event came from and that would be there without the removed ones and
    /// all that came of these.
    pub fn standing(&self, of: Id, stage: Stage, removed: &[Id]) -> Vec<Id> {
        let gone = self.forward(removed);
        let mut causes = self.causes(of, stage);
        causes.retain(|id| gone.binary_search(id).is_err());
        causes
    }

    /// The least of a stage (sources, evidence) without which a verdict would be lower; `decide` says what
    /// would be decided without these. See [`smallest_cut`].
    pub fn smallest_cut(
        &self,
        verdict: Id,
        stage: Stage,
        decide: impl FnMut(&[Id]) -> Decision,
    ) -> Cut {
        smallest_cut(&self.causes(verdict, stage), decide)
    }
}

/// One bit an event.
struct Marks(Vec<u64>);

impl Marks {
    fn up_to(last: u32) -> Self {
        Self(vec![0; last as usize / 64 + 1])
    }

    fn set(&mut self, at: u32) {
        self.0[at as usize / 64] |= 1 << (at % 64);
    }

    fn has(&self, at: u32) -> bool {
        self.0[at as usize / 64] >> (at % 64) & 1 == 1
    }

    fn ids(&self) -> Vec<Id> {
        let mut ids =
            Vec::with_capacity(self.0.iter().map(|word| word.count_ones() as usize).sum());
        for (place, word) in (0..).zip(&self.0) {
            let mut left = *word;
            while left != 0 {
                ids.push(Id(place * 64 + left.trailing_zeros()));
                left &= left - 1;
            }
        }
        ids
    }
}
