//! Argon2 hashes as text: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH` (the PHC string format).
//!
//! Strict: parameters in the order `m,t,p`, decimal without sign or leading zero, base64 without
//! padding and without stray bits. Every number is bounded before anything is allocated, because a
//! line of the input may be hostile. Refused: `keyid` and `data` (dropped from the standard), hashes
//! shorter than 12 bytes (they can be found by trying), and everything that is not Argon2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::Error;

/// Most memory of one hash in KiB (1 GiB). RFC 9106's first choice (2 GiB) is above it on purpose.
pub const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Most passes.
pub const TIME_MAX: u32 = 10;
/// Most lanes.
pub const LANES_MAX: u32 = 16;
/// Longest salt in bytes; the shortest is 8 (RFC 9106 section 3.1).
pub const SALT_BYTES_MAX: usize = 64;
/// Longest hash in bytes.
pub const HASH_BYTES_MAX: usize = 64;
/// Longest PHC string that can be accepted.
pub const PHC_BYTES_MAX: usize = 256;

const SALT_BYTES_MIN: usize = 8;
const HASH_BYTES_MIN: usize = 12;

/// Which Argon2 (RFC 9106 section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Data-dependent: fastest, open to side channels.
    D,
    /// Data-independent.
    I,
    /// First half of the first pass as `I`, the rest as `D`: the one to use.
    Id,
}

/// The version of the algorithm that a hash was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 0x10, before 2016 (also when `v=` is absent): read, never written.
    V16,
    /// 0x13, the one of RFC 9106.
    V19,
}

/// Memory, passes and lanes, within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    time: u32,
    lanes: u32,
}

impl Cost {
    /// OWASP's first choice for servers that log people in: 19 MiB, 2 passes, 1 lane.
    pub const OWASP: Self = Self { memory_kib: 19_456, time: 2, lanes: 1 };
    /// RFC 9106 section 4, second recommendation: 64 MiB, 3 passes, 4 lanes.
    pub const RFC9106: Self = Self { memory_kib: 65_536, time: 3, lanes: 4 };

    /// A cost within [`MEMORY_KIB_MAX`], [`TIME_MAX`], [`LANES_MAX`], and at least 8 KiB a lane.
    pub fn new(memory_kib: u32, time: u32, lanes: u32) -> Result<Self, Error> {
        within("lanes", lanes, 1, LANES_MAX)?;
        within("time", time, 1, TIME_MAX)?;
        within("memory in KiB", memory_kib, 8 * lanes, MEMORY_KIB_MAX)?;
        Ok(Self { memory_kib, time, lanes })
    }

    /// Memory in KiB.
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub fn time(self) -> u32 {
        self.time
    }

    /// Lanes. They are computed one after the other: batches use the cores for whole passwords.
    pub fn lanes(self) -> u32 {
        self.lanes
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::OWASP
    }
}

fn within(what: &'static str, value: u32, least: u32, most: u32) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Bounds { what, value: value.into(), least: least.into(), most: most.into() })
}

/// A parsed PHC string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phc {
    /// Which Argon2.
    pub variant: Variant,
    /// Which version of it.
    pub version: Version,
    /// What it costs.
    pub cost: Cost,
    /// Salt.
    pub salt: Vec<u8>,
    /// Hash.
    pub hash: Vec<u8>,
}

impl Phc {
    /// Whether a new hash of this variant and cost would be stronger in any respect: another variant,
    /// version 16, less memory, fewer passes, or a salt or hash shorter than new ones have. Lanes do not
    /// count: they change who can compute a hash sooner, not what it costs.
    pub fn is_weaker(&self, variant: Variant, cost: Cost) -> bool {
        self.variant != variant
            || self.version != Version::V19
            || self.cost.memory_kib < cost.memory_kib
            || self.cost.time < cost.time
            || self.salt.len() < crate::password::SALT_BYTES
            || self.hash.len() < crate::password::HASH_BYTES
    }

    /// Parses a PHC string.
    ///
    /// ```
    /// let phc: crypto::phc::Phc =
    ///     crypto::phc::Phc::parse("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA").unwrap();
    /// assert_eq!(phc.salt, b"somesalt");
    /// ```
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > PHC_BYTES_MAX {
            return Err(Error::Phc("too long"));
        }
        let mut fields = text.split('$');
        if fields.next() != Some("") {
            return Err(Error::Phc("does not start with $"));
        }
        let variant = match fields.next() {
            Some("argon2id") => Variant::Id,
            Some("argon2i") => Variant::I,
            Some("argon2d") => Variant::D,
            _ => return Err(Error::Phc("not argon2id, argon2i or argon2d")),
        };
        let mut field = fields.next();
        let version = match field.and_then(|field| field.strip_prefix("v=")) {
            Some("19") => Version::V19,
            Some("16") => Version::V16,
            Some(_) => return Err(Error::Phc("unknown version")),
            None => Version::V16,
        };
        if field.is_some_and(|field| field.starts_with("v=")) {
            field = fields.next();
        }
        let cost = cost(field.unwrap_or_default())?;
        let salt = bytes(fields.next(), SALT_BYTES_MIN, SALT_BYTES_MAX, "salt")?;
        let hash = bytes(fields.next(), HASH_BYTES_MIN, HASH_BYTES_MAX, "hash")?;
        match fields.next() {
            None => Ok(Self { variant, version, cost, salt, hash }),
            Some(_) => Err(Error::Phc("too many fields")),
        }
    }
}

impl std::fmt::Display for Phc {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let variant = match self.variant {
            Variant::D => "argon2d",
            Variant::I => "argon2i",
            Variant::Id => "argon2id",
        };
        let version = match self.version {
            Version::V16 => 16,
            Version::V19 => 19,
        };
        let Cost { memory_kib, time, lanes } = self.cost;
        write!(
            out,
            "${variant}$v={version}$m={memory_kib},t={time},p={lanes}${}${}",
            STANDARD_NO_PAD.encode(&self.salt),
            STANDARD_NO_PAD.encode(&self.hash)
        )
    }
}

fn cost(field: &str) -> Result<Cost, Error> {
    const ORDER: Error = Error::Phc("parameters are not m=,t=,p=");
    let mut parts = field.split(',');
    let mut number = |name: &str| -> Result<u32, Error> {
        let digits = parts.next().and_then(|part| part.strip_prefix(name)).ok_or(ORDER)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
            && !(digits.len() > 1 && digits.starts_with('0'));
        if !plain {
            return Err(Error::Phc("a parameter is not a plain number"));
        }
        digits.parse().map_err(|_| Error::Phc("a parameter is not a plain number"))
    };
    let (memory_kib, time, lanes) = (number("m=")?, number("t=")?, number("p=")?);
    if parts.next().is_some() {
        return Err(Error::Phc("keyid and data are not supported"));
    }
    Cost::new(memory_kib, time, lanes)
}

fn bytes(
    field: Option<&str>,
    least: usize,
    most: usize,
    what: &'static str,
) -> Result<Vec<u8>, Error> {
    let field = field.ok_or(Error::Phc("a field is missing"))?;
    let bytes =
        STANDARD_NO_PAD.decode(field).map_err(|_| Error::Phc("salt or hash is not base64"))?;
    if (least..=most).contains(&bytes.len()) {
        return Ok(bytes);
    }
    Err(Error::Bounds {
        what: if what == "salt" { "salt in bytes" } else { "hash in bytes" },
        value: bytes.len() as u64,
        least: least as u64,
        most: most as u64,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_hold_at_the_limit_and_break_one_above() {
        assert!(Cost::new(MEMORY_KIB_MAX, TIME_MAX, LANES_MAX).is_ok());
        assert!(Cost::new(8, 1, 1).is_ok());
        for (memory, time, lanes) in [
            (MEMORY_KIB_MAX + 1, 1, 1),
            (64, TIME_MAX + 1, 1),
            (1024, 1, LANES_MAX + 1),
            (7, 1, 1),
            (127, 1, 16),
            (64, 0, 1),
            (64, 1, 0),
            (u32::MAX, u32::MAX, u32::MAX),
        ] {
            assert!(matches!(Cost::new(memory, time, lanes), Err(Error::Bounds { .. })));
        }
    }

    #[test]
    fn a_hash_is_weaker_when_any_part_of_it_is() {
        let text = |head: &str, salt: usize, hash: usize| {
            format!(
                "{head}${}${}",
                "A".repeat(salt.div_ceil(3) * 4),
                "A".repeat(hash.div_ceil(3) * 4)
            )
        };
        let weaker = |head: &str, salt, hash| {
            Phc::parse(&text(head, salt, hash)).unwrap().is_weaker(Variant::Id, Cost::OWASP)
        };
        assert!(!weaker("$argon2id$v=19$m=19456,t=2,p=1", 18, 33));
        assert!(!weaker("$argon2id$v=19$m=65536,t=3,p=4", 18, 33));
        assert!(weaker("$argon2i$v=19$m=19456,t=2,p=1", 18, 33));
        assert!(weaker("$argon2id$v=16$m=19456,t=2,p=1", 18, 33));
        assert!(weaker("$argon2id$v=19$m=19455,t=2,p=1", 18, 33));
        assert!(weaker("$argon2id$v=19$m=19456,t=1,p=1", 18, 33));
        assert!(weaker("$argon2id$v=19$m=19456,t=2,p=1", 15, 33));
        assert!(weaker("$argon2id$v=19$m=19456,t=2,p=1", 18, 30));
    }

    #[test]
    fn only_the_strict_form_is_read() {
        let good = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA";
        assert_eq!(Phc::parse(good).unwrap().to_string(), good);
        let old = Phc::parse("$argon2i$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA").unwrap();
        assert_eq!((old.variant, old.version), (Variant::I, Version::V16));
        for bad in [
            "",
            "$",
            "x$argon2id",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA$",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHR$AAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ=$AAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=1,p=1$c29t$AAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA",
            "$argon2id$v=19$t=1,m=64,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=064,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=+64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=1,p=1,keyid=AA$c29tZXNhbHQ$AAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=99999999999,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA",
            "$argon2id$v=18$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAA",
            "$2b$12$abcdefghijklmnopqrstuv",
        ] {
            assert!(Phc::parse(bad).is_err(), "{bad}");
        }
        assert!(Phc::parse(&"$".repeat(PHC_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            salt in proptest::collection::vec(any::<u8>(), SALT_BYTES_MIN..=SALT_BYTES_MAX),
            hash in proptest::collection::vec(any::<u8>(), HASH_BYTES_MIN..=HASH_BYTES_MAX),
            memory in 128..=MEMORY_KIB_MAX, time in 1..=TIME_MAX, lanes in 1..=LANES_MAX,
        ) {
            let cost = Cost::new(memory, time, lanes).unwrap();
            let phc = Phc { variant: Variant::Id, version: Version::V19, cost, salt, hash };
            let text = phc.to_string();
            prop_assert!(text.len() <= PHC_BYTES_MAX);
            prop_assert_eq!(Phc::parse(&text).unwrap(), phc);
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = Phc::parse(&text);
        }
    }
}
