//! A pattern as a list of instructions for the machine.
//!
//! Counted repeats are unrolled (repeats of one character are one instruction), so that a place in the
//! program and a place in the text say all about what is still to come; only back references do not.

use super::class::{Class, Item, single};
use super::facts;
use super::syntax::{At, Look, Node, PatternError, parse};

/// Most instructions of a program.
pub const OPERATIONS_MAX: usize = 20_000;

#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// These bytes of the pool.
    Literal {
        start: u32,
        length: u32,
    },
    /// One character of a set.
    Class(u16),
    /// Characters of a set, as many as possible or as few; `next` is the byte that has to follow.
    /// `(?:(?!text).)*` is one of these too.
    Run {
        class: u16,
        least: u32,
        most: u32,
        lazy: bool,
        next: Option<u8>,
        /// A text before which it stops: where in the pool, and how long.
        barrier: (u32, u32),
    },
    Jump(u32),
    /// Try here first, there next.
    Split {
        first: u32,
        second: u32,
    },
    Save(u16),
    At(At),
    /// The body follows and ends with `Accept`; the program goes on at `end`. Slots from `low` to
    /// `high` belong to groups inside.
    Look {
        look: Look,
        width: u32,
        end: u32,
        low: u16,
        high: u16,
    },
    /// These bytes of the pool have to follow, or must not.
    LookLiteral {
        start: u32,
        length: u32,
        negated: bool,
    },
    Atomic {
        end: u32,
    },
    Back {
        group: u16,
        fold: bool,
    },
    /// Goes on if the group is set, and else there.
    IfSet {
        group: u16,
        otherwise: u32,
    },
    /// Notes where an iteration begins.
    Mark(u16),
    /// Leaves the loop after an iteration that matched nothing.
    Progress {
        slot: u16,
        exit: u32,
    },
    Accept,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) operations: Vec<Operation>,
    pub(super) pool: Vec<u8>,
    pub(super) classes: Vec<Class>,
    /// Slots: two a group, then one a loop whose body may be empty.
    pub(super) slots: usize,
    pub(super) names: Vec<Option<String>>,
    pub(super) anchored: bool,
    pub(super) first: facts::Bytes,
    pub(super) needles: Option<Vec<String>>,
    pub(super) conditions: Vec<usize>,
    /// Whether a state that failed once fails always.
    pub(super) memorable: bool,
    pub(super) regular: bool,
}

/// Compiles a pattern; `lines` is Python's MULTILINE.
pub(super) fn compile(pattern: &str, lines: bool) -> Result<Program, PatternError> {
    let parsed = parse(pattern, lines)?;
    let mut conditions = Vec::new();
    facts::conditions(&parsed.node, &mut conditions);
    let mut compiler = Compiler {
        program: Program {
            operations: Vec::new(),
            pool: Vec::new(),
            classes: Vec::new(),
            slots: parsed.names.len() * 2,
            anchored: facts::anchored(&parsed.node),
            first: facts::first(&parsed.node),
            needles: facts::needles(&parsed.node),
            memorable: !facts::has_back_reference(&parsed.node) && conditions.len() <= 4,
            regular: facts::is_regular(&parsed.node),
            conditions,
            names: parsed.names,
        },
    };
    compiler.node(&parsed.node)?;
    compiler.push(Operation::Accept)?;
    compiler.look_ahead();
    Ok(compiler.program)
}

struct Compiler {
    program: Program,
}

type Done = Result<(), PatternError>;

const TOO_BIG: PatternError = PatternError { at: 0, what: "repeats make it too big" };

impl Compiler {
    fn here(&self) -> u32 {
        u32::try_from(self.program.operations.len()).unwrap_or(u32::MAX)
    }

    fn push(&mut self, operation: Operation) -> Result<usize, PatternError> {
        if self.program.operations.len() == OPERATIONS_MAX {
            return Err(TOO_BIG);
        }
        self.program.operations.push(operation);
        Ok(self.program.operations.len() - 1)
    }

    fn class(&mut self, class: &Class) -> Result<u16, PatternError> {
        let known = self.program.classes.iter().position(|one| one == class);
        let at = known.unwrap_or_else(|| {
            self.program.classes.push(class.clone());
            self.program.classes.len() - 1
        });
        u16::try_from(at).map_err(|_| TOO_BIG)
    }

    fn node(&mut self, node: &Node) -> Done {
        match node {
            Node::Empty => {}
            Node::Literal(one) => self.literal(one.encode_utf8(&mut [0; 4]))?,
            Node::Class(class) => {
                let class = self.class(class)?;
                self.push(Operation::Class(class))?;
            }
            Node::Concat(nodes) => self.concat(nodes)?,
            Node::Alternate(nodes) => self.alternate(nodes)?,
            Node::Repeat { node, least, most, lazy } => self.repeat(node, *least, *most, *lazy)?,
            Node::Group(group, node) => {
                let slot = u16::try_from(group * 2).map_err(|_| TOO_BIG)?;
                self.push(Operation::Save(slot))?;
                self.node(node)?;
                self.push(Operation::Save(slot + 1))?;
            }
            Node::At(at) => {
                self.push(Operation::At(*at))?;
            }
            Node::Look(look, body) => self.look(*look, body)?,
            Node::Atomic(body) => {
                let start = self.push(Operation::Atomic { end: 0 })?;
                self.node(body)?;
                self.push(Operation::Accept)?;
                self.program.operations[start] = Operation::Atomic { end: self.here() };
            }
            Node::Back { group, fold } => {
                let group = u16::try_from(*group).map_err(|_| TOO_BIG)?;
                self.push(Operation::Back { group, fold: *fold })?;
            }
            Node::Conditional { group, yes, no } => {
                let group = u16::try_from(*group).map_err(|_| TOO_BIG)?;
                let start = self.push(Operation::IfSet { group, otherwise: 0 })?;
                self.node(yes)?;
                let jump = self.push(Operation::Jump(0))?;
                self.program.operations[start] = Operation::IfSet { group, otherwise: self.here() };
                self.node(no)?;
                self.program.operations[jump] = Operation::Jump(self.here());
            }
        }
        Ok(())
    }

    /// Plain characters that follow each other are one instruction.
    fn concat(&mut self, nodes: &[Node]) -> Done {
        let mut text = String::new();
        for node in nodes {
            match node {
                Node::Literal(one) => text.push(*one),
                other => {
                    self.literal(&text)?;
                    text.clear();
                    self.node(other)?;
                }
            }
        }
        self.literal(&text)
    }

    fn literal(&mut self, text: &str) -> Done {
        if text.is_empty() {
            return Ok(());
        }
        let (start, length) = self.pooled(text)?;
        self.push(Operation::Literal { start, length })?;
        Ok(())
    }

    /// Puts a text into the pool: where it starts, and its length.
    fn pooled(&mut self, text: &str) -> Result<(u32, u32), PatternError> {
        let start = u32::try_from(self.program.pool.len()).map_err(|_| TOO_BIG)?;
        self.program.pool.extend_from_slice(text.as_bytes());
        Ok((start, u32::try_from(text.len()).map_err(|_| TOO_BIG)?))
    }

    fn alternate(&mut self, nodes: &[Node]) -> Done {
        let mut jumps = Vec::new();
        let Some((last, before)) = nodes.split_last() else { return Ok(()) };
        for node in before {
            let split = self.push(Operation::Split { first: self.here() + 1, second: 0 })?;
            self.node(node)?;
            jumps.push(self.push(Operation::Jump(0))?);
            let second = self.here();
            self.program.operations[split] =
                Operation::Split { first: u32::try_from(split + 1).map_err(|_| TOO_BIG)?, second };
        }
        self.node(last)?;
        for jump in jumps {
            self.program.operations[jump] = Operation::Jump(self.here());
        }
        Ok(())
    }

    /// Tells each run which byte has to follow it, where that is certain.
    fn look_ahead(&mut self) {
        for at in 0..self.program.operations.len() {
            let mut after = at + 1;
            while let Some(Operation::Save(_)) = self.program.operations.get(after) {
                after += 1;
            }
            let byte = match self.program.operations.get(after) {
                Some(Operation::Literal { start, .. }) => {
                    self.program.pool.get(*start as usize).copied()
                }
                _ => None,
            };
            if let Operation::Run { next, .. } = &mut self.program.operations[at] {
                *next = byte;
            }
        }
    }

    fn repeat(&mut self, node: &Node, least: u32, most: u32, lazy: bool) -> Done {
        let (one, barrier) = match node {
            Node::Concat(nodes) => match nodes.as_slice() {
                [Node::Look(Look { behind: false, negated: true }, body), one] => {
                    (one, plain(body))
                }
                _ => (node, None),
            },
            _ => (node, None),
        };
        let class = match one {
            Node::Class(class) => Some(self.class(class)?),
            Node::Literal(one) => {
                let class = Class::new(vec![Item::Range(*one, *one)], false, false);
                Some(self.class(&class)?)
            }
            _ => None,
        };
        if let Some(class) = class {
            let barrier = self.pooled(&barrier.unwrap_or_default())?;
            self.push(Operation::Run { class, least, most, lazy, next: None, barrier })?;
            return Ok(());
        }
        for _ in 0..least {
            self.node(node)?;
        }
        if facts::endless(most) {
            return self.endless(node, lazy);
        }
        let mut splits = Vec::new();
        for _ in least..most {
            splits.push(self.push(Operation::Jump(0))?);
            self.node(node)?;
        }
        let end = self.here();
        for split in splits {
            self.split(split, end, lazy)?;
        }
        Ok(())
    }

    fn endless(&mut self, node: &Node, lazy: bool) -> Done {
        let start = self.push(Operation::Jump(0))?;
        let slot = u16::try_from(self.program.slots).map_err(|_| TOO_BIG)?;
        let empty = facts::may_be_empty(node);
        if empty {
            self.program.slots += 1;
            self.push(Operation::Mark(slot))?;
        }
        self.node(node)?;
        let check =
            if empty { Some(self.push(Operation::Progress { slot, exit: 0 })?) } else { None };
        self.push(Operation::Jump(u32::try_from(start).map_err(|_| TOO_BIG)?))?;
        let exit = self.here();
        if let Some(check) = check {
            self.program.operations[check] = Operation::Progress { slot, exit };
        }
        self.split(start, exit, lazy)
    }

    /// At `at`: into what follows, or to `end`; which first depends on who is lazy.
    fn split(&mut self, at: usize, end: u32, lazy: bool) -> Done {
        let into = u32::try_from(at + 1).map_err(|_| TOO_BIG)?;
        let (first, second) = if lazy { (end, into) } else { (into, end) };
        self.program.operations[at] = Operation::Split { first, second };
        Ok(())
    }

    fn look(&mut self, look: Look, body: &Node) -> Done {
        let width = match look.behind {
            false => 0,
            true => facts::width(body)
                .and_then(|width| u32::try_from(width).ok())
                .ok_or(PatternError { at: 0, what: "look-behind of no fixed width" })?,
        };
        if !look.behind
            && let Some(text) = plain(body)
        {
            let (start, length) = self.pooled(&text)?;
            self.push(Operation::LookLiteral { start, length, negated: look.negated })?;
            return Ok(());
        }
        let start = self.push(Operation::Accept)?;
        self.node(body)?;
        self.push(Operation::Accept)?;
        let saved =
            self.program.operations[start..].iter().filter_map(|operation| match operation {
                Operation::Save(slot) => Some(*slot),
                _ => None,
            });
        let (low, high) =
            saved.fold((u16::MAX, 0), |(low, high), slot| (low.min(slot), high.max(slot + 1)));
        let (low, high) = if low > high { (0, 0) } else { (low, high) };
        let end = self.here();
        self.program.operations[start] = Operation::Look { look, width, end, low, high };
        Ok(())
    }
}

/// The text that a node is, if it is one.
fn plain(node: &Node) -> Option<String> {
    match node {
        Node::Literal(one) => Some(one.to_string()),
        Node::Concat(nodes) => nodes.iter().map(plain).collect(),
        _ => None,
    }
}

/// Whether two characters are the same but for case.
pub(super) fn same_but_case(one: char, other: char) -> bool {
    one == other
        || single(one.to_lowercase())
            .is_some_and(|lower| single(other.to_lowercase()) == Some(lower))
}
