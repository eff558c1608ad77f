//! From nginx.org/en/docs: "Core functionality", ngx_http_core_module, ngx_http_headers_module,
//! and the tokenizer's own rules.

use super::*;
use crate::tree::{FileKind, MemoryTree, Why};

const MAIN: &str = "/etc/nginx/nginx.conf";

fn read(text: &str) -> Nginx {
    Nginx::read_in(&MemoryTree::new().file(MAIN, text), MAIN, Context::Main).unwrap()
}

fn http(text: &str) -> Nginx {
    read(&format!("events {{}}\nhttp {{\n{text}\n}}\n"))
}

fn messages(read: &Nginx) -> Vec<String> {
    read.problems.kept.iter().map(|problem| format!("{problem}")).collect()
}

fn arguments(directive: &Directive) -> Vec<&str> {
    directive.arguments.iter().map(|argument| argument.value.as_str()).collect()
}

#[test]
fn words_are_cut_as_nginx_cuts_them() {
    let text = "log_format a \"x \\\"y\\\" {;}\" 'it\\'s' b#c a\\ b ${d}e \"\" \\# # comment; {\n;";
    let read = http(text);
    assert!(read.problems.is_empty(), "{:?}", messages(&read));
    let format = &read.directives[1].children()[0];
    let expected = ["a", "x \"y\" {;}", "it's", "b#c", "a\\ b", "${d}e", "", "\\#"];
    assert_eq!(arguments(format), expected);
    assert_eq!((format.place.line, format.place.column), (3, 1));
    assert_eq!((format.arguments[1].place.line, format.arguments[1].place.column), (3, 14));
}

#[test]
fn what_nginx_stops_at_is_told_with_its_place_and_the_rest_is_read() {
    for (text, expected, rest) in [
        ("root \"a\"b;\nindex x;", "3:9: a blank or `;` is expected after the closing quote", true),
        (";\nindex x;", "3:1: unexpected `;`", true),
        ("root a;\nroot b;\nindex x;", "4:1: `root` is duplicate; the first is at", true),
        ("sendfile maybe;\nindex x;", "3:10: invalid value in `sendfile`", true),
        ("worker_connections 5;\nindex x;", "3:1: `worker_connections` is not allowed here", true),
        ("sendfile;\nindex x;", "3:1: invalid number of arguments in `sendfile`", true),
        ("sendfile on {}\nindex x;", "3:1: `sendfile` is not terminated by `;`", true),
        ("server;\nindex x;", "3:1: `server` has no opening `{`", true),
        ("client_max_body_size 1x;\nindex x;", "3:22: invalid value", true),
        ("keepalive_timeout 1h;\nroot x", "5:1: unexpected `}`", false),
        ("root 'x;\nindex x;", "3:6: a quote that does not end", false),
        ("server { location a {} location a {} }\nindex x;", "3:24: duplicate location", true),
        ("server { location /a { location /b {} } }\nindex x;", "3:24: the location lies", true),
        ("server { location ! a {} }\nindex x;", "3:10: invalid location modifier", true),
        ("server { if ($a = ) {} }\nindex x;", "3:13: invalid condition", true),
        ("server { if ( $a = b ) {} if (!-f $a) {} if ($a){} }\nindex x;", "", true),
        ("server { if (a = b) {} }\nindex x;", "3:13: invalid condition", true),
        ("include none.conf;\nindex x;", "3:9: the included file /etc/nginx/none.conf does", true),
    ] {
        let read = http(text);
        let said = messages(&read);
        assert!(
            said.first().is_some_and(|first| !expected.is_empty() && first.contains(expected))
                || (expected.is_empty() && said.is_empty()),
            "{text}: {said:?}"
        );
        let last = read.directives.last().unwrap().children().last();
        assert_eq!(last.is_some_and(|last| last.name == "index"), rest, "{text}");
    }
    assert!(messages(&read("http {}"))[0].contains("no `events` section"));
    assert!(
        messages(&read("events {\n"))[0].contains("1:1: unexpected end of file: the block of `ev")
    );
    assert!(messages(&read("events {}\n}\n"))[0].contains("no block is open"));
}

#[test]
fn includes_are_spliced_in_from_the_directory_of_the_main_file_in_order() {
    let tree = MemoryTree::new()
        .file(MAIN, "events {}\nhttp { include sites/*.conf; include /etc/nginx/mime; }\n")
        .file("/etc/nginx/sites/b.conf", "server { listen 2; include deep; }")
        .file("/etc/nginx/sites/a.conf", "server { listen 1; }")
        .file("/etc/nginx/sites/.c.conf", "nonsense")
        .file("/etc/nginx/deep", "root /deep;\n")
        .file("/etc/nginx/mime", "types { text/html html htm; }");
    let read = Nginx::read(&tree, MAIN).unwrap();
    assert!(read.problems.is_empty(), "{:?}", messages(&read));
    let names: Vec<_> = read.directives[1].children().iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["include", "server", "server", "include", "types"]);
    let root = read.directives[1].children()[2].named("root").next().unwrap();
    assert_eq!(root.place.to_string(), "/etc/nginx/deep:1:1");
    let files: Vec<_> = read.files.iter().map(|file| &**file).collect();
    let expected = ["nginx.conf", "sites/a.conf", "sites/b.conf", "deep", "mime"];
    assert_eq!(files, expected.map(|name| format!("/etc/nginx/{name}")));
}

#[test]
fn lists_are_taken_over_as_a_whole_or_not_at_all() {
    let read = http(
        "add_header A 1;\nadd_header B 2;\nroot /outer;\naccess_log off;\n\
         server { server_name www; root /inner; error_page 404 /x;\n\
         location / { add_header C 3; deny all; allow 192.0.2.1; }\n\
         location /b { alias /c; proxy_pass http://x; location /b/d { } } }",
    );
    assert!(read.problems.is_empty(), "{:?}", messages(&read));
    let all = read.effective();
    let server = all.block(&["http", "server www"]).unwrap();
    assert_eq!(server.settings["add_header"].values.len(), 2);
    assert_eq!(server.value("root/alias"), Some("root /inner"));
    let lost = &server.settings["root/alias"].overrides[0];
    assert_eq!((lost.value.value.as_str(), lost.value.place.line), ("root /outer", 5));
    assert_eq!(lost.rule, crate::config::settings::Rule::MoreSpecific);
    let slash = all.block(&["http", "server www", "location /"]).unwrap();
    assert_eq!(slash.value("add_header"), Some("C 3"));
    let headers = &slash.settings["add_header"];
    assert_eq!(headers.overrides.len(), 2);
    assert_eq!(headers.overrides[0].rule, crate::config::settings::Rule::NotInherited);
    assert_eq!(slash.settings["allow/deny"].values.len(), 2);
    assert!(!slash.settings.contains_key("server_name"), "names are the server's own");
    let inner = all.block(&["http", "server www", "location /b", "location /b/d"]).unwrap();
    assert_eq!(inner.value("root/alias"), Some("alias /c"));
    assert_eq!(inner.value("proxy_pass"), None);
    assert_eq!(inner.value("access_log"), Some("off"));
}

#[test]
fn lua_blocks_are_one_word_whatever_braces_they_hold() {
    let code = "local a = {'}', [[ } ]], [==[ ]] } ]==]} -- }\n--[[ } \n]] ngx.say(\"\\\"}\")";
    let read = http(&format!("server {{ content_by_lua_block {{{code}}} root /x; }}"));
    assert!(read.problems.is_empty(), "{:?}", messages(&read));
    let server = &read.directives[1].children()[0];
    assert_eq!(server.children()[0].argument(0), Some(code));
    assert_eq!(server.children()[1].name, "root");
    assert_eq!(read.unknown[0].value, "content_by_lua_block");
}

#[test]
fn directives_of_other_modules_are_listed_and_are_no_problem() {
    let read = http("brotli on;\nserver { vendor { a b; c { } } }");
    assert!(read.problems.is_empty(), "{:?}", messages(&read));
    let names: Vec<_> = read.unknown.iter().map(|unknown| unknown.value.as_str()).collect();
    assert_eq!(names, ["brotli", "vendor"]);
}

#[test]
fn a_site_that_others_include_is_read_where_it_fits() {
    let tree = MemoryTree::new().file("/s", "server { listen 80; }\nupstream u { server a; }\n");
    let read = Nginx::read(&tree, "/s").unwrap();
    assert_eq!((read.context(), read.problems.len()), (Context::Http, 0));
    let tree = MemoryTree::new().file("/s", "location / { root /x; }\nlisten 80;\n");
    assert_eq!(Nginx::read(&tree, "/s").unwrap().context(), Context::Server);
}

#[test]
fn loops_bombs_and_odd_files_end() {
    let tree = MemoryTree::new()
        .file(MAIN, "events {}\ninclude nginx.conf;\ninclude d/*;\n")
        .special("/etc/nginx/d/fifo", FileKind::Fifo)
        .link("/etc/nginx/d/gone", "nowhere");
    let read_tree = Nginx::read(&tree, MAIN).unwrap();
    let said = messages(&read_tree);
    assert!(
        said[0].contains("2:9: the file includes itself: /etc/nginx/nginx.conf includes"),
        "{said:?}"
    );
    assert!(
        said[1].contains("3:9: the included file /etc/nginx/d/gone does not exist"),
        "{said:?}"
    );
    assert_eq!(read_tree.unread[0].why, Why::NotRegular(FileKind::Fifo));

    let deep = "a {".repeat(100_000);
    assert!(read(&deep).problems.len() >= 2);
    let fine = "location / {".repeat(DEPTH_FITS) + &"}".repeat(DEPTH_FITS);
    assert!(http(&format!("server {{ {fine} }}")).problems.is_empty());
    let more = "location / {".repeat(DEPTH_FITS + 1) + &"}".repeat(DEPTH_FITS + 1);
    assert_eq!(http(&format!("server {{ {more} }}")).problems.len(), 1);

    let long = format!("events {{}}\nuser {};\n", "x".repeat(4095));
    assert!(read(&long).problems.is_empty());
    let longer = format!("events {{}}\nuser {};\n", "x".repeat(4096));
    assert_eq!(read(&longer).problems.len(), 1);
    assert!(!read(&"x".repeat(8 << 20)).problems.is_empty());
    assert!(!read(&"\u{0} \u{0};".repeat(1000)).problems.is_empty());
    let binary = MemoryTree::new().file(MAIN, b"events {}\n\xff\xfe a;\n");
    assert_eq!(Nginx::read(&binary, MAIN).unwrap().unknown.len(), 1);
    let many = format!("events {{}}\nenv {};\n", "x ".repeat(20_000));
    assert!(messages(&read(&many))[0].contains("more than 10000 words"));
}

/// Levels of `location` that fit below `http` and `server`.
const DEPTH_FITS: usize = crate::config::directives::DEPTH_MAX - 3;

#[test]
fn a_hundred_thousand_drop_ins_end_in_a_clear_outcome() {
    let mut bush = MemoryTree::new().file(MAIN, "events {}\ninclude d/*;\n");
    for number in 0..FILES_MAX + 5 {
        bush = bush.file(&format!("/etc/nginx/d/{number}"), "");
    }
    let read = Nginx::read(&bush, MAIN).unwrap();
    assert_eq!(read.files.len(), FILES_MAX);
    assert_eq!(read.unread.len(), 1, "the rest is told once");
    assert_eq!(read.unread[0].why, Why::TooMany(FILES_MAX));
}

#[test]
fn the_effective_view_is_bounded_and_says_so() {
    let headers = "add_header A 1;\n".repeat(2_000);
    let locations: String =
        (0..2_000).map(|n| format!("location /{n} {{ add_header B 2; }}\n")).collect();
    let all = http(&format!("{headers}server {{ {locations} }}")).effective();
    assert_eq!(all.problems.len(), 1);
    assert!(all.blocks.len() > 50 && all.blocks.len() < 200);
}
