//! The open cases as a forest: union by size without path compression (Tarjan & van Leeuwen 1984), so
//! that any joining can be taken back by cutting one edge.
//!
//! Each node is a case as it was opened and keeps what was counted at it; the root of a tree keeps
//! the sum. Taking a joining back sums up anew, which costs time linear in the open cases: an
//! operator does it, not an alert. Nodes are used again after their case is over; a [`NodeRef`]
//! carries the number of its case and so never means another.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::case::{Case, CaseId, Fate, Joining, JoiningId, Sort, Tally};
use super::{Limiter, MAX_APART, MAX_CASES, MAX_KEYS, MOST_KEYS_OF_ALERT};
use crate::Severity;

/// A node, valid as long as its case is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeRef {
    index: u32,
    id: u64,
}

/// What is known of a case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    pub(super) oldest: CaseId,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) level: Severity,
    pub(super) tally: Tally,
    keys: u32,
}

#[derive(Debug)]
pub(super) struct Node {
    /// `None` while the node is free.
    id: Option<u64>,
    edge: Option<Edge>,
    /// How many nodes hang on it, itself counted; right for roots.
    size: u32,
    own: Sum,
    /// Of the whole tree; right for roots.
    pub(super) all: Sum,
    /// Limits what is merged; used at roots.
    pub(super) merged: Limiter,
    keys: Vec<(Sort, Arc<str>)>,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    parent: u32,
    joining: JoiningId,
    by_operator: bool,
}

#[derive(Debug)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    free: Vec<u32>,
    places: HashMap<u64, u32>,
    next_case: u64,
    next_joining: u64,
    /// Nodes that an operator told apart, by case number; no alert joins their trees.
    apart: BTreeSet<[u64; 2]>,
}

impl Sum {
    fn join(&mut self, other: &Self) {
        self.oldest = self.oldest.min(other.oldest);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.level = self.level.max(other.level);
        self.tally.join(&other.tally);
        self.keys += other.keys;
    }

    fn account(&mut self, time: i64, level: Severity, fate: Fate) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.level = self.level.max(level);
        self.tally.add(fate);
    }
}

impl Forest {
    pub(super) fn numbered_from(first: u64) -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            next_case: first,
            next_joining: 1,
            apart: BTreeSet::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        // Two nodes: an alert may open a case and its successor.
        self.nodes.len() - self.free.len() + 2 > MAX_CASES
    }

    /// Opens a case; there must be room.
    pub(super) fn open(&mut self, time: i64) -> NodeRef {
        let id = self.next_case;
        self.next_case = self.next_case.wrapping_add(1);
        let own = Sum {
            oldest: CaseId(id),
            first: time,
            last: time,
            level: Severity::Info,
            tally: Tally::default(),
            keys: 0,
        };
        let node = Node {
            id: Some(id),
            edge: None,
            size: 1,
            own,
            all: own,
            merged: Limiter::default(),
            keys: Vec::new(),
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.nodes[index as usize] = node;
                index
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.places.insert(id, index);
        NodeRef { index, id }
    }

    pub(super) fn is_open(&self, node: NodeRef) -> bool {
        self.nodes[node.index as usize].id == Some(node.id)
    }

    fn root(&self, mut index: u32) -> u32 {
        while let Some(edge) = self.nodes[index as usize].edge {
            index = edge.parent;
        }
        index
    }

    pub(super) fn root_mut(&mut self, node: NodeRef) -> &mut Node {
        let root = self.root(node.index);
        &mut self.nodes[root as usize]
    }

    pub(super) fn same(&self, one: NodeRef, other: NodeRef) -> bool {
        one.index == other.index || self.root(one.index) == self.root(other.index)
    }

    /// The number of the case that a node is part of.
    pub(super) fn id(&self, node: NodeRef) -> CaseId {
        self.nodes[self.root(node.index) as usize].all.oldest
    }

    /// The number under which an open case goes on.
    pub(super) fn kept(&self, id: CaseId) -> Option<CaseId> {
        let index = *self.places.get(&id.0)?;
        Some(self.nodes[self.root(index) as usize].all.oldest)
    }

    /// Whether a case has no room for so many keys more; they are counted only where it may matter.
    pub(super) fn is_full_for(&self, node: NodeRef, more: impl FnOnce() -> u32) -> bool {
        let keys = self.nodes[self.root(node.index) as usize].all.keys;
        // The name is a key too.
        keys + MOST_KEYS_OF_ALERT as u32 + 1 > MAX_KEYS && keys + more() > MAX_KEYS
    }

    /// Lists something at a node.
    pub(super) fn list(&mut self, node: NodeRef, sort: Sort, text: Arc<str>) {
        let index = node.index as usize;
        self.nodes[index].keys.push((sort, text));
        self.nodes[index].own.keys += 1;
        self.root_mut(node).all.keys += 1;
    }

    /// Counts an alert at a node.
    pub(super) fn account(&mut self, node: NodeRef, time: i64, level: Severity, fate: Fate) {
        self.nodes[node.index as usize].own.account(time, level, fate);
        self.root_mut(node).all.account(time, level, fate);
    }

    pub(super) fn join_by_alert(&mut self, one: NodeRef, other: NodeRef) -> Option<JoiningId> {
        let roots = [self.root(one.index), self.root(other.index)];
        if self.told_apart(roots).next().is_some() {
            return None;
        }
        self.join(roots, false)
    }

    pub(super) fn join_by_operator(&mut self, one: CaseId, other: CaseId) -> Option<JoiningId> {
        let place = |id: CaseId| self.places.get(&id.0).map(|index| self.root(*index));
        let roots = [place(one)?, place(other)?];
        let spanning: Vec<[u64; 2]> = self.told_apart(roots).collect();
        let joining = self.join(roots, true)?;
        spanning.iter().for_each(|pair| {
            self.apart.remove(pair);
        });
        Some(joining)
    }

    /// The pairs that keep two trees apart.
    fn told_apart(&self, roots: [u32; 2]) -> impl Iterator<Item = [u64; 2]> {
        self.apart.iter().copied().filter(move |pair| {
            let [Some(one), Some(other)] = pair.map(|id| self.places.get(&id)) else {
                return false;
            };
            let met = [self.root(*one), self.root(*other)];
            met == roots || met == [roots[1], roots[0]]
        })
    }

    fn join(&mut self, roots: [u32; 2], by_operator: bool) -> Option<JoiningId> {
        let [one, other] = roots.map(|root| &self.nodes[root as usize]);
        if roots[0] == roots[1] || one.all.keys + other.all.keys > MAX_KEYS {
            return None;
        }
        // The smaller hangs on the larger; of equals, the younger on the older.
        let keeps = (one.size, std::cmp::Reverse(one.all.oldest))
            > (other.size, std::cmp::Reverse(other.all.oldest));
        let [parent, child] = if keeps { roots } else { [roots[1], roots[0]] };
        let joining = JoiningId(self.next_joining);
        self.next_joining += 1;
        let hung = &mut self.nodes[child as usize];
        hung.edge = Some(Edge { parent, joining, by_operator });
        let (all, size, merged) = (hung.all, hung.size, hung.merged);
        let kept = &mut self.nodes[parent as usize];
        kept.all.join(&all);
        kept.size += size;
        kept.merged = kept.merged.stricter(merged);
        Some(joining)
    }

    pub(super) fn joinings(&self) -> Vec<Joining> {
        let mut joinings: Vec<Joining> = self
            .nodes
            .iter()
            .filter_map(|node| {
                let (id, edge) = (node.id?, node.edge?);
                let parent = self.nodes[edge.parent as usize].id?;
                Some(Joining {
                    id: edge.joining,
                    cases: [CaseId(id.min(parent)), CaseId(id.max(parent))],
                    by_operator: edge.by_operator,
                })
            })
            .collect();
        joinings.sort_unstable_by_key(|joining| joining.id);
        joinings
    }

    pub(super) fn undo(&mut self, joining: JoiningId) -> Option<(CaseId, CaseId)> {
        let cut = |node: &Node| node.edge.is_some_and(|edge| edge.joining == joining);
        let child = self.nodes.iter().position(cut)?;
        let parent = self.nodes[child].edge?.parent;
        let mut pair = [self.nodes[child].id?, self.nodes[parent as usize].id?];
        pair.sort_unstable();
        if self.apart.len() >= MAX_APART && !self.apart.contains(&pair) {
            return None;
        }
        self.apart.insert(pair);
        self.nodes[child].edge = None;
        let roots = [self.root(parent), child as u32];
        self.sum_up(roots);
        let [kept, parted] = roots.map(|root| self.nodes[root as usize].all.oldest);
        Some((kept, parted))
    }

    /// Sums the trees of these roots up anew.
    fn sum_up(&mut self, roots: [u32; 2]) {
        for root in roots {
            let node = &mut self.nodes[root as usize];
            (node.all, node.size) = (node.own, 1);
        }
        for index in 0..self.nodes.len() as u32 {
            let root = self.root(index);
            let own = self.nodes[index as usize].own;
            if index != root && roots.contains(&root) && self.nodes[index as usize].id.is_some() {
                let node = &mut self.nodes[root as usize];
                node.all.join(&own);
                node.size += 1;
            }
        }
    }

    /// The cases of which this is true, in order of their numbers.
    pub(super) fn cases(&self, shown: impl Fn(&Sum) -> bool) -> Vec<Case> {
        let mut cases: HashMap<u32, Case> = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let root = self.root(index as u32);
            let all = &self.nodes[root as usize].all;
            let (Some(id), true) = (node.id, shown(all)) else { continue };
            let case = cases.entry(root).or_insert_with(|| Case {
                id: all.oldest,
                joined: Vec::new(),
                first: all.first,
                last: all.last,
                level: all.level,
                tally: all.tally,
                keys: Vec::new(),
            });
            case.keys.extend(node.keys.iter().cloned());
            if CaseId(id) != all.oldest {
                case.joined.push(CaseId(id));
            }
        }
        let mut cases: Vec<Case> = cases.into_values().collect();
        cases.sort_unstable_by_key(|case| case.id);
        for case in &mut cases {
            case.joined.sort_unstable();
            case.keys.sort_unstable();
            case.keys.dedup();
        }
        cases
    }

    /// Ends the cases of which this is true and gives them.
    pub(super) fn close(&mut self, over: impl Fn(&Sum) -> bool) -> Vec<Case> {
        let closed = self.cases(&over);
        self.free(over);
        closed
    }

    /// Frees the nodes of the cases of which this is true.
    fn free(&mut self, over: impl Fn(&Sum) -> bool) {
        let ended = |index: &u32| {
            self.nodes[*index as usize].id.is_some()
                && over(&self.nodes[self.root(*index) as usize].all)
        };
        let ended: Vec<u32> = (0..self.nodes.len() as u32).filter(ended).collect();
        // Only now: roots are found through the edges.
        for index in ended {
            let node = &mut self.nodes[index as usize];
            if let Some(id) = node.id.take() {
                self.places.remove(&id);
            }
            (node.edge, node.keys) = (None, Vec::new());
            self.free.push(index);
        }
        self.apart.retain(|pair| pair.iter().all(|id| self.places.contains_key(id)));
    }

    /// Drops the cases that were quiet for longest, an eighth of all nodes or a little more: how many
    /// cases, and how many alerts they had.
    pub(super) fn evict(&mut self) -> (u64, u64) {
        let nodes = self.places.len().div_ceil(8);
        let roots = self.nodes.iter().filter(|node| node.id.is_some() && node.edge.is_none());
        let mut ages: Vec<(i64, CaseId, u32, u64)> = roots
            .map(|node| (node.all.last, node.all.oldest, node.size, node.all.tally.received))
            .collect();
        ages.sort_unstable();
        let (mut freed, mut cases, mut alerts) = (0, 0, 0);
        for &(_, _, size, received) in &ages {
            if freed >= nodes {
                break;
            }
            freed += size as usize;
            cases += 1;
            alerts += received;
        }
        let Some(&(last, oldest, ..)) = ages[..cases].last() else { return (0, 0) };
        self.free(|case| (case.last, case.oldest) <= (last, oldest));
        (cases as u64, alerts)
    }
}
