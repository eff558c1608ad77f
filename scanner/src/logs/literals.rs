//! Where any of many texts stands in a block, ASCII case aside.
//!
//! Every text is known by two neighbouring windows of four bytes, the rarest that it has in ordinary
//! logs. The windows' hashes are bits of one table that stays in the first-level cache; only every
//! second place of a block is looked up, because of two neighbouring windows one always begins there.
//! What the table lets through is compared in full, so nothing is reported that is not there. Texts
//! too short for that go through a small automaton. Built in microseconds: nothing needs to be stored.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Shortest text that the table can know: two windows of four bytes.
const WINDOWED_BYTES_MIN: usize = 5;
/// Lines of a thousand in which a short text is expected.
const SHORT_FREQUENCY: u32 = 150;
/// Bits of a hash; the table has so many bits: 32 KiB.
const HASH_BITS: u32 = 18;
/// Bits of a hash that choose a word of the table.
const WORDS: usize = 1 << (HASH_BITS - 6);

/// A place where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it begins.
    pub at: u32,
    /// Which text, by its position in the list.
    pub text: u32,
}

/// Texts to look for.
#[derive(Default)]
pub struct Literals {
    texts: Vec<Box<[u8]>>,
    table: Vec<u64>,
    /// Entries of each word of the table: from here to the next.
    first: Vec<u32>,
    entries: Vec<Entry>,
    short: Option<AhoCorasick>,
    /// Positions of the short texts in the list.
    short_texts: Vec<u32>,
    /// Positions of the texts that hold a digit.
    numbered: Vec<u32>,
    /// Their longest parts without a digit, where these are worth a search; made when first needed.
    parts: OnceLock<Box<Parts>>,
}

/// The parts without digits of texts that hold some.
#[derive(Default)]
struct Parts {
    literals: Literals,
    /// Of each part, the texts that it is of.
    texts_of: Vec<Vec<u32>>,
    /// Texts whose parts are too short.
    others: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    text: u32,
    /// Where in the text its window begins.
    offset: u32,
}

impl Literals {
    /// Texts in lower case; empty ones are never found.
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> Self {
        let texts: Vec<Box<[u8]>> = texts.into_iter().map(Box::from).collect();
        let mut entries = Vec::new();
        let mut short_texts = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            if text.len() < WINDOWED_BYTES_MIN {
                if !text.is_empty() {
                    short_texts.push(index);
                }
                continue;
            }
            let offset = rarest(text);
            for offset in [offset, offset + 1] {
                let hash = hash(window(&text[offset..]));
                entries.push(Entry { hash, text: index, offset: offset as u32 });
            }
        }
        entries.sort_unstable_by_key(|entry| (entry.hash, entry.text, entry.offset));
        let (mut table, mut first) = (vec![0; WORDS], vec![0; WORDS + 1]);
        for entry in &entries {
            table[(entry.hash >> 6) as usize] |= 1_u64 << (entry.hash & 63);
            first[(entry.hash >> 6) as usize + 1] += 1;
        }
        for word in 0..WORDS {
            first[word + 1] += first[word];
        }
        let short = (!short_texts.is_empty())
            .then(|| {
                let texts = short_texts.iter().map(|index| &texts[*index as usize]);
                let mut builder = AhoCorasick::builder();
                // Short texts make few states: a table of them all is small and fastest.
                builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA));
                builder.build(texts).ok()
            })
            .flatten();
        let numbered = (0_u32..).zip(&texts);
        let numbered = numbered.filter(|(_, text)| text.iter().any(u8::is_ascii_digit));
        let numbered = numbered.map(|(index, _)| index).collect();
        Self { texts, table, first, entries, short, short_texts, numbered, parts: OnceLock::new() }
    }

    /// The texts, in lower case.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.texts.iter().map(AsRef::as_ref)
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Positions of the texts that hold a digit and may stand in a line that differs from this one only
    /// in its numbers, lowest first; `may` has the last word.
    pub fn numbered(&self, line: &[u8], may: impl Fn(&[u8]) -> bool) -> Vec<u32> {
        if self.numbered.is_empty() {
            return Vec::new();
        }
        let parts = self.parts.get_or_init(|| Box::new(Parts::of(self)));
        let mut found = Vec::new();
        parts.literals.find(line, &mut found);
        let of_parts = found.iter().flat_map(|one| &parts.texts_of[one.text as usize]);
        let mut texts: Vec<u32> = of_parts.chain(&parts.others).copied().collect();
        texts.sort_unstable();
        texts.dedup();
        texts.retain(|text| may(&self.texts[*text as usize]));
        texts
    }

    /// Whether a text holds a digit.
    pub fn is_numbered(&self, text: u32) -> bool {
        self.numbered.binary_search(&text).is_ok()
    }

    /// Whether one of the texts stands in a line, looked for alone.
    pub fn stands(&self, text: u32, line: &[u8]) -> bool {
        let Some(text) = self.texts.get(text as usize) else { return false };
        // A digit is found in nearly every line.
        let rare = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(0);
        let Some(byte) = text.get(rare) else { return false };
        let mut places = memchr::memchr2_iter(*byte, byte.to_ascii_uppercase(), line);
        places.any(|at| {
            let there = at.checked_sub(rare).and_then(|start| line.get(start..start + text.len()));
            there.is_some_and(|there| same(there, text))
        })
    }

    /// Appends every place where a text stands, those of longer texts in the order of the block, then
    /// those of short ones in theirs.
    pub fn find(&self, block: &[u8], found: &mut Vec<Found>) {
        if !self.entries.is_empty() {
            self.find_windows(block, found);
        }
        let Some(short) = &self.short else { return };
        for one in short.find_overlapping_iter(block) {
            let text = self.short_texts[one.pattern().as_usize()];
            found.push(Found { at: u32::try_from(one.start()).unwrap_or(u32::MAX), text });
        }
    }

    fn find_windows(&self, block: &[u8], found: &mut Vec<Found>) {
        let Ok(table) = <&[u64; WORDS]>::try_from(self.table.as_slice()) else { return };
        let known = |window: u32| {
            let hash = hash(window);
            table[(hash >> 6) as usize] >> (hash & 63) & 1
        };
        // Four places at once: most blocks of bytes hold none, and one branch says so.
        let (eights, _) = block.as_chunks::<8>();
        let last = eights.len().saturating_sub(1);
        for (index, eight) in eights.iter().take(last).enumerate() {
            let low = u64::from_le_bytes(*eight);
            let high = u64::from_le_bytes(eights[index + 1]);
            let third = (low >> 48 | high << 16) as u32;
            let bits = known(low as u32)
                | known((low >> 16) as u32) << 1
                | known((low >> 32) as u32) << 2
                | known(third) << 3;
            let mut bits = bits;
            while bits != 0 {
                let at = index * 8 + bits.trailing_zeros() as usize * 2;
                self.confirm(block, at, found);
                bits &= bits - 1;
            }
        }
        let mut at = last * 8;
        while at + 4 <= block.len() {
            self.confirm(block, at, found);
            at += 2;
        }
    }

    /// Reports the texts of which a window begins here and that stand here in full.
    #[inline(never)]
    fn confirm(&self, block: &[u8], at: usize, found: &mut Vec<Found>) {
        let Some(bytes) = block.get(at..at + 4) else { return };
        let hash = hash(window(bytes));
        let word = (hash >> 6) as usize;
        let entries = &self.entries[self.first[word] as usize..self.first[word + 1] as usize];
        for entry in entries.iter().filter(|entry| entry.hash == hash) {
            let text = &self.texts[entry.text as usize];
            let Some(start) = at.checked_sub(entry.offset as usize) else { continue };
            if block.get(start..start + text.len()).is_some_and(|there| same(there, text)) {
                let at = u32::try_from(start).unwrap_or(u32::MAX);
                found.push(Found { at, text: entry.text });
            }
        }
    }
}

impl Parts {
    fn of(all: &Literals) -> Self {
        let mut parts: BTreeMap<&[u8], Vec<u32>> = BTreeMap::new();
        let mut others = Vec::new();
        for index in &all.numbered {
            let pieces = all.texts[*index as usize].split(u8::is_ascii_digit);
            match pieces.max_by_key(|piece| piece.len()) {
                Some(longest) if longest.len() >= WINDOWED_BYTES_MIN => {
                    parts.entry(longest).or_default().push(*index);
                }
                _ => others.push(*index),
            }
        }
        let literals = Literals::new(parts.keys().copied());
        Self { literals, texts_of: parts.into_values().collect(), others }
    }
}

fn same(there: &[u8], text: &[u8]) -> bool {
    there.eq_ignore_ascii_case(text)
}

/// The first four bytes.
fn window(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

/// Letters of either case hash alike (so do some other pairs, which are told apart in full).
#[inline(always)]
fn hash(window: u32) -> u32 {
    (window | 0x2020_2020).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)
}

/// Where the rarest pair of neighbouring windows begins.
fn rarest(text: &[u8]) -> usize {
    let pairs = text.len() - WINDOWED_BYTES_MIN;
    (0..=pairs).min_by_key(|at| pair_frequency(&text[*at..])).unwrap_or(0)
}

fn pair_frequency(text: &[u8]) -> u32 {
    frequency(&text[..4]) + frequency(&text[1..5])
}

/// In how many of a thousand ordinary lines a text stands at most, as far as is known: that of its
/// rarest windows.
pub fn commonness(text: &[u8]) -> u32 {
    if text.len() < WINDOWED_BYTES_MIN {
        // Short texts stand in many lines by chance.
        return SHORT_FREQUENCY;
    }
    pair_frequency(&text[rarest(text)..]) / 2
}

/// Lines of a thousand in which a window stands, roughly: windows that share a place in the table are
/// added up.
fn frequency(window_bytes: &[u8]) -> u32 {
    static TABLE: LazyLock<Vec<u16>> = LazyLock::new(|| {
        let mut table = vec![1_u16; 1 << FREQUENCY_BITS];
        for (word, lines) in COMMON {
            for four in word.as_bytes().windows(4) {
                let place = &mut table[place(four)];
                *place = place.saturating_add(*lines);
            }
        }
        table
    });
    TABLE.get(place(window_bytes)).map_or(1, |lines| u32::from(*lines))
}

/// Bits of the place of a window in the table of frequencies.
const FREQUENCY_BITS: u32 = 12;

fn place(four: &[u8]) -> usize {
    (hash(window(four)) >> (HASH_BITS - FREQUENCY_BITS)) as usize
}

/// Words of ordinary logs (of sshd, cron, sudo, systemd, a firewall, Apache and nginx), and in how many
/// of a thousand lines of its kind of log each stands. Measured; only their order matters.
const COMMON: &[(&str, u16)] = &[
    (" session opened for user ", 270),
    (" session closed for user ", 140),
    ("session ", 450),
    (" for user ", 400),
    ("user=root", 80),
    (" root", 180),
    ("(uid=0)", 190),
    ("pam_unix(cron:session): ", 180),
    ("pam_unix(sshd:session): ", 160),
    ("pam_unix(sudo:session): ", 80),
    ("pam_unix(sshd:auth): ", 100),
    (" sshd[", 400),
    ("sshd", 400),
    (" cron[", 250),
    ("cron", 250),
    (" from ", 300),
    (" port ", 200),
    (" ssh2", 180),
    ("sudo: ", 150),
    (" : tty=", 80),
    ("tty=pts/", 80),
    (" ; pwd=/", 80),
    (" ; user=root ; command=/", 80),
    ("/home/", 60),
    ("/usr/bin/", 60),
    ("/usr/", 70),
    ("/bin/", 70),
    ("kernel: ", 120),
    ("[ufw block] in=", 120),
    (" out= mac=", 120),
    (" src=", 120),
    (" dst=", 120),
    (" len=", 120),
    (" tos=0x00 prec=0x00 ttl=", 120),
    (" id=", 130),
    (" proto=tcp spt=", 120),
    (" dpt=", 120),
    (" window=", 120),
    (" res=0x00 syn urgp=0", 120),
    ("accepted publickey for ", 120),
    ("accepted password for ", 20),
    (" sha256:", 120),
    ("systemd[1]: ", 100),
    ("systemd", 150),
    ("systemd-logind[", 50),
    (" started ", 40),
    ("starting ", 50),
    (".service", 80),
    ("successfully", 50),
    ("deactivated ", 50),
    ("(root) cmd (", 75),
    ("received disconnect from ", 60),
    ("disconnected", 40),
    ("failed password for ", 60),
    ("failed ", 80),
    ("authentication failure", 60),
    ("authentication", 70),
    ("; logname= uid=0 euid=0 tty=ssh ruser= rhost=", 60),
    ("invalid user ", 50),
    ("invalid", 50),
    ("connection", 40),
    ("error", 60),
    (" [preauth]", 80),
    ("http/1.", 1000),
    ("get /", 800),
    ("post /", 200),
    ("mozilla/5.0 (", 830),
    ("applewebkit/", 490),
    ("(khtml, like gecko)", 490),
    ("safari/", 330),
    ("chrome/", 330),
    ("gecko/", 160),
    ("firefox/", 160),
    ("version/", 160),
    ("macintosh; intel mac os x ", 170),
    ("windows nt 10.0; win64; x64", 330),
    ("x11; linux x86_64", 170),
    ("linux", 200),
    ("iphone", 160),
    ("mobile", 160),
    ("compatible; googlebot/", 160),
    ("http://www.", 300),
    ("https://www.", 400),
    ("https://", 400),
    ("http://", 400),
    (".com/", 600),
    (".html", 200),
    (".php", 60),
    ("/index.", 90),
    ("curl/", 160),
    ("/static/", 130),
    ("/api/", 130),
    ("login", 70),
    ("image", 60),
    ("search", 60),
    (".css", 60),
    (".js", 60),
    (".jpg", 60),
    (".png", 60),
    ("[error] ", 300),
    ("[notice] ", 700),
    ("workerenv", 270),
    ("child ", 420),
    ("[client ", 60),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn plainly(texts: &[&[u8]], block: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            for at in 0..block.len() {
                if !text.is_empty()
                    && block.get(at..at + text.len()).is_some_and(|b| b.eq_ignore_ascii_case(text))
                {
                    found.push(Found { at: at as u32, text: index as u32 });
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn every_text_is_found_wherever_it_stands_and_in_either_case() {
        let texts: [&[u8]; 8] = [
            b"failed password",
            b"abc",
            b"",
            b"ssion",
            b"session opened",
            b"\xc3\xbcber",
            b"@[\\]^",
            b"xxxxx",
        ];
        let literals = Literals::new(texts);
        for padding in 0..24 {
            for text in texts {
                let upper = text.to_ascii_uppercase();
                for body in [text, &upper[..]] {
                    let block = [&vec![b'x'; padding][..], body, b"{ab failed passwor"].concat();
                    let mut found = Vec::new();
                    literals.find(&block, &mut found);
                    found.sort();
                    assert_eq!(found, plainly(&texts, &block), "{padding} {text:?}");
                }
            }
        }
    }

    #[test]
    fn places_of_random_bytes_are_those_of_a_plain_search() {
        let mut seed = 7_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 60) as u8
        };
        let block: Vec<u8> = (0..4096).map(|_| b"abCDefG -0123456"[next() as usize]).collect();
        let owned: Vec<Vec<u8>> =
            (0..200).map(|n| block[n * 13..n * 13 + 3 + n % 9].to_ascii_lowercase()).collect();
        let texts: Vec<&[u8]> = owned.iter().map(Vec::as_slice).collect();
        let mut found = Vec::new();
        Literals::new(texts.iter().copied()).find(&block, &mut found);
        found.sort();
        assert_eq!(found, plainly(&texts, &block));
        assert!(found.len() > 200);
    }

    #[test]
    fn rare_words_are_preferred_to_common_ones() {
        assert!(commonness(b"session opened") > commonness(b"failed none for"));
        assert!(commonness(b"sshd") > commonness(b"break-in attempt"));
        let common = Literals::new([&b"session opened for user mallory"[..]]);
        assert!(common.entries[0].offset > 20 || common.entries[1].offset > 20);
    }
}
