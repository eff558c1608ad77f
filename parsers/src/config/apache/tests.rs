//! From httpd.apache.org/docs/2.4: "Configuration Files", "Configuration Sections", mod_version.

use super::*;
use crate::tree::{FileKind, MemoryTree, Why};

const MAIN: &str = "/etc/apache2/apache2.conf";

fn tree(text: &str) -> MemoryTree {
    MemoryTree::new().file(MAIN, text)
}

fn read(text: &str) -> Apache {
    Apache::read(&tree(text), MAIN, &Facts::default()).unwrap()
}

fn messages(read: &Apache) -> Vec<String> {
    read.problems.kept.iter().map(ToString::to_string).collect()
}

fn shown(directives: &[Directive]) -> String {
    let one = |directive: &Directive| {
        let words: Vec<_> = directive.arguments.iter().map(|a| a.value.as_str()).collect();
        let block =
            directive.block.as_ref().map(|_| format!("{{{}}}", shown(directive.children())));
        format!("{} {}{};", directive.name, words.join("|"), block.unwrap_or_default())
    };
    directives.iter().map(one).collect()
}

#[test]
fn lines_are_joined_and_words_cut_as_httpd_does() {
    let read = read(
        "  servername \"a b\" \n\
         Alias '/x y' \\\n   /z\\\\w\n\
         # a comment \\\n DocumentRoot /nothing\n\
         SetEnv A \"say \\\"b\\\" \\c\"\n\
         SetEnv B x\"y z\n",
    );
    let expected = "ServerName a b;Alias /x y|/z\\w;SetEnv A|say \"b\" \\c;SetEnv B|x\"y|z;";
    assert_eq!(shown(&read.directives), expected);
    assert!(messages(&read)[0].contains(":7:1: SetEnv takes one or two"), "{:?}", messages(&read));
    let places: Vec<_> = read.directives[1].arguments.iter().map(|a| a.place.to_string()).collect();
    assert_eq!(places, [format!("{MAIN}:2:7"), format!("{MAIN}:3:4")]);
    assert_eq!((read.directives[0].place.line, read.directives[0].place.column), (1, 3));
}

#[test]
fn variables_are_put_in_and_places_stay_where_the_text_was_written() {
    let read =
        read("Define root /srv/long/path\nDocumentRoot ${root}/www\nSetEnv ${none} ${root} x\n");
    assert_eq!(read.directives[1].argument(0), Some("/srv/long/path/www"));
    assert_eq!(read.directives[2].arguments[1].place.column, 16);
    assert_eq!(read.directives[2].arguments[2].place.column, 24);
    assert_eq!(
        read.notes[0].to_string(),
        format!("{MAIN}:3:1: the variable ${{none}} has no value")
    );
    let facts = Facts::default().with_envvars(
        b"unset HOME\nexport A_LOG=/var/log/apache2$SUFFIX\nexport B=$(id)\nexport C='c'\n",
    );
    assert_eq!(facts.variables["A_LOG"], "/var/log/apache2");
    assert_eq!((facts.variables.get("B"), facts.variables["C"].as_str()), (None, "c"));
}

#[test]
fn conditions_are_decided_by_what_is_loaded_defined_and_there() {
    let facts = Facts { defined: ["GIVEN".to_string()].into(), ..Facts::default() };
    let text = "LoadModule ssl_module modules/mod_ssl.so\n\
        <IfModule mod_ssl.c>\nSSLEngine on\n</IfModule>\n\
        <IfModule !ssl_module>\n<Directory /x>\n</Directory>\nServerAdmin no\n</IfModule>\n\
        <IfDefine GIVEN>\n<IfDefine !OTHER>\nServerName a\n</IfDefine>\n</IfDefine>\n\
        <IfVersion >= 2.4>\nTimeout 5\n</IfVersion>\n\
        <IfVersion !~ ^2\\.4>\nTimeout 6\n</IfVersion>\n\
        <IfFile /etc/apache2/apache2.conf>\nServerSignature Off\n</IfFile>\n\
        <IfVersion 2.2>\nListen 81\n</ifversion>\n";
    let read = Apache::read(&tree(text), MAIN, &facts).unwrap();
    assert!(read.problems.is_empty(), "{:?}", messages(&read));
    let expected = "LoadModule ssl_module|modules/mod_ssl.so;SSLEngine on;ServerName a;Timeout 5;ServerSignature Off;";
    assert_eq!(shown(&read.directives), expected);
    let skipped: Vec<_> = read.skipped.iter().map(|skipped| skipped.place.line).collect();
    assert_eq!(skipped, [5, 18, 24]);
}

#[test]
fn includes_take_files_directories_and_patterns() {
    let tree = tree(
        "Include conf/*.conf\nIncludeOptional none/*.conf\nIncludeOptional gone\nInclude all\n",
    )
    .file("/etc/apache2/conf/b.conf", "ServerAdmin 2\n")
    .file("/etc/apache2/conf/a.conf", "ServerAdmin 1\n")
    .file("/etc/apache2/conf/.c.conf", "Rubbish\n")
    .file("/etc/apache2/all/z", "ServerAdmin 4\n")
    .file("/etc/apache2/all/d/y", "ServerAdmin 3\n")
    .special("/etc/apache2/all/f", FileKind::Fifo);
    let read = Apache::read(&tree, MAIN, &Facts::default()).unwrap();
    assert!(read.problems.is_empty(), "{:?}", messages(&read));
    assert_eq!(shown(&read.directives), "ServerAdmin 1;ServerAdmin 2;ServerAdmin 3;ServerAdmin 4;");
    assert_eq!(read.directives[2].place.to_string(), "/etc/apache2/all/d/y:1:1");
    assert_eq!(read.unread[0].why, Why::NotRegular(FileKind::Fifo));
}

#[test]
fn what_httpd_refuses_is_told_and_the_rest_is_read() {
    for (text, expected) in [
        ("ServerName\n", "1:1: ServerName takes one argument"),
        ("HostnameLookups maybe\n", ""),
        ("MergeSlashes maybe\n", "1:1: MergeSlashes must be On or Off"),
        ("Nonsense x\n", "1:1: Nonsense: no module has this directive"),
        ("AllowOverride None\n", "1:1: AllowOverride is not allowed here"),
        ("<Directory /x>\nServerAdmin x\n</Directory>\n", "2:1: ServerAdmin is not allowed here"),
        (
            "<VirtualHost *>\n<VirtualHost *>\n</VirtualHost>\n</VirtualHost>\n",
            "2:1: <VirtualHost> is",
        ),
        ("<Directory /x>\n</Location>\n", "2:1: expected </Directory> but saw </Location>"),
        ("<Directory /x>\n", "1:1: <Directory> was not closed"),
        ("</Directory>\n", "1:1: </Directory> without a section to close"),
        ("<Directory /x\n</Directory>\n", "1:1: `<Directory>` lacks its closing `>`"),
        ("<Directory>\n</Directory>\n", "1:1: the section requires an argument"),
        ("<Else x>\n</Else>\n", "1:1: <Else> takes no argument"),
        ("<IfModule>\n</IfModule>\n", "1:1: the condition is missing"),
        ("<IfDefine X>\n<A>\n</IfDefine>\n</A>\n", "3:1: expected </A> but saw </IfDefine>"),
        ("<IfDefine X>\n", "1:1: `<ifdefine>` is not closed"),
        ("Define a:b c\n", "1:1: the name of a variable has no `:`"),
        ("Include none\n", "1:1: the file /etc/apache2/none does not exist"),
        ("LoadModule so_module x\nSSLEngine on\n", "2:1: SSLEngine: mod_ssl is not loaded"),
    ] {
        let text = format!("{text}ServerName last\n");
        let read = read(&text);
        let said = messages(&read);
        match expected {
            "" => assert!(said.is_empty(), "{text}: {said:?}"),
            _ => assert!(said.first().is_some_and(|m| m.contains(expected)), "{text}: {said:?}"),
        }
        let is_read = shown(&read.directives).contains("ServerName last");
        assert_eq!(is_read, !expected.contains("`<ifdefine>` is not closed"), "{text}");
    }
    let other =
        read("LoadModule my_module x\nMyThing on\n<MySection>\nAllowOverride All\n</MySection>\n");
    assert!(other.problems.is_empty(), "{:?}", messages(&other));
    assert_eq!(other.unknown.len(), 2);
}

#[test]
fn sections_are_merged_in_the_order_of_the_documentation() {
    let read = read(
        "ServerName main\nOptions Indexes\n\
         <Location /app>\nOptions -Indexes\nRequire ip 192.0.2.0/24\n</Location>\n\
         <Files secret*>\nRequire all denied\n</Files>\n\
         <Directory /srv/www/app>\nAllowOverride All\nOptions +ExecCGI\n</Directory>\n\
         <Directory />\nAllowOverride None\nRequire all denied\nRequire host x\n</Directory>\n\
         <DirectoryMatch \"^/srv/.*/app\">\nAllowOverride AuthConfig\n</DirectoryMatch>\n\
         <VirtualHost *:80>\nServerName one\n</VirtualHost>\n\
         <VirtualHost *:80>\nServerName two\nServerAlias *.two\n\
         <Location />\nRequire all granted\n</Location>\n</VirtualHost>\n",
    );
    assert!(read.problems.is_empty(), "{:?}", messages(&read));
    let ask = |host: &str, path: &str, file: &str| {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_string());
        read.effective(&Request { host: text(host), path: text(path), file: text(file) })
    };
    let main = ask("", "/app/x", "/srv/www/app/x");
    assert_eq!(main.value("AllowOverride"), Some("AuthConfig"), "a match comes after every path");
    assert_eq!(main.get("AllowOverride").unwrap().overrides.len(), 2);
    assert_eq!(main.value("Options"), Some("ExecCGI"));
    assert_eq!(main.value("Require"), Some("ip 192.0.2.0/24"));
    let secret = ask("", "/other", "/srv/www/secret.txt");
    assert_eq!(secret.value("Require"), Some("all denied"));
    assert_eq!(secret.get("Require").unwrap().values.len(), 1, "Files replaces both of Directory");
    let two = ask("www.two", "/app", "/srv/www/app/x");
    assert_eq!((two.value("ServerName"), two.value("Require")), (Some("two"), Some("all granted")));
    assert_eq!(
        ask("nobody", "/", "").value("ServerName"),
        Some("one"),
        "the first host is the default"
    );
}

#[test]
fn loops_bombs_and_odd_files_end() {
    let looped = read("Include apache2.conf\n");
    assert!(messages(&looped)[0].contains("the file includes itself"), "{:?}", messages(&looped));

    let mut laughs = String::from("Define A0 ha\n");
    for level in 1..40 {
        laughs.push_str(&format!("Define A{level} ${{A{0}}}${{A{0}}}\n", level - 1));
    }
    assert!(messages(&read(&laughs))[0].contains("too long with its variables"));

    let deep = "<IfVersion >= 2>\n".repeat(100_000);
    assert!(!read(&deep).problems.is_empty());
    let deep = "<Directory /x>\n".repeat(100_000);
    assert!(!read(&deep).problems.is_empty());
    let fits = DEPTH_FITS;
    let nested = |n: usize| "<Directory />\n".repeat(n) + &"</Directory>\n".repeat(n);
    let too_deep = |read: &Apache| messages(read).iter().any(|m| m.contains("too deeply"));
    assert!(!too_deep(&read(&nested(fits))) && too_deep(&read(&nested(fits + 1))));

    assert_eq!(read(&"x".repeat(LINE_BYTES_MAX + 1)).problems.len(), 1);
    assert_eq!(read(&"x \\\n".repeat(1_000_000)).problems.len(), 1);
    assert_eq!(read("Listen\0 80\n").problems.len(), 1);
    let binary = MemoryTree::new().file(MAIN, b"\xff\xfe \xff\n");
    assert_eq!(Apache::read(&binary, MAIN, &Facts::default()).unwrap().problems.len(), 1);

    let mut bush = tree("Include d\n");
    for number in 0..FILES_MAX + 5 {
        bush = bush.file(&format!("/etc/apache2/d/{number}"), "");
    }
    let read = Apache::read(&bush, MAIN, &Facts::default()).unwrap();
    assert_eq!((read.files.len(), read.unread.len()), (FILES_MAX, 1));
    assert_eq!(read.unread[0].why, Why::TooMany(FILES_MAX));
}

/// Levels of sections that are kept.
const DEPTH_FITS: usize = crate::config::directives::DEPTH_MAX;
