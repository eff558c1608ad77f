//! What holds for every input of the YAML parser: no panic, places and spans inside of the text, the same
//! answer in every encoding and with every line end, and bombs that end soon.

mod yaml_generator;

use std::time::{Duration, Instant};

use parsers::config::yaml::{Kind, NodeRef, Options, Tags, Tree};
use proptest::prelude::*;
use yaml_generator::{Writer, soup, value};

/// Spans lie inside of their parents', follow each other, and slice to what the nodes say.
fn spans_hold(tree: &Tree<'_>) {
    for root in tree.documents() {
        node_holds(tree, root);
    }
}

fn node_holds(tree: &Tree<'_>, node: NodeRef<'_>) {
    let span = node.span();
    let slice = &tree.text()[span.clone()];
    let inner = |sign: char| slice.strip_prefix(sign).and_then(|rest| rest.strip_suffix(sign));
    match node.kind() {
        Kind::Empty => assert!(slice.is_empty() && node.text().is_empty()),
        Kind::Plain if !slice.contains(['\n', '\r']) => assert_eq!(node.text(), slice),
        Kind::Plain => assert!(!slice.starts_with([' ', '\n']) && !slice.ends_with([' ', '\n'])),
        Kind::Single => assert!(inner('\'').is_some()),
        Kind::Double if !slice.contains(['\\', '\n', '\r']) => {
            assert_eq!(Some(&*node.text()), inner('"'));
        }
        Kind::Double => assert!(inner('"').is_some()),
        Kind::Literal => assert!(slice.starts_with('|')),
        Kind::Folded => assert!(slice.starts_with('>')),
        Kind::Alias => assert_eq!(slice, format!("*{}", node.text())),
        Kind::FlowSequence => assert!(slice.starts_with('[') && slice.ends_with(']')),
        Kind::FlowMapping | Kind::BlockSequence | Kind::BlockMapping => {}
        Kind::Spare => panic!("a spare was given out"),
    }
    let (line, column) = node.place();
    assert!(line >= 1 && column >= 1);
    let mut before = span.start;
    let mut count = 0;
    for child in node.children() {
        let inside = child.span();
        assert!(before <= inside.start && inside.end <= span.end, "{inside:?} in {span:?}");
        before = inside.end;
        count += 1;
        node_holds(tree, child);
    }
    assert!(count % 2 == 0 || !node.kind().is_mapping());
}

fn read_holds(text: &str) {
    match Tree::read(text.as_bytes()) {
        Ok(tree) => {
            spans_hold(&tree);
            // Neither may panic, whatever they say.
            let _ = (tree.to_json(Tags::Shown), tree.events());
            for root in tree.documents() {
                let _ = root.parse::<serde_json::Value>();
            }
        }
        Err(error) => {
            let lines = 1 + text.matches(['\n', '\r']).count();
            assert!(error.line as usize <= lines, "{error:?}");
            assert!(error.line == 0 || error.column as usize <= text.len() + 1, "{error:?}");
        }
    }
}

fn events(bytes: &[u8]) -> Option<String> {
    Tree::read(bytes).ok().map(|tree| tree.events())
}

fn utf16(text: &str, write: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(write).collect()
}

fn utf32(text: &str, write: fn(u32) -> [u8; 4]) -> Vec<u8> {
    text.chars().flat_map(|sign| write(u32::from(sign))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn soups_are_read_or_refused_at_a_place(text in soup()) {
        read_holds(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(tree) = Tree::read(&bytes) {
            spans_hold(&tree);
        }
    }

    #[test]
    fn a_prefix_of_a_document_is_read_or_refused(value in value(), seed: u64, cut in 0.0..1.0_f64) {
        let text = Writer::write(&value, seed);
        let mut end = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        read_holds(&text[..end]);
    }

    #[test]
    fn line_ends_make_no_difference(text in soup()) {
        let text = text.replace('\r', "");
        let plain = events(text.as_bytes());
        prop_assert_eq!(&events(text.replace('\n', "\r\n").as_bytes()), &plain);
        prop_assert_eq!(&events(text.replace('\n', "\r").as_bytes()), &plain);
    }

    #[test]
    fn encodings_make_no_difference(value in value(), seed: u64) {
        let text = Writer::write(&value, seed);
        let plain = events(text.as_bytes());
        prop_assert!(plain.is_some(), "{}", text);
        let marked = format!("\u{feff}{text}");
        prop_assert_eq!(&events(marked.as_bytes()), &plain);
        prop_assert_eq!(&events(&utf16(&marked, u16::to_le_bytes)), &plain);
        prop_assert_eq!(&events(&utf16(&marked, u16::to_be_bytes)), &plain);
        prop_assert_eq!(&events(&utf32(&marked, u32::to_le_bytes)), &plain);
        prop_assert_eq!(&events(&utf32(&marked, u32::to_be_bytes)), &plain);
        if text.starts_with(|first: char| first.is_ascii()) && text.len() > 1 {
            prop_assert_eq!(&events(&utf16(&text, u16::to_le_bytes)), &plain);
            prop_assert_eq!(&events(&utf32(&text, u32::to_be_bytes)), &plain);
        }
    }

    #[test]
    fn what_is_written_is_read(value in value(), seed: u64) {
        let text = Writer::write(&value, seed);
        let tree = Tree::read(text.as_bytes());
        prop_assert!(tree.is_ok(), "{:?}\n{}", tree, text);
        let tree = tree.unwrap();
        spans_hold(&tree);
        let read: serde_json::Value = tree.documents().next().unwrap().parse().unwrap();
        prop_assert_eq!(&read, &value, "{}", text);
    }
}

#[test]
fn empty_keys_stand_inside_of_their_pairs() {
    for text in ["- [ : empty key ]\n", "[: a, &x : b, ? c, ? : d]", "{ : a, &y : b }", "- : a\n"] {
        spans_hold(&Tree::read(text.as_bytes()).unwrap());
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_at_their_place() {
    for (bytes, line, column) in [
        (&b"a: 1\nb: \xff\n"[..], 2, 4),
        (b"a: 1\nb: \0\n", 2, 4),
        (b"a: \x1b[0m\n", 1, 4),
        (b"\xff\xfe\0\xd8a\0", 0, 0),
        (b"\0\0\xfe\xff\0\x11\0\0", 0, 0),
        (b"a\0b", 0, 0),
    ] {
        let error = Tree::read(bytes).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{bytes:?}: {error}");
    }
}

#[test]
fn errors_show_their_line_with_a_caret() {
    let text = "ok: 1\nlist: [a, b\nnext: 2\n";
    let error = Tree::read(text.as_bytes()).unwrap_err();
    assert_eq!((error.line, error.column), (3, 1));
    assert_eq!(error.excerpt(text.as_bytes()), "3 | next: 2\n  | ^\n");
    let text = "key: \tä: b: c\n";
    let error = Tree::read(text.as_bytes()).unwrap_err();
    assert_eq!(error.excerpt(text.as_bytes()), "1 | key: \tä: b: c\n  |      \t ^\n");
}

#[test]
fn comments_are_kept_when_asked_for() {
    let text = b"# one\na: 1 # two\nb: [x, # three\n  y]\nc: | # four\n  # text\n# five\n";
    let tree = Tree::read(text).unwrap();
    assert_eq!(tree.comments().len(), 0);
    let tree = Tree::read_with(text, &Options { comments: true, ..Options::default() }).unwrap();
    let comments: Vec<&str> = tree.comments().map(|range| &tree.text()[range]).collect();
    assert_eq!(comments, ["# one", "# two", "# three", "# four", "# five"]);
}

#[test]
fn limits_hold_at_their_edge() {
    let options = Options { depth_max: 3, documents_max: 2, ..Options::default() };
    let read = |text: &str| Tree::read_with(text.as_bytes(), &options).is_ok();
    assert!(read("[[[]]]") && !read("[[[[]]]]"));
    assert!(read("- - - a") && !read("- - - - a"));
    assert!(read("- - []") && !read("- - [[]]"));
    let options = Options { nodes_max: 4, ..Options::default() };
    let few = |text: &str| Tree::read_with(text.as_bytes(), &options).is_ok();
    assert!(few("- a\n- b\n- c\n") && !few("- a\n- b\n- c\n- d\n"));
    let tag = |length: usize| format!("%TAG ! {}\n---\n!a b\n", "x".repeat(length));
    assert!(Tree::read(tag(1023).as_bytes()).is_ok() && Tree::read(tag(1024).as_bytes()).is_err());
    assert!(read("a\n---\nb\n") && !read("a\n---\nb\n---\nc\n"));
    let key = |length: usize| format!("{}: 1\n", "ä".repeat(length));
    assert!(Tree::read(key(1024).as_bytes()).is_ok() && Tree::read(key(1025).as_bytes()).is_err());
    let quoted = |length: usize| format!("[\"{}\": 1]\n", "k".repeat(length));
    assert!(Tree::read(quoted(1022).as_bytes()).is_ok());
    assert!(Tree::read(quoted(1023).as_bytes()).is_err());
    let directives = |count: usize| format!("{}---\n", "%OTHER x\n".repeat(count));
    assert!(Tree::read(directives(64).as_bytes()).is_ok());
    assert!(Tree::read(directives(65).as_bytes()).is_err());
}

/// Generous, since this is built without optimisation; the bench `yaml` asserts 50 ms and 64 MB.
const BOMB_MAX: Duration = Duration::from_secs(3);

#[test]
fn bombs_end_soon() {
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..40 {
        let items = vec![format!("*a{}", level - 1); 9].join(",");
        laughs.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let bombs = [
        laughs,
        "[".repeat(100_000),
        "{".repeat(100_000),
        "- ".repeat(1_000_000),
        "? ".repeat(500_000),
        "a: &a\n  <<: *a\n".repeat(60_000),
        format!("{}: 1\n", "k".repeat(64 << 10)).repeat(16),
        "- &a [*a]\n".repeat(50_000),
        "&a [*a]".into(),
        "{\"\":[".repeat(100_000),
        ":".repeat(1_000_000),
        "a: [[]: b]\n".repeat(50_000),
        format!("\"{}", "\n ".repeat(500_000)),
        format!("a: b\n{}", " \n".repeat(500_000)),
        format!("- |\n{}", format!("{}\n", " ".repeat(999)).repeat(1_000)).repeat(1),
        (0..1_400).map(|depth| format!("{}- a\n", " ".repeat(depth))).collect(),
        "%TAG !a! b\n".repeat(90_000),
        format!("%TAG ! {}\n---\n{}", "x".repeat(1_000), "- !a\n".repeat(100_000)),
    ];
    for bomb in bombs {
        let start = Instant::now();
        let read = Tree::read(bomb.as_bytes());
        if let Ok(tree) = &read {
            let _ = tree.to_json(Tags::Dropped);
            for root in tree.documents().take(2) {
                let _ = root.parse::<serde::de::IgnoredAny>();
            }
        }
        let head: String = bomb.chars().take(20).collect();
        assert!(start.elapsed() < BOMB_MAX, "{head:?} took {:?}", start.elapsed());
    }
    let cycle = Tree::read(b"&a [*a]").unwrap();
    let root = cycle.documents().next().unwrap();
    assert_eq!(root.children().next().unwrap().resolved().id(), root.id());
    assert!(cycle.to_json(Tags::Shown).is_err() && cycle.expanded_nodes() == usize::MAX);
}
