//! The table of grammars: how each is read, and what is hostile in its own syntax.

use std::path::Path;

use parsers::config::problems::Problems;
use parsers::config::settings::Settings;
use parsers::config::{
    accounts, apache, apt_sources, certificates, cron, docker, dpkg, iptables, json, keyvalue,
    limits, logrotate, mounts, my_cnf, nftables, nginx, os_release, pam, postgres, redis, sshd,
    sudoers, sysctl, systemd_conf, systemd_unit, yaml,
};
use parsers::place::Problem;
use parsers::tree::{LookError, Tree};

use crate::measure::Outcome;

/// Modules beside the grammars that read no file by themselves.
pub const NOT_GRAMMARS: &[&str] =
    &["directives", "expand", "glob", "lines", "problems", "settings"];

/// Grammars of configuration that stand in another room.
pub const ELSEWHERE: &[&str] = &["rules::fail2ban"];

/// Whether an input may go by without a word.
#[derive(Clone, Copy)]
pub enum Silence {
    /// Something has to be told.
    Wrong,
    /// Nothing is lost, for this reason.
    Right(&'static str),
}

/// How a grammar is given its text.
pub enum Reader {
    /// The bytes of one file.
    Bytes(fn(&[u8]) -> Outcome),
    /// A file of a tree; `most_bytes` is the grammar's own limit, 0 that of every configuration.
    Tree { path: &'static str, most_bytes: usize, read: fn(&dyn Tree) -> Outcome },
}

/// What a missing include is to the daemon.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Told,
    Allowed,
}

/// A folder whose files are read.
pub struct Folder {
    pub path: &'static str,
    /// How names have to end.
    pub suffix: &'static str,
    /// What the main file says of it, with `PATH` for a pattern and `FOLDER` for its path.
    pub include: &'static str,
}

/// What reads other files.
pub struct Shared {
    /// A line that includes `PATH`.
    pub include: Option<&'static str>,
    pub missing: Missing,
    pub folder: Option<Folder>,
}

/// One grammar, or one way into it.
pub struct Grammar {
    /// Its module below `parsers::config`.
    pub module: &'static str,
    pub name: &'static str,
    pub reader: Reader,
    /// The start of an entry whose value goes on without an end.
    pub long: &'static [u8],
    pub long_line: Silence,
    /// A short entry; repeated, each counts as a value.
    pub entry: &'static [u8],
    /// A NUL within a value.
    pub nul: Silence,
    /// A file of nothing but NULs.
    pub nuls: Silence,
    /// Files that end in the middle of something.
    pub unfinished: &'static [&'static str],
    /// What is opened again and again, and what stands before.
    pub nests: &'static [(&'static [u8], &'static str)],
    /// What the main file has to hold besides, where files are shared.
    pub base: &'static str,
    pub shared: Option<Shared>,
}

const PLAIN: Grammar = Grammar {
    module: "",
    name: "",
    reader: Reader::Bytes(|_| Outcome::default()),
    long: b"a = ",
    long_line: Silence::Wrong,
    entry: b"a = 1\n",
    nul: Silence::Wrong,
    nuls: Silence::Wrong,
    unfinished: &[],
    nests: &[],
    base: "",
    shared: None,
};

fn list<'a>(problems: impl IntoIterator<Item = &'a Problem>, kept: usize) -> Outcome {
    Outcome { told: problems.into_iter().map(ToString::to_string).collect(), kept }
}

fn outcome(problems: &Problems, unread: &[LookError], kept: usize) -> Outcome {
    let mut outcome = list(&problems.kept, kept);
    outcome.told.extend(unread.iter().map(ToString::to_string));
    outcome
}

fn refused(error: &dyn std::fmt::Display) -> Outcome {
    Outcome { told: vec![error.to_string()], kept: 0 }
}

fn settings(read: Result<Settings, LookError>) -> Outcome {
    read.map_or_else(
        |error| refused(&error),
        |read| {
            let count = |s: &parsers::config::settings::Setting| s.values.len() + s.overrides.len();
            outcome(&read.problems, &read.unread, read.by_key.values().map(count).sum())
        },
    )
}

/// Directives in all depths.
fn directives(all: &[parsers::config::directives::Directive]) -> usize {
    all.iter().map(|directive| 1 + directives(directive.children())).sum()
}

macro_rules! told {
    ($read:expr, $count:expr) => {
        match $read {
            Err(error) => refused(&error),
            Ok(read) => outcome(&read.problems, &read.unread, $count(&read)),
        }
    };
}

/// Every grammar.
pub fn all() -> Vec<Grammar> {
    let mut all = tables();
    all.extend(documents());
    all.extend(daemons());
    all.extend(servers());
    all
}

/// Files of lines without includes.
fn tables() -> Vec<Grammar> {
    fn account<T>(table: accounts::Table<T>) -> Outcome {
        outcome(&table.problems, &[], table.entries.len() + table.compat.len())
    }
    vec![
        Grammar {
            module: "accounts",
            name: "passwd",
            reader: Reader::Bytes(|bytes| account(accounts::passwd("/f", bytes))),
            long: b"bob:x:1:1:",
            entry: b"a:x:1:1::/:/b\n",
            unfinished: &["bob:x:1"],
            ..PLAIN
        },
        Grammar {
            module: "accounts",
            name: "shadow",
            reader: Reader::Bytes(|bytes| account(accounts::shadow("/f", bytes))),
            long: b"bob:",
            entry: b"a:*:1::::::\n",
            unfinished: &["bob:*:1"],
            ..PLAIN
        },
        Grammar {
            module: "accounts",
            name: "group",
            reader: Reader::Bytes(|bytes| account(accounts::group("/f", bytes))),
            long: b"bob:x:1:",
            entry: b"a:x:1:\n",
            unfinished: &["bob:x"],
            ..PLAIN
        },
        Grammar {
            module: "accounts",
            name: "gshadow",
            reader: Reader::Bytes(|bytes| account(accounts::gshadow("/f", bytes))),
            long: b"bob:!:",
            entry: b"a:!::\n",
            unfinished: &["bob:!"],
            ..PLAIN
        },
        Grammar {
            module: "cron",
            name: "crontab",
            reader: Reader::Bytes(|bytes| {
                let read = cron::Crontab::parse("/f", bytes, &cron::Form::System);
                outcome(&read.problems, &[], read.jobs.len() + read.environment.len())
            }),
            long: b"@daily root ",
            entry: b"@daily r x\n",
            unfinished: &["* * *", "@daily", "0 0 * * 1-"],
            ..PLAIN
        },
        Grammar {
            module: "keyvalue",
            name: "login.defs",
            reader: Reader::Bytes(|bytes| {
                let read = keyvalue::KeyValues::parse("/f", bytes, keyvalue::Dialect::LoginDefs);
                outcome(&read.problems, &[], read.entries.len())
            }),
            long: b"A ",
            entry: b"A 1\n",
            ..PLAIN
        },
        Grammar {
            module: "keyvalue",
            name: "keyvalue",
            reader: Reader::Bytes(|bytes| {
                let read = keyvalue::KeyValues::parse("/f", bytes, keyvalue::Dialect::Equals);
                outcome(&read.problems, &[], read.entries.len())
            }),
            unfinished: &["= 1"],
            ..PLAIN
        },
        Grammar {
            module: "mounts",
            name: "fstab",
            reader: Reader::Bytes(|bytes| {
                let (entries, problems) = mounts::fstab(&"/f".into(), bytes);
                list(&problems, entries.len())
            }),
            long: b"/dev/a / ext4 ",
            entry: b"a b c d 0 0\n",
            nul: Silence::Right("a name of a file system is bytes; the NUL is kept"),
            unfinished: &["/dev/a /"],
            ..PLAIN
        },
        Grammar {
            module: "mounts",
            name: "mountinfo",
            reader: Reader::Bytes(|bytes| {
                let (entries, problems) = mounts::mountinfo(&"/f".into(), bytes);
                list(&problems, entries.len())
            }),
            long: b"1 0 8:1 / / rw - ",
            entry: b"1 0 8:1 / / rw - a b rw\n",
            nul: Silence::Right("the kernel writes no NUL; it would be kept"),
            unfinished: &["1 0 8:1 / / rw"],
            ..PLAIN
        },
        Grammar {
            module: "os_release",
            name: "os-release",
            reader: Reader::Bytes(|bytes| {
                let read = os_release::OsRelease::read(&"/f".into(), bytes);
                list(&read.problems, read.values.len())
            }),
            long: b"ID=",
            entry: b"ID=1\n",
            unfinished: &["ID=\"a", "ID='a", "ID"],
            ..PLAIN
        },
        Grammar {
            module: "iptables",
            name: "iptables-save",
            reader: Reader::Bytes(|bytes| {
                let read = iptables::Ruleset::parse("/f", bytes);
                outcome(&read.problems, &[], read.rules.len())
            }),
            long: b"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ",
            entry: b"-A INPUT -j A\n",
            unfinished: &["*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"a"],
            ..PLAIN
        },
        Grammar {
            module: "dpkg",
            name: "dpkg status",
            reader: Reader::Bytes(|bytes| {
                let (packages, cut) = dpkg::status(bytes);
                let told = if cut { vec!["more packages than the limit".into()] } else { vec![] };
                Outcome { told, kept: packages.len() }
            }),
            long: b"Package: ",
            long_line: Silence::Right("values are documented to be kept up to VALUE_BYTES_MAX"),
            entry: b"Package: a\n\n",
            nul: Silence::Right("names are compared with names, and a NUL is kept"),
            nuls: Silence::Right("lines that name no field are not read"),
            ..PLAIN
        },
    ]
}

/// JSON, YAML, certificates: one document a file.
fn documents() -> Vec<Grammar> {
    vec![
        Grammar {
            module: "json",
            name: "json",
            reader: Reader::Bytes(|bytes| {
                let mut problems = Problems::default();
                match json::Node::parse(&"/f".into(), bytes, &mut problems) {
                    Err(problem) => refused(&problem),
                    Ok(node) => outcome(&problems, &[], node.items().len()),
                }
            }),
            long: b"[\"",
            entry: b"[1]\n",
            unfinished: &["{\"a\": ", "[1, ", "\"a", "{\"a\": \"\\u12", "tru"],
            nests: &[(b"[", ""), (b"{\"a\":", "")],
            ..PLAIN
        },
        Grammar {
            module: "docker",
            name: "daemon.json",
            reader: Reader::Bytes(|bytes| settings(Ok(docker::parse("/f", bytes)))),
            long: b"{\"a\": \"",
            entry: b"{\"a\": 1}\n",
            unfinished: &["{\"a\": ", "{\"a\": [1, "],
            nests: &[(b"{\"a\":", ""), (b"[", "{\"a\": ")],
            ..PLAIN
        },
        Grammar {
            module: "nftables",
            name: "nft -j",
            reader: Reader::Bytes(|bytes| {
                let read = nftables::Ruleset::parse("/f", bytes);
                outcome(&read.problems, &[], read.rules.len())
            }),
            long: b"{\"nftables\": [{\"table\": {\"family\": \"ip\", \"name\": \"",
            entry: b"{\"nftables\": []}\n",
            unfinished: &["{\"nftables\": [", "{}", "{\"nftables\": 1}"],
            nests: &[(b"[", "{\"nftables\": "), (b"{\"a\":", "{\"nftables\": [")],
            ..PLAIN
        },
        Grammar {
            module: "yaml",
            name: "yaml",
            reader: Reader::Bytes(|bytes| match yaml::documents(bytes) {
                Err(error) => refused(&error),
                Ok(documents) => Outcome { told: Vec::new(), kept: documents.len() },
            }),
            long: b"a: ",
            entry: b"--- 1\n",
            unfinished: &[
                "a: \"b",
                "a: [1, ",
                "{a: ",
                "a: 'b",
                "a: !<x",
                "a: *",
                "? - [",
                "%YAML 1.2\n",
            ],
            nests: &[(b"[", ""), (b"{a: ", ""), (b"- ", ""), (b"? ", ""), (b"[{a: ", "a: ")],
            ..PLAIN
        },
        Grammar {
            module: "certificates",
            name: "certificates",
            reader: Reader::Bytes(|bytes| {
                let read = certificates::Certificates::parse("/f", bytes);
                let kept = read.certificates.len() + read.keys.len() + read.others.len();
                outcome(&read.problems, &[], kept)
            }),
            long: b"-----BEGIN CERTIFICATE-----\n",
            entry: b"-----BEGIN X-----\n-----END X-----\n",
            unfinished: &[
                "-----BEGIN CERTIFICATE-----\nMII",
                "-----BEGIN X",
                "0\u{1}",
                "-----END X-----",
            ],
            nests: &[
                (b"0\x80", ""),
                (b"0\x84\x00\x7f\xff\xff", ""),
                (b"-----BEGIN CERTIFICATE-----\n", ""),
            ],
            ..PLAIN
        },
    ]
}

/// Daemons and packages whose files make flat settings, rules or units.
fn daemons() -> Vec<Grammar> {
    vec![
        Grammar {
            module: "sshd",
            name: "sshd_config",
            reader: Reader::Tree {
                path: "/etc/ssh/sshd_config",
                most_bytes: 0,
                read: |tree| match sshd::Sshd::read(tree, sshd::DEFAULT_PATH) {
                    Err(error) => refused(&error),
                    Ok(read) => {
                        let effective = read.effective(&sshd::Connection::default());
                        let all = read.problems.iter().chain(&read.notes);
                        let mut told = list(all.chain(&effective.problems), 0);
                        told.told.extend(read.unread.iter().map(ToString::to_string));
                        let all = effective.settings.values();
                        told.kept = all.map(|s| s.values.len() + s.overrides.len()).sum();
                        told
                    }
                },
            },
            long: b"Banner /",
            long_line: Silence::Right(
                "sshd reads lines of any length, and the value is kept whole",
            ),
            entry: b"Port 1\n",
            unfinished: &["Banner \"/a", "Match", "Match user", "Port"],
            shared: Some(Shared {
                include: Some("Include PATH\n"),
                missing: Missing::Allowed,
                folder: Some(Folder {
                    path: "/etc/ssh/sshd_config.d",
                    suffix: ".conf",
                    include: "Include PATH\n",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "sudoers",
            name: "sudoers",
            reader: Reader::Tree {
                path: "/etc/sudoers",
                most_bytes: 0,
                read: |tree| match sudoers::Sudoers::read(tree, sudoers::SUDOERS) {
                    Err(error) => refused(&error),
                    Ok(read) => {
                        let mut told = outcome(&read.problems, &read.unread, read.rules.len());
                        told.told.extend(read.notes.kept.iter().map(ToString::to_string));
                        told
                    }
                },
            },
            long: b"bob ALL=/bin/",
            entry: b"a ALL=/b\n",
            unfinished: &[
                "bob ALL=(",
                "bob ALL=",
                "User_Alias A =",
                "Defaults x=\"a",
                "bob ALL=NOPASSWD:",
                "bob \\",
            ],
            nests: &[(b"(", "bob ALL="), (b"!", "bob ALL=\"")],
            shared: Some(Shared {
                include: Some("@include PATH\n"),
                missing: Missing::Told,
                folder: Some(Folder {
                    path: "/etc/sudoers.d",
                    suffix: "",
                    include: "@includedir FOLDER\n",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "pam",
            name: "pam",
            reader: Reader::Tree {
                path: "/etc/pam.d/x",
                most_bytes: pam::FILE_BYTES_MAX,
                read: |tree| {
                    told!(pam::Stack::read(tree, "x"), |read: &pam::Stack| read.rules.len())
                },
            },
            long: b"auth required a.so ",
            entry: b"auth required a\n",
            unfinished: &["auth [success=1", "auth", "auth required", "@include"],
            nests: &[(b"[", "auth ")],
            shared: Some(Shared {
                include: Some("@include PATH\n"),
                missing: Missing::Told,
                folder: None,
            }),
            ..PLAIN
        },
        Grammar {
            module: "sysctl",
            name: "sysctl",
            reader: Reader::Tree {
                path: "/etc/sysctl.conf",
                most_bytes: 0,
                read: |tree| {
                    let read = sysctl::Sysctl::read(tree);
                    let count = |s: &sysctl::Setting| 1 + s.overrides.len();
                    outcome(&read.problems, &read.unread, read.settings.values().map(count).sum())
                },
            },
            entry: b"a.b = 1\n",
            long: b"a.b = ",
            unfinished: &["a.b"],
            shared: Some(Shared {
                include: None,
                missing: Missing::Allowed,
                folder: Some(Folder { path: "/etc/sysctl.d", suffix: ".conf", include: "" }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "limits",
            name: "limits.conf",
            reader: Reader::Tree {
                path: limits::LIMITS_CONF,
                most_bytes: 0,
                read: |tree| {
                    let read = limits::Limits::read(tree);
                    outcome(&read.problems, &read.unread, read.entries.len())
                },
            },
            long: b"* soft core ",
            entry: b"* soft core 0\n",
            unfinished: &["* soft core"],
            shared: Some(Shared {
                include: None,
                missing: Missing::Allowed,
                folder: Some(Folder {
                    path: limits::LIMITS_DIRECTORY,
                    suffix: ".conf",
                    include: "",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "apt_sources",
            name: "sources.list",
            reader: Reader::Tree {
                path: apt_sources::SOURCES_LIST,
                most_bytes: 0,
                read: |tree| {
                    let read = apt_sources::Sources::read(tree);
                    outcome(&read.problems, &read.unread, read.sources.len())
                },
            },
            long: b"deb http://a/",
            entry: b"deb http://a b c\n",
            unfinished: &["deb [trusted=yes", "deb http://a", "deb \"a"],
            nests: &[(b"[", "deb ")],
            shared: Some(Shared {
                include: None,
                missing: Missing::Allowed,
                folder: Some(Folder {
                    path: apt_sources::SOURCES_DIRECTORY,
                    suffix: ".list",
                    include: "",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "apt_sources",
            name: "deb822",
            reader: Reader::Bytes(|bytes| {
                let read = apt_sources::Sources::parse("/f.sources", bytes);
                outcome(&read.problems, &read.unread, read.sources.len())
            }),
            long: b"Types: deb\nURIs: http://a/",
            entry: b"Types: deb\nURIs: http://a\nSuites: b\nComponents: c\n\n",
            unfinished: &["Types: deb\nURIs"],
            ..PLAIN
        },
        systemd_unit(),
        Grammar {
            module: "systemd_conf",
            name: "systemd conf",
            reader: Reader::Tree {
                path: "/etc/systemd/journald.conf",
                most_bytes: 0,
                read: |tree| {
                    settings(Ok(systemd_conf::Conf::read(tree, "systemd/journald.conf").settings))
                },
            },
            long: b"[Journal]\nStorage=",
            entry: b"[Journal]\nStorage=a\n",
            nuls: Silence::Right("systemd ends a line at a NUL: empty lines"),
            unfinished: &["[Journal", "[Journal]\nStorage"],
            shared: Some(Shared {
                include: None,
                missing: Missing::Allowed,
                folder: Some(Folder {
                    path: "/etc/systemd/journald.conf.d",
                    suffix: ".conf",
                    include: "",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "logrotate",
            name: "logrotate",
            reader: Reader::Tree {
                path: "/etc/logrotate.conf",
                most_bytes: 0,
                read: |tree| {
                    told!(
                        logrotate::Logrotate::read(tree, "/etc/logrotate.conf"),
                        |read: &logrotate::Logrotate| read.blocks.len()
                            + read
                                .globals
                                .by_key
                                .values()
                                .map(|s| s.values.len() + s.overrides.len())
                                .sum::<usize>()
                    )
                },
            },
            long: b"rotate ",
            entry: b"rotate 1\n",
            unfinished: &["/a {\nprerotate\n", "\"/a", "/a"],
            nests: &[(b"/a {\n", ""), (b"{", "/a ")],
            shared: Some(Shared {
                include: Some("include PATH\n"),
                missing: Missing::Told,
                folder: Some(Folder {
                    path: "/etc/logrotate.d",
                    suffix: "",
                    include: "include FOLDER\n",
                }),
            }),
            ..PLAIN
        },
    ]
}

fn systemd_unit() -> Grammar {
    Grammar {
        module: "systemd_unit",
        name: "systemd unit",
        reader: Reader::Tree {
            path: "/etc/systemd/system/a.service",
            most_bytes: 0,
            read: |tree| {
                let files = systemd_unit::UnitFiles::list(tree);
                let unit = systemd_unit::Unit::load(tree, &files, "a.service");
                let mut told = settings(Ok(unit.settings));
                told.told.extend(files.unread.iter().map(ToString::to_string));
                told
            },
        },
        long: b"[Service]\nUser=",
        entry: b"[Service]\nUser=a\n",
        nuls: Silence::Right("systemd ends a line at a NUL: empty lines"),
        unfinished: &["[Service", "[Service]\nUser"],
        shared: Some(Shared {
            include: None,
            missing: Missing::Allowed,
            folder: Some(Folder {
                path: "/etc/systemd/system/a.service.d",
                suffix: ".conf",
                include: "",
            }),
        }),
        ..PLAIN
    }
}

/// Servers with includes by path and pattern.
fn servers() -> Vec<Grammar> {
    vec![
        Grammar {
            module: "nginx",
            name: "nginx",
            reader: Reader::Tree {
                path: "/etc/nginx/nginx.conf",
                most_bytes: 0,
                read: |tree| match nginx::Nginx::read(tree, "/etc/nginx/nginx.conf") {
                    Err(error) => refused(&error),
                    Ok(read) => {
                        let effective = read.effective();
                        let mut told =
                            outcome(&read.problems, &read.unread, directives(&read.directives));
                        told.told.extend(effective.problems.kept.iter().map(ToString::to_string));
                        told
                    }
                },
            },
            long: b"pid /",
            entry: b"env A;\n",
            base: "events {}\n",
            unfinished: &[
                "pid \"/a",
                "pid /a",
                "http {",
                "events { } # a\n http { server {",
                "pid '",
            ],
            nests: &[(b"a {", ""), (b"{", "http "), (b"location / {", "http { server {")],
            shared: Some(Shared {
                include: Some("include PATH;\n"),
                missing: Missing::Told,
                folder: Some(Folder {
                    path: "/etc/nginx/conf.d",
                    suffix: ".conf",
                    include: "include PATH;\n",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "apache",
            name: "apache",
            reader: Reader::Tree {
                path: "/etc/apache2/apache2.conf",
                most_bytes: 0,
                read: |tree| {
                    let facts = apache::Facts::default();
                    match apache::Apache::read(tree, "/etc/apache2/apache2.conf", &facts) {
                        Err(error) => refused(&error),
                        Ok(read) => {
                            let effective = read.effective(&apache::Request::default());
                            let kept = directives(&read.directives);
                            let mut told = outcome(&read.problems, &read.unread, kept);
                            let more = read.notes.iter().chain(&effective.problems.kept);
                            told.told.extend(more.map(ToString::to_string));
                            told
                        }
                    }
                },
            },
            long: b"ServerAdmin ",
            entry: b"ServerAdmin a\n",
            unfinished: &["<Directory />", "<Directory", "<IfModule x"],
            nests: &[(b"<IfModule !a>\n", ""), (b"<Directory />\n", ""), (b"<", "")],
            shared: Some(Shared {
                include: Some("Include PATH\n"),
                missing: Missing::Told,
                folder: Some(Folder {
                    path: "/etc/apache2/conf-enabled",
                    suffix: ".conf",
                    include: "IncludeOptional PATH\n",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "postgres",
            name: "postgresql.conf",
            reader: Reader::Tree {
                path: "/d/postgresql.conf",
                most_bytes: 0,
                read: |tree| settings(postgres::read(tree, "/d/postgresql.conf")),
            },
            entry: b"port = 1\n",
            long: b"a = b",
            unfinished: &["a = 'b", "a =", "include"],
            shared: Some(Shared {
                include: Some("include 'PATH'\n"),
                missing: Missing::Told,
                folder: Some(Folder {
                    path: "/d/conf.d",
                    suffix: ".conf",
                    include: "include_dir 'FOLDER'\n",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "postgres",
            name: "pg_hba.conf",
            reader: Reader::Tree {
                path: "/d/pg_hba.conf",
                most_bytes: 0,
                read: |tree| {
                    told!(
                        postgres::hba::Hba::read(tree, "/d/pg_hba.conf"),
                        |read: &postgres::hba::Hba| read.rules.len()
                    )
                },
            },
            entry: b"local all all peer\n",
            long: b"local all ",
            unfinished: &["local \"all", "local all", "local all all peer a", "local @"],
            shared: Some(Shared {
                include: Some("include PATH\n"),
                missing: Missing::Told,
                folder: Some(Folder {
                    path: "/d/hba.d",
                    suffix: ".conf",
                    include: "include_dir FOLDER\n",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "postgres",
            name: "pg_ident.conf",
            reader: Reader::Tree {
                path: "/d/pg_ident.conf",
                most_bytes: 0,
                read: |tree| {
                    told!(
                        postgres::ident::Ident::read(tree, "/d/pg_ident.conf"),
                        |read: &postgres::ident::Ident| read.mappings.len()
                    )
                },
            },
            entry: b"a b c\n",
            long: b"a b ",
            unfinished: &["a \"b", "a b"],
            shared: Some(Shared {
                include: Some("include PATH\n"),
                missing: Missing::Told,
                folder: None,
            }),
            ..PLAIN
        },
        Grammar {
            module: "my_cnf",
            name: "my.cnf",
            reader: Reader::Tree {
                path: "/etc/mysql/my.cnf",
                most_bytes: 0,
                read: |tree| {
                    told!(my_cnf::MyCnf::read(tree, "/etc/mysql/my.cnf"), |read: &my_cnf::MyCnf| {
                        read.effective(&my_cnf::SERVER_GROUPS);
                        read.options.len()
                    })
                },
            },
            entry: b"[mysqld]\nport=1\n",
            long: b"[mysqld]\na=",
            long_line: Silence::Right("the server reads it in pieces of 4094 bytes, and so do we"),
            unfinished: &["[mysqld", "a=1"],
            shared: Some(Shared {
                include: Some("!include PATH\n"),
                missing: Missing::Allowed,
                folder: Some(Folder {
                    path: "/etc/mysql/conf.d",
                    suffix: ".cnf",
                    include: "!includedir FOLDER\n",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "redis",
            name: "redis",
            reader: Reader::Tree {
                path: "/etc/redis/redis.conf",
                most_bytes: 0,
                read: |tree| settings(redis::read(tree, "/etc/redis/redis.conf")),
            },
            entry: b"port 1\n",
            long: b"logfile ",
            unfinished: &["logfile \"a", "logfile 'a", "port"],
            shared: Some(Shared {
                include: Some("include PATH\n"),
                missing: Missing::Told,
                folder: Some(Folder {
                    path: "/etc/redis/conf.d",
                    suffix: ".conf",
                    include: "include PATH\n",
                }),
            }),
            ..PLAIN
        },
        Grammar {
            module: "rules::fail2ban",
            name: "fail2ban",
            reader: Reader::Tree {
                path: "/etc/fail2ban/jail.conf",
                most_bytes: 1 << 20,
                read: |tree| {
                    let base = Path::new("/etc/fail2ban");
                    let jails = parsers::rules::fail2ban::jail::load(tree, base);
                    match parsers::rules::fail2ban::effective::effective(tree, base) {
                        Err(problem) => refused(&problem),
                        Ok(all) => {
                            let mut told = outcome(&all.problems, &[], 0);
                            let all = all.jails.iter().flat_map(|jail| jail.settings.values());
                            told.kept = all.map(|s| s.values.len() + s.overrides.len()).sum();
                            told.told.extend(jails.err().map(|problem| problem.to_string()));
                            told
                        }
                    }
                },
            },
            entry: b"[j]\na = 1\n",
            long: b"[a]\nenabled = ",
            nul: Silence::Right("the NUL is kept in the value"),
            unfinished: &["[a", "[a]\nenabled"],
            nests: &[(b"%(a)s", "[a]\nenabled = ")],
            shared: Some(Shared {
                include: None,
                missing: Missing::Allowed,
                folder: Some(Folder { path: "/etc/fail2ban/jail.d", suffix: ".conf", include: "" }),
            }),
            ..PLAIN
        },
    ]
}
