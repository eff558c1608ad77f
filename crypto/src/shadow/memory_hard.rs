//! scrypt (`$7$`), yescrypt (`$y$`) and gost-yescrypt (`$gy$`).
//!
//! gost-yescrypt is yescrypt's output under an outer HMAC with Streebog-256 (GOST R 34.11-2012):
//! `HMAC(HMAC(Streebog(password), setting), yescrypt)`, where the setting is all before the last `$`.

use hmac::{Hmac, KeyInit, Mac};
use streebog::{Digest, Streebog256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Cost, MEMORY_BYTES_MAX, Scheme, radix64};
use crate::Error;

const HASH_BYTES: usize = 32;
const HASH_CHARS: usize = 43;
/// Longest salt in characters: libxcrypt makes 86 at most.
const SALT_CHARS_MAX: usize = 128;

pub(super) struct MemoryHard {
    kind: Kind,
    salt: Vec<u8>,
    hash: Vec<u8>,
    cost: Cost,
}

enum Kind {
    Scrypt(scrypt::Params),
    Yescrypt(yescrypt::Params),
    /// With the setting.
    Gost(yescrypt::Params, String),
}

impl MemoryHard {
    /// What follows `$7$`: one character of log2 N, five of r, five of p, the salt as it is, `$`, the hash.
    pub(super) fn scrypt(rest: &str) -> Result<Self, Error> {
        let bad = || Error::Crypt("not a hash of scrypt");
        let log_n = radix64::number(rest, 1).ok_or_else(bad)?;
        let number = |from: usize| rest.get(from..).and_then(|rest| radix64::number(rest, 5));
        let (r, p) = number(1).zip(number(6)).ok_or_else(bad)?;
        let (salt, hash) = rest.get(11..).and_then(|rest| rest.rsplit_once('$')).ok_or_else(bad)?;
        let log_n = u8::try_from(log_n).map_err(|_| bad())?;
        let bytes = memory(1_u64.checked_shl(log_n.into()).unwrap_or(u64::MAX), r);
        let cost = Cost::Memory { bytes, passes: u64::from(p).max(1) };
        // Before the library multiplies them: the parallel blocks are memory as well.
        let all = bytes.saturating_add(memory(p.into(), r));
        if all > MEMORY_BYTES_MAX {
            let (least, most) = (0, MEMORY_BYTES_MAX);
            return Err(Error::Bounds { what: "memory of a guess", value: all, least, most });
        }
        let params = scrypt::Params::new(log_n, r, p).map_err(|_| bad())?;
        Self { kind: Kind::Scrypt(params), salt: salt.as_bytes().to_vec(), hash: Vec::new(), cost }
            .with(salt, hash)
            .ok_or_else(bad)
    }

    /// `$y$PARAMETERS$SALT$HASH`, or with `$gy$`.
    pub(super) fn yescrypt(scheme: Scheme, text: &str) -> Result<Self, Error> {
        let bad = || Error::Crypt("not a hash of yescrypt");
        let mut parts = text.splitn(5, '$').skip(2);
        let mut part = || parts.next().ok_or_else(bad);
        let (parameters, salt, hash) = (part()?, part()?, part()?);
        let params: yescrypt::Params = parameters.parse().map_err(|_| bad())?;
        // crypt_gensalt(3) writes N and r only. Whoever writes the rest could ask for any time.
        let plain = yescrypt::Params::new(yescrypt::Mode::default(), params.n(), params.r(), 1);
        if plain != Ok(params) {
            return Err(Error::Crypt("parameters of yescrypt that crypt_gensalt never writes"));
        }
        let bytes = memory(params.n(), params.r());
        let cost = Cost::Memory { bytes, passes: 1 };
        let kind = match scheme {
            Scheme::GostYescrypt => {
                let setting = text.rsplit_once('$').ok_or_else(bad)?.0;
                Kind::Gost(params, setting.to_string())
            }
            _ => Kind::Yescrypt(params),
        };
        let decoded = radix64::decode(salt).ok_or_else(bad)?;
        Self { kind, salt: decoded, hash: Vec::new(), cost }.with(salt, hash).ok_or_else(bad)
    }

    fn with(mut self, salt: &str, hash: &str) -> Option<Self> {
        if salt.len() > SALT_CHARS_MAX || hash.len() != HASH_CHARS {
            return None;
        }
        self.hash = radix64::decode(hash)?;
        Some(self)
    }

    pub(super) fn scheme(&self) -> Scheme {
        match self.kind {
            Kind::Scrypt(_) => Scheme::Scrypt,
            Kind::Yescrypt(_) => Scheme::Yescrypt,
            Kind::Gost(..) => Scheme::GostYescrypt,
        }
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    pub(super) fn matches(&self, password: &[u8]) -> Result<bool, Error> {
        let mut made = Zeroizing::new([0; HASH_BYTES]);
        match &self.kind {
            Kind::Scrypt(params) => scrypt::scrypt(password, &self.salt, params, &mut *made)
                .map_err(|_| Error::Crypt("not a hash of scrypt"))?,
            Kind::Yescrypt(params) | Kind::Gost(params, _) => {
                yescrypt::yescrypt(password, &self.salt, params, &mut *made)
                    .map_err(|_| Error::Crypt("not a hash of yescrypt"))?;
            }
        }
        if let Kind::Gost(_, setting) = &self.kind {
            let key = Zeroizing::new(<[u8; 32]>::from(Streebog256::digest(password)));
            let inner = Zeroizing::new(gost(&*key, setting.as_bytes()));
            let outer = gost(&*inner, &*made);
            *made = outer;
        }
        Ok(made.as_slice().ct_eq(&self.hash).into())
    }
}

fn gost(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac =
        <Hmac<Streebog256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn memory(n: u64, r: u32) -> u64 {
    n.saturating_mul(u64::from(r)).saturating_mul(128)
}
