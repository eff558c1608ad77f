//! One regular expression of a filter: compiled, with the names of its groups.

use std::sync::{Arc, OnceLock};

use memchr::memmem::Finder;
use parsers::place::{Placed, Problem};
use serde::{Deserialize, Serialize};

use super::pattern::{Bytes, Lines, Machine, Pattern, PatternError, Undecided};
use super::tags;

/// Groups by name; `None` is a group that took no part.
pub(super) type Groups = Vec<(Arc<str>, Option<String>)>;

/// Groups that say who failed.
const IDENTITIES: [&str; 5] = ["fid", "ip4", "ip6", "dns", "mlfid"];

/// A regular expression of a filter.
///
/// Checked when its filter is read; where that was done before ([`super::Stored`]), it is
/// compiled when the first line needs it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Expression {
    /// As the filter writes it.
    pub(super) text: String,
    lines: Lines,
    names_too: bool,
    /// Whether a group says who failed.
    identifies: bool,
    anchored: bool,
    first: Bytes,
    needles: Option<Vec<String>>,
    #[serde(skip)]
    compiled: OnceLock<Option<Box<Compiled>>>,
}

#[derive(Debug)]
struct Compiled {
    pattern: Pattern,
    names: Vec<(Arc<str>, usize)>,
    /// Groups that stand in for another one (`alt_user` for `user`), and which.
    alternates: Vec<(usize, Arc<str>)>,
    /// Groups that are part of another one's value (`tuple_id`).
    parts: Vec<(usize, Arc<str>)>,
    /// Where it may begin anywhere: a text that has to be there.
    needle: Option<Finder<'static>>,
}

impl Expression {
    pub(super) fn new(
        text: &Placed<String>,
        lines: Lines,
        names_too: bool,
    ) -> Result<Self, Problem> {
        let wrong = |message: String| Problem { place: text.place.clone(), message };
        let regex = tags::expand(&text.value, names_too);
        if regex.trim().is_empty() {
            return Err(wrong("an empty regular expression".into()));
        }
        let compiled = Compiled::new(&regex, lines).map_err(|error| {
            wrong(format!("`{}`: {}", shortened(&text.value), described(&error, &regex)))
        })?;
        let names = || compiled.names.iter().map(|(name, _)| name.as_ref());
        Ok(Self {
            text: text.value.clone(),
            lines,
            names_too,
            identifies: names().any(|name| IDENTITIES.contains(&name)),
            anchored: compiled.pattern.anchored(),
            first: compiled.pattern.first(),
            needles: compiled.pattern.needles().map(<[_]>::to_vec),
            compiled: OnceLock::from(Some(Box::new(compiled))),
        })
    }

    fn compiled(&self) -> Option<&Compiled> {
        let compile = || {
            let regex = tags::expand(&self.text, self.names_too);
            Compiled::new(&regex, self.lines).ok().map(Box::new)
        };
        self.compiled.get_or_init(compile).as_deref()
    }

    /// The compiled pattern; `None` is a stored text that never was one.
    pub(super) fn pattern(&self) -> Option<&Pattern> {
        self.compiled().map(|compiled| &compiled.pattern)
    }

    /// Whether a match can only begin at the start of the text.
    pub(super) fn anchored(&self) -> bool {
        self.anchored
    }

    /// Whether a match may begin with this byte.
    pub(super) fn may_begin(&self, byte: u8) -> bool {
        self.first.has(byte)
    }

    /// Texts of which every match contains one.
    pub(super) fn needles(&self) -> Option<&[String]> {
        self.needles.as_deref()
    }

    /// Whether an automaton could run it, were addresses written without look-behind.
    pub(super) fn is_regular(&self, names_too: bool) -> bool {
        let regex = tags::without_look_behind(&tags::expand(&self.text, names_too));
        self.pattern().is_some_and(Pattern::is_regular)
            || Pattern::new(&regex, Lines::One).is_ok_and(|pattern| pattern.is_regular())
    }

    /// Whether a group says who failed.
    pub(super) fn identifies(&self) -> bool {
        self.identifies
    }

    pub(super) fn search(&self, text: &str, machine: &mut Machine) -> Result<bool, Undecided> {
        // What was stored and is no expression is never passed over in silence.
        let Some(compiled) = self.compiled() else { return Err(Undecided) };
        if let Some(needle) = &compiled.needle
            && needle.find(text.as_bytes()).is_none()
        {
            return Ok(false);
        }
        compiled.pattern.search(text, machine)
    }

    /// Where a group of the last match lies.
    pub(super) fn span(&self, name: &str, machine: &Machine) -> Option<(usize, usize)> {
        let compiled = self.compiled()?;
        let (_, number) = compiled.names.iter().find(|(known, _)| known.as_ref() == name)?;
        compiled.pattern.group(machine, *number)
    }

    /// Adds the groups of the last match, over those that are there.
    pub(super) fn groups(&self, text: &str, machine: &Machine, groups: &mut Groups) {
        let Some(Compiled { pattern, names, alternates, parts, .. }) = self.compiled() else {
            return;
        };
        let said = |number: usize| {
            let (start, end) = pattern.group(machine, number)?;
            text.get(start..end)
        };
        for (name, number) in names {
            match said(*number) {
                // What took no part says nothing, unless something was said before.
                None if value(groups, name).is_none() => {}
                _ if name.starts_with("skiplines") => {}
                said => set(groups, name, said.map(str::to_string)),
            }
        }
        for (number, name) in alternates {
            let empty = value(groups, name).is_none_or(str::is_empty);
            if let Some(said) = said(*number).filter(|said| empty && !said.is_empty()) {
                set(groups, name, Some(said.to_string()));
            }
        }
        for (number, name) in parts {
            let joined =
                [value(groups, name).unwrap_or_default(), said(*number).unwrap_or_default()];
            let joined = joined.join(" ");
            set(groups, name, Some(joined));
        }
    }
}

impl Compiled {
    fn new(regex: &str, lines: Lines) -> Result<Self, PatternError> {
        let pattern = Pattern::new(regex, lines)?;
        let named = || pattern.names().map(|(name, number)| (Arc::<str>::from(name), number));
        let prefixed = |prefix: &str| -> Vec<(usize, Arc<str>)> {
            let mut found: Vec<(Arc<str>, usize)> =
                named().filter(|(name, _)| name.starts_with(prefix)).collect();
            found.sort();
            let target = |name: &str| {
                let name = &name[prefix.len()..];
                let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
                let bare = match bare.strip_suffix('_') {
                    Some(stem) if bare.len() < name.len() => stem,
                    _ => name,
                };
                tags::group(bare).into()
            };
            found.into_iter().map(|(name, number)| (number, target(&name))).collect()
        };
        let needle = match pattern.needles() {
            Some([only]) if !pattern.anchored() => Some(Finder::new(only).into_owned()),
            _ => None,
        };
        Ok(Self {
            names: named().collect(),
            alternates: prefixed("alt_"),
            parts: prefixed("tuple_"),
            needle,
            pattern,
        })
    }
}

/// The value of a group.
pub(super) fn value<'a>(groups: &'a Groups, name: &str) -> Option<&'a str> {
    groups.iter().find(|(known, _)| known.as_ref() == name)?.1.as_deref()
}

/// Sets the value of a group.
pub(super) fn set(groups: &mut Groups, name: &Arc<str>, value: Option<String>) {
    match groups.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => groups.push((Arc::clone(name), value)),
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// What is wrong, and where in the expression once its tags are filled in.
fn described(error: &PatternError, regex: &str) -> String {
    let near: String = regex.chars().skip(error.at.saturating_sub(10)).take(20).collect();
    if error.at == 0 { error.what.to_string() } else { format!("{}, near `{near}`", error.what) }
}
