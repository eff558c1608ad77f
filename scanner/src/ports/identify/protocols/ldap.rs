//! LDAP (RFC 4511): a search for the root DSE's own attributes, without a bind.
//!
//! The root DSE is what a server tells everybody about itself (RFC 4512, 5.1).

use super::{ANSWER_BYTES_MAX, Answer, Bytes, Flow, Step};

/// What is asked for; a server leaves out what it does not have.
const ATTRIBUTES: [&str; 5] = [
    "objectClass",
    "vendorName",
    "vendorVersion",
    "rootDomainNamingContext",
    "supportedLDAPVersion",
];
/// UnbindRequest, message 2.
const GOODBYE: &[u8] = &[0x30, 5, 2, 1, 2, 0x42, 0];
/// Most attributes, and values of each, that are read.
const VALUES_MAX: usize = 64;

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;

/// SearchRequest: base object, empty name, `(objectClass=*)`, at most one entry, three seconds.
pub fn question() -> Vec<u8> {
    let attributes: Vec<u8> =
        ATTRIBUTES.iter().flat_map(|name| tagged(OCTETS, name.as_bytes())).collect();
    let search = [
        &[OCTETS, 0, 0x0a, 1, 0, 0x0a, 1, 0, 2, 1, 1, 2, 1, 3, 1, 1, 0][..],
        &tagged(0x87, b"objectClass"),
        &tagged(SEQUENCE, &attributes),
    ]
    .concat();
    tagged(SEQUENCE, &[&[2, 1, 1][..], &tagged(0x63, &search)].concat())
}

/// A value under a tag. Everything here is shorter than 256 bytes.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    let long = if length > 127 { &[0x81][..] } else { &[] };
    [&[tag], long, &[length], value].concat()
}

/// Reads the entry, if one is given, and the result.
pub fn answer(bytes: &[u8], flow: Flow) -> Step {
    if bytes.first().is_some_and(|byte| *byte != SEQUENCE) {
        return Step::Foreign;
    }
    let mut rest = Bytes(bytes);
    let mut entry: Option<Vec<u8>> = None;
    // An entry, perhaps a reference, and the result.
    for _ in 0..4 {
        let (tag, body) = match value(&mut rest) {
            Ok((SEQUENCE, message)) => {
                let mut message = Bytes(message);
                let (Ok((2, _)), Ok(operation)) = (value(&mut message), value(&mut message)) else {
                    return Step::Foreign;
                };
                operation
            }
            Ok(_) => return Step::Foreign,
            Err(Short::More) if flow == Flow::Open => return Step::More,
            Err(Short::More) if entry.is_some() => break,
            Err(_) => return Step::Foreign,
        };
        match tag {
            ENTRY => entry = Some(attributes(body)),
            DONE => return Step::Done(told(entry)),
            _ => {}
        }
    }
    entry.map_or(Step::Foreign, |entry| Step::Done(told(Some(entry))))
}

fn told(entry: Option<Vec<u8>>) -> Answer {
    let Some(entry) = entry.filter(|entry| !entry.is_empty()) else {
        return Answer { service: "ldap", goodbye: GOODBYE, ..Answer::default() };
    };
    let mut answer = Answer::new("ldap", "ldap.root", entry).with_goodbye(GOODBYE);
    answer.banner = answer.banner.trim_end().replace('\n', ", ");
    answer
}

/// `name: value` lines of a SearchResultEntry; what is malformed ends them.
fn attributes(entry: &[u8]) -> Vec<u8> {
    let mut rest = Bytes(entry);
    let mut out = Vec::new();
    let (Ok((OCTETS, _)), Ok((SEQUENCE, list))) = (value(&mut rest), value(&mut rest)) else {
        return out;
    };
    let mut list = Bytes(list);
    for _ in 0..VALUES_MAX {
        let Ok((SEQUENCE, attribute)) = value(&mut list) else { break };
        let mut attribute = Bytes(attribute);
        let (Ok((OCTETS, name)), Ok((_, values))) = (value(&mut attribute), value(&mut attribute))
        else {
            break;
        };
        let mut values = Bytes(values);
        for _ in 0..VALUES_MAX {
            let Ok((OCTETS, one)) = value(&mut values) else { break };
            out.extend([name, b": ", one, b"\n"].concat());
            // A long name with many short values is repeated.
            if out.len() > ANSWER_BYTES_MAX {
                return out;
            }
        }
    }
    out
}

enum Short {
    More,
    Wrong,
}

/// The next tag and value (BER, definite lengths).
fn value<'b>(rest: &mut Bytes<'b>) -> Result<(u8, &'b [u8]), Short> {
    let mut ahead = *rest;
    let tag = ahead.byte().ok_or(Short::More)?;
    let length = match ahead.byte().ok_or(Short::More)? {
        short @ 0..=127 => usize::from(short),
        long @ 0x81..=0x84 => {
            let bytes = ahead.take(usize::from(long & 0x7f)).ok_or(Short::More)?;
            bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
        }
        _ => return Err(Short::Wrong),
    };
    let value = ahead.take(length).ok_or(Short::More)?;
    *rest = ahead;
    Ok((tag, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attributes: &[(&str, &str)]) -> Vec<u8> {
        let list: Vec<u8> = attributes
            .iter()
            .flat_map(|(name, one)| {
                let values = tagged(0x31, &tagged(OCTETS, one.as_bytes()));
                tagged(SEQUENCE, &[tagged(OCTETS, name.as_bytes()), values].concat())
            })
            .collect();
        let body = [tagged(OCTETS, b""), tagged(SEQUENCE, &list)].concat();
        tagged(SEQUENCE, &[&[2, 1, 1][..], &tagged(ENTRY, &body)].concat())
    }

    const RESULT: &[u8] = &[0x30, 12, 2, 1, 1, DONE, 7, 0x0a, 1, 0, 4, 0, 4, 0];

    #[test]
    fn entry_and_result_are_read() {
        let whole =
            [&entry(&[("objectClass", "OpenLDAProotDSE"), ("vendorName", "X")])[..], RESULT]
                .concat();
        let Step::Done(found) = answer(&whole, Flow::Open) else { panic!() };
        assert_eq!(
            found.texts,
            [("ldap.root", b"objectClass: OpenLDAProotDSE\nvendorName: X\n".to_vec())]
        );
        assert_eq!((found.service, found.goodbye), ("ldap", GOODBYE));
        for end in 0..whole.len() {
            assert_eq!(answer(&whole[..end], Flow::Open), Step::More, "{end}");
        }
        assert!(matches!(answer(&whole[..whole.len() - 3], Flow::Over), Step::Done(_)));
        let Step::Done(refused) = answer(RESULT, Flow::Open) else { panic!() };
        assert!(refused.texts.is_empty());
    }

    #[test]
    fn anything_else_is_foreign() {
        for bytes in [&b"HTTP/1.1"[..], &[0x30, 0x80, 1], &[0x30, 3, 4, 1, 1], &[0x30, 2, 2, 9]] {
            assert_eq!(answer(bytes, Flow::Open), Step::Foreign, "{bytes:?}");
        }
        assert_eq!(answer(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 1], Flow::Over), Step::Foreign);
    }

    #[test]
    fn a_name_with_many_values_is_not_repeated_without_end() {
        let long = |tag: u8, value: &[u8]| {
            let length = u16::try_from(value.len()).unwrap().to_be_bytes();
            [&[tag, 0x82], &length[..], value].concat()
        };
        let values = long(0x31, &tagged(OCTETS, b"").repeat(60));
        let attribute = long(SEQUENCE, &[long(OCTETS, &[b'n'; 8_000]), values].concat());
        let body = [tagged(OCTETS, b""), long(SEQUENCE, &attribute)].concat();
        let entry = long(SEQUENCE, &[&[2, 1, 1][..], &long(ENTRY, &body)].concat());
        let Step::Done(found) = answer(&[&entry[..], RESULT].concat(), Flow::Open) else {
            panic!()
        };
        assert!(found.texts[0].1.len() <= 2 * ANSWER_BYTES_MAX, "{}", found.texts[0].1.len());
    }

    #[test]
    fn the_question_is_a_message_of_its_stated_length() {
        let asked = question();
        let mut rest = Bytes(&asked);
        assert!(matches!(value(&mut rest), Ok((SEQUENCE, _))) && rest.0.is_empty());
    }
}
