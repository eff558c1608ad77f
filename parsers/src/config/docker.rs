//! Docker's daemon.json: strict JSON; options as settings, nested ones with a dot (`log-opts.max-size`).
//!
//! The daemon takes the last of two options of one name without a word; both are told here. Whether an
//! option also stands on the command line, with which the daemon does not start, only its unit knows.

use std::sync::Arc;

use serde_json::Value;

use super::json::{Data, Node};
use super::settings::Settings;
use crate::place::{Place, Placed};

/// The file of the daemon.
pub const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// Reads a daemon.json. A text that is no JSON object gives no settings and a problem.
pub fn parse(name: &str, bytes: &[u8]) -> Settings {
    let file: Arc<str> = name.into();
    let mut settings = Settings::default();
    settings.files.push(Arc::clone(&file));
    let mut problems = std::mem::take(&mut settings.problems);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return settings; // an empty file is accepted
    }
    match Node::parse(&file, bytes, &mut problems) {
        Ok(node) if matches!(node.data, Data::Object(_)) => {
            settings.problems = problems;
            add(&mut settings, &file, "", &node);
            return settings;
        }
        Ok(node) => problems.push(node.place(&file), "an object is expected here"),
        Err(problem) => problems.push(problem.place, problem.message),
    }
    settings.problems = problems;
    settings
}

fn add(settings: &mut Settings, file: &Arc<str>, prefix: &str, node: &Node) {
    let Data::Object(fields) = &node.data else { return };
    for (name, node) in fields {
        let key = match prefix {
            "" => name.text.clone(),
            _ => format!("{prefix}.{}", name.text),
        };
        let place = Place::new(file, name.line, name.column);
        let placed = |value: String, place: Place| Placed { value, place, text: String::new() };
        match &node.data {
            Data::Object(_) => add(settings, file, &key, node),
            Data::Array(items) => {
                // The last list holds, as a whole.
                settings.entry(&key).reset(super::settings::Rule::LastWins);
                for item in items {
                    settings.add(&key, placed(shown(item), item.place(file)));
                }
            }
            Data::Plain(_) => settings.set(&key, placed(shown(node), place)),
        }
    }
}

fn shown(node: &Node) -> String {
    match node.to_json() {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_settings_and_the_last_of_a_name_holds() {
        let text = "{\n \"hosts\": [\"unix:///x\", \"tcp://0.0.0.0:2375\"],\n \"icc\": true,\n\
                    \x20\"log-opts\": {\"max-size\": \"10m\"},\n \"icc\": false }\n";
        let read = parse(DAEMON_JSON, text.as_bytes());
        assert_eq!(read.value("icc"), Some("false"));
        assert_eq!(read.get("icc").unwrap().overrides[0].value.place.line, 3);
        assert_eq!(read.value("log-opts.max-size"), Some("10m"));
        let hosts = &read.get("hosts").unwrap().values;
        assert_eq!((hosts[1].value.as_str(), hosts[1].place.column), ("tcp://0.0.0.0:2375", 25));
        assert_eq!(read.problems.kept[0].place.line, 5);
    }

    #[test]
    fn what_is_no_object_is_a_problem() {
        for text in ["[]", "{", "{\"a\": 1,}", "{} {}", "\u{feff}{}"] {
            assert_eq!(parse("/x", text.as_bytes()).problems.len(), 1, "{text}");
        }
        assert!(parse("/x", b" \n").problems.is_empty());
        assert_eq!(parse("/x", &vec![b'['; 8 << 20]).problems.len(), 1);
    }
}
