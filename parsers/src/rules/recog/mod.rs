//! recog fingerprint files: XML to typed fingerprints.
//!
//! The form is that of the recog project (`fingerprints.xsd`): a file holds fingerprints for one kind
//! of text (`ssh.banner`, `http_header.server` …), each a regular expression in Ruby's notation with
//! parameters and examples. This room reads the form and translates the expressions ([`expression`]);
//! matching is the scanner's.
//!
//! A file is bounded in size, nodes and counts; it may have no document type, so no entities of its own
//! and nothing from outside. What is not known here (a flag, an encoding, an element) is an error with
//! file, line and column: a flag that is ignored would make a fingerprint match something else.

use std::sync::Arc;

use base64::Engine;
use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

use crate::place::{Place, Problem};

mod expression;

pub use expression::translated;

/// Most bytes of one file.
pub const FILE_BYTES_MAX: usize = 8 << 20;
/// Most XML nodes of one file: elements, texts and comments.
const NODES_MAX: u32 = 400_000;
/// Most attributes of one element: the XML reader compares each with all before it.
pub const ATTRIBUTES_MAX: usize = 256;
/// Most fingerprints of one file.
pub const FINGERPRINTS_MAX: usize = 10_000;
/// Most examples of one fingerprint.
pub const EXAMPLES_MAX: usize = 1_000;
/// Most parameters of one fingerprint.
pub const PARAMS_MAX: usize = 100;
/// Most bytes of one pattern.
pub const PATTERN_BYTES_MAX: usize = 8 << 10;
/// Most bytes of one example, decoded.
pub const EXAMPLE_BYTES_MAX: usize = 64 << 10;
/// The preference of a file that states none, as in recog.
const PREFERENCE: f32 = 0.10;

/// One file: fingerprints for one kind of text, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// Its path, as given.
    pub file: Arc<str>,
    /// The kind of text: `ssh.banner`; the file's stem where the file says nothing.
    pub matches: String,
    /// `service.protocol` of every match that does not set it.
    pub protocol: Option<String>,
    /// `service`, `util.os` …
    pub kind: Option<String>,
    /// Files with a higher one are asked first (0 to 1).
    pub preference: f32,
    /// In order: the first that matches wins.
    pub fingerprints: Vec<Fingerprint>,
}

/// One fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Line of its element.
    pub line: u32,
    /// Regular expression, as written (Ruby's notation).
    pub pattern: String,
    /// `REG_ICASE`: letters match in both cases.
    pub ignore_case: bool,
    /// `REG_DOT_NEWLINE`, `REG_MULTILINE`: `.` matches line ends too.
    pub dot_newline: bool,
    /// One line for people.
    pub description: String,
    /// What it says about a text that matches.
    pub params: Vec<Param>,
    /// Texts that it must match.
    pub examples: Vec<Example>,
}

/// One fact of a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// `service.product` …; names that begin with `_tmp.` only serve other values.
    pub name: String,
    /// From where.
    pub value: Value,
}

/// Where a parameter's value is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Written in the file; `{other.name}` stands for another parameter's value.
    Fixed(String),
    /// A group of the expression, from 1.
    Group(u16),
}

/// A text that its fingerprint must match, and what it must say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Line of its element.
    pub line: u32,
    /// The text.
    pub text: Text,
    /// Parameter names and their values.
    pub expected: Vec<(String, String)>,
}

/// Where an example's text is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Text {
    /// In the file itself.
    Here(Vec<u8>),
    /// In a file of this name, in the directory with the stem of the fingerprint file's name.
    Beside(String),
}

/// Reads one file. `file` names it in places and gives `matches` where the file has none.
pub fn parse(file: &Arc<str>, bytes: &[u8]) -> Result<Database, Problem> {
    let whole = |message: String| Problem { place: Place::whole(Arc::clone(file)), message };
    if bytes.len() > FILE_BYTES_MAX {
        return Err(whole(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole("not UTF-8".to_string()))?;
    if let Some(at) = crowded(text.as_bytes()) {
        let (line, column) = Lines::of(text).at(at);
        let message = format!("more than {ATTRIBUTES_MAX} attributes in one element");
        return Err(Problem { place: Place::new(file, line, column), message });
    }
    let options = roxmltree::ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..roxmltree::ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        let at = error.pos();
        let message = error.to_string();
        // The place stands before the message already.
        let end = message.rfind(" at ").unwrap_or(message.len());
        Problem { place: Place::new(file, at.row, at.col), message: message[..end].to_string() }
    })?;
    let lines = Lines::of(text);
    Reader { file, lines: &lines }.database(document.root_element())
}

/// Where the first element begins that has more attributes than it may, by the quotes of their values.
/// Comments, character data and instructions hold none.
fn crowded(bytes: &[u8]) -> Option<usize> {
    const OTHERS: [(&[u8], &[u8]); 3] = [(b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>")];
    let mut at = 0;
    while let Some(start) = memchr::memchr(b'<', &bytes[at..]).map(|found| at + found) {
        let other = OTHERS.iter().find(|(open, _)| bytes[start..].starts_with(open));
        if let Some((open, close)) = other {
            let inner = start + open.len();
            at = inner + memchr::memmem::find(&bytes[inner..], close)? + close.len();
            continue;
        }
        at = start + 1;
        let mut values = 0;
        while let Some(next) = memchr::memchr3(b'>', b'"', b'\'', &bytes[at..]) {
            let found = bytes[at + next];
            at += next + 1;
            if found == b'>' {
                break;
            }
            values += 1;
            if values > ATTRIBUTES_MAX {
                return Some(start);
            }
            at += memchr::memchr(found, &bytes[at..])? + 1;
        }
    }
    None
}

/// Where lines begin, so that a place costs a binary search and not a pass over the file.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            std::iter::once(0)
                .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1))
                .collect(),
        )
    }

    fn at(&self, offset: usize) -> (u32, u32) {
        let line = self.0.partition_point(|start| *start <= offset);
        let column = offset - self.0[line - 1] + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}

struct Reader<'d> {
    file: &'d Arc<str>,
    lines: &'d Lines,
}

impl Reader<'_> {
    fn wrong(&self, node: Node, message: impl Into<String>) -> Problem {
        let (line, column) = self.lines.at(node.range().start);
        Problem { place: Place::new(self.file, line, column), message: message.into() }
    }

    fn database(&self, root: Node) -> Result<Database, Problem> {
        if root.tag_name().name() != "fingerprints" {
            return Err(self.wrong(root, "expected the element `fingerprints`"));
        }
        let stem = std::path::Path::new(self.file.as_ref()).file_stem().unwrap_or_default();
        let preference = match root.attribute("preference") {
            None => PREFERENCE,
            Some(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|number| (0.0..=1.0).contains(number))
                .ok_or_else(|| self.wrong(root, "`preference` is no number from 0 to 1"))?,
        };
        let mut fingerprints = Vec::new();
        for node in root.children().filter(Node::is_element) {
            if node.tag_name().name() != "fingerprint" {
                return Err(self.wrong(node, "expected the element `fingerprint`"));
            }
            if fingerprints.len() == FINGERPRINTS_MAX {
                return Err(self.wrong(node, format!("more than {FINGERPRINTS_MAX} fingerprints")));
            }
            fingerprints.push(self.fingerprint(node)?);
        }
        let attribute = |name| root.attribute(name).map(str::to_string);
        Ok(Database {
            file: Arc::clone(self.file),
            matches: attribute("matches").unwrap_or_else(|| stem.to_string_lossy().into_owned()),
            protocol: attribute("protocol"),
            kind: attribute("database_type"),
            preference,
            fingerprints,
        })
    }

    fn fingerprint(&self, node: Node) -> Result<Fingerprint, Problem> {
        let pattern = node.attribute("pattern").ok_or_else(|| self.wrong(node, "no `pattern`"))?;
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(self.wrong(node, format!("pattern larger than {PATTERN_BYTES_MAX} bytes")));
        }
        let mut read = Fingerprint {
            line: self.lines.at(node.range().start).0,
            pattern: pattern.to_string(),
            ignore_case: false,
            dot_newline: false,
            description: String::new(),
            params: Vec::new(),
            examples: Vec::new(),
        };
        for flag in node.attribute("flags").unwrap_or_default().split([',', '|', ' ']) {
            match flag {
                "" => {}
                "REG_ICASE" | "IGNORECASE" => read.ignore_case = true,
                "REG_DOT_NEWLINE" | "REG_MULTILINE" => read.dot_newline = true,
                other => return Err(self.wrong(node, format!("unknown flag `{other}`"))),
            }
        }
        for child in node.children().filter(Node::is_element) {
            match child.tag_name().name() {
                "description" => read.description = content(child).trim().to_string(),
                "param" if read.params.len() < PARAMS_MAX => read.params.push(self.param(child)?),
                "example" if read.examples.len() < EXAMPLES_MAX => {
                    read.examples.push(self.example(child)?);
                }
                "param" | "example" => return Err(self.wrong(child, "too many in one fingerprint")),
                other => return Err(self.wrong(child, format!("unknown element `{other}`"))),
            }
        }
        Ok(read)
    }

    fn param(&self, node: Node) -> Result<Param, Problem> {
        let name = node.attribute("name").ok_or_else(|| self.wrong(node, "no `name`"))?;
        let position = node.attribute("pos").and_then(|text| text.trim().parse::<u16>().ok());
        let value = match (position, node.attribute("value")) {
            (Some(0), Some(value)) => Value::Fixed(value.to_string()),
            (Some(0), None) => return Err(self.wrong(node, "`pos` is 0 and there is no `value`")),
            (Some(_), Some(_)) => {
                return Err(self.wrong(node, "a `value` beside a `pos` that is not 0"));
            }
            (Some(group), None) => Value::Group(group),
            (None, _) => return Err(self.wrong(node, "no `pos`, or not a number")),
        };
        Ok(Param { name: name.to_string(), value })
    }

    fn example(&self, node: Node) -> Result<Example, Problem> {
        let written = content(node);
        let text = match (node.attribute("_filename"), node.attribute("_encoding")) {
            (Some(name), _) if !is_file_name(name) => {
                return Err(self.wrong(node, "`_filename` is no plain file name"));
            }
            (Some(name), _) => Text::Beside(name.to_string()),
            (None, None) => Text::Here(written.into_bytes()),
            (None, Some("base64")) => {
                let packed: String = written.split_whitespace().collect();
                let bytes = base64::engine::general_purpose::STANDARD.decode(packed);
                Text::Here(bytes.map_err(|error| self.wrong(node, format!("base64: {error}")))?)
            }
            (None, Some(other)) => {
                return Err(self.wrong(node, format!("unknown encoding `{other}`")));
            }
        };
        if matches!(&text, Text::Here(bytes) if bytes.len() > EXAMPLE_BYTES_MAX) {
            return Err(self.wrong(node, format!("larger than {EXAMPLE_BYTES_MAX} bytes")));
        }
        let expected = node
            .attributes()
            .filter(|attribute| !matches!(attribute.name(), "_encoding" | "_filename"))
            .map(|attribute| (attribute.name().to_string(), attribute.value().to_string()))
            .collect();
        Ok(Example { line: self.lines.at(node.range().start).0, text, expected })
    }
}

/// The text of an element, with comments left out.
fn content(node: Node) -> String {
    node.children().filter(Node::is_text).filter_map(|text| text.text()).collect()
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Database, Problem> {
        parse(&Arc::from("dir/x_banners.xml"), text.as_bytes())
    }

    const WHOLE: &str = r#"<?xml version="1.0"?>
<fingerprints matches="x.banner" protocol="x" database_type="service" preference="0.85">
  <!-- a comment -->
  <fingerprint pattern="^Xd/([\d.]+) &quot;(\w)" flags="REG_ICASE,REG_DOT_NEWLINE">
    <description>X daemon
    </description>
    <example service.version="1.2">Xd/1.2 "a<!-- cut --> &amp; b</example>
    <example _encoding="base64">WGQvMS4y
      ICJh</example>
    <example _filename="long.bin"/>
    <param pos="0" name="service.product" value="Xd"/>
    <param pos="1" name="service.version"/>
  </fingerprint>
</fingerprints>"#;

    #[test]
    fn an_element_with_too_many_attributes_is_refused_before_they_are_compared() {
        let file: Arc<str> = Arc::from("x.xml");
        let with = |count: usize, value: &str| {
            let attributes: String = (0..count).map(|nth| format!(" a{nth}={value}")).collect();
            format!(
                "<?x '?><!-- ' > --><fingerprints>\n<fingerprint pattern='x'>\
                 <example{attributes}><![CDATA[<a ']]></example></fingerprint></fingerprints>"
            )
        };
        for value in ["'>'", "\"'a\"", "''"] {
            assert!(parse(&file, with(ATTRIBUTES_MAX, value).as_bytes()).is_ok(), "{value}");
            let told = parse(&file, with(ATTRIBUTES_MAX + 1, value).as_bytes()).unwrap_err();
            let expected = "x.xml:2:26: more than 256 attributes in one element";
            assert_eq!(told.to_string(), expected, "{value}");
        }
        let bomb = with(700_000, "''");
        assert!(parse(&file, bomb.as_bytes()).is_err());
        for cut in ["<a b='", "<!--", "<![CDATA[", "<?", "<", "<a b"] {
            assert!(parse(&file, cut.as_bytes()).is_err());
        }
    }

    #[test]
    fn a_file_is_read_whole() {
        let read = read(WHOLE).unwrap();
        assert_eq!((read.matches.as_str(), read.protocol.as_deref()), ("x.banner", Some("x")));
        assert_eq!((read.kind.as_deref(), read.preference), (Some("service"), 0.85));
        let one = &read.fingerprints[0];
        assert_eq!((one.line, one.pattern.as_str()), (4, r#"^Xd/([\d.]+) "(\w)"#));
        assert!(one.ignore_case && one.dot_newline);
        assert_eq!(one.description, "X daemon");
        assert_eq!(one.params[0].value, Value::Fixed("Xd".into()));
        assert_eq!(one.params[1].value, Value::Group(1));
        assert_eq!(one.examples[0].text, Text::Here(b"Xd/1.2 \"a & b".to_vec()));
        assert_eq!(one.examples[0].expected, [("service.version".into(), "1.2".into())]);
        assert_eq!(one.examples[1].text, Text::Here(b"Xd/1.2 \"a".to_vec()));
        assert_eq!(one.examples[2].text, Text::Beside("long.bin".into()));
        let bare = self::read("<fingerprints/>").unwrap();
        assert_eq!((bare.matches.as_str(), bare.preference), ("x_banners", PREFERENCE));
    }

    #[test]
    fn what_is_not_known_is_an_error_with_its_place() {
        for (from, to, expected) in [
            ("REG_ICASE", "REG_WILD", "dir/x_banners.xml:4:3: unknown flag `REG_WILD`"),
            ("base64", "rot13", "dir/x_banners.xml:8:5: unknown encoding `rot13`"),
            ("ICJh", "%", "dir/x_banners.xml:8:5: base64"),
            ("long.bin", "../x", "dir/x_banners.xml:10:5: `_filename`"),
            ("long.bin", "", "dir/x_banners.xml:10:5: `_filename`"),
            (" value=\"Xd\"", "", "dir/x_banners.xml:11:5: `pos` is 0"),
            ("pos=\"1\"", "pos=\"1\" value=\"x\"", "dir/x_banners.xml:12:5: a `value`"),
            ("pos=\"1\"", "pos=\"-1\"", "dir/x_banners.xml:12:5: no `pos`"),
            (
                "pos=\"1\" name=\"service.version\"",
                "pos=\"1\"",
                "dir/x_banners.xml:12:5: no `name`",
            ),
            ("pattern=", "regexp=", "dir/x_banners.xml:4:3: no `pattern`"),
            ("0.85", "1.5", "dir/x_banners.xml:2:1: `preference`"),
            ("<description>", "<about>", "dir/x_banners.xml:6:5:"),
            ("</fingerprints>", "", "dir/x_banners.xml:"),
            ("&amp;", "&evil;", "dir/x_banners.xml:7:"),
        ] {
            let error = read(&WHOLE.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(read("<nmap/>").is_err());
        assert!(parse(&Arc::from("x"), b"\xff").is_err());
    }

    #[test]
    fn nothing_is_taken_from_outside_and_nothing_is_unbounded() {
        let entity = "<!DOCTYPE f [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\n<fingerprints/>";
        assert!(read(entity).is_err());
        let deep =
            format!("{}{}", "<fingerprints>".repeat(100_000), "</fingerprints>".repeat(100_000));
        assert!(read(&deep).is_err());
        let flat = |count: usize| {
            let one = "<fingerprint pattern='x'/>";
            format!("<fingerprints>{}</fingerprints>", one.repeat(count))
        };
        assert_eq!(read(&flat(FINGERPRINTS_MAX)).unwrap().fingerprints.len(), FINGERPRINTS_MAX);
        assert!(read(&flat(FINGERPRINTS_MAX + 1)).is_err());
        let nested = |inner: String| {
            format!("<fingerprints><fingerprint pattern='x'>{inner}</fingerprint></fingerprints>")
        };
        for (one, most) in
            [("<example>x</example>", EXAMPLES_MAX), ("<param pos='1' name='a'/>", PARAMS_MAX)]
        {
            assert!(read(&nested(one.repeat(most))).is_ok());
            assert!(read(&nested(one.repeat(most + 1))).is_err());
        }
        let pattern = |bytes: usize| {
            let long = "x".repeat(bytes);
            read(&format!("<fingerprints><fingerprint pattern='{long}'/></fingerprints>"))
        };
        assert!(pattern(PATTERN_BYTES_MAX).is_ok() && pattern(PATTERN_BYTES_MAX + 1).is_err());
        let example = |bytes: usize| nested(format!("<example>{}</example>", "x".repeat(bytes)));
        assert!(read(&example(EXAMPLE_BYTES_MAX)).is_ok());
        assert!(read(&example(EXAMPLE_BYTES_MAX + 1)).is_err());
        let padded = |bytes: usize| format!("<fingerprints/>{}", " ".repeat(bytes - 15));
        assert!(
            read(&padded(FILE_BYTES_MAX)).is_ok() && read(&padded(FILE_BYTES_MAX + 1)).is_err()
        );
    }
}
