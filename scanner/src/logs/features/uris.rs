//! Parameters of requests: which an endpoint knows, and which characters their values have.
//!
//! For each endpoint (a path with its numbers and long tokens masked) and parameter: values, and how
//! many of them hold a class of characters that attacks need. Sums only: any order of merging gives
//! the same. What is rare for a parameter that is otherwise plain is told.

use crate::logs::templates::census::Spot;

/// Most parameters of one request that are looked at.
pub const PARAMETERS_MAX: usize = 32;
/// Most bytes of an endpoint and of a parameter's name.
pub const NAME_BYTES_MAX: usize = 96;
/// Classes of characters.
pub const CLASSES: usize = 6;
/// What the classes hold, for people.
pub const CLASS_NAMES: [&str; CLASSES] = [
    "quotes",
    "angle brackets",
    "shell characters (; | ` $)",
    "path steps (../)",
    "control characters",
    "bytes beyond ASCII",
];

/// A parameter of an endpoint in one part of a log.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Path, masked.
    pub endpoint: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Values.
    pub count: u64,
    /// Values with each class.
    pub with: [u64; CLASSES],
    /// The first value.
    pub first: Spot,
    /// The first value with each class.
    pub first_with: [Option<Spot>; CLASSES],
}

impl Parameter {
    /// Not seen yet; it first stands at `spot`.
    pub fn new(endpoint: &[u8], name: &[u8], spot: Spot) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into();
        Self {
            endpoint: text(endpoint),
            name: text(name),
            count: 0,
            with: [0; CLASSES],
            first: spot,
            first_with: [None; CLASSES],
        }
    }

    /// Counts a value whose classes are the bits of `classes`.
    pub fn add(&mut self, classes: u8, spot: Spot) {
        self.count += 1;
        for (class, count) in self.with.iter_mut().enumerate() {
            if classes >> class & 1 == 1 {
                *count += 1;
                self.first_with[class].get_or_insert(spot);
            }
        }
    }
}

/// Calls `each` with the endpoint, the name and the classes of the value of every parameter.
pub fn each_parameter(uri: &[u8], mut each: impl FnMut(&[u8], &[u8], u8)) {
    let Some(mark) = memchr::memchr(b'?', uri) else { return };
    let endpoint = endpoint(&uri[..mark]);
    for pair in uri[mark + 1..].split(|byte| *byte == b'&').take(PARAMETERS_MAX) {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let name = &pair[..equals.min(NAME_BYTES_MAX)];
        if !name.is_empty() {
            each(&endpoint, name, classes(pair.get(equals + 1..).unwrap_or_default()));
        }
    }
}

/// The path with segments that are numbers or long tokens as `*`.
fn endpoint(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len().min(NAME_BYTES_MAX));
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            out.push(b'/');
        }
        let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
        if segment.len() > 32 || (digits > 0 && digits * 2 >= segment.len()) {
            out.push(b'*');
        } else {
            out.extend_from_slice(segment);
        }
        if out.len() >= NAME_BYTES_MAX {
            break;
        }
    }
    out.truncate(NAME_BYTES_MAX);
    out
}

/// Classes of a value, one layer of percent escapes opened.
fn classes(value: &[u8]) -> u8 {
    let mut classes = 0;
    let mut dots = 0;
    let mut at = 0;
    let digit = |at: usize| value.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    while at < value.len() {
        let mut byte = value[at];
        at += 1;
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(at), digit(at + 1))
        {
            byte = u8::try_from(high << 4 | low).unwrap_or(b'?');
            at += 2;
        }
        classes |= match byte {
            b'"' | b'\'' => 1,
            b'<' | b'>' => 2,
            b';' | b'|' | b'`' | b'$' => 4,
            b'/' | b'\\' if dots >= 2 => 8,
            0..=0x1f | 0x7f => 16,
            0x80.. => 32,
            _ => 0,
        };
        dots = if byte == b'.' { dots + 1 } else { 0 };
    }
    classes
}
