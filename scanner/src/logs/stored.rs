//! Rules and jails that were read before, as bytes: what a program keeps so that the same files need not
//! be read, checked and compiled at every start.
//!
//! Decoding is bounded in size, nesting and count, and what does not hang together is refused as a whole:
//! a caller then reads the files again. Whether bytes are what this program wrote for files that have not
//! changed is the caller's to know.

use parsers::place::Problem;
use parsers::rules::sigma::Document;
use serde::{Deserialize, Serialize};

use super::fail2ban::{Jail, Jails, StoredJail};
use super::matcher::RULES_MAX;

/// Most bytes that are decoded.
pub const BYTES_MAX: usize = 16 << 20;

/// Most jails.
pub const JAILS_MAX: usize = 2_000;

/// First bytes of an entry.
const MAGIC: &[u8; 8] = b"wm-rule1";

/// Most files and directories of an entry.
const INPUTS_MAX: usize = 50_000;

/// One thing that was kept, and what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'b> {
    /// What it is and which program made it, as a digest.
    pub key: [u8; 32],
    /// Everything that was looked at to make it.
    #[serde(borrow)]
    pub inputs: Vec<(&'b [u8], Stamp)>,
    /// The thing.
    pub body: &'b [u8],
}

/// A file or directory as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stamp {
    /// There was none of that name.
    Absent,
    /// What changes when its contents do.
    There {
        /// Device.
        device: u64,
        /// Inode.
        inode: u64,
        /// Bytes.
        size: u64,
        /// Last change of contents: seconds and nanoseconds since the epoch.
        modified: (i64, u32),
        /// Last change of anything, which no program can set back.
        changed: (i64, u32),
    },
}

impl<'b> Entry<'b> {
    /// The entry as a file; `None` where it would be too large to be read again.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let body = to_bytes(self)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&sum(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        Some(bytes).filter(|bytes| bytes.len() <= BYTES_MAX)
    }

    /// Reads an entry; `None` for what is damaged or something else.
    pub fn from_bytes(bytes: &'b [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (expected, body) = rest.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*expected) != sum(body) {
            return None;
        }
        from_bytes(body).filter(|entry: &Self| entry.inputs.len() <= INPUTS_MAX)
    }
}

/// Against damage, not against somebody who means it: who may write the file is the caller's to check.
fn sum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// Documents as bytes; `None` where they are more than is decoded again.
pub fn rules_to_bytes(documents: &[Document]) -> Option<Vec<u8>> {
    to_bytes(documents)
}

/// The documents of [`rules_to_bytes`].
pub fn rules_from_bytes(bytes: &[u8]) -> Option<Vec<Document>> {
    let documents: Vec<Document> = from_bytes(bytes)?;
    let sound = documents.len() <= RULES_MAX && documents.iter().all(Document::is_sound);
    sound.then_some(documents)
}

/// Jails and the problems of those that cannot be used, as bytes; `None` where they are too many.
pub fn jails_to_bytes(jails: &Jails) -> Option<Vec<u8>> {
    to_bytes(&(&jails.jails, &jails.problems))
}

/// The jails of [`jails_to_bytes`]; `last_year` as for [`super::fail2ban::Filter::compile`].
pub fn jails_from_bytes(bytes: &[u8], last_year: i16) -> Option<Jails> {
    let (stored, problems): (Vec<StoredJail>, Vec<(String, Problem)>) = from_bytes(bytes)?;
    if stored.len() > JAILS_MAX {
        return None;
    }
    let jails: Option<Vec<Jail>> =
        stored.into_iter().map(|jail| Jail::from_stored(jail, last_year)).collect();
    Some(Jails { jails: jails?, problems })
}

fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Option<Vec<u8>> {
    postcard::to_stdvec(value).ok().filter(|bytes| bytes.len() <= BYTES_MAX)
}

/// Every byte has to belong to the value.
fn from_bytes<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Option<T> {
    if bytes.len() > BYTES_MAX {
        return None;
    }
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::content;
    use super::super::fail2ban::Filter;
    use super::*;
    use parsers::rules::fail2ban::{Backend, call, filter};
    use parsers::tree::MemoryTree;

    fn filter(text: &str) -> Filter {
        let tree = MemoryTree::new().file("/f/filter.d/x.conf", text);
        let call = call::parse("x").unwrap();
        let definition = filter::load(&tree, "/f".as_ref(), &call, Backend::File).unwrap();
        Filter::compile(&definition, 2029).unwrap()
    }

    fn jail(filter: Filter) -> Jail {
        Jail {
            name: "x".into(),
            filter,
            logpath: vec!["/var/log/x*".into()],
            reads_journal: false,
            maxretry: 3,
            findtime_s: 60.0,
            bantime_s: -1.0,
            ignored: vec![("127.0.0.0".parse().unwrap(), 8)],
            ignored_names: vec!["here".into()],
            zone: Some("UTC".into()),
        }
    }

    #[test]
    fn rules_come_back_as_they_were() {
        let documents = content::documents().unwrap();
        let bytes = rules_to_bytes(&documents).unwrap();
        let again = rules_from_bytes(&bytes).unwrap();
        assert_eq!(
            serde_json::to_string(&again).unwrap(),
            serde_json::to_string(&documents).unwrap()
        );
        for end in (0..bytes.len()).step_by(997) {
            assert!(rules_from_bytes(&bytes[..end]).is_none(), "{end}");
        }
        assert!(rules_from_bytes(&[&bytes[..], b"x"].concat()).is_none());
    }

    #[test]
    fn jails_come_back_and_judge_the_same() {
        let text = "[Definition]\nprefregex = ^\\s*\\S+ srv\\[\\d+\\]: <F-CONTENT>.+</F-CONTENT>$\n\
            failregex = ^bad <F-USER>\\S+</F-USER> from <HOST>$\n ^worse from <ADDR>\n\
            ignoreregex = ^bad test\ndatepattern = ^%%Y-%%m-%%d %%H:%%M:%%S\n";
        let lines: Vec<Vec<u8>> = [
            "2026-01-01 10:00:00 h srv[1]: bad bob from 192.0.2.1",
            "2026-01-01 10:00:00 h srv[1]: bad test from 192.0.2.1",
            "2026-01-01 10:00:00 h srv[1]: worse from 2001:db8::1 now",
            "2026-01-01 10:00:00 h srv[1]: good bob from 192.0.2.1",
            "h srv[1]: bad bob from example.org",
            "",
        ]
        .map(|line| line.as_bytes().to_vec())
        .into();
        let problem = Problem { place: parsers::place::Place::whole("y"), message: "z".into() };
        let jails =
            Jails { jails: vec![jail(filter(text))], problems: vec![("y".into(), problem)] };
        let bytes = jails_to_bytes(&jails).unwrap();
        let again = jails_from_bytes(&bytes, 2029).unwrap();
        assert_eq!(again.problems, jails.problems);
        let (old, new) = (&jails.jails[0], &again.jails[0]);
        assert_eq!(
            (&new.name, &new.logpath, new.maxretry, new.findtime_s, new.bantime_s),
            (&old.name, &old.logpath, old.maxretry, old.findtime_s, old.bantime_s)
        );
        assert_eq!(
            (&new.ignored, &new.ignored_names, &new.zone),
            (&old.ignored, &old.ignored_names, &old.zone)
        );
        assert_eq!(new.filter.needed(), old.filter.needed());
        let judged = |filter: &Filter| {
            let mut scratch = super::super::fail2ban::Scratch::default();
            lines.iter().map(|line| filter.examine(line, &mut scratch)).collect::<Vec<_>>()
        };
        assert_eq!(judged(&new.filter), judged(&old.filter));
        assert_eq!(judged(&new.filter).iter().flatten().count(), 4);
        assert_eq!(jails_to_bytes(&again).unwrap(), bytes);
    }

    #[test]
    fn a_stored_text_that_is_no_expression_is_undecided_and_never_passed_over() {
        let jails = Jails {
            jails: vec![jail(filter("[Definition]\nfailregex = ^bad (?:one|two) <HOST>\n"))],
            problems: Vec::new(),
        };
        let mut bytes = jails_to_bytes(&jails).unwrap();
        let at = memchr::memmem::find(&bytes, b"(?:one").unwrap();
        bytes[at..at + 6].copy_from_slice(b"(((((?");
        let filter = &jails_from_bytes(&bytes, 2029).unwrap().jails[0].filter;
        let seen = filter.examine_candidate(b"bad one 192.0.2.1", &mut Default::default());
        assert_eq!(seen.unwrap().sight, super::super::fail2ban::Sight::Undecided);
    }

    #[test]
    fn entries_are_whole_or_nothing() {
        let there =
            Stamp::There { device: 1, inode: 2, size: 3, modified: (4, 5), changed: (6, 7) };
        let inputs = vec![(&b"/a"[..], there), (&b"/b.local"[..], Stamp::Absent)];
        let entry = Entry { key: [9; 32], inputs, body: b"rules" };
        let bytes = entry.to_bytes().unwrap();
        assert_eq!(Entry::from_bytes(&bytes).unwrap(), entry);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 4;
            assert_eq!(Entry::from_bytes(&other), None, "{at}");
            assert_eq!(Entry::from_bytes(&bytes[..at]), None, "{at}");
        }
        let huge = vec![0; BYTES_MAX];
        assert!(Entry { key: [0; 32], inputs: Vec::new(), body: &huge }.to_bytes().is_none());
    }
}
