//! Whether root may run a command: nobody but root can have written it, or can put another in its place.
//!
//! Checked are the program and every word that names a file (a script after its interpreter), each at
//! the end of its links, and all folders above: owned by root and not writable by group or others.
//! A folder with the sticky bit passes, because in it nobody can replace what is root's. What a program
//! loads beyond that is the operator's to know.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The command with its program at the end of its links; an error that says what is wrong, and whose.
pub fn checked(command: &[String], is_root: bool) -> Result<Vec<PathBuf>, String> {
    let mut words: Vec<PathBuf> = command.iter().map(PathBuf::from).collect();
    let Some(program) = words.first_mut().filter(|program| program.is_absolute()) else {
        return Err("the command does not begin with an absolute path".into());
    };
    let given = program.clone();
    if is_root {
        // Links are followed here and once: what runs is what was looked at.
        *program = whole(&given)?;
        // It runs in `/`: that is where words without a leading slash would be files.
        let files = words.iter().map(|word| Path::new("/").join(word));
        for file in files.filter(|file| file.exists()) {
            only_roots(&whole(&file)?)?;
        }
    } else if !given.exists() {
        return Err(format!("{}: no such file", given.display()));
    }
    Ok(words)
}

fn whole(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))
}

fn only_roots(path: &Path) -> Result<(), String> {
    for part in path.ancestors() {
        let meta =
            std::fs::metadata(part).map_err(|error| format!("{}: {error}", part.display()))?;
        if let Some(why) = trouble(&meta) {
            return Err(format!("{}: {why}, so root does not run it", part.display()));
        }
    }
    Ok(())
}

fn trouble(meta: &Metadata) -> Option<&'static str> {
    const STICKY: u32 = 0o1000;
    let sticky = meta.is_dir() && meta.mode() & STICKY != 0;
    match meta {
        meta if meta.uid() != 0 => Some("it does not belong to root"),
        meta if meta.mode() & 0o022 != 0 && !sticky => Some("others than root may write it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn root_runs_only_what_root_alone_can_write() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can make files that are root's");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("expert");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let direct = vec![script.display().to_string()];
        let interpreted = vec!["/bin/sh".to_string(), script.display().to_string()];
        let both = || [checked(&direct, true), checked(&interpreted, true)];
        assert!(both().iter().all(Result::is_ok), "{:?}", both());
        let refused =
            |what: &str| both().iter().all(|r| r.as_ref().is_err_and(|e| e.contains(what)));
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o775)).unwrap();
        assert!(refused("others than root may write it"), "{:?}", both());
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        chown(&script, Some(12345), None).unwrap();
        assert!(refused("expert: it does not belong to root"));
        assert!(checked(&direct, false).is_ok(), "others run what they like as themselves");
        chown(&script, Some(0), None).unwrap();
        chown(dir.path(), Some(12345), None).unwrap();
        assert!(refused("it does not belong to root"), "a folder's owner can replace the file");
        let relative = script.display().to_string().trim_start_matches('/').to_string();
        assert!(checked(&["/bin/sh".to_string(), relative], true).is_err());
        // A link elsewhere changes nothing: the file at its end counts.
        let other = tempfile::tempdir().unwrap();
        symlink(&script, other.path().join("link")).unwrap();
        let linked = vec![other.path().join("link").display().to_string()];
        assert!(checked(&linked, true).is_err());
    }

    #[test]
    fn a_command_is_an_absolute_path_that_is_there() {
        for command in [vec![], vec!["sh".to_string()], vec!["/nonexistent/x".to_string()]] {
            assert!(checked(&command, false).is_err(), "{command:?}");
        }
    }
}
