//! Listening services: who can reach what, and what runs behind it.

use consensus::{Exposure, Kind, Privilege, Severity, SourceLine, Subject};
use parsers::tree::{Links, LookError};

use super::{Check, Observation, Outcome};
use crate::Facts;
use crate::ports::{BEYOND, Inventory, KERNEL, Listener, Owner};

pub(super) mod intent;
mod tables;

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "services-database-exposed",
        title: "A database or cache can be reached from other machines",
        why: "Databases and caches often have no password or a weak one, and they hold what matters: \
              open ones are found and emptied within hours.",
        kind: Kind::Service,
        level: Severity::High,
        privilege: Privilege::Service,
        services: &[
            "redis",
            "memcached",
            "mongodb",
            "elasticsearch",
            "mysql",
            "postgresql",
            "etcd",
        ],
        techniques: &["attack.t1190", "attack.t1110"],
        remediation: "Bind it to 127.0.0.1 or to a private address, or let only the machines that need \
                      it through the firewall.",
        snippet: "# redis.conf: bind 127.0.0.1 ::1\n# my.cnf: bind-address = 127.0.0.1\n# postgresql.conf: listen_addresses = 'localhost'",
        references: &["CIS Controls v8 4.4", "redis.io: security", "memcached(1) -l"],
        run: databases,
    },
    Check {
        id: "services-container-api",
        title: "A container engine's interface listens on the network",
        why: "Whoever can speak to the Docker API, a kubelet or etcd can start a privileged container, \
              which is root on this host.",
        kind: Kind::Service,
        level: Severity::High,
        privilege: Privilege::Root,
        services: &["docker", "kubernetes"],
        techniques: &["attack.t1190", "attack.t1110"],
        remediation: "Use the unix socket, or ssh; if it must be TCP, demand client certificates on \
                      2376 and limit the sources in the firewall.",
        snippet: "# /etc/docker/daemon.json\n{ \"hosts\": [\"unix:///run/docker.sock\"] }",
        references: &["dockerd(8) -H", "docs.docker.com: Protect the Docker daemon socket"],
        run: container_apis,
    },
    Check {
        id: "services-clear-text",
        title: "A clear-text service can be reached from other machines",
        why: "Telnet, rsh, FTP and TFTP send passwords and data readable and changeable by anybody on \
              the way.",
        kind: Kind::Service,
        level: Severity::Medium,
        privilege: Privilege::User,
        services: &["telnet", "rsh", "ftp", "tftp"],
        techniques: &["attack.t1110", "attack.t1040"],
        remediation: "Replace it by ssh and sftp, and remove the package.",
        snippet: "apt-get purge telnetd rsh-server tftpd-hpa",
        references: &["CIS Debian Linux 12: special purpose services", "RFC 4251"],
        run: clear_text,
    },
    Check {
        id: "services-file-sharing-exposed",
        title: "RPC, NFS or SMB can be reached from the internet",
        why: "These protocols are made for local networks; exposed ones are read, written and used to \
              amplify attacks on others.",
        kind: Kind::Service,
        level: Severity::High,
        privilege: Privilege::Information,
        services: &["rpcbind", "nfs", "smb"],
        techniques: &["attack.t1190", "attack.t1110"],
        remediation: "Close ports 111, 137-139, 445 and 2049 to the internet, or stop the service.",
        snippet: "systemctl disable --now rpcbind.service rpcbind.socket",
        references: &["CIS Controls v8 4.4", "rpcbind(8)", "smb.conf(5): interfaces"],
        run: file_sharing,
    },
    Check {
        id: "services-remote-desktop-exposed",
        title: "A remote desktop or X11 display can be reached from other machines",
        why: "X11 lets whoever connects watch and type; VNC and RDP are guessed at all day long.",
        kind: Kind::Service,
        level: Severity::High,
        privilege: Privilege::User,
        services: &["x11", "vnc", "rdp"],
        techniques: &["attack.t1110", "attack.t1040"],
        remediation: "Bind it to 127.0.0.1 and go there through ssh, or close the port.",
        snippet: "ssh -L 5901:127.0.0.1:5901 HOST",
        references: &["Xserver(1) -nolisten tcp", "Xvnc(1) -localhost"],
        run: remote_desktops,
    },
    Check {
        id: "services-old-executable",
        title: "A listening process runs an executable that was replaced or removed",
        why: "After an update the old code, with the fault that was fixed, goes on serving until the \
              process is restarted.",
        kind: Kind::Patch,
        level: Severity::Medium,
        privilege: Privilege::Service,
        services: &[],
        techniques: &[],
        remediation: "Restart the unit.",
        snippet: "systemctl restart UNIT",
        references: &["needrestart(1)", "proc_pid_exe(5)"],
        run: old_executables,
    },
    Check {
        id: "services-writable-executable",
        title: "A listening executable can be changed by somebody other than root",
        why: "Who can write the executable, or the directory it is in, decides what the service runs.",
        kind: Kind::Service,
        level: Severity::High,
        privilege: Privilege::Root,
        services: &[],
        techniques: &["attack.t1574"],
        remediation: "Give the executable and its directory to root, and take the write bits from \
                      group and others.",
        snippet: "chown root:root FILE && chmod go-w FILE",
        references: &["chmod(1)", "CIS Controls v8 3.3"],
        run: writable_executables,
    },
    Check {
        id: "services-transient-executable",
        title: "A listening process runs from memory or a temporary directory",
        why: "Services are not installed in /tmp, /dev/shm or an anonymous file; intruders' programs \
              are.",
        kind: Kind::Service,
        level: Severity::High,
        privilege: Privilege::Service,
        services: &[],
        techniques: &["attack.t1574"],
        remediation: "Find out who started it before you stop it: keep a copy of /proc/PID/exe and the \
                      output of `ps` and `ss`.",
        snippet: "cp /proc/PID/exe /root/evidence && systemctl status PID",
        references: &["memfd_create(2)", "MITRE ATT&CK T1620"],
        run: transient_executables,
    },
    Check {
        id: "services-no-owner",
        title: "A listening socket belongs to no process that can be seen",
        why: "Kernel services and other namespaces look like this, and so does a process that hides \
              itself.",
        kind: Kind::Service,
        level: Severity::Low,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Say what it is: compare with `ss -lntup`, the containers that run, and kernel \
                      services such as nfsd and WireGuard.",
        snippet: "ss -lntup; lsns -t net",
        references: &["sock_diag(7)", "network_namespaces(7)"],
        run: without_owner,
    },
    Check {
        id: "services-queue-full",
        title: "A service does not accept connections as fast as they come",
        why: "When the accept queue is full, new clients wait or fail: the service hangs, is too slow, \
              or is being flooded.",
        kind: Kind::Service,
        level: Severity::Low,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Look why the process does not accept; raise its backlog and net.core.somaxconn \
                      if the load is honest.",
        snippet: "ss -lnt; nstat -az TcpExtListenOverflows",
        references: &["listen(2)", "tcp(7)"],
        run: tables::full_queues,
    },
    Check {
        id: "services-backlog-small",
        title: "A service that others can reach lets few connections wait",
        why: "When more clients come between two accepts than the backlog holds, their connections are \
              dropped and tried again a second later: one busy client, or one that means harm, keeps \
              everybody else out.",
        kind: Kind::Service,
        level: Severity::Info,
        privilege: Privilege::None,
        services: &[],
        techniques: &["attack.t1499"],
        remediation: "Raise the backlog that the service asks for (and net.core.somaxconn, which limits it).",
        snippet: "ss -lnt; sysctl net.core.somaxconn",
        references: &["listen(2)", "systemd.socket(5): Backlog="],
        run: tables::short_queues,
    },
    Check {
        id: "services-listens-otherwise",
        title: "A service does not listen where its configuration says",
        why: "Who reads the configuration believes it: a daemon that was not restarted, an option of its \
              command line or a change at run time leaves a port open that seems closed, or closed that \
              seems open.",
        kind: Kind::Service,
        level: Severity::Medium,
        privilege: Privilege::None,
        services: &["redis", "http", "ssh"],
        techniques: &[],
        remediation: "Restart the service; if it listens there still, look what overrides the file.",
        snippet: "systemctl restart UNIT && ss -lntp",
        references: &["nginx.org: listen", "redis.io: bind", "sshd_config(5), ListenAddress"],
        run: intent::otherwise,
    },
    Check {
        id: "services-hidden-listener",
        title: "A listener is missing where the kernel should show it",
        why: "Netlink and /proc/net read the same tables: what one shows and the other does not has been \
              hidden, by a changed kernel or a forged /proc.",
        kind: Kind::Service,
        level: Severity::High,
        privilege: Privilege::Root,
        services: &[],
        techniques: &["attack.t1014"],
        remediation: "Treat the host as broken into until it is explained: look from outside (`nmap -p- \
                      HOST`), compare with `wardmote scan 127.0.0.1`, and keep the disk.",
        snippet: "wardmote scan 127.0.0.1; findmnt -R /proc; lsmod",
        references: &["sock_diag(7)", "proc_pid_net(5)", "MITRE ATT&CK T1014"],
        run: tables::hidden_listeners,
    },
    Check {
        id: "services-unpackaged",
        title: "Listening executables that no package owns",
        why: "What no package owns gets no updates from the distribution, and nothing vouches for it.",
        kind: Kind::Service,
        level: Severity::Info,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Know what each of them is and who keeps it up to date.",
        snippet: "dpkg -S FILE",
        references: &["dpkg-query(1)", "CIS Controls v8 2.1"],
        run: tables::unpackaged,
    },
    Check {
        id: "services-namespaces",
        title: "Ports that listen in other network namespaces",
        why: "Containers and sandboxes have addresses and firewalls of their own: what listens there is \
              missing in this host's list of ports.",
        kind: Kind::Service,
        level: Severity::Info,
        privilege: Privilege::Information,
        services: &[],
        techniques: &[],
        remediation: "Know which container each belongs to, and publish only what is needed.",
        snippet: "lsns -t net; nsenter -t PID -n ss -lntup",
        references: &["network_namespaces(7)", "lsns(8)"],
        run: tables::other_namespaces,
    },
    Check {
        id: "services-needless-root",
        title: "A service runs as root that can run without",
        why: "A fault in a process of root's is a fault in the whole host.",
        kind: Kind::Service,
        level: Severity::Info,
        privilege: Privilege::Root,
        services: &[],
        techniques: &[],
        remediation: "Give the service an account of its own.",
        snippet: "# systemctl edit UNIT\n[Service]\nUser=ACCOUNT",
        references: &["systemd.exec(5): User=", "CIS Controls v8 5.4"],
        run: needless_root,
    },
    Check {
        id: "services-world-reachable",
        title: "Ports that the internet can reach",
        why: "What the internet can reach is what it attacks: each port should be there on purpose.",
        kind: Kind::Service,
        level: Severity::Info,
        privilege: Privilege::Information,
        services: &[],
        techniques: &[],
        remediation: "Stop what is not needed, bind the rest to the narrowest address, and let the \
                      firewall drop everything else.",
        snippet: "ss -lntup",
        references: &["CIS Controls v8 4.4", "CIS Controls v8 4.8"],
        run: world_reachable,
    },
];

/// Services that run as root although their software can do without.
const ROOTLESS: &[&str] = &[
    "redis",
    "memcached",
    "mongodb",
    "elasticsearch",
    "mysql",
    "postgresql",
    "etcd",
    "prometheus",
    "grafana",
    "mqtt",
    "rabbitmq",
    "dns",
    "ntp",
    "snmp",
    "proxy",
    "zabbix",
];

/// Where nothing that listens is installed.
const TRANSIENT: &[&str] = &["/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/", "/memfd:", "memfd:"];

/// Most directories above an executable that are looked at.
const ANCESTORS_MAX: usize = 64;
/// Most listeners that one summary shows.
const SUMMARY_LINES_MAX: usize = 50;

/// Runs a check on the inventory, or says why there is none.
fn with(facts: &Facts<'_>, look: impl FnOnce(&Inventory) -> Outcome) -> Outcome {
    match facts.inventory {
        Some(inventory) => look(inventory),
        None if facts.live => Outcome::not_run("the listening sockets could not be looked at"),
        None => Outcome::not_applicable("a mounted tree has no listening sockets"),
    }
}

/// Fails with one observation per listener of these services that reaches at least that far.
fn exposed(
    facts: &Facts<'_>,
    services: &[&str],
    from: Exposure,
    level: impl Fn(&Listener) -> Severity,
) -> Outcome {
    with(facts, |inventory| {
        let concerned: Vec<&Listener> =
            inventory.listeners.iter().filter(|one| services.contains(&&*one.service)).collect();
        if concerned.is_empty() {
            return Outcome::not_applicable(format!("none of {} listens", services.join(", ")));
        }
        let found: Vec<Observation> = concerned
            .iter()
            .filter(|one| one.exposure >= from)
            .map(|one| {
                let title = format!("{} on {}: {}", one.service, shown(one), reached(one.exposure));
                observation(one).title(title).level(level(one))
            })
            .collect();
        Outcome::failed_or(found, format!("{} listening, none reachable", concerned.len()))
    })
}

fn databases(facts: &Facts<'_>) -> Outcome {
    let services =
        ["redis", "memcached", "mongodb", "elasticsearch", "mysql", "postgresql", "etcd"];
    exposed(facts, &services, Exposure::Private, |one| match one.exposure {
        Exposure::World => Severity::High,
        _ => Severity::Medium,
    })
}

fn container_apis(facts: &Facts<'_>) -> Outcome {
    with(facts, |inventory| {
        let found: Vec<Observation> = inventory
            .listeners
            .iter()
            .filter(|one| matches!(&*one.service, "docker" | "kubernetes") && one.protocol == "tcp")
            .filter(|one| one.exposure != Exposure::Loopback)
            .map(|one| {
                let title = format!("{} on {}: {}", one.service, shown(one), reached(one.exposure));
                let seen = observation(one).title(title);
                // 2375 is Docker without TLS: no password between the network and root.
                let bare = one.port == 2375 && one.exposure != Exposure::Unknown;
                if bare { seen.floor(Severity::Critical) } else { seen }
            })
            .collect();
        Outcome::failed_or(found, "no container engine listens on the network")
    })
}

fn clear_text(facts: &Facts<'_>) -> Outcome {
    let services = ["telnet", "rsh", "ftp", "tftp"];
    exposed(facts, &services, Exposure::Private, |one| {
        match (one.exposure, matches!(&*one.service, "telnet" | "rsh")) {
            (Exposure::World, true) => Severity::High,
            _ => Severity::Medium,
        }
    })
}

fn file_sharing(facts: &Facts<'_>) -> Outcome {
    exposed(facts, &["rpcbind", "nfs", "smb"], Exposure::Unknown, |one| match one.exposure {
        Exposure::World => Severity::High,
        _ => Severity::Medium,
    })
}

fn remote_desktops(facts: &Facts<'_>) -> Outcome {
    exposed(facts, &["x11", "vnc", "rdp"], Exposure::Private, |one| match one.exposure {
        Exposure::World => Severity::High,
        _ => Severity::Medium,
    })
}

/// One observation per executable that the judge finds something about; `unseen` lists listeners whose
/// owners are not known.
fn by_executable(
    facts: &Facts<'_>,
    passed: &str,
    judge: impl Fn(&Listener, &Owner, &str) -> Option<Observation>,
) -> Outcome {
    with(facts, |inventory| {
        let mut seen = std::collections::BTreeMap::new();
        for listener in inventory.listeners.iter().chain(&inventory.elsewhere) {
            for owner in &listener.owners {
                let Some(exe) = &owner.exe else { continue };
                if let Some(found) = judge(listener, owner, exe) {
                    let mut found = found.key(exe.clone()).fact("executable", exe.clone());
                    found.subject.path = Some(exe.clone());
                    seen.entry(exe.clone()).or_insert(found);
                }
            }
        }
        let hidden = unseen_owners(inventory).or_else(|| unseen_executables(inventory));
        if seen.is_empty() && hidden.is_some() {
            let known = inventory.listeners.iter().any(|one| !one.owners.is_empty());
            if !known {
                return Outcome::not_run(hidden.unwrap_or_default());
            }
        }
        Outcome::failed_or(seen.into_values().collect(), passed).unseen(hidden)
    })
}

/// How many listeners' owners could not be seen, and why.
fn unseen_owners(inventory: &Inventory) -> Option<String> {
    let blind: Vec<&String> = inventory
        .listeners
        .iter()
        .filter_map(|one| one.owner_unknown.as_ref())
        .filter(|why| !is_elsewhere(why))
        .collect();
    let why = blind.first()?;
    Some(format!("owners of {} listening sockets: {why}", blind.len()))
}

/// How many holders there are whose executable could not be read.
fn unseen_executables(inventory: &Inventory) -> Option<String> {
    let owners = inventory.listeners.iter().flat_map(|one| &one.owners);
    let count = owners.filter(|owner| owner.exe.is_none()).count();
    (count > 0).then(|| format!("executables of {count} listening processes could not be read"))
}

fn is_elsewhere(why: &str) -> bool {
    why == BEYOND || why == crate::ports::FORWARDED || why.starts_with(KERNEL)
}

fn old_executables(facts: &Facts<'_>) -> Outcome {
    by_executable(facts, "every listening process runs what is on disk", |listener, owner, exe| {
        // A program that was never a file on disk is another check's.
        (owner.deleted && !is_transient(exe)).then(|| {
            let restart = owner.unit.as_ref().map(|unit| format!("systemctl restart {unit}"));
            let title = format!("{exe} was replaced or removed, and the old code still listens");
            Observation { snippet: restart, ..observation(listener).title(title) }
        })
    })
}

fn writable_executables(facts: &Facts<'_>) -> Outcome {
    let unread = std::cell::RefCell::new(Vec::new());
    let writable = |path: &std::path::Path, what: &str| match writable(facts, path, what) {
        Ok(problem) => problem,
        Err(error) if error.not_found() => None,
        Err(error) => {
            unread.borrow_mut().push(error.to_string());
            None
        }
    };
    let outcome = by_executable(facts, "only root can write them", |listener, owner, exe| {
        // The files of a container are not this host's.
        let elsewhere = owner.container.is_some() || listener.namespace.is_some();
        if owner.deleted || elsewhere || !exe.starts_with('/') || is_transient(exe) {
            return None;
        }
        let path = std::path::Path::new(exe);
        let file = writable(path, "the executable");
        let problem = file.or_else(|| writable(path.parent()?, "its directory")).or_else(|| {
            // Who can rename a directory on the way puts another in its place.
            path.ancestors()
                .skip(2)
                .take(ANCESTORS_MAX)
                .find_map(|above| writable(above, &format!("{} above it", above.display())))
        })?;
        let title = format!("{exe}: {problem}");
        Some(observation(listener).title(title).floor(Severity::High))
    });
    outcome.unseen(unread.into_inner())
}

/// What lets somebody other than root write there, if anything does.
fn writable(
    facts: &Facts<'_>,
    path: &std::path::Path,
    what: &str,
) -> Result<Option<String>, LookError> {
    let stat = facts.tree.stat(path, Links::Follow)?;
    let sticky_directory = stat.mode & 0o1000 != 0;
    Ok(if stat.uid != 0 {
        Some(format!("{what} belongs to uid {}", stat.uid))
    } else if stat.mode & 0o002 != 0 && !sticky_directory {
        Some(format!("{what} is writable by everybody (mode {:04o})", stat.mode))
    } else if stat.mode & 0o020 != 0 && stat.gid != 0 {
        Some(format!("{what} is writable by group {} (mode {:04o})", stat.gid, stat.mode))
    } else {
        None
    })
}

fn transient_executables(facts: &Facts<'_>) -> Outcome {
    by_executable(facts, "every listening process runs an installed file", |listener, _, exe| {
        is_transient(exe).then(|| {
            let floor = match exe.contains("memfd:") {
                true => Severity::Critical,
                false => Severity::High,
            };
            observation(listener)
                .title(format!("{exe} listens on {}", shown(listener)))
                .floor(floor)
        })
    })
}

fn is_transient(exe: &str) -> bool {
    TRANSIENT.iter().any(|start| exe.starts_with(start))
}

fn without_owner(facts: &Facts<'_>) -> Outcome {
    with(facts, |inventory| {
        if let Some(hidden) = unseen_owners(inventory) {
            return Outcome::not_run(hidden);
        }
        let found: Vec<Observation> = inventory
            .listeners
            .iter()
            .filter(|one| one.owner_unknown.as_deref() == Some(BEYOND))
            .map(|one| {
                let level = match one.exposure {
                    Exposure::World => Severity::Medium,
                    _ => Severity::Low,
                };
                let title =
                    format!("{} {} belongs to no visible process", one.protocol, shown(one));
                observation(one).title(title).level(level)
            })
            .collect();
        Outcome::failed_or(found, "every listening socket has its process")
    })
}

fn needless_root(facts: &Facts<'_>) -> Outcome {
    by_executable(facts, "none that can do without runs as root", |listener, owner, exe| {
        let rootless = ROOTLESS.contains(&&*listener.service) && owner.uid == 0;
        // PID 1 only holds the socket for the service.
        (rootless && owner.pid != 1)
            .then(|| observation(listener).title(format!("{exe} runs as root (pid {})", owner.pid)))
    })
}

fn world_reachable(facts: &Facts<'_>) -> Outcome {
    with(facts, |inventory| {
        let open: Vec<&Listener> =
            inventory.listeners.iter().filter(|one| one.exposure == Exposure::World).collect();
        if open.is_empty() {
            return Outcome::passed("the internet can reach no port, as far as this host can tell");
        }
        let mut ports: Vec<String> =
            open.iter().map(|one| format!("{}/{}", one.port, one.protocol)).collect();
        ports.dedup();
        let mut services: Vec<String> = open.iter().map(|one| one.service.clone()).collect();
        services.sort();
        services.dedup();
        Outcome::failed(Observation {
            title: Some(format!("{} ports can be reached from the internet", ports.len())),
            lines: open.iter().take(SUMMARY_LINES_MAX).map(|one| line(one)).collect(),
            facts: [("ports".to_string(), ports.join(" "))].into(),
            services: Some(services),
            ..Observation::default()
        })
    })
}

/// What every observation about a listener has.
fn observation(listener: &Listener) -> Observation {
    let owner = listener.owners.first();
    Observation {
        key: format!("{} {}", listener.protocol, shown(listener)),
        lines: vec![line(listener)],
        facts: [
            ("exposure".to_string(), reached(listener.exposure).to_string()),
            ("because".to_string(), crate::redact::line(&listener.because)),
        ]
        .into(),
        services: Some(vec![listener.service.clone()]),
        subject: Subject {
            unit: owner.and_then(|owner| owner.unit.clone()),
            port: Some(listener.port),
            ..Subject::default()
        },
        ..Observation::default()
    }
}

fn reached(exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::Loopback => "reachable from this host only",
        Exposure::Private => "reachable from private networks",
        Exposure::Unknown => "not known from where it can be reached",
        Exposure::World => "reachable from the internet",
    }
}

fn shown(listener: &Listener) -> String {
    std::net::SocketAddr::new(listener.address, listener.port).to_string()
}

/// `tcp 0.0.0.0:6379 redis-server (pid 412, uid 111, redis-server.service)`.
fn line(listener: &Listener) -> SourceLine {
    let mut text = format!("{} {}", listener.protocol, shown(listener));
    match listener.owners.first() {
        Some(owner) => {
            let name = owner.exe.as_deref().and_then(|exe| exe.rsplit('/').next());
            text.push_str(&format!(" {} (pid {}", name.unwrap_or("?"), owner.pid));
            text.push_str(&format!(", uid {}", owner.uid));
            for detail in [&owner.unit, &owner.container, &owner.package].into_iter().flatten() {
                text.push_str(&format!(", {detail}"));
            }
            text.push(')');
            if listener.owners.len() > 1 {
                text.push_str(&format!(" and {} more", listener.owners.len() - 1));
            }
        }
        None => {
            let why = listener.owner_unknown.as_deref().unwrap_or("owner unknown");
            text.push_str(&format!(" ({why})"));
        }
    }
    if let Some(namespace) = &listener.namespace {
        text.push_str(&format!(" in {namespace}"));
    }
    SourceLine {
        file: "kernel:sock_diag".to_string(),
        line: 0,
        column: 0,
        text: crate::redact::line(&text),
    }
}

#[cfg(test)]
mod tests;
