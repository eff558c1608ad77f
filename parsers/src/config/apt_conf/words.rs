//! apt's words (`ParseQuoteWord`, `ParseCWord` of `strutl.cc`).

/// Longest word; apt's buffer.
const WORD_BYTES_MAX: usize = 1_023;

/// A word up to a blank, quotes and brackets counting as one, quotes taken out, `%41` as `A`; and the
/// text behind it.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let bytes = text.as_bytes();
    let blanks = bytes.iter().take_while(|byte| **byte == b' ').count();
    let mut end = blanks;
    if end == bytes.len() {
        return None;
    }
    while end < bytes.len() && !is_blank(bytes[end]) {
        for (open, close) in [(b'"', b'"'), (b'[', b']')] {
            if bytes.get(end) == Some(&open) {
                end += 1 + memchr::memchr(close, &bytes[end + 1..])?;
            }
        }
        end += 1;
    }
    let end = end.min(bytes.len());
    let mut word = Vec::new();
    let mut at = 0;
    while at < end && word.len() < WORD_BYTES_MAX {
        let hex = |index: usize| bytes.get(index).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) if at + 2 < end => {
                word.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            (b'"', ..) => at += 1,
            (byte, ..) => {
                word.push(byte);
                at += 1;
            }
        }
    }
    // The buffer is read up to the first NUL.
    let length = memchr::memchr(0, &word).unwrap_or(word.len());
    word.truncate(length);
    Some((String::from_utf8_lossy(&word).into_owned(), text[end..].trim_ascii_start()))
}

/// Quoted texts behind each other as one, a blank between them; nothing else may stand there.
pub(super) fn concatenated(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut at = bytes.iter().take_while(|byte| **byte == b' ').count();
    if at == bytes.len() || bytes.len() > WORD_BYTES_MAX {
        return None;
    }
    let mut word = Vec::new();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let length = memchr::memchr(b'"', &bytes[at + 1..])?;
                word.extend(&bytes[at + 1..at + 1 + length]);
                at += length + 1;
            }
            byte if !is_blank(byte) => return None,
            _ if at > 0 && is_blank(bytes[at - 1]) => {}
            _ => word.push(b' '),
        }
        at += 1;
    }
    Some(String::from_utf8_lossy(&word).into_owned())
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}
