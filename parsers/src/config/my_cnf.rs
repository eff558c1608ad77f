//! Option files of MySQL and MariaDB (my.cnf), as `my_default.c` reads them (MariaDB 10.11).
//!
//! Groups, `!include` and `!includedir`; `-` and `_` are the same in names; the last value wins. A line
//! longer than the reader's buffer goes on as a new line, a NUL ends a line, a file that everybody may
//! write is ignored, and the last byte of an `!include` without a line end is lost: all as the programs
//! do it. `loose-` is taken off; `skip-`, `disable-` and `enable-` become `0` and `1`, except where an
//! option has that name itself. Which options exist is not judged.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::problems::{Problems, note_unread};
use super::settings::Settings;
use crate::place::{Place, Placed};
use crate::tree::{CONFIG_BYTES_MAX, FileKind, Links, LookError, MemoryTree, Tree, Why};

/// Deepest nesting of includes, as in the programs.
pub const DEPTH_MAX: usize = 10;

/// Most files of one configuration.
pub const FILES_MAX: usize = 1_000;

/// Most bytes of one configuration, included files counted.
pub const BYTES_MAX: usize = 16 << 20;

/// Most options of one configuration.
pub const OPTIONS_MAX: usize = 200_000;

/// Bytes of a line that are read at once; the rest is a line of its own.
pub const LINE_BYTES_MAX: usize = 4_094;

/// Groups that the server reads (MariaDB 10.11, without those of other versions).
pub const SERVER_GROUPS: [&str; 8] = [
    "mysqld",
    "server",
    "mysqld-10.11",
    "mariadb",
    "mariadb-10.11",
    "mariadbd",
    "mariadbd-10.11",
    "galera",
];

/// One option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opt {
    /// The group it stands in.
    pub group: Arc<str>,
    /// Its name as written.
    pub name: String,
    /// Its name with `_` and without `loose_`, `skip_`, `disable_` and `enable_`.
    pub key: String,
    /// Its value, and where its name is; `0` and `1` for `skip-` and `enable-`, else empty where no
    /// value is written. May be a secret.
    #[serde(flatten)]
    pub value: Placed<String>,
    /// What stands behind the `=`, unquoted; `None` without one.
    pub written: Option<String>,
}

/// The options of one configuration, in the order of reading.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MyCnf {
    /// Every option, also those that a later one overrides.
    pub options: Vec<Opt>,
    /// Files in the order of reading.
    pub files: Vec<Arc<str>>,
    /// Lines with a fault.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
    /// Whether programs refuse to start with it: the main file has a fault that ends its reading.
    pub refused: bool,
}

impl MyCnf {
    /// Reads an option file with its includes.
    ///
    /// # Errors
    /// When the file itself cannot be read.
    ///
    /// ```
    /// use parsers::config::my_cnf::MyCnf;
    /// let read = MyCnf::parse("/etc/my.cnf", b"[mysqld]\nskip-log-bin\nmax_connections = '10' # c\n");
    /// let settings = read.settings();
    /// assert_eq!(settings.value("mysqld.log_bin"), Some("0"));
    /// assert_eq!(settings.value("mysqld.max_connections"), Some("10"));
    /// ```
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        let mut reader = Reader { tree, all: Self::default(), bytes_left: BYTES_MAX };
        let bytes = reader.bytes(Path::new(path))?;
        reader.all.refused = reader.text(Path::new(path), &bytes, 0).is_err();
        Ok(reader.all)
    }

    /// Reads the text of one file alone.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let nothing = MemoryTree::new();
        let mut reader = Reader { tree: &nothing, all: Self::default(), bytes_left: BYTES_MAX };
        reader.all.refused = reader.text(Path::new(file), bytes, 0).is_err();
        reader.all
    }

    /// What holds, by `group.key`.
    pub fn settings(&self) -> Settings {
        self.collect(|option| Some(format!("{}.{}", option.group, option.key)))
    }

    /// What holds for a program that reads these groups, by key: the last value in the order of reading,
    /// whatever its group.
    pub fn effective(&self, groups: &[&str]) -> Settings {
        let is_read =
            |option: &Opt| groups.iter().any(|group| group.eq_ignore_ascii_case(&option.group));
        self.collect(|option| is_read(option).then(|| option.key.clone()))
    }

    fn collect(&self, key: impl Fn(&Opt) -> Option<String>) -> Settings {
        let mut settings = Settings::default();
        settings.files.clone_from(&self.files);
        for option in &self.options {
            if let Some(key) = key(option) {
                settings.set(&key, option.value.clone());
            }
        }
        settings
    }
}

/// The rest of a file is not read.
struct GivenUp;

struct Reader<'a> {
    tree: &'a dyn Tree,
    all: MyCnf,
    bytes_left: usize,
}

impl Reader<'_> {
    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, LookError> {
        if self.all.files.len() == FILES_MAX {
            return Err(LookError::new(path, Why::TooMany(FILES_MAX)));
        }
        let bytes = self.tree.read(path, CONFIG_BYTES_MAX.min(self.bytes_left))?;
        self.bytes_left -= bytes.len();
        Ok(bytes)
    }

    fn text(&mut self, path: &Path, bytes: &[u8], depth: usize) -> Result<(), GivenUp> {
        let file: Arc<str> = path.to_string_lossy().into();
        self.all.files.push(Arc::clone(&file));
        let stat = self.tree.stat(path, Links::Follow);
        if stat.is_ok_and(|stat| stat.mode & 0o002 != 0 && stat.kind == FileKind::Regular) {
            let message = "everybody may write this file, so it is ignored";
            self.all.problems.push(Place::whole(file), message);
            return Ok(());
        }
        let mut group: Option<Arc<str>> = None;
        for (number, line) in (1_u32..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            let mut start = 0;
            for piece in line.chunks(LINE_BYTES_MAX) {
                let mut place = Place::new(&file, number, 1);
                if piece.contains(&0) {
                    self.all.problems.push(place.clone(), "a NUL byte ends the line");
                }
                let text = piece.split(|byte| *byte == 0).next().unwrap_or_default();
                let blanks = text.iter().take_while(|byte| is_space(**byte)).count();
                place.column = u32::try_from(start + blanks + 1).unwrap_or(u32::MAX);
                start += piece.len();
                self.line(&text[blanks..], place, &mut group, path, depth)?;
            }
        }
        Ok(())
    }

    fn line(
        &mut self,
        text: &[u8],
        place: Place,
        group: &mut Option<Arc<str>>,
        from: &Path,
        depth: usize,
    ) -> Result<(), GivenUp> {
        match text {
            [] | [b'#' | b';', ..] => Ok(()),
            [b'!', rest @ ..] => self.directive(rest, place, from, depth),
            [b'[', rest @ ..] => {
                let Some(end) = memchr::memchr(b']', rest) else {
                    self.all
                        .problems
                        .push(place, "a group without `]`; the file is not read further");
                    return Err(GivenUp);
                };
                *group = Some(String::from_utf8_lossy(trim_end(&rest[..end])).into());
                Ok(())
            }
            _ => match group {
                Some(group) => {
                    self.option(text, place, group);
                    Ok(())
                }
                None => {
                    let message = "an option before any group; the file is not read further";
                    self.all.problems.push(place, message);
                    Err(GivenUp)
                }
            },
        }
    }

    fn directive(
        &mut self,
        rest: &[u8],
        place: Place,
        from: &Path,
        depth: usize,
    ) -> Result<(), GivenUp> {
        let blanks = rest.iter().take_while(|byte| is_space(**byte)).count();
        let rest = &rest[blanks..];
        let word = rest.iter().take_while(|byte| !is_space(**byte)).count();
        let is_directory = match &rest[..word] {
            b"includedir" if word < rest.len() => true,
            b"include" if word < rest.len() => false,
            _ => {
                self.all.problems.push(place, "not an include; the line is ignored");
                return Ok(());
            }
        };
        if depth == DEPTH_MAX {
            self.all.problems.push(place, "includes are nested too deep; the line is ignored");
            return Ok(());
        }
        let argument = &rest[word..];
        let argument = &argument[argument.iter().take_while(|byte| is_space(**byte)).count()..];
        // The programs take the last byte for the line's end without looking.
        let argument =
            trim_end(argument.get(..argument.len().saturating_sub(1)).unwrap_or_default());
        if argument.is_empty() {
            self.all
                .problems
                .push(place, "an include without a name; the file is not read further");
            return Err(GivenUp);
        }
        if !rest.ends_with(b"\n") {
            let message = "the line does not end, so the last byte of the name is lost";
            self.all.problems.push(place.clone(), message);
        }
        let name = String::from_utf8_lossy(argument).into_owned();
        if !name.starts_with('/') {
            let message =
                "a relative include: where it leads depends on where a program is started";
            self.all.problems.push(place, message);
            let why = Why::Io(format!("relative include in {}", from.display()));
            note_unread(&mut self.all.unread, LookError::new(Path::new(&name), why));
            return Ok(());
        }
        if is_directory {
            self.directory(Path::new(&name), place, depth)
        } else {
            self.file(Path::new(&name), depth);
            Ok(())
        }
    }

    fn directory(&mut self, path: &Path, place: Place, depth: usize) -> Result<(), GivenUp> {
        let entries = match self.tree.list(path) {
            Ok(entries) => entries,
            Err(error) => {
                let message = "the directory cannot be read; the file is not read further";
                self.all.problems.push(place, message);
                if !error.not_found() {
                    note_unread(&mut self.all.unread, error);
                }
                return Err(GivenUp);
            }
        };
        for entry in entries {
            let name = entry.path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
            if name.ends_with(b".cnf") && entry.kind != FileKind::Directory {
                if self.all.files.len() == FILES_MAX {
                    let why = Why::TooMany(FILES_MAX);
                    note_unread(&mut self.all.unread, LookError::new(path, why));
                    break;
                }
                self.file(&entry.path, depth);
            }
        }
        Ok(())
    }

    /// An included file; that it is not there is no fault, and a fault in it does not end the outer one.
    fn file(&mut self, path: &Path, depth: usize) {
        match self.bytes(path) {
            Ok(bytes) => drop(self.text(path, &bytes, depth + 1)),
            Err(error) if error.not_found() => {}
            Err(error) => note_unread(&mut self.all.unread, error),
        }
    }

    fn option(&mut self, text: &[u8], place: Place, group: &Arc<str>) {
        if self.all.options.len() == OPTIONS_MAX {
            return self.all.problems.push(place, "more options than the limit");
        }
        let line = String::from_utf8_lossy(trim_end(text)).into_owned();
        let text = &text[..comment(text)];
        let equals = memchr::memchr(b'=', text);
        let name = trim_end(&text[..equals.unwrap_or(text.len())]);
        let name = String::from_utf8_lossy(name).into_owned();
        let written =
            equals.map(|at| String::from_utf8_lossy(&value(&text[at + 1..])).into_owned());
        let (key, implied) = canonical(&name);
        if key.is_empty() {
            self.all.problems.push(place.clone(), "a value without a name");
        }
        let value = written.clone().or(implied.map(str::to_string)).unwrap_or_default();
        let value = Placed { value, place, text: line };
        self.all.options.push(Opt { group: Arc::clone(group), name, key, value, written });
    }
}

/// Options whose own name starts with `skip_`.
const SKIP_OWN: [&str; 12] = [
    "skip_bdb",
    "skip_grant_tables",
    "skip_host_cache",
    "skip_name_resolve",
    "skip_networking",
    "skip_new",
    "skip_parallel_replication",
    "skip_replication",
    "skip_show_database",
    "skip_slave_start",
    "skip_stack_trace",
    "skip_test_db",
];

/// The name as programs compare it, and the value that a prefix gives.
fn canonical(name: &str) -> (String, Option<&'static str>) {
    let key = name.replace('-', "_");
    let key = key.strip_prefix("loose_").unwrap_or(&key);
    if SKIP_OWN.contains(&key) {
        return (key.to_string(), None);
    }
    for (prefix, value) in [("skip_", "0"), ("disable_", "0"), ("enable_", "1")] {
        if let Some(rest) = key.strip_prefix(prefix) {
            return (rest.to_string(), Some(value));
        }
    }
    (key.to_string(), None)
}

/// Where a `#` outside of quotes starts a comment, or the end.
fn comment(text: &[u8]) -> usize {
    let (mut quote, mut escape) = (None, false);
    for (index, byte) in text.iter().enumerate() {
        if matches!(byte, b'\'' | b'"') && !escape {
            match quote {
                None => quote = Some(*byte),
                Some(open) if open == *byte => quote = None,
                Some(_) => {}
            }
        }
        if quote.is_none() && *byte == b'#' {
            return index;
        }
        escape = quote.is_some() && *byte == b'\\' && !escape;
    }
    text.len()
}

/// A value without blanks, quotes around it, and escapes.
fn value(text: &[u8]) -> Vec<u8> {
    let blanks = text.iter().take_while(|byte| is_space(**byte)).count();
    let mut text = trim_end(&text[blanks..]);
    if let [quote @ (b'\'' | b'"'), inner @ .., last] = text
        && quote == last
    {
        text = inner;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek().copied()) {
            (b'\\', Some(next)) => {
                bytes.next();
                match next {
                    b'n' => out.push(b'\n'),
                    b't' => out.push(b'\t'),
                    b'r' => out.push(b'\r'),
                    b'b' => out.push(8),
                    b's' => out.push(b' '),
                    b'"' | b'\'' | b'\\' => out.push(next),
                    other => out.extend([b'\\', other]),
                }
            }
            (byte, _) => out.push(byte),
        }
    }
    out
}

/// Blanks of Latin-1, which the programs use whatever the text is: the no-break space is one.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13 | 0xa0)
}

fn trim_end(text: &[u8]) -> &[u8] {
    let kept = text.iter().rposition(|byte| !is_space(*byte)).map_or(0, |at| at + 1);
    &text[..kept]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lose_quotes_escapes_and_comments() {
        let text = b"[client]\n a = \"x # y\" # c\nb='it\\'s\\tz\\q'\nc = it's # no comment\nd\ne =\n;f\n[x]\na=1\n";
        let all = MyCnf::parse("/my.cnf", text);
        let value = |key: &str| all.settings().value(key).map(str::to_string);
        assert_eq!(value("client.a").as_deref(), Some("x # y"));
        assert_eq!(value("client.b").as_deref(), Some("it's\tz\\q"));
        assert_eq!(value("client.c").as_deref(), Some("it's # no comment"));
        assert_eq!((value("client.d"), value("client.e")), (Some("".into()), Some("".into())));
        assert_eq!(all.options[0].value.place, Place::new(&"/my.cnf".into(), 2, 2));
        assert!(all.problems.is_empty() && !all.refused);
    }

    #[test]
    fn names_are_the_same_with_dashes_and_prefixes() {
        let text = b"[mysqld]\nskip-networking\nlog-bin=x\nloose_skip_log_bin\nenable-foo\nfoo_bar=1\nfoo-bar=2\n\
            [server]\nfoo-bar=3\n";
        let settings = MyCnf::parse("/my.cnf", text).effective(&SERVER_GROUPS);
        assert_eq!(settings.value("skip_networking"), Some(""));
        assert_eq!(settings.value("log_bin"), Some("0"));
        assert_eq!(settings.value("foo"), Some("1"));
        let foo = settings.get("foo_bar").unwrap();
        assert_eq!((foo.value(), foo.overrides.len()), (Some("3"), 2));
    }

    #[test]
    fn includes_are_read_in_place_and_their_faults_end_them_alone() {
        let tree = MemoryTree::new()
            .file(
                "/my.cnf",
                "[a]\nx=1\n!include /b.cnf\n!includedir /d\n!include /none\nz=1\n!other\n",
            )
            .file("/b.cnf", "x=2\n")
            .file("/d/2.cnf", "[a]\nx=4\n")
            .file("/d/1.cnf", "[a]\nx=3\n")
            .file("/d/1.conf", "[a]\nx=9\n")
            .file_with("/d/0.cnf", "[a]\nx=0\n", 0o666, 0, 0)
            .special("/d/f.cnf", FileKind::Fifo);
        let all = MyCnf::read(&tree, "/my.cnf").unwrap();
        let values: Vec<_> = all.options.iter().map(|o| o.value.value.as_str()).collect();
        assert_eq!(values, ["1", "3", "4", "1"]);
        assert_eq!((all.problems.len(), all.unread.len(), all.refused), (3, 1, false));
        let tree = MemoryTree::new().file("/my.cnf", "[a]\nx=1\n!includedir /none\ny=1\n");
        let all = MyCnf::read(&tree, "/my.cnf").unwrap();
        assert!(all.refused && all.options.len() == 1);
    }

    #[test]
    fn what_the_programs_cut_is_cut() {
        let long = format!("[a]\nx={}\n[b]\ny=1\0z\n", "v".repeat(LINE_BYTES_MAX));
        let all = MyCnf::parse("/x", long.as_bytes());
        let names: Vec<_> = all.options.iter().map(|o| (o.name.as_str(), &*o.group)).collect();
        assert_eq!(names, [("x", "a"), ("vv", "a"), ("y", "b")]);
        assert_eq!(all.options[1].value.place.column as usize, LINE_BYTES_MAX + 1);
        let tree = MemoryTree::new().file("/x", "!include /y.cnf").file("/y.cn", "[a]\nx=1\n");
        let all = MyCnf::read(&tree, "/x").unwrap();
        assert_eq!((all.options.len(), all.problems.len()), (1, 1));
    }

    #[test]
    fn hostile_files_end_bounded() {
        let tree = MemoryTree::new().file("/x", "!include /x\n!include /x\n[a]\nk=1\n");
        let all = MyCnf::read(&tree, "/x").unwrap();
        assert_eq!(all.files.len(), FILES_MAX);
        assert!(all.unread.iter().any(|error| error.why == Why::TooMany(FILES_MAX)));
        let all = MyCnf::parse("/x", &vec![b'['; 10 << 20]);
        assert!(all.refused && all.problems.len() == 1);
        let many = [b"[a]\n".as_slice(), &b"k\n".repeat(OPTIONS_MAX + 1)].concat();
        let all = MyCnf::parse("/x", &many);
        assert_eq!((all.options.len(), all.problems.len()), (OPTIONS_MAX, 1));
        assert!(MyCnf::parse("/x", &many[..many.len() - 2]).problems.is_empty());
        assert_eq!(MyCnf::parse("/x", b"[a]\n=x\n!include r\n").problems.len(), 2);
    }
}
