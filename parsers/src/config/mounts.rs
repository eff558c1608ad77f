//! fstab(5) and /proc/PID/mountinfo (proc(5)).
//!
//! Blanks and line ends inside a field are written as octal escapes (`\040`) in both; they are undone
//! here. A line with too few fields is a [`Problem`], the lines around it are still read.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::place::{Place, Problem};

/// Most lines of a table that are read.
pub const MOUNTS_MAX: usize = 100_000;
/// Longest line that is read, in bytes; a longer one is a problem.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// A line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Id of the mount, unique on a running kernel.
    pub id: u64,
    /// Id of the mount that it stands on.
    pub parent: u64,
    /// Device, major and minor.
    pub device: (u32, u32),
    /// The directory of the file system that is mounted.
    pub root: PathBuf,
    /// Where.
    pub target: PathBuf,
    /// Type of the file system.
    pub fs_type: String,
    /// Device or other source.
    pub source: String,
    /// Options of the mount, then those of the file system's superblock.
    pub options: Vec<String>,
    /// Where it was read.
    pub place: Place,
    /// The line.
    pub text: String,
}

/// A line of fstab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FstabEntry {
    /// Device, label, UUID or other source.
    pub source: String,
    /// Where it will be mounted; `none` or `swap` for swap.
    pub target: PathBuf,
    /// Type of the file system.
    pub fs_type: String,
    /// Options.
    pub options: Vec<String>,
    /// Place of the options (or of the line, where there are none).
    pub place: Place,
    /// The line.
    pub text: String,
}

impl Mount {
    /// Whether an option is set, by name or as `name=…`.
    pub fn has(&self, option: &str) -> bool {
        has(&self.options, option)
    }

    /// Value of an option `name=value`.
    pub fn value(&self, option: &str) -> Option<&str> {
        self.options.iter().find_map(|have| have.strip_prefix(option)?.strip_prefix('='))
    }
}

impl FstabEntry {
    /// Whether an option is set, by name or as `name=…`; a later opposite (`exec` after `noexec`) wins.
    pub fn has(&self, option: &str) -> bool {
        let opposite = match option.strip_prefix("no") {
            Some(rest) => rest.to_string(),
            None => format!("no{option}"),
        };
        let last = |wanted: &str| self.options.iter().rposition(|have| is(have, wanted));
        // mount(8): user and users imply the three no-options, owner and group imply two of them.
        let implied = match option {
            "noexec" => ["user", "users"].iter().filter_map(|by| last(by)).max(),
            "nosuid" | "nodev" => {
                ["user", "users", "owner", "group"].iter().filter_map(|by| last(by)).max()
            }
            _ => None,
        };
        last(option).max(implied) > last(&opposite)
    }
}

fn has(options: &[String], option: &str) -> bool {
    options.iter().any(|have| is(have, option))
}

fn is(have: &str, option: &str) -> bool {
    have == option || have.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
}

/// Reads a mountinfo table, in its order: where a target stands twice, the later covers the earlier.
pub fn mountinfo(file: &Arc<str>, bytes: &[u8]) -> (Vec<Mount>, Vec<Problem>) {
    read(file, bytes, |fields, place, text| {
        let dash = fields.iter().position(|(_, field)| *field == b"-")?;
        let (head, tail) = (&fields[..dash], &fields[dash + 1..]);
        let (major, minor) = ascii(head.get(2)?.1)?.split_once(':')?;
        let mut options = options(head.get(5)?.1);
        options.extend(tail.get(2).map(|(_, field)| self::options(field)).unwrap_or_default());
        Some(Mount {
            id: ascii(head.first()?.1)?.parse().ok()?,
            parent: ascii(head.get(1)?.1)?.parse().ok()?,
            device: (major.parse().ok()?, minor.parse().ok()?),
            root: path(head.get(3)?.1),
            target: path(head.get(4)?.1),
            fs_type: lossy(tail.first()?.1),
            source: tail.get(1).map(|(_, field)| lossy(field)).unwrap_or_default(),
            options,
            place: place(0),
            text: text.to_string(),
        })
    })
}

/// Reads an fstab; comments and empty lines are passed over. A line whose fifth or sixth field is no
/// number (also a comment behind the entry) is kept, and is a problem: mount(8) ignores it, while
/// systemd mounts it.
pub fn fstab(file: &Arc<str>, bytes: &[u8]) -> (Vec<FstabEntry>, Vec<Problem>) {
    let ignored = std::cell::RefCell::new(Vec::new());
    let (entries, mut problems) = read(file, bytes, |fields, place, text| {
        let column = fields.get(3).map_or(0, |(at, _)| *at);
        let entry = FstabEntry {
            source: lossy(fields.first()?.1),
            target: path(fields.get(1)?.1),
            fs_type: lossy(fields.get(2)?.1),
            options: fields.get(3).map(|(_, field)| options(field)).unwrap_or_default(),
            place: place(column),
            text: text.to_string(),
        };
        if let Some((at, _)) = fields.iter().skip(4).take(2).find(|(_, field)| !is_number(field)) {
            let message = "dump and pass are numbers; mount(8) ignores the line";
            ignored.borrow_mut().push(Problem { place: place(*at), message: message.to_string() });
        }
        Some(entry)
    });
    problems.extend(ignored.into_inner());
    problems.sort_by_key(|problem| problem.place.line);
    (entries, problems)
}

fn is_number(field: &[u8]) -> bool {
    ascii(field).is_some_and(|text| text.parse::<i32>().is_ok())
}

type Field<'a> = (usize, &'a [u8]);

fn read<T>(
    file: &Arc<str>,
    bytes: &[u8],
    each: impl Fn(&[Field<'_>], &dyn Fn(usize) -> Place, &str) -> Option<T>,
) -> (Vec<T>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for line in super::lines::numbered(bytes) {
        let problem =
            |message: &str| Problem { place: line.place(file, 0), message: message.to_string() };
        let trimmed = line.bytes.trim_ascii();
        if trimmed.is_empty() || trimmed.starts_with(b"#") {
            continue;
        }
        if found.len() + problems.len() == MOUNTS_MAX {
            problems.push(problem("more lines than are read"));
            break;
        }
        if line.bytes.len() > LINE_BYTES_MAX {
            problems.push(problem("line is too long"));
            continue;
        }
        let fields = fields(line.bytes);
        match each(&fields, &|index| line.place(file, index), &line.text()) {
            Some(value) => found.push(value),
            None => problems.push(problem("too few fields, or a number that is none")),
        }
    }
    (found, problems)
}

/// The blank-separated fields of a line, each with where it starts.
fn fields(line: &[u8]) -> Vec<Field<'_>> {
    line.split(|byte| matches!(byte, b' ' | b'\t'))
        .map(|field| (field.as_ptr() as usize - line.as_ptr() as usize, field))
        .filter(|(_, field)| !field.is_empty())
        .collect()
}

/// Undoes `\ooo`; anything else after a backslash stays as it is.
pub fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut at = 0;
    while let Some(byte) = field.get(at) {
        let digits = field.get(at + 1..at + 4).filter(|digits| {
            *byte == b'\\'
                && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
                && digits[0] < b'4'
        });
        match digits {
            Some(digits) => {
                out.push(digits.iter().fold(0_u8, |sum, digit| (sum << 3) | (digit - b'0')));
                at += 4;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

/// Whether a file system of this type may block or change by being walked, or is none of this host's
/// own: network, automount, user space, kernel interfaces.
pub fn walkable(fs_type: &str) -> bool {
    const LOCAL: &[&str] = &[
        "ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "f2fs", "jfs", "reiserfs", "zfs",
        "tmpfs", "ramfs", "vfat", "exfat", "ntfs3", "erofs", "squashfs", "iso9660", "nilfs2",
        "overlay", "rootfs", "udf", "minix",
    ];
    LOCAL.contains(&fs_type)
}

/// The mount that a path lies on: the longest target that contains it, the last of equal ones.
pub fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.target))
        .max_by_key(|mount| mount.target.components().count())
}

fn options(field: &[u8]) -> Vec<String> {
    lossy(field).split(',').filter(|option| !option.is_empty()).map(str::to_string).collect()
}

fn path(field: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(field)))
}

fn lossy(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field)).into_owned()
}

fn ascii(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<str> {
        "/etc/fstab".into()
    }

    #[test]
    fn mountinfo_is_read_with_optional_fields_and_escapes() {
        let text =
            b"22 27 0:21 / /proc rw,relatime shared:5 master:1 - proc proc rw,hidepid=invisible\n\
            30 27 8:1 /sub /mnt/a\\040b ro,nosuid - ext4 /dev/sda1 rw,errors=remount-ro\n\
            31 27 0:9 / /x rw - tmpfs\n";
        let (mounts, problems) = mountinfo(&"/proc/1/mountinfo".into(), text);
        assert!(problems.is_empty());
        assert_eq!(mounts[0].fs_type, "proc");
        assert_eq!(mounts[0].value("hidepid"), Some("invisible"));
        assert_eq!(mounts[1].target, Path::new("/mnt/a b"));
        assert_eq!((mounts[1].device, mounts[1].id), ((8, 1), 30));
        assert!(mounts[1].has("nosuid") && mounts[1].has("errors") && !mounts[1].has("noexec"));
        assert_eq!(mounts[2].source, "");
        assert_eq!(mount_of(&mounts, Path::new("/mnt/a b/c")).unwrap().id, 30);
        assert!(mount_of(&mounts, Path::new("/mnt/a")).is_none());
    }

    #[test]
    fn fstab_is_read_with_places() {
        let text = b"# comment\n\nUUID=1 / ext4 defaults 0 1\n/dev/sdb\t/srv\\011x  xfs noexec,nosuid,exec\n\
            tmpfs /tmp tmpfs users,suid 0 0\nhalf\n";
        let (entries, problems) = fstab(&file(), text);
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[0].place, Place::new(&file(), 3, 15));
        assert_eq!(entries[1].target, Path::new("/srv\tx"));
        assert!(entries[1].has("nosuid") && !entries[1].has("noexec") && entries[1].has("exec"));
        assert!(entries[2].has("noexec") && entries[2].has("nodev") && !entries[2].has("nosuid"));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].place.line, 6);
    }

    #[test]
    fn a_line_that_mount_ignores_is_kept_and_told() {
        let text =
            b"/dev/a /a ext4 ro # c\n/dev/b /b ext4 ro 0 x\n/dev/c /c ext4 ro 1 2 # c\nhalf\n";
        let (entries, problems) = fstab(&file(), text);
        assert_eq!(entries.len(), 3);
        let places: Vec<_> = problems.iter().map(|p| (p.place.line, p.place.column)).collect();
        assert_eq!(places, [(1, 19), (2, 21), (4, 1)]);
    }

    #[test]
    fn hostile_tables_end_bounded() {
        assert!(fstab(&file(), b"").0.is_empty());
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(fstab(&file(), &long).1[0].message, "line is too long");
        assert_eq!(fstab(&file(), &vec![b'x'; 10 << 20]).1.len(), 1);
        assert_eq!(mountinfo(&file(), b"\0\xff - - -\n1 2 3:4 / / rw -\n").1.len(), 2);
        let many = "a /b c\n".repeat(MOUNTS_MAX);
        assert_eq!(fstab(&file(), many.as_bytes()).1.len(), 0);
        let (entries, problems) = fstab(&file(), (many + "a /b c\n").as_bytes());
        assert_eq!((entries.len(), problems.len()), (MOUNTS_MAX, 1));
    }

    #[test]
    fn escapes_are_undone_and_false_ones_stay() {
        assert_eq!(unescape(br"a\040b\134\011"), b"a b\\\t");
        assert_eq!(unescape(br"\9 \40 \777 \"), br"\9 \40 \777 \");
    }
}
