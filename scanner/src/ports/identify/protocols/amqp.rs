//! AMQP 0-9-1: the protocol header; the broker answers with connection.start and its properties.

use super::{Answer, Bytes, Step};

/// The header.
pub const QUESTION: &[u8] = b"AMQP\0\0\x09\x01";

/// Longest first frame.
const FRAME_BYTES_MAX: usize = 8 << 10;
/// Most properties that are read.
const PROPERTIES_MAX: usize = 64;

/// Reads connection.start, or the header of another version.
pub fn answer(bytes: &[u8]) -> Step {
    let known = bytes.len().min(4);
    if bytes[..known] == b"AMQP"[..known] && !bytes.is_empty() {
        let Some(header) = bytes.first_chunk::<8>() else { return Step::More };
        let version = format!("version {}.{}.{}", header[5], header[6], header[7]);
        return Step::Done(Answer::new("amqp", "amqp.start", version));
    }
    // A method frame on channel 0.
    const BEGIN: [u8; 3] = [1, 0, 0];
    let known = bytes.len().min(BEGIN.len());
    if bytes[..known] != BEGIN[..known] {
        return Step::Foreign;
    }
    let Some(size) = bytes.get(3..7).map(|size| Bytes(size).u32_be().unwrap_or(0) as usize) else {
        return Step::More;
    };
    if size > FRAME_BYTES_MAX {
        return Step::Foreign;
    }
    let Some(frame) = bytes.get(7..7 + size) else { return Step::More };
    match start(frame) {
        Some(properties) => {
            let mut answer = Answer::new("amqp", "amqp.start", properties);
            answer.banner = answer.banner.trim_end().replace('\n', ", ");
            Step::Done(answer)
        }
        None => Step::Foreign,
    }
}

/// `name=value` lines of the server's properties that are texts.
fn start(frame: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Bytes(frame);
    // Class connection, method start, versions.
    if rest.take(4)? != [0, 10, 0, 10] {
        return None;
    }
    rest.take(2)?;
    let length = rest.u32_be()?;
    let mut table = Bytes(rest.take(length as usize)?);
    let mut out = Vec::new();
    for _ in 0..PROPERTIES_MAX {
        if table.0.is_empty() {
            break;
        }
        let length = table.byte()?;
        let name = table.take(usize::from(length))?;
        match table.byte()? {
            b'S' => {
                let length = table.u32_be()?;
                let text = table.take(length as usize)?;
                out.extend([name, b"=", text, b"\n"].concat());
            }
            b'F' | b'A' | b'x' => {
                let length = table.u32_be()?;
                table.take(length as usize)?;
            }
            b't' | b'b' | b'B' => _ = table.take(1)?,
            b's' | b'u' => _ = table.take(2)?,
            b'I' | b'i' | b'f' => _ = table.take(4)?,
            b'l' | b'L' | b'd' | b'T' => _ = table.take(8)?,
            b'D' => _ = table.take(5)?,
            b'V' => {}
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> Vec<u8> {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), b"S", &length, value.as_bytes()]
            .concat()
    }

    fn frame(table: &[u8]) -> Vec<u8> {
        let length = u32::try_from(table.len()).unwrap().to_be_bytes();
        let body = [
            &[0, 10, 0, 10, 0, 9][..],
            &length,
            table,
            &[0, 0, 0, 5],
            b"PLAIN",
            &[0, 0, 0, 5],
            b"en_US",
        ]
        .concat();
        let size = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[1, 0, 0][..], &size, &body, &[0xce]].concat()
    }

    #[test]
    fn properties_are_read_past_tables_and_numbers() {
        let nested = [&b"\x0ccapabilitiesF\0\0\0\x04\x01at\x01"[..], b"\x01nI\0\0\0\x01"].concat();
        let table = [nested, text("product", "RabbitMQ"), text("version", "3.10.8")].concat();
        let whole = frame(&table);
        let Step::Done(found) = answer(&whole) else { panic!() };
        assert_eq!(found.texts, [("amqp.start", b"product=RabbitMQ\nversion=3.10.8\n".to_vec())]);
        for end in 0..whole.len() - 1 {
            assert_eq!(answer(&whole[..end]), Step::More, "{end}");
        }
    }

    #[test]
    fn another_version_is_told_and_anything_else_is_foreign() {
        let Step::Done(found) = answer(b"AMQP\x03\x01\0\0") else { panic!() };
        assert_eq!(found.banner, "version 1.0.0");
        for bytes in [
            &b"HTTP/1.1"[..],
            &[1, 0, 0, 255, 255, 255, 255],
            &frame(b"\x05ab"),
            &frame(b"\x01a?"),
            &frame(b"\x01aS\xff\xff\xff\xff"),
        ] {
            assert_eq!(answer(bytes), Step::Foreign, "{bytes:?}");
        }
    }
}
