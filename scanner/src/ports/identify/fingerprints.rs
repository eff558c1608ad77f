//! Fingerprints at work: a text and its kind become facts.
//!
//! [`Fingerprints`] holds databases (our own, and those of a directory in the recog form that the user
//! names), [`Fingerprints::name`] asks those for one kind of text, the preferred first. In a database
//! the first fingerprint that matches wins. Expressions are compiled when they are first asked, since
//! most never are; one that does not compile is never asked, and [`verify`](super::verify) tells it.
//!
//! Texts that are ASCII or no UTF-8 are matched as bytes; others as UTF-8 first, so that `.` is a
//! character, then as bytes. What a fingerprint says of an operating system (`os.*`) is kept apart from
//! what it says of the service, and nothing is ever judged by it: packagers' suffixes are misread.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use parsers::rules::recog::{self, Database, Fingerprint, Value};
use regex::bytes::{Regex, RegexBuilder};

/// Most bytes of a compiled expression; recog repeats classes hundreds of times.
const COMPILED_BYTES_MAX: usize = 16 << 20;
/// Most bytes of a text that is matched.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Most bytes of one fact; longer ones are cut.
const FACT_BYTES_MAX: usize = 512;

/// Our own fingerprints, made ready by the build script.
const BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fingerprints.bin"));
/// Their files, with their texts.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/fingerprints.rs"));

/// What a fingerprint said: `service.product` → `OpenSSH`.
pub type Facts = BTreeMap<String, String>;

/// Databases, the preferred first.
#[derive(Clone, Debug, Default)]
pub struct Fingerprints {
    databases: Vec<Arc<Ready>>,
}

/// One database with its expressions.
#[derive(Debug)]
pub struct Ready {
    /// As it was read.
    pub database: Database,
    expressions: Vec<Expression>,
}

/// The forms of one expression, each compiled when it is first needed.
#[derive(Debug, Default)]
struct Expression {
    bytes: OnceLock<Option<Regex>>,
    unicode: OnceLock<Option<Regex>>,
}

impl Fingerprints {
    /// Our own.
    pub fn built_in() -> &'static Self {
        static READY: LazyLock<Fingerprints> = LazyLock::new(|| {
            let databases: Vec<Database> = postcard::from_bytes(BUILT_IN).unwrap_or_default();
            Fingerprints::default().with(databases)
        });
        &READY
    }

    /// These and more; where preferences are the same, those that were here first stay first.
    pub fn with(mut self, databases: Vec<Database>) -> Self {
        self.databases.extend(databases.into_iter().map(|database| Arc::new(Ready::new(database))));
        self.databases.sort_by(|a, b| b.database.preference.total_cmp(&a.database.preference));
        self
    }

    /// The databases.
    pub fn databases(&self) -> impl Iterator<Item = &Ready> {
        self.databases.iter().map(Arc::as_ref)
    }

    /// What is known of a text of a kind (`ssh.banner`), if anything is.
    pub fn name(&self, kind: &str, text: &[u8]) -> Option<Facts> {
        self.databases()
            .filter(|ready| ready.database.matches == kind)
            .find_map(|ready| ready.first(text).map(|(_, facts)| facts))
    }

    /// A hash over everything that decides what a text is named, for caches.
    pub fn digest(&self) -> [u8; 32] {
        use sha2::Digest;
        let mut hash = sha2::Sha256::new();
        for ready in self.databases() {
            // A database is plain data: it always encodes.
            hash.update(postcard::to_stdvec(&ready.database).unwrap_or_default());
        }
        hash.finalize().into()
    }
}

impl Ready {
    fn new(database: Database) -> Self {
        let expressions = database.fingerprints.iter().map(|_| Expression::default()).collect();
        Self { database, expressions }
    }

    /// The first fingerprint that matches, with what it says.
    pub fn first(&self, text: &[u8]) -> Option<(usize, Facts)> {
        (0..self.expressions.len()).find_map(|index| Some((index, self.ask(index, text)?)))
    }

    /// What one fingerprint says of a text, if it matches.
    pub fn ask(&self, index: usize, text: &[u8]) -> Option<Facts> {
        let text = &text[..text.len().min(TEXT_BYTES_MAX)];
        let fingerprint = &self.database.fingerprints[index];
        let expression = &self.expressions[index];
        let found = match !text.is_ascii() && std::str::from_utf8(text).is_ok() {
            true => expression.unicode(fingerprint).and_then(|regex| regex.captures(text)),
            false => None,
        };
        let found = found.or_else(|| expression.bytes(fingerprint)?.captures(text))?;
        Some(self.facts(fingerprint, &found))
    }

    /// Why an expression does not compile, if it does not.
    pub fn error(&self, index: usize) -> Option<String> {
        let fingerprint = &self.database.fingerprints[index];
        self.expressions[index].bytes(fingerprint).is_none().then(|| {
            let error = builder(fingerprint, true).build().err();
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            let last = error.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_string()
        })
    }

    fn facts(&self, fingerprint: &Fingerprint, found: &regex::bytes::Captures) -> Facts {
        let mut facts = Facts::new();
        for param in &fingerprint.params {
            let value = match &param.value {
                Value::Fixed(value) => value.clone(),
                Value::Group(group) => match found.get(usize::from(*group)) {
                    Some(group) => text_of(group.as_bytes()),
                    None => continue,
                },
            };
            facts.insert(param.name.clone(), value);
        }
        if let Some(protocol) = &self.database.protocol {
            facts.entry("service.protocol".to_string()).or_insert_with(|| protocol.clone());
        }
        for param in &fingerprint.params {
            if let Value::Fixed(pattern) = &param.value
                && pattern.contains('{')
            {
                match filled(&param.name, pattern, &facts) {
                    Some(value) => facts.insert(param.name.clone(), value),
                    None => facts.remove(&param.name),
                };
            }
        }
        facts.retain(|name, _| !name.starts_with("_tmp."));
        facts
    }
}

impl Expression {
    fn bytes(&self, of: &Fingerprint) -> Option<&Regex> {
        // An expression with letters beyond ASCII in a class has no form over bytes.
        let compile = || builder(of, false).build().or_else(|_| builder(of, true).build()).ok();
        self.bytes.get_or_init(compile).as_ref()
    }

    fn unicode(&self, of: &Fingerprint) -> Option<&Regex> {
        self.unicode.get_or_init(|| builder(of, true).build().ok()).as_ref()
    }
}

fn builder(fingerprint: &Fingerprint, unicode: bool) -> RegexBuilder {
    let mut builder = RegexBuilder::new(&recog::translated(fingerprint));
    builder.unicode(unicode).size_limit(COMPILED_BYTES_MAX);
    builder
}

/// A value with `{other.name}` replaced. One that names what is not known is dropped, but for the
/// version in a CPE name, where `-` stands for "not known".
fn filled(name: &str, pattern: &str, facts: &Facts) -> Option<String> {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let (before, behind) = rest.split_at(open);
        out.push_str(before);
        let Some(close) = behind.find('}') else {
            rest = behind;
            break;
        };
        let other = &behind[1..close];
        match facts.get(other) {
            Some(value) => out.push_str(value),
            None if name.ends_with(".cpe23") && other.ends_with(".version") => out.push('-'),
            None => return None,
        }
        rest = &behind[close + 1..];
    }
    out.push_str(rest);
    out.truncate(out.floor_char_boundary(FACT_BYTES_MAX));
    Some(out)
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(FACT_BYTES_MAX)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, preference: &str) -> Database {
        let text = format!(
            "<fingerprints matches='x.banner' protocol='x' preference='{preference}'>{body}</fingerprints>"
        );
        recog::parse(&Arc::from("x.xml"), text.as_bytes()).unwrap()
    }

    fn one(pattern: &str, params: &str) -> String {
        format!(
            "<fingerprint pattern='{pattern}'><description>x</description>{params}</fingerprint>"
        )
    }

    #[test]
    fn the_first_of_a_file_wins_and_preferred_files_are_asked_first() {
        let product =
            |name: &str| format!("<param pos='0' name='service.product' value='{name}'/>");
        let plain = read(&(one("^a", &product("first")) + &one("^ab", &product("second"))), "0.5");
        let other = read(&one("^ab", &product("preferred")), "0.9");
        let both = Fingerprints::default().with(vec![plain.clone()]).with(vec![other]);
        assert_eq!(both.name("x.banner", b"abc").unwrap()["service.product"], "preferred");
        assert_eq!(both.name("x.banner", b"ac").unwrap()["service.product"], "first");
        assert_eq!(both.name("x.banner", b"c"), None);
        assert_eq!(both.name("y.banner", b"abc"), None);
        let alone = Fingerprints::default().with(vec![plain]);
        assert_eq!(alone.name("x.banner", b"abc").unwrap()["service.product"], "first");
        assert_ne!(alone.digest(), both.digest());
    }

    #[test]
    fn values_are_filled_and_what_is_not_known_is_left_out() {
        let params = "<param pos='0' name='service.cpe23' value='cpe:/a:x:x:{service.version}'/>\
                      <param pos='1' name='service.version'/><param pos='2' name='_tmp.1'/>\
                      <param pos='0' name='os.version' value='{_tmp.1}.0'/>";
        let database = read(&one(r"^X(?:/(\d+))?(?:-d(\d+))?$", params), "0.5");
        let all = Fingerprints::default().with(vec![database]);
        let facts = all.name("x.banner", b"X/7-d12").unwrap();
        assert_eq!(facts["service.cpe23"], "cpe:/a:x:x:7");
        assert_eq!(
            (facts["os.version"].as_str(), facts["service.protocol"].as_str()),
            ("12.0", "x")
        );
        assert!(!facts.contains_key("_tmp.1"));
        let facts = all.name("x.banner", b"X").unwrap();
        assert_eq!(facts["service.cpe23"], "cpe:/a:x:x:-");
        assert!(!facts.contains_key("os.version") && !facts.contains_key("service.version"));
    }

    #[test]
    fn a_dot_is_a_character_of_utf_8_and_a_byte_of_anything_else() {
        let params = "<param pos='1' name='service.version'/>";
        let all = Fingerprints::default().with(vec![read(&one("^a(.)b$", params), "0.5")]);
        assert_eq!(all.name("x.banner", "a·b".as_bytes()).unwrap()["service.version"], "·");
        assert!(all.name("x.banner", b"a\xffb").is_some());
        assert!(all.name("x.banner", b"a\xff\xffb").is_none());
    }

    #[test]
    fn an_expression_that_does_not_compile_is_told_and_never_matches() {
        let ready = Ready::new(read(&(one("a(?=b)", "") + &one("^é[é]$", "")), "0.5"));
        assert!(ready.error(0).unwrap().contains("look-around"), "{:?}", ready.error(0));
        assert_eq!((ready.error(1), ready.ask(0, b"ab")), (None, None));
        assert!(ready.ask(1, "éé".as_bytes()).is_some());
    }

    #[test]
    fn long_texts_and_facts_are_cut() {
        let params = "<param pos='1' name='service.version'/>";
        let all = Fingerprints::default().with(vec![read(&one("^(a+)", params), "0.5")]);
        let facts = all.name("x.banner", &vec![b'a'; TEXT_BYTES_MAX * 2]).unwrap();
        assert_eq!(facts["service.version"].len(), FACT_BYTES_MAX);
    }
}
