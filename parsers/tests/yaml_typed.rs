//! Typed loading beside serde_yaml: the same values, the same refusals; and what ours alone promises
//! (places in errors, borrowed text, a budget for aliases).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use parsers::config::yaml::{Tree, from_slice};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Debug, PartialEq, Deserialize)]
struct All {
    text: String,
    small: Option<i8>,
    wide: Option<u64>,
    ratio: Option<f64>,
    flag: Option<bool>,
    list: Option<Vec<String>>,
    pair: Option<(u8, String)>,
    map: Option<BTreeMap<String, Option<i64>>>,
    kind: Option<Shape>,
    #[serde(default)]
    unit: (),
}

#[derive(Debug, PartialEq, Deserialize)]
enum Shape {
    Dot,
    Circle(f64),
    Box(u8, u8),
    Named { name: String },
}

/// Both read the same, or both refuse; true if they read.
fn same<T: DeserializeOwned + Debug + PartialEq>(text: &str) -> bool {
    let ours: Option<T> = from_slice(text.as_bytes()).ok();
    let peer: Option<T> = serde_yaml::from_str(text).ok();
    assert_eq!(ours, peer, "{text}");
    ours.is_some()
}

#[test]
fn structures_are_read_as_the_peer_reads_them() {
    let fits = [
        "text: a",
        "text: 1\nsmall: -128\nwide: 18446744073709551615\nratio: 1e3\nflag: true",
        "text: 'x'\nsmall: ~\nwide:\nratio: .inf\nflag: null",
        "text: |\n  a\n  b\nlist: [a, \"b\", 3, null, true]\npair: [1, b]",
        "text: \"\\u00e4\"\nmap: {a: 1, b: , c: ~}\nunit: ~",
        "text: &x abc\nlist: [*x, *x]\nlist2: ignored",
        "text: a\nkind: Dot",
        "text: a\nkind: !Dot",
        "text: a\nkind: !Circle 2.5",
        "text: a\nkind: !Box [1, 2]",
        "text: a\nkind: !Named {name: b}",
        "text: a\nlist:\nmap:",
        "text: a\nsmall: 0x1f\nwide: 0o17\nratio: 7",
        "text: ~",
        "text: !!str 1\nsmall: !!int 3\nwide: !!int |-\n  7",
    ];
    for text in fits {
        assert!(same::<All>(text), "{text}");
    }
    let refused = [
        "text: [a]",
        "small: 1",
        "text: a\nsmall: 128",
        "text: a\nsmall: 1.5",
        "text: a\nsmall: '1'",
        "text: a\nwide: -1",
        "text: a\nflag: yes",
        "text: a\nlist: b",
        "text: a\npair: [1]",
        "text: a\npair: [1, b, c]",
        "text: a\nkind: Square",
        "text: a\nkind: !Circle",
        "text: a\nkind: {Circle: 1}",
        "text: a\ntext: b",
        "text: a\nmap: [1]",
        "[a]",
        "text: a\n---\ntext: b\n",
        "text: a\nwide: 0777",
    ];
    for text in refused {
        assert!(!same::<All>(text), "{text}");
    }
}

#[test]
fn other_shapes_are_read_as_the_peer_reads_them() {
    assert!(same::<Vec<i64>>("- 1\n- -2\n- +3\n"));
    assert!(same::<Option<u8>>("~"));
    assert!(same::<Vec<Option<String>>>("- a\n-\n- ~\n- 'null'\n- !!null null\n"));
    assert!(same::<(i128, u128)>("[-170141183460469231731687303715884105728, 1]"));
    assert!(same::<BTreeMap<u8, char>>("{1: a, 2: ä}"));
    assert!(same::<BTreeMap<String, String>>("<<: a\nb: c\n"));
    assert!(same::<Vec<f32>>("[1, .5, -.inf, 1e-3]"));
    assert!(!same::<Vec<u8>>("[256]"));
    assert!(!same::<String>("{}"));
    assert!(!same::<()>("a"));
}

#[test]
fn errors_name_the_place_of_what_does_not_fit() {
    let error = from_slice::<All>(b"text: a\nlist:\n  - b\nsmall: many\n").unwrap_err();
    assert_eq!((error.line, error.column), (4, 8), "{error}");
    let error = from_slice::<All>(b"text: a\nlist:\n  - b\n  - [c]\n").unwrap_err();
    assert_eq!((error.line, error.column), (4, 5), "{error}");
    let error = from_slice::<All>(b"\nlist: []\n").unwrap_err();
    assert_eq!((error.line, error.column), (2, 1), "{error}");
}

#[test]
fn text_is_borrowed_where_it_stands_as_it_is() {
    #[derive(Deserialize)]
    struct Texts<'t> {
        #[serde(borrow)]
        plain: &'t str,
        #[serde(borrow)]
        escaped: Cow<'t, str>,
    }
    let tree = Tree::read(b"plain: 'as it is'\nescaped: \"a\\tb\"\n").unwrap();
    let texts: Texts<'_> = tree.documents().next().unwrap().parse().unwrap();
    assert_eq!((texts.plain, &*texts.escaped), ("as it is", "a\tb"));
}

#[test]
fn aliases_give_their_value_again_within_a_budget() {
    let read: Vec<Vec<u8>> = from_slice(b"- &a [1, 2]\n- *a\n").unwrap();
    assert_eq!(read, [[1, 2], [1, 2]]);
    let mut laughs = String::from("- &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 9].join(",");
        laughs.push_str(&format!("- &a{level} [{items}]\n"));
    }
    let error = from_slice::<serde_json::Value>(laughs.as_bytes()).unwrap_err();
    assert!(error.message.contains("expand") && error.line > 0, "{error}");
    assert!(from_slice::<serde_json::Value>(b"&a [*a]").is_err());
}
