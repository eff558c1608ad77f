//! Follows the systemd journal, where a host has no log files to follow.
//!
//! A rule that counts needs what came before, so each look reads [`CONTEXT_SECONDS`] of the past again
//! and leaves out stories in which nothing is new. The journal is asked only when its files have
//! changed, so that an idle host starts no program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parsers::tree::{FileKind, Links, Tree};
use scanner::RootedTree;
use scanner::logs::source::Found;
use scanner::logs::{Detection, RuleSet, SweepOptions, sweep};

use crate::powers::{Powers, Said as _, StateFile};

/// How much of the past is read again for rules that count.
const CONTEXT_SECONDS: i64 = 15 * 60;
/// Folders of journal files.
const FOLDERS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// Most entries looked at in these folders.
const ENTRIES_MAX: usize = 10_000;

/// Where in the journal we are.
pub struct Journal {
    powers: Arc<dyn Powers>,
    /// Everything before was looked at and stored; `None` before the first look.
    kept: Option<i64>,
    reached: Option<i64>,
    /// Count and last event of each story of the stored look, and of the look under way.
    known: Known,
    found: Known,
}

/// Count and last event by story.
pub type Known = BTreeMap<String, (u64, Option<i64>)>;

impl Journal {
    /// Goes on where `agent-journal` in the state directory says, if it is there.
    pub fn new(powers: Arc<dyn Powers>) -> Self {
        // Unreadable is as good as missing: the past is then looked at again, which tells nothing twice.
        let text = powers.read(StateFile::JournalPlace).ok().flatten().unwrap_or_default();
        let kept = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
        let (known, found) = Default::default();
        Self { powers, kept, reached: None, known, found }
    }

    /// The place after the last look, where it is not kept yet.
    pub fn reached(&self) -> Option<i64> {
        self.reached
    }

    /// The stories as they will be known once the last look is stored.
    pub fn stories(&self) -> &Known {
        if self.reached.is_some() { &self.found } else { &self.known }
    }

    /// Goes on with the stories that an earlier process knew.
    pub fn knowing(&mut self, stories: Known) {
        self.known = stories;
    }

    /// Detections with something new in them, counting only that, and what could not be looked at; `None`
    /// where there is no journal.
    pub fn look(
        &mut self,
        tree: &RootedTree,
        rules: &RuleSet,
        options: &SweepOptions,
        first_since: i64,
    ) -> Option<(Vec<Detection>, Vec<String>)> {
        let now = options.now;
        let begin = self.kept.unwrap_or(first_since);
        if self.kept.is_some() && !changed(tree, begin) {
            return Some(Default::default());
        }
        let since = begin.saturating_sub(CONTEXT_SECONDS).max(first_since.min(begin));
        let mut journal = match self.powers.journal(since)? {
            Ok(journal) => journal,
            Err(reason) => return Some((Vec::new(), vec![format!("journal: {reason}")])),
        };
        let found = Found { families: Vec::new(), incomplete: Vec::new() };
        let options = SweepOptions { since: Some(since), ..options.clone() };
        let outcome = sweep(tree, found, Some(&mut journal), rules, &options, None);
        let mut incomplete = outcome.incomplete;
        incomplete.extend(journal.finish(false).complaint("journal"));
        self.reached = Some(now);
        Some((self.news(outcome.detections, begin), incomplete))
    }

    /// What was found is stored.
    pub fn keep_place(&mut self) -> anyhow::Result<()> {
        let Some(reached) = self.reached.take() else { return Ok(()) };
        self.kept = Some(reached);
        self.known = std::mem::take(&mut self.found);
        self.powers.replace(StateFile::JournalPlace, format!("{reached}\n").as_bytes())
    }

    /// Leaves out stories that ended before `begin` or are as they were, and counts only what is new.
    fn news(&mut self, detections: Vec<Detection>, begin: i64) -> Vec<Detection> {
        let name = |one: &Detection| format!("{}\0{}", one.rule, one.key());
        self.found = detections.iter().map(|one| (name(one), (one.count, one.last))).collect();
        let new = |mut one: Detection| {
            let known = self.known.get(&name(&one));
            let old = one.last.is_some_and(|last| last < begin);
            if old || known == Some(&(one.count, one.last)) {
                return None;
            }
            one.count = one.count.saturating_sub(known.map_or(0, |(count, _)| *count)).max(1);
            Some(one)
        };
        detections.into_iter().filter_map(new).collect()
    }
}

/// Whether a journal file was written since a time. A folder that cannot be read counts as changed.
fn changed(tree: &RootedTree, since: i64) -> bool {
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).collect();
    let mut looked = 0;
    while let Some(folder) = folders.pop() {
        let entries = match tree.list(&folder) {
            Ok(entries) => entries,
            Err(error) if error.not_found() => continue,
            Err(_) => return true,
        };
        for entry in entries {
            looked += 1;
            let deep = folder.components().count() > 4;
            if entry.kind == FileKind::Directory && !deep {
                folders.push(entry.path);
                continue;
            }
            // Stamps have whole seconds: one that is as old as the last look may be younger.
            let written = tree.stat(&entry.path, Links::Keep).map(|stat| stat.modified);
            if looked > ENTRIES_MAX || written.is_ok_and(|written| written >= since - 1) {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use consensus::{Severity, Subject};

    use super::*;
    use crate::powers::Direct;

    fn story(ip: &str, count: u64, last: i64) -> Detection {
        Detection {
            rule: "r".into(),
            title: "t".into(),
            description: String::new(),
            level: Severity::High,
            tags: Vec::new(),
            falsepositives: Vec::new(),
            service: "ssh".into(),
            subject: Subject { ip: Some(ip.into()), ..Subject::default() },
            count,
            first: Some(1),
            last: Some(last),
            users: 1,
            addresses: 1,
            entered: Vec::new(),
            succeeded: false,
            requests: None,
            rhythm_s: None,
            samples: Vec::new(),
            also: Vec::new(),
        }
    }

    #[test]
    fn a_story_is_news_only_for_what_is_new_in_it() {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(Arc::new(Direct::new(state.path())));
        let look = |journal: &mut Journal, stories: &[Detection], at: i64, keep: bool| {
            let begin = journal.kept.unwrap_or(0);
            let counts: Vec<u64> =
                journal.news(stories.to_vec(), begin).iter().map(|one| one.count).collect();
            journal.reached = Some(at);
            if keep {
                journal.keep_place().unwrap();
            }
            counts
        };
        let stories = [story("192.0.2.1", 10, 100)];
        assert_eq!(look(&mut journal, &stories, 101, false), [10]);
        assert_eq!(look(&mut journal, &stories, 101, true), [10], "it was not stored before");
        assert!(look(&mut journal, &stories, 102, true).is_empty());
        let grown = [story("192.0.2.1", 14, 110), story("192.0.2.2", 5, 103)];
        assert_eq!(look(&mut journal, &grown, 111, true), [4, 5]);
        // A new process knows the time, but no counts.
        let mut again = Journal::new(Arc::new(Direct::new(state.path())));
        assert_eq!(again.kept, Some(111));
        assert!(look(&mut again, &grown, 112, true).is_empty());
    }

    #[test]
    fn an_idle_journal_is_not_asked() {
        let root = tempfile::tempdir().unwrap();
        let tree = RootedTree::open(root.path()).unwrap();
        assert!(!changed(&tree, 1));
        let folder = root.path().join("var/log/journal/0123");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("system.journal"), "x").unwrap();
        let now = jiff::Timestamp::now().as_second();
        assert!(changed(&tree, now));
        assert!(!changed(&tree, now + 100));
    }
}
