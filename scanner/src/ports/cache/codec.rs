//! The cache as bytes: a version, then the layers. The bytes are believed only with their MAC, which is
//! the caller's; still everything is bounded here.

use super::{Cache, ENTRIES_MAX, HOLDERS_MAX};

/// Version of the form; another one is not read.
pub const SCHEMA: u32 = 1;
/// Most bytes of a cache.
pub const CACHE_BYTES_MAX: usize = 16 << 20;

/// Why bytes are no cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// Longer than [`CACHE_BYTES_MAX`].
    #[error("larger than 16 MiB")]
    TooLarge,
    /// Of another version.
    #[error("of another version")]
    Schema,
    /// Damaged.
    #[error("damaged")]
    Damaged,
}

impl Cache {
    /// The cache as bytes; `None` where it has become too large to be read again.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let bytes = postcard::to_stdvec(&(SCHEMA, self)).ok()?;
        (bytes.len() <= CACHE_BYTES_MAX).then_some(bytes)
    }

    /// A cache from bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CacheError> {
        if bytes.len() > CACHE_BYTES_MAX {
            return Err(CacheError::TooLarge);
        }
        let (schema, body) =
            postcard::take_from_bytes::<u32>(bytes).map_err(|_| CacheError::Damaged)?;
        if schema != SCHEMA {
            return Err(CacheError::Schema);
        }
        let (cache, rest) =
            postcard::take_from_bytes::<Self>(body).map_err(|_| CacheError::Damaged)?;
        let sizes = [cache.owners.len(), cache.binaries.len(), cache.services.len()];
        let crowds = cache.services.values().map(|one| one.holders.len());
        let crowds = crowds.chain(cache.owners.values().map(|one| one.holders.len()));
        let fits = rest.is_empty()
            && sizes.iter().all(|size| *size <= ENTRIES_MAX)
            && cache.spent.1.len() <= ENTRIES_MAX
            && crowds.max().is_none_or(|most| most <= HOLDERS_MAX);
        fits.then_some(cache).ok_or(CacheError::Damaged)
    }
}

/// Reports inside the cache are JSON texts, so that a key may be added to them without a new version.
pub(super) mod text {
    use serde::de::{DeserializeOwned, Error as _};
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        serde_json::to_string(value).map_err(S::Error::custom)?.serialize(to)
    }

    pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        // Borrowed, because postcard can: no copy of a text that is read once.
        let text = <&str>::deserialize(from)?;
        serde_json::from_str(text).map_err(D::Error::custom)
    }
}
