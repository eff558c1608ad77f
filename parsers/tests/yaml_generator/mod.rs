//! Documents to test YAML with: values written in every style, and soups of the signs that matter.

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Values with text that quoting has to get right.
pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        (-1.0e6..1.0e6_f64).prop_map(Value::from),
        "[a-z]{0,8}".prop_map(Value::String),
        "[ -~]{0,24}".prop_map(Value::String),
        "[a-zä\u{1f600}#:,'\"\\\\\\[{ \t\n-]{0,40}".prop_map(Value::String),
        "([a-z]{1,6}( |\n|\n\n)){1,6}[a-z]{1,6}\n{0,3}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof!["[a-z][a-z0-9_-]{0,10}", "[ -~]{1,12}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|pairs| Value::Object(Map::from_iter(pairs))),
        ]
    })
}

/// Signs and words in any order.
pub fn soup() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "key",
        "é",
        "0",
        "- ",
        "-",
        ": ",
        ":",
        "? ",
        "?",
        "\n",
        "\n",
        "\n",
        " ",
        "  ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ",",
        "'",
        "\"",
        "|\n",
        ">\n",
        "|-",
        ">+",
        "2",
        " #c",
        "#",
        "&a ",
        "*a",
        "*a ",
        "!t ",
        "!!str ",
        "!<x> ",
        "---\n",
        "--- ",
        "...\n",
        "%YAML 1.2\n",
        "\\",
        "\\n",
        "''",
        "~",
        "<<: ",
        "\r\n",
        "\r",
        "\u{feff}",
        "key: ",
        "key: v\n",
        "- a\n",
        "  b: c\n",
    ]);
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

/// Writes values, each in a style that the seed picks among those that can say it.
pub struct Writer {
    out: String,
    state: u64,
}

impl Writer {
    pub fn write(value: &Value, seed: u64) -> String {
        let mut writer = Self { out: String::new(), state: seed | 1 };
        if writer.pick(3) == 0 {
            writer.out.push_str("# a comment\n---\n");
        }
        writer.node(value, -1, true);
        writer.out
    }

    fn pick(&mut self, below: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    /// A node as a value of a collection at `indent`, with its line break. `fresh`: at a line's start.
    fn node(&mut self, value: &Value, indent: i32, fresh: bool) {
        match value {
            Value::Array(items) if !items.is_empty() && self.pick(3) > 0 => {
                let deeper = indent + 1 + self.pick(3) as i32;
                self.start(fresh);
                for item in items {
                    self.indent(deeper);
                    self.out.push('-');
                    self.behind(item, deeper);
                }
            }
            Value::Object(pairs) if !pairs.is_empty() && self.pick(3) > 0 => {
                let deeper = indent + 1 + self.pick(3) as i32;
                self.start(fresh);
                for (key, value) in pairs {
                    self.indent(deeper);
                    if self.pick(8) == 0 {
                        self.out.push_str("? ");
                        self.quoted(key);
                        self.end_line();
                        self.indent(deeper);
                    } else {
                        self.key(key);
                    }
                    self.out.push(':');
                    self.behind(value, deeper);
                }
            }
            Value::String(text) if self.pick(2) == 0 && can_be_literal(text) => {
                self.literal(text, indent);
            }
            _ => {
                if !fresh {
                    self.out.push(' ');
                }
                self.flow(value, indent + 1);
                self.end_line();
            }
        }
    }

    /// A node after `-` or `:`.
    fn behind(&mut self, value: &Value, indent: i32) {
        self.node(value, indent, false);
    }

    fn start(&mut self, fresh: bool) {
        if !fresh {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let ends = ["\n", "\n", " \n", " # comment\n", "\n\n", "\n  # comment\n"];
        let end = ends[self.pick(6) as usize];
        self.out.push_str(end);
    }

    fn indent(&mut self, depth: i32) {
        self.out.extend(std::iter::repeat_n(' ', depth.max(0) as usize));
    }

    fn key(&mut self, key: &str) {
        if is_plain(key) && self.pick(4) > 0 { self.out.push_str(key) } else { self.quoted(key) }
    }

    fn literal(&mut self, text: &str, indent: i32) {
        let body = text.trim_end_matches('\n');
        let breaks = text.len() - body.len();
        self.out.push_str(if self.out.is_empty() || self.out.ends_with('\n') { "|" } else { " |" });
        self.out.push_str(match breaks {
            0 => "-\n",
            1 => "\n",
            _ => "+\n",
        });
        for line in body.split('\n') {
            if !line.is_empty() {
                self.indent(indent + 1 + i32::from(indent < 0));
            }
            self.out.push_str(line);
            self.out.push('\n');
        }
        for _ in 1..breaks {
            self.out.push('\n');
        }
    }

    /// A node in flow style, its further lines at least `indent` deep.
    fn flow(&mut self, value: &Value, indent: i32) {
        match value {
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.separator(index, indent);
                    self.flow(item, indent);
                }
                self.out.push(']');
            }
            Value::Object(pairs) => {
                self.out.push('{');
                for (index, (key, value)) in pairs.iter().enumerate() {
                    self.separator(index, indent);
                    self.key(key);
                    self.out.push_str(": ");
                    self.flow(value, indent);
                }
                self.out.push('}');
            }
            Value::String(text) if is_plain(text) && self.pick(2) == 0 => self.out.push_str(text),
            Value::String(text) => self.quoted(text),
            other => self.out.push_str(&other.to_string()),
        }
    }

    fn separator(&mut self, index: usize, indent: i32) {
        if index > 0 {
            self.out.push(',');
        }
        match self.pick(6) {
            0 => {
                self.end_line();
                self.indent(indent + 1);
            }
            1 => {}
            _ => self.out.push(' '),
        }
    }

    fn quoted(&mut self, text: &str) {
        let printable = text.chars().all(|sign| sign >= ' ' && sign != '\u{7f}');
        if printable && self.pick(2) == 0 {
            self.out.push('\'');
            self.out.push_str(&text.replace('\'', "''"));
            self.out.push('\'');
            return;
        }
        self.out.push('"');
        for sign in text.chars() {
            match sign {
                '"' | '\\' => self.out.extend(['\\', sign]),
                '\n' => self.out.push_str("\\n"),
                '\t' => self.out.push_str("\\t"),
                _ if self.pick(12) == 0 => {
                    self.out.push_str(&format!("\\U{:08x}", u32::from(sign)))
                }
                _ => self.out.push(sign),
            }
        }
        self.out.push('"');
    }
}

/// Words that mean themselves without quotes, in block and flow.
fn is_plain(text: &str) -> bool {
    let words = ["null", "true", "false", "inf", "nan"];
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && !words.contains(&text)
}

/// Text that a literal scalar can hold with a detected indentation.
fn can_be_literal(text: &str) -> bool {
    let body = text.trim_end_matches('\n');
    !body.is_empty()
        && !body.starts_with([' ', '\n', '\t'])
        && body.chars().all(|sign| sign >= ' ' || sign == '\n')
}
