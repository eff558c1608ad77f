//! One line's arguments, checked and brought into the words that `sshd -T` prints.
//!
//! Messages never quote a value: a password typed on the wrong line must not travel.

use super::Version;
use super::algorithms;
use super::keywords::{Form, Keyword};
use super::matching::addresses_valid;
use super::numbers::{integer, leading_integer, port, seconds, size};
use super::words::{WORDS_MAX, arguments, skip_blanks};

/// What stands behind a keyword.
pub(super) struct Arguments<'a> {
    /// The rest of the line as written.
    raw: &'a str,
    words: std::vec::IntoIter<String>,
}

type Wrong = &'static str;
const MISSING: Wrong = "missing argument";

impl<'a> Arguments<'a> {
    pub fn split(raw: &'a str) -> Result<Self, Wrong> {
        let words = arguments(raw).ok_or("a quote is not closed")?;
        if words.len() > WORDS_MAX {
            return Err("too many arguments");
        }
        Ok(Self { raw, words: words.into_iter() })
    }

    /// The next argument, which must be there and not be empty.
    fn one(&mut self) -> Result<String, Wrong> {
        self.words.next().filter(|word| !word.is_empty()).ok_or(MISSING)
    }

    /// All of them.
    pub fn into_words(self) -> Vec<String> {
        self.words.collect()
    }

    fn drain(&mut self) -> Vec<String> {
        self.words.by_ref().collect()
    }
}

/// Reads the arguments of a keyword. The result is what `sshd -T` prints behind the keyword, one
/// string a printed line; no string when the line sets nothing.
pub(super) fn read(
    keyword: &Keyword,
    mut given: Arguments<'_>,
    version: Option<Version>,
) -> Result<Vec<String>, Wrong> {
    let values = by_form(keyword.form, &mut given, version)?;
    if given.words.next().is_some() {
        return Err("extra arguments at end of line");
    }
    Ok(values)
}

fn by_form(
    form: Form,
    given: &mut Arguments<'_>,
    version: Option<Version>,
) -> Result<Vec<String>, Wrong> {
    let one = |value: String| Ok(vec![value]);
    match form {
        Form::OneOf(words) => one(one_of(words, &given.one()?)?.to_string()),
        Form::Time => one(seconds(&given.one()?).ok_or("invalid time value")?.to_string()),
        Form::UnusedTimeout => {
            let word = given.one()?;
            if word.eq_ignore_ascii_case("none") {
                return one("none".into());
            }
            one(seconds(&word).ok_or("invalid time value")?.to_string())
        }
        Form::Integer => {
            one(integer(&given.one()?, i32::MAX.into()).ok_or("invalid number")?.to_string())
        }
        Form::Port => match port(&given.one()?) {
            Some(number) if number > 0 => one(number.to_string()),
            _ => Err("invalid port number"),
        },
        Form::ListenAddress => listen_address(given),
        Form::Path => one(absolute(&given.one()?)),
        Form::AgentSocket => {
            let word = given.one()?;
            one(if word == "SSH_AUTH_SOCK" { word } else { absolute(&word) })
        }
        Form::TokenPath => one(home(&given.one()?)),
        Form::Word => one(given.one()?),
        Form::KeyProvider => {
            let word = given.one()?;
            one(if word.eq_ignore_ascii_case("internal") { word } else { absolute(&word) })
        }
        Form::Algorithms(family) => {
            let list = given.one()?;
            if !algorithms::is_valid(family, &list, version) {
                return Err("unknown algorithm in the list");
            }
            one(list)
        }
        Form::GssAlgorithms => {
            let list = given.one()?;
            algorithms::is_valid_gss(&list).then_some(vec![list]).ok_or("unknown algorithm")
        }
        Form::Facility => one(syslog(FACILITIES, &given.one()?)?),
        Form::Level => one(syslog(LEVELS, &given.one()?)?),
        Form::RawCommand => {
            given.drain();
            one(skip_blanks(given.raw).to_string())
        }
        Form::VersionAddendum => version_addendum(given),
        Form::AbsoluteCommand => {
            given.drain();
            let command = skip_blanks(given.raw);
            if !command.starts_with('/') && !command.eq_ignore_ascii_case("none") {
                return Err("the command must be an absolute path");
            }
            one(command.to_string())
        }
        Form::Ignored => {
            given.drain();
            Ok(Vec::new())
        }
        Form::NotHere => Err("not supported on this platform"),
        Form::Include | Form::Match => Ok(Vec::new()),
        other => lists(other, given),
    }
}

/// The forms that take several words.
fn lists(form: Form, given: &mut Arguments<'_>) -> Result<Vec<String>, Wrong> {
    let one = |value: String| Ok(vec![value]);
    match form {
        Form::PubkeyOptions => pubkey_options(given),
        Form::UserEnvironment => one(given.one()?),
        Form::RekeyLimit => rekey_limit(given),
        Form::Verbose => joined(no_empty(given.drain()).and_then(none_alone)?),
        Form::Users => {
            let users = no_empty(given.drain())?;
            let valid = |user: &String| {
                user.split_once('@').is_none_or(|(_, hosts)| addresses_valid(hosts))
            };
            if users.iter().all(valid) { Ok(users) } else { Err("invalid address in a pattern") }
        }
        Form::Groups => no_empty(given.drain()),
        Form::AcceptEnv => {
            let names = no_empty(given.drain())?;
            if names.iter().any(|name| name.contains('=')) {
                return Err("an environment name holds `=`");
            }
            Ok(names)
        }
        Form::SetEnv => set_env(given),
        Form::KeysFiles => joined(no_empty(given.drain())?.iter().map(|path| home(path)).collect()),
        Form::ChannelTimeout => {
            let words = none_alone(given.drain())?;
            let valid = |word: &String| {
                word.eq_ignore_ascii_case("none")
                    || word
                        .split_once('=')
                        .is_some_and(|(kind, time)| !kind.is_empty() && seconds(time).is_some())
            };
            if words.iter().all(valid) { joined(words) } else { Err("invalid channel timeout") }
        }
        Form::AuthenticationMethods => authentication_methods(given),
        Form::Subsystem => {
            let words = given.drain();
            if words.is_empty() || words[0].is_empty() { Err(MISSING) } else { joined(words) }
        }
        Form::MaxStartups => max_startups(&given.one()?),
        Form::NetBlockSize => net_block_size(&given.one()?),
        Form::SourceStartups => source_startups(given.one()?),
        Form::Tunnel => {
            let word = given.one()?;
            let known = ["no", "point-to-point", "ethernet", "yes"].contains(&word.as_str());
            if known { one(word) } else { Err("unsupported value") }
        }
        Form::PermitOpen | Form::PermitListen => permit(form, given),
        Form::IpQos => ip_qos(given),
        Form::OctalMask => match leading_integer(&given.one()?, 8) {
            Some((mask, _)) if (0..=0o777).contains(&mask) => one(format!("0{mask:o}")),
            _ => Err("invalid octal mask"),
        },
        Form::Digest => {
            let word = given.one()?.to_ascii_uppercase();
            let known = ["MD5", "SHA1", "SHA256", "SHA384", "SHA512"].contains(&word.as_str());
            if known { one(word) } else { Err("unknown digest") }
        }
        _ => joined(no_empty(given.drain())?),
    }
}

fn joined(words: Vec<String>) -> Result<Vec<String>, Wrong> {
    Ok(if words.is_empty() { words } else { vec![words.join(" ")] })
}

fn no_empty(words: Vec<String>) -> Result<Vec<String>, Wrong> {
    if words.iter().any(String::is_empty) { Err("empty argument") } else { Ok(words) }
}

fn none_alone(words: Vec<String>) -> Result<Vec<String>, Wrong> {
    if words.len() > 1 && words.iter().any(|word| word.eq_ignore_ascii_case("none")) {
        return Err("`none` must stand alone");
    }
    Ok(words)
}

fn one_of(words: &[(&'static str, &'static str)], given: &str) -> Result<&'static str, Wrong> {
    words
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(given))
        .map(|(_, shown)| *shown)
        .ok_or("unsupported value")
}

/// A path as sshd, started in `/`, takes it: `none` in any case, `~` is root's home.
fn absolute(path: &str) -> String {
    if path.eq_ignore_ascii_case("none") {
        return "none".into();
    }
    let path = home(path);
    if path.starts_with('/') { path } else { format!("//{path}") }
}

fn home(path: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let rest = rest.trim_start_matches('/');
            if rest.is_empty() { "/root".into() } else { format!("/root/{rest}") }
        }
        _ => path.to_string(),
    }
}

const FACILITIES: &[(&str, &str)] = &[
    ("DAEMON", "DAEMON"),
    ("USER", "USER"),
    ("AUTH", "AUTH"),
    ("AUTHPRIV", "AUTHPRIV"),
    ("LOCAL0", "LOCAL0"),
    ("LOCAL1", "LOCAL1"),
    ("LOCAL2", "LOCAL2"),
    ("LOCAL3", "LOCAL3"),
    ("LOCAL4", "LOCAL4"),
    ("LOCAL5", "LOCAL5"),
    ("LOCAL6", "LOCAL6"),
    ("LOCAL7", "LOCAL7"),
];
const LEVELS: &[(&str, &str)] = &[
    ("SILENT", "SILENT"),
    ("QUIET", "SILENT"),
    ("FATAL", "FATAL"),
    ("ERROR", "ERROR"),
    ("INFO", "INFO"),
    ("VERBOSE", "VERBOSE"),
    ("DEBUG", "DEBUG"),
    ("DEBUG1", "DEBUG"),
    ("DEBUG2", "DEBUG2"),
    ("DEBUG3", "DEBUG3"),
];

fn syslog(table: &[(&'static str, &'static str)], word: &str) -> Result<String, Wrong> {
    one_of(table, word).map(str::to_string)
}

/// `address PORT-or-0`; the evaluator joins it with the ports.
fn listen_address(given: &mut Arguments<'_>) -> Result<Vec<String>, Wrong> {
    let word = given.one()?;
    let bare_v6 = !word.contains('[') && word.matches(':').count() > 1;
    let (host, number) = if bare_v6 { (word.as_str(), None) } else { host_port(&word)? };
    let number = match number {
        None => 0,
        Some(text) => port(text).filter(|&number| number > 0).ok_or("invalid port number")?,
    };
    if given.words.len() > 0 {
        return Err("routing domains are not supported on this platform");
    }
    if host.is_empty() {
        return Err("missing address");
    }
    Ok(vec![format!("{host} {number}")])
}

/// Cuts `host:port` or `[host]:port`.
fn host_port(word: &str) -> Result<(&str, Option<&str>), Wrong> {
    let (host, rest) = if word.starts_with('[') {
        let close = word.find(']').ok_or("a bracket is not closed")?;
        word.split_at(close + 1)
    } else {
        word.split_at(word.find([':', '/']).unwrap_or(word.len()))
    };
    let number = match rest.strip_prefix(':') {
        Some(number) => Some(number),
        None if rest.is_empty() => None,
        None => return Err("invalid address and port"),
    };
    Ok((host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), number))
}

fn pubkey_options(given: &mut Arguments<'_>) -> Result<Vec<String>, Wrong> {
    let words: Vec<String> = given.drain().iter().map(|word| word.to_ascii_lowercase()).collect();
    let known = ["none", "touch-required", "verify-required"];
    if words.iter().any(|word| !known.contains(&word.as_str())) {
        return Err("unsupported option");
    }
    let set: Vec<&str> =
        known[1..].iter().filter(|k| words.iter().any(|w| w == *k)).copied().collect();
    Ok(vec![if set.is_empty() { "none".into() } else { set.join(" ") }])
}

/// `LIMIT` or `LIMIT INTERVAL`, in bytes and seconds.
fn rekey_limit(given: &mut Arguments<'_>) -> Result<Vec<String>, Wrong> {
    const LEAST: i64 = 16;
    let word = given.one()?;
    let bytes = if word == "default" { 0 } else { size(&word).ok_or("invalid size")? };
    if bytes != 0 && bytes < LEAST {
        return Err("the limit is too small");
    }
    let mut values = vec![bytes.to_string()];
    if given.words.len() > 0 {
        let interval = given.words.next().unwrap_or_default();
        if interval != "none" {
            values.push(seconds(&interval).ok_or("invalid time value")?.to_string());
        }
    }
    Ok(values)
}

fn set_env(given: &mut Arguments<'_>) -> Result<Vec<String>, Wrong> {
    let mut kept: Vec<String> = Vec::new();
    let mut names = std::collections::HashSet::new();
    for word in given.drain() {
        let (name, _) = word.split_once('=').ok_or("an environment setting without `=`")?;
        if names.insert(name.to_string()) {
            kept.push(word);
        }
    }
    Ok(kept)
}

const METHODS: &[&str] = &[
    "none",
    "publickey",
    "gssapi-keyex",
    "gssapi-with-mic",
    "password",
    "keyboard-interactive",
    "hostbased",
];

fn authentication_methods(given: &mut Arguments<'_>) -> Result<Vec<String>, Wrong> {
    let lists = given.drain();
    if lists.is_empty() {
        return Err(MISSING);
    }
    if lists.len() > 1 && lists[0] == "any" {
        return Err("`any` must stand alone");
    }
    let valid = |list: &String| {
        list == "any"
            || list.split(',').all(|method| {
                METHODS.contains(&method.split_once(':').map_or(method, |(name, _)| name))
            })
    };
    if lists.iter().all(valid) { joined(lists) } else { Err("unknown authentication method") }
}

/// `begin:rate:full`, or `begin::full` where the rate stays as it was.
fn max_startups(word: &str) -> Result<Vec<String>, Wrong> {
    const WRONG: Wrong = "invalid number of connections";
    let (begin, rest) = leading_integer(word, 10).ok_or(WRONG)?;
    let more = |rest: &str| -> Option<(i64, usize)> {
        let after = rest.strip_prefix(':')?;
        leading_integer(after, 10).map(|(value, left)| (value, rest.len() - left.len()))
    };
    let Some((rate, used)) = more(rest) else {
        return if begin > 0 { Ok(vec![format!("{begin}::{begin}")]) } else { Err(WRONG) };
    };
    let (full, _) = more(&rest[used..]).ok_or(WRONG)?;
    if begin > full || !(1..=100).contains(&rate) || full <= 0 || begin <= 0 {
        return Err(WRONG);
    }
    Ok(vec![format!("{begin}:{rate}:{full}")])
}

fn source_startups(word: String) -> Result<Vec<String>, Wrong> {
    const UNLIMITED: i64 = i32::MAX as i64;
    if word == "none" {
        return Ok(vec![word]);
    }
    let number = integer(&word, UNLIMITED).ok_or("invalid number")?;
    Ok(vec![if number == UNLIMITED { "none".into() } else { number.to_string() }])
}

fn net_block_size(word: &str) -> Result<Vec<String>, Wrong> {
    const WRONG: Wrong = "invalid network size";
    let (v4, rest) = leading_integer(word, 10).ok_or(WRONG)?;
    let v6 = match rest.strip_prefix(':').and_then(|after| leading_integer(after, 10)) {
        Some((v6, _)) => v6,
        None => 128,
    };
    if !(0..=32).contains(&v4) || !(0..=128).contains(&v6) {
        return Err(WRONG);
    }
    Ok(vec![format!("{v4}:{v6}")])
}

fn permit(form: Form, given: &mut Arguments<'_>) -> Result<Vec<String>, Wrong> {
    let first = given.one()?;
    if first == "any" || first == "none" {
        return Ok(vec![first]);
    }
    let mut kept = Vec::new();
    let mut next = Some(first);
    while let Some(word) = next.filter(|word| !word.is_empty()) {
        let bare = form == Form::PermitListen && !word.contains(':');
        let number = if bare { Some(word.as_str()) } else { host_port(&word)?.1 };
        let number = number.ok_or("missing port number")?;
        if number != "*" && port(number).is_none_or(|number| number == 0) {
            return Err("invalid port number");
        }
        kept.push(if bare { format!("*:{word}") } else { word });
        next = given.words.next();
    }
    joined(kept)
}

fn version_addendum(given: &mut Arguments<'_>) -> Result<Vec<String>, Wrong> {
    given.drain();
    let text = skip_blanks(given.raw);
    if text.contains('\r') {
        return Err("invalid character");
    }
    let none = text.is_empty() || text.eq_ignore_ascii_case("none");
    Ok(vec![if none { "none".into() } else { text.to_string() }])
}

/// Names and values; the first name of a value is the one that is printed.
const QOS: &[(&str, i64)] = &[
    ("af11", 0x28),
    ("af12", 0x30),
    ("af13", 0x38),
    ("af21", 0x48),
    ("af22", 0x50),
    ("af23", 0x58),
    ("af31", 0x68),
    ("af32", 0x70),
    ("af33", 0x78),
    ("af41", 0x88),
    ("af42", 0x90),
    ("af43", 0x98),
    ("cs0", 0x00),
    ("cs1", 0x20),
    ("cs2", 0x40),
    ("cs3", 0x60),
    ("cs4", 0x80),
    ("cs5", 0xa0),
    ("cs6", 0xc0),
    ("cs7", 0xe0),
    ("ef", 0xb8),
    ("le", 0x04),
    ("lowdelay", 0x10),
    ("throughput", 0x08),
    ("reliability", 0x04),
];

fn ip_qos(given: &mut Arguments<'_>) -> Result<Vec<String>, Wrong> {
    let class = |word: &str| -> Result<String, Wrong> {
        if word.eq_ignore_ascii_case("none") {
            return Ok("none".into());
        }
        let named = QOS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        let value = match named {
            Some((_, value)) => *value,
            None => match leading_integer(word, 0) {
                Some((value @ 0..=255, "")) => value,
                _ => return Err("invalid class of service"),
            },
        };
        let shown = QOS.iter().find(|(_, known)| *known == value);
        Ok(shown.map_or_else(|| format!("0x{value:02x}"), |(name, _)| (*name).to_string()))
    };
    let interactive = class(&given.one()?)?;
    let bulk = match given.words.next() {
        Some(word) => class(&word)?,
        None => interactive.clone(),
    };
    Ok(vec![format!("{interactive} {bulk}")])
}
