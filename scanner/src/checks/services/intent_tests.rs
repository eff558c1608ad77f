//! Daemons as configured and otherwise; and everything that leaves them unjudged.

use parsers::tree::MemoryTree;

use super::*;
use crate::checks::CheckResult;
use crate::facts::Spoken;
use crate::vantage::Vantage;

fn listener(service: &str, unit: &str, pid: u32, at: &str) -> Listener {
    let at: SocketAddr = at.parse().unwrap();
    let exe = match service {
        "redis" => "/usr/bin/redis-server",
        "ssh" => "/usr/sbin/sshd",
        _ => "/usr/sbin/nginx",
    };
    let owner = Owner {
        pid,
        exe: Some(exe.to_string()),
        deleted: false,
        unit: Some(unit.to_string()),
        container: None,
        package: None,
        uid: 0,
    };
    Listener {
        protocol: "tcp".into(),
        address: at.ip(),
        port: at.port(),
        dual_stack: false,
        uid: 0,
        inode: 1,
        cookie: None,
        mark: None,
        queue: (0, 128),
        owners: vec![owner],
        owner_unknown: None,
        service: service.into(),
        exposure: if at.ip().is_loopback() { Exposure::Loopback } else { Exposure::World },
        because: String::new(),
        namespace: None,
    }
}

fn redis_at(at: &[&str]) -> Inventory {
    let listeners = at.iter().map(|at| listener("redis", "redis-server.service", 7, at)).collect();
    Inventory { listeners, ..Inventory::default() }
}

fn ran(tree: &MemoryTree, inventory: &Inventory) -> Outcome {
    let (vantage, spoken) = (Vantage::default(), Spoken::default());
    otherwise(&Facts::new(tree, true, &vantage, Some(inventory), &spoken, 0))
}

/// Titles and levels.
fn told(tree: &MemoryTree, inventory: &Inventory) -> Vec<(String, Severity)> {
    let outcome = ran(tree, inventory);
    let told = |one: &Observation| (one.title.clone().unwrap(), one.level.unwrap());
    outcome.observations.iter().map(told).collect()
}

fn redis_tree(command: &str, config: &str) -> MemoryTree {
    MemoryTree::new()
        .file(
            "/usr/lib/systemd/system/redis-server.service",
            format!("[Service]\nExecStart=/usr/bin/redis-server {command}\n"),
        )
        .file("/etc/redis/redis.conf", config)
}

const PLAIN: &str = "/etc/redis/redis.conf --supervised systemd --daemonize no";

#[test]
fn redis_where_its_configuration_says_is_as_it_should_be() {
    for (config, at) in [
        ("bind 127.0.0.1 -::1\n", &["127.0.0.1:6379", "[::1]:6379"][..]),
        ("bind 127.0.0.1 -::1\n", &["127.0.0.1:6379"]),
        ("port 7000\ntls-port 7001\nbind 10.0.0.1\n", &["10.0.0.1:7000", "10.0.0.1:7001"]),
        ("bind * -::*\n", &["0.0.0.0:6379", "[::]:6379"]),
        ("", &["0.0.0.0:6379"]),
        ("bind 127.0.0.1\ncluster-enabled yes\n", &["127.0.0.1:6379", "127.0.0.1:16379"]),
    ] {
        assert_eq!(told(&redis_tree(PLAIN, config), &redis_at(at)), [], "{config}");
        let outcome = ran(&redis_tree(PLAIN, config), &redis_at(at));
        assert_eq!(outcome.result, CheckResult::Passed, "{config}");
    }
}

#[test]
fn redis_that_listens_wider_or_not_at_all_is_told_with_its_line() {
    let tree = redis_tree(PLAIN, "# x\nbind 127.0.0.1 10.0.0.1\n");
    let outcome = ran(&tree, &redis_at(&["0.0.0.0:6379"]));
    let [one] = &outcome.observations[..] else { panic!("{}", outcome.observations.len()) };
    assert_eq!(
        one.title.as_deref(),
        Some("redis listens on 0.0.0.0:6379, and its configuration does not say so")
    );
    assert_eq!(one.level, Some(Severity::Medium));
    let line = one.lines.last().unwrap();
    assert_eq!((line.file.as_str(), line.line), ("/etc/redis/redis.conf", 2));
    assert_eq!(
        told(&tree, &redis_at(&["127.0.0.1:6379", "127.0.0.1:7777"])),
        [
            (
                "redis listens on 127.0.0.1:7777, and its configuration does not say so".into(),
                Severity::Low
            ),
            (
                "redis is to listen on 10.0.0.1:6379, and nobody listens there".to_string(),
                Severity::Low
            ),
        ]
    );
}

#[test]
fn a_redis_of_which_not_all_is_known_is_not_judged() {
    let wide = redis_at(&["0.0.0.0:6379"]);
    let narrow = "bind 127.0.0.1\n";
    for (command, config) in [
        ("/etc/redis/redis.conf --bind 0.0.0.0", narrow),
        ("--port 6379", narrow),
        ("/etc/redis/redis.conf $OPTIONS", narrow),
        ("/etc/redis/other.conf", narrow),
        (PLAIN, "bind redis.example.org\n"),
        (PLAIN, "bind 127.0.0.1\ninclude /etc/redis/gone.conf\n"),
        (PLAIN, "bind 127.0.0.1\n\"unclosed\n"),
        (PLAIN, "port 0\n"),
    ] {
        let outcome = ran(&redis_tree(command, config), &wide);
        assert_eq!(outcome.result, CheckResult::NotApplicable, "{command} {config}");
    }
    let tree = redis_tree(PLAIN, narrow);
    assert_eq!(ran(&tree, &wide).result, CheckResult::Failed);
    let changed = |change: fn(&mut Owner)| {
        let mut inventory = wide.clone();
        change(&mut inventory.listeners[0].owners[0]);
        ran(&tree, &inventory).result
    };
    assert_eq!(changed(|owner| owner.pid = 1), CheckResult::NotApplicable, "a socket unit");
    assert_eq!(changed(|owner| owner.unit = None), CheckResult::NotApplicable);
    assert_eq!(
        changed(|owner| owner.container = Some("docker x".into())),
        CheckResult::NotApplicable
    );
    assert_eq!(changed(|owner| owner.exe = Some("/usr/bin/x".into())), CheckResult::NotApplicable);
    assert_eq!(ran(&MemoryTree::new(), &wide).result, CheckResult::NotApplicable, "no unit's file");
}

fn nginx_tree(servers: &str) -> MemoryTree {
    MemoryTree::new()
        .file(
            "/lib/systemd/system/nginx.service",
            "[Service]\nExecStart=/usr/sbin/nginx -g 'daemon on; master_process on;'\n",
        )
        .file("/etc/nginx/nginx.conf", format!("events {{}}\nhttp {{\n{servers}\n}}\n"))
}

fn nginx_at(at: &[&str]) -> Inventory {
    let listeners = at.iter().map(|at| listener("http", "nginx.service", 9, at)).collect();
    Inventory { listeners, ..Inventory::default() }
}

#[test]
fn nginx_is_held_to_every_listen_of_every_server() {
    for (servers, at) in [
        ("server { listen 80; listen [::]:80; }", &["0.0.0.0:80", "[::]:80"][..]),
        ("server { listen 80; } server { listen 127.0.0.1:80; }", &["0.0.0.0:80"]),
        ("server { server_name x; }", &["0.0.0.0:80"]),
        ("server { listen 443 ssl; listen 443 quic reuseport; listen unix:/x; }", &["0.0.0.0:443"]),
        ("server { listen 10.0.0.1; listen *:81; }", &["10.0.0.1:80", "0.0.0.0:81"]),
        ("server { listen [::1]:8080; listen 8081; }", &["0.0.0.0:8081"]),
    ] {
        let outcome = ran(&nginx_tree(servers), &nginx_at(at));
        assert_eq!(outcome.result, CheckResult::Passed, "{servers}");
    }
    let tree = nginx_tree("server { listen 127.0.0.1:80; listen 8080; }");
    let titles: Vec<String> =
        told(&tree, &nginx_at(&["0.0.0.0:80"])).into_iter().map(|(title, _)| title).collect();
    assert_eq!(
        titles,
        [
            "nginx listens on 0.0.0.0:80, and its configuration does not say so",
            "nginx is to listen on 0.0.0.0:8080, and nobody listens there",
        ]
    );
    for servers in [
        "server { listen localhost:80; }",
        "server { listen 8000-8010; }",
        "include /etc/nginx/gone.conf; server { listen 127.0.0.1:80; }",
    ] {
        let outcome = ran(&nginx_tree(servers), &nginx_at(&["0.0.0.0:99"]));
        assert_eq!(outcome.result, CheckResult::NotApplicable, "{servers}");
    }
}

#[test]
fn a_proxy_before_the_daemon_is_no_fault() {
    let mut inventory = nginx_at(&["0.0.0.0:80"]);
    let mut proxy = listener("http", "haproxy.service", 11, "0.0.0.0:8080");
    proxy.owners[0].exe = Some("/usr/sbin/haproxy".into());
    inventory.listeners.push(proxy);
    assert_eq!(told(&nginx_tree("server { listen 80; listen 8080; }"), &inventory), []);
}

fn ssh(config: &str, command: &str, at: &[(&str, u32)]) -> (MemoryTree, Inventory) {
    let tree =
        MemoryTree::new().file("/etc/ssh/sshd_config", config).file("/proc/412/cmdline", command);
    let listeners = at.iter().map(|(at, pid)| listener("ssh", "ssh.service", *pid, at)).collect();
    (tree, Inventory { listeners, ..Inventory::default() })
}

const SSHD: &str = "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups\0";

#[test]
fn sshd_is_held_to_ports_and_addresses_and_its_sessions_are_not() {
    for (config, command, at) in [
        ("", SSHD, &[("0.0.0.0:22", 412), ("[::]:22", 412)][..]),
        ("Port 2222\n", SSHD, &[("0.0.0.0:2222", 412)]),
        ("ListenAddress 10.0.0.1\nPort 2222\n", SSHD, &[("10.0.0.1:2222", 412)]),
        ("Port 22\n", "/usr/sbin/sshd\0-D\0-p\x002222\0", &[("0.0.0.0:2222", 412)]),
        // A session forwards ports for its user.
        ("", SSHD, &[("0.0.0.0:22", 412), ("127.0.0.1:6010", 999)]),
    ] {
        let (tree, inventory) = ssh(config, command, at);
        assert_eq!(ran(&tree, &inventory).result, CheckResult::Passed, "{config} {command}");
    }
    let (tree, inventory) = ssh("ListenAddress 10.0.0.1\n", SSHD, &[("0.0.0.0:22", 412)]);
    let told: Vec<String> = told(&tree, &inventory).into_iter().map(|(title, _)| title).collect();
    assert_eq!(told, ["ssh listens on 0.0.0.0:22, and its configuration does not say so"]);
    for (config, command, pid) in [
        ("ListenAddress 10.0.0.1\n", "sshd: root@pts/0\0", 412),
        ("ListenAddress host.example.org\n", SSHD, 412),
        ("ListenAddress 10.0.0.1\nNonsense\n", SSHD, 412),
        ("ListenAddress 10.0.0.1\n", SSHD, 1),
    ] {
        let (tree, inventory) = ssh(config, command, &[("0.0.0.0:22", pid)]);
        assert_eq!(ran(&tree, &inventory).result, CheckResult::NotApplicable, "{config} {command}");
    }
    let (tree, inventory) = ssh("ListenAddress 10.0.0.1\n", SSHD, &[("0.0.0.0:22", 412)]);
    let tree = tree.file("/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\n").link(
        "/etc/systemd/system/sockets.target.wants/ssh.socket",
        "/lib/systemd/system/ssh.socket",
    );
    assert_eq!(ran(&tree, &inventory).result, CheckResult::NotApplicable, "a socket unit");
}
