//! A message as tokens: what varies by its kind is masked, the rest is a constant word.
//!
//! One pass over the bytes, without learning: equal messages give equal tokens everywhere, so parts of
//! a file can be read apart. A token is what stands between two spaces, but for quoted text, commands
//! and names that somebody typed, which may hold spaces. Digits within words do not tell words apart
//! (`eth0`, `eth1`). Bounded: [`MESSAGE_BYTES_MAX`] and [`TOKENS_MAX`]; what lies beyond is one token.

use super::kinds::{self, Announces, Mask, flag};

/// Most bytes of a message that are looked at.
pub const MESSAGE_BYTES_MAX: usize = 2048;
/// Most tokens of a message; the last one stands for all that follows.
pub const TOKENS_MAX: usize = 64;
/// Longest word that is compared byte by byte; a longer one is a blob.
const WORD_BYTES_MAX: usize = 48;

/// One token: `start..core` and `core_end..end` are written as they are, between them lies what is masked.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub(super) hash: u64,
    pub(super) mask: Mask,
    pub(super) start: u32,
    pub(super) core: u32,
    pub(super) core_end: u32,
    pub(super) end: u32,
}

/// The tokens of one message; its room is reused.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    pub(super) items: Vec<Token>,
    /// The first address, where it stands.
    pub ip: Option<(u32, u32)>,
    /// The first account name, where it stands.
    pub user: Option<(u32, u32)>,
    /// Sum of what each token contributes at its place.
    pub(super) sum: u64,
}

impl Tokens {
    /// Splits a message.
    pub fn read(&mut self, message: &[u8]) {
        self.items.clear();
        (self.ip, self.user, self.sum) = (None, None, 0);
        let text = &message[..message.len().min(MESSAGE_BYTES_MAX)];
        let mut reader = Reader { text, at: 0, announced: Announces::Nothing, invalid: false };
        reader.skip_head();
        while reader.at < text.len() {
            if self.items.len() + 1 == TOKENS_MAX {
                self.push(reader.rest(Mask::Rest));
                break;
            }
            if let Some(token) = reader.next(self.items.len()) {
                self.push(token);
            }
        }
    }

    fn push(&mut self, token: Token) {
        match token.mask {
            Mask::Ip if self.ip.is_none() => self.ip = Some((token.core, token.core_end)),
            Mask::User if self.user.is_none() => self.user = Some((token.core, token.core_end)),
            _ => {}
        }
        self.sum = self.sum.wrapping_add(at_place(token.hash, self.items.len()));
        self.items.push(token);
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the message is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Writes the masked message, tokens apart by one space: no token holds one.
    pub fn render(&self, message: &[u8], out: &mut Vec<u8>) {
        let text = |from: u32, to: u32| message.get(from as usize..to as usize).unwrap_or_default();
        for (index, token) in self.items.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(text(token.start, token.core));
            match token.mask {
                Mask::Word => collapse(text(token.core, token.core_end), out),
                mask => out.extend_from_slice(mask.name().as_bytes()),
            }
            out.extend_from_slice(text(token.core_end, token.end));
        }
    }
}

/// What a token adds to the sum of its message at a place.
pub(super) fn at_place(hash: u64, place: usize) -> u64 {
    mix(hash, 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(place as u64 + 1))
}

pub(super) fn mix(a: u64, b: u64) -> u64 {
    let wide = u128::from(a ^ 0xa076_1d64_78bd_642f) * u128::from(b ^ 0xe703_7ed1_a0b4_28db);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// A hash of bytes, the same on every machine: eight at a time, the last eight may overlap.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let length = bytes.len() as u64;
    if let Some((last, _)) = bytes.split_last_chunk::<8>().map(|(rest, last)| (last, rest)) {
        let mut state = length;
        let (words, _) = bytes.as_chunks::<8>();
        for word in words {
            state = mix(state, u64::from_le_bytes(*word));
        }
        return mix(state, u64::from_le_bytes(*last));
    }
    let short = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    mix(length, short)
}

/// A word with each run of digits as `#`.
fn collapse(word: &[u8], out: &mut Vec<u8>) {
    let mut digit = false;
    for byte in word {
        if !(digit && byte.is_ascii_digit()) {
            out.push(if byte.is_ascii_digit() { b'#' } else { *byte });
        }
        digit = byte.is_ascii_digit();
    }
}

fn hash_collapsed(word: &[u8]) -> u64 {
    let (mut state, mut digit) = (word.len().min(1) as u64, false);
    for byte in word {
        let is_digit = byte.is_ascii_digit();
        if !(digit && is_digit) {
            let byte = if is_digit { b'#' } else { *byte };
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        digit = is_digit;
    }
    mix(state, 0x7f)
}

/// Length of a token without any byte below `A`: no digit, nothing that could tell a kind. Eight bytes at
/// a time; `None` for other tokens, and near the end of the text.
fn letters(text: &[u8]) -> Option<usize> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    for (index, word) in text.as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below = !((word & !HIGH) + 0x3f3f_3f3f_3f3f_3f3f) & !word & HIGH;
        if below != 0 {
            let length = index * 8 + below.trailing_zeros() as usize / 8;
            return (text.get(length) == Some(&b' ')).then_some(length);
        }
    }
    None
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    announced: Announces,
    /// The word before was `invalid` or one of its like.
    invalid: bool,
}

impl Reader<'_> {
    /// The kernel's `[   12.345678] ` in front, and spaces.
    fn skip_head(&mut self) {
        self.skip_spaces();
        if self.text.get(self.at) != Some(&b'[') {
            return;
        }
        let inner = &self.text[self.at + 1..];
        let stamp = inner.iter().take(24).take_while(|b| matches!(b, b'0'..=b'9' | b'.' | b' '));
        let length = stamp.count();
        if inner.get(length) == Some(&b']') && inner[..length].contains(&b'.') {
            self.at += length + 2;
            self.skip_spaces();
        }
    }

    fn skip_spaces(&mut self) {
        while self.text.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
    }

    /// The next token; `None` for padding in front of a number.
    fn next(&mut self, index: usize) -> Option<Token> {
        let announced = std::mem::replace(&mut self.announced, Announces::Nothing);
        let invalid = std::mem::replace(&mut self.invalid, false);
        let start = self.at;
        match announced {
            Announces::Typed => return Some(self.typed_name()),
            Announces::Command if self.text.get(start) == Some(&b'(') => {
                return Some(self.rest(Mask::Command));
            }
            _ => {}
        }
        let (length, flags) = match letters(&self.text[start..]) {
            Some(length) => (length, 0),
            None => self.classes(start),
        };
        let end = start + length;
        self.at = end + 1;
        if length == 0 {
            let number = self.text.get(self.at).is_some_and(|b| b.is_ascii_digit() || *b == b' ');
            return (!number).then(|| word(start, end, hash(b"")));
        }
        let token = &self.text[start..end];
        if index == 0 || announced.may_be_name() || token.last() == Some(&b')') {
            let goes_on = &self.text[self.at.min(self.text.len())..];
            if kinds::is_name(announced, token, goes_on)
                || (index == 0 && goes_on.starts_with(b": TTY="))
            {
                return Some(self.name(start, end));
            }
        }
        if flags & flag::TELLING == 0 {
            self.listen(token, invalid);
            return Some(if length > WORD_BYTES_MAX {
                self.masked(start, start, end, end, Mask::Blob)
            } else {
                word(start, end, hash(token))
            });
        }
        let peer = announced == Announces::Peer;
        Some(self.telling(start, end, flags, index, peer))
    }

    /// Length and classes of the token that begins here.
    fn classes(&self, start: usize) -> (usize, u32) {
        let mut flags = 0;
        for (length, byte) in self.text[start..].iter().enumerate() {
            if *byte == b' ' {
                return (length, flags);
            }
            flags |= flag::OF[usize::from(*byte)];
        }
        (self.text.len() - start, flags)
    }

    /// Notes what a plain word announces for the one that follows.
    fn listen(&mut self, token: &[u8], invalid: bool) {
        if !matches!(token.len(), 3 | 4 | 7) {
            return;
        }
        self.announced = match token {
            b"user" if invalid => Announces::Typed,
            b"user" => Announces::User,
            b"for" | b"User" => Announces::Perhaps,
            b"from" => Announces::Peer,
            b"CMD" => Announces::Command,
            _ => Announces::Nothing,
        };
        self.invalid =
            matches!(token, b"invalid" | b"Invalid" | b"illegal" | b"Illegal" | b"unknown");
    }

    /// What somebody typed: up to where the program wrote on, however many words.
    fn typed_name(&mut self) -> Token {
        let start = self.at.min(self.text.len());
        let rest = &self.text[start..];
        let length = kinds::typed_length(rest);
        let end = start + length;
        self.at = end + 1;
        self.masked(start, start, end, end, Mask::User)
    }

    /// One word that is an account name, with what is attached: `bob(uid=7)`, `bob.`.
    fn name(&self, start: usize, end: usize) -> Token {
        let token = &self.text[start..end];
        let open = memchr::memchr(b'(', token).filter(|open| *open > 0);
        let core_end = match open {
            Some(open) => start + open,
            None => start + kinds::trimmed_end(token),
        };
        let mut token = self.masked(start, start, core_end.max(start), end, Mask::User);
        if open.is_some() {
            // the numbers of the account do not tell messages apart
            token.end = token.core_end;
            token.hash = mix(token.hash, 0x28);
        }
        token
    }

    /// A token with digits, dots, slashes, `=`, `@` or quotes in it.
    fn telling(&mut self, start: usize, end: usize, flags: u32, index: usize, peer: bool) -> Token {
        let token = &self.text[start..end];
        let lead = token
            .iter()
            .take_while(|byte| matches!(byte, b'(' | b'[' | b'{' | b'<' | b','))
            .count();
        let mut core = start + lead;
        let mut key: &[u8] = b"";
        if flags & flag::EQUALS != 0
            && let Some(equals) = kinds::key_length(&token[lead..])
        {
            key = &token[lead..lead + equals];
            core += equals + 1;
            if matches!(key, b"COMMAND" | b"CMD" | b"cmd" | b"proctitle") {
                self.at = self.text.len();
                return self.masked(start, core, self.at, self.at, Mask::Command);
            }
        }
        if let Some(quote @ (b'"' | b'\'')) = self.text.get(core)
            && let Some(length) = memchr::memchr(*quote, &self.text[core + 1..])
        {
            let close = core + length + 2;
            let tail = &self.text[close.min(self.text.len())..];
            let end = close + memchr::memchr(b' ', tail).unwrap_or(tail.len());
            self.at = end + 1;
            let named = kinds::names_account(key);
            return self.masked(
                start,
                core,
                close,
                end,
                if named { Mask::User } else { Mask::Quoted },
            );
        }
        let value = &self.text[core.min(end)..end];
        let core_end = core + kinds::trimmed_end(value);
        let value = &self.text[core..core_end];
        if value.is_empty() {
            return word(start, end, hash(token));
        }
        if kinds::names_account(key) {
            return self.masked(start, core, core_end, end, Mask::User);
        }
        if kinds::names_host(key) {
            return self.masked(start, core, core_end, end, Mask::Ip);
        }
        let flags = if value.len() == token.len() { flags } else { flag::of(value) };
        match kinds::of(value, flags, index == 0 && key.is_empty()) {
            Some((Mask::Host, _)) if peer => self.masked(start, core, core_end, end, Mask::Ip),
            Some((mask, length)) => self.masked(start, core, core + length, end, mask),
            None if value.len() > WORD_BYTES_MAX => {
                self.masked(start, core, core_end, end, Mask::Blob)
            }
            None => word(start, end, hash_collapsed(token)),
        }
    }

    /// All that is left, as one token.
    fn rest(&mut self, mask: Mask) -> Token {
        let (start, end) = (self.at.min(self.text.len()), self.text.len());
        self.at = end;
        self.masked(start, start, end, end, mask)
    }

    fn masked(&self, start: usize, core: usize, core_end: usize, end: usize, mask: Mask) -> Token {
        let part = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default();
        let mut hashed = mix(mask.class() + 1, 0);
        if start < core {
            hashed = mix(hashed, hash(part(start, core)));
        }
        if core_end < end {
            let after = part(core_end, end);
            let numbers = mask.swallows_numbers();
            let after = if numbers { hash_collapsed(after) } else { hash(after) };
            hashed = mix(hashed, after ^ 1);
        }
        Token { hash: hashed, mask, ..placed(start, core, core_end, end) }
    }
}

fn word(start: usize, end: usize, hash: u64) -> Token {
    Token { hash, ..placed(start, start, end, end) }
}

fn placed(start: usize, core: usize, core_end: usize, end: usize) -> Token {
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Token {
        hash: 0,
        mask: Mask::Word,
        start: place(start),
        core: place(core),
        core_end: place(core_end),
        end: place(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(message: &str) -> String {
        let mut tokens = Tokens::default();
        tokens.read(message.as_bytes());
        let mut text = Vec::new();
        tokens.render(message.as_bytes(), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_varies_is_masked_by_its_kind() {
        for (message, template) in [
            ("port 22, 15ms 50% -3 1.5 1,024", "port <num>, <num>ms <num> <num> <num> <num>"),
            ("at 10:00:05 or 2024-05-01 or 2024-05-01T10:00:00Z", "at <time> or <time> or <time>"),
            ("to 192.0.2.7:80 (2001:db8::1)", "to <ip>:80 (<ip>)"),
            ("0x1f deadbeef12 eth0 ssh2", "<hex> <hex> eth# ssh#"),
            ("id 550e8400-e29b-41d4-a716-446655440000", "id <uuid>"),
            ("dev 02:42:ac:11:00:02 up", "dev <mac> up"),
            ("open /var/log/x.log, failed", "open <path>, failed"),
            ("mail bob@example.org at mx.example.org.", "mail <email> at <host>."),
            ("see https://example.org/a?b", "see <url>"),
            ("Started nginx.service - web", "Started <unit> - web"),
            ("key SHA256:1L9egjdy9Vpupp2/r8OdUBfESM", "key <digest>"),
            ("file='a b' \"c d\" it's", "file=<quoted> <quoted> it's"),
            (
                "session opened for user bob(uid=7) by (uid=0)",
                "session opened for user <user> by (uid=<num>)",
            ),
            ("Invalid user  a b from 192.0.2.7 port 4", "Invalid user <user> from <ip> port <num>"),
            ("Invalid user from 192.0.2.7", "Invalid user <user>"),
            ("check pass; user unknown", "check pass; user unknown"),
            ("bob : TTY=pts/1 ; COMMAND=/bin/sh -c x", "<user> : TTY=pts/# ; COMMAND=<command>"),
            ("(root) CMD (test -x /a && b)", "(root) CMD <command>"),
            ("[  12.345678] usb 1-1: new", "usb <num>: new"),
            ("", ""),
            ("   ", ""),
        ] {
            assert_eq!(masked(message), template, "{message}");
        }
    }

    #[test]
    fn what_is_typed_into_a_name_is_in_no_template() {
        for message in [
            "Invalid user CANARY x from 192.0.2.1 port 4",
            "input_userauth_request: invalid user CANARY [preauth]",
            "Failed password for CANARY from 192.0.2.1 port 4 ssh2",
            "pam_unix(sshd:auth): authentication failure; rhost=192.0.2.1  user=CANARY",
            "Connection closed by invalid user CANARY 192.0.2.1 port 4 [preauth]",
            "op=login acct=\"CANARY\" exe=\"/usr/sbin/sshd\"",
        ] {
            assert!(!masked(message).contains("CANARY"), "{}", masked(message));
        }
    }

    #[test]
    fn a_long_message_ends_in_one_token() {
        let words = "word ".repeat(TOKENS_MAX);
        let mut tokens = Tokens::default();
        tokens.read(words.trim_end().as_bytes());
        assert_eq!(tokens.len(), TOKENS_MAX);
        let kind = |tokens: &Tokens| tokens.items.last().map(|token| token.mask);
        assert_eq!(kind(&tokens), Some(Mask::Rest));
        tokens.read("word ".repeat(TOKENS_MAX - 1).trim_end().as_bytes());
        assert_eq!((tokens.len(), kind(&tokens)), (TOKENS_MAX - 1, Some(Mask::Word)));
        tokens.read("x".repeat(MESSAGE_BYTES_MAX + 1).as_bytes());
        assert_eq!(tokens.items[0].end as usize, MESSAGE_BYTES_MAX);
        assert_eq!(kind(&tokens), Some(Mask::Blob));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_tokens_that_lie_in_order(message in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::prelude::any::<u8>(),
                proptest::sample::select(b" =\"'(),:./[]@-0a".to_vec()),
            ],
            0..200,
        )) {
            let mut tokens = Tokens::default();
            tokens.read(&message);
            let mut before = 0;
            for token in &tokens.items {
                let Token { start, core, core_end, end, .. } = *token;
                proptest::prop_assert!(before <= start && start <= core, "{token:?}");
                proptest::prop_assert!(core <= core_end && core_end <= end, "{token:?}");
                proptest::prop_assert!(end as usize <= message.len(), "{token:?}");
                before = end;
            }
            let mut text = Vec::new();
            tokens.render(&message, &mut text);
            let spaces = text.iter().filter(|byte| **byte == b' ').count();
            proptest::prop_assert_eq!(spaces, tokens.len().saturating_sub(1));
        }

        #[test]
        fn letters_are_found_as_one_by_one(text in "[A-Za-z;0é ]{0,24}") {
            let bytes = text.as_bytes();
            if let Some(length) = letters(bytes) {
                proptest::prop_assert_eq!(bytes[length], b' ');
                proptest::prop_assert!(bytes[..length].iter().all(|byte| *byte >= b'A'));
            }
        }
    }
}
