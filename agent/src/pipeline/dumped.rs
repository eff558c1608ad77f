//! The firewall's rules as a privileged helper wrote them down, for a service that may not ask itself:
//! [`fill`] reads what `wardmote helper firewall` wrote with [`write`].
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

use crate::output;

/// Where the helper writes.
pub const FOLDER: &str = "/run/wardmote/firewall";
/// nft's JSON of a kernel without nftables.
pub const NO_RULES: &[u8] = br#"{"nftables":[]}"#;
/// The files.
const NAMES: [&str; 3] = ["nft.json", "iptables", "ip6tables"];
/// Oldest rules that are believed.
const AGE_MAX: Duration = Duration::from_secs(600);
/// How far ahead a file's clock may be.
const AHEAD_MAX: Duration = Duration::from_secs(5);

/// Writes down what was answered, each file whole; what was not answered is not there afterwards. Says
/// what could not be written.
pub fn write(spoken: &Spoken, folder: &Path) -> std::io::Result<()> {
    let answers = [&spoken.nft_json, &spoken.iptables_save, &spoken.ip6tables_save];
    for (name, answer) in NAMES.into_iter().zip(answers) {
        let path = folder.join(name);
        match answer {
            Some(bytes) if bytes.len() <= RULESET_BYTES_MAX => {
                output::replace(&path, bytes, 0o600)?
            }
            _ => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
    }
    Ok(())
}

/// Fills what could not be asked from the files in a folder; what is wrong with them goes to
/// `unanswered`. Files that are not there change nothing.
pub fn fill(spoken: &mut Spoken, folder: &Path, owner: u32, now: SystemTime) {
    let mut oldest: Option<u64> = None;
    let answers = [&mut spoken.nft_json, &mut spoken.iptables_save, &mut spoken.ip6tables_save];
    for (name, kept) in NAMES.into_iter().zip(answers) {
        // Rules of iptables may stand in nftables, which only the helper could ask: where its answer on
        // those is taken, so is the other one.
        let empty = oldest.is_some() && kept.as_ref().is_some_and(Vec::is_empty);
        if kept.is_some() && !empty {
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
    fn what_the_helper_writes_is_what_the_service_reads_and_old_answers_go() {
        let folder = tempfile::tempdir().unwrap();
        let me = rustix::process::geteuid().as_raw();
        let table = br#"{"nftables":[{"table":{"family":"inet","name":"x"}}]}"#.to_vec();
        let told = Spoken {
            nft_json: Some(table.clone()),
            iptables_save: Some(b"*nat\nCOMMIT\n".to_vec()),
            ip6tables_save: Some(Vec::new()),
            ..Spoken::default()
        };
        write(&told, folder.path()).unwrap();
        // A service that sees no old tables, and may not ask nft.
        let blind = || Spoken {
            iptables_save: Some(Vec::new()),
            ip6tables_save: Some(Vec::new()),
            unanswered: vec![("nft".into(), "Operation not permitted".into())],
            ..Spoken::default()
        };
        let mut spoken = blind();
        fill(&mut spoken, folder.path(), me, SystemTime::now());
        assert_eq!(spoken.nft_json, Some(table.clone()));
        assert_eq!(spoken.iptables_save, told.iptables_save);
        assert!(spoken.unanswered.is_empty(), "{:?}", spoken.unanswered);
        // What it asked itself is not replaced.
        let asked = Spoken { nft_json: Some(NO_RULES.to_vec()), ..blind() };
        let mut spoken = Spoken { unanswered: Vec::new(), ..asked };
        fill(&mut spoken, folder.path(), me, SystemTime::now());
        assert_eq!(spoken.nft_json.as_deref(), Some(NO_RULES));
        assert_eq!(spoken.iptables_save, Some(Vec::new()));
        // What could not be answered this time is not left from the last time; too much is no answer.
        let most = Some(vec![b' '; RULESET_BYTES_MAX]);
        let more = Some(vec![b' '; RULESET_BYTES_MAX + 1]);
        let next = Spoken { iptables_save: most, ip6tables_save: more, ..Spoken::default() };
        write(&next, folder.path()).unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(names[0].file_name(), "iptables");
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
