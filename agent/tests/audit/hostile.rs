//! Every input of the audit, replaced by something hostile: the audit ends in time with a finding, an
//! `incomplete` entry or a clear error; never a panic, never a hang.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::golden;
use crate::tree;

/// Bound for one audit of a small tree, far above what it takes even on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Replaces a file by something hostile.
type Spoil = fn(&Path);

/// What stands in place of an input.
const HOSTILE: &[(&str, Spoil)] = &[
    ("empty", |path| std::fs::write(path, b"").unwrap()),
    ("10 MB line", |path| std::fs::write(path, vec![b'a'; 10 << 20]).unwrap()),
    ("FIFO", tree::fifo),
    ("directory", |path| {
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
    }),
    ("unreadable", |path| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o000)).unwrap();
    }),
    ("truncated", |path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("NULs and invalid UTF-8", |path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes.extend_from_slice(b"\0\0\xff\xfe\x1b[2J\n\xc3(:::::::\n");
        std::fs::write(path, bytes).unwrap();
    }),
];

#[test]
fn hostile_inputs_end_in_time_with_a_clear_outcome() {
    if !tree::possible() {
        return;
    }
    for (name, spoil) in HOSTILE {
        // All inputs at once: each must be survived beside the others.
        let tree = golden::faulty();
        let made = tree.make();
        for path in tree.paths() {
            spoil(&made.path(path));
        }
        survives(&made, name);
    }
}

#[test]
fn each_input_alone_may_be_a_fifo_or_a_directory() {
    if !tree::possible() {
        return;
    }
    let tree = golden::faulty();
    let made = tree.make();
    for path in tree.paths() {
        for (name, spoil) in HOSTILE.iter().filter(|(name, _)| ["FIFO", "directory"].contains(name))
        {
            let at = made.path(path);
            let before = std::fs::read(&at).unwrap();
            let mode = std::fs::metadata(&at).unwrap().permissions();
            spoil(&at);
            survives(&made, &format!("{path}: {name}"));
            if at.is_dir() {
                std::fs::remove_dir(&at).unwrap();
            } else {
                std::fs::remove_file(&at).unwrap();
            }
            std::fs::write(&at, before).unwrap();
            std::fs::set_permissions(&at, mode).unwrap();
        }
    }
}

fn survives(made: &tree::Made, what: &str) {
    let started = Instant::now();
    let ran = made.audit(&["--format", "json"]);
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(started.elapsed() < TIME_MAX, "{what}: took {:?}", started.elapsed());
    assert!(matches!(ran.status.code(), Some(0 | 1 | 3)), "{what}: {:?} {errors}", ran.status);
    assert!(!errors.contains("internal error"), "{what}: {errors}");
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    for check in report["checks"].as_array().unwrap() {
        let reason = check["reason"].as_str().unwrap();
        assert!(!reason.contains("internal error"), "{what}: {check}");
    }
}
