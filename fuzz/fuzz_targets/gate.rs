//! What a process without rights asks of its broker, and what it is answered: questions are answered about a
//! tree with links in it, which nothing leads out of, and answers are decoded by who asked.
#![no_main]

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use parsers::tree::{Links, Tree};
use scanner::RootedTree;
use scanner::gate::{Answer, Asked, Channel, Closed, PATH_BYTES_MAX, Question, answer};
use wardmote_fuzz::timed;

/// Answers everything with these bytes.
#[derive(Debug)]
struct Says(Vec<u8>);

impl Channel for Says {
    fn ask(&self, _: &Question<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        Ok((self.0.clone(), None))
    }
}

static PLANTED: LazyLock<RootedTree> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("wardmote-fuzz-gate-{}", std::process::id()));
    std::fs::create_dir_all(root.join("etc")).expect("a folder");
    std::fs::write(root.join("etc/a"), "a").expect("a file");
    let _ = std::os::unix::fs::symlink("../../../etc", root.join("out"));
    RootedTree::open(&root).expect("a tree")
});

fuzz_target!(|data: &[u8]| {
    timed(|| {
        if let Some(question) = Question::from_bytes(data) {
            assert!(question.path().is_none_or(|path| path.len() <= PATH_BYTES_MAX));
            assert_eq!(Question::from_bytes(&question.to_bytes().expect("bytes")), Some(question));
            // What is asked of the kernel is the same for everybody.
            if question.path().is_some() {
                let (bytes, file) = answer(&PLANTED, &Closed::default(), question);
                assert!(Answer::from_bytes(&bytes).is_some());
                assert!(file.is_none() || matches!(question, Question::Open(_)));
            }
        }
        let tree = RootedTree::asking(Asked::new(Arc::new(Says(data.to_vec()))));
        let path = Path::new("/etc/a");
        assert!(tree.open_file(path).is_err(), "no descriptor came");
        let _ = tree.stat(path, Links::Keep);
        let _ = tree.read_link(path);
        let _ = tree.identity(path);
        let listed = tree.list(path).map_or(0, |entries| entries.len());
        assert!(listed <= data.len());
        let mut visited = 0;
        let _ = tree.visit(path, &mut |entry| {
            visited += 1;
            let _ = (entry.stat)();
        });
        assert!(visited <= data.len());
    });
});
