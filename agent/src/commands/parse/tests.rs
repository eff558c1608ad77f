use super::*;
use clap::Parser;

mod blocks;
mod daemons;
mod manifests;
mod system;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
    #[command(flatten)]
    global: Global,
}

/// Runs the command on a file of a made tree: the exit code and the output.
fn parse(name: &str, bytes: &[u8], more: &[&str]) -> (anyhow::Result<Exit>, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let out = directory.path().join("out");
    let root = directory.path().to_str().unwrap();
    let mut words = vec!["parse", name, "--root", root, "--output", out.to_str().unwrap()];
    words.extend(more);
    let line = Line::try_parse_from(words).unwrap();
    let ended = run(line.args, &line.global);
    (ended, std::fs::read_to_string(&out).unwrap_or_default())
}

fn json_of(name: &str, text: &str, more: &[&str]) -> Value {
    let (exit, out) = parse(name, text.as_bytes(), more);
    assert_eq!(exit.unwrap(), Exit::Clean, "{out}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn each_kind_gives_its_structure() {
    let passwd =
        json_of("/etc/passwd", "bob:x:1000:100::/h:/bin/sh\n", &["--as", "passwd", "--spans"]);
    assert_eq!(passwd["entries"][0]["uid"], 1000);
    assert_eq!(passwd["spans"]["entries"][0]["uid"], json!({"line": 1, "column": 7}));
    let shadow = json_of("/etc/shadow", "bob:$6$a$CANARY42:1::::::\n", &["--as", "shadow"]);
    assert_eq!(shadow["entries"][0]["password"], json!({"hash": "sha512"}));
    let more = ["--as", "shadow", "--spans"];
    let shadow = json_of("/etc/shadow", "bob:*:1::5:::9:\n", &more);
    assert_eq!(shadow["entries"][0].get("min_days"), None);
    assert_eq!(shadow["spans"]["entries"][0]["expires"], json!({"line": 1, "column": 14}));
    let sysctl = json_of("/etc/a.conf", "a.b = 1\n", &["--as", "sysctl"]);
    assert_eq!(sysctl["settings"]["a.b"]["value"], "1");
    let sudo = json_of("/etc/sudoers", "bob ALL=NOPASSWD: ALL\n", &["--as", "sudoers"]);
    assert_eq!(sudo["rules"][0]["tags"]["password"], false);
    let pam = json_of("/etc/pam.d/x", "auth required pam_unix.so\n", &["--as", "pam"]);
    assert_eq!(pam["rules"][0]["module"], "pam_unix.so");
    let cron = json_of("/etc/crontab", "@daily root x\n", &["--as", "crontab"]);
    assert_eq!(cron["jobs"][0]["user"], "root");
    let defs = json_of("/etc/login.defs", "UMASK 022\n", &["--as", "login.defs"]);
    assert_eq!(defs["entries"][0]["value"], "022");
    let yaml = json_of("/a.yaml", "a: [1, 2]\n", &["--as", "yaml"]);
    assert_eq!(yaml, json!({"a": [1, 2]}));
}

#[test]
fn effective_settings_name_their_place_and_what_they_override() {
    let text = "PermitRootLogin no\nMatch User bob\n  PermitRootLogin yes\n";
    let more = ["--as", "sshd", "--effective", "--for", "user=bob,host=h,addr=192.0.2.1"];
    let sshd = json_of("/etc/ssh/sshd_config", text, &more);
    assert_eq!(sshd["settings"]["permitrootlogin"]["value"], "yes");
    assert_eq!(sshd["settings"]["permitrootlogin"]["line"], 3);
    let defs = json_of("/etc/x", "UMASK 1\nUMASK 2\n", &["--as", "login.defs", "--effective"]);
    assert_eq!(defs["settings"]["UMASK"]["value"], "2");
    assert_eq!(defs["settings"]["UMASK"]["overrides"][0]["line"], 1);
    let more = ["--as", "sysctl", "--effective"];
    let sysctl = json_of("/etc/sysctl.d/a.conf", "a.b=1\na.b=2\n", &more);
    assert_eq!(sysctl["settings"]["a.b"]["file"], "/etc/sysctl.d/a.conf");
}

#[test]
fn json_lines_are_one_entry_or_document_each() {
    let (exit, out) = parse("/a", b"a: 1\n---\nb\n", &["--as", "yaml", "--format", "jsonl"]);
    assert_eq!((exit.unwrap(), out.as_str()), (Exit::Clean, "{\"a\":1}\n\"b\"\n"));
    let error = parse("/a", b"a: 1\n---\nb\n", &["--as", "yaml"]).0.unwrap_err();
    assert!(error.to_string().contains("2 documents"));
    let more = ["--as", "group", "--format", "jsonl", "--spans"];
    let (_, out) = parse("/etc/group", b"a:x:1:\nb:x:2:\n", &more);
    assert_eq!(out.lines().count(), 2);
    assert!(out.lines().all(|line| line.contains("\"spans\"")), "{out}");
}

#[test]
fn yaml_has_places_and_events() {
    let text = "a: &x [1,\n  two]\nb:\n  c: *x\n";
    let read = json_of("/a.yaml", text, &["--as", "yaml", "--spans"]);
    assert_eq!((&read["a"], &read["b"]["c"]), (&json!([1, "two"]), &json!([1, "two"])));
    assert_eq!(read["spans"]["a"][1], json!({"line": 2, "column": 3}));
    assert_eq!(read["spans"]["b"]["c"], json!({"line": 4, "column": 6}));
    let read = json_of("/a.yaml", "spans: 1\n", &["--as", "yaml", "--spans"]);
    assert_eq!(read["value"], json!({"spans": 1}));
    assert_eq!(read["spans"]["spans"], json!({"line": 1, "column": 8}));
    let (exit, out) = parse("/a", b"- 'x'\n", &["--as", "yaml", "--format", "events"]);
    assert_eq!(exit.unwrap(), Exit::Clean);
    assert_eq!(out, "+STR\n+DOC\n+SEQ\n=VAL 'x\n-SEQ\n-DOC\n-STR\n");
    assert!(parse("/a", b"{}", &["--as", "json", "--format", "events"]).0.is_err());
    let error = parse("/a", b"a: [1\n", &["--as", "yaml", "--format", "events"]).0.unwrap_err();
    assert!(error.to_string().contains("/a:"), "{error}");
}

#[test]
fn errors_name_the_place_with_the_line_and_a_caret() {
    let error = parse("/a.json", b"{\n  \"a\": 1,\n  oops\n}", &["--as", "json"]).0.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("/a.json:3:3: ") && text.ends_with("3 |   oops\n   |   ^"), "{text}");
    let (exit, out) = parse("/etc/sudoers", b"bob ALL\nann ALL=ALL\n", &["--as", "sudoers"]);
    assert_eq!(exit.unwrap(), Exit::Incomplete);
    assert!(out.contains("ann"));
}

#[test]
fn hostile_input_and_nonsense_are_refused() {
    let big = vec![b'a'; 10 << 20];
    for kind in [
        "sshd", "yaml", "json", "passwd", "shadow", "sysctl", "sudoers", "pam", "crontab",
        "keyvalue",
    ] {
        assert!(parse("/etc/x", &big, &["--as", kind]).0.is_err(), "{kind}");
    }
    let line = vec![b'a'; 1 << 20];
    for kind in ["sshd", "passwd", "shadow", "sysctl", "sudoers", "pam", "crontab", "keyvalue"] {
        // pam refuses the size itself, the others the line.
        let ended = parse("/etc/x", &line, &["--as", kind]).0;
        assert!(ended.is_ok_and(|exit| exit == Exit::Incomplete), "{kind}");
    }
    let directory = tempfile::tempdir().unwrap();
    let words = ["parse", directory.path().to_str().unwrap(), "--as", "yaml"];
    let line = Line::try_parse_from(words).unwrap();
    assert!(run(line.args, &line.global).unwrap_err().to_string().contains("not a regular file"));
    assert!(parse("/x", b"", &["--as", "yaml", "--effective"]).0.is_err());
    assert!(parse("/x", b"", &["--as", "yaml", "--spans"]).0.is_err());
    assert!(parse("/x", b"", &["--as", "sshd", "--effective", "--for", "colour=red"]).0.is_err());
}

#[test]
fn the_kind_is_found_where_it_is_not_said() {
    let auto = ["--as", "auto"];
    let passwd = json_of("/mnt/etc/passwd", "bob:x:1000:100::/h:/bin/sh\n", &auto);
    assert_eq!(passwd["entries"][0]["uid"], 1000);
    let pod = json_of("/x", "apiVersion: v1\nkind: Pod\n", &auto);
    assert_eq!(pod["objects"][0]["kind"], "Pod");
    let more = ["--as", "auto", "--effective"];
    assert_eq!(json_of("/etc/login.defs", "UMASK 1\n", &more)["settings"]["UMASK"]["value"], "1");
    assert!(parse("/etc/passwd", b"", &more).0.is_err());
    let error = parse("/x", b"nobody knows\n", &auto).0.unwrap_err();
    assert!(error.to_string().contains("neither its path nor its text"), "{error}");
    assert!(parse("/x", &vec![b'a'; 10 << 20], &auto).0.is_err());
}
