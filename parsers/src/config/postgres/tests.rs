use super::hba::{Connection, Hba};
use super::ident::Ident;
use super::*;
use crate::tree::MemoryTree;

#[test]
fn includes_are_read_in_place_and_auto_conf_comes_first() {
    let tree = MemoryTree::new()
        .file(
            "/etc/pg/postgresql.conf",
            "data_directory = '/var/pg'\nport = 1\ninclude 'a.conf'\ninclude_dir 'conf.d'\n\
             include_if_exists = 'none.conf'\nwork_mem = 4MB\n",
        )
        .file("/etc/pg/a.conf", "Port 2\nwork_mem = '8MB'\n")
        .file("/etc/pg/conf.d/b.conf", "port = 4\n")
        .file("/etc/pg/conf.d/a.conf", "port = 3\n")
        .file("/etc/pg/conf.d/.c.conf", "port = 5\n")
        .file("/etc/pg/conf.d/readme", "port = 6\n")
        .file("/var/pg/postgresql.auto.conf", "port = '7'\nport = 8\n");
    let all = read(&tree, "/etc/pg/postgresql.conf").unwrap();
    assert!(all.problems.is_empty() && all.unread.is_empty(), "{:?}", all.problems);
    let port = all.get("port").unwrap();
    assert_eq!((port.value(), port.values[0].place.line), (Some("8"), 2));
    let old: Vec<_> = port.overrides.iter().map(|o| (o.value.value.as_str(), o.rule)).collect();
    let (last, first) = (Rule::LastWins, Rule::SourceFirst);
    assert_eq!(old, [("1", last), ("2", last), ("3", last), ("4", first), ("7", last)]);
    assert_eq!(all.value("work_mem"), Some("4MB"));
    assert_eq!(all.files.len(), 5);
}

#[test]
fn syntax_errors_have_a_place_and_do_not_stop_the_reading() {
    let all = parse("/x", b"a = \nb = x.y\n= 1\nc = 1 2\nd = /x\nok = 1\na.b.c = 1\ne = 'x\n");
    let places: Vec<_> = all.problems.kept.iter().map(|p| (p.place.line, p.place.column)).collect();
    assert_eq!(places, [(1, 5), (2, 5), (3, 1), (4, 7), (5, 5), (7, 1), (8, 5)]);
    assert_eq!(all.value("ok"), Some("1"));
    let many = parse("/x", &b"a =\n".repeat(ERRORS_MAX + 5));
    assert_eq!(many.problems.len(), ERRORS_MAX + 1);
}

#[test]
fn includes_that_loop_or_are_missing_end_with_a_problem() {
    let tree = MemoryTree::new()
        .file("/d/a", "include 'b'\n")
        .file("/d/b", "include 'a'\ninclude 'b'\ninclude 'none'\ninclude ''\n")
        .special("/d/e/f.conf", FileKind::Fifo)
        .file("/d/c", "include_dir 'e'\ninclude_dir 'g'\n");
    let all = read(&tree, "/d/a").unwrap();
    assert!(all.files.len() <= DEPTH_MAX + 1);
    assert!(all.problems.kept.iter().any(|p| p.message == "includes are nested too deep"));
    assert!(all.problems.kept.iter().any(|p| p.message == "the file includes itself"));
    let all = read(&tree, "/d/c").unwrap();
    assert_eq!((all.unread.len(), all.problems.len()), (1, 1));
    assert!(read(&tree, "/d/none").is_err());
}

#[test]
fn many_includes_and_long_lines_end_bounded() {
    let mut tree = MemoryTree::new().file("/d/a", "include_dir 'e'\n");
    for number in 0..FILES_MAX + 1 {
        tree = tree.file(&format!("/d/e/{number:06}.conf"), "a = 1\n");
    }
    let all = read(&tree, "/d/a").unwrap();
    assert_eq!(all.files.len(), FILES_MAX);
    assert!(all.unread.iter().any(|error| error.why == Why::TooMany(FILES_MAX)));
    let mut long = b"a = '".to_vec();
    long.resize(10 << 20, b'x');
    assert_eq!(parse("/x", &long).problems.len(), 1);
    assert_eq!(parse("/x", b"a = '\0'\n\xff = 1\n").problems.len(), 1);
    let hba = Hba::parse("/x", &long);
    assert_eq!((hba.problems.len(), hba.rules.len()), (1, 0));
}

#[test]
fn rules_are_read_with_quotes_lists_and_masks() {
    let text = b"# c\nlocal all \"all\" peer map=m\nhost db1,\"db 2\" , +grp,bob 10.0.0.0/8 md5\n\
        host all all 192.168.0.1 255.255.255.0 \\\n  scram-sha-256\nhostssl all all ::1/128 cert clientname=CN\n\
        hostnossl \"a\"\"b\" all .example.org trust\nhost all all samenet ldap ldapserver=h \"ldapprefix=a b\"\n\
        local all all ident\n";
    let hba = Hba::parse("/x", text);
    assert!(hba.problems.is_empty(), "{:?}", hba.problems);
    assert_eq!(hba.rules.len(), 7);
    assert!(hba.rules[0].users[0].quoted && !hba.rules[0].users[0].is("all"));
    let names: Vec<_> = hba.rules[1].databases.iter().map(|w| w.text.as_str()).collect();
    assert_eq!(names, ["db1", "db 2"]);
    assert_eq!(hba.rules[2].place.line, 4);
    assert_eq!(
        hba.rules[2].address,
        Some(Address::Network {
            address: "192.168.0.1".parse().unwrap(),
            mask: "255.255.255.0".parse().unwrap()
        })
    );
    assert_eq!(hba.rules[3].connection, Connection::HostSsl);
    assert_eq!(hba.rules[4].databases[0].text, "a\"b");
    assert_eq!(hba.rules[4].address, Some(Address::Host(".example.org".into())));
    assert_eq!(hba.rules[5].options[1], ("ldapprefix".into(), "a b".into()));
    assert_eq!(hba.rules[6].method, "peer");
}

#[test]
fn faults_of_rules_have_a_place() {
    for (line, column) in [
        ("hosts all all all md5", 1),
        ("host all all 10.0.0.0/33 md5", 14),
        ("host all all 10.0.0.0 md5", 23),
        ("host all all 10.0.0.0 ::1 md5", 23),
        ("host all all example.org/8 md5", 14),
        ("host all all all peer", 18),
        ("local all all gss", 15),
        ("local all all md5 map=x", 19),
        ("local all all md5 nothing", 19),
        ("local all all md5 clientcert=verify-ca", 19),
        ("local all all ldap", 15),
        ("local all", 7),
        ("local,host all all md5", 7),
    ] {
        let hba = Hba::parse("/x", line.as_bytes());
        let places: Vec<_> = hba.problems.kept.iter().map(|p| p.place.column).collect();
        assert_eq!(places, [column], "{line}: {:?}", hba.problems);
    }
}

#[test]
fn files_of_words_and_included_rules_are_taken_in() {
    let tree = MemoryTree::new()
        .file(
            "/d/hba",
            "local @dbs \"@dbs\" md5\ninclude more\ninclude_if_exists none\nlocal @none all md5\n",
        )
        .file("/d/dbs", "a, b\n# c\n@more_dbs\n")
        .file("/d/more_dbs", "c\n")
        .file("/d/more", "local all all trust\n")
        .file("/d/loop", "local @loop all md5\n");
    let hba = Hba::read(&tree, "/d/hba").unwrap();
    let names: Vec<_> = hba.rules[0].databases.iter().map(|w| w.place.to_string()).collect();
    assert_eq!(names, ["/d/dbs:1:1", "/d/dbs:1:4", "/d/more_dbs:1:1"]);
    assert_eq!(hba.rules[0].users[0].text, "@dbs");
    assert_eq!(&*hba.rules[1].place.file, "/d/more");
    assert_eq!(hba.problems.len(), 1);
    assert!(!Hba::read(&tree, "/d/loop").unwrap().problems.is_empty());
}

#[test]
fn maps_are_read() {
    let ident = Ident::parse("/x", b"m root postgres\nm /^(.*)@x$ \\1\nm a\nm a,b c\n");
    assert_eq!((ident.mappings.len(), ident.problems.len()), (2, 2));
    assert!(ident.mappings[1].is_regex() && !ident.mappings[0].is_regex());
}

#[test]
fn a_list_from_an_empty_file_is_a_problem_and_no_panic() {
    let tree = MemoryTree::new()
        .file("/p/ident.conf", "@empty root postgres\nm @empty postgres\nm root @empty\n")
        .file(
            "/p/hba.conf",
            "local @empty all trust\nlocal all @empty trust\n@empty all all trust\n",
        )
        .file("/p/empty", "");
    let ident = Ident::read(&tree, "/p/ident.conf").unwrap();
    assert_eq!(ident.mappings.len() + ident.problems.len(), 3, "{ident:?}");
    let hba = Hba::read(&tree, "/p/hba.conf").unwrap();
    assert_eq!(hba.rules.len() + hba.problems.len(), 3, "{hba:?}");
}
