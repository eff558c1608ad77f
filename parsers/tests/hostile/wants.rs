//! Hostile `.wants` folders of units: what is no link, crowds of links, loops.

use parsers::config::systemd_unit::{Enabled, Unit, UnitFiles};
use parsers::tree::{FileKind, MemoryTree};

use crate::measure::{Outcome, measured};

const UNIT: &str = "/etc/systemd/system/a.service";
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";

/// A unit that asks to be wanted.
fn tree() -> MemoryTree {
    let text = "[Service]\nExecStart=/a\n[Install]\nWantedBy=multi-user.target\n";
    MemoryTree::new().file(UNIT, text)
}

/// Lists and loads within the bounds: how many links lead to the unit, whether it is enabled, what is told.
fn looked(tree: &MemoryTree) -> (usize, Enabled, Vec<String>) {
    let mut enabled = Enabled::NotFound;
    let outcome = measured(|| {
        let files = UnitFiles::list(tree);
        let unit = Unit::load(tree, &files, "a.service");
        enabled = files.enabled("a.service", &unit);
        let told = files.unread.iter().map(ToString::to_string).collect();
        Outcome { told, kept: files.links_to("a.service", &unit).count() }
    });
    let outcome = outcome.unwrap();
    (outcome.kept, enabled, outcome.told)
}

#[test]
fn only_links_make_a_unit_wanted() {
    let link = format!("{WANTS}/a.service");
    let (links, enabled, told) = looked(&tree().link(&link, "../a.service"));
    assert_eq!((links, enabled, told.len()), (1, Enabled::Enabled, 0));
    for kind in [FileKind::Fifo, FileKind::Device, FileKind::Socket] {
        let (links, enabled, told) = looked(&tree().special(&link, kind));
        assert_eq!((links, enabled, told.len()), (0, Enabled::Disabled, 0), "{kind:?}");
        let (links, enabled, _) = looked(&tree().special(WANTS, kind));
        assert_eq!((links, enabled), (0, Enabled::Disabled), "{kind:?} as the folder");
    }
}

#[test]
fn a_hundred_thousand_links_end_bounded() {
    let mut crowd = tree().link(&format!("{WANTS}/a.service"), "../a.service");
    for number in 0..100_000 {
        crowd = crowd.link(&format!("{WANTS}/b{number:06}.service"), "/nowhere");
    }
    let (links, enabled, told) = looked(&crowd);
    assert_eq!((links, enabled, told.len()), (1, Enabled::Enabled, 0));
    for number in 0..100_000 {
        crowd = crowd.link(&format!("{WANTS}/c{number:06}.service"), "/nowhere");
    }
    assert!(!looked(&crowd).2.is_empty(), "more entries than the limit, and nothing is told");
}

#[test]
fn loops_of_links_end() {
    let own = tree().link(WANTS, WANTS);
    assert_eq!(looked(&own).0, 0);
    let itself = tree().link(&format!("{WANTS}/a.service"), &format!("{WANTS}/a.service"));
    assert_eq!(looked(&itself).1, Enabled::Enabled);
    let aliases = MemoryTree::new()
        .link(UNIT, "b.service")
        .link("/etc/systemd/system/b.service", "a.service");
    assert_eq!(looked(&aliases).1, Enabled::Alias);
}
