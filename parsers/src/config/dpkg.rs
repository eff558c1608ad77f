//! The package database of dpkg and the package lists of apt.
//!
//! Three things: deb822 stanzas (deb822(5)) without building trees, for `status` and the lists of apt,
//! which can be tens of megabytes; the lists of files under `info/`, with diversions; and the order of
//! Debian versions (deb-version(7)). Lines that are no fields are passed over: dpkg itself wrote these
//! files, and half a stanza is worth more than none. Values are never longer than [`VALUE_BYTES_MAX`].

use std::cmp::Ordering;
use std::collections::HashMap;

use memchr::memchr_iter;

/// Longest value of a field that is kept, in bytes; the rest of a longer one is dropped.
pub const VALUE_BYTES_MAX: usize = 4096;

/// Most packages of one status file that are kept.
pub const PACKAGES_MAX: usize = 200_000;

/// Longest path of a file list that is kept, in bytes (`PATH_MAX`).
pub const PATH_BYTES_MAX: usize = 4096;

/// A package as the status file shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// Installed version.
    pub version: String,
    /// Source package: the field `Source` without its version, or the name.
    pub source: String,
    /// `Status` as written: want, flag, state.
    pub status: String,
    /// Line of the stanza's `Package` field, from 1.
    pub line: u32,
}

impl Package {
    /// Whether its files are on disk: every state of dpkg(1) but the two that have none.
    pub fn installed(&self) -> bool {
        let state = self.status.rsplit(' ').next().unwrap_or("");
        !matches!(state, "" | "not-installed" | "config-files")
    }
}

/// The value of a field line if `line` starts with `name` and a colon; field names know no case.
pub fn field<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let head = line.get(..name.len())?;
    let rest = line.get(name.len()..)?.strip_prefix(b":")?;
    head.eq_ignore_ascii_case(name.as_bytes()).then(|| rest.trim_ascii())
}

/// The packages of `/var/lib/dpkg/status`, in the order of the file, installed or not; and whether
/// there were more than [`PACKAGES_MAX`].
pub fn status(bytes: &[u8]) -> (Vec<Package>, bool) {
    let mut packages = Vec::new();
    let mut package = Package::default();
    for line in super::lines::numbered(bytes) {
        if line.bytes.trim_ascii().is_empty() {
            if !keep(&mut packages, &mut package) {
                return (packages, true);
            }
        } else {
            read_field(&mut package, line.bytes, line.number);
        }
    }
    let whole = keep(&mut packages, &mut package);
    (packages, !whole)
}

fn read_field(package: &mut Package, line: &[u8], number: u32) {
    // The first byte decides for nearly every line: descriptions and dependencies cost nothing.
    match line.first().map(u8::to_ascii_lowercase) {
        Some(b'p') => {
            if let Some(value) = field(line, "Package") {
                package.name = text(value);
                package.line = number;
            }
        }
        Some(b'v') => {
            if let Some(value) = field(line, "Version") {
                package.version = text(value);
            }
        }
        Some(b'a') => {
            if let Some(value) = field(line, "Architecture") {
                package.architecture = text(value);
            }
        }
        Some(b's') => {
            if let Some(value) = field(line, "Status") {
                package.status = text(value);
            } else if let Some(value) = field(line, "Source") {
                package.source = text(value.split(|byte| *byte == b' ').next().unwrap_or(value));
            }
        }
        _ => {}
    }
}

/// Ends a stanza; `false` when the limit is reached and something would be dropped.
fn keep(packages: &mut Vec<Package>, package: &mut Package) -> bool {
    let mut done = std::mem::take(package);
    if done.name.is_empty() {
        return true;
    }
    if packages.len() == PACKAGES_MAX {
        return false;
    }
    if done.source.is_empty() {
        done.source.clone_from(&done.name);
    }
    packages.push(done);
    true
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(VALUE_BYTES_MAX)]).into_owned()
}

/// A stanza of an apt list while it is scanned: name, version and architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Package name.
    pub name: Vec<u8>,
    /// Version offered.
    pub version: Vec<u8>,
    /// Architecture it is offered for.
    pub architecture: Vec<u8>,
}

/// Scans a list of apt line by line, so that a caller may stream it; see [`Offered`].
#[derive(Clone, Debug, Default)]
pub struct ListScan {
    stanza: Offered,
}

impl ListScan {
    /// Takes one line (with or without its line end); gives the stanza that an empty line ended.
    pub fn line(&mut self, line: &[u8]) -> Option<Offered> {
        match line.first() {
            None | Some(b'\n' | b'\r') => return self.end(),
            Some(b'P' | b'p') => {
                if let Some(value) = field(line, "Package") {
                    self.stanza.name = bounded(value);
                }
            }
            Some(b'V' | b'v') => {
                if let Some(value) = field(line, "Version") {
                    self.stanza.version = bounded(value);
                }
            }
            Some(b'A' | b'a') => {
                if let Some(value) = field(line, "Architecture") {
                    self.stanza.architecture = bounded(value);
                }
            }
            _ => {}
        }
        None
    }

    /// The stanza that stands unfinished at the end of the list.
    pub fn end(&mut self) -> Option<Offered> {
        let done = std::mem::take(&mut self.stanza);
        (!done.name.is_empty() && !done.version.is_empty()).then_some(done)
    }
}

fn bounded(value: &[u8]) -> Vec<u8> {
    value[..value.len().min(VALUE_BYTES_MAX)].to_vec()
}

/// Diversions (dpkg-divert(1)): which package moved whose file where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diversions {
    by_path: HashMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
}

impl Diversions {
    /// Reads `/var/lib/dpkg/diversions`: three lines each (path, diverted to, by which package; `:`
    /// stands for the local administrator). A last incomplete triple is dropped.
    pub fn read(bytes: &[u8]) -> Self {
        let mut lines = super::lines::numbered(bytes).map(|line| line.bytes.to_vec());
        let mut by_path = HashMap::new();
        while let (Some(path), Some(to), Some(by)) = (lines.next(), lines.next(), lines.next()) {
            by_path.insert(path, (to, by));
        }
        Self { by_path }
    }

    /// Where the file that `package` ships as `path` really lies.
    pub fn place<'a>(&'a self, path: &'a [u8], package: &str) -> &'a [u8] {
        match self.by_path.get(path) {
            Some((to, by)) if by != package.as_bytes() => to,
            _ => path,
        }
    }
}

/// The paths of an `info/*.list` file.
pub fn paths(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let rest = (!bytes.is_empty() && !bytes.ends_with(b"\n")).then_some(bytes.len());
    memchr_iter(b'\n', bytes)
        .chain(rest)
        .map(move |end| {
            let line = &bytes[start..end];
            start = end + 1;
            line
        })
        .filter(|line| line.first() == Some(&b'/') && line.len() <= PATH_BYTES_MAX)
}

/// Orders two versions as dpkg does (deb-version(7)): epoch, then upstream version, then revision; in
/// each, `~` sorts before the end, letters before other characters, digits as numbers.
///
/// ```
/// use parsers::config::dpkg::compare_versions;
/// assert!(compare_versions("1:1.0~rc1-1", "1:1.0-1").is_lt());
/// ```
pub fn compare_versions(left: &str, right: &str) -> Ordering {
    let (left_epoch, left_upstream, left_revision) = split_version(left);
    let (right_epoch, right_upstream, right_revision) = split_version(right);
    part_order(left_epoch, right_epoch)
        .then_with(|| part_order(left_upstream, right_upstream))
        .then_with(|| part_order(left_revision, right_revision))
}

fn split_version(version: &str) -> (&[u8], &[u8], &[u8]) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.as_bytes(), upstream.as_bytes(), revision.as_bytes())
}

/// Compares runs of non-digits and runs of digits in turn; linear in the length.
fn part_order(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        loop {
            let (a, b) = (weight(left.first()), weight(right.first()));
            if a != b {
                return a.cmp(&b);
            }
            if a == 0 {
                break;
            }
            (left, right) = (&left[1..], &right[1..]);
        }
        let (a, b) = (number(&mut left), number(&mut right));
        // Without leading zeros the longer number is the larger one.
        let order = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// `~` before the end and digits, those before letters, those before everything else. The tilde alone
/// is negative; digits and the end weigh 0.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Takes the digits in front, without their leading zeros.
fn number<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: openssh-server\nStatus: install ok installed\n\
        Source: openssh (1:9.2p1-2)\nVersion: 1:9.2p1-2+deb12u7\nArchitecture: amd64\n\
        Description: secure shell\n Version: a lie in a description\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        garbage line\npackage: bash\nSTATUS: install ok half-configured\nVersion: 5.2\n";

    #[test]
    fn a_status_file_gives_names_versions_sources_and_states() {
        let (packages, more) = status(STATUS.as_bytes());
        assert!(!more);
        assert_eq!(packages.len(), 3);
        assert_eq!(packages[0].version, "1:9.2p1-2+deb12u7");
        assert_eq!((packages[0].source.as_str(), packages[0].line), ("openssh", 1));
        assert!(packages[0].installed());
        assert!(!packages[1].installed());
        assert!(packages[2].installed());
        assert_eq!((packages[2].name.as_str(), packages[2].source.as_str()), ("bash", "bash"));
    }

    #[test]
    fn hostile_status_files_end_bounded() {
        assert!(status(b"").0.is_empty());
        assert!(status(b"\0\0\n\xff\xfe: x\nPackage").0.is_empty());
        let long = format!("Package: {}\n", "x".repeat(10 << 20));
        let (packages, _) = status(long.as_bytes());
        assert_eq!(packages[0].name.len(), VALUE_BYTES_MAX);
        let many = "Package: a\n\n".repeat(PACKAGES_MAX);
        assert_eq!(
            (status(many.as_bytes()).0.len(), status(many.as_bytes()).1),
            (PACKAGES_MAX, false)
        );
        let more = many + "Package: b\n";
        assert_eq!(
            (status(more.as_bytes()).0.len(), status(more.as_bytes()).1),
            (PACKAGES_MAX, true)
        );
    }

    #[test]
    fn a_list_is_scanned_line_by_line() {
        let mut scan = ListScan::default();
        let list =
            b"Package: a\nVersion: 1\nArchitecture: amd64\nDepends: b\n\nPackage: b\nVersion: 2";
        let mut offered: Vec<_> =
            list.split_inclusive(|b| *b == b'\n').filter_map(|line| scan.line(line)).collect();
        offered.extend(scan.end());
        assert_eq!(offered.len(), 2);
        assert_eq!(offered[0].name, b"a");
        assert_eq!(offered[0].architecture, b"amd64");
        assert_eq!(offered[1].version, b"2");
        assert_eq!(scan.end(), None);
    }

    #[test]
    fn file_lists_and_diversions() {
        let list = b"/.\n/usr\n/usr/bin/x\nnot a path\n/usr/bin/last";
        let found: Vec<_> = paths(list).collect();
        assert_eq!(found, [&b"/."[..], b"/usr", b"/usr/bin/x", b"/usr/bin/last"]);
        assert_eq!(paths(b"").count(), 0);
        assert_eq!(paths(format!("/{}\n", "x".repeat(PATH_BYTES_MAX)).as_bytes()).count(), 0);
        let moved = Diversions::read(b"/usr/bin/x\n/usr/bin/x.orig\nwrapper\n/half\n");
        assert_eq!(moved.place(b"/usr/bin/x", "base"), b"/usr/bin/x.orig");
        assert_eq!(moved.place(b"/usr/bin/x", "wrapper"), b"/usr/bin/x");
        assert_eq!(moved.place(b"/half", "base"), b"/half");
    }

    const VERSIONS: &[&str] = &[
        "0",
        "0~",
        "0~~",
        "0-0",
        "1",
        "1.0",
        "1.0-1",
        "1.0-1~bpo1",
        "1.0-1+b1",
        "1.0-1+deb12u1",
        "1.0-1+deb12u10",
        "1.0-1+deb12u9",
        "1:0.1",
        "01:0.1",
        "2:0",
        "1.0~rc1-1",
        "1.0~rc1-1~",
        "1.0a",
        "1.0+",
        "1.0.",
        "1.0.1",
        "1.00.1",
        "1-1-1",
        "9.2p1",
        "9.10p1",
        "2.36-9+deb12u10",
        "2.36-9+deb12u4",
        "1.2.3~beta~1",
        "1.2.3~beta",
        "0a",
        "0Z",
        "0.0.0",
        "20230101",
        "20221231-1",
        "18446744073709551616",
        "99999999999999999999999999",
        "99999999999999999999999998",
        "1.0-1ubuntu0.1",
        "1.0-1ubuntu0.1~22.04",
        "6.1.0-13",
        "6.1.0-9",
        "7.88.1-10+deb12u12",
    ];

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        for pair in
            [["1.0~rc1", "1.0"], ["1.0-1", "1.0-1+deb12u1"], ["9.9", "1:0"], ["1.9", "1.10"]]
        {
            assert!(compare_versions(pair[0], pair[1]).is_lt(), "{pair:?}");
            assert!(compare_versions(pair[1], pair[0]).is_gt(), "{pair:?}");
        }
        assert!(compare_versions("1.0", "1.00").is_eq());
        // Hostile: long, and not versions at all.
        let long = "1".repeat(1 << 20);
        assert!(compare_versions(&long, &long).is_eq());
        assert!(compare_versions("", "~").is_gt());
        assert!(compare_versions("é", "\0").is_ne());
    }

    #[test]
    fn versions_agree_with_dpkg_itself() {
        if std::process::Command::new("dpkg").arg("--version").output().is_err() {
            assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "dpkg is required");
            eprintln!("skipped: dpkg is not installed");
            return;
        }
        // One shell for the whole table; each pair is asked in one order, the other is a mirror.
        let pairs: Vec<(&str, &str)> = (1..)
            .zip(VERSIONS)
            .flat_map(|(next, left)| VERSIONS[next..].iter().map(move |right| (*left, *right)))
            .collect();
        let asked: String = pairs.iter().map(|(left, right)| format!("{left} {right}\n")).collect();
        let script = "while read a b; do \
               if dpkg --compare-versions \"$a\" lt \"$b\" 2>/dev/null; then echo less; \
               elif dpkg --compare-versions \"$a\" gt \"$b\" 2>/dev/null; then echo greater; \
               else echo equal; fi; done";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), asked).unwrap();
        let said = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(std::fs::File::open(file.path()).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said.lines().count(), pairs.len());
        for ((left, right), answer) in pairs.iter().zip(said.lines()) {
            let dpkg = match answer {
                "less" => Ordering::Less,
                "greater" => Ordering::Greater,
                _ => Ordering::Equal,
            };
            assert_eq!(compare_versions(left, right), dpkg, "{left} against {right}");
            assert_eq!(compare_versions(right, left), dpkg.reverse(), "{right} against {left}");
        }
    }
}
