//! The asked tree against the own one, over a tree with everything in it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parsers::tree::{FileKind, Links, LookError, Stat, Tree, Why};

use super::*;
use crate::RootedTree;

/// Answers in the same process.
#[derive(Debug)]
struct Here(RootedTree, Closed);

impl Channel for Here {
    fn ask(&self, question: &Question<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let bytes = question.to_bytes().unwrap();
        Ok(answer(&self.0, &self.1, Question::from_bytes(&bytes).unwrap()))
    }
}

fn asking(root: &Path, closed: &[PathBuf]) -> RootedTree {
    let here = Here(RootedTree::open(root).unwrap(), Closed(closed.to_vec()));
    RootedTree::asking(Asked::new(Arc::new(here)))
}

fn planted() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("etc/conf.d")).unwrap();
    std::fs::create_dir_all(at("state/journal")).unwrap();
    std::fs::write(at("etc/conf"), "twelve bytes").unwrap();
    std::fs::write(at("etc/set"), "x").unwrap();
    std::fs::set_permissions(at("etc/set"), std::fs::Permissions::from_mode(0o4711)).unwrap();
    std::fs::write(at("state/journal/key"), "secret").unwrap();
    std::fs::hard_link(at("etc/conf"), at("etc/conf.d/again")).unwrap();
    symlink("/etc/conf", at("etc/link")).unwrap();
    symlink("../state/journal/key", at("etc/to-key")).unwrap();
    symlink("loop", at("etc/loop")).unwrap();
    symlink("../../../../outside", at("etc/out")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, at("etc/fifo"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    dir
}

/// Everything a tree says about a path.
fn told(tree: &RootedTree, path: &Path) -> String {
    let stat = |links| tree.stat(path, links);
    let mut visited = Vec::new();
    let visit = tree.visit(path, &mut |entry| {
        visited.push((entry.name.to_owned(), entry.kind, (entry.stat)()));
    });
    visited.sort_by(|a, b| a.0.cmp(&b.0));
    let mut links = Vec::new();
    let linked = tree.visit_links(path, &mut |name, to| {
        links.push((name.to_owned(), to.to_vec()));
        std::ops::ControlFlow::Continue(())
    });
    links.sort();
    let known: Result<(u64, Stat), LookError> =
        tree.open_known(path).map(|(file, stat)| (file.metadata().unwrap().len(), stat));
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {visit:?} {visited:?} {linked:?} {links:?} {:?} {known:?}",
        stat(Links::Follow),
        stat(Links::Keep),
        tree.identity(path),
        tree.read_link(path),
        tree.list(path),
        tree.read(path, 8),
        tree.read(path, 64),
    )
}

#[test]
fn who_asks_sees_what_the_one_sees_who_opens() {
    let dir = planted();
    let own = RootedTree::open(dir.path()).unwrap();
    let asked = asking(dir.path(), &[]);
    for path in [
        "/",
        "/etc",
        "/etc/conf",
        "/etc/set",
        "/etc/conf.d",
        "/etc/conf.d/again",
        "/etc/link",
        "/etc/loop",
        "/etc/out",
        "/etc/fifo",
        "/etc/to-key",
        "/none",
        "/etc/conf/below",
        "",
        "..",
    ] {
        let path = Path::new(path);
        assert_eq!(told(&asked, path), told(&own, path), "{}", path.display());
    }
    let live = (RootedTree::open(Path::new("/")).unwrap(), asking(Path::new("/"), &[]));
    for path in ["/proc/self/ns", "/proc/self/exe", "/proc/1/ns/net", "/sys/class/net", "/root"] {
        let path = Path::new(path);
        assert_eq!(told(&live.1, path), told(&live.0, path), "{}", path.display());
    }
}

#[test]
fn closed_files_stay_closed_whatever_name_leads_to_them() {
    let dir = planted();
    let state = dir.path().join("state").canonicalize().unwrap();
    let asked = asking(dir.path(), &[state]);
    let why = |path: &str| asked.read(Path::new(path), 64).unwrap_err().why;
    assert_eq!(why("/state/journal/key"), Why::Denied);
    assert_eq!(why("/etc/to-key"), Why::Denied);
    assert!(asked.read(Path::new("/etc/link"), 64).is_ok());
    let seen = asked.stat(Path::new("/state/journal/key"), Links::Follow).unwrap();
    assert_eq!(seen.kind, FileKind::Regular, "that it is there may be known");
    let live = asking(Path::new("/"), &[]);
    for path in ["/proc/self/mem", "/proc/self/environ", "/proc/thread-self/auxv", "/proc/kcore"] {
        assert!(live.read(Path::new(path), 1 << 20).is_err(), "{path}");
    }
    assert!(live.read(Path::new("/proc/self/status"), 1 << 20).is_ok());
}

#[test]
fn a_hostile_question_is_no_question() {
    let long = vec![b'a'; PATH_BYTES_MAX + 1];
    assert!(Question::from_bytes(&Question::List(&long).to_bytes().unwrap()).is_none());
    assert!(Question::from_bytes(&Question::List(&long[1..]).to_bytes().unwrap()).is_some());
    let whole = Question::Stat(b"/etc", true).to_bytes().unwrap();
    for end in 0..whole.len() {
        assert_eq!(Question::from_bytes(&whole[..end]), None);
    }
    let mut more = whole;
    more.push(0);
    assert_eq!(Question::from_bytes(&more), None);
    let dir = planted();
    let tree = RootedTree::open(dir.path()).unwrap();
    let nul = answer(&tree, &Closed::default(), Question::Open(b"/etc/co\0nf"));
    assert!(matches!(Answer::from_bytes(&nul.0), Some(Answer::Failed(_))) && nul.1.is_none());
}

#[test]
fn an_answer_that_makes_no_sense_is_an_error() {
    #[derive(Debug)]
    struct Babble(Vec<u8>);
    impl Channel for Babble {
        fn ask(&self, _: &Question<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
            Ok((self.0.clone(), None))
        }
    }
    for babble in [vec![], vec![0xff; 40], Answer::Link(b"x").to_bytes().unwrap()] {
        let asked = Asked::new(Arc::new(Babble(babble)));
        assert!(asked.dump(Table::Addresses).is_err());
        assert_eq!(asked.namespaces().1.len(), 1);
        let tree = RootedTree::asking(asked);
        assert!(tree.open_file(Path::new("/x")).is_err());
        assert!(tree.list(Path::new("/x")).is_err());
        assert!(tree.stat(Path::new("/x"), Links::Keep).is_err());
    }
}
