//! What can be said of a pattern without running it: its width, its first bytes, the texts of which it
//! needs one.

use serde::{Deserialize, Serialize};

use super::syntax::{At, ENDLESS, Node};

/// Most texts of which a pattern needs one.
pub const NEEDLES_MAX: usize = 64;

/// Bytes with which a match may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes([u64; 4]);

impl Bytes {
    const NONE: Self = Self([0; 4]);
    const ALL: Self = Self([u64::MAX; 4]);

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn join(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }

    /// Whether the byte is among them.
    #[inline]
    pub fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }
}

/// The first bytes of a match; every byte where it may be empty.
pub(super) fn first(node: &Node) -> Bytes {
    match first_of(node) {
        (bytes, false) => bytes,
        (_, true) => Bytes::ALL,
    }
}

/// The first bytes, and whether the node may match nothing.
fn first_of(node: &Node) -> (Bytes, bool) {
    let mut bytes = Bytes::NONE;
    match node {
        Node::Empty | Node::At(_) | Node::Look(..) => (Bytes::NONE, true),
        Node::Back { .. } => (Bytes::ALL, true),
        Node::Literal(one) => {
            bytes.add(one.encode_utf8(&mut [0; 4]).as_bytes()[0]);
            (bytes, false)
        }
        Node::Class(class) => {
            let beyond = if class.beyond_ascii() { u64::MAX } else { 0 };
            let [low, high] = class.ascii();
            (Bytes([low, high, beyond, beyond]), false)
        }
        Node::Concat(nodes) => {
            for node in nodes {
                let (more, empty) = first_of(node);
                bytes.join(more);
                if !empty {
                    return (bytes, false);
                }
            }
            (bytes, true)
        }
        Node::Alternate(nodes) => nodes.iter().fold((bytes, false), |(mut bytes, empty), node| {
            let (more, also) = first_of(node);
            bytes.join(more);
            (bytes, empty || also)
        }),
        Node::Repeat { node, least, .. } => {
            let (bytes, empty) = first_of(node);
            (bytes, empty || *least == 0)
        }
        Node::Group(_, node) | Node::Atomic(node) => first_of(node),
        Node::Conditional { yes, no, .. } => {
            let ((mut bytes, empty), (more, also)) = (first_of(yes), first_of(no));
            bytes.join(more);
            (bytes, empty || also)
        }
    }
}

/// Whether a node may match nothing.
pub(super) fn may_be_empty(node: &Node) -> bool {
    first_of(node).1
}

/// Characters that a node spans, if it is always as many.
pub(super) fn width(node: &Node) -> Option<usize> {
    match node {
        Node::Empty | Node::At(_) | Node::Look(..) => Some(0),
        Node::Class(_) | Node::Literal(_) => Some(1),
        Node::Concat(nodes) => nodes.iter().try_fold(0_usize, |sum, n| sum.checked_add(width(n)?)),
        Node::Alternate(nodes) => {
            let mut widths = nodes.iter().map(width);
            let first = widths.next()??;
            widths.all(|other| other == Some(first)).then_some(first)
        }
        Node::Repeat { node, least, most, .. } if least == most => {
            width(node)?.checked_mul(*least as usize)
        }
        Node::Repeat { .. } | Node::Back { .. } => None,
        Node::Group(_, node) | Node::Atomic(node) => width(node),
        Node::Conditional { yes, no, .. } => width(yes).filter(|w| width(no) == Some(*w)),
    }
}

/// Whether every match begins at the start of the text.
pub(super) fn anchored(node: &Node) -> bool {
    match node {
        Node::At(At::TextStart) => true,
        Node::Concat(nodes) => {
            let first = nodes.iter().find(|node| !matches!(node, Node::Empty | Node::Look(..)));
            first.is_some_and(anchored)
        }
        Node::Alternate(nodes) => nodes.iter().all(anchored),
        Node::Group(_, node) | Node::Atomic(node) => anchored(node),
        Node::Repeat { node, least, .. } => *least > 0 && anchored(node),
        _ => false,
    }
}

/// Texts of which each match contains at least one; `None` where nothing useful is known.
pub(super) fn needles(node: &Node) -> Option<Vec<String>> {
    let mut found = Found::default();
    found.walk(node);
    found.end();
    found.best
}

/// Most texts that stand for one run of characters.
const VARIANTS_MAX: usize = 16;

struct Found {
    /// What the characters since the last doubt may be.
    runs: Vec<String>,
    best: Option<Vec<String>>,
}

impl Default for Found {
    fn default() -> Self {
        Self { runs: vec![String::new()], best: None }
    }
}

/// How many texts a node matches, where these are few; counted before any is written down, because
/// most nodes match many.
fn few(node: &Node) -> Option<usize> {
    let count = match node {
        Node::Empty | Node::Literal(_) => 1,
        Node::Class(class) if !class.beyond_ascii() || class.is_case_of_one() => {
            class.ascii().iter().map(|bits| bits.count_ones() as usize).sum()
        }
        Node::Concat(nodes) => nodes.iter().try_fold(1_usize, |product, node| {
            Some(product * few(node)?).filter(|count| *count <= VARIANTS_MAX)
        })?,
        Node::Alternate(nodes) => nodes.iter().try_fold(0, |sum, node| Some(sum + few(node)?))?,
        Node::Repeat { node, least: 0, most: 1, .. } => 1 + few(node)?,
        Node::Group(_, node) | Node::Atomic(node) => few(node)?,
        _ => return None,
    };
    (1..=VARIANTS_MAX).contains(&count).then_some(count)
}

/// All texts that a node matches, where these are few.
fn variants(node: &Node) -> Option<Vec<String>> {
    few(node)?;
    let mut all = vec![String::new()];
    match node {
        Node::Empty => {}
        Node::Literal(one) => all = vec![one.to_string()],
        Node::Class(class) if !class.beyond_ascii() || class.is_case_of_one() => {
            let bytes = (0..128_u8).filter(|byte| class.has_ascii(*byte));
            all = bytes.map(|byte| char::from(byte).to_string()).collect();
        }
        Node::Concat(nodes) => {
            for node in nodes {
                match node {
                    Node::Literal(one) => all.iter_mut().for_each(|text| text.push(*one)),
                    node => all = product(&all, &variants(node)?)?,
                }
            }
        }
        Node::Alternate(nodes) => {
            all.clear();
            for node in nodes {
                all.extend(variants(node)?);
            }
        }
        Node::Repeat { node, least: 0, most: 1, .. } => all.extend(variants(node)?),
        Node::Group(_, node) | Node::Atomic(node) => all = variants(node)?,
        _ => return None,
    }
    (!all.is_empty() && all.len() <= VARIANTS_MAX).then_some(all)
}

/// Each of the one before each of the other.
fn product(one: &[String], other: &[String]) -> Option<Vec<String>> {
    let few = one.len() * other.len() <= VARIANTS_MAX;
    few.then(|| one.iter().flat_map(|a| other.iter().map(move |b| a.clone() + b)).collect())
}

impl Found {
    /// Goes along what every match passes, in order; runs of plain characters are texts.
    fn walk(&mut self, node: &Node) {
        if let Node::Literal(one) = node {
            self.runs.iter_mut().for_each(|run| run.push(*one));
            return;
        }
        if let Some(variants) = variants(node) {
            match product(&self.runs, &variants) {
                Some(runs) => self.runs = runs,
                None => {
                    self.end();
                    self.runs = variants;
                }
            }
            return;
        }
        match node {
            Node::At(_) | Node::Look(..) => {}
            Node::Concat(nodes) => nodes.iter().for_each(|node| self.walk(node)),
            Node::Group(_, node) | Node::Atomic(node) => self.walk(node),
            Node::Repeat { node, least, most, .. } if *least > 0 => {
                if *least == 1 && *most == 1 {
                    self.walk(node);
                    return;
                }
                self.end();
                self.walk(node);
                self.end();
            }
            Node::Alternate(nodes) => {
                self.end();
                self.any_of(nodes.iter());
            }
            Node::Conditional { yes, no, .. } => {
                self.end();
                self.any_of([yes.as_ref(), no.as_ref()].into_iter());
            }
            _ => self.end(),
        }
    }

    fn any_of<'a>(&mut self, nodes: impl Iterator<Item = &'a Node>) {
        let mut texts = Vec::new();
        for node in nodes {
            match needles(node) {
                Some(more) => texts.extend(more),
                None => return,
            }
        }
        if texts.len() <= NEEDLES_MAX {
            self.offer(texts);
        }
    }

    fn end(&mut self) {
        let runs = std::mem::replace(&mut self.runs, vec![String::new()]);
        let mut longest = Vec::new();
        for run in &runs {
            let pieces = pieces(run);
            let Some(best) = pieces.iter().max_by_key(|piece| piece.len()) else { return };
            longest.push((*best).to_string());
        }
        self.offer(longest);
    }

    fn offer(&mut self, mut texts: Vec<String>) {
        // A text that contains another one says nothing more.
        texts.sort_by_key(String::len);
        let mut shortest: Vec<String> = Vec::new();
        for text in texts {
            if !shortest.iter().any(|known| text.contains(known.as_str())) {
                shortest.push(text);
            }
        }
        let texts = shortest;
        let score = |texts: &[String]| {
            let shortest = texts.iter().map(String::len).min().unwrap_or(0);
            (shortest.min(12), usize::MAX - texts.len(), shortest)
        };
        if texts.is_empty() || score(&texts).0 == 0 {
            return;
        }
        if self.best.as_ref().is_none_or(|best| score(&texts) > score(best)) {
            self.best = Some(texts);
        }
    }
}

/// Where a date is cut out of a line, two characters that are not of words may meet that were not
/// neighbours before; and so may an opening bracket and anything. A text is cut there.
fn pieces(run: &str) -> Vec<&str> {
    let word = |c: char| c == '_' || c.is_alphanumeric();
    let (mut pieces, mut start, mut last) = (Vec::new(), 0, 'x');
    for (at, one) in run.char_indices() {
        let seam = !word(last) && !word(one) || matches!(last, '[' | '(' | '<' | '{' | '"' | '\'');
        if seam && at > start {
            pieces.push(&run[start..at]);
            start = at;
        }
        last = one;
    }
    if start < run.len() {
        pieces.push(&run[start..]);
    }
    pieces
}

/// Whether nothing but the place in text and program decides how a match goes on.
pub(super) fn has_back_reference(node: &Node) -> bool {
    match node {
        Node::Back { .. } => true,
        Node::Empty | Node::At(_) | Node::Class(_) | Node::Literal(_) => false,
        Node::Concat(nodes) | Node::Alternate(nodes) => nodes.iter().any(has_back_reference),
        Node::Repeat { node, .. }
        | Node::Group(_, node)
        | Node::Look(_, node)
        | Node::Atomic(node) => has_back_reference(node),
        Node::Conditional { yes, no, .. } => has_back_reference(yes) || has_back_reference(no),
    }
}

/// Whether a classical engine could run it: no look-around, reference, condition or atomic group.
pub(super) fn is_regular(node: &Node) -> bool {
    match node {
        Node::Back { .. } | Node::Look(..) | Node::Atomic(_) | Node::Conditional { .. } => false,
        Node::Empty | Node::At(_) | Node::Class(_) | Node::Literal(_) => true,
        Node::Concat(nodes) | Node::Alternate(nodes) => nodes.iter().all(is_regular),
        Node::Repeat { node, .. } | Node::Group(_, node) => is_regular(node),
    }
}

/// Groups whose being set is asked by a condition.
pub(super) fn conditions(node: &Node, groups: &mut Vec<usize>) {
    match node {
        Node::Conditional { group, yes, no } => {
            if !groups.contains(group) {
                groups.push(*group);
            }
            conditions(yes, groups);
            conditions(no, groups);
        }
        Node::Concat(nodes) | Node::Alternate(nodes) => {
            nodes.iter().for_each(|node| conditions(node, groups));
        }
        Node::Repeat { node, .. }
        | Node::Group(_, node)
        | Node::Look(_, node)
        | Node::Atomic(node) => conditions(node, groups),
        Node::Empty | Node::At(_) | Node::Class(_) | Node::Literal(_) | Node::Back { .. } => {}
    }
}

/// Whether a repeat is endless.
pub(super) fn endless(most: u32) -> bool {
    most == ENDLESS
}
