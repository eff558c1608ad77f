//! Key files and passphrase files: read whole, bounded, private, zeroized.
//!
//! A file that its group or others can read is refused: what many can read is no secret. Only regular
//! files are read, and pipes that the caller's shell made (`<(pass show x)`); a FIFO or device that
//! stands there by name is refused instead of waited for.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crypto::password::PASSWORD_BYTES_MAX;
use rustix::mm::MlockAllFlags;
use zeroize::Zeroizing;

use crate::exit::hinted;

/// Keeps what this process holds out of core files, of debuggers of the same user and, where it has
/// CAP_IPC_LOCK, of swap. Best effort: what the system refuses is left as it is.
///
/// Without that capability nothing is locked: a limit on locked memory would make later allocations fail.
pub fn shield() {
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let may_lock = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::IPC_LOCK));
    if may_lock {
        let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        let _ = rustix::mm::mlockall(flags);
    }
}

/// Opens a regular file for reading without ever waiting for a FIFO's writer.
pub fn open_regular(path: &Path) -> anyhow::Result<File> {
    let fail = |why: &dyn std::fmt::Display| hinted(format!("{}: {why}", path.display()), "");
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(|error| fail(&error))?;
    let kind = file.metadata().map_err(|error| fail(&error))?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    // A pipe of the caller's own (`<(…)`, `/dev/stdin`): its writer is there, so waiting is right.
    if kind.is_fifo() && (path.starts_with("/dev") || path.starts_with("/proc/self/fd")) {
        rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::empty())?;
        return Ok(file);
    }
    Err(fail(&"not a regular file"))
}

/// Reads a secret of at most `most` bytes.
pub fn read(path: &Path, most: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let file = open_regular(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(hinted(
            format!("{}: others may use it (mode {mode:04o})", path.display()),
            format!("chmod 600 {}, and think about who has read it", path.display()),
        ));
    }
    whole(file, most).map_err(|why| hinted(format!("{}: {why}", path.display()), ""))
}

/// All of a file that holds a secret of at most `most` bytes, or what is wrong with it.
pub fn whole(file: File, most: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    // One allocation of the full size: growing would leave copies behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(most + 1));
    file.take(most as u64 + 1).read_to_end(&mut secret).map_err(|error| error.to_string())?;
    if secret.len() > most {
        return Err(format!("longer than {most} bytes"));
    }
    Ok(secret)
}

/// Reads a passphrase: the file without one LF at its end; it may not be empty.
pub fn passphrase(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut phrase = read(path, PASSWORD_BYTES_MAX)?;
    if phrase.last() == Some(&b'\n') {
        phrase.pop();
    }
    if phrase.is_empty() {
        return Err(hinted(format!("{}: the passphrase is empty", path.display()), ""));
    }
    Ok(phrase)
}

/// Random bytes of the system.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}
