//! One regular expression of a filter: compiled, with the names of its groups.

use std::sync::Arc;

use memchr::memmem::Finder;
use parsers::place::{Placed, Problem};

use super::pattern::{Lines, Machine, Pattern, Undecided};
use super::tags;

/// Groups by name; `None` is a group that took no part.
pub(super) type Groups = Vec<(Arc<str>, Option<String>)>;

/// Groups that say who failed.
const IDENTITIES: [&str; 5] = ["fid", "ip4", "ip6", "dns", "mlfid"];

/// A regular expression of a filter.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) pattern: Pattern,
    /// As the filter writes it.
    pub(super) text: String,
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
        let pattern = Pattern::new(&regex, lines).map_err(|error| {
            wrong(format!("`{}`: {}", shortened(&text.value), described(&error, &regex)))
        })?;
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
            text: text.value.clone(),
            names: named().collect(),
            alternates: prefixed("alt_"),
            parts: prefixed("tuple_"),
            needle,
            pattern,
        })
    }

    /// Whether an automaton could run it, were addresses written without look-behind.
    pub(super) fn is_regular(&self, names_too: bool) -> bool {
        let regex = tags::without_look_behind(&tags::expand(&self.text, names_too));
        self.pattern.is_regular()
            || Pattern::new(&regex, Lines::One).is_ok_and(|pattern| pattern.is_regular())
    }

    /// Whether a group says who failed.
    pub(super) fn identifies(&self) -> bool {
        self.names.iter().any(|(name, _)| IDENTITIES.contains(&name.as_ref()))
    }

    pub(super) fn search(&self, text: &str, machine: &mut Machine) -> Result<bool, Undecided> {
        if let Some(needle) = &self.needle
            && needle.find(text.as_bytes()).is_none()
        {
            return Ok(false);
        }
        self.pattern.search(text, machine)
    }

    /// Where a group of the last match lies.
    pub(super) fn span(&self, name: &str, machine: &Machine) -> Option<(usize, usize)> {
        let (_, number) = self.names.iter().find(|(known, _)| known.as_ref() == name)?;
        self.pattern.group(machine, *number)
    }

    /// Adds the groups of the last match, over those that are there.
    pub(super) fn groups(&self, text: &str, machine: &Machine, groups: &mut Groups) {
        let said = |number: usize| {
            let (start, end) = self.pattern.group(machine, number)?;
            text.get(start..end)
        };
        for (name, number) in &self.names {
            match said(*number) {
                // What took no part says nothing, unless something was said before.
                None if value(groups, name).is_none() => {}
                _ if name.starts_with("skiplines") => {}
                said => set(groups, name, said.map(str::to_string)),
            }
        }
        for (number, name) in &self.alternates {
            let empty = value(groups, name).is_none_or(str::is_empty);
            if let Some(said) = said(*number).filter(|said| empty && !said.is_empty()) {
                set(groups, name, Some(said.to_string()));
            }
        }
        for (number, name) in &self.parts {
            let joined =
                [value(groups, name).unwrap_or_default(), said(*number).unwrap_or_default()];
            let joined = joined.join(" ");
            set(groups, name, Some(joined));
        }
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
fn described(error: &super::pattern::PatternError, regex: &str) -> String {
    let near: String = regex.chars().skip(error.at.saturating_sub(10)).take(20).collect();
    if error.at == 0 { error.what.to_string() } else { format!("{}, near `{near}`", error.what) }
}
