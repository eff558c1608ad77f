//! The head of a rule: what its readers and other tools need.

use parsers::place::Place;

use super::{Subject, texts, twice};
use crate::commands::rules::samples;
use crate::commands::rules::values::is_near;

/// The keys of Sigma's specification.
const KEYS: [&str; 25] = [
    "title",
    "id",
    "name",
    "related",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "tags",
    "level",
    "logsource",
    "detection",
    "correlation",
    "filter",
    "falsepositives",
    "fields",
    "scope",
    "generate",
    "action",
    "aliases",
    samples::KEY,
];

/// Tactics of ATT&CK, those of earlier versions too.
const TACTICS: [&str; 16] = [
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "stealth",
    "defense-impairment",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
];

pub(super) fn check(subject: &Subject<'_>, say: &mut dyn FnMut(Place, String)) {
    let whole = subject.outline.whole();
    // A filter takes its level from the rules that it is about.
    let filter = subject.map.contains_key("filter");
    for key in ["id", "level", "description", "falsepositives"] {
        let needed = !filter || matches!(key, "id" | "description");
        if needed && !subject.map.contains_key(key) {
            say(whole.clone(), format!("a rule without `{key}`"));
        }
    }
    if let Some(id) = subject.text("id")
        && !is_uuid(id)
    {
        say(subject.outline.at(&["id"]), "`id` is no UUID".into());
    }
    for key in subject.map.keys().filter_map(serde_yaml::Value::as_str) {
        let meant = KEYS.iter().find(|known| is_near(key, known, 2));
        if let (false, Some(meant)) = (KEYS.contains(&key), meant) {
            let message = format!("unknown key `{key}`: did you mean `{meant}`?");
            say(subject.outline.at(&[key]), message);
        }
    }
    let tags = texts(subject.map.get("tags"));
    let place = || subject.outline.at(&["tags"]);
    for tag in &tags {
        if !is_tag(tag) {
            say(place(), format!("tag `{tag}` is not of Sigma's taxonomy"));
        }
    }
    for tag in twice(&tags) {
        say(place(), format!("tag `{tag}` stands twice"));
    }
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(id: &str) -> bool {
    let parts: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// `attack.t1110.001`, `attack.initial-access`, `cve.2021-4034`, `detection.threat-hunting` …
fn is_tag(tag: &str) -> bool {
    let Some((space, name)) = tag.split_once('.') else { return false };
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match space {
        "attack" => {
            let technique = name.strip_prefix('t').is_some_and(|number| {
                let (technique, sub) = number.split_once('.').unwrap_or((number, "000"));
                digits(technique, 4) && digits(sub, 3)
            });
            let other = name.strip_prefix(['g', 's', 'c', 'm']);
            let other = other.is_some_and(|number| digits(number, 4));
            technique || other || TACTICS.contains(&name.replace('_', "-").as_str())
        }
        "cve" => name.split_once(['-', '.']).is_some_and(|(year, number)| {
            digits(year, 4) && number.len() >= 4 && number.bytes().all(|b| b.is_ascii_digit())
        }),
        "car" => {
            let parts: Vec<&str> = name.split('-').collect();
            matches!(parts[..], [year, month, number] if digits(year, 4) && digits(month, 2) && digits(number, 3))
        }
        "d3fend" => name.len() > 1 && !name.contains(char::is_whitespace),
        "detection" => ["dfir", "emerging-threats", "threat-hunting"]
            .contains(&name.replace('_', "-").as_str()),
        "stp" => name.starts_with(|c: char| ('1'..='5').contains(&c)),
        "tlp" => ["red", "amber", "amber-strict", "green", "clear", "white"].contains(&name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_ids_are_those_of_the_specification() {
        for (tag, valid) in [
            ("attack.t1110", true),
            ("attack.t1110.001", true),
            ("attack.t111", false),
            ("attack.initial-access", true),
            ("attack.initial_access", true),
            ("attack.everything", false),
            ("attack.s0190", true),
            ("cve.2021-4034", true),
            ("cve.2021-40", false),
            ("car.2013-05-004", true),
            ("detection.threat-hunting", true),
            ("tlp.green", true),
            ("mine", false),
            ("mine.own", false),
        ] {
            assert_eq!(is_tag(tag), valid, "{tag}");
        }
        assert!(is_uuid("0b9d3c52-7a1e-4f0e-9a55-2f1d6c6f8104"));
        assert!(!is_uuid("0b9d3c52-7a1e-4f0e-9a55") && !is_uuid("x"));
    }
}
