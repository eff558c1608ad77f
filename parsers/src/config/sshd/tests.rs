use super::*;
use crate::tree::{FileKind, MemoryTree, Why};

const MAIN: &str = "/etc/ssh/sshd_config";

fn read(text: &str) -> Sshd {
    Sshd::read(&MemoryTree::new().file(MAIN, text), MAIN).unwrap()
}

fn value(sshd: &Sshd, user: &str, keyword: &str) -> Option<(String, String)> {
    let connection = Connection { user: Some(user.into()), ..Connection::default() };
    let effective = sshd.effective(&connection);
    effective.get(keyword).map(|setting| (setting.value(), setting.place().to_string()))
}

fn at(value: &str, place: &str) -> Option<(String, String)> {
    Some((value.to_string(), place.to_string()))
}

#[test]
fn drop_ins_are_read_sorted_and_in_place_of_their_include() {
    let tree = MemoryTree::new()
        .file(MAIN, "Include sshd_config.d/*.conf\nX11Forwarding no\nMaxAuthTries 3\n")
        .file("/etc/ssh/sshd_config.d/50-b.conf", "X11Forwarding yes\nMaxAuthTries 5\n")
        .file("/etc/ssh/sshd_config.d/10-a.conf", "\n  MaxAuthTries 4\n")
        .file("/etc/ssh/sshd_config.d/ignored", "MaxAuthTries 1\n");
    let sshd = Sshd::read(&tree, MAIN).unwrap();
    let all = sshd.global();
    let tries = all.get("maxauthtries").unwrap();
    assert_eq!(tries.place().to_string(), "/etc/ssh/sshd_config.d/10-a.conf:2:3");
    let lost: Vec<String> = tries.overrides.iter().map(|lost| lost.place.to_string()).collect();
    assert_eq!(lost, ["/etc/ssh/sshd_config.d/50-b.conf:2:1", "/etc/ssh/sshd_config:3:1"]);
    assert_eq!(
        value(&sshd, "u", "x11forwarding"),
        at("yes", "/etc/ssh/sshd_config.d/50-b.conf:1:1")
    );
    assert_eq!(sshd.files().count(), 3);
}

#[test]
fn a_match_block_replaces_global_values_and_ends_with_its_file() {
    let tree = MemoryTree::new()
        .file(MAIN, "Include /a\nPasswordAuthentication no\nMatch User bob\nInclude /b\n")
        .file("/a", "Match User eve\nPasswordAuthentication yes\n")
        .file("/b", "PasswordAuthentication yes\nMatch User eve\nX11Forwarding yes\n");
    let sshd = Sshd::read(&tree, MAIN).unwrap();
    assert!(sshd.problems.is_empty());
    assert_eq!(
        value(&sshd, "alice", "passwordauthentication"),
        at("no", "/etc/ssh/sshd_config:2:1")
    );
    assert_eq!(value(&sshd, "eve", "passwordauthentication"), at("yes", "/a:2:1"));
    assert_eq!(value(&sshd, "bob", "passwordauthentication"), at("yes", "/b:1:1"));
    // The block of /b stands inside bob's, so that it never holds for eve.
    assert_eq!(value(&sshd, "eve", "x11forwarding"), None);

    let possible = sshd.possible("passwordauthentication");
    let shown: Vec<(Option<String>, String)> = possible
        .iter()
        .map(|(block, setting)| (block.as_ref().map(|b| b.place.to_string()), setting.value()))
        .collect();
    assert_eq!(
        shown,
        [
            (None, "no".to_string()),
            (Some("/a:1:1".to_string()), "yes".to_string()),
            (Some("/etc/ssh/sshd_config:3:1".to_string()), "yes".to_string()),
        ]
    );
    let match_all = read("X11Forwarding no\nMatch all\nX11Forwarding yes\n");
    let possible = match_all.possible("x11forwarding");
    assert_eq!(possible.len(), 1, "nobody gets the global value: {possible:?}");
    assert_eq!(value(&match_all, "u", "x11forwarding"), at("yes", "/etc/ssh/sshd_config:3:1"));
}

#[test]
fn lines_that_sshd_refuses_are_problems_at_their_place_without_their_values() {
    let sshd =
        read("Port 22\n\tPasswordAuthentication hunter2\nhunter2=x\nMatch User a\n Port 23\n");
    let shown: Vec<String> = sshd.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "/etc/ssh/sshd_config:2:2: passwordauthentication: unsupported value",
            "/etc/ssh/sshd_config:3:1: unknown keyword",
            "/etc/ssh/sshd_config:5:2: port: not allowed within a Match block",
        ]
    );
}

#[test]
fn keywords_of_later_versions_are_unknown_to_earlier_ones() {
    let tree = MemoryTree::new().file(MAIN, "RefuseConnection yes\n");
    let as_of = |version| {
        Sshd::read_as(&tree, MAIN, version, &CommandLine::default()).unwrap().problems.len()
    };
    assert_eq!((as_of(None), as_of(Some((10, 0))), as_of(Some((9, 2)))), (0, 0, 1));
}

#[test]
fn the_command_line_comes_first_and_its_ports_stand_alone() {
    let tree = MemoryTree::new().file(MAIN, "Port 22\nPermitRootLogin no\n");
    let words = ["sshd", "-p", "2222", "-oPermitRootLogin=yes"];
    let command = CommandLine::read(&words, &Place::whole("/proc/7/cmdline"));
    let sshd = Sshd::read_as(&tree, MAIN, None, &command).unwrap();
    let all = sshd.global();
    let root = all.get("permitrootlogin").unwrap();
    assert_eq!((root.value().as_str(), root.won), ("yes", Won::CommandLine));
    assert_eq!(root.overrides[0].place.line, 2);
    assert_eq!(all.get("port").unwrap().value(), "2222");
}

#[test]
fn json_has_the_shape_of_the_contract() {
    let json =
        read("PermitRootLogin no\nPermitRootLogin yes\nPort 22\nPort 23\n").global().to_json();
    assert_eq!(
        json["settings"]["permitrootlogin"],
        json!({"value": "no", "file": MAIN, "line": 1, "column": 1, "overrides": [
            {"file": MAIN, "line": 2, "column": 1, "value": "yes"}
        ]})
    );
    assert_eq!(json["settings"]["port"]["value"], json!(["22", "23"]));
    let listing = read("# c\nPort 22\nMatch all\nBroken\n").to_json();
    assert_eq!(listing["lines"][0]["keyword"], "port");
    assert_eq!(listing["lines"][1]["values"], json!(["Match all"]));
    assert_eq!(listing["problems"][0]["line"], 4);
}

#[test]
fn odd_things_in_place_of_drop_ins_are_said_and_never_hang() {
    let tree = MemoryTree::new()
        .file(MAIN, "Include /d/*\nPort 22\n")
        .special("/d/1-fifo", FileKind::Fifo)
        .directory("/d/2-directory", 0o755, 0, 0)
        .denied("/d/3-denied")
        .link("/d/4-loop", "4-loop")
        .file("/d/5-nul", b"Port 2\x002\nPort 23\n\xff\xfe\n");
    let sshd = Sshd::read(&tree, MAIN).unwrap();
    let unread: Vec<&str> = sshd.unread.iter().filter_map(|e| e.path.to_str()).collect();
    assert_eq!(unread, ["/d/1-fifo", "/d/3-denied", "/d/4-loop"]);
    assert!(sshd.notes.iter().any(|note| &*note.place.file == "/d/2-directory"));
    assert!(!sshd.problems.is_empty());
    assert!(Sshd::read(&MemoryTree::new(), MAIN).unwrap_err().not_found());
    assert!(read("").problems.is_empty() && read("\n\n#").problems.is_empty());
}

#[test]
fn include_loops_and_floods_end_with_a_problem() {
    let looped = MemoryTree::new().file(MAIN, "Include /etc/ssh/sshd_config\nPort 22\n");
    let sshd = Sshd::read(&looped, MAIN).unwrap();
    assert_eq!(sshd.problems[0].message, "includes are nested too deep");
    // Each level includes the next ten times: ten to the twelfth lines.
    let mut tree = MemoryTree::new().file(MAIN, "Include /f0\n");
    for level in 0..12 {
        let text = format!("Include /f{}\n", level + 1).repeat(10);
        tree = tree.file(&format!("/f{level}"), text);
    }
    let sshd = Sshd::read(&tree.file("/f12", "X11Forwarding yes\n"), MAIN).unwrap();
    assert_eq!(sshd.problems[0].message, "more lines than can be evaluated");
    // The deepest nesting that sshd allows is allowed here.
    let nested = |depth: usize| {
        let mut tree = MemoryTree::new().file(MAIN, "Include /n1\n");
        for level in 1..depth {
            tree = tree.file(&format!("/n{level}"), format!("Include /n{}\n", level + 1));
        }
        let tree = tree.file(&format!("/n{depth}"), "X11Forwarding yes\n");
        Sshd::read(&tree, MAIN).unwrap().problems.len()
    };
    assert_eq!((nested(DEPTH_MAX), nested(DEPTH_MAX + 1)), (0, 1));
}

#[test]
fn huge_files_and_lines_are_bounded() {
    let long = format!("Banner {}\n", "x".repeat(10 << 20));
    let tree = MemoryTree::new().file(MAIN, "Include /long\nPort 22\n").file("/long", &long);
    let sshd = Sshd::read(&tree, MAIN).unwrap();
    assert!(matches!(sshd.unread[0].why, Why::TooLarge(_)));
    assert!(matches!(
        Sshd::read(&MemoryTree::new().file(MAIN, &long), MAIN).unwrap_err().why,
        Why::TooLarge(_)
    ));
    // Seven megabytes of words, and of quotes.
    let seven = format!("Banner {}\n", "\"a\" ".repeat(1_700_000));
    assert_eq!(read(&seven).problems.len(), 1);
    let quotes = format!("Match {}\n", "user=\"".repeat(1_000_000));
    assert_eq!(read(&quotes).problems.len(), 1);
    let many = read(&"AcceptEnv LANG\n".repeat(100_000));
    assert_eq!(many.global().get("acceptenv").unwrap().values.len(), 100_000);
    let blocks = read(&"Match User a\nX11Forwarding yes\n".repeat(10_000));
    assert_eq!(blocks.possible("x11forwarding").len(), 1);
    let each = |n: usize| format!("Match User u{n}\nX11Forwarding yes\n");
    let different = read(&(0..10_000).map(each).collect::<String>());
    assert_eq!(different.possible("x11forwarding").len(), 10_000);
    let twice = read(&format!("Match all\n{}", "AcceptEnv LANG\n".repeat(10_000)));
    assert_eq!(twice.global().get("acceptenv").unwrap().values.len(), 10_000);
    let nuls = read(&"a\0\n".repeat(100_000));
    assert_eq!((nuls.notes.len(), nuls.problems.len()), (1_000, 1));
    let max = read(&"X11Forwarding yes\n".repeat(LINES_MAX));
    assert!(max.unread.is_empty());
    let over = read(&"X11Forwarding yes\n".repeat(LINES_MAX + 1));
    assert!(matches!(over.unread[0].why, Why::TooMany(LINES_MAX)));
}
