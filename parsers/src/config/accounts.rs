//! passwd(5), shadow(5), group(5) and gshadow(5), read as glibc's `files` service reads them.
//!
//! Every field keeps its column. NIS compat lines (`+name`, `-name`, `+@netgroup`) are kept apart;
//! blank lines and `#` comments are skipped. A line with missing or extra fields is a problem, and
//! still gives an entry where glibc would give one, so that nobody hides an account in a malformed
//! line. Password fields become a [`Password`]: what sort of hash it is, never the hash itself.

use std::sync::Arc;

use serde::Serialize;

use super::lines::{Line, numbered};
use super::problems::Problems;
use crate::place::Place;

/// Most bytes of one line (a group may have thousands of members).
pub const LINE_BYTES_MAX: usize = 256 << 10;

/// Most entries of one file.
pub const ENTRIES_MAX: usize = 200_000;

/// One file of accounts.
#[derive(Clone, Debug, Serialize)]
pub struct Table<T> {
    /// Its path.
    pub file: Arc<str>,
    /// Entries in file order.
    pub entries: Vec<T>,
    /// NIS compat lines.
    pub compat: Vec<Row>,
    /// Lines that the format does not accept.
    pub problems: Problems,
}

/// The line of an entry: where it is and where its fields start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1, of every field.
    pub columns: Vec<u32>,
    /// The line as written; holds the hash in shadow files, redact before showing.
    #[serde(skip)]
    pub text: String,
    /// The file.
    #[serde(skip)]
    pub file: Arc<str>,
}

impl Row {
    /// Where a field starts, counted from 0; fields that are missing are at the line's first column.
    pub fn at(&self, field: usize) -> Place {
        Place::new(&self.file, self.line, self.columns.get(field).copied().unwrap_or(1))
    }
}

/// What a password field says, without the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Password {
    /// Empty: no password is asked.
    Empty,
    /// `x`: it is in the shadow file.
    Shadowed,
    /// `*`, `!`, `!!` or anything that no password hashes to.
    Locked,
    /// A hash behind `!` or `*`: unlocking would bring it back.
    LockedHash(Scheme),
    /// A hash that a password may match.
    Hash(Scheme),
}

/// The hashing scheme of a crypt(5) string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// 13 characters without a prefix: 56 bits, eight characters count.
    Des,
    /// `_`: extended DES of BSDi.
    BsdiDes,
    /// `$1$`.
    Md5,
    /// `$md5`: SunMD5.
    SunMd5,
    /// `$3$`: the NT hash.
    Nt,
    /// `$sha1$`.
    Sha1,
    /// `$2a$`, `$2b$`, `$2x$`, `$2y$`.
    Bcrypt,
    /// `$5$`.
    Sha256,
    /// `$6$`.
    Sha512,
    /// `$7$`.
    Scrypt,
    /// `$y$`.
    Yescrypt,
    /// `$gy$`.
    GostYescrypt,
    /// A `$…$` prefix that crypt(5) does not list.
    Other,
}

impl Scheme {
    /// Whether the scheme can be guessed at a rate that no good password survives.
    pub fn is_weak(self) -> bool {
        matches!(self, Self::Des | Self::BsdiDes | Self::Md5 | Self::SunMd5 | Self::Nt | Self::Sha1)
    }

    /// The name that crypt(5) uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Des => "DES",
            Self::BsdiDes => "BSDi extended DES",
            Self::Md5 => "MD5",
            Self::SunMd5 => "SunMD5",
            Self::Nt => "NT",
            Self::Sha1 => "SHA-1",
            Self::Bcrypt => "bcrypt",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
            Self::Scrypt => "scrypt",
            Self::Yescrypt => "yescrypt",
            Self::GostYescrypt => "gost-yescrypt",
            Self::Other => "unknown",
        }
    }
}

impl Password {
    /// What a password field says.
    pub fn of(field: &str) -> Self {
        match field {
            "" => return Self::Empty,
            "x" => return Self::Shadowed,
            _ => {}
        }
        let hash = field.trim_start_matches(['!', '*']);
        match (scheme(hash), hash.len() == field.len()) {
            (Some(scheme), true) => Self::Hash(scheme),
            (Some(scheme), false) => Self::LockedHash(scheme),
            (None, _) => Self::Locked,
        }
    }

    /// Whether somebody could log in with a password.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Empty | Self::Hash(_))
    }
}

fn scheme(hash: &str) -> Option<Scheme> {
    let salt = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/';
    if let Some(rest) = hash.strip_prefix('$') {
        let (id, body) = rest.split_once('$')?;
        if body.is_empty() {
            return None;
        }
        return Some(match id {
            "1" => Scheme::Md5,
            "2a" | "2b" | "2x" | "2y" => Scheme::Bcrypt,
            "3" => Scheme::Nt,
            "5" => Scheme::Sha256,
            "6" => Scheme::Sha512,
            "7" => Scheme::Scrypt,
            "y" => Scheme::Yescrypt,
            "gy" => Scheme::GostYescrypt,
            _ if id == "md5" || id.starts_with("md5,") => Scheme::SunMd5,
            "sha1" => Scheme::Sha1,
            _ => Scheme::Other,
        });
    }
    match hash.strip_prefix('_') {
        Some(rest) if rest.len() == 19 && rest.chars().all(salt) => Some(Scheme::BsdiDes),
        _ if hash.len() == 13 && hash.chars().all(salt) => Some(Scheme::Des),
        _ => None,
    }
}

/// An account of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Login name (field 0).
    pub name: String,
    /// Password field (field 1).
    pub password: Password,
    /// User id (field 2).
    pub uid: u32,
    /// Primary group (field 3).
    pub gid: u32,
    /// Full name and comment (field 4).
    pub gecos: String,
    /// Home directory (field 5).
    pub home: String,
    /// Login shell (field 6); empty means `/bin/sh`.
    pub shell: String,
    /// Its line.
    pub row: Row,
}

/// A line of shadow(5); days count from 1970-01-01.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// Login name (field 0).
    pub name: String,
    /// Password field (field 1).
    pub password: Password,
    /// Day of the last change (field 2); 0 means "must be changed at the next login".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<i64>,
    /// Fewest days between changes (field 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_days: Option<i64>,
    /// Most days between changes (field 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_days: Option<i64>,
    /// Days of warning (field 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_days: Option<i64>,
    /// Days of grace (field 6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_days: Option<i64>,
    /// Day on which the account ends (field 7).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// Its line.
    pub row: Row,
}

/// A group of group(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Name (field 0).
    pub name: String,
    /// Password field (field 1).
    pub password: Password,
    /// Group id (field 2).
    pub gid: u32,
    /// Members (field 3).
    pub members: Vec<String>,
    /// Its line.
    pub row: Row,
}

/// A line of gshadow(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupShadow {
    /// Name (field 0).
    pub name: String,
    /// Password field (field 1).
    pub password: Password,
    /// Administrators (field 2).
    pub administrators: Vec<String>,
    /// Members (field 3).
    pub members: Vec<String>,
    /// Its line.
    pub row: Row,
}

/// Reads passwd(5).
///
/// ```
/// use parsers::config::accounts::passwd;
/// let table = passwd("/etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n");
/// assert_eq!((table.entries[0].uid, table.entries[0].row.at(6).column), (0, 23));
/// ```
pub fn passwd(file: &str, bytes: &[u8]) -> Table<User> {
    read(file, bytes, 4, 7, |fields, row| {
        Ok(User {
            name: fields[0].clone(),
            password: Password::of(&fields[1]),
            uid: id(&fields[2]).ok_or((2, "the user id is not a number"))?,
            gid: id(&fields[3]).ok_or((3, "the group id is not a number"))?,
            gecos: text(fields, 4),
            home: text(fields, 5),
            shell: text(fields, 6),
            row,
        })
    })
}

/// Reads shadow(5).
pub fn shadow(file: &str, bytes: &[u8]) -> Table<Shadow> {
    read(file, bytes, 2, 9, |fields, row| {
        let day = |index: usize| match fields.get(index).map(|text| text.trim()) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| (index, "not a number of days")),
        };
        Ok(Shadow {
            name: fields[0].clone(),
            password: Password::of(&fields[1]),
            changed: day(2)?,
            min_days: day(3)?,
            max_days: day(4)?,
            warn_days: day(5)?,
            inactive_days: day(6)?,
            expires: day(7)?,
            row,
        })
    })
}

/// Reads group(5).
pub fn group(file: &str, bytes: &[u8]) -> Table<Group> {
    read(file, bytes, 3, 4, |fields, row| {
        Ok(Group {
            name: fields[0].clone(),
            password: Password::of(&fields[1]),
            gid: id(&fields[2]).ok_or((2, "the group id is not a number"))?,
            members: names(fields, 3),
            row,
        })
    })
}

/// Reads gshadow(5).
pub fn gshadow(file: &str, bytes: &[u8]) -> Table<GroupShadow> {
    read(file, bytes, 2, 4, |fields, row| {
        Ok(GroupShadow {
            name: fields[0].clone(),
            password: Password::of(&fields[1]),
            administrators: names(fields, 2),
            members: names(fields, 3),
            row,
        })
    })
}

/// Why a line gives no entry: the field and what is wrong with it.
type Refused = (usize, &'static str);

/// Reads the lines of a file: at least `least` fields make an entry, `whole` are proper.
fn read<T>(
    file: &str,
    bytes: &[u8],
    least: usize,
    whole: usize,
    entry: impl Fn(&[String], Row) -> Result<T, Refused>,
) -> Table<T> {
    let file: Arc<str> = file.into();
    let mut table = Table {
        file: Arc::clone(&file),
        entries: Vec::new(),
        compat: Vec::new(),
        problems: Problems::default(),
    };
    for line in numbered(bytes) {
        let start = line.bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if start == line.bytes.len() || line.bytes[start] == b'#' {
            continue;
        }
        if line.bytes.len() > LINE_BYTES_MAX {
            table.problems.push(line.place(&file, 0), "line is too long");
            continue;
        }
        if table.entries.len() == ENTRIES_MAX {
            table.problems.push(line.place(&file, 0), "more entries than the limit; rest not read");
            break;
        }
        let (fields, row) = split(&file, &line, start, whole);
        if matches!(line.bytes[start], b'+' | b'-') {
            table.compat.push(row);
            continue;
        }
        if let Some(message) = shape(&fields, &line, least, whole) {
            table.problems.push(row.at(0), message);
        }
        if fields.len() < least || fields[0].is_empty() {
            continue;
        }
        let places = row.clone();
        match entry(&fields, row) {
            Ok(made) => table.entries.push(made),
            Err((field, message)) => table.problems.push(places.at(field), message),
        }
    }
    table
}

/// Splits at colons; what is past the last proper field belongs to that field, as in glibc.
fn split(file: &Arc<str>, line: &Line<'_>, start: usize, whole: usize) -> (Vec<String>, Row) {
    let mut fields = Vec::with_capacity(whole);
    let mut columns = Vec::with_capacity(whole);
    let mut at = start;
    for part in line.bytes[start..].splitn(whole, |byte| *byte == b':') {
        columns.push(u32::try_from(at + 1).unwrap_or(u32::MAX));
        fields.push(String::from_utf8_lossy(part).into_owned());
        at += part.len() + 1;
    }
    let text = line.text().into_owned();
    (fields, Row { line: line.number, columns, text, file: Arc::clone(file) })
}

/// What is wrong with the shape of a line, if anything.
fn shape(fields: &[String], line: &Line<'_>, least: usize, whole: usize) -> Option<String> {
    if line.bytes.contains(&0) {
        return Some("the line holds a NUL byte".into());
    }
    if fields[0].is_empty() {
        return Some("the name is empty".into());
    }
    let count = line.bytes.iter().filter(|byte| **byte == b':').count() + 1;
    match count {
        _ if count < least => Some(format!("{count} fields instead of {whole}; no entry")),
        _ if count != whole => Some(format!("{count} fields instead of {whole}")),
        _ => None,
    }
}

/// A number as `strtoul` reads it: blanks and a sign before it are allowed.
fn id(text: &str) -> Option<u32> {
    let text = text.trim_start();
    match text.strip_prefix('-') {
        Some(rest) => rest.parse::<u32>().ok().map(u32::wrapping_neg),
        None => text.parse().ok(),
    }
}

fn text(fields: &[String], index: usize) -> String {
    fields.get(index).cloned().unwrap_or_default()
}

fn names(fields: &[String], index: usize) -> Vec<String> {
    let list = fields.get(index).map_or("", String::as_str);
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_columns_and_empty_fields_stay_empty() {
        let table = passwd("/etc/passwd", b"# c\n\nbob::1000:100::/home/bob:\n");
        let bob = &table.entries[0];
        assert_eq!((bob.password, bob.uid, bob.shell.as_str()), (Password::Empty, 1000, ""));
        assert_eq!(bob.row.columns, [1, 5, 6, 11, 15, 16, 26]);
        assert_eq!(bob.row.at(1).to_string(), "/etc/passwd:3:5");
        assert!(table.problems.is_empty());
    }

    #[test]
    fn compat_lines_are_kept_apart() {
        let table = passwd("/etc/passwd", b"+::::::\n+@admins\n-bob\n+root::0:0:::\n");
        assert_eq!((table.entries.len(), table.compat.len()), (0, 4));
        assert!(table.problems.is_empty());
    }

    #[test]
    fn a_malformed_line_is_a_problem_and_hides_nothing() {
        let text = b"evil:x:00:0\nbad:x:zero:0:::\nshort\n:x:1:1:::\nlong:x:5:5:::/bin/sh:more\n";
        let table = passwd("/etc/passwd", text);
        let seen: Vec<_> = table.entries.iter().map(|user| (&*user.name, user.uid)).collect();
        assert_eq!(seen, [("evil", 0), ("long", 5)]);
        assert_eq!(table.entries[1].shell, "/bin/sh:more");
        let places: Vec<_> =
            table.problems.kept.iter().map(|p| (p.place.line, p.place.column)).collect();
        assert_eq!(places, [(1, 1), (2, 7), (3, 1), (4, 1), (5, 1)]);
    }

    #[test]
    fn password_fields_are_named_and_never_kept() {
        for (field, password) in [
            ("", Password::Empty),
            ("x", Password::Shadowed),
            ("*", Password::Locked),
            ("!!", Password::Locked),
            ("!*", Password::Locked),
            ("hunter2", Password::Locked),
            ("ab01FAX.bQRSU", Password::Hash(Scheme::Des)),
            ("$1$abc$defghijklmnopqrstuv", Password::Hash(Scheme::Md5)),
            ("$md5,rounds=5$ab$cd", Password::Hash(Scheme::SunMd5)),
            ("$6$rounds=5000$a$b", Password::Hash(Scheme::Sha512)),
            ("$y$j9T$a$b", Password::Hash(Scheme::Yescrypt)),
            ("!$y$j9T$a$b", Password::LockedHash(Scheme::Yescrypt)),
        ] {
            assert_eq!(Password::of(field), password, "{field}");
        }
        let table = shadow("/etc/shadow", b"bob:$6$a$CANARY42:19000:0:99999:7:::\n");
        assert!(!serde_json::to_string(&table).unwrap().contains("CANARY42"));
        assert_eq!(table.entries[0].max_days, Some(99_999));
    }

    #[test]
    fn groups_list_their_members() {
        let table = group("/etc/group", b"adm:x:4:syslog, bob,\nroot:x:0:\n");
        assert_eq!(table.entries[0].members, ["syslog", "bob"]);
        let table = gshadow("/etc/gshadow", b"adm:$6$a$b:root:bob\n");
        assert_eq!(table.entries[0].password, Password::Hash(Scheme::Sha512));
        assert_eq!(table.entries[0].administrators, ["root"]);
    }

    #[test]
    fn hostile_files_are_bounded() {
        let long = vec![b'a'; LINE_BYTES_MAX + 1];
        assert_eq!(passwd("/p", &long).problems.len(), 1);
        let nul = passwd("/p", b"a\0b:x:0:0:::\n");
        assert_eq!((nul.problems.len(), nul.entries.len()), (1, 1));
        let colons = vec![b':'; LINE_BYTES_MAX];
        assert_eq!(shadow("/p", &colons).problems.len(), 1);
        assert!(group("/p", b"").entries.is_empty());
        assert_eq!(passwd("/p", b"\xff\xfe:x:1:1:::\n").entries.len(), 1);
    }
}
