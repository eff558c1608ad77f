//! Entries are believed while nothing has changed, and otherwise as if they were not there.

use std::cell::Cell;
use std::os::unix::fs::{PermissionsExt, symlink};

use parsers::rules::fail2ban::{Backend, call, filter};
use scanner::RootedTree;
use scanner::logs::fail2ban::{Filter, Jail};

use super::*;

struct Place {
    dir: tempfile::TempDir,
    tree: RootedTree,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("filter.d")).unwrap();
        let place = Self { dir, tree: RootedTree::open(Path::new("/")).unwrap() };
        place.write(
            "filter.d/x.conf",
            "[INCLUDES]\nbefore = common.conf\n[Definition]\nfailregex = ^%(what)s <HOST>$\n",
        );
        place.write("filter.d/common.conf", "[DEFAULT]\nwhat = bad\n");
        place.write(
            "r.yml",
            "title: a\nname: a\nlogsource: {product: linux}\ndetection: {s: [x], condition: s}\n",
        );
        place
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// Believes what was changed just now: tests do not wait.
    fn cache(&self, keep: Keep) -> RuleCache {
        let state = self.dir.path().join("state");
        RuleCache { settled_s: -10, ..RuleCache::new(&state, keep) }
    }

    /// The filter's expressions, and whether the files were read for them.
    fn filter(&self, cache: &RuleCache) -> (String, bool) {
        let read = Cell::new(false);
        let base = self.dir.path();
        let words = [base.to_str().unwrap().to_string()];
        let jails = cache.jails(&self.tree, ("filters", &words), 2029, |tree| {
            read.set(true);
            let call = call::parse("x").unwrap();
            let definition = filter::load(tree, base, &call, Backend::File)?;
            let jail = Jail {
                name: "x".into(),
                filter: Filter::compile(&definition, 2029)?,
                logpath: Vec::new(),
                reads_journal: false,
                maxretry: 1,
                findtime_s: 1.0,
                bantime_s: 1.0,
                ignored: Vec::new(),
                ignored_names: Vec::new(),
                zone: None,
            };
            Ok::<_, parsers::place::Problem>(Jails { jails: vec![jail], problems: Vec::new() })
        });
        let jails = jails.unwrap();
        (jails.jails[0].filter.expressions().collect::<Vec<_>>().join(" "), read.get())
    }

    fn entries(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.dir.path().join("state/cache"));
        let mut all: Vec<PathBuf> = all.into_iter().flatten().map(|e| e.unwrap().path()).collect();
        all.sort();
        all
    }
}

fn bad() -> String {
    "^bad <HOST>$".into()
}

#[test]
fn files_are_read_once_and_again_when_one_of_them_changes() {
    let place = Place::new();
    let cache = place.cache(Keep::New);
    assert_eq!(place.filter(&cache), (bad(), true));
    assert_eq!(place.filter(&cache), (bad(), false));
    for (name, text, becomes) in [
        (
            "filter.d/x.conf",
            "[INCLUDES]\nbefore = common.conf\n[Definition]\nfailregex = ^%(what)s! <HOST>$\n",
            "^bad! <HOST>$",
        ),
        ("filter.d/common.conf", "[DEFAULT]\nwhat = evil\n", "^evil! <HOST>$"),
        ("filter.d/x.local", "[Definition]\nfailregex = ^own <HOST>$\n", "^own <HOST>$"),
        ("filter.d/common.local", "[DEFAULT]\nwhat = other\n", "^own <HOST>$"),
    ] {
        place.write(name, text);
        assert_eq!(place.filter(&cache), (becomes.into(), true), "{name}");
        assert_eq!(place.filter(&cache), (becomes.into(), false), "{name}");
    }
    std::fs::remove_file(place.dir.path().join("filter.d/x.local")).unwrap();
    assert_eq!(place.filter(&cache), ("^other! <HOST>$".into(), true));
}

#[test]
fn what_changed_a_moment_ago_is_not_kept() {
    let place = Place::new();
    let cache = RuleCache { settled_s: SETTLED_S, ..place.cache(Keep::New) };
    assert!(place.filter(&cache).1 && place.filter(&cache).1);
    assert!(place.entries().is_empty());
}

#[test]
fn another_program_or_another_question_never_gets_it() {
    let place = Place::new();
    let cache = place.cache(Keep::New);
    assert!(place.filter(&cache).1);
    let other = RuleCache { program: Some(b"0.2.0".to_vec()), ..place.cache(Keep::New) };
    assert!(place.filter(&other).1 && !place.filter(&other).1);
    let nobody = RuleCache { program: None, ..place.cache(Keep::New) };
    assert!(place.filter(&nobody).1 && place.filter(&nobody).1);
    assert!(!place.filter(&cache).1);
}

#[test]
fn without_state_entries_are_read_and_none_is_made() {
    let place = Place::new();
    let reader = place.cache(Keep::Nothing);
    assert!(place.filter(&reader).1 && place.entries().is_empty());
    assert!(!place.dir.path().join("state").exists());
    assert!(place.filter(&place.cache(Keep::New)).1);
    assert!(!place.filter(&reader).1);
}

#[test]
fn damaged_and_foreign_entries_are_ignored_and_made_anew() {
    let place = Place::new();
    let cache = place.cache(Keep::New);
    place.filter(&cache);
    let [entry] = &place.entries()[..] else { panic!("{:?}", place.entries()) };
    let whole = std::fs::read(entry).unwrap();
    assert_eq!(std::fs::metadata(entry).unwrap().permissions().mode() & 0o777, 0o600);
    for bytes in [&whole[..whole.len() - 1], &whole[..10], b"", b"something else"] {
        std::fs::write(entry, bytes).unwrap();
        assert_eq!(place.filter(&cache), (bad(), true));
        assert_eq!(std::fs::read(entry).unwrap().len(), whole.len());
        assert_eq!(place.filter(&cache), (bad(), false));
    }
    // Readable by others: not what this program wrote.
    std::fs::set_permissions(entry, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(place.filter(&cache).1 && !place.filter(&cache).1);
    // A link, whatever it leads to.
    let elsewhere = place.dir.path().join("elsewhere");
    std::fs::rename(entry, &elsewhere).unwrap();
    symlink(&elsewhere, entry).unwrap();
    assert!(place.filter(&cache).1 && !place.filter(&cache).1);
    assert!(std::fs::symlink_metadata(entry).unwrap().is_file() && elsewhere.is_file());
}

#[test]
fn a_directory_that_others_can_write_is_neither_read_nor_written() {
    let place = Place::new();
    let cache = place.cache(Keep::New);
    place.filter(&cache);
    let (state, folder) = (place.dir.path().join("state"), place.dir.path().join("state/cache"));
    for (path, mode) in [(&folder, 0o770), (&folder, 0o1777), (&state, 0o777), (&state, 0o720)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        assert!(place.filter(&cache).1, "{path:?} {mode:o}");
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
        assert!(!place.filter(&cache).1, "{path:?} {mode:o}");
    }
    // As /tmp: nobody can replace what is not theirs.
    std::fs::set_permissions(&state, PermissionsExt::from_mode(0o1777)).unwrap();
    assert!(!place.filter(&cache).1);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&folder, Some(12345), None).unwrap();
        assert!(place.filter(&cache).1);
        std::os::unix::fs::chown(&folder, Some(0), None).unwrap();
        let [entry] = &place.entries()[..] else { panic!("{:?}", place.entries()) };
        std::os::unix::fs::chown(entry, Some(12345), None).unwrap();
        assert!(place.filter(&cache).1 && !place.filter(&cache).1);
    }
}

#[test]
fn rules_are_kept_with_the_list_of_their_directory() {
    let place = Place::new();
    let cache = place.cache(Keep::New);
    let read = |cache: &RuleCache| {
        let fresh = Cell::new(false);
        let words = ["rules".to_string()];
        let documents = cache.rules(&place.tree, &words, |tree| {
            fresh.set(true);
            let mut documents = Vec::new();
            for entry in tree.list(place.dir.path()).unwrap() {
                if entry.path.extension().is_some_and(|end| end == "yml") {
                    let bytes = tree.read(&entry.path, 9999).unwrap();
                    documents.extend(parsers::rules::sigma::parse(&"r".into(), &bytes)?);
                }
            }
            Ok::<_, parsers::place::Problem>(documents)
        });
        (documents.unwrap().len(), fresh.get())
    };
    // The state directory must not be born in the directory that is listed.
    std::fs::create_dir(place.dir.path().join("state")).unwrap();
    assert_eq!((read(&cache), read(&cache)), ((1, true), (1, false)));
    place.write(
        "s.yml",
        "title: b\nlogsource: {product: linux}\ndetection: {s: [y], condition: s}\n",
    );
    assert_eq!((read(&cache), read(&cache)), ((2, true), (2, false)));
    std::fs::remove_file(place.dir.path().join("r.yml")).unwrap();
    assert_eq!((read(&cache), read(&cache)), ((1, true), (1, false)));
}

#[test]
fn the_oldest_entries_make_room() {
    let place = Place::new();
    let cache = place.cache(Keep::New);
    for number in 0..folder::ENTRIES_MAX + 3 {
        let words = [number.to_string()];
        let done = cache.rules(&place.tree, &words, |_| Ok::<_, ()>(Vec::new()));
        assert!(done.is_ok());
    }
    assert_eq!(place.entries().len(), folder::ENTRIES_MAX);
    let last = [(folder::ENTRIES_MAX + 2).to_string()];
    let kept = cache.rules(&place.tree, &last, |_| Err::<Vec<Document>, &str>("read again"));
    assert!(kept.is_ok());
}
