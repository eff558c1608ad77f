//! What lines are asked for: the texts of rules and filters as they were found in a block, line after
//! line, and the jails that have to look at a line.

use super::fail2ban::{self, Watch};
use super::literals::Found;
use super::matcher::RuleSet;
use super::part::Here;

/// The texts that rules need, where they stand in a block; or in a line, where lines are searched one
/// by one.
#[derive(Default)]
pub(super) struct Searched {
    pub(super) found: Vec<Found>,
    /// Those of a line.
    pub(super) first: usize,
    pub(super) next: usize,
    /// Whether lines are searched when nothing is known of their shape.
    pub(super) by_line: bool,
}

/// What a thread needs for fail2ban's filters.
#[derive(Default)]
pub(super) struct Jailed {
    pub(super) found: Vec<Found>,
    /// Those of a line.
    pub(super) first: usize,
    pub(super) next: usize,
    pub(super) asked: Vec<u32>,
    /// For filters that look at several lines.
    pub(super) watches: Vec<Watch>,
    /// Of those among `asked`, the ones that were not shown the line before.
    pub(super) apart: Vec<u32>,
    pub(super) scratch: fail2ban::Scratch,
}

impl Searched {
    pub(super) fn begin(&mut self, by_line: bool) {
        self.found.clear();
        (self.first, self.next, self.by_line) = (0, 0, by_line);
    }

    /// Goes on to the line that ends here.
    pub(super) fn up_to(&mut self, end: usize) {
        self.first = self.next;
        while self.found.get(self.next).is_some_and(|one| (one.at as usize) < end) {
            self.next += 1;
        }
    }

    pub(super) fn of_line(&self) -> &[Found] {
        self.found.get(self.first..self.next).unwrap_or_default()
    }
}

impl Jailed {
    pub(super) fn begin(&mut self) {
        self.found.clear();
        (self.first, self.next) = (0, 0);
    }

    /// Goes on to the line that ends here.
    pub(super) fn up_to(&mut self, end: usize) {
        self.first = self.next;
        while self.found.get(self.next).is_some_and(|one| (one.at as usize) < end) {
            self.next += 1;
        }
    }

    /// Which jails have to look at the line, by the texts found in it.
    pub(super) fn asked(&mut self, rules: &RuleSet, jails: &[bool]) {
        self.asked.clear();
        if !jails.contains(&true) {
            return;
        }
        rules.jails.asked(&self.found[self.first..self.next], &mut self.asked);
        self.asked.retain(|jail| jails.get(*jail as usize) == Some(&true));
    }

    /// Adds the filters that look at several lines, this among them.
    pub(super) fn watched(&mut self, here: &Here<'_>) {
        self.apart.clear();
        let (start, end) = (here.offset as usize, here.end);
        for watch in &mut self.watches {
            let (shows, before) = watch.shows(start, end);
            if shows {
                self.asked.push(watch.jail);
                if !before {
                    self.apart.push(watch.jail);
                }
            }
        }
        self.asked.sort_unstable();
    }
}
