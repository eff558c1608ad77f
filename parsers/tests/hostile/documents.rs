//! The table's grammars whose files are documents that are merged (netplan, cloud-init, Compose, kubelet),
//! and those of rsyslog and apt.

use parsers::config::{apt_conf, cloud_init, compose, kubernetes, netplan, rsyslog};

use crate::grammars::{
    Folder, Grammar, Missing, PLAIN, Reader, Shared, Silence, outcome, refused, settings,
};

pub fn merged() -> Vec<Grammar> {
    vec![
        Grammar {
            module: "netplan",
            name: "netplan",
            reader: Reader::Tree {
                path: "/etc/netplan/a.yaml",
                most_bytes: 0,
                read: |tree| settings(Ok(netplan::Netplan::read(tree).settings)),
            },
            long: b"network: ",
            long_line: Silence::Right("a scalar of a document is kept whole"),
            entry: b"network: {version: 2}\n",
            unfinished: &["network: [", "network: \"a"],
            nests: &[(b"[", ""), (b"a: {", "")],
            ..PLAIN
        },
        Grammar {
            module: "cloud_init",
            name: "cloud.cfg",
            reader: Reader::Tree {
                path: cloud_init::CLOUD_CFG,
                most_bytes: 0,
                read: |tree| {
                    settings(Ok(cloud_init::CloudInit::read(tree, cloud_init::CLOUD_CFG).settings))
                },
            },
            long: b"a: ",
            long_line: Silence::Right("a scalar of a document is kept whole"),
            entry: b"a: 1\n",
            unfinished: &["a: [", "a: \"b"],
            nests: &[(b"[", ""), (b"a: {", "")],
            ..PLAIN
        },
        Grammar {
            module: "compose",
            name: "compose",
            reader: Reader::Tree {
                path: "/srv/compose.yaml",
                most_bytes: 0,
                read: |tree| {
                    let read = compose::Compose::read(tree, "/srv/compose.yaml");
                    settings(read.map(|read| read.settings))
                },
            },
            long: b"services: ",
            long_line: Silence::Right("a scalar of a document is kept whole"),
            entry: b"services: {}\n",
            unfinished: &["services: [", "services: \"b"],
            nests: &[(b"[", ""), (b"a: {", "")],
            ..PLAIN
        },
        Grammar {
            module: "kubernetes",
            name: "kubernetes",
            reader: Reader::Bytes(|bytes| {
                let read = kubernetes::manifests::Manifests::parse("/f", bytes);
                outcome(&read.problems, &[], read.documents.len())
            }),
            long: b"kind: ",
            entry: b"---\nkind: Pod\n",
            unfinished: &["kind: [", "kind: \"b"],
            nests: &[(b"[", ""), (b"a: {", "")],
            ..PLAIN
        },
        Grammar {
            module: "rsyslog",
            name: "rsyslog",
            reader: Reader::Tree {
                path: "/etc/rsyslog.conf",
                most_bytes: 0,
                read: |tree| match rsyslog::Rsyslog::read(tree, "/etc/rsyslog.conf") {
                    Err(error) => refused(&error),
                    Ok(read) => outcome(&read.problems, &read.unread, read.statements.len()),
                },
            },
            long: b"*.* /",
            long_line: Silence::Right("the path is kept whole"),
            entry: b"*.* /a\n",
            unfinished: &["module(", "if $msg == 'a' then {"],
            nests: &[(b"if 1 then {", "")],
            shared: Some(Shared {
                include: Some("$IncludeConfig PATH\n"),
                missing: Missing::Told,
                folder: Some(Folder {
                    path: "/etc/rsyslog.d",
                    suffix: ".conf",
                    include: "$IncludeConfig PATH\n",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "apt_conf",
            name: "apt.conf",
            reader: Reader::Tree {
                path: "/etc/apt/apt.conf",
                most_bytes: 0,
                read: |tree| settings(Ok(apt_conf::AptConf::read(tree).settings())),
            },
            long: b"A \"",
            entry: b"A \"1\";\n",
            // apt itself takes a block without its end.
            unfinished: &["A \"1"],
            nests: &[(b"A {", "")],
            shared: Some(Shared {
                include: None,
                missing: Missing::Allowed,
                folder: Some(Folder { path: "/etc/apt/apt.conf.d", suffix: ".conf", include: "" }),
            }),
            ..PLAIN
        },
    ]
}
