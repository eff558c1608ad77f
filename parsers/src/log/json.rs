//! JSON lines: one object a line, flattened to `outer.inner` names.

use serde_json::Value;

/// Most fields of one line that are kept.
pub const FIELDS_MAX: usize = 1024;

/// Deepest nesting whose fields get names; deeper values are kept as their JSON text.
pub const DEPTH_MAX: usize = 8;

/// Reads one line; `None` when it is not an object. Values are text: strings as they are, numbers and
/// booleans as written, `null` is left out, elements of lists share the list's name.
pub fn parse(line: &[u8]) -> Option<Vec<(String, String)>> {
    if line.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return None;
    }
    let Ok(Value::Object(map)) = serde_json::from_slice(line) else { return None };
    let mut fields = Vec::new();
    for (key, value) in map {
        flatten(key, value, 1, &mut fields);
    }
    Some(fields)
}

fn flatten(name: String, value: Value, depth: usize, fields: &mut Vec<(String, String)>) {
    if fields.len() >= FIELDS_MAX {
        return;
    }
    match value {
        Value::Null => {}
        Value::String(text) => fields.push((name, text)),
        Value::Object(map) if depth < DEPTH_MAX => {
            for (key, value) in map {
                flatten(format!("{name}.{key}"), value, depth + 1, fields);
            }
        }
        Value::Array(list) if depth < DEPTH_MAX => {
            for value in list {
                flatten(name.clone(), value, depth + 1, fields);
            }
        }
        other => fields.push((name, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_flattened_and_bounded() {
        let fields = parse(br#" {"a":{"b":1,"c":[true,"x"]},"n":null,"s":"t"}"#).unwrap();
        let pairs: Vec<_> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a.b", "1"), ("a.c", "true"), ("a.c", "x"), ("s", "t")]);
        assert_eq!(parse(b"[1]"), None);
        assert_eq!(parse(b"{\"a\":"), None);
        assert_eq!(parse(b""), None);
        let deep = "{\"a\":".repeat(200) + "1" + &"}".repeat(200);
        assert!(parse(deep.as_bytes()).is_none_or(|fields| fields.len() == 1));
        let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(5000));
        assert_eq!(parse(wide.as_bytes()).unwrap().len(), FIELDS_MAX);
    }
}
