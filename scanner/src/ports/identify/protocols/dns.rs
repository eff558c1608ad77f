//! DNS over TCP (RFC 7766): the TXT record of version.bind, class CHAOS (RFC 4892).

use super::{Answer, Bytes, Step};

/// Identifies the question; any number does.
const ID: u16 = 0x776d;
/// The question section: `version.bind`, TXT, CHAOS.
const ASKED: &[u8] = b"\x07version\x04bind\0\0\x10\0\x03";
/// Most records that are walked through.
const RECORDS_MAX: u16 = 16;
/// Most labels of a name.
const LABELS_MAX: usize = 128;

/// The question with its length before it; recursion is not asked for.
pub fn question() -> Vec<u8> {
    let length = u8::try_from(12 + ASKED.len()).unwrap_or(u8::MAX);
    let id = ID.to_be_bytes();
    [&[0, length, id[0], id[1], 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], ASKED].concat()
}

/// Reads the answer. A server that refuses is a DNS server too.
pub fn answer(bytes: &[u8]) -> Step {
    let mut rest = Bytes(bytes);
    let Some(length) = rest.u16_be() else { return Step::More };
    if length < 12 || bytes.get(2..4).is_some_and(|id| id != ID.to_be_bytes()) {
        return Step::Foreign;
    }
    let Some(message) = rest.take(usize::from(length)) else { return Step::More };
    match read(message) {
        Some(Some(text)) => Step::Done(Answer::new("dns", "dns.versionbind", text)),
        Some(None) => Step::Done(Answer { service: "dns", ..Answer::default() }),
        None => Step::Foreign,
    }
}

/// The text of the first TXT record, if there is one.
fn read(message: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut rest = Bytes(message);
    let _id = rest.u16_be()?;
    let is_answer = rest.u16_be()? & 0x8000 != 0;
    let (questions, answers) = (rest.u16_be()?, rest.u16_be()?);
    rest.take(4)?;
    if !is_answer || questions > 1 {
        return None;
    }
    for _ in 0..questions {
        skip_name(&mut rest)?;
        rest.take(4)?;
    }
    for _ in 0..answers.min(RECORDS_MAX) {
        skip_name(&mut rest)?;
        let (kind, _class) = (rest.u16_be()?, rest.u16_be()?);
        rest.take(4)?;
        let length = rest.u16_be()?;
        let mut data = Bytes(rest.take(usize::from(length))?);
        if kind == 16 {
            let length = data.byte()?;
            return Some(Some(data.take(usize::from(length))?.to_vec()));
        }
    }
    Some(None)
}

/// Goes past a name; a pointer ends it, and is not followed.
fn skip_name(rest: &mut Bytes) -> Option<()> {
    for _ in 0..LABELS_MAX {
        match rest.byte()? {
            0 => return Some(()),
            length @ 1..=63 => _ = rest.take(usize::from(length))?,
            192.. => return rest.byte().map(|_| ()),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(flags: u8, code: u8, records: &[&[u8]]) -> Vec<u8> {
        let id = ID.to_be_bytes();
        let count = u8::try_from(records.len()).unwrap();
        let head = [id[0], id[1], flags, code, 0, 1, 0, count, 0, 0, 0, 0];
        let body = [&head[..], ASKED, &records.concat()].concat();
        [&u16::try_from(body.len()).unwrap().to_be_bytes(), &body[..]].concat()
    }

    const TXT: &[u8] = b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x08\x079.18.28";

    #[test]
    fn the_text_is_read() {
        let whole = message(0x84, 0, &[TXT]);
        let Step::Done(found) = answer(&whole) else { panic!() };
        assert_eq!(found.texts, [("dns.versionbind", b"9.18.28".to_vec())]);
        for end in 0..whole.len() {
            assert_eq!(answer(&whole[..end]), Step::More, "{end}");
        }
        let other = b"\x01a\0\0\x05\0\x03\0\0\0\0\0\x02\xc0\x0c";
        assert!(
            matches!(answer(&message(0x84, 0, &[other, TXT])), Step::Done(found) if found.texts.len() == 1)
        );
    }

    #[test]
    fn a_refusal_is_a_dns_server_without_a_version() {
        let Step::Done(found) = answer(&message(0x80, 5, &[])) else { panic!() };
        assert_eq!((found.service, found.texts.len()), ("dns", 0));
    }

    #[test]
    fn anything_else_is_foreign() {
        let own = question();
        assert_eq!(answer(&own), Step::Foreign, "an echo is a question");
        assert_eq!(usize::from(own[1]), own.len() - 2);
        for bytes in [
            &b"HTTP/1.1 400"[..],
            b"\0\x05abcde",
            &message(0x84, 0, &[b"\xc0"]),
            &message(0x84, 0, &[b"\x80aaaaaaaaaaaaaaa"]),
        ] {
            assert_eq!(answer(bytes), Step::Foreign);
        }
        let mut cut = message(0x84, 0, &[TXT]);
        let at = cut.len() - 8;
        cut[at] = 200;
        assert_eq!(answer(&cut), Step::Foreign, "a text longer than its record");
    }
}
