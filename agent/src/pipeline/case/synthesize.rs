//! Seventh stage: opinions become a verdict, and what was judged joins its case.
//!
//! Alerts belong to one case where they share an address or an account without a long pause between them
//! ([`consensus::fusion`]). On one host the host itself tells nothing apart, so its place is taken by whom
//! the alert is about. An account that everybody tries ([`SHARED_ACCOUNTS`]) joins nothing. A case that was over
//! goes on when its finding or its address comes again within a day ([`Quiet`]).

use std::collections::{BTreeMap, BTreeSet};

use consensus::fusion::{Alert, CaseId, Fate, Fusion, GAP_S, Reason};
use consensus::{Evidence, Severity};

use super::case_file::{CaseFile, News, Step};
use super::quiet::Quiet;
use super::tactic::Tactic;
use crate::control::status::Tally;

/// Accounts that are tried by everybody: two alerts that share one have nothing to do with each other.
const SHARED_ACCOUNTS: [&str; 6] = ["root", "admin", "test", "user", "guest", "ubuntu"];
/// Most case files held in memory; those that were quiet longest are dropped (the store has them). As many as
/// keys of a storm are told apart: what comes back after it was dropped goes on under another number.
const FILES_MAX: usize = super::storm::KEYS_MAX;

/// Joins alerts to cases.
pub struct Cases {
    fusion: Fusion,
    /// Open ones, by the number that fusion gave.
    files: BTreeMap<CaseId, CaseFile>,
    quiet: Quiet,
    /// How often one of the quiet went on and there was nothing to tell: fusion counts it as notified.
    went_on: u64,
    /// The number of the next new file.
    next: u64,
    /// Files that changed since they were taken.
    changed: BTreeSet<CaseId>,
    /// Files that became part of another.
    merged: Vec<u64>,
    /// Cases of one alert that came too late to belong to another, by fingerprint: a log that was read late
    /// must not hide them.
    late: BTreeMap<String, CaseFile>,
    /// Of those, the ones that changed since they were taken.
    late_changed: BTreeSet<String>,
    /// How often one of them was made: fusion counts it as suppressed, and somebody is told all the same.
    late_told: u64,
    /// What was pushed to go on with earlier cases: it was counted by the run before.
    before: consensus::fusion::Tally,
}

impl Cases {
    /// Goes on with the open cases of an earlier run; the next new one gets the number `next`.
    pub fn new(open: Vec<CaseFile>, next: u64) -> Self {
        let fusion = Fusion::new(GAP_S, 1).expect("the gap is one that may be set");
        let mut cases = Self {
            fusion,
            files: BTreeMap::new(),
            quiet: Quiet::default(),
            went_on: 0,
            next,
            changed: BTreeSet::new(),
            merged: Vec::new(),
            late: BTreeMap::new(),
            late_changed: BTreeSet::new(),
            late_told: 0,
            before: Default::default(),
        };
        cases.resume(open);
        cases.before = cases.fusion.counts().tally;
        cases
    }

    /// Teaches fusion what the open cases are about. Their alerts were counted by the run before.
    fn resume(&mut self, open: Vec<CaseFile>) {
        let mut steps: Vec<(usize, Step)> = Vec::new();
        for (at, file) in open.iter().enumerate() {
            steps.extend(file.steps.iter().map(|step| (at, step.clone())));
        }
        steps.sort_by_key(|(at, step)| (step.at, *at));
        let mut place = BTreeMap::new();
        for (at, step) in &steps {
            let outcome = self.fusion.push(&alert(step));
            if let Some(id) = outcome.case {
                place.insert(*at, id);
            }
        }
        for (at, file) in open.into_iter().enumerate() {
            if let Some(id) = place.get(&at) {
                self.files.entry(*id).or_insert(file);
            }
        }
    }

    /// One alert joins its case; one that is too late for any gets its own.
    pub fn take(
        &mut self,
        fingerprint: &str,
        evidence: &Evidence,
        severity: Severity,
        now: i64,
    ) -> Fate {
        let step = Step::of(fingerprint, evidence, severity, now);
        self.fusion.tell_time(now);
        let joined_before = self.fusion.counts().joined;
        let outcome = self.fusion.push(&alert(&step));
        let Some(id) = outcome.case else {
            return self.take_late(step, &Tactic::among(&evidence.tags));
        };
        // Asking fusion costs as much as there are open cases.
        if self.fusion.counts().joined != joined_before {
            self.gather(id);
        }
        let mut goes_on = false;
        if !self.files.contains_key(&id) {
            self.make_room();
            let quiet = self.quiet.take_for(&step);
            goes_on = quiet.is_some();
            let file = quiet.unwrap_or_else(|| {
                self.next += 1;
                CaseFile::new(self.next - 1, &step)
            });
            self.files.insert(id, file);
        }
        let Some(file) = self.files.get_mut(&id) else { return outcome.fate };
        // After a pause, another grave finding is news even where the case was as grave before.
        let grave = goes_on && severity >= Severity::High && !file.has(&step.fingerprint);
        let further = file.add(step, &Tactic::among(&evidence.tags)) || grave;
        let told_before = file.told.is_some();
        let news = match outcome.fate {
            Fate::Notified if !told_before => Some(News::New),
            Fate::Notified if file.has_risen() => Some(News::Risen),
            _ if further && told_before => Some(News::Further),
            _ => None,
        };
        file.untold = file.untold.or(news);
        self.changed.insert(id);
        match outcome.fate {
            Fate::Notified if news.is_none() => {
                self.went_on += 1;
                Fate::Merged
            }
            fate => fate,
        }
    }

    fn take_late(&mut self, step: Step, tactics: &[Tactic]) -> Fate {
        let print = step.fingerprint.clone();
        let is_new = !self.late.contains_key(&print);
        if is_new {
            self.make_room_for_late();
            let mut file = CaseFile::new(self.next, &step);
            file.untold = Some(News::New);
            self.late.insert(print.clone(), file);
            self.next += 1;
            self.late_told += 1;
        }
        if let Some(file) = self.late.get_mut(&print) {
            file.add(step, tactics);
            if file.has_risen() {
                file.untold = file.untold.or(Some(News::Risen));
            }
        }
        self.late_changed.insert(print);
        match is_new {
            true => Fate::Notified,
            false => Fate::Suppressed(Reason::Late),
        }
    }

    /// What was not stored yet stays.
    fn make_room_for_late(&mut self) {
        while self.late.len() >= FILES_MAX {
            let quiet = self.late.iter().filter(|(print, _)| !self.late_changed.contains(*print));
            let quiet = quiet.min_by_key(|(_, file)| file.last);
            let Some(print) = quiet.map(|(print, _)| print.clone()) else { return };
            self.late.remove(&print);
        }
    }

    /// Cases that fusion has joined become one file, under the lowest number.
    fn gather(&mut self, id: CaseId) {
        let Some(case) = self.fusion.case(id) else { return };
        for other in case.joined {
            let Some(file) = self.files.remove(&other) else { continue };
            self.changed.remove(&other);
            self.changed.insert(id);
            match self.files.get_mut(&id) {
                Some(kept) => self.merged.push(kept.swallow(file)),
                None => {
                    self.files.insert(id, file);
                }
            }
        }
    }

    fn make_room(&mut self) {
        while self.files.len() + self.quiet.len() >= FILES_MAX {
            if self.quiet.make_room() {
                continue;
            }
            let quiet = self.files.iter().filter(|(id, _)| !self.changed.contains(id));
            let Some((&id, _)) = quiet.min_by_key(|(_, file)| file.last) else { return };
            self.files.remove(&id);
        }
    }

    /// The files that changed since they were last taken, and the numbers of those that are part of another.
    pub fn changed(&mut self) -> (Vec<CaseFile>, Vec<u64>) {
        let changed = std::mem::take(&mut self.changed);
        let files = changed.iter().filter_map(|id| self.files.get(id));
        let late = std::mem::take(&mut self.late_changed);
        let late = late.iter().filter_map(|print| self.late.get(print));
        let all = files.chain(late).chain(self.quiet.changed());
        (all.cloned().collect(), std::mem::take(&mut self.merged))
    }

    /// These were told, as they were then.
    pub fn told(&mut self, files: &[CaseFile]) {
        for told in files {
            let mut all = self.files.values_mut().chain(self.late.values_mut());
            let file = all.find(|file| file.id == told.id);
            if let Some(file) = file.or_else(|| self.quiet.get_mut(told.id)) {
                file.told = Some(told.as_told());
                file.untold = None;
            }
        }
    }

    /// Closes the cases that were quiet for longer than the gap.
    pub fn close(&mut self, now: i64) {
        for case in self.fusion.close_until(now) {
            let changed = self.changed.remove(&case.id);
            if let Some(file) = self.files.remove(&case.id) {
                self.quiet.put(file, changed);
            }
        }
        self.quiet.forget(now);
    }

    /// What became of all alerts since the start: received = notified + merged + suppressed.
    pub fn tally(&self) -> Tally {
        let (all, before) = (self.fusion.counts().tally, self.before);
        let suppressed = |tally: &consensus::fusion::Tally| tally.suppressed.iter().sum::<u64>();
        Tally {
            received: all.received - before.received,
            notified: all.notified - before.notified + self.late_told - self.went_on,
            merged: all.merged - before.merged + self.went_on,
            suppressed: suppressed(&all) - suppressed(&before) - self.late_told,
        }
    }
}

fn alert(step: &Step) -> Alert<'_> {
    let user = step.user.as_deref().filter(|user| !SHARED_ACCOUNTS.contains(user));
    let about = step.ip.as_deref().or(user).or(step.thing.as_deref()).unwrap_or(&step.check);
    Alert {
        time: step.at,
        host: about,
        name: &step.check,
        ip: step.ip.as_deref(),
        user,
        indicators: &[],
        level: step.severity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::samples::{NOW, evidence};

    fn seen(check: &str, ip: &str, user: Option<&str>, level: Severity) -> Evidence {
        let mut seen = evidence(check, level);
        seen.subject.ip = (!ip.is_empty()).then(|| ip.to_string());
        seen.subject.user = user.map(str::to_string);
        seen
    }

    fn take(cases: &mut Cases, seen: &Evidence) -> Fate {
        let print = format!("{} {:?}", seen.check, seen.subject);
        cases.take(&print, seen, seen.level, NOW)
    }

    #[test]
    fn an_attack_that_succeeds_is_one_case_with_its_story() {
        let mut cases = Cases::new(Vec::new(), 1);
        let guessing = seen("guessing", "192.0.2.7", Some("root"), Severity::Medium);
        assert_eq!(take(&mut cases, &guessing), Fate::Notified);
        let mut login = seen("login", "192.0.2.7", Some("bob"), Severity::High);
        login.tags = vec!["attack.initial-access".into()];
        assert_eq!(take(&mut cases, &login), Fate::Notified, "it has risen");
        let mut sudo = seen("sudo", "", Some("bob"), Severity::Medium);
        sudo.tags = vec!["attack.impact".into()];
        assert_eq!(take(&mut cases, &sudo), Fate::Merged, "the same account");
        let elsewhere = seen("guessing", "198.51.100.9", Some("root"), Severity::Low);
        assert_eq!(take(&mut cases, &elsewhere), Fate::Notified, "root joins nothing");

        let (files, merged) = cases.changed();
        assert_eq!((files.len(), merged.len()), (2, 0));
        let story: Vec<&str> = files[0].steps.iter().map(|step| step.check.as_str()).collect();
        assert_eq!(story.len(), 3);
        assert_eq!((files[0].id, files[0].severity), (1, Severity::High));
        assert_eq!(files[0].untold, Some(News::New), "all of it is news still");
        assert!(cases.changed().0.is_empty(), "taken once");
        let tally = cases.tally();
        assert_eq!(tally.received, tally.notified + tally.merged + tally.suppressed);
        assert_eq!(tally.received, 4);
    }

    #[test]
    fn what_was_told_is_told_again_only_when_it_rises_or_comes_further() {
        let mut cases = Cases::new(Vec::new(), 1);
        let mut seen = seen("guessing", "192.0.2.7", None, Severity::Medium);
        take(&mut cases, &seen);
        let (files, _) = cases.changed();
        cases.told(&files);
        take(&mut cases, &seen);
        assert_eq!(cases.changed().0[0].untold, None, "nothing new");
        seen.tags = vec!["attack.persistence".into()];
        take(&mut cases, &seen);
        assert_eq!(cases.changed().0[0].untold, None, "no further than credentials");
        seen.tags = vec!["attack.impact".into()];
        take(&mut cases, &seen);
        let (files, _) = cases.changed();
        assert_eq!(files[0].untold, Some(News::Further));
        cases.told(&files);
        seen.level = Severity::Critical;
        take(&mut cases, &seen);
        assert_eq!(cases.changed().0[0].untold, Some(News::Risen));
    }

    #[test]
    fn a_case_goes_on_after_a_restart_under_its_number() {
        let mut cases = Cases::new(Vec::new(), 41);
        take(&mut cases, &seen("guessing", "192.0.2.7", None, Severity::Medium));
        let (files, _) = cases.changed();
        cases.told(&files);
        let kept = CaseFile { told: Some(files[0].as_told()), untold: None, ..files[0].clone() };

        let mut again = Cases::new(vec![kept], 42);
        assert_eq!(again.tally(), Tally::default(), "nothing is counted twice");
        take(&mut again, &seen("login", "192.0.2.7", None, Severity::Medium));
        let (files, _) = again.changed();
        assert_eq!((files.len(), files[0].id, files[0].steps.len()), (1, 41, 2));
        assert_eq!(files[0].untold, None, "it was told before");
        take(&mut again, &seen("guessing", "203.0.113.5", None, Severity::Medium));
        assert_eq!(again.changed().0[0].id, 42);
    }

    #[test]
    fn cases_that_turn_out_to_be_one_are_joined() {
        let mut cases = Cases::new(Vec::new(), 1);
        take(&mut cases, &seen("guessing", "192.0.2.7", None, Severity::Medium));
        take(&mut cases, &seen("sudo", "", Some("bob"), Severity::Medium));
        assert_eq!(cases.changed().0.len(), 2);
        take(&mut cases, &seen("login", "192.0.2.7", Some("bob"), Severity::Medium));
        let (files, merged) = cases.changed();
        assert_eq!((files.len(), merged), (1, vec![2]));
        assert_eq!((files[0].id, files[0].steps.len()), (1, 3));
        assert_eq!(files[0].joined, [2]);
    }

    #[test]
    fn what_comes_too_late_for_any_case_is_a_case_of_its_own_and_told_once() {
        let mut cases = Cases::new(Vec::new(), 1);
        take(&mut cases, &seen("guessing", "192.0.2.7", None, Severity::Low));
        let mut old = seen("login", "198.51.100.9", None, Severity::Critical);
        (old.first, old.last) = (Some(NOW - 7_200), Some(NOW - 7_200));
        assert_eq!(take(&mut cases, &old), Fate::Notified);
        let (files, _) = cases.changed();
        assert_eq!((files.len(), files[1].id, files[1].severity), (2, 2, Severity::Critical));
        assert_eq!(files[1].untold, Some(News::New));
        cases.told(&files);
        assert_eq!(take(&mut cases, &old), Fate::Suppressed(Reason::Late));
        let (files, _) = cases.changed();
        assert_eq!((files.len(), files[0].id, files[0].untold), (1, 2, None), "told once");
        let tally = cases.tally();
        assert_eq!((tally.received, tally.notified, tally.suppressed), (3, 2, 1));
    }

    #[test]
    fn a_case_goes_on_after_a_pause_and_is_told_again_only_where_there_is_news() {
        let mut cases = Cases::new(Vec::new(), 1);
        let mut guessing = seen("guessing", "192.0.2.7", None, Severity::Medium);
        let mut now = NOW;
        let mut again = |cases: &mut Cases, seen: &mut Evidence| {
            now += 3 * GAP_S;
            seen.last = Some(now);
            cases.close(now);
            let fate = cases.take(&seen.check.clone(), seen, seen.level, now);
            let (files, _) = cases.changed();
            cases.told(&files);
            assert_eq!(files.len(), 1);
            (fate, files[0].id, files[0].untold)
        };
        assert_eq!(again(&mut cases, &mut guessing), (Fate::Notified, 1, Some(News::New)));
        assert_eq!(again(&mut cases, &mut guessing), (Fate::Merged, 1, None), "six times an hour");
        let mut login = seen("login", "192.0.2.7", None, Severity::High);
        assert_eq!(again(&mut cases, &mut login), (Fate::Notified, 1, Some(News::Risen)));
        assert_eq!(again(&mut cases, &mut login), (Fate::Merged, 1, None));
        let mut change = seen("change", "192.0.2.7", None, Severity::High);
        assert_eq!(again(&mut cases, &mut change), (Fate::Notified, 1, Some(News::Further)));
        let mut stranger = seen("guessing", "192.0.2.8", None, Severity::Medium);
        stranger.check = "elsewhere".into();
        assert_eq!(again(&mut cases, &mut stranger), (Fate::Notified, 2, Some(News::New)));
        let tally = cases.tally();
        assert_eq!((tally.received, tally.notified, tally.merged), (6, 4, 2));
        // After a restart, too.
        let mut kept: Vec<CaseFile> = std::mem::take(&mut cases.files).into_values().collect();
        kept.extend(cases.quiet.take_for(&Step::of("guessing", &guessing, Severity::Medium, NOW)));
        assert_eq!(kept.len(), 2);
        let mut cases = Cases::new(kept, 3);
        assert_eq!(again(&mut cases, &mut guessing), (Fate::Merged, 1, None));
    }

    #[test]
    fn a_case_that_is_quiet_for_longer_than_the_gap_is_over() {
        let mut cases = Cases::new(Vec::new(), 1);
        take(&mut cases, &seen("guessing", "192.0.2.7", None, Severity::Medium));
        cases.changed();
        cases.close(NOW + GAP_S + 10);
        assert_eq!((cases.files.len(), cases.quiet.len()), (0, 1));
        let later = evidence("guessing", Severity::Medium);
        cases.take("print", &later, Severity::Medium, NOW + 3 * GAP_S);
        // What a log tells late belongs to when it happened.
        assert_eq!(cases.tally().received, 2);
    }
}
