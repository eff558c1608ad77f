//! A made root tree: files with modes, written below a temporary directory, and the program run on it.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A tree on disk that is removed at the end.
pub struct Made {
    dir: tempfile::TempDir,
}

/// A tree before it is written: path to text and mode.
#[derive(Clone, Default)]
pub struct Tree {
    files: BTreeMap<String, (Vec<u8>, u32)>,
    folders: BTreeMap<String, u32>,
    links: BTreeMap<String, String>,
}

impl Tree {
    /// Adds or replaces a file.
    pub fn file(mut self, path: &str, text: impl AsRef<[u8]>, mode: u32) -> Self {
        self.files.insert(path.into(), (text.as_ref().to_vec(), mode));
        self
    }

    /// Adds a folder with its mode.
    pub fn folder(mut self, path: &str, mode: u32) -> Self {
        self.folders.insert(path.into(), mode);
        self
    }

    /// Adds a link.
    pub fn link(mut self, path: &str, to: &str) -> Self {
        self.links.insert(path.into(), to.into());
        self
    }

    /// Leaves out what was added.
    pub fn without(mut self, path: &str) -> Self {
        self.files.remove(path);
        self.folders.remove(path);
        self
    }

    /// Paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Writes it.
    pub fn make(&self) -> Made {
        let dir = tempfile::tempdir().unwrap();
        let made = Made { dir };
        for (path, mode) in &self.folders {
            std::fs::create_dir_all(made.path(path)).unwrap();
            std::fs::set_permissions(made.path(path), PermissionsExt::from_mode(*mode)).unwrap();
        }
        for (path, (text, mode)) in &self.files {
            let at = made.path(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(&at, text).unwrap();
            std::fs::set_permissions(&at, PermissionsExt::from_mode(*mode)).unwrap();
        }
        for (path, to) in &self.links {
            let at = made.path(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            symlink(to, at).unwrap();
        }
        std::fs::set_permissions(made.root(), PermissionsExt::from_mode(0o755)).unwrap();
        made
    }
}

impl Made {
    /// The tree's root on disk.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// A path of the tree on disk.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// The state directory of runs on this tree.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Runs `wardmote audit --root` on it as root (of a user namespace where need be), with more words.
    pub fn audit(&self, words: &[&str]) -> Output {
        let mut command = as_root();
        command.arg("audit").arg("--root").arg(self.root());
        command.arg("--state-dir").arg(self.state()).args(words);
        command.output().unwrap()
    }

    /// Runs another command on what the audits kept.
    pub fn run(&self, words: &[&str]) -> Output {
        as_root().args(words).arg("--state-dir").arg(self.state()).output().unwrap()
    }

    /// The JSON report.
    pub fn report(&self) -> serde_json::Value {
        let ran = self.audit(&["--format", "json"]);
        serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ran.stderr)))
    }
}

/// The program as root: directly, or as root of a user namespace of its own, in which the files of the
/// user who runs the tests are root's. Without either the test cannot be done.
fn as_root() -> Command {
    let program = env!("CARGO_BIN_EXE_wardmote");
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.arg("--map-root-user").arg(program);
    command
}

/// Whether trees can be audited here; says so when not, and fails where peers are required.
pub fn possible() -> bool {
    let root = rustix::process::geteuid().is_root()
        || Command::new("unshare")
            .args(["--map-root-user", "true"])
            .status()
            .is_ok_and(|s| s.success());
    if !root {
        let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some();
        assert!(!required, "neither root nor a user namespace");
        eprintln!("SKIPPED: needs root or user namespaces to own the files of a made tree");
    }
    root
}

/// A FIFO in place of a file.
pub fn fifo(path: &Path) {
    let _ = std::fs::remove_file(path);
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}
