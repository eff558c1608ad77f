//! Folders whose files mask each other by name: `systemd-analyze cat-config --root` (systemd 252) and
//! `sysctl --system --dry-run` (procps 4) read generated trees; files, order and masks are compared with
//! ours. procps runs in a mount namespace of its own and writes nothing.

use std::path::Path;
use std::process::Command;

use parsers::config::sysctl::{Loader, Sysctl};
use parsers::config::systemd_conf::{Conf, DIRECTORIES, FOLDER_DIRECTORIES, Hidden, Order};

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict, told};

const FOLDERS: [&str; 4] = ["sysctl.d", "tmpfiles.d", "sysusers.d", "modules-load.d"];
const CONFS: [&str; 5] = [
    "systemd/system.conf",
    "systemd/journald.conf",
    "systemd/logind.conf",
    "systemd/resolved.conf",
    "systemd/sleep.conf",
];
const NAMES: [&str; 10] = [
    "10-a.conf",
    "10-b.conf",
    "50.conf",
    "99.conf",
    "Z.conf",
    "a.conf",
    "_.conf",
    "README",
    ".h.conf",
    "b.conf~",
];

/// Fills a folder of each directory with files that mask each other.
fn fill(dice: &mut Dice, root: &Directory, folder: &str) {
    for _ in 0..dice.below(10) {
        let path = format!("{}/{folder}/{}", dice.pick(&FOLDER_DIRECTORIES), dice.pick(&NAMES));
        if root.0.join(&path[1..]).is_symlink() {
            continue;
        }
        match dice.below(8) {
            0 => root.link(&path, "/dev/null"),
            1 => root.write(&path, ""),
            _ => root.write(&path, "kernel.panic = 1\n"),
        }
    }
}

/// The files that systemd prints, in order, as paths in the tree.
fn printed(root: &Path, name: &str) -> Result<Vec<String>, String> {
    let output = Command::new("systemd-analyze")
        .args(["cat-config", name])
        .arg(format!("--root={}", root.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() && !told(&output).contains("No such file") {
        return Err(told(&output));
    }
    let head = format!("# {}", root.display());
    Ok(said.lines().filter_map(|line| line.strip_prefix(&head)).map(str::to_string).collect())
}

#[test]
fn systemd_reads_the_same_files_in_the_same_order() {
    if !peer::has("systemd-analyze") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, _) = peer::agree(peer::seeds(60), |seed| {
        let mut dice = Dice::new(seed);
        let root = Directory(scratch.path().join(seed.to_string()));
        std::fs::create_dir_all(&root.0).unwrap();
        if dice.one_in(3) {
            std::fs::create_dir_all(root.0.join("usr/lib")).unwrap();
            root.link("/lib", "usr/lib");
        }
        let folder = dice.pick(&FOLDERS);
        fill(&mut dice, &root, folder);
        let order = Order::of(&root, folder, Hidden::LeftOut);
        let mut ours: Vec<_> = order.files.iter().chain(&order.nulls).cloned().collect();
        ours.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        let ours: Vec<String> = ours.iter().map(|path| path.display().to_string()).collect();
        let theirs = printed(&root.0, folder)?;
        if ours != theirs {
            return Err(format!("{folder}: systemd {theirs:?}\nours {ours:?}"));
        }
        let conf = dice.pick(&CONFS);
        for directory in DIRECTORIES {
            if dice.one_in(2) {
                root.write(&format!("{directory}/{conf}"), "[A]\nb=1\n");
            }
        }
        fill(&mut dice, &root, &format!("{conf}.d"));
        let read = Conf::read(&root, conf);
        let nulls = Order::dropins(&root, conf).nulls;
        let nulls: Vec<String> = nulls.iter().map(|path| path.display().to_string()).collect();
        let ours: Vec<String> =
            read.main.iter().chain(&read.dropins).map(ToString::to_string).collect();
        let mut theirs = printed(&root.0, conf)?;
        theirs.retain(|path| !nulls.contains(path));
        match ours == theirs && read.settings.unread.is_empty() {
            true => Ok(Verdict::Accepted),
            false => Err(format!("{conf}: systemd {theirs:?}\nours {ours:?}")),
        }
    });
    assert!(accepted > 50);
}

/// Runs procps on a tree: its folders are laid over the host's in a mount namespace, and `--dry-run`
/// writes nothing.
fn procps(root: &Path) -> Result<Vec<String>, String> {
    let script = "
        set -e
        cd \"$0\"
        mount --make-rprivate /
        for folder in etc/sysctl.d run/sysctl.d usr/local/lib/sysctl.d usr/lib/sysctl.d; do
            mkdir -p $folder
        done
        touch etc/sysctl.conf
        mount -t tmpfs none /usr/local
        mkdir -p /usr/local/lib/sysctl.d
        mount --bind usr/local/lib/sysctl.d /usr/local/lib/sysctl.d
        mount --bind usr/lib/sysctl.d /usr/lib/sysctl.d
        mount -t tmpfs none /etc
        mkdir /etc/sysctl.d
        mount --bind etc/sysctl.d /etc/sysctl.d
        cp etc/sysctl.conf /etc/sysctl.conf
        case $0 in /run/*) echo 'the scratch directory is below /run' >&2; exit 9;; esac
        mount -t tmpfs none /run
        mkdir /run/sysctl.d
        mount --bind run/sysctl.d /run/sysctl.d
        exec /usr/sbin/sysctl --system --dry-run
    ";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .arg(root)
        .output()
        .map_err(|error| error.to_string())?;
    let said = told(&output);
    if !output.status.success() {
        return Err(said);
    }
    let files = said.lines().filter_map(|line| line.strip_prefix("* Applying "));
    Ok(files.map(|line| line.trim_end_matches(" ...").to_string()).collect())
}

#[test]
fn procps_reads_the_same_files_in_the_same_order() {
    let has_all = ["sysctl", "unshare"].into_iter().all(peer::has);
    if !has_all {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let probe = scratch.path().join("probe");
    std::fs::create_dir(&probe).unwrap();
    if let Err(why) = procps(&probe) {
        return peer::missing(&format!("no mount namespace for sysctl: {why}"));
    }
    peer::agree(peer::seeds(25), |seed| {
        let mut dice = Dice::new(seed);
        let root = Directory(scratch.path().join(seed.to_string()));
        std::fs::create_dir_all(root.0.join("usr/lib")).unwrap();
        root.link("/lib", "usr/lib");
        fill(&mut dice, &root, "sysctl.d");
        root.write("/etc/sysctl.conf", "kernel.panic = 2\n");
        let theirs = procps(&root.0)?;
        let read = Sysctl::read_as(&root, Loader::Procps);
        let mut ours: Vec<String> = read.files.iter().map(ToString::to_string).collect();
        let mut theirs = theirs;
        for files in [&mut ours, &mut theirs] {
            files.retain(|path| !root.0.join(&path[1..]).is_symlink()); // procps opens /dev/null
        }
        // The same tree as systemd reads it: without the main file, and that is told.
        let systemd = Sysctl::read_as(&root, Loader::Systemd);
        let is_told = systemd.unused.contains_key("kernel.panic");
        match ours == theirs && is_told {
            true => Ok(Verdict::Accepted),
            false => Err(format!("procps {theirs:?}\nours {ours:?}")),
        }
    });
}
