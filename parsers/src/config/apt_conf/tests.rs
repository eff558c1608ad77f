use super::*;
use crate::tree::MemoryTree;

fn dump(text: &str) -> Vec<(String, String)> {
    let read = AptConf::parse("/x", text.as_bytes());
    assert!(read.settings().problems.is_empty(), "{text}: {:?}", read.settings().problems);
    read.dump()
}

fn lines(text: &str) -> Vec<String> {
    dump(text).into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn names_blocks_and_lists_make_apts_tree() {
    assert_eq!(lines("A::B \"1\";"), ["A=", "A::B=1"]);
    assert_eq!(
        lines("A \"v\" { B \"1\"; L { \"x\"; \"y\"; }; };"),
        ["A=v", "A::B=1", "A::L=", "A::L::=x", "A::L::=y"]
    );
    assert_eq!(lines("A::L:: \"x\"; A::L:: \"y\";"), ["A=", "A::L=", "A::L::=x", "A::L::=y"]);
    assert_eq!(lines("A::b \"1\";\na::B \"2\";"), ["A=", "A::b=2"]);
    assert_eq!(lines("A::B \"1\" \"2\";"), ["A=", "A::B=1 2"]);
    assert_eq!(lines("A::B 1;A::\"C\"\n  no\n;"), ["A=", "A::B=1", "A::C=no"]);
    assert_eq!(lines("A:: \"a\" { B \"c\"; };"), ["A=", "A::=a", "A::::B=c"]);
    assert_eq!(lines("A { B \"1\";"), ["A=", "A::B=1"], "a block need not close");
}

#[test]
fn comments_and_directives() {
    let text = "A::B \"x // y # z\"; // c\n# d\n/* e\n f */ A::C /* g */ \"1\";\n#clear A::B;\n#clear None;\n";
    assert_eq!(lines(text), ["A=", "A::B=", "A::C=1"]);
    let settings = AptConf::parse("/x", text.as_bytes()).settings();
    let cleared = settings.get("A::B").unwrap();
    assert_eq!(cleared.overrides[0].rule, Rule::EmptyResets);
    assert_eq!(settings.get("A::C").unwrap().values[0].place.to_string(), "/x:4:7");
}

#[test]
fn faults_end_a_file_with_their_place() {
    for (text, place) in [
        ("A::B 1 2;", "/x:1:1"),
        ("\n  { };", "/x:2:3"),
        ("A \"1\"", "/x:1:1"),
        ("A \"1;", "/x:1:1"),
        ("#clear;", "/x:1:1"),
        ("A { #clear A; };", "/x:1:1"),
        ("#includes \"x\";", "/x:1:1"),
    ] {
        let settings = AptConf::parse("/x", text.as_bytes()).settings();
        assert_eq!(settings.problems.kept[0].place.to_string(), place, "{text}");
    }
}

#[test]
fn drop_ins_come_first_and_only_by_their_names() {
    let tree = MemoryTree::new()
        .file("/etc/apt/apt.conf.d/20b", "A \"2\";\nL { \"x\"; };")
        .file("/etc/apt/apt.conf.d/10a.conf", "A \"1\";\n#include \"/inc/\";")
        .file("/etc/apt/apt.conf.d/30c.disabled", "A \"bad\";")
        .file("/etc/apt/apt.conf.d/30d~", "A \"bad\";")
        .file("/etc/apt/apt.conf.d/.40", "A \"bad\";")
        .file("/etc/apt/apt.conf", "L { \"y\"; };")
        .file("/inc/1", "I \"1\";")
        .special("/etc/apt/apt.conf.d/50", FileKind::Fifo);
    let settings = AptConf::read(&tree).settings();
    assert_eq!((settings.value("A"), settings.value("I")), (Some("2"), Some("1")));
    assert_eq!(settings.get("A").unwrap().overrides[0].rule, Rule::LastWins);
    assert_eq!(settings.get("L").unwrap().values.len(), 2);
    assert_eq!((settings.files.len(), settings.unread.len()), (4, 1));
}

#[test]
fn hostile_texts_end_bounded() {
    let problems = |text: &str| AptConf::parse("/x", text.as_bytes()).settings().problems.len();
    assert_eq!(problems(&"a {".repeat(1 << 20)), 1);
    assert_eq!(problems(&"a::".repeat(1 << 20)), 1);
    assert_eq!(problems(&format!("{} \"1\";", "a".repeat(900))), 0);
    assert!(problems(&"a:: \"x\";".repeat(ITEMS_MAX + 1)) > 0);
    assert_eq!(problems("a \0;"), 1);
    let tree = MemoryTree::new().file("/etc/apt/apt.conf", "#include \"/etc/apt/apt.conf\";");
    let settings = AptConf::read(&tree).settings();
    assert_eq!((settings.files.len(), settings.problems.len()), (INCLUDES_MAX + 1, 1));
}
