//! A real directory as a tree, for what the daemons read too. Links are followed inside of it by name.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use parsers::tree::{Entry, FileKind, Links, LookError, Stat, Tree, Why};

pub struct Directory(pub PathBuf);

impl Directory {
    /// Writes a file of the tree, with its parents.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.real(Path::new(path));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Makes a link, unless something stands there.
    pub fn link(&self, path: &str, to: &str) {
        let path = self.real(Path::new(path));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::os::unix::fs::symlink(to, path);
    }

    fn real(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The path with every link resolved inside of the tree, the last one only when it is followed.
    fn resolve(&self, path: &Path, links: Links) -> Result<PathBuf, LookError> {
        let mut pending: Vec<Component<'_>> = path.components().rev().collect();
        let mut owned: Vec<PathBuf> = Vec::new();
        let mut at = PathBuf::from("/");
        for _ in 0..200 {
            let name = match owned.pop() {
                Some(name) => name,
                None => match pending.pop() {
                    Some(Component::Normal(name)) => name.into(),
                    Some(Component::ParentDir) => "..".into(),
                    Some(_) => continue,
                    None => return Ok(self.real(&at)),
                },
            };
            if name == Path::new("..") {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let is_last = pending.is_empty() && owned.is_empty();
            match std::fs::read_link(self.real(&next)) {
                Ok(to) if !is_last || links == Links::Follow => {
                    if to.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    let parts = to.components().rev();
                    let kept =
                        parts.filter(|p| matches!(p, Component::Normal(_) | Component::ParentDir));
                    owned.extend(kept.map(|part| PathBuf::from(part.as_os_str())));
                }
                _ => at = next,
            }
        }
        Err(LookError::new(path, Why::Io("too many links".into())))
    }
}

fn why(path: &Path, error: &std::io::Error) -> LookError {
    let why = match error.kind() {
        std::io::ErrorKind::NotFound => Why::NotFound,
        std::io::ErrorKind::NotADirectory => Why::NotDirectory,
        std::io::ErrorKind::PermissionDenied => Why::Denied,
        _ => Why::Io(error.to_string()),
    };
    LookError::new(path, why)
}

fn kind(of: std::fs::FileType) -> FileKind {
    match () {
        () if of.is_symlink() => FileKind::Link,
        () if of.is_dir() => FileKind::Directory,
        () if of.is_file() => FileKind::Regular,
        () if of.is_fifo() => FileKind::Fifo,
        () if of.is_socket() => FileKind::Socket,
        () => FileKind::Device,
    }
}

impl Tree for Directory {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
        let stat = self.stat(path, Links::Follow)?;
        if stat.kind != FileKind::Regular {
            return Err(LookError::new(path, Why::NotRegular(stat.kind)));
        }
        if stat.size_bytes > limit as u64 {
            return Err(LookError::new(path, Why::TooLarge(limit)));
        }
        std::fs::read(self.resolve(path, Links::Follow)?).map_err(|error| why(path, &error))
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
        let real = self.resolve(path, Links::Follow)?;
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(real).map_err(|error| why(path, &error))? {
            let entry = entry.unwrap();
            let kind = kind(entry.file_type().unwrap());
            entries.push(Entry { path: path.join(entry.file_name()), kind });
        }
        entries.sort_by(|a, b| a.path.file_name().cmp(&b.path.file_name()));
        Ok(entries)
    }

    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
        let real = self.resolve(path, links)?;
        let data = std::fs::symlink_metadata(real).map_err(|error| why(path, &error))?;
        Ok(Stat {
            kind: kind(data.file_type()),
            mode: data.mode() & 0o7777,
            uid: data.uid(),
            gid: data.gid(),
            size_bytes: data.size(),
            modified: data.mtime(),
            device: data.dev(),
            inode: data.ino(),
            born: None,
        })
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
        std::fs::read_link(self.resolve(path, Links::Keep)?).map_err(|error| why(path, &error))
    }
}
