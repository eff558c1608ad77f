//! Parameters of requests: which an endpoint knows, and which characters their values have.
//!
//! For each endpoint (a path with its numbers and long tokens masked) and parameter: values, and how
//! many of them hold a class of characters that attacks need. Sums only: any order of merging gives
//! the same. What is rare for a parameter that is otherwise plain is told.

use std::collections::BTreeMap;

use crate::logs::templates::census::Spot;
use crate::logs::templates::known::Seen;

/// Most parameters of all endpoints that are followed.
pub const FOLLOWED_MAX: usize = 10_000;
/// Fewest values that say what is usual for a parameter.
pub const VALUES_MIN: u64 = 100;
/// At most one value in so many is unusual.
const RARE: u64 = 100;

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

/// The parameters of all requests so far.
#[derive(Clone, Debug, Default)]
pub struct Uris {
    known: BTreeMap<(Box<str>, Box<str>), Values>,
    /// Values of parameters that found no room.
    pub evicted: u64,
}

/// Values of one parameter.
#[derive(Clone, Debug, Default)]
struct Values {
    count: u64,
    with: [u64; CLASSES],
    first_with: [Option<Seen>; CLASSES],
}

/// Values that a parameter nearly never has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Odd<'a> {
    /// Path, masked.
    pub endpoint: &'a str,
    /// Parameter.
    pub name: &'a str,
    /// What they hold.
    pub class: &'static str,
    /// How many of them.
    pub odd: u64,
    /// How many values in all.
    pub count: u64,
    /// The first of them.
    pub first: Seen,
}

impl Uris {
    /// Takes a parameter of the next part.
    pub fn take(&mut self, parameter: &Parameter, seen: impl Fn(Spot) -> Seen) {
        let key = (parameter.endpoint.clone(), parameter.name.clone());
        if self.known.len() >= FOLLOWED_MAX && !self.known.contains_key(&key) {
            self.evicted += parameter.count;
            return;
        }
        let values = self.known.entry(key).or_default();
        values.count += parameter.count;
        for class in 0..CLASSES {
            values.with[class] += parameter.with[class];
            if values.first_with[class].is_none() {
                values.first_with[class] = parameter.first_with[class].map(&seen);
            }
        }
    }

    /// What is odd in otherwise plain parameters: one observation a parameter, its rarest class.
    pub fn odd(&self) -> impl Iterator<Item = Odd<'_>> {
        self.known.iter().filter(|(_, values)| values.count >= VALUES_MIN).filter_map(
            |((endpoint, name), values)| {
                let rare = |class: &usize| {
                    values.with[*class] > 0 && values.with[*class] * RARE <= values.count
                };
                let class = (0..CLASSES).filter(rare).min_by_key(|class| values.with[*class])?;
                Some(Odd {
                    endpoint,
                    name,
                    class: CLASS_NAMES[class],
                    odd: values.with[class],
                    count: values.count,
                    first: values.first_with[class]?,
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Vec<(String, String, u8)> {
        let mut all = Vec::new();
        each_parameter(uri.as_bytes(), |endpoint, name, classes| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            all.push((text(endpoint), text(name), classes));
        });
        all
    }

    #[test]
    fn parameters_are_told_by_endpoint_and_characters() {
        for (uri, endpoint, name, classes) in [
            ("/a/42/b?q=1", "/a/*/b", "q", 0),
            ("/a?q=%27+or+1", "/a", "q", 1),
            ("/a?q=<b>", "/a", "q", 2),
            ("/a?q=a;ls", "/a", "q", 4),
            ("/a?f=../../etc", "/a", "f", 8),
            ("/a?f=a..%2f", "/a", "f", 8),
            ("/a?f=a/../b", "/a", "f", 8),
            ("/a?f=%00", "/a", "f", 16),
            ("/a?f=%c3%a4", "/a", "f", 32),
            ("/a?f", "/a", "f", 0),
            ("/a?%zz=%", "/a", "%zz", 0),
        ] {
            assert_eq!(of(uri), [(endpoint.into(), name.into(), classes)], "{uri}");
        }
        assert_eq!(of("/a"), []);
        assert_eq!(of(&format!("/a?{}", "x=1&".repeat(100))).len(), PARAMETERS_MAX);
        let long = of(&format!("/{}?{}=1", "a/".repeat(100), "n".repeat(200)));
        assert_eq!((long[0].0.len(), long[0].1.len()), (NAME_BYTES_MAX, NAME_BYTES_MAX));
    }

    #[test]
    fn what_is_rare_for_a_plain_parameter_is_odd() {
        let odd = |values: u64, quoted: u64| {
            let mut parameter = Parameter::new(b"/a", b"q", Spot::default());
            (0..values).for_each(|_| parameter.add(0, Spot::default()));
            (0..quoted).for_each(|_| parameter.add(1, Spot::default()));
            let mut uris = Uris::default();
            uris.take(&parameter, |_| Seen::default());
            uris.odd().map(|odd| (odd.class, odd.odd, odd.count)).collect::<Vec<_>>()
        };
        assert_eq!(odd(99, 1), [("quotes", 1, 100)]);
        assert_eq!(odd(98, 1), [], "too few to know");
        assert_eq!(odd(98, 2), [], "usual here");
        assert_eq!(odd(100, 0), []);
    }

    #[test]
    fn the_table_is_bounded_and_says_what_it_lost() {
        let mut uris = Uris::default();
        for name in 0..FOLLOWED_MAX + 3 {
            let mut parameter = Parameter::new(b"/a", name.to_string().as_bytes(), Spot::default());
            parameter.add(0, Spot::default());
            uris.take(&parameter, |_| Seen::default());
        }
        assert_eq!((uris.known.len(), uris.evicted), (FOLLOWED_MAX, 3));
    }
}
