//! Where a secret of the configuration is: a file, or a credential that systemd handed over.
//!
//! A credential (systemd.exec(5), `LoadCredential=`) is read by systemd as root from where the operator
//! keeps it, and stands for as long as the service runs in `$CREDENTIALS_DIRECTORY`, which only the
//! service's user can enter and which is never swapped. So the secret's own file stays root's alone.
//! `LoadCredential=wardmote:DIRECTORY` names each file in it `wardmote_NAME`: both names are looked for.
//!
//! Only that directory's own regular files are read; a name never leads out of it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{Mode, OFlags};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::exit::hinted;
use crate::secrets;

/// How a credential is written in the configuration: `credential:NAME`.
const PREFIX: &str = "credential:";
/// What systemd puts before the names of files when it loads a whole directory for us.
const FOLDER: &str = "wardmote_";
/// Longest name of a credential (systemd.exec(5): a file's name).
const NAME_MAX: usize = 200;
/// Where systemd says that credentials are.
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where a secret is read from.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum Secret {
    /// A file that nobody but its owner can read.
    File(PathBuf),
    /// A credential of this name.
    Credential(String),
}

impl Secret {
    /// Reads the secret, of at most `most` bytes.
    ///
    /// # Errors
    /// It is not there, is longer, or others may read it; the error names the file or credential, never
    /// what is in it.
    pub fn read(&self, most: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        match self {
            Self::File(path) => secrets::read(path, most),
            Self::Credential(name) => {
                let directory = std::env::var_os(DIRECTORY).map(PathBuf::from);
                credential(directory.as_deref(), name, most)
            }
        }
    }
}

fn credential(
    directory: Option<&Path>,
    name: &str,
    most: usize,
) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let fail = |why: &str| {
        let hint = format!(
            "under systemd: put it into /etc/wardmote/credentials/{name} (for wardmote-send: \
             credentials-send/{name}), as root and with mode 0600, and restart the service; LoadCredential= \
             takes other places"
        );
        // With a colon behind the word it would be taken for a secret, and the name be left out.
        hinted(format!("the credential {name}: {why}"), hint)
    };
    let directory = directory.ok_or_else(|| fail("systemd handed over no credentials"))?;
    let careful = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |name: &str| rustix::fs::open(directory.join(name), careful, Mode::empty());
    let opened = match open(name) {
        Err(rustix::io::Errno::NOENT) => open(&format!("{FOLDER}{name}")),
        opened => opened,
    };
    let file = match opened {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::NOENT) => return Err(fail("there is no such credential")),
        Err(error) => return Err(fail(&error.to_string())),
    };
    let facts = file.metadata().map_err(|error| fail(&error.to_string()))?;
    // Where systemd gives the right to read by an access list, the list's mask stands in the group's bits
    // and the file is root's; the directory keeps everybody else away.
    if !facts.is_file() || facts.mode() & 0o037 != 0 {
        return Err(fail("not a file that only the service can read"));
    }
    secrets::whole(file, most).map_err(|why| fail(&why))
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(name) = text.strip_prefix(PREFIX) else {
            return match text.is_empty() {
                true => Err(format!("a secret is a file or {PREFIX}NAME")),
                false => Ok(Self::File(text.into())),
            };
        };
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        let holds = (1..=NAME_MAX).contains(&name.len())
            && name.bytes().all(plain)
            && !name.starts_with('.');
        match holds {
            true => Ok(Self::Credential(name.to_string())),
            false => Err(format!(
                "a credential's name is 1 to {NAME_MAX} letters, digits, hyphens, underscores and dots, and \
                 begins with no dot"
            )),
        }
    }
}

impl From<PathBuf> for Secret {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(out, "{}", path.display()),
            Self::Credential(name) => write!(out, "{PREFIX}{name}"),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn put(folder: &Path, name: &str, text: &str, mode: u32) {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_is_a_file_or_a_credential_and_is_written_as_it_was_read() {
        for text in ["/etc/s", "relative/s", "credential:ops", "credential:a.b-c_1"] {
            let secret: Secret = text.parse().unwrap();
            assert_eq!(secret.to_string(), text);
            assert_eq!(matches!(secret, Secret::File(_)), !text.starts_with("credential:"));
        }
        let longest = "n".repeat(NAME_MAX);
        assert!(format!("credential:{longest}").parse::<Secret>().is_ok());
        for wrong in ["", "credential:", "credential:../x", "credential:a/b", "credential:.x"] {
            assert!(wrong.parse::<Secret>().is_err(), "{wrong}");
        }
        assert!(format!("credential:{longest}n").parse::<Secret>().is_err());
    }

    #[test]
    fn credentials_are_read_from_systemds_directory_alone_by_either_name() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "ops", "whole", 0o400);
        put(folder.path(), "wardmote_mail", "from a directory", 0o440);
        let read = |name: &str| credential(Some(folder.path()), name, 16);
        assert_eq!(read("ops").unwrap().as_slice(), b"whole");
        assert_eq!(read("mail").unwrap().as_slice(), b"from a directory");
        let none = read("none").unwrap_err().to_string();
        assert!(none.contains("the credential none: there is no such credential"), "{none}");
        let outside = credential(None, "ops", 16).unwrap_err().to_string();
        assert!(outside.contains("handed over no credentials"), "{outside}");
    }

    #[test]
    fn links_directories_open_files_and_long_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "0123456789abcdef0";
        put(folder.path(), "long", secret, 0o400);
        put(folder.path(), "most", &secret[..16], 0o400);
        put(folder.path(), "open", "x", 0o444);
        std::os::unix::fs::symlink("most", folder.path().join("link")).unwrap();
        std::fs::create_dir(folder.path().join("directory")).unwrap();
        assert!(credential(Some(folder.path()), "most", 16).is_ok());
        for name in ["long", "open", "link", "directory"] {
            let why = credential(Some(folder.path()), name, 16).unwrap_err().to_string();
            assert!(!why.contains("0123"), "{name}: {why}");
        }
    }
}
