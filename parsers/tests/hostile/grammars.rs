//! The table of grammars: how each is read, and what is hostile in its own syntax. Files without includes
//! and documents are here, daemons and servers in `services`,
//! merged documents in `documents`.

use parsers::config::problems::Problems;
use parsers::config::settings::Settings;
use parsers::config::{
    accounts, certificates, cron, docker, dpkg, faillock, iptables, json, keyvalue, mounts,
    nftables, os_release, yaml,
};
use parsers::place::Problem;
use parsers::tree::{LookError, Tree};

use crate::measure::Outcome;
use crate::{documents, services};

/// Modules beside the grammars that read no file by themselves.
pub const NOT_GRAMMARS: &[&str] =
    &["directives", "document", "expand", "glob", "lines", "problems", "settings"];

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

pub const PLAIN: Grammar = Grammar {
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

pub fn list<'a>(problems: impl IntoIterator<Item = &'a Problem>, kept: usize) -> Outcome {
    Outcome { told: problems.into_iter().map(ToString::to_string).collect(), kept }
}

pub fn outcome(problems: &Problems, unread: &[LookError], kept: usize) -> Outcome {
    let mut outcome = list(&problems.kept, kept);
    outcome.told.extend(unread.iter().map(ToString::to_string));
    outcome
}

pub fn refused(error: &dyn std::fmt::Display) -> Outcome {
    Outcome { told: vec![error.to_string()], kept: 0 }
}

pub fn settings(read: Result<Settings, LookError>) -> Outcome {
    read.map_or_else(
        |error| refused(&error),
        |read| {
            let count = |s: &parsers::config::settings::Setting| {
                s.values.len() + s.overrides.len() + s.left_out
            };
            outcome(&read.problems, &read.unread, read.by_key.values().map(count).sum())
        },
    )
}

/// Directives in all depths.
pub fn directives(all: &[parsers::config::directives::Directive]) -> usize {
    all.iter().map(|directive| 1 + directives(directive.children())).sum()
}

/// Every grammar.
pub fn all() -> Vec<Grammar> {
    let mut all = tables();
    all.extend(documents());
    all.extend(services::daemons());
    all.extend(services::servers());
    all.extend(documents::merged());
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
            module: "faillock",
            name: "faillock.conf",
            reader: Reader::Bytes(|bytes| settings(Ok(faillock::parse("/f", bytes)))),
            long: b"admin_group = ",
            entry: b"deny = 1\n",
            unfinished: &["= 1", "dir = t"],
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
