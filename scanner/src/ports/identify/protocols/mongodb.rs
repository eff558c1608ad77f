//! MongoDB: the command `buildInfo` in an OP_MSG, which needs no login.

use super::{Answer, Bytes, Step};

const REQUEST: u32 = 0x776d_0001;
const OP_MSG: u32 = 2013;
/// Longest answer that is read; real ones have 1 to 4 KiB.
const MESSAGE_BYTES_MAX: usize = 12 << 10;
/// Most elements of a document that are looked at.
const ELEMENTS_MAX: usize = 200;

/// `{buildInfo: 1, $db: "admin"}`.
pub fn question() -> Vec<u8> {
    let elements =
        [&b"\x10buildInfo\0\x01\0\0\0"[..], b"\x02$db\0\x06\0\0\0admin\0", b"\0"].concat();
    let document = [&little(elements.len() + 4)[..], &elements].concat();
    let body = [&[0, 0, 0, 0, 0][..], &document].concat();
    let head =
        [little(16 + body.len()), REQUEST.to_le_bytes(), [0; 4], OP_MSG.to_le_bytes()].concat();
    [head, body].concat()
}

fn little(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(0).to_le_bytes()
}

/// Reads the answering OP_MSG.
pub fn answer(bytes: &[u8]) -> Step {
    let mut rest = Bytes(bytes);
    let Some(length) = rest.u32_le().map(|length| length as usize) else { return Step::More };
    if !(26..=MESSAGE_BYTES_MAX).contains(&length) {
        return Step::Foreign;
    }
    let _id = rest.u32_le();
    let (Some(to), Some(code)) = (rest.u32_le(), rest.u32_le()) else { return Step::More };
    if (to, code) != (REQUEST, OP_MSG) {
        return Step::Foreign;
    }
    let Some(message) = bytes.get(16..length) else { return Step::More };
    match message.get(5..).and_then(told) {
        Some(lines) => {
            let mut answer = Answer::new("mongodb", "mongodb.build", lines);
            answer.banner = answer.banner.trim_end().replace('\n', ", ");
            Step::Done(answer)
        }
        None => Step::Foreign,
    }
}

/// `name=value` lines of the elements that tell product and version.
fn told(document: &[u8]) -> Option<String> {
    let mut out = String::new();
    for (name, kind, value) in elements(document)? {
        let line = match (name, kind) {
            (b"version", 2) => format!("version={}\n", string(value)),
            (b"psmdbVersion", 2) => format!("psmdb={}\n", string(value)),
            (b"ferretdbVersion", 2) => format!("ferretdb={}\n", string(value)),
            (b"errmsg", 2) => format!("error={}\n", string(value)),
            (b"ferretdb", 3) => {
                let inner = elements(value).unwrap_or_default().into_iter();
                let found = inner.filter(|(name, kind, _)| (*name, *kind) == (b"version", 2));
                found.map(|(_, _, value)| format!("ferretdb={}\n", string(value))).collect()
            }
            (b"modules", 4) => {
                let inner = elements(value).unwrap_or_default().into_iter();
                let names: Vec<String> = inner
                    .filter(|(_, kind, _)| *kind == 2)
                    .map(|(_, _, one)| string(one))
                    .collect();
                format!("modules={}\n", names.join(","))
            }
            _ => continue,
        };
        out.push_str(&line);
    }
    (!out.is_empty()).then_some(out)
}

/// A BSON string as one line.
fn string(value: &[u8]) -> String {
    let text = value.get(4..value.len().saturating_sub(1)).unwrap_or_default();
    String::from_utf8_lossy(text).replace(['\n', '\r'], " ")
}

/// Name, kind and value of an element.
type Element<'b> = (&'b [u8], u8, &'b [u8]);

/// A BSON document's own elements.
fn elements(document: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut rest = Bytes(document);
    let length = rest.u32_le()? as usize;
    let mut rest = Bytes(document.get(4..length)?);
    let mut found = Vec::new();
    for _ in 0..ELEMENTS_MAX {
        let kind = rest.byte()?;
        if kind == 0 {
            break;
        }
        let name = rest.until_nul()?;
        let value = rest.0;
        let size = match kind {
            0x01 | 0x09 | 0x11 | 0x12 => 8,
            0x02 => 4 + Bytes(value).u32_le()? as usize,
            0x03 | 0x04 => Bytes(value).u32_le()? as usize,
            0x05 => 5 + Bytes(value).u32_le()? as usize,
            0x07 => 12,
            0x08 => 1,
            0x0a => 0,
            0x10 => 4,
            0x13 => 16,
            _ => return None,
        };
        // A document that says it is empty would never end the loop otherwise.
        if matches!(kind, 0x03 | 0x04) && size < 5 {
            return None;
        }
        found.push((name, kind, rest.take(size)?));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> Vec<u8> {
        [b"\x02", name.as_bytes(), b"\0", &little(value.len() + 1)[..], value.as_bytes(), b"\0"]
            .concat()
    }

    fn document(elements: &[Vec<u8>]) -> Vec<u8> {
        let elements = elements.concat();
        [&little(elements.len() + 5)[..], &elements, b"\0"].concat()
    }

    fn message(document: &[u8]) -> Vec<u8> {
        let head = [
            little(21 + document.len()),
            [9, 0, 0, 0],
            REQUEST.to_le_bytes(),
            OP_MSG.to_le_bytes(),
        ]
        .concat();
        [&head[..], &[0; 5], document].concat()
    }

    #[test]
    fn version_and_modules_are_read() {
        let modules = [&b"\x04modules\0"[..], &document(&[text("0", "enterprise")])].concat();
        let others =
            [&b"\x01maxBsonObjectSize\0"[..], &[0; 8], b"\x08debug\0\0", b"\x10bits\0\x40\0\0\0"]
                .concat();
        let whole = message(&document(&[
            text("version", "7.0.5"),
            others,
            modules,
            b"\x01ok\0\0\0\0\0\0\0\xf0?".to_vec(),
        ]));
        let Step::Done(found) = answer(&whole) else { panic!() };
        assert_eq!(
            found.texts,
            [("mongodb.build", b"version=7.0.5\nmodules=enterprise\n".to_vec())]
        );
        for end in 0..whole.len() {
            assert_eq!(answer(&whole[..end]), Step::More, "{end}");
        }
        let Step::Done(found) = answer(&message(&document(&[text("errmsg", "no\nlogin")]))) else {
            panic!()
        };
        assert_eq!(found.banner, "error=no login");
        let ferret = [&b"\x03ferretdb\0"[..], &document(&[text("version", "v1.24.0")])].concat();
        let Step::Done(found) = answer(&message(&document(&[text("version", "7.0.42"), ferret])))
        else {
            panic!()
        };
        assert_eq!(found.banner, "version=7.0.42, ferretdb=v1.24.0");
    }

    #[test]
    fn hostile_documents_are_foreign() {
        for bad in [
            document(&[text("other", "x")]),
            vec![200, 0, 0, 0, 0],
            vec![1, 0, 0, 0, 0],
            document(&[b"\x7fx\0".to_vec()]),
            document(&[b"\x02version\0\xff\xff\xff\xff".to_vec()]),
            document(&[b"\x03modules\0\0\0\0\0".to_vec()]),
        ] {
            assert_eq!(answer(&message(&bad)), Step::Foreign, "{bad:?}");
        }
        for bytes in [
            &b"HTTP/1.1"[..],
            &[255, 255, 255, 255],
            &[26, 0, 0, 0, 1, 2, 3, 4, 9, 9, 9, 9, 9, 9, 9, 9],
        ] {
            assert_eq!(answer(bytes), Step::Foreign);
        }
    }

    #[test]
    fn the_question_has_the_length_that_it_states() {
        let asked = question();
        assert_eq!(asked[..4], little(asked.len()));
        assert!(elements(&asked[21..]).is_some_and(|found| found.len() == 2));
    }
}
