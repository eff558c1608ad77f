//! Hashes as crypt(5) writes them into `/etc/shadow`: which scheme, what a guess costs, whether a
//! password is the one.
//!
//! Every cost is read and bounded before anything is computed or allocated: a line that asks for more
//! than [`MEMORY_BYTES_MAX`] or [`WORK_MAX`] is [`Error::Bounds`], never a machine that stands still.
//! Comparisons are constant in time. No value here shows a hash or a password: [`Hash`] has no `Debug`.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::Error;
use crate::password::Hasher;
use crate::phc::Phc;

mod md5;
mod memory_hard;
mod radix64;
mod sha;

use memory_hard::MemoryHard;
use sha::Sha;

/// Longest hash that is read, in bytes (libxcrypt's `CRYPT_OUTPUT_SIZE`).
pub const HASH_BYTES_MAX: usize = 384;
/// Longest password that is tried, in bytes (libxcrypt's `CRYPT_MAX_PASSPHRASE_SIZE`).
pub const PASSWORD_BYTES_MAX: usize = 512;
/// Most memory that one guess may take.
pub const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Most work of one guess, in units of about a microsecond on a processor of today: half a minute.
pub const WORK_MAX: u64 = 30_000_000;

/// A scheme of crypt(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `$1$`.
    Md5,
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt,
    /// `$5$`.
    Sha256,
    /// `$6$`.
    Sha512,
    /// `$7$`.
    Scrypt,
    /// `$y$`.
    Yescrypt,
    /// `$gy$`.
    GostYescrypt,
    /// `$argon2i$`, `$argon2d$`, `$argon2id$`.
    Argon2,
}

impl Scheme {
    /// The name used in reports, as crypt(5) has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5crypt",
            Self::Bcrypt => "bcrypt",
            Self::Sha256 => "sha256crypt",
            Self::Sha512 => "sha512crypt",
            Self::Scrypt => "scrypt",
            Self::Yescrypt => "yescrypt",
            Self::GostYescrypt => "gost-yescrypt",
            Self::Argon2 => "argon2",
        }
    }
}

/// What one guess costs whoever has stolen the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Fixed: 1,000 rounds of MD5.
    Fixed,
    /// So many rounds.
    Rounds(u32),
    /// Two to this many rounds (bcrypt).
    Log2(u32),
    /// So many bytes of memory, gone through so many times.
    Memory {
        /// Bytes.
        bytes: u64,
        /// Passes.
        passes: u64,
    },
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.write_str("1000 rounds"),
            Self::Rounds(rounds) => write!(f, "{rounds} rounds"),
            Self::Log2(log) => write!(f, "cost {log}"),
            Self::Memory { bytes, passes } => match passes {
                1 => write!(f, "{} KiB", bytes >> 10),
                _ => write!(f, "{} KiB, {passes} passes", bytes >> 10),
            },
        }
    }
}

/// A hash that passwords can be tried against.
pub struct Hash {
    text: String,
    kind: Kind,
}

enum Kind {
    Md5,
    Bcrypt(u32),
    Sha(Sha),
    MemoryHard(MemoryHard),
    Argon2(Box<Phc>),
}

impl Hash {
    /// Reads a hash; `None` for a scheme that is not computed here (DES and others, locked fields).
    pub fn parse(text: &str) -> Option<Result<Self, Error>> {
        let prefix = text.strip_prefix('$')?;
        let (name, rest) = prefix.split_once('$')?;
        if text.len() > HASH_BYTES_MAX {
            return Some(Err(Error::Crypt("longer than any hash of crypt(5)")));
        }
        let kind = match name {
            "1" => md5::check(rest).map(|()| Kind::Md5),
            "2a" | "2b" | "2y" => bcrypt_cost(rest).map(Kind::Bcrypt),
            "5" => Sha::parse(Scheme::Sha256, rest).map(Kind::Sha),
            "6" => Sha::parse(Scheme::Sha512, rest).map(Kind::Sha),
            "7" => MemoryHard::scrypt(rest).map(Kind::MemoryHard),
            "y" => MemoryHard::yescrypt(Scheme::Yescrypt, text).map(Kind::MemoryHard),
            "gy" => MemoryHard::yescrypt(Scheme::GostYescrypt, text).map(Kind::MemoryHard),
            "argon2i" | "argon2d" | "argon2id" => {
                Phc::parse(text).map(|phc| Kind::Argon2(Box::new(phc)))
            }
            _ => return None,
        };
        let hash = kind.and_then(|kind| Self { text: text.to_string(), kind }.bounded());
        Some(hash)
    }

    /// Its scheme.
    pub fn scheme(&self) -> Scheme {
        match &self.kind {
            Kind::Md5 => Scheme::Md5,
            Kind::Bcrypt(_) => Scheme::Bcrypt,
            Kind::Sha(sha) => sha.scheme,
            Kind::MemoryHard(hash) => hash.scheme(),
            Kind::Argon2(_) => Scheme::Argon2,
        }
    }

    /// What a guess costs.
    pub fn cost(&self) -> Cost {
        match &self.kind {
            Kind::Md5 => Cost::Fixed,
            Kind::Bcrypt(log) => Cost::Log2(*log),
            Kind::Sha(sha) => Cost::Rounds(sha.rounds),
            Kind::MemoryHard(hash) => hash.cost(),
            Kind::Argon2(phc) => Cost::Memory {
                bytes: u64::from(phc.cost.memory_kib()) << 10,
                passes: phc.cost.time().into(),
            },
        }
    }

    /// Memory that one guess takes here, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        match self.cost() {
            Cost::Memory { bytes, .. } => bytes,
            _ => 8 << 10,
        }
    }

    /// Whether the password is the one. `hasher` lends its memory to Argon2.
    ///
    /// A password over [`PASSWORD_BYTES_MAX`], or with a NUL, is none that login could take: `false`.
    pub fn matches(&self, password: &[u8], hasher: &mut Hasher) -> Result<bool, Error> {
        if password.len() > PASSWORD_BYTES_MAX || password.contains(&0) {
            return Ok(false);
        }
        match &self.kind {
            Kind::Md5 => Ok(md5::matches(&self.text, password)),
            Kind::Bcrypt(_) => bcrypt::verify(password, &self.text)
                .map_err(|_| Error::Crypt("not a hash of bcrypt")),
            Kind::Sha(sha) => Ok(sha.matches(password)),
            Kind::MemoryHard(hash) => hash.matches(password),
            Kind::Argon2(_) => hasher.verify(&self.text, password),
        }
    }

    fn bounded(self) -> Result<Self, Error> {
        let memory = self.memory_bytes();
        if memory > MEMORY_BYTES_MAX {
            let (least, most) = (0, MEMORY_BYTES_MAX);
            return Err(Error::Bounds { what: "memory of a guess", value: memory, least, most });
        }
        let work = match self.cost() {
            Cost::Fixed => 300,
            Cost::Rounds(rounds) => u64::from(rounds) / 2,
            Cost::Log2(log) => 15_u64 << log.min(40),
            // About 1 GB/s.
            Cost::Memory { bytes, passes } => bytes.saturating_mul(passes) >> 10,
        };
        if work > WORK_MAX {
            return Err(Error::Bounds {
                what: "work of a guess in microseconds",
                value: work,
                least: 0,
                most: WORK_MAX,
            });
        }
        Ok(self)
    }
}

/// Whether two hashes are the same text: two accounts with one salt and one password.
impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        self.text.as_bytes().ct_eq(other.text.as_bytes()).into()
    }
}

/// `COST$` and 22 characters of salt and 31 of hash.
fn bcrypt_cost(rest: &str) -> Result<u32, Error> {
    let bad = Error::Crypt("not a hash of bcrypt");
    let Some((cost, body)) = rest.split_once('$') else { return Err(bad) };
    match (cost.len(), body.len(), cost.parse()) {
        (2, 53, Ok(log @ 4..=31)) => Ok(log),
        _ => Err(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with libxcrypt 4.4 from the password `hunter2`.
    const KNOWN: &[(&str, Scheme, &str)] = &[
        ("$1$abcdefgh$vhxKZ/s1ygZHyCEDPyqtQ/", Scheme::Md5, "1000 rounds"),
        ("$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm", Scheme::Bcrypt, "cost 4"),
        ("$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.", Scheme::Bcrypt, "cost 5"),
        ("$5$saltsalt$OIdfjX.u4Y3SJ4I2bX8w5BMf1VAUhHABNUirScDzZi3", Scheme::Sha256, "5000 rounds"),
        (
            "$6$rounds=1000$saltsalt$gqUcWLKt3d1wsoaFq/ZlFXJndu400B3QqT3noJu6R/eEGKKt5.bf/H7jRZdxjThW3JpMB1IX.1Z2f5cgwsF710",
            Scheme::Sha512,
            "1000 rounds",
        ),
        (
            "$7$66..../....abcdefgh$d70R7.staWMFEBFMOtOClki0t4y87asTXSRZ3lg.sP0",
            Scheme::Scrypt,
            "256 KiB",
        ),
        (
            "$y$j75$abcdefgh$xVT9.nCEbZT7Br/9iojUCoQA.ZYRshKh0TfvBdo8r49",
            Scheme::Yescrypt,
            "1024 KiB",
        ),
        (
            "$gy$j75$abcdefgh$l71a.vLkVZT4Mw9wBqBRcKBbaiXGoJirsdunrcLMLBD",
            Scheme::GostYescrypt,
            "1024 KiB",
        ),
    ];

    fn hash(text: &str) -> Hash {
        Hash::parse(text).expect("a scheme that is computed").unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn every_scheme_takes_its_password_and_no_other() {
        let mut hasher = Hasher::new();
        for (text, scheme, cost) in KNOWN {
            let hash = hash(text);
            assert_eq!(
                (hash.scheme(), hash.cost().to_string().as_str()),
                (*scheme, *cost),
                "{text}"
            );
            assert!(hash.matches(b"hunter2", &mut hasher).unwrap(), "{}", scheme.name());
            for other in [&b"hunter3"[..], b"", b"hunter2\0", &[b'x'; PASSWORD_BYTES_MAX + 1]] {
                assert!(!hash.matches(other, &mut hasher).unwrap(), "{}", scheme.name());
            }
        }
    }

    #[test]
    fn a_hash_that_is_cut_anywhere_is_an_error_or_another_scheme() {
        let mut hasher = Hasher::new();
        for (text, scheme, _) in KNOWN {
            for end in 0..text.len() {
                if let Some(Ok(cut)) = Hash::parse(&text[..end]) {
                    // Argon2's own text may lose the end of its hash and still be one.
                    assert_eq!(cut.scheme(), Scheme::Argon2, "{} cut at {end}", scheme.name());
                    let _ = cut.matches(b"hunter2", &mut hasher);
                }
            }
        }
    }

    #[test]
    fn costs_out_of_bounds_are_refused_before_anything_is_computed() {
        let rows = [
            "$6$rounds=999999999$salt$".to_string() + &".".repeat(86),
            "$2b$31$".to_string() + &".".repeat(53),
            "$y$jzT$abcdefgh$".to_string() + &".".repeat(43),
            "$gy$jUz$abcdefgh$".to_string() + &".".repeat(43),
            "$y$j75.1$abcdefgh$".to_string() + &".".repeat(43),
            // Little memory a block, and a billion blocks.
            "$7$//....zzzzzabcdefgh$".to_string() + &".".repeat(43),
            "$7$zzzzzzzzzzzabcdefgh$".to_string() + &".".repeat(43),
            "$7$U6..../....abcdefgh$".to_string() + &".".repeat(43),
        ];
        for text in rows {
            let read = Hash::parse(&text).expect("a known scheme");
            assert!(read.is_err(), "{text}");
        }
        for text in ["", "*", "!", "x", "$", "$$", "$3$$abc", "ab5xYh1qdcvYA", "$9$a$b", "!$6$a$b"]
        {
            assert!(Hash::parse(text).is_none(), "{text}");
        }
    }
}
