//! Argon2 (RFC 9106) hashing and verification in batches on all cores.
//!
//! A [`Hasher`] keeps its memory from one password to the next. A batch reads line by line, never the
//! whole input, and answers in input order. Memory is bounded: the workers' own buffers together never
//! exceed [`SHARED_KIB_MAX`]; a hash that is larger than a worker's share is computed by one worker at a
//! time in a buffer that is given back at once, so at most [`MEMORY_KIB_MAX`] comes on top.
//! Passwords and buffers are zeroized. Nothing is ever truncated: a line over the limit is an error.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::argon2::block::Block;
use crate::argon2::{self, Input, Kernel};
use crate::lines::{Line, Lines};
use crate::phc::{Cost, HASH_BYTES_MAX, MEMORY_KIB_MAX, PHC_BYTES_MAX, Phc, Variant, Version};
use crate::{Error, ordered};

/// Longest password in bytes.
pub const PASSWORD_BYTES_MAX: usize = 4096;
/// Memory that all workers of a batch keep together, in KiB (1 GiB).
pub const SHARED_KIB_MAX: u32 = MEMORY_KIB_MAX;
/// Most workers of a batch.
pub const WORKERS_MAX: usize = 256;
/// Salt of new hashes in bytes (RFC 9106 section 3.1 recommends 16).
pub const SALT_BYTES: usize = 16;
/// New hashes in bytes.
pub const HASH_BYTES: usize = 32;

/// Computes hashes one at a time in memory that it keeps.
pub struct Hasher {
    kernel: Kernel,
    blocks: Vec<Block>,
    share_kib: u32,
    large: Arc<Mutex<()>>,
}

impl Hasher {
    /// A hasher that keeps whatever its largest hash needed.
    pub fn new() -> Self {
        let kernel = Kernel::best();
        Self { kernel, blocks: Vec::new(), share_kib: MEMORY_KIB_MAX, large: Arc::default() }
    }

    /// Hashes for a batch: each keeps its share of [`SHARED_KIB_MAX`].
    fn team(count: usize) -> Vec<Self> {
        let count = count.clamp(1, WORKERS_MAX);
        let share_kib = SHARED_KIB_MAX / u32::try_from(count).unwrap_or(1);
        let large: Arc<Mutex<()>> = Arc::default();
        let kernel = Kernel::best();
        let one = || Self { kernel, blocks: Vec::new(), share_kib, large: Arc::clone(&large) };
        (0..count).map(|_| one()).collect()
    }

    /// A new hash of a password, as a PHC string of version 19.
    ///
    /// ```
    /// use crypto::{password::Hasher, phc::{Cost, Variant}};
    /// let text = Hasher::new().hash(Variant::Id, Cost::OWASP, b"hunter2", &[7; 16]).unwrap().to_string();
    /// assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    /// assert!(Hasher::new().verify(&text, b"hunter2").unwrap());
    /// ```
    pub fn hash(
        &mut self,
        variant: Variant,
        cost: Cost,
        password: &[u8],
        salt: &[u8; SALT_BYTES],
    ) -> Result<Phc, Error> {
        let version = Version::V19;
        let mut phc =
            Phc { variant, version, cost, salt: salt.to_vec(), hash: vec![0; HASH_BYTES] };
        let mut hash = vec![0; HASH_BYTES];
        self.derive(&phc, password, &mut hash)?;
        phc.hash = hash;
        Ok(phc)
    }

    /// Whether the password is the one that the PHC string was made of; compares in constant time.
    pub fn verify(&mut self, phc: &str, password: &[u8]) -> Result<bool, Error> {
        self.verify_parsed(&Phc::parse(phc)?, password)
    }

    fn verify_parsed(&mut self, phc: &Phc, password: &[u8]) -> Result<bool, Error> {
        let mut room = Zeroizing::new([0; HASH_BYTES_MAX]);
        let computed = &mut room[..phc.hash.len()];
        self.derive(phc, password, computed)?;
        Ok(computed.ct_eq(&phc.hash).into())
    }

    /// A key of `N` bytes from a passphrase (Argon2id, version 19).
    pub fn key<const N: usize>(
        &mut self,
        cost: Cost,
        passphrase: &[u8],
        salt: &[u8; SALT_BYTES],
    ) -> Result<Zeroizing<[u8; N]>, Error> {
        let (variant, version) = (Variant::Id, Version::V19);
        let recipe = Phc { variant, version, cost, salt: salt.to_vec(), hash: Vec::new() };
        let mut key = Zeroizing::new([0; N]);
        self.derive(&recipe, passphrase, key.as_mut_slice())?;
        Ok(key)
    }

    fn derive(&mut self, recipe: &Phc, password: &[u8], out: &mut [u8]) -> Result<(), Error> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(Error::LineTooLong { line: 0, max_bytes: PASSWORD_BYTES_MAX });
        }
        let kib = recipe.cost.memory_kib();
        let needed = argon2::block_count(recipe.cost);
        let kernel = self.kernel;
        let mut run = |blocks: &mut Vec<Block>| {
            grow(blocks, needed, kib)?;
            argon2::derive(kernel, blocks, &Input::of(recipe), password, out);
            Ok(())
        };
        if kib <= self.share_kib {
            return run(&mut self.blocks);
        }
        let _only_one = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blocks = Vec::new();
        let done = run(&mut blocks);
        blocks.zeroize();
        done
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.blocks.zeroize();
    }
}

fn grow(blocks: &mut Vec<Block>, needed: usize, kib: u32) -> Result<(), Error> {
    if blocks.len() < needed {
        let more = needed - blocks.len();
        blocks.try_reserve_exact(more).map_err(|_| Error::Memory { kib })?;
        blocks.resize(needed, Block::ZERO);
    }
    Ok(())
}

/// What a batch of new hashes is made with.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which Argon2.
    pub variant: Variant,
    /// What each hash costs.
    pub cost: Cost,
    /// Workers wanted; fewer run when they would need more than [`SHARED_KIB_MAX`] together.
    pub workers: usize,
}

impl Plan {
    /// Workers that run: as wanted, and at least one, within the memory bound.
    pub fn workers(&self) -> usize {
        let fitting = SHARED_KIB_MAX / self.cost.memory_kib().max(1);
        self.workers.clamp(1, WORKERS_MAX).min(fitting.max(1) as usize)
    }
}

/// Hashes each line of the input; `sink` gets one PHC string a line, in input order.
///
/// `salts` gives fresh random bytes for each line. A line over [`PASSWORD_BYTES_MAX`] ends the batch
/// with [`Error::LineTooLong`] after the answers of the lines before it. Gives the number of lines.
pub fn hash_lines(
    plan: Plan,
    input: impl Read + Send + 'static,
    mut salts: impl FnMut() -> io::Result<[u8; SALT_BYTES]> + Send + 'static,
    mut sink: impl FnMut(&str) -> io::Result<()>,
) -> Result<u64, Error> {
    let source = Lines::new(input, PASSWORD_BYTES_MAX).zip(1..).map(move |(line, number)| {
        let password = match line? {
            Line::Whole(password) => password,
            Line::TooLong => {
                return Err(Error::LineTooLong { line: number, max_bytes: PASSWORD_BYTES_MAX });
            }
        };
        Ok((password, salts()?))
    });
    let Plan { variant, cost, .. } = plan;
    let work = |mut hasher: Hasher| {
        move |job: Result<(Zeroizing<Vec<u8>>, [u8; SALT_BYTES]), Error>| {
            let (password, salt) = job?;
            hasher.hash(variant, cost, &password, &salt)
        }
    };
    let workers = Hasher::team(plan.workers()).into_iter().map(work).collect();
    let mut count = 0;
    ordered(source, workers, |hashed| {
        sink(&hashed?.to_string())?;
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// What became of one line of [`verify_lines`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The password is the one.
    Ok,
    /// It is, and its hash is weaker than what was asked for: make a new one while the password is known.
    NeedsRehash,
    /// It is not.
    Mismatch,
    /// The line could not be checked: why, without quoting it.
    Error(String),
}

/// Verifies lines of `PHC<TAB>password`; `sink` gets one answer a line, in input order.
///
/// A bad line is [`Checked::Error`] and the batch goes on. Gives the number of lines.
pub fn verify_lines(
    workers: usize,
    input: impl Read + Send + 'static,
    sink: impl FnMut(Checked) -> io::Result<()>,
) -> Result<u64, Error> {
    verify_lines_against(None, workers, input, sink)
}

/// As [`verify_lines`], and tells good passwords with weaker hashes than `wanted` by
/// [`Checked::NeedsRehash`] (see [`Phc::is_weaker`]).
pub fn verify_lines_against(
    wanted: Option<(Variant, Cost)>,
    workers: usize,
    input: impl Read + Send + 'static,
    mut sink: impl FnMut(Checked) -> io::Result<()>,
) -> Result<u64, Error> {
    let max_bytes = PHC_BYTES_MAX + 1 + PASSWORD_BYTES_MAX;
    let source = Lines::new(input, max_bytes);
    let work = |mut hasher: Hasher| {
        move |line: io::Result<Line>| match line {
            Err(error) => Err(error),
            Ok(Line::TooLong) => {
                Ok(Checked::Error(format!("the line is longer than {max_bytes} bytes")))
            }
            Ok(Line::Whole(line)) => Ok(check(&mut hasher, wanted, &line)),
        }
    };
    let workers = Hasher::team(workers).into_iter().map(work).collect();
    let mut count = 0;
    ordered(source, workers, |checked| {
        sink(checked?)?;
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

fn check(hasher: &mut Hasher, wanted: Option<(Variant, Cost)>, line: &[u8]) -> Checked {
    let Some(tab) = line.iter().position(|&byte| byte == b'\t') else {
        return Checked::Error("no tab between PHC string and password".into());
    };
    let (phc, password) = (&line[..tab], &line[tab + 1..]);
    let Ok(phc) = std::str::from_utf8(phc) else {
        return Checked::Error("not an Argon2 PHC string: not UTF-8".into());
    };
    let phc = match Phc::parse(phc) {
        Ok(phc) => phc,
        Err(error) => return Checked::Error(error.to_string()),
    };
    let weak = wanted.is_some_and(|(variant, cost)| phc.is_weaker(variant, cost));
    match hasher.verify_parsed(&phc, password) {
        Ok(true) if weak => Checked::NeedsRehash,
        Ok(true) => Checked::Ok,
        Ok(false) => Checked::Mismatch,
        Err(Error::LineTooLong { .. }) => {
            Checked::Error(format!("the password is longer than {PASSWORD_BYTES_MAX} bytes"))
        }
        Err(error) => Checked::Error(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Cost {
        Cost::new(64, 1, 1).unwrap()
    }

    #[test]
    fn a_batch_keeps_order_and_verifies() {
        let passwords: Vec<String> = (0..200).map(|n| format!("password {n}\r")).collect();
        let input = std::io::Cursor::new(passwords.join("\n").into_bytes());
        let plan = Plan { variant: Variant::Id, cost: quick(), workers: 3 };
        let mut salt = 0_u8;
        let mut hashes = Vec::new();
        let salts = move || {
            salt = salt.wrapping_add(1);
            Ok([salt; SALT_BYTES])
        };
        let count = hash_lines(plan, input, salts, |phc| {
            hashes.push(phc.to_string());
            Ok(())
        })
        .unwrap();
        assert_eq!((count, hashes.len()), (200, 200));
        let lines: Vec<String> = hashes
            .iter()
            .zip(&passwords)
            .enumerate()
            .map(|(n, (phc, password))| match n % 4 {
                0 => format!("{phc}\t{password}x"),
                1 => format!("{phc} {password}"),
                2 => "x".repeat(10_000),
                _ => format!("{phc}\t{password}"),
            })
            .collect();
        let mut seen = Vec::new();
        let input = std::io::Cursor::new(lines.join("\n").into_bytes());
        verify_lines(3, input, |checked| {
            seen.push(checked);
            Ok(())
        })
        .unwrap();
        for (n, checked) in seen.iter().enumerate() {
            match n % 4 {
                0 => assert_eq!(*checked, Checked::Mismatch),
                1 | 2 => assert!(matches!(checked, Checked::Error(_))),
                _ => assert_eq!(*checked, Checked::Ok),
            }
        }
        assert_eq!(seen.len(), 200);
    }

    #[test]
    fn a_password_at_the_limit_is_hashed_and_one_above_ends_the_batch() {
        let plan = Plan { variant: Variant::Id, cost: quick(), workers: 2 };
        let run = |text: Vec<u8>| {
            let mut count = 0;
            let salts = || Ok([1; SALT_BYTES]);
            let ended = hash_lines(plan, std::io::Cursor::new(text), salts, |_| {
                count += 1;
                Ok(())
            });
            (count, ended)
        };
        let longest = vec![b'x'; PASSWORD_BYTES_MAX];
        assert!(matches!(run(longest.clone()), (1, Ok(1))));
        let (count, ended) = run([b"a\n".to_vec(), longest, b"y".to_vec()].concat());
        assert_eq!(count, 1);
        assert!(matches!(ended, Err(Error::LineTooLong { line: 2, .. })));
    }

    #[test]
    fn workers_stay_within_the_shared_memory() {
        let with = |memory, workers| {
            Plan { variant: Variant::Id, cost: Cost::new(memory, 1, 1).unwrap(), workers }.workers()
        };
        assert_eq!(with(MEMORY_KIB_MAX, 64), 1);
        assert_eq!(with(MEMORY_KIB_MAX / 2, 64), 2);
        assert_eq!(with(8, 0), 1);
        assert_eq!(with(8, 100_000), WORKERS_MAX);
        let team = Hasher::team(3);
        assert!(team.iter().map(|hasher| hasher.share_kib).sum::<u32>() <= SHARED_KIB_MAX);
    }

    #[test]
    fn a_hash_above_the_share_does_not_stay_in_memory() {
        let mut hasher = Hasher::new();
        hasher.share_kib = 64;
        let large = Cost::new(128, 1, 1).unwrap();
        let phc = hasher.hash(Variant::Id, large, b"x", &[1; SALT_BYTES]).unwrap();
        assert!(hasher.blocks.is_empty());
        assert!(hasher.verify(&phc.to_string(), b"x").unwrap());
        hasher.hash(Variant::Id, quick(), b"x", &[1; SALT_BYTES]).unwrap();
        assert_eq!(hasher.blocks.len(), 64);
    }
}
