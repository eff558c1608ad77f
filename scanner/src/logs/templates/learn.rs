//! Which words of templates vary: decided from the distinct messages alone, never from their number.
//!
//! A place varies when messages that agree in at least half of their words have [`VALUES_MIN`]
//! different words there. The first word never varies: it says what the message is about. What is
//! joined covers no message that another template covers, else that one is joined too.

use super::known::Template;

/// Different words at a place that make it a variable. Fewer may be an enumeration whose members mean
/// something: `Accepted password`, `Accepted publickey`.
pub const VALUES_MIN: usize = 6;

/// Templates that become one.
pub(super) struct Joined {
    pub members: Vec<u32>,
    /// Places at which any word fits.
    pub wild: u64,
}

/// What to join so that it covers these tokens; `None` when they are a template of their own.
pub(super) fn join(members: &[(u32, &Template)], tokens: &[u64]) -> Option<Joined> {
    let alike: Vec<&(u32, &Template)> =
        members.iter().filter(|(_, template)| is_alike(template, tokens)).collect();
    if alike.len() + 1 < VALUES_MIN && alike.iter().all(|(_, template)| template.wild == 0) {
        return None;
    }
    let vary = (1..tokens.len()).filter(|place| varies(&alike, tokens, *place));
    let vary = vary.fold(0_u64, |vary, place| vary | 1 << place);
    let fits = |template: &Template| differing(template, tokens) & !vary == 0;
    let fitting: Vec<&(u32, &Template)> =
        alike.into_iter().filter(|(_, template)| fits(template)).collect();
    let grown = fitting.iter().any(|(_, template)| template.wild != 0);
    if fitting.is_empty() || (fitting.len() + 1 < VALUES_MIN && !grown) {
        return None;
    }
    let mut wild = 0;
    let mut joined: Vec<u32> = Vec::new();
    for (at, template) in fitting {
        wild |= differing(template, tokens);
        joined.push(*at);
    }
    close(members, tokens, &mut joined, &mut wild);
    Some(Joined { members: joined, wild })
}

/// Joins whatever would cover the same messages.
fn close(members: &[(u32, &Template)], tokens: &[u64], joined: &mut Vec<u32>, wild: &mut u64) {
    loop {
        let before = joined.len();
        for (at, template) in members {
            if !joined.contains(at) && differing(template, tokens) & !*wild & !template.wild == 0 {
                *wild |= differing(template, tokens);
                joined.push(*at);
            }
        }
        if joined.len() == before {
            return;
        }
    }
}

/// Places where a template does not have this very word.
fn differing(template: &Template, tokens: &[u64]) -> u64 {
    let pairs = template.tokens.iter().zip(tokens).enumerate();
    let different = pairs.filter(|(_, (a, b))| a != b);
    different.fold(template.wild, |places, (place, _)| places | 1 << place)
}

/// Whether they share the first word and at least half of all.
fn is_alike(template: &Template, tokens: &[u64]) -> bool {
    let apart = (differing(template, tokens) & !template.wild).count_ones() as usize;
    template.tokens.first() == tokens.first() && 2 * apart <= tokens.len()
}

fn varies(alike: &[&(u32, &Template)], tokens: &[u64], place: usize) -> bool {
    let mut values = Vec::with_capacity(VALUES_MIN);
    values.extend(tokens.get(place));
    for (_, template) in alike {
        if template.wild >> place & 1 == 1 {
            return true;
        }
        if let Some(value) = template.tokens.get(place)
            && !values.contains(&value)
        {
            values.push(value);
        }
        if values.len() >= VALUES_MIN {
            return true;
        }
    }
    false
}

/// The text of a template with `<*>` for the words that vary; a key in front of `=` stays.
pub(super) fn joined_text(old: &str, new: &str, wild: u64) -> Box<str> {
    let mut out = String::with_capacity(old.len());
    let mut others = new.split(' ');
    for (place, word) in old.split(' ').enumerate() {
        let other = others.next().unwrap_or_default();
        if place > 0 {
            out.push(' ');
        }
        if place >= 64 || wild >> place & 1 == 0 {
            out.push_str(word);
            continue;
        }
        let key = |word: &str| word.find('=').map(|equals| word[..=equals].to_string());
        match (key(word), key(other)) {
            (Some(a), Some(b)) if a == b => out.push_str(&a),
            _ => {}
        }
        out.push_str("<*>");
    }
    out.into()
}
