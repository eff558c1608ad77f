//! pwquality.conf(5): what libpwquality asks of a new password.
//!
//! `pwquality.conf.d/*.conf` is read first, in ASCII order, and `pwquality.conf` after it, so the main
//! file overrides its drop-ins (pwquality.conf(5) of 1.3 and later). Keys are compared without case; the
//! last value holds (`set_name_value` in libpwquality's settings.c). libpwquality gives up at a setting
//! that it does not know or a number that is none: both are problems here, and the rest is still read.
//! Arguments of pam_pwquality come after the files and are not read here.

use std::path::Path;

use super::keyvalue::{Dialect, Form, KeyValues};
use super::problems::note_unread;
use super::settings::Settings;
use crate::tree::{FileKind, LookError, Tree, Why};

/// The main file.
pub const PWQUALITY_CONF: &str = "/etc/security/pwquality.conf";

/// Most drop-ins that are read.
pub const FILES_MAX: usize = 1_000;

const KNOWN: [(&str, Form); 20] = [
    ("difok", Form::Integer),
    ("minlen", Form::Integer),
    ("dcredit", Form::Integer),
    ("ucredit", Form::Integer),
    ("lcredit", Form::Integer),
    ("ocredit", Form::Integer),
    ("minclass", Form::Integer),
    ("maxrepeat", Form::Integer),
    ("maxclassrepeat", Form::Integer),
    ("maxsequence", Form::Integer),
    ("gecoscheck", Form::Integer),
    ("dictcheck", Form::Integer),
    ("usercheck", Form::Integer),
    ("usersubstr", Form::Integer),
    ("enforcing", Form::Integer),
    ("retry", Form::Integer),
    ("badwords", Form::Text),
    ("dictpath", Form::Text),
    ("enforce_for_root", Form::Flag),
    ("local_users_only", Form::Flag),
];

/// Reads a main file and the drop-ins in the directory beside it (`MAIN.d`).
///
/// ```
/// use parsers::config::pwquality::{PWQUALITY_CONF, read};
/// use parsers::tree::MemoryTree;
/// let tree = MemoryTree::new()
///     .file(PWQUALITY_CONF, "minlen = 8\n")
///     .file("/etc/security/pwquality.conf.d/50-site.conf", "minlen = 14\nminclass = 3\n");
/// let holds = read(&tree, PWQUALITY_CONF);
/// assert_eq!((holds.value("minlen"), holds.value("minclass")), (Some("8"), Some("3")));
/// ```
pub fn read(tree: &dyn Tree, main: &str) -> Settings {
    let mut settings = Settings::default();
    let directory = format!("{main}.d");
    match tree.list(Path::new(&directory)) {
        Ok(entries) => {
            let files = entries.iter().filter(|entry| {
                let name = entry.path.as_os_str().as_encoded_bytes();
                name.ends_with(b".conf") && entry.kind != FileKind::Directory
            });
            for (count, entry) in files.enumerate() {
                if count == FILES_MAX {
                    let why = Why::TooMany(FILES_MAX);
                    note_unread(&mut settings.unread, LookError::new(Path::new(&directory), why));
                    break;
                }
                file(tree, &entry.path.to_string_lossy(), &mut settings);
            }
        }
        Err(error) if matches!(error.why, Why::NotFound | Why::NotDirectory) => {}
        Err(error) => note_unread(&mut settings.unread, error),
    }
    file(tree, main, &mut settings);
    settings
}

fn file(tree: &dyn Tree, path: &str, settings: &mut Settings) {
    match tree.read_config(path) {
        Ok(bytes) => {
            let read = KeyValues::parse(path, &bytes, Dialect::Equals);
            read.settle(settings, known);
        }
        Err(error) if error.not_found() => {}
        Err(error) => note_unread(&mut settings.unread, error),
    }
}

fn known(key: &str) -> Option<(&'static str, Form)> {
    KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Rule;
    use crate::tree::MemoryTree;

    #[test]
    fn the_main_file_is_read_after_its_drop_ins() {
        let tree = MemoryTree::new()
            .file(PWQUALITY_CONF, "# c\nMinLen = 12\nenforce_for_root\n")
            .file("/etc/security/pwquality.conf.d/b.conf", "minlen = 20\nminclass=4\n")
            .file("/etc/security/pwquality.conf.d/B.conf", "minclass = 2\ndcredit = -1\n")
            .file("/etc/security/pwquality.conf.d/readme", "minlen = 1\n");
        let holds = read(&tree, PWQUALITY_CONF);
        let minlen = holds.get("minlen").unwrap();
        assert_eq!((minlen.value(), &*minlen.values[0].place.file), (Some("12"), PWQUALITY_CONF));
        assert_eq!(minlen.overrides[0].value.value, "20");
        assert_eq!(minlen.overrides[0].rule, Rule::LastWins);
        assert_eq!((holds.value("minclass"), holds.value("dcredit")), (Some("4"), Some("-1")));
        assert_eq!((holds.value("enforce_for_root"), holds.files.len()), (Some(""), 3));
    }

    #[test]
    fn what_libpwquality_stops_at_is_told() {
        let text = "minlen = twelve\nminlen\nminimum = 3\ndifok = 3\nretry = 99999999999\n";
        let holds = read(&MemoryTree::new().file(PWQUALITY_CONF, text), PWQUALITY_CONF);
        let lines: Vec<u32> = holds.problems.kept.iter().map(|p| p.place.line).collect();
        assert_eq!(
            (lines, holds.value("difok"), holds.get("minlen")),
            (vec![1, 2, 3, 5], Some("3"), None)
        );
    }

    #[test]
    fn drop_ins_are_bounded_and_what_cannot_be_read_is_told() {
        let mut tree = MemoryTree::new();
        for number in 0..=FILES_MAX {
            tree = tree.file(&format!("{PWQUALITY_CONF}.d/{number}.conf"), "minlen = 9\n");
        }
        let holds = read(&tree, PWQUALITY_CONF);
        assert_eq!((holds.files.len(), holds.unread.len()), (FILES_MAX, 1));
        let tree = MemoryTree::new()
            .special("/etc/security/pwquality.conf.d/a.conf", FileKind::Fifo)
            .denied(PWQUALITY_CONF);
        assert_eq!(read(&tree, PWQUALITY_CONF).unread.len(), 2);
    }
}
