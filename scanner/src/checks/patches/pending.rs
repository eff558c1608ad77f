//! What apt's lists offer that is not installed, how old the lists are, and who refreshes them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use consensus::Severity;
use parsers::config::dpkg::{ListScan, Offered, Package, compare_versions};
use parsers::config::lines;
use parsers::place::Place;
use parsers::tree::{Entry, FileKind, Links, LookError};

use super::super::{Observation, Outcome};
use crate::Facts;
use crate::packages::{Installed, STATUS};

const LISTS: &str = "/var/lib/apt/lists";
/// Largest list that is read, as it lies on disk.
const LIST_BYTES_MAX: usize = 64 << 20;
/// Most bytes that a list may unpack to.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;
/// Most bytes of one line of a list; what is longer is passed over.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes that are unpacked at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Most packages that a finding names.
const NAMED_MAX: usize = 20;
/// Pending updates from which the level is high.
const MANY: usize = 10;
/// Age of the lists from which it is worth a word, and from which it is worse.
const STALE_DAYS: i64 = 7;
const OLD_DAYS: i64 = 30;

/// Source packages whose holes are used from afar or give root, and the service that they are.
const GRAVE: &[(&str, &str)] = &[
    ("openssh", "ssh"),
    ("openssl", ""),
    ("glibc", ""),
    ("sudo", ""),
    ("linux", ""),
    ("linux-signed-amd64", ""),
    ("systemd", ""),
    ("xz-utils", ""),
    ("apache2", "http"),
    ("nginx", "http"),
    ("exim4", "smtp"),
    ("postfix", "smtp"),
    ("dovecot", "imap"),
    ("bind9", "dns"),
    ("samba", "smb"),
    ("mariadb", "mysql"),
    ("redis", "redis"),
];

/// An installed package and the newer version that a security suite offers.
struct Pending<'a> {
    package: &'a Package,
    offered: String,
}

pub(super) fn security_updates(facts: &Facts<'_>) -> Outcome {
    let installed = facts.get::<Installed>();
    if installed.packages.is_empty() {
        let why = installed.unavailable.clone().unwrap_or_else(|| format!("{STATUS} is empty"));
        return Outcome::not_run(format!("pending updates cannot be told: {why}"));
    }
    let lists = match facts.tree.list(Path::new(LISTS)) {
        Ok(entries) => entries.into_iter().filter(is_security_list).collect::<Vec<_>>(),
        Err(error) if error.not_found() => Vec::new(),
        Err(error) => return Outcome::not_run(error.to_string()),
    };
    if lists.is_empty() {
        return Outcome::not_run(format!(
            "no list of a security suite in {LISTS}: run apt-get update"
        ));
    }
    let mut by_name: BTreeMap<&[u8], Vec<&Package>> = BTreeMap::new();
    for package in &installed.packages {
        by_name.entry(package.name.as_bytes()).or_default().push(package);
    }
    let mut pending: BTreeMap<(&str, &str), Pending<'_>> = BTreeMap::new();
    let (mut unseen, mut offers) = (Vec::new(), 0_u64);
    for list in &lists {
        let scanned = scan(facts, &list.path, |offered| {
            offers += 1;
            for package in by_name.get(offered.name.as_slice()).into_iter().flatten() {
                compare(&mut pending, package, &offered);
            }
        });
        if let Err(why) = scanned {
            unseen.push(format!("{}: {why}", list.path.display()));
        }
    }
    if unseen.len() == lists.len() {
        return Outcome::not_run("no list of a security suite could be read").unseen(unseen);
    }
    let found: Vec<Pending<'_>> = pending.into_values().collect();
    let reason = format!("no newer version among {offers} offers of {} lists", lists.len());
    Outcome::failed_or(describe(&found), reason).unseen(unseen)
}

/// `…_dists_bookworm-security_main_binary-amd64_Packages`, plain or packed.
fn is_security_list(entry: &Entry) -> bool {
    let name = entry.path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase());
    let name = name.unwrap_or_default();
    let Some((origin, rest)) = name.rsplit_once("_packages") else { return false };
    entry.kind == FileKind::Regular && origin.contains("security") && !rest.contains('_')
}

fn compare<'a>(
    pending: &mut BTreeMap<(&'a str, &'a str), Pending<'a>>,
    package: &'a Package,
    offered: &Offered,
) {
    let fits = offered.architecture == package.architecture.as_bytes()
        || offered.architecture == b"all"
        || package.architecture == "all";
    let Ok(version) = std::str::from_utf8(&offered.version) else { return };
    if !fits || compare_versions(&package.version, version).is_ge() {
        return;
    }
    let key = (package.name.as_str(), package.architecture.as_str());
    let newest =
        pending.get(&key).is_some_and(|known| compare_versions(&known.offered, version).is_ge());
    if !newest {
        pending.insert(key, Pending { package, offered: version.to_string() });
    }
}

fn describe(found: &[Pending<'_>]) -> Vec<Observation> {
    if found.is_empty() {
        return Vec::new();
    }
    let grave: Vec<&(&str, &str)> = GRAVE
        .iter()
        .filter(|known| found.iter().any(|one| is_grave(one.package, known.0)))
        .collect();
    let noun = if found.len() == 1 { "security update is" } else { "security updates are" };
    let mut seen = Observation::default()
        .key("security")
        .title(format!("{} {noun} not installed", found.len()))
        .fact("pending", found.len().to_string());
    let mut shown: Vec<&Pending<'_>> = found.iter().collect();
    shown.sort_by_key(|one| !GRAVE.iter().any(|known| is_grave(one.package, known.0)));
    for one in shown.iter().take(NAMED_MAX) {
        let Package { name, version, line, status, .. } = one.package;
        let held = if status.starts_with("hold") { " (held)" } else { "" };
        let place = Place { file: STATUS.into(), line: *line, column: 1 };
        seen = seen.line(&place, &format!("{name} {version} -> {}{held}", one.offered));
    }
    if found.len() > NAMED_MAX {
        seen = seen.fact("more", format!("and {} more", found.len() - NAMED_MAX));
    }
    if !grave.is_empty() {
        let names: Vec<&str> = grave.iter().map(|(source, _)| *source).collect();
        seen = seen.fact("grave", names.join(" "));
    }
    let services: std::collections::BTreeSet<&str> =
        grave.iter().map(|(_, service)| *service).filter(|service| !service.is_empty()).collect();
    if !services.is_empty() {
        seen.services = Some(services.into_iter().map(str::to_string).collect());
    }
    let high = found.len() >= MANY || !grave.is_empty();
    vec![seen.level(if high { Severity::High } else { Severity::Medium })]
}

/// Whether a package carries code of a grave source. Of the kernel's many packages only its image runs.
fn is_grave(package: &Package, source: &str) -> bool {
    let kernel = source.starts_with("linux");
    package.source == source && (!kernel || package.name.starts_with("linux-image-"))
}

/// Streams a list through the scanner of stanzas.
fn scan(facts: &Facts<'_>, path: &Path, mut each: impl FnMut(Offered)) -> Result<(), String> {
    let bytes = facts.tree.read(path, LIST_BYTES_MAX).map_err(|error| error.why.to_string())?;
    let reader: Box<dyn Read + '_> = match path.extension().and_then(|ext| ext.to_str()) {
        None => Box::new(bytes.as_slice()),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(bytes.as_slice())),
        Some("lz4") => Box::new(lz4_flex::frame::FrameDecoder::new(bytes.as_slice())),
        // A host name with a dot and no packing: `deb.debian.org_…_Packages`.
        Some(rest) if rest.ends_with("_Packages") => Box::new(bytes.as_slice()),
        Some(other) => return Err(format!("packed as {other}, which is not read")),
    };
    let mut scan = ListScan::default();
    let whole = each_line(reader.take(UNPACKED_BYTES_MAX + 1), |line| {
        if let Some(offered) = scan.line(line) {
            each(offered);
        }
    })?;
    if let Some(offered) = scan.end() {
        each(offered);
    }
    if whole > UNPACKED_BYTES_MAX {
        return Err(format!("unpacks to more than {UNPACKED_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// Gives the lines of a stream, without holding more than a chunk and a line; returns the bytes read.
/// A line longer than [`LINE_BYTES_MAX`] is passed over.
fn each_line(mut reader: impl Read, mut each: impl FnMut(&[u8])) -> Result<u64, String> {
    let mut chunk = vec![0_u8; CHUNK_BYTES];
    let mut carry: Vec<u8> = Vec::new();
    let (mut overlong, mut total) = (false, 0_u64);
    loop {
        let count = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(format!("damaged: {error}")),
        };
        total += count as u64;
        let mut rest = &chunk[..count];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if overlong {
                overlong = false;
            } else if carry.is_empty() {
                each(&rest[..end]);
            } else {
                carry.extend_from_slice(&rest[..end]);
                each(&carry);
            }
            carry.clear();
            rest = &rest[end + 1..];
        }
        if carry.len() + rest.len() > LINE_BYTES_MAX {
            overlong = true;
            carry.clear();
        }
        if !overlong {
            carry.extend_from_slice(rest);
        }
    }
    if !overlong && !carry.is_empty() {
        each(&carry);
    }
    Ok(total)
}

pub(super) fn lists_age(facts: &Facts<'_>) -> Outcome {
    let lists = match facts.tree.list(Path::new(LISTS)) {
        Ok(lists) => lists,
        Err(error) => return Outcome::unreadable(&error),
    };
    let releases = lists.into_iter().map(|entry| entry.path).filter(|path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b"Release"))
    });
    let releases: Vec<PathBuf> = releases.collect();
    if releases.is_empty() {
        let title = "apt has no package lists: security updates cannot be seen";
        let seen =
            Observation::at(&Place::whole(LISTS), "no release file").key("lists").title(title);
        // Images are built without lists on purpose.
        let image = !facts.live || facts.vantage.container.is_some();
        return Outcome::failed(seen.level(if image { Severity::Info } else { Severity::Medium }));
    }
    // apt gives a release file the server's time: the directories tell when it last looked.
    let stamps = [
        "/var/lib/apt/lists",
        "/var/lib/apt/lists/partial",
        "/var/lib/apt/periodic/update-success-stamp",
    ];
    let newest = stamps
        .iter()
        .map(PathBuf::from)
        .chain(releases)
        .filter_map(|path| facts.tree.stat(&path, Links::Follow).ok().map(|stat| stat.modified))
        .filter(|modified| *modified <= facts.now)
        .max();
    let Some(newest) = newest else {
        return Outcome::unknown("the lists carry times of the future");
    };
    let age_days = (facts.now - newest) / 86_400;
    if age_days < STALE_DAYS {
        return Outcome::passed(format!("the package lists are {age_days} days old"));
    }
    let level = if age_days >= OLD_DAYS { Severity::Medium } else { Severity::Low };
    let text = format!("last refreshed {age_days} days ago");
    let seen = Observation::at(&Place::whole(LISTS), &text).key("lists").level(level);
    Outcome::failed(seen.title(format!("the package lists are {age_days} days old")))
}

pub(super) fn automatic(facts: &Facts<'_>) -> Outcome {
    let installed = facts.get::<Installed>();
    let dnf = "/etc/systemd/system/timers.target.wants/dnf-automatic.timer";
    let dnf_install = "/etc/systemd/system/timers.target.wants/dnf-automatic-install.timer";
    for timer in [dnf, dnf_install] {
        if facts.tree.stat(Path::new(timer), Links::Keep).is_ok() {
            return Outcome::passed(format!("{timer} is enabled"));
        }
    }
    if installed.packages.is_empty() {
        return Outcome::unknown("neither dpkg's packages nor an enabled dnf-automatic timer");
    }
    if !installed.packages.iter().any(|package| package.name == "unattended-upgrades") {
        let seen = Observation::at(&Place::whole(STATUS), "unattended-upgrades is not installed");
        return Outcome::failed(seen.key("absent"));
    }
    match periodic(facts) {
        Ok(Some((value, place))) if value != "0" => {
            Outcome::passed(format!("unattended-upgrades runs ({place})"))
        }
        Ok(found) => {
            let place =
                found.map_or_else(|| Place::whole("/etc/apt/apt.conf.d"), |(_, place)| place);
            let text = "APT::Periodic::Unattended-Upgrade is not on";
            let title = "unattended-upgrades is installed but switched off";
            Outcome::failed(Observation::at(&place, text).key("off").title(title))
        }
        Err(error) => Outcome::unreadable(&error),
    }
}

/// The last value of `APT::Periodic::Unattended-Upgrade`; files are read in the order of apt.
fn periodic(facts: &Facts<'_>) -> Result<Option<(String, Place)>, LookError> {
    let mut found = None;
    for entry in facts.tree.list(Path::new("/etc/apt/apt.conf.d"))? {
        if entry.kind != FileKind::Regular {
            continue;
        }
        let name = entry.path.to_string_lossy();
        let bytes = facts.read(&name)?;
        let file = std::sync::Arc::from(&*name);
        for line in lines::numbered(&bytes).take(10_000) {
            let text = line.text();
            let code = text.trim_start();
            let Some(rest) = code.strip_prefix("APT::Periodic::Unattended-Upgrade") else {
                continue;
            };
            let value = rest.trim().trim_end_matches(';').trim().trim_matches('"').to_string();
            found = Some((value, line.place(&file, text.len() - code.len())));
        }
    }
    Ok(found)
}

pub(super) fn unfinished(facts: &Facts<'_>) -> Outcome {
    let installed = facts.get::<Installed>();
    if installed.packages.is_empty() {
        return Outcome::not_applicable("no packages of dpkg");
    }
    let broken: Vec<&Package> = installed
        .packages
        .iter()
        .filter(|package| {
            let mut words = package.status.split(' ').skip(1);
            let (flag, state) = (words.next().unwrap_or("ok"), words.next().unwrap_or("installed"));
            // Triggers are pending while another package is being worked on.
            flag != "ok" || !matches!(state, "installed" | "triggers-pending" | "triggers-awaited")
        })
        .collect();
    if broken.is_empty() {
        return Outcome::passed(format!("{} packages are whole", installed.packages.len()));
    }
    let mut seen = Observation::default()
        .key("unfinished")
        .title(format!("{} packages are half installed", broken.len()));
    for package in broken.iter().take(NAMED_MAX) {
        let place = Place { file: STATUS.into(), line: package.line, column: 1 };
        seen = seen.line(&place, &format!("{}: {}", package.name, package.status));
    }
    Outcome::failed(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CheckResult;
    use crate::facts::Spoken;
    use crate::vantage::Vantage;
    use parsers::tree::MemoryTree;
    use std::io::Write;

    const NOW: i64 = 3 * 86_400;
    const STATUS_TEXT: &str = "Package: openssh-server\nStatus: install ok installed\nSource: openssh\nVersion: 1:9.2p1-2\nArchitecture: amd64\n\n\
        Package: tzdata\nStatus: hold ok installed\nVersion: 2024a\nArchitecture: all\n\n\
        Package: unattended-upgrades\nStatus: install ok installed\nVersion: 2\nArchitecture: all\n";
    const OFFERS: &str = "Package: openssh-server\nArchitecture: amd64\nVersion: 1:9.2p1-2+deb12u3\n\n\
        Package: openssh-server\nArchitecture: amd64\nVersion: 1:9.2p1-2+deb12u1\n\n\
        Package: openssh-server\nArchitecture: arm64\nVersion: 9:9\n\n\
        Package: tzdata\nArchitecture: all\nVersion: 2023c\n";
    const LIST: &str = "/var/lib/apt/lists/deb.debian.org_debian-security_dists_x-security_main_binary-amd64_Packages";

    fn hardened() -> MemoryTree {
        MemoryTree::new()
            .file(STATUS, STATUS_TEXT)
            .file(LIST, "Package: openssh-server\nArchitecture: amd64\nVersion: 1:9.2p1-1\n")
            .file("/var/lib/apt/lists/x-security_InRelease", "x")
            .file("/etc/apt/apt.conf.d/20auto", "// x\nAPT::Periodic::Unattended-Upgrade \"1\";\n")
    }

    fn run(tree: &MemoryTree, check: fn(&Facts<'_>) -> Outcome, now: i64) -> Outcome {
        let (vantage, spoken) = (Vantage::mounted(), Spoken::default());
        check(&Facts::new(tree, false, &vantage, None, &spoken, now))
    }

    #[test]
    fn an_updated_tree_passes() {
        for check in [security_updates, lists_age, automatic, unfinished] {
            let outcome = run(&hardened(), check, NOW);
            assert_eq!(outcome.result, CheckResult::Passed, "{outcome:?}");
        }
    }

    #[test]
    fn pending_security_updates_are_named_with_their_newest_version() {
        for (name, bytes) in [("", OFFERS.as_bytes().to_vec()), (".gz", gz()), (".lz4", lz4())] {
            let tree = hardened().file(&format!("{LIST}{name}"), bytes);
            let outcome = run(&tree, security_updates, NOW);
            assert_eq!(outcome.observations.len(), 1, "{name} {outcome:?}");
            let seen = &outcome.observations[0];
            assert_eq!(seen.level, Some(Severity::High));
            assert_eq!(seen.lines[0].text, "openssh-server 1:9.2p1-2 -> 1:9.2p1-2+deb12u3");
            assert_eq!((seen.lines[0].file.as_str(), seen.lines[0].line), (STATUS, 1));
            assert_eq!(seen.services.as_deref(), Some(&["ssh".to_string()][..]));
            assert_eq!(seen.lines.len(), 1);
        }
    }

    fn gz() -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(OFFERS.as_bytes()).unwrap();
        out.finish().unwrap()
    }

    /// A frame by hand (the format's specification): magic, flags, block size, header checksum, one
    /// block stored as it is, the end mark.
    fn lz4() -> Vec<u8> {
        let mut out = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
        out.extend((OFFERS.len() as u32 | 0x8000_0000).to_le_bytes());
        out.extend(OFFERS.as_bytes());
        out.extend([0; 4]);
        out
    }

    #[test]
    fn what_cannot_be_read_is_not_up_to_date() {
        let none = MemoryTree::new().file(STATUS, STATUS_TEXT);
        assert_eq!(run(&none, security_updates, NOW).result, CheckResult::NotRun);
        let rpm = MemoryTree::new().file("/var/lib/rpm/x", "");
        assert_eq!(run(&rpm, security_updates, NOW).result, CheckResult::NotRun);
        for damaged in [&b"\x1f\x8bnot gzip"[..], b"", b"\0\0\0"] {
            let tree = none.clone().file(&format!("{LIST}.gz"), damaged);
            let outcome = run(&tree, security_updates, NOW);
            assert!(outcome.result == CheckResult::NotRun || damaged.is_empty(), "{outcome:?}");
        }
        let xz = hardened().file(&format!("{LIST}.xz"), "x");
        assert!(run(&xz, security_updates, NOW).unseen[0].contains("packed as xz"));
        let fifo = none.special(LIST, FileKind::Fifo);
        assert_eq!(run(&fifo, security_updates, NOW).result, CheckResult::NotRun);
    }

    #[test]
    fn lines_longer_than_the_limit_are_passed_over() {
        let lines = |text: &[u8]| {
            let mut seen = Vec::new();
            each_line(text, |line| seen.push(line.len())).unwrap();
            seen
        };
        assert_eq!(lines(b"ab\n\ncde"), [2, 0, 3]);
        let at = "x".repeat(LINE_BYTES_MAX);
        assert_eq!(lines(at.as_bytes()), [LINE_BYTES_MAX]);
        assert_eq!(lines(format!("{}\nb\n", "x".repeat(10 << 20)).as_bytes()), [1]);
    }

    #[test]
    fn old_lists_and_absent_ones_are_found() {
        let day = 86_400;
        assert_eq!(run(&hardened(), lists_age, 7 * day - 1).result, CheckResult::Passed);
        assert_eq!(run(&hardened(), lists_age, 7 * day).observations[0].level, Some(Severity::Low));
        assert_eq!(
            run(&hardened(), lists_age, 30 * day).observations[0].level,
            Some(Severity::Medium)
        );
        assert_eq!(run(&hardened(), lists_age, -1).result, CheckResult::Unknown);
        let empty = MemoryTree::new().directory(LISTS, 0o755, 0, 0);
        assert_eq!(run(&empty, lists_age, NOW).observations.len(), 1);
        assert_eq!(run(&MemoryTree::new(), lists_age, NOW).result, CheckResult::NotApplicable);
    }

    #[test]
    fn automatic_updates_that_are_off_or_absent_are_told() {
        let off =
            hardened().file("/etc/apt/apt.conf.d/99", "APT::Periodic::Unattended-Upgrade \"0\";\n");
        let outcome = run(&off, automatic, NOW);
        assert_eq!(outcome.observations[0].lines[0].file, "/etc/apt/apt.conf.d/99");
        let absent =
            MemoryTree::new().file(STATUS, STATUS_TEXT.replace("unattended-upgrades", "x"));
        assert_eq!(run(&absent, automatic, NOW).observations[0].key, "absent");
    }

    #[test]
    fn half_installed_packages_are_named() {
        let text = STATUS_TEXT.replace(
            "Status: install ok installed\nVersion: 2",
            "Status: install reinstreq half-configured\nVersion: 2",
        );
        let outcome = run(&hardened().file(STATUS, text), unfinished, NOW);
        assert_eq!(outcome.observations[0].lines[0].line, 12);
    }
}
