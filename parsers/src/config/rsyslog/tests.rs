use super::*;
use crate::tree::MemoryTree;

fn parse(text: &str) -> Rsyslog {
    Rsyslog::parse("/r", text.as_bytes())
}

fn kinds(all: &[Statement]) -> Vec<Kind> {
    all.iter().map(|statement| statement.kind).collect()
}

#[test]
fn the_three_syntaxes_stand_side_by_side() {
    let text = "# c\nmodule(load=\"imuxsock\" # c\n)\n$ModLoad imklog # d\nauth,authpriv.*  /var/log/auth.log\n*.*;auth.none -/var/log/syslog\n:msg, contains, \"a \\\"b\" @@h:514\n& stop\nif $msg contains 'x' and not ($.a == [\"b\", \"c\"]) then {\n  action(type=\"omfwd\" target=\"h\")\n  set $.y = 1 + 2;\n} else if prifilt(\"mail.*\") then stop\n/* more */\ntemplate(name=\"t\" type=\"list\") { constant(value=\"a\") property(name=\"msg\") }\nruleset(name=\"r\") { call r }\n";
    let read = parse(text);
    assert!(read.problems.is_empty(), "{:?}", read.problems);
    use Kind::{Action, Directive, If, Object, PriorityFilter, PropertyFilter};
    let top =
        [Object, Directive, PriorityFilter, PriorityFilter, PropertyFilter, If, Object, Object];
    assert_eq!(kinds(&read.statements), top);
    assert_eq!(read.statements[0].parameter("load"), Some("imuxsock"));
    assert_eq!(read.statements[1].directive(), Some(("modload".into(), "imklog # d")));
    let filter = &read.statements[4];
    assert_eq!(kinds(filter.block.as_ref().unwrap()), [Action, Kind::Stop]);
    assert_eq!(filter.block.as_ref().unwrap()[0].text, "@@h:514");
    let choice = &read.statements[5];
    assert_eq!(choice.text, "$msg contains 'x' and not ($.a == [\"b\", \"c\"])");
    assert_eq!(choice.block.as_ref().unwrap()[1].text, "$.y = 1 + 2");
    assert_eq!(choice.otherwise.as_ref().unwrap()[0].kind, If);
    assert_eq!((choice.place.line, choice.place.column), (9, 1));
    assert_eq!(read.statements[6].block.as_ref().unwrap().len(), 2);
}

#[test]
fn lines_go_on_and_keep_their_places() {
    let read = parse("mail.* \\\n   /var/log/mail\nkern.*\t:omusrmsg:root,bob\n");
    let action = &read.statements[0].block.as_ref().unwrap()[0];
    assert_eq!(
        (action.text.as_str(), action.place.line, action.place.column),
        ("/var/log/mail", 2, 4)
    );
    assert_eq!(read.statements[1].place.line, 3);
}

#[test]
fn faults_have_their_place() {
    for (text, place) in [
        ("*.* /x\naction(type=\"omfile\" \n", "/r:2:23"),
        ("if $msg contains \"x\" then { }\n", "/r:1:29"),
        ("set $.a = 1\n*.* /x\n", "/r:2:2"),
        ("*.* /x\n}\n", "/r:2:1"),
        ("mail.foo /x\n", "/r:1:1"),
        ("foo.* /x\n", "/r:1:1"),
        (":bogus, contains, \"x\" /x\n", "/r:1:1"),
        (":msg, bogus, \"x\" /x\n", "/r:1:1"),
        ("!prog\n", "/r:1:1"),
        ("+host\n", "/r:1:1"),
        ("*.* root\n", "/r:1:5"),
        ("*.* /x y\n", "/r:1:5"),
        ("*.* /x\n)\n", "/r:2:1"),
        ("ruleset(name=\"a\")\n", "/r:1:19"),
        ("ruleset(name=\"a\") { template(name=\"b\") }\n", "/r:1:21"),
    ] {
        let read = parse(text);
        assert!(!read.problems.is_empty(), "{text}");
        assert_eq!(read.problems.kept[0].place.to_string(), place, "{text}: {:?}", read.problems);
    }
}

#[test]
fn includes_are_read_where_they_stand_and_loops_end() {
    let tree = MemoryTree::new()
        .file("/r", "$IncludeConfig /d/*.conf\ninclude(file=\"/o\" mode=\"optional\")\n*.* /x;t\n")
        .file("/d/1.conf", "$template t,\"%msg%\"\n")
        .file("/d/2.conf", "mail.* /y;none\ncall nobody\n")
        .file("/d/.3.conf", "}")
        .file("/loop", "include(file=\"/loop\")\n");
    let read = Rsyslog::read(&tree, "/r").unwrap();
    assert_eq!(read.files.len(), 3);
    assert_eq!(read.statements[0].block.as_ref().unwrap().len(), 3);
    let told: Vec<_> = read.problems.kept.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(told, ["no such template", "no such ruleset"]);
    let read = Rsyslog::read(&tree, "/loop").unwrap();
    assert_eq!((read.files.len(), read.problems.len()), (INCLUDES_MAX + 1, 1));
    let missing = MemoryTree::new().file("/r", "$IncludeConfig /none\ninclude(mode=\"x\")\n");
    assert_eq!(Rsyslog::read(&missing, "/r").unwrap().problems.len(), 2);
}

#[test]
fn hostile_texts_end_bounded() {
    let nested = "if 1 then ".repeat(100_000);
    assert_eq!(parse(&nested).problems.len(), 1);
    assert_eq!(parse(&("if ".to_string() + &"(".repeat(1 << 20))).problems.len(), 1);
    assert_eq!(parse(&("if ".to_string() + &"not ".repeat(1 << 18))).problems.len(), 1);
    assert!(!parse(&")".repeat(1 << 20)).problems.is_empty());
    assert_eq!(parse(&"{".repeat(1 << 20)).problems.len(), 1);
    assert!(parse("/*").problems.is_empty() && !parse("a\0").problems.is_empty());
    let many = "stop\n".repeat(STATEMENTS_MAX + 1);
    assert_eq!(parse(&many).problems.len(), 1);
    let chain = "if 1 then stop else ".repeat(1_000);
    assert_eq!(parse(&chain).problems.len(), 1);
}

#[test]
fn any_character_may_stand_where_a_word_is_expected() {
    // A character of three bytes that `then` would end within.
    assert!(!parse("if 2.co\u{fffd}\u{fffd}n\n").problems.is_empty());
    assert!(!parse("if 1 \u{fffd}\u{fffd}\u{fffd} stop\n").problems.is_empty());
}
