//! `-`: what comes through stdin as a log of its own.
//!
//! A redirected file is read where it is. A pipe is first copied to a file without a name, because a log
//! is read more than once (its years are walked back from its end) and must not be held in memory. At
//! most [`EXPANDED_BYTES_MAX`] bytes; what follows is said.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::path::Path;

use parsers::map::EXPANDED_BYTES_MAX;
use rustix::fs::{Mode, OFlags};
use scanner::logs::source::{self, Found, LogFile};

use crate::pending::at;

/// Reads stdin to its end, where it has to be copied.
pub fn found() -> anyhow::Result<Found> {
    let place = Path::new("stdin");
    let given = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    from(given, EXPANDED_BYTES_MAX).map_err(|error| at(place, &error))
}

fn from(mut given: File, most: u64) -> io::Result<Found> {
    let whole = given.metadata()?.is_file() && given.stream_position()? == 0;
    let (file, all) = match whole {
        true => (given, true),
        false => copied(given, most)?,
    };
    let log = LogFile::opened("-", file).map_err(io::Error::other)?;
    let mut found = source::opened(log);
    if !all {
        found.incomplete.push(format!("-: more than {most} bytes: the rest was not read"));
    }
    Ok(found)
}

/// A copy without a name, and whether it is all.
fn copied(mut given: File, most: u64) -> io::Result<(File, bool)> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let unnamed = rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = File::from(unnamed);
    io::copy(&mut given.by_ref().take(most), &mut file)?;
    let all = given.read(&mut [0])? == 0;
    Ok((file, all))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn pipes_are_copied_to_their_bound_and_files_are_taken_as_they_are() {
        for (most, incomplete) in [(8, 0), (7, 1)] {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(b"one\ntwo\n").unwrap();
            drop(writer);
            let found = from(File::from(std::os::fd::OwnedFd::from(reader)), most).unwrap();
            assert_eq!(found.families[0].files[0].stat.size_bytes, most);
            assert_eq!(found.incomplete.len(), incomplete);
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        file.rewind().unwrap();
        let inode = |found: &Found| found.families[0].files[0].stat.inode;
        let direct = from(file.try_clone().unwrap(), 1).unwrap();
        assert!(direct.incomplete.is_empty());
        file.seek(io::SeekFrom::Start(4)).unwrap();
        let rest = from(file, 100).unwrap();
        assert_eq!(rest.families[0].files[0].stat.size_bytes, 4);
        assert_ne!(inode(&rest), inode(&direct));
    }
}
