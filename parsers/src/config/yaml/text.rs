//! Bytes to text: the encodings that YAML 1.2.2 (section 5.2) names, and where lines start.

use std::borrow::Cow;

use super::limits::TEXT_BYTES_MAX;
use super::{DocumentError, at, scan};

/// The text of a stream without its byte order mark. UTF-8 is borrowed; UTF-16 and UTF-32, told by a mark
/// or by the zeros around a first ASCII character, are decoded.
pub(super) fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, DocumentError> {
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(DocumentError::whole("larger than 2 GiB"));
    }
    let text = match bytes {
        [0, 0, 0xfe, 0xff, rest @ ..] => Cow::Owned(utf32(rest, u32::from_be_bytes)?),
        [0, 0, 0, _, ..] => Cow::Owned(utf32(bytes, u32::from_be_bytes)?),
        [0xff, 0xfe, 0, 0, rest @ ..] => Cow::Owned(utf32(rest, u32::from_le_bytes)?),
        [_, 0, 0, 0, ..] => Cow::Owned(utf32(bytes, u32::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)?),
        [0, _, ..] => Cow::Owned(utf16(bytes, u16::from_be_bytes)?),
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)?),
        [_, 0, ..] => Cow::Owned(utf16(bytes, u16::from_le_bytes)?),
        _ => Cow::Borrowed(utf8(bytes)?),
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(DocumentError::whole("larger than 2 GiB"));
    }
    match scan::control(text.as_bytes()) {
        Some(offset) => Err(at(text.as_bytes(), offset, "a control character".into())),
        None => Ok(text),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, DocumentError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| at(bytes, error.valid_up_to(), "not valid UTF-8".into()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Result<String, DocumentError> {
    let (units, rest) = bytes.as_chunks::<2>();
    let decoded = char::decode_utf16(units.iter().map(|unit| read(*unit)));
    let text: Option<String> = decoded.map(Result::ok).collect();
    text.filter(|_| rest.is_empty()).ok_or_else(|| DocumentError::whole("not valid UTF-16"))
}

fn utf32(bytes: &[u8], read: fn([u8; 4]) -> u32) -> Result<String, DocumentError> {
    let (units, rest) = bytes.as_chunks::<4>();
    let text: Option<String> = units.iter().map(|unit| char::from_u32(read(*unit))).collect();
    text.filter(|_| rest.is_empty()).ok_or_else(|| DocumentError::whole("not valid UTF-32"))
}

/// The offsets at which lines start; the first is 0.
pub(super) fn line_starts(text: &[u8]) -> Vec<u32> {
    let mut starts = vec![0];
    for at in memchr::memchr2_iter(b'\n', b'\r', text) {
        if text[at] == b'\r' && text.get(at + 1) == Some(&b'\n') {
            continue;
        }
        starts.push(u32::try_from(at + 1).unwrap_or(u32::MAX));
    }
    starts
}
