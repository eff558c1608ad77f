//! The firewall's rules as a privileged helper wrote them down, for a service that may not ask itself.
//!
//! Only files that root alone could have written and that are fresh are believed: who can write there
//! decides what counts as reachable. How old they are is told with every rule that decides something.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};
use scanner::facts::Spoken;
use scanner::ports::firewall::RULESET_BYTES_MAX;

/// Where the helper writes.
pub const FOLDER: &str = "/run/wardmote/firewall";
/// Oldest rules that are believed.
const AGE_MAX: Duration = Duration::from_secs(600);
/// How far ahead a file's clock may be.
const AHEAD_MAX: Duration = Duration::from_secs(5);

/// Fills what could not be asked from the files in a folder; what is wrong with them goes to
/// `unanswered`. Files that are not there change nothing.
pub fn fill(spoken: &mut Spoken, folder: &Path, owner: u32, now: SystemTime) {
    let mut oldest: Option<u64> = None;
    for (name, kept) in [
        ("nft.json", &mut spoken.nft_json),
        ("iptables", &mut spoken.iptables_save),
        ("ip6tables", &mut spoken.ip6tables_save),
    ] {
        if kept.is_some() {
            continue;
        }
        let path = folder.join(name);
        match read(&path, owner, now) {
            Ok(Some((bytes, age))) => {
                *kept = Some(bytes);
                oldest = oldest.max(Some(age));
            }
            Ok(None) => {}
            Err(why) => {
                let told = format!("{}: {why}", path.display());
                spoken.unanswered.push(("nft (written down)".to_string(), told));
            }
        }
    }
    if oldest.is_some() {
        // Answered after all.
        let firewall = |name: &str| name.starts_with("nft") || name.contains("tables");
        spoken.unanswered.retain(|(name, _)| name.contains("written down") || !firewall(name));
    }
    spoken.firewall_age_s = oldest;
}

/// A file's bytes and age in seconds; `None` where there is none.
fn read(path: &Path, owner: u32, now: SystemTime) -> Result<Option<(Vec<u8>, u64)>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.to_string()),
    };
    let facts = file.metadata().map_err(|error| error.to_string())?;
    let folder = path.parent().map(std::fs::metadata);
    let folder = folder.ok_or("no folder")?.map_err(|error| error.to_string())?;
    if folder.uid() != owner || folder.mode() & 0o022 != 0 {
        return Err("others than root may write its folder".to_string());
    }
    if !facts.is_file() || facts.uid() != owner || facts.mode() & 0o137 != 0 {
        return Err("not a file of root's with mode 0600 or 0640".to_string());
    }
    let changed = facts.modified().map_err(|error| error.to_string())?;
    let age = match now.duration_since(changed) {
        Ok(age) if age > AGE_MAX => return Err(format!("{} s old", age.as_secs())),
        Ok(age) => age.as_secs(),
        Err(ahead) if ahead.duration() > AHEAD_MAX => return Err("from the future".to_string()),
        Err(_) => 0,
    };
    let mut bytes = Vec::new();
    let limit = RULESET_BYTES_MAX as u64;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("larger than {limit} bytes"));
    }
    Ok(Some((bytes, age)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// What is filled from a folder with one file of this mode and age.
    fn filled(mode: u32, age: Duration, folder_mode: u32) -> Spoken {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nft.json");
        std::fs::write(&path, "{\"nftables\":[]}").unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&path, mode);
        set(folder.path(), folder_mode);
        let now = std::fs::metadata(&path).unwrap().modified().unwrap() + age;
        let mut spoken = Spoken {
            unanswered: vec![("nft".into(), "no CAP_NET_ADMIN".into())],
            ..Spoken::default()
        };
        fill(&mut spoken, folder.path(), rustix::process::geteuid().as_raw(), now);
        spoken
    }

    #[test]
    fn fresh_rules_that_only_root_could_write_are_believed_and_their_age_is_told() {
        for mode in [0o600, 0o640, 0o400] {
            let spoken = filled(mode, Duration::from_secs(600), 0o755);
            assert_eq!(spoken.firewall_age_s, Some(600));
            assert!(spoken.nft_json.is_some() && spoken.unanswered.is_empty(), "{spoken:?}");
        }
    }

    #[test]
    fn old_rules_and_those_that_others_could_write_are_not() {
        let minute = Duration::from_secs(60);
        for (mode, age, folder) in [
            (0o600, Duration::from_secs(601), 0o755),
            (0o644, minute, 0o755),
            (0o660, minute, 0o755),
            (0o700, minute, 0o755),
            (0o600, minute, 0o777),
        ] {
            let spoken = filled(mode, age, folder);
            assert_eq!((spoken.nft_json, spoken.firewall_age_s), (None, None), "{mode:o} {age:?}");
            assert_eq!(spoken.unanswered.len(), 2, "{:?}", spoken.unanswered);
        }
    }

    #[test]
    fn another_owner_a_link_and_an_absent_file_are_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let me = rustix::process::geteuid().as_raw();
        let now = SystemTime::now();
        assert_eq!(read(&folder.path().join("nft.json"), me, now), Ok(None));
        std::fs::write(folder.path().join("real"), "x").unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("nft.json")).unwrap();
        assert!(read(&folder.path().join("nft.json"), me, now).is_err());
        assert!(read(&folder.path().join("real"), me + 1, now).is_err());
    }
}
