use std::path::Path;

use super::*;
use crate::place::Problem;
use crate::tree::MemoryTree;

fn load(tree: &MemoryTree, call: &str) -> Result<Definition, Problem> {
    let call = call::parse(call).unwrap();
    filter::load(tree, Path::new("/f"), &call, Backend::File)
}

fn texts(found: &[crate::place::Placed<String>]) -> Vec<&str> {
    found.iter().map(|placed| placed.value.as_str()).collect()
}

#[test]
fn includes_locals_interpolation_tags_and_options_go_together() {
    let tree = MemoryTree::new()
        .file(
            "/f/filter.d/common.conf",
            "[DEFAULT]\nlogtype = file\n_daemon = \\S*\nprefix = <lt_<logtype>/p>\n\
             [lt_file]\np = F<_daemon>\n[lt_journal]\np = J%(lt_file/p)s\n",
        )
        .file("/f/filter.d/common.local", "[DEFAULT]\nextra = 100%%\n")
        .file(
            "/f/filter.d/a.conf",
            "[INCLUDES]\nbefore = common.conf\n[Definition]\n_daemon = sshd ; the daemon\n\
             failregex = ^%(prefix)s <HOST>$\n            # a comment\n            ^<mode-<mode>>$\n\n\
             \x20           ^%(extra)s; x$\nmode = normal\nmode-normal = N\nmode-hard = H\n\
             \x20 I <HOST>\nignoreregex =\n[Init]\nmaxlines = 2\n",
        )
        .file("/f/filter.d/a.local", "[Definition]\nmode-normal = local-%(known/mode-normal)s\n");
    let normal = load(&tree, "a").unwrap();
    assert_eq!(texts(&normal.failregex), ["^Fsshd <HOST>$", "^local-N$", "^100%; x$"]);
    assert_eq!((normal.name.as_str(), normal.files.len()), ("a", 4));
    assert_eq!(normal.maxlines.map(|value| value.value).as_deref(), Some("2"));
    assert!(normal.ignoreregex.is_empty());
    let hard = load(&tree, "a[mode=hard, logtype=journal]").unwrap();
    assert_eq!(texts(&hard.failregex), ["^JFsshd <HOST>$", "^H", "I <HOST>$", "^100%; x$"]);
    assert_eq!(load(&tree, "/f/filter.d/a.conf").unwrap(), load(&tree, "a").unwrap());
}

#[test]
fn wrong_files_are_refused_with_their_place() {
    let says = |text: &str| {
        load(&MemoryTree::new().file("/f/filter.d/a.conf", text), "a").unwrap_err().to_string()
    };
    let at = "/f/filter.d/a.conf";
    for (text, said) in [
        ("[Definition]\nfailregex = %(x)s\n", format!("{at}:2:1: `%(x)s` refers to nothing")),
        ("[Definition]\n a = 1\n a = 2\n", format!("{at}:3:2: option `a` twice in its section")),
        ("[A]\n[A]\n", format!("{at}:2:1: section `A` twice in a file")),
        ("x\n", format!("{at}:1:1: neither a section nor an option")),
        ("x = 1\n", format!("{at}:1:1: an option before the first section")),
        ("[A]\n", format!("{at}: no [Definition] section")),
        (
            "[Definition]\nfailregex = 5%\n",
            format!("{at}:2:1: `%` has to be followed by `%` or `(name)s`"),
        ),
        (
            "[Definition]\nfailregex = %(b)s\nb = %(failregex)s\n",
            format!("{at}:2:1: `%(…)s` nested too deeply, or in a circle"),
        ),
        (
            "[Definition]\nfailregex = <b>\nb = <c>\nc = <b>\n",
            format!("{at}:2:1: `<b>` refers to itself, within `failregex`"),
        ),
    ] {
        assert_eq!(says(text), said, "{text}");
    }
    assert_eq!(
        load(&MemoryTree::new(), "none").unwrap_err().to_string(),
        "/f/filter.d/none.conf: no such filter"
    );
}

#[test]
fn includes_in_a_circle_end_and_deep_ones_are_refused() {
    let tree = MemoryTree::new()
        .file(
            "/f/filter.d/a.conf",
            "[INCLUDES]\nbefore = b.conf\n[Definition]\nfailregex = <HOST>\n",
        )
        .file("/f/filter.d/b.conf", "[INCLUDES]\nbefore = a.conf\nafter = b.conf\n");
    assert_eq!(texts(&load(&tree, "a").unwrap().failregex), ["<HOST>"]);
    let chain = |length: usize| {
        (0..length).fold(MemoryTree::new(), |tree, index| {
            let next = if index + 1 == length {
                String::new()
            } else {
                format!("before = {}.conf", index + 1)
            };
            let text = format!("[INCLUDES]\n{next}\n[Definition]\nfailregex = <HOST>\n");
            tree.file(&format!("/f/filter.d/{index}.conf"), text)
        })
    };
    assert!(load(&chain(config::INCLUDES_MAX), "0").is_ok());
    let error = load(&chain(config::INCLUDES_MAX + 1), "0").unwrap_err();
    assert!(error.message.contains("nested deeper"), "{error}");
}

#[test]
fn huge_values_are_refused_quickly() {
    let doubling = |times: usize| {
        let mut text = "[Definition]\nfailregex = %(a0)s\n".to_string();
        for index in 0..8 {
            text += &format!("a{index} = {}\n", format!("%(a{})s", index + 1).repeat(times));
        }
        text + "a8 = x\n"
    };
    let filter = |text: String| load(&MemoryTree::new().file("/f/filter.d/a.conf", text), "a");
    assert!(filter(doubling(3)).is_ok());
    let error = filter(doubling(20)).unwrap_err().message;
    assert!(error.contains("references") || error.contains("more than"), "{error}");
    let wide = |length: usize| format!("[Definition]\nfailregex = {}\n", "x".repeat(length));
    assert!(filter(wide(config::VALUE_BYTES_MAX)).is_ok());
    assert!(filter(wide(config::VALUE_BYTES_MAX + 1)).is_err());
    assert!(filter("x".repeat(ini::FILE_BYTES_MAX + 1)).is_err());
    let lines =
        |count: usize| format!("[Definition]\nfailregex = x\n{}", "  x\n".repeat(count - 1));
    assert!(filter(lines(filter::EXPRESSIONS_MAX)).is_ok());
    assert!(filter(lines(filter::EXPRESSIONS_MAX + 1)).is_err());
}

#[test]
fn jails_merge_in_order_and_say_what_is_wrong_with_each() {
    let tree = MemoryTree::new()
        .file("/f/filter.d/sshd.conf", "[Definition]\nfailregex = ^<mode>% (x) <HOST>\n".replace("% ", ""))
        .file("/f/filter.d/web.conf", "[Definition]\nfailregex = ^w <HOST>\n")
        .file(
            "/f/jail.conf",
            "[INCLUDES]\nbefore = paths.conf\n[DEFAULT]\nbantime = 10m\nfindtime = 10m\nmaxretry = 5\n\
             enabled = false\nmode = normal\nfilter = %(__name__)s[mode=%(mode)s]\nignoreip = ::1\n\
             [sshd]\nlogpath = %(log)s/auth.log\n[web]\nlogpath = /w/*.log tail\n\
             [gone]\nenabled = true\n[odd]\nenabled = yes\nfilter = web\nfindtime = soon\n",
        )
        .file("/f/paths.conf", "[DEFAULT]\nlog = /var/log\n")
        .file("/f/jail.d/a.conf", "[sshd]\nenabled = true\nmaxretry = 4\n")
        .file(
            "/f/jail.local",
            "[DEFAULT]\nignoreip = 127.0.0.1/8, ::1\n[sshd]\nmode = hard\nmaxretry = 3\n\
             [web]\nenabled = on\nfailregex = %(known/failregex)s\n  ^more <HOST>\nfindtime = 1h\n",
        );
    let jails = jail::load(&tree, Path::new("/f")).unwrap();
    let names: Vec<_> = jails.jails.iter().map(|jail| jail.name.as_str()).collect();
    assert_eq!(names, ["sshd", "web"]);
    let (sshd, web) = (&jails.jails[0], &jails.jails[1]);
    assert_eq!(texts(&sshd.filter.failregex), ["^hard(x) <HOST>"]);
    assert_eq!(
        (sshd.maxretry, sshd.findtime_s, sshd.logpath.as_slice()),
        (3, 600.0, &["/var/log/auth.log".to_string()][..])
    );
    assert_eq!(sshd.ignoreip, ["127.0.0.1/8", "::1"]);
    assert_eq!(texts(&web.filter.failregex), ["^w <HOST>", "^more <HOST>"]);
    assert_eq!((web.findtime_s, web.logpath[0].as_str()), (3600.0, "/w/*.log"));
    let problems: Vec<String> =
        jails.problems.iter().map(|(name, p)| format!("{name}: {p}")).collect();
    assert_eq!(
        problems,
        [
            "gone: /f/filter.d/gone.conf: no such filter",
            "odd: /f/jail.conf:20:1: findtime: not a duration"
        ]
    );
}
