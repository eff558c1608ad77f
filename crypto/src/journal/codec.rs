//! Records as few bytes: names are written once a segment and numbered after that, numbers are varints
//! (LEB128), and a record says only what differs from the one before it of the same key.
//!
//! A record's *key* is its kind, level, field names and first value: the next record with the same key
//! costs a number, a time difference and a mask of the fields that changed. Both sides hold the same
//! tables, bounded by [`NAMES_MAX`] and [`KEYS_MAX`]; a full table is emptied on both sides at the
//! same record, and the time begins anew with it, so that a later encoder can go on where another one ended.
//! Decoding never recurses, allocates nothing that the bytes do not pay for, and bounds everything.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// Most names that are numbered at a time.
pub const NAMES_MAX: usize = 1 << 16;
/// Most keys that are remembered at a time.
pub const KEYS_MAX: usize = 1 << 14;
/// Longest text that is numbered; longer ones are written each time.
pub const NAME_BYTES_MAX: usize = 1 << 10;
/// Longest text of a field; what is longer must be cut by the caller, who says so.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Most fields of a record.
pub const FIELDS_MAX: usize = 64;
/// Most bytes of names and remembered values that a decoder keeps.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// Most names that one record adds, with room for its key.
const RECORD_NAMES_MAX: usize = 2 * FIELDS_MAX + 8;
/// What a name costs beside its bytes.
const NAME_COST: usize = 16;

/// What a key costs.
fn key_cost(fields: usize) -> usize {
    32 + fields * 24
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text that many records have: it is numbered.
    Name(&'a str),
    /// Text of its own, such as a message.
    Text(&'a str),
    /// A number.
    Number(i64),
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Wall clock in microseconds since 1970-01-01, informative only.
    pub time_us: i64,
    /// How bad: 0 (info) to 4 (critical).
    pub level: u8,
    /// What sort of record it is.
    pub kind: &'a str,
    /// Names and values; the first value is part of the key.
    pub fields: &'a [(&'a str, Value<'a>)],
}

/// Why bytes are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end within a record.
    #[error("the bytes end within a record")]
    Cut,
    /// A number that nothing has.
    #[error("a number that no name or key has")]
    Unknown,
    /// Too long, too many, or not a canonical number.
    #[error("out of bounds")]
    Bounds,
    /// A name that is not UTF-8.
    #[error("not UTF-8")]
    Text,
}

/// A quick hash for short texts and numbers, with a random start that nobody outside can aim at. It
/// decides nothing that is written.
struct Quick(u64);

#[derive(Clone)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Seed {
    type Hasher = Quick;

    fn build_hasher(&self) -> Quick {
        Quick(self.0)
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.mix(u64::from_le_bytes(*chunk));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Quick {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

/// What both sides remember of a field of a key's last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Name(u32),
    Number(i64),
    /// A text of its own is written each time.
    Text,
}

/// What both sides know of a key.
struct Key {
    kind: u32,
    level: u8,
    /// Name and sort of each field.
    fields: Box<[(u32, u8)]>,
    /// The first value, where it is a name.
    first: Option<u32>,
    last: Box<[Kept]>,
}

/// Makes bytes of records. One encoder a segment.
#[derive(Default)]
pub struct Encoder {
    numbers: HashMap<Arc<str>, u32, Seed>,
    names: Vec<Arc<str>>,
    /// Keys by a hash of all that makes them; one that collides takes the other's place here.
    by_hash: HashMap<u64, u32, Seed>,
    keys: Vec<Key>,
    seed: Seed,
    /// As the decoder counts them.
    kept_bytes: usize,
    time_us: i64,
    /// The decoder knows what an earlier encoder said: it must forget that first.
    follows_another: bool,
}

/// Marks of a record's first number.
const NEW_KEY: u64 = 0;
const EMPTY_TABLES: u64 = 1;
const KEYS_FROM: u64 = 2;

impl Encoder {
    /// An encoder with empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// An encoder that goes on in a segment where another one ended.
    pub fn after_another() -> Self {
        Self { follows_another: true, ..Self::default() }
    }

    /// Adds a record to `out`; `false`, and nothing added, when it is beyond a bound.
    pub fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
        if !is_bounded(record) {
            return false;
        }
        if self.follows_another
            || self.names.len() + RECORD_NAMES_MAX > NAMES_MAX
            || self.keys.len() >= KEYS_MAX
            || self.kept_bytes + RECORD_NAMES_MAX * (NAME_COST + NAME_BYTES_MAX) > KEPT_BYTES_MAX
        {
            put(out, EMPTY_TABLES);
            self.numbers.clear();
            self.names.clear();
            self.by_hash.clear();
            self.keys.clear();
            self.kept_bytes = 0;
            self.time_us = 0;
            self.follows_another = false;
        }
        let hash = self.hash(record);
        match self.by_hash.get(&hash).filter(|key| self.is(&self.keys[**key as usize], record)) {
            Some(key) => self.changed(*key, record, out),
            None => self.new_key(hash, record, out),
        }
        true
    }

    fn hash(&self, record: &Record<'_>) -> u64 {
        let mut hash = self.seed.build_hasher();
        hash.write(record.kind.as_bytes());
        hash.write_u8(record.level);
        for (name, value) in record.fields {
            hash.write(name.as_bytes());
            hash.write_u8(sort(value));
        }
        if let Some((_, Value::Name(first))) = record.fields.first() {
            hash.write(first.as_bytes());
        }
        hash.finish()
    }

    /// Whether a key is that of a record.
    fn is(&self, key: &Key, record: &Record<'_>) -> bool {
        let name = |number: u32| &*self.names[number as usize];
        let same = |((number, kind), (text, value)): (&(u32, u8), &(&str, Value<'_>))| {
            *kind == sort(value) && name(*number) == *text
        };
        let first = match (key.first, record.fields.first()) {
            (Some(number), Some((_, Value::Name(text)))) => name(number) == *text,
            (first, _) => first.is_none(),
        };
        first
            && key.level == record.level
            && key.fields.len() == record.fields.len()
            && name(key.kind) == record.kind
            && key.fields.iter().zip(record.fields).all(same)
    }

    fn new_key(&mut self, hash: u64, record: &Record<'_>, out: &mut Vec<u8>) {
        put(out, NEW_KEY);
        let kind = self.name(record.kind, out);
        out.push(record.level);
        put(out, record.fields.len() as u64);
        let mut fields = Vec::with_capacity(record.fields.len());
        for (name, value) in record.fields {
            fields.push((self.name(name, out), sort(value)));
            out.push(sort(value));
        }
        self.time(record.time_us, out);
        let last: Box<[Kept]> =
            record.fields.iter().map(|(_, value)| self.value(value, None, out)).collect();
        let first = if let Some(Kept::Name(first)) = last.first() { Some(*first) } else { None };
        self.kept_bytes += key_cost(fields.len());
        self.by_hash.insert(hash, self.keys.len() as u32);
        self.keys.push(Key { kind, level: record.level, fields: fields.into(), first, last });
    }

    fn changed(&mut self, key: u32, record: &Record<'_>, out: &mut Vec<u8>) {
        put(out, KEYS_FROM + u64::from(key));
        self.time(record.time_us, out);
        let mut kept = std::mem::take(&mut self.keys[key as usize].last);
        let mut mask = 0_u64;
        for (at, ((_, value), old)) in record.fields.iter().zip(&kept).enumerate() {
            let same = match (value, old) {
                (Value::Name(text), Kept::Name(number)) => *self.names[*number as usize] == **text,
                (Value::Number(value), Kept::Number(old)) => value == old,
                _ => false,
            };
            mask |= u64::from(!same) << at;
        }
        put(out, mask);
        while mask != 0 {
            let at = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            kept[at] = self.value(&record.fields[at].1, Some(kept[at]), out);
        }
        self.keys[key as usize].last = kept;
    }

    fn time(&mut self, time_us: i64, out: &mut Vec<u8>) {
        // Whole seconds are common: they are written as such.
        let step = time_us.wrapping_sub(self.time_us);
        match step % 1_000_000 {
            0 => put(out, zigzag(step / 1_000_000) << 1),
            _ => {
                put(out, 1);
                put(out, zigzag(step));
            }
        }
        self.time_us = time_us;
    }

    fn value(&mut self, value: &Value<'_>, old: Option<Kept>, out: &mut Vec<u8>) -> Kept {
        match value {
            Value::Name(text) => Kept::Name(self.name(text, out)),
            Value::Text(text) => {
                put(out, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
                Kept::Text
            }
            Value::Number(number) => {
                let before = if let Some(Kept::Number(before)) = old { before } else { 0 };
                put(out, zigzag(number.wrapping_sub(before)));
                Kept::Number(*number)
            }
        }
    }

    /// A name's number, written with the name itself when it is new.
    fn name(&mut self, name: &str, out: &mut Vec<u8>) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            put(out, u64::from(*number) + 1);
            return *number;
        }
        let number = self.names.len() as u32;
        put(out, 0);
        put(out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.kept_bytes += NAME_COST + name.len();
        self.numbers.insert(name, number);
        number
    }
}

fn is_bounded(record: &Record<'_>) -> bool {
    let bounded = |(name, value): &(&str, Value<'_>)| {
        name.len() <= NAME_BYTES_MAX
            && match value {
                Value::Name(text) => text.len() <= NAME_BYTES_MAX,
                Value::Text(text) => text.len() <= TEXT_BYTES_MAX,
                Value::Number(_) => true,
            }
    };
    record.fields.len() <= FIELDS_MAX
        && record.kind.len() <= NAME_BYTES_MAX
        && record.fields.iter().all(bounded)
}

fn sort(value: &Value<'_>) -> u8 {
    match value {
        Value::Name(_) => 0,
        Value::Text(_) => 1,
        Value::Number(_) => 2,
    }
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Where a text is: in the names, or in the bytes that are read.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Name(u32),
    Text(usize, usize),
    Number(i64),
}

/// Makes records of bytes. One decoder a segment; its frames' bytes in order.
#[derive(Default)]
pub struct Decoder {
    names: Vec<Box<str>>,
    keys: Vec<Key>,
    time_us: i64,
    kept_bytes: usize,
    slots: Vec<Slot>,
}

/// A record that was read; it borrows from its decoder and the bytes.
#[derive(Clone, Copy)]
pub struct Decoded<'a> {
    /// Wall clock in microseconds since 1970-01-01.
    pub time_us: i64,
    decoder: &'a Decoder,
    key: &'a Key,
    bytes: &'a [u8],
}

impl<'a> Decoded<'a> {
    /// How bad: 0 to 4.
    pub fn level(&self) -> u8 {
        self.key.level
    }

    /// What sort of record it is.
    pub fn kind(&self) -> &'a str {
        self.decoder.name(self.key.kind)
    }

    /// Names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let (decoder, bytes) = (self.decoder, self.bytes);
        self.key.fields.iter().zip(&decoder.slots).map(move |((name, _), slot)| {
            let value = match *slot {
                Slot::Name(number) => Value::Name(decoder.name(number)),
                Slot::Number(number) => Value::Number(number),
                // It was checked when it was read.
                Slot::Text(from, to) => {
                    Value::Text(std::str::from_utf8(&bytes[from..to]).unwrap_or_default())
                }
            };
            (decoder.name(*name), value)
        })
    }
}

impl Decoder {
    /// A decoder with empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| name)
    }

    /// Gives every record of some bytes to `each`; gives their number.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Decoded<'_>),
    ) -> Result<u64, CodecError> {
        let mut at = 0;
        let mut count = 0;
        while at < bytes.len() {
            let key = self.record(bytes, &mut at)?;
            count += 1;
            each(Decoded { time_us: self.time_us, decoder: self, key: &self.keys[key], bytes });
        }
        Ok(count)
    }

    /// Reads one record into `slots`; gives its key.
    fn record(&mut self, bytes: &[u8], at: &mut usize) -> Result<usize, CodecError> {
        let mut first = take(bytes, at)?;
        if first == EMPTY_TABLES {
            self.names.clear();
            self.keys.clear();
            self.kept_bytes = 0;
            self.time_us = 0;
            first = take(bytes, at)?;
        }
        match first {
            NEW_KEY => self.new_key(bytes, at),
            EMPTY_TABLES => Err(CodecError::Bounds),
            known => {
                let key = usize::try_from(known - KEYS_FROM).map_err(|_| CodecError::Unknown)?;
                self.changed(key, bytes, at)
            }
        }
    }

    fn new_key(&mut self, bytes: &[u8], at: &mut usize) -> Result<usize, CodecError> {
        if self.keys.len() >= KEYS_MAX {
            return Err(CodecError::Bounds);
        }
        let kind = self.take_name(bytes, at)?;
        let level = take_byte(bytes, at)?;
        let count = take(bytes, at)?;
        if level > 4 || count > FIELDS_MAX as u64 {
            return Err(CodecError::Bounds);
        }
        let mut fields = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let name = self.take_name(bytes, at)?;
            let sort = take_byte(bytes, at)?;
            if sort > 2 {
                return Err(CodecError::Bounds);
            }
            fields.push((name, sort));
        }
        self.take_time(bytes, at)?;
        self.slots.clear();
        let mut last = Vec::with_capacity(fields.len());
        for (_, sort) in &fields {
            let (slot, kept) = self.take_value(*sort, None, bytes, at)?;
            self.slots.push(slot);
            last.push(kept);
        }
        self.keep(key_cost(fields.len()))?;
        self.keys.push(Key { kind, level, fields: fields.into(), first: None, last: last.into() });
        Ok(self.keys.len() - 1)
    }

    fn changed(&mut self, key: usize, bytes: &[u8], at: &mut usize) -> Result<usize, CodecError> {
        if key >= self.keys.len() {
            return Err(CodecError::Unknown);
        }
        self.take_time(bytes, at)?;
        let mask = take(bytes, at)?;
        let count = self.keys[key].fields.len();
        if count < 64 && mask >> count != 0 {
            return Err(CodecError::Bounds);
        }
        self.slots.clear();
        for field in 0..count {
            let (sort, old) = (self.keys[key].fields[field].1, self.keys[key].last[field]);
            let slot = match (mask >> field & 1, old) {
                (0, Kept::Name(number)) => Slot::Name(number),
                (0, Kept::Number(number)) => Slot::Number(number),
                (0, Kept::Text) => return Err(CodecError::Bounds),
                _ => {
                    let (slot, kept) = self.take_value(sort, Some(old), bytes, at)?;
                    self.keys[key].last[field] = kept;
                    slot
                }
            };
            self.slots.push(slot);
        }
        Ok(key)
    }

    fn take_value(
        &mut self,
        sort: u8,
        old: Option<Kept>,
        bytes: &[u8],
        at: &mut usize,
    ) -> Result<(Slot, Kept), CodecError> {
        Ok(match sort {
            0 => {
                let number = self.take_name(bytes, at)?;
                (Slot::Name(number), Kept::Name(number))
            }
            1 => {
                let text = take_text(bytes, at, TEXT_BYTES_MAX)?;
                (Slot::Text(*at - text.len(), *at), Kept::Text)
            }
            _ => {
                let before = if let Some(Kept::Number(before)) = old { before } else { 0 };
                let number = before.wrapping_add(unzigzag(take(bytes, at)?));
                (Slot::Number(number), Kept::Number(number))
            }
        })
    }

    fn take_name(&mut self, bytes: &[u8], at: &mut usize) -> Result<u32, CodecError> {
        let number = take(bytes, at)?;
        if number > 0 {
            return match number - 1 < self.names.len() as u64 {
                true => Ok((number - 1) as u32),
                false => Err(CodecError::Unknown),
            };
        }
        if self.names.len() >= NAMES_MAX {
            return Err(CodecError::Bounds);
        }
        let name = take_text(bytes, at, NAME_BYTES_MAX)?;
        self.keep(NAME_COST + name.len())?;
        self.names.push(name.into());
        Ok(self.names.len() as u32 - 1)
    }

    fn take_time(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), CodecError> {
        let step = take(bytes, at)?;
        let step = match step & 1 {
            0 => unzigzag(step >> 1).wrapping_mul(1_000_000),
            _ if step == 1 => unzigzag(take(bytes, at)?),
            _ => return Err(CodecError::Bounds),
        };
        self.time_us = self.time_us.wrapping_add(step);
        Ok(())
    }

    fn keep(&mut self, bytes: usize) -> Result<(), CodecError> {
        self.kept_bytes += bytes;
        if self.kept_bytes > KEPT_BYTES_MAX { Err(CodecError::Bounds) } else { Ok(()) }
    }
}

fn take(bytes: &[u8], at: &mut usize) -> Result<u64, CodecError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(bytes, at)?;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 || shift > 0 && byte == 0 {
            return Err(CodecError::Bounds);
        }
        number |= part << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(CodecError::Bounds)
}

fn take_byte(bytes: &[u8], at: &mut usize) -> Result<u8, CodecError> {
    let byte = *bytes.get(*at).ok_or(CodecError::Cut)?;
    *at += 1;
    Ok(byte)
}

fn take_text<'b>(bytes: &'b [u8], at: &mut usize, most: usize) -> Result<&'b str, CodecError> {
    let length = usize::try_from(take(bytes, at)?).map_err(|_| CodecError::Bounds)?;
    if length > most {
        return Err(CodecError::Bounds);
    }
    let text = bytes.get(*at..*at + length).ok_or(CodecError::Cut)?;
    *at += length;
    std::str::from_utf8(text).map_err(|_| CodecError::Text)
}

#[cfg(test)]
mod tests;
