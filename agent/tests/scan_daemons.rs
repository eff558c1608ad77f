//! `scan --identify` asks Debian's own daemons, started here on loopback ports: product, version and
//! package are right for every one of them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A daemon in the foreground, ended with this value.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // The daemons of several processes end those themselves when they are asked to.
        let pid = self.0.id().to_string();
        _ = Command::new("kill").args(["-TERM", &pid]).status();
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Where one test's daemons live.
struct Place<'d> {
    address: IpAddr,
    directory: &'d Path,
}

impl Place<'_> {
    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_string()
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.directory.join(name), text).unwrap();
        self.path(name)
    }

    /// A directory that `user` owns.
    fn room(&self, name: &str, user: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        assert!(Command::new("chown").args([user, &path]).status().unwrap().success());
        path
    }

    fn log(&self, name: &str) -> Stdio {
        fs::File::options().create(true).append(true).open(self.path(name)).unwrap().into()
    }

    /// Starts a program; its output goes to `NAME.log`.
    fn start(&self, program: &str, args: &[&str]) -> Daemon {
        let name = Path::new(program).file_name().unwrap().to_str().unwrap();
        let log = format!("{name}.log");
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(self.log(&log))
            .stderr(self.log(&log))
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        Daemon(child)
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a daemon must be found to be.
struct Expected {
    port: u16,
    package: &'static str,
    product: &'static str,
    /// Whether it sends its version, so that what it said can be compared with the package.
    tells: bool,
}

const fn expected(
    port: u16,
    package: &'static str,
    product: &'static str,
    tells: bool,
) -> Expected {
    Expected { port, package, product, tells }
}

const EXPECTED: [Expected; 12] = [
    expected(2022, "openssh-server", "OpenSSH", true),
    expected(2080, "nginx", "nginx", true),
    expected(2025, "postfix", "Postfix", false),
    expected(2379, "redis-tools", "Redis", true),
    expected(2306, "mariadb-server-core", "MariaDB", true),
    expected(2432, "postgresql", "PostgreSQL", false),
    expected(2021, "vsftpd", "vsftpd", true),
    expected(2143, "dovecot-core", "Dovecot", false),
    expected(2110, "dovecot-core", "Dovecot", false),
    expected(2211, "memcached", "memcached", true),
    expected(2883, "mosquitto", "Mosquitto", true),
    expected(2389, "slapd", "OpenLDAP", false),
];

/// Every program that the test needs.
const PROGRAMS: [&str; 12] = [
    "/usr/sbin/sshd",
    "/usr/sbin/nginx",
    "/usr/sbin/postfix",
    "/usr/bin/redis-server",
    "/usr/sbin/mariadbd",
    "/usr/sbin/vsftpd",
    "/usr/sbin/dovecot",
    "/usr/bin/memcached",
    "/usr/sbin/mosquitto",
    "/usr/sbin/slapd",
    "/usr/bin/setpriv",
    "/usr/bin/ssh-keygen",
];

fn postgresql() -> Option<String> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut binaries: Vec<String> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|path| path.join("initdb").exists() && path.join("postgres").exists())
        .filter_map(|path| path.to_str().map(str::to_string))
        .collect();
    binaries.sort();
    binaries.pop()
}

/// Whether the test can run; it must, where peers are required.
fn can_run() -> bool {
    let mut missing: Vec<&str> =
        PROGRAMS.into_iter().filter(|program| !Path::new(program).exists()).collect();
    missing.extend(postgresql().is_none().then_some("postgresql"));
    missing.extend((!rustix::process::geteuid().is_root()).then_some("root"));
    if missing.is_empty() {
        return true;
    }
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some();
    assert!(!required, "not here: {}", missing.join(", "));
    println!("skipped: not here: {}", missing.join(", "));
    false
}

const AS_NOBODY: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];

fn start_all(place: &Place) -> Vec<Daemon> {
    let address = place.address.to_string();
    let mut daemons = vec![mariadb(place, &address), postgres(place, &address)];
    daemons.extend([postfix(place, &address), dovecot(place, &address)]);
    daemons.extend([ssh(place, &address), nginx(place, &address), vsftpd(place, &address)]);
    daemons.extend([mosquitto(place, &address), slapd(place, &address)]);
    let room = place.room("redis", "root");
    daemons.push(place.start(
        "/usr/bin/redis-server",
        &[
            "--bind",
            &address,
            "--port",
            "2379",
            "--save",
            "",
            "--dir",
            &room,
            "--protected-mode",
            "no",
        ],
    ));
    daemons.push(
        place.start(
            "/usr/bin/memcached",
            &["-l", &address, "-p", "2211", "-U", "0", "-u", "nobody"],
        ),
    );
    daemons
}

fn ssh(place: &Place, address: &str) -> Daemon {
    // Debian's privilege separation directory; sshd makes it at boot.
    fs::create_dir_all("/run/sshd").unwrap();
    let key = place.path("host_key");
    run("/usr/bin/ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &key]);
    let text =
        format!("ListenAddress {address}\nPort 2022\nHostKey {key}\nPidFile none\nUsePAM no\n");
    let file = place.file("sshd_config", &text);
    place.start("/usr/sbin/sshd", &["-D", "-e", "-f", &file])
}

fn nginx(place: &Place, address: &str) -> Daemon {
    let room = place.room("nginx", "www-data");
    let rooms: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {room}/{name};\n"))
        .concat();
    let text = format!(
        "daemon off; user www-data; worker_processes 1; pid {room}/pid; error_log stderr;\n\
         events {{}}\nhttp {{ access_log off;\n{rooms}server {{ listen {address}:2080; }} }}\n"
    );
    let file = place.file("nginx.conf", &text);
    place.start("/usr/sbin/nginx", &["-e", "stderr", "-c", &file])
}

fn vsftpd(place: &Place, address: &str) -> Daemon {
    let empty = place.room("vsftpd", "root");
    let text = format!(
        "listen=YES\nlisten_address={address}\nlisten_port=2021\nbackground=NO\n\
         secure_chroot_dir={empty}\nanonymous_enable=NO\nlocal_enable=YES\n"
    );
    let file = place.file("vsftpd.conf", &text);
    place.start("/usr/sbin/vsftpd", &[&file])
}

fn postfix(place: &Place, address: &str) -> Daemon {
    let configuration = place.room("postfix", "root");
    let data = place.room("postfix-data", "postfix");
    let spool = place.room("postfix-spool", "root");
    place.file(
        "postfix/main.cf",
        &format!(
            "compatibility_level = 3.6\nqueue_directory = {spool}\ndata_directory = {data}\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
             inet_interfaces = loopback-only\ninet_protocols = ipv4\nmyhostname = mx.example.org\n\
             smtpd_client_connection_count_limit = 0\nsmtpd_client_connection_rate_limit = 0\n\
             smtpd_peername_lookup = no\nalias_maps =\nlocal_recipient_maps =\n"
        ),
    );
    place.file(
        "postfix/master.cf",
        &format!(
            "{address}:2025 inet n - n - - smtpd\nrewrite unix - - n - - trivial-rewrite\n\
             anvil unix - - n - 1 anvil\n"
        ),
    );
    // Makes the queue's directories.
    run("/usr/sbin/postfix", &["-c", &configuration, "check"]);
    place.start("/usr/lib/postfix/sbin/master", &["-c", &configuration, "-d"])
}

fn dovecot(place: &Place, address: &str) -> Daemon {
    let (base, state) = (place.room("dovecot", "root"), place.room("dovecot-state", "root"));
    let listener = |service: &str, port: u16| {
        format!(
            "service {service}-login {{\n inet_listener {service} {{\n port = {port}\n }}\n \
             inet_listener {service}s {{\n port = 0\n }}\n}}\n"
        )
    };
    let text = format!(
        "base_dir = {base}\nstate_dir = {state}\nlog_path = /dev/stderr\nssl = no\n\
         protocols = imap pop3\nlisten = {address}\n\
         passdb {{\n driver = static\n args = password=x\n}}\n{}{}",
        listener("imap", 2143),
        listener("pop3", 2110)
    );
    let file = place.file("dovecot.conf", &text);
    place.start("/usr/sbin/dovecot", &["-F", "-c", &file])
}

/// One connection error is enough to be blocked: the daemon must still answer afterwards.
fn mariadb(place: &Place, address: &str) -> Daemon {
    let data = place.room("mariadb", "nobody");
    let named = |name: &str, value: &str| format!("--{name}={value}");
    place.start(
        "/usr/sbin/mariadbd",
        &[
            "--no-defaults",
            "--user=nobody",
            "--skip-grant-tables",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=8M",
            "--max-connect-errors=1",
            "--port=2306",
            &named("datadir", &data),
            &named("bind-address", address),
            &named("socket", &format!("{data}/s")),
            &named("pid-file", &format!("{data}/pid")),
        ],
    )
}

fn postgres(place: &Place, address: &str) -> Daemon {
    let binaries = postgresql().unwrap();
    let data = place.room("postgres", "nobody");
    let (initdb, postgres) = (format!("{binaries}/initdb"), format!("{binaries}/postgres"));
    let first = [&AS_NOBODY[..], &[&initdb, "-N", "-A", "trust", "-U", "x", "-D", &data]].concat();
    run("/usr/bin/setpriv", &first);
    let sockets = format!("unix_socket_directories={data}");
    let listen = [&postgres, "-D", &data, "-h", address, "-p", "2432", "-c", &sockets];
    place.start("/usr/bin/setpriv", &[&AS_NOBODY[..], &listen].concat())
}

fn mosquitto(place: &Place, address: &str) -> Daemon {
    let text = format!("listener 2883 {address}\nallow_anonymous true\nuser nobody\n");
    let file = place.file("mosquitto.conf", &text);
    place.start("/usr/sbin/mosquitto", &["-c", &file])
}

fn slapd(place: &Place, address: &str) -> Daemon {
    let room = place.room("slapd", "root");
    let file = place.file("slapd.conf", &format!("pidfile {room}/pid\nargsfile {room}/args\n"));
    place.start(
        "/usr/sbin/slapd",
        &["-d", "0", "-h", &format!("ldap://{address}:2389"), "-f", &file],
    )
}

fn wait_for_all(place: &Place) {
    let until = Instant::now() + Duration::from_secs(60);
    for one in EXPECTED {
        let address = SocketAddr::new(place.address, one.port);
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            assert!(Instant::now() < until, "{} ({}) did not start", one.product, one.port);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn scan(place: &Place, more: &[&str]) -> Value {
    let ports = EXPECTED.map(|one| one.port.to_string()).join(",");
    let output = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .args(["scan", &place.address.to_string(), "-p", &ports, "--format", "json"])
        .args(more)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The upstream version that dpkg has of a package.
fn installed(package: &str) -> (String, String) {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${Version}\n", package])
        .output()
        .unwrap();
    let line = String::from_utf8(output.stdout).unwrap().lines().next().unwrap().to_string();
    let (package, version) = line.split_once(' ').unwrap();
    let upstream = scanner::ports::identify::truth::upstream(version).to_string();
    (format!("{package} {version}"), upstream)
}

/// Product and version stand in every format.
fn formats_tell_it(place: &Place) {
    let (_, version) = installed("openssh-server");
    for (format, expected) in [
        ("text", format!("OpenSSH {version}, sshd pid")),
        ("grepable", format!("2022/open/tcp//ssh//OpenSSH {version}/")),
        ("jsonl", format!("\"product\":\"OpenSSH\",\"version\":\"{version}\"")),
        (
            "nmap-xml",
            format!(
                "<service name=\"ssh\" product=\"OpenSSH\" version=\"{version}\" \
                 method=\"probed\" conf=\"10\"/>"
            ),
        ),
    ] {
        let address = place.address.to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_wardmote"))
            .args(["scan", &address, "-p", "2022", "--identify", "--format", format])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&expected), "{format}: {text}");
    }
}

#[test]
fn debians_daemons_are_named_rightly() {
    if !can_run() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(127, 192 + (high & 15), low, 7));
    let place = Place { address, directory: directory.path() };
    let _daemons = start_all(&place);
    wait_for_all(&place);
    for round in 0..2 {
        let report = scan(&place, &["--identify"]);
        let ports = report["hosts"][0]["ports"].as_array().unwrap();
        for one in EXPECTED {
            let found = ports.iter().find(|port| port["port"] == one.port).unwrap();
            let (service, owner) = (&found["service"], found["owner"]["package"].as_str().unwrap());
            let about = format!("round {round}: {found}");
            let (name, _) = owner.split_once(' ').unwrap();
            let whole =
                name == one.package || one.package == "postgresql" || one.package == "nginx";
            assert!(whole && name.starts_with(one.package), "{about}");
            let (package, upstream) = installed(name);
            assert_eq!(owner, package, "{about}");
            assert_eq!(service["product"], one.product, "{about}");
            assert_eq!(service["version"], upstream, "{about}");
            assert_eq!(service["source"], "package", "{about}");
            assert!(service.get("disagreement").is_none(), "{about}");
            // What it said itself, where it says anything of its version. MariaDB, told to block whoever
            // leaves once, blocks the address that only wardmote has: nobody else's.
            let banner = service["banner"].as_str().unwrap_or_default();
            let blocked = banner.starts_with("Host '127.77.1.1' is blocked");
            assert!(!one.tells || banner.contains(&upstream) || blocked, "{about}");
        }
    }
    let mut guest = TcpStream::connect((place.address, 2306)).unwrap();
    let mut greeting = [0; 64];
    let count = guest.read(&mut greeting).unwrap();
    assert!(greeting[..count].windows(7).any(|text| text == b"MariaDB"), "a guest is not blocked");
    formats_tell_it(&place);
    let bare = scan(&place, &[]);
    let quiet = |port: &Value| port["service"].get("product").is_none();
    assert!(bare["hosts"][0]["ports"].as_array().unwrap().iter().all(quiet), "only when asked");
}
