use super::*;

fn value<'a>(block: &'a Block, key: &str) -> Option<&'a str> {
    block.settings.value(key)
}

#[test]
fn blocks_start_from_the_globals_before_them() {
    let tree = MemoryTree::new()
        .file("/etc/lr.conf", "weekly\nrotate 4\ninclude /etc/lr.d\n/c {\n}\ncompress\n")
        .file("/etc/lr.d/a", "/a /a2 {\n daily\n nocompress\n}\nrotate 7\n")
        .file("/etc/lr.d/b", "\"/b c\"\n/d\n{\n size=10k # no comment\n}\n")
        .file("/etc/lr.d/z.bak", "rotate 9\n")
        .file_with("/etc/lr.d/w", "rotate 9\n", 0o666, 0, 0)
        .special("/etc/lr.d/f", FileKind::Fifo);
    let all = Logrotate::read(&tree, "/etc/lr.conf").unwrap();
    assert_eq!((all.blocks.len(), all.ignored.len(), all.unread.len()), (2, 2, 1));
    let (a, c) = (&all.blocks[0], &all.blocks[1]);
    assert_eq!((value(a, "criterion"), value(a, "rotate")), (Some("daily"), Some("4")));
    assert_eq!(a.settings.get("criterion").unwrap().overrides[0].value.place.line, 1);
    assert_eq!((value(c, "rotate"), value(c, "compress")), (Some("7"), None));
    assert_eq!(all.globals.value("compress"), Some("yes"));
    // "not a size" in b: its block is dropped; the mode of w is told, too.
    assert_eq!(all.problems.len(), 2);
}

#[test]
fn scripts_are_kept_whole_with_their_braces() {
    let text = b"/a {\n postrotate\n  x } y\n}\n  endscript\n su root adm\n}\n";
    let all = Logrotate::parse("/x", text);
    assert_eq!(value(&all.blocks[0], "postrotate"), Some("  x } y\n}\n"));
    assert_eq!(value(&all.blocks[0], "su"), Some("root adm"));
    assert!(all.problems.is_empty());
    let shown = all.to_json();
    assert_eq!(shown["blocks"][0]["settings"]["su"]["line"], 6);
}

#[test]
fn a_fault_drops_the_block_or_the_rest_of_the_file() {
    let all =
        Logrotate::parse("/x", b"/a {\n rotate x\n postrotate\n }\n endscript\n}\n/b {\n odd\n}\n");
    assert_eq!((all.blocks.len(), all.problems.len()), (1, 2));
    let all = Logrotate::parse("/x", b"/a {\n}\nrotate x\n/b {\n}\n");
    assert_eq!((all.blocks.len(), all.problems.len()), (1, 1));
    let all =
        Logrotate::parse("/x", b"/a { rotate 010\n compress delaycompress }\n/b {\n size 0x1K\n");
    assert_eq!((all.blocks.len(), all.problems.len()), (2, 0));
    for (text, lines) in
        [("}", 1), ("/a }", 1), ("/a {\n/b\n}", 2), ("/a", 1), ("+x\n", 1), ("rotate5\n", 1)]
    {
        let all = Logrotate::parse("/x", text.as_bytes());
        assert_eq!(all.problems.kept[0].place.line, lines, "{text}");
    }
}

#[test]
fn hostile_files_end_bounded() {
    let tree = MemoryTree::new().file("/x", "include /x\ninclude /x\n");
    let all = Logrotate::read(&tree, "/x").unwrap();
    assert!(all.files.len() <= FILES_MAX && !all.problems.is_empty());
    let all = Logrotate::parse("/x", &vec![b'/'; 10 << 20]);
    assert_eq!(all.problems.len(), 1);
    let many = b"/a {\n}\n".repeat(BLOCKS_MAX + 1);
    let all = Logrotate::parse("/x", &many);
    assert_eq!((all.blocks.len(), all.problems.len()), (BLOCKS_MAX, 1));
    let script =
        [b"/a {\nprerotate\n".as_slice(), &b"xxx\n".repeat(SCRIPT_BYTES_MAX), b"endscript\n}\n"];
    let all = Logrotate::parse("/x", &script.concat());
    assert_eq!((all.blocks.len(), all.problems.len()), (1, 1));
    assert!(value(&all.blocks[0], "prerotate").unwrap().len() <= SCRIPT_BYTES_MAX);
    assert!(!Logrotate::parse("/x", b"/\xff {\n\xff\0\n}").problems.is_empty());
}
