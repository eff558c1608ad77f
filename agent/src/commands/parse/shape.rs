//! Places beside values: parsers keep them inside, the output shows them in a parallel tree.

use serde_json::{Map, Value, json};

/// Names of the fields of account files, to which a row's columns belong, by a field that only this
/// file has (shadow's come last: every other file has one of its own).
const FIELDS: [(&str, &[&str]); 4] = [
    ("uid", &["name", "password", "uid", "gid", "gecos", "home", "shell"]),
    ("administrators", &["name", "password", "administrators", "members"]),
    ("gid", &["name", "password", "gid", "members"]),
    (
        "name",
        &[
            "name",
            "password",
            "changed",
            "min_days",
            "max_days",
            "warn_days",
            "inactive_days",
            "expires",
        ],
    ),
];

/// Takes the places out of a value; with `spans` they come back as a parallel tree.
pub(super) fn placed(mut value: Value, spans: bool) -> Value {
    let tree = lift(&mut value);
    if let (Value::Object(fields), true) = (&mut value, spans) {
        fields.insert("spans".into(), tree.unwrap_or_else(|| json!({})));
    }
    value
}

/// A copy of an object with a field more; other values are wrapped as `value`.
pub(super) fn with(value: &Value, name: &str, field: &Value) -> Value {
    let mut fields = match value {
        Value::Object(fields) => fields.clone(),
        other => Map::from_iter([("value".to_string(), other.clone())]),
    };
    fields.insert(name.into(), field.clone());
    Value::Object(fields)
}

/// Removes places from a value and returns them in its shape; `None` when there are none.
fn lift(value: &mut Value) -> Option<Value> {
    match value {
        Value::Array(items) => {
            let spans: Vec<Value> =
                items.iter_mut().map(|item| lift(item).unwrap_or(Value::Null)).collect();
            spans.iter().any(|span| !span.is_null()).then_some(Value::Array(spans))
        }
        Value::Object(fields) if is_placed(fields) => {
            let mut place = std::mem::take(fields);
            *value = place.shift_remove("value").unwrap_or_default();
            Some(Value::Object(place))
        }
        Value::Object(fields) => {
            let mut spans = Map::new();
            for name in fields.keys().cloned().collect::<Vec<_>>() {
                let field = &fields[&name];
                if is_place(field) {
                    let place = fields.shift_remove(&name).unwrap_or_default();
                    match name.as_str() {
                        "place" => spans.extend(place.as_object().cloned().unwrap_or_default()),
                        other => {
                            let of = other.strip_suffix("_place").unwrap_or(other).to_string();
                            spans.insert(of, place);
                        }
                    }
                } else if name == "row" && field.get("columns").is_some() {
                    let row = fields.shift_remove(&name).unwrap_or_default();
                    spans.extend(columns(&row, fields));
                }
            }
            for (name, field) in fields.iter_mut() {
                if let Some(span) = lift(field) {
                    spans.insert(name.clone(), span);
                }
            }
            (!spans.is_empty()).then_some(Value::Object(spans))
        }
        _ => None,
    }
}

fn is_place(value: &Value) -> bool {
    let Value::Object(fields) = value else { return false };
    fields.len() == 3 && ["file", "line", "column"].iter().all(|name| fields.contains_key(*name))
}

/// A value with its place beside it.
fn is_placed(fields: &Map<String, Value>) -> bool {
    fields.len() == 4
        && ["value", "file", "line", "column"].iter().all(|name| fields.contains_key(*name))
}

/// The place of every field of a row.
fn columns(row: &Value, entry: &Map<String, Value>) -> Map<String, Value> {
    let names = FIELDS.iter().find(|(own, _)| entry.contains_key(*own)).map(|(_, names)| names);
    let columns = row["columns"].as_array().map_or(&[][..], Vec::as_slice);
    let places = names.into_iter().flat_map(|names| names.iter()).zip(columns);
    places
        .filter(|(name, _)| entry.contains_key(**name))
        .map(|(name, column)| ((*name).to_string(), json!({"line": row["line"], "column": column})))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_to_a_parallel_tree() {
        let place = json!({"file": "/x", "line": 3, "column": 5});
        let value = json!({"jobs": [{"user": "root", "place": place, "command_place": place}]});
        assert_eq!(placed(value.clone(), false), json!({"jobs": [{"user": "root"}]}));
        let spans = json!({"file": "/x", "line": 3, "column": 5, "command": place});
        assert_eq!(placed(value, true)["spans"], json!({"jobs": [spans]}));
        let word = json!({"arguments": [{"value": "x", "file": "/x", "line": 3, "column": 5}]});
        assert_eq!(placed(word.clone(), false), json!({"arguments": ["x"]}));
        assert_eq!(placed(word, true)["spans"], json!({"arguments": [place]}));
        let row = json!({"name": "a", "password": "x", "gid": 1, "members": [], "row": {"line": 2, "columns": [1, 3, 5, 7]}});
        assert_eq!(placed(row, true)["spans"]["gid"], json!({"line": 2, "column": 5}));
    }
}
