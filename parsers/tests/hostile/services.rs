//! The table's daemons and servers: grammars that read further files.

use std::path::Path;

use parsers::config::{
    apache, apt_sources, limits, logrotate, my_cnf, nginx, pam, postgres, pwquality, redis, sshd,
    sudoers, sysctl, systemd_conf, systemd_unit,
};

use crate::grammars::{
    Folder, Grammar, Missing, PLAIN, Reader, Shared, Silence, directives, list, outcome, refused,
    settings,
};

macro_rules! told {
    ($read:expr, $count:expr) => {
        match $read {
            Err(error) => refused(&error),
            Ok(read) => outcome(&read.problems, &read.unread, $count(&read)),
        }
    };
}

/// Daemons and packages whose files make flat settings, rules or units.
pub fn daemons() -> Vec<Grammar> {
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
            module: "pwquality",
            name: "pwquality.conf",
            reader: Reader::Tree {
                path: pwquality::PWQUALITY_CONF,
                most_bytes: 0,
                read: |tree| settings(Ok(pwquality::read(tree, pwquality::PWQUALITY_CONF))),
            },
            long: b"dictpath = ",
            entry: b"minlen = 9\n",
            unfinished: &["minlen", "= 9"],
            shared: Some(Shared {
                include: None,
                missing: Missing::Allowed,
                folder: Some(Folder {
                    path: "/etc/security/pwquality.conf.d",
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
pub fn servers() -> Vec<Grammar> {
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
