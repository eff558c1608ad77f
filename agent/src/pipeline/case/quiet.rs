//! Cases that are over, and go on when what they are about comes again within a day: whoever guesses six times an
//! hour is told once, not six times an hour.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::case_file::{CaseFile, Step};

/// A case goes on after a pause of up to this, in seconds; after a longer one there is another.
pub const GOES_ON_S: i64 = 86_400;

/// Cases that are over.
#[derive(Default)]
pub(super) struct Quiet {
    /// By their numbers.
    files: BTreeMap<u64, CaseFile>,
    /// The latest case in which a finding or an address was.
    of: HashMap<Key, u64>,
    /// Those that changed since they were taken.
    changed: BTreeSet<u64>,
}

/// What a case is found by.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Fingerprint(String),
    Address(String),
}

fn keys(step: &Step) -> impl Iterator<Item = Key> {
    let address = step.ip.clone().map(Key::Address);
    std::iter::once(Key::Fingerprint(step.fingerprint.clone())).chain(address)
}

impl Quiet {
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// A case that is over; whether it changed since it was taken.
    pub fn put(&mut self, file: CaseFile, changed: bool) {
        for key in file.steps.iter().flat_map(keys) {
            self.of.insert(key, file.id);
        }
        if changed {
            self.changed.insert(file.id);
        }
        self.files.insert(file.id, file);
    }

    /// The case that goes on with this: it is over no longer.
    pub fn take_for(&mut self, step: &Step) -> Option<CaseFile> {
        let id = keys(step).find_map(|key| self.of.get(&key).copied())?;
        let pause = step.at.saturating_sub(self.files.get(&id)?.last);
        if pause > GOES_ON_S { None } else { self.remove(id) }
    }

    /// Forgets what was quiet for too long; what was not taken stays.
    pub fn forget(&mut self, now: i64) {
        let old = |file: &CaseFile| now.saturating_sub(file.last) > GOES_ON_S;
        let ids = self.files.values().filter(|file| old(file) && !self.changed.contains(&file.id));
        for id in ids.map(|file| file.id).collect::<Vec<u64>>() {
            self.remove(id);
        }
    }

    /// Forgets an eighth, and at least one, of those that were quiet longest; whether there were any.
    pub fn make_room(&mut self) -> bool {
        let free = self.files.values().filter(|file| !self.changed.contains(&file.id));
        let mut free: Vec<(i64, u64)> = free.map(|file| (file.last, file.id)).collect();
        free.sort_unstable();
        let most = free.len().div_ceil(8);
        for (_, id) in &free[..most] {
            self.remove(*id);
        }
        most > 0
    }

    /// Those that changed since they were last taken.
    pub fn changed(&mut self) -> impl Iterator<Item = &CaseFile> {
        std::mem::take(&mut self.changed).into_iter().filter_map(|id| self.files.get(&id))
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut CaseFile> {
        self.files.get_mut(&id)
    }

    fn remove(&mut self, id: u64) -> Option<CaseFile> {
        let file = self.files.remove(&id)?;
        self.changed.remove(&id);
        for key in file.steps.iter().flat_map(keys) {
            if self.of.get(&key) == Some(&id) {
                self.of.remove(&key);
            }
        }
        Some(file)
    }
}

#[cfg(test)]
mod tests {
    use consensus::Severity;

    use super::*;
    use crate::pipeline::case::samples::{NOW, evidence};

    fn step(print: &str, ip: &str, at: i64) -> Step {
        let mut seen = evidence("rule", Severity::Medium);
        seen.subject.ip = Some(ip.into());
        seen.last = Some(at);
        Step::of(print, &seen, Severity::Medium, at)
    }

    fn file(id: u64, print: &str, ip: &str, at: i64) -> CaseFile {
        let step = step(print, ip, at);
        let mut file = CaseFile::new(id, &step);
        file.add(step, &[]);
        file
    }

    #[test]
    fn a_case_is_found_by_its_finding_and_its_address_for_a_day() {
        let mut quiet = Quiet::default();
        quiet.put(file(1, "a", "192.0.2.1", NOW), false);
        quiet.put(file(2, "b", "192.0.2.2", NOW), false);
        assert!(quiet.take_for(&step("c", "192.0.2.3", NOW + 9)).is_none());
        assert_eq!(quiet.take_for(&step("a", "192.0.2.3", NOW + 9)).unwrap().id, 1);
        assert!(quiet.take_for(&step("a", "192.0.2.1", NOW + 9)).is_none(), "taken");
        assert!(quiet.take_for(&step("b", "192.0.2.2", NOW + GOES_ON_S + 1)).is_none());
        assert_eq!(quiet.take_for(&step("c", "192.0.2.2", NOW + GOES_ON_S)).unwrap().id, 2);
        assert!(quiet.of.is_empty() && quiet.files.is_empty());
    }

    #[test]
    fn old_ones_are_forgotten_and_those_not_taken_yet_stay() {
        let mut quiet = Quiet::default();
        quiet.put(file(1, "a", "192.0.2.1", NOW), true);
        for id in 2..20 {
            quiet.put(file(id, &id.to_string(), "192.0.2.2", NOW + 1), false);
        }
        assert!(quiet.make_room());
        assert_eq!(quiet.len(), 16, "three of nineteen");
        quiet.forget(NOW + 2 * GOES_ON_S);
        assert_eq!(quiet.len(), 1);
        assert!(!quiet.make_room());
        assert_eq!(quiet.changed().map(|file| file.id).collect::<Vec<_>>(), [1]);
        quiet.forget(NOW + 2 * GOES_ON_S);
        assert_eq!((quiet.len(), quiet.of.len()), (0, 0));
    }
}
