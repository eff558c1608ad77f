//! The socket unit that may listen in sshd's place (systemd.socket(5)).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parsers::config::lines::numbered;
use parsers::place::Placed;
use parsers::tree::{Links, Tree};

/// Units' directories, the strongest first (systemd.unit(5)).
const DIRECTORIES: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const UNITS: &[&str] = &["ssh.socket", "sshd.socket"];
/// Most drop-ins of one unit that are read.
const DROP_INS_MAX: usize = 200;

/// What an enabled socket unit listens on.
#[derive(Default)]
pub(super) struct Socket {
    /// Name of the unit, if one is enabled.
    pub unit: Option<&'static str>,
    /// Its `ListenStream=` lines that count.
    pub listens: Vec<Placed<String>>,
}

pub(super) fn look(tree: &dyn Tree, unseen: &mut Vec<String>) -> Socket {
    let enabled = |unit: &&&str| {
        let wanted = ["/etc/systemd/system", "/run/systemd/system"].iter().any(|directory| {
            let link = format!("{directory}/sockets.target.wants/{unit}");
            tree.stat(Path::new(&link), Links::Keep).is_ok()
        });
        wanted && !is_masked(tree, unit)
    };
    let Some(unit) = UNITS.iter().find(enabled) else { return Socket::default() };
    let mut listens = Vec::new();
    for path in files(tree, unit, unseen) {
        match tree.read_config(&path.to_string_lossy()) {
            Ok(bytes) => read(&bytes, &path, &mut listens),
            Err(error) => unseen.push(error.to_string()),
        }
    }
    Socket { unit: Some(unit), listens }
}

fn is_masked(tree: &dyn Tree, unit: &str) -> bool {
    let path = format!("/etc/systemd/system/{unit}");
    tree.read_link(Path::new(&path)).is_ok_and(|to| to == Path::new("/dev/null"))
}

/// The unit's file and its drop-ins in the order in which they are read: by name, a stronger
/// directory's file standing for weaker ones of the same name.
fn files(tree: &dyn Tree, unit: &str, unseen: &mut Vec<String>) -> Vec<PathBuf> {
    let main = DIRECTORIES
        .iter()
        .map(|directory| PathBuf::from(format!("{directory}/{unit}")))
        .find(|path| tree.stat(path, Links::Follow).is_ok());
    let mut drop_ins: Vec<PathBuf> = Vec::new();
    for directory in DIRECTORIES {
        match tree.list(Path::new(&format!("{directory}/{unit}.d"))) {
            Ok(entries) => {
                for entry in entries.into_iter().take(DROP_INS_MAX) {
                    let is_new = drop_ins.iter().all(|p| p.file_name() != entry.path.file_name());
                    if is_new && entry.path.extension().is_some_and(|end| end == "conf") {
                        drop_ins.push(entry.path);
                    }
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => unseen.push(error.to_string()),
        }
    }
    drop_ins.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    main.into_iter().chain(drop_ins).collect()
}

fn read(bytes: &[u8], path: &Path, listens: &mut Vec<Placed<String>>) {
    let file: Arc<str> = path.to_string_lossy().into();
    for line in numbered(bytes) {
        let text = line.text();
        let body = text.trim_start();
        let Some((key, value)) = body.split_once('=') else { continue };
        if key.trim_end() != "ListenStream" {
            continue;
        }
        if value.trim().is_empty() {
            listens.clear();
            continue;
        }
        listens.push(Placed {
            value: value.trim().to_string(),
            place: line.place(&file, text.len() - body.len()),
            text: text.to_string(),
        });
    }
}
