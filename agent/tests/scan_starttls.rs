//! `scan --identify` asks Debian's own daemons for the certificate behind STARTTLS: the way it begins, the
//! protocol and the certificate are right for each of them.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A daemon in the foreground, ended with this value.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // The daemons of several processes end those themselves when they are asked to.
        _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Where the daemons live.
struct Place<'d> {
    address: String,
    directory: &'d Path,
}

impl Place<'_> {
    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_string()
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.directory.join(name), text).unwrap();
        self.path(name)
    }

    /// A directory that `user` owns.
    fn room(&self, name: &str, user: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        run("chown", &[user, &path]);
        path
    }

    /// The key and the certificate, in files of `user`'s own.
    fn secrets(&self, user: &str) -> (String, String) {
        let room = self.room(&format!("tls-{user}"), user);
        let copied = ["key.pem", "cert.pem"].map(|name| {
            let to = format!("{room}/{name}");
            // Never twice: a daemon that was started before may be reading it.
            if !Path::new(&to).exists() {
                std::fs::copy(self.directory.join(name), &to).unwrap();
                run("chown", &[user, &to]);
            }
            to
        });
        let [key, certificate] = copied;
        (key, certificate)
    }
}

fn start(program: &str, args: &[&str]) -> Daemon {
    let quiet = || Stdio::null();
    let mut command = Command::new(program);
    let child = command.args(args).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    Daemon(child.unwrap_or_else(|error| panic!("{program}: {error}")))
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn postfix(place: &Place) -> Daemon {
    let (configuration, spool) = (place.room("postfix", "root"), place.room("spool", "root"));
    let (data, (key, certificate)) = (place.room("data", "postfix"), place.secrets("root"));
    place.file(
        "postfix/main.cf",
        &format!(
            "compatibility_level = 3.6\nqueue_directory = {spool}\ndata_directory = {data}\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
             inet_interfaces = loopback-only\ninet_protocols = ipv4\nmyhostname = mx.example.org\n\
             smtpd_peername_lookup = no\nalias_maps =\nlocal_recipient_maps =\n\
             smtpd_tls_security_level = may\nsmtpd_tls_key_file = {key}\n\
             smtpd_tls_cert_file = {certificate}\nsmtpd_tls_session_cache_database =\n\
             smtpd_client_connection_count_limit = 0\nsmtpd_client_connection_rate_limit = 0\n"
        ),
    );
    let address = &place.address;
    place.file(
        "postfix/master.cf",
        &format!(
            "{address}:3025 inet n - n - - smtpd\nrewrite unix - - n - - trivial-rewrite\n\
             anvil unix - - n - 1 anvil\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
        ),
    );
    run("/usr/sbin/postfix", &["-c", &configuration, "check"]);
    start("/usr/lib/postfix/sbin/master", &["-c", &configuration, "-d"])
}

fn dovecot(place: &Place) -> Daemon {
    let (base, state) = (place.room("dovecot", "root"), place.room("dovecot-state", "root"));
    let (key, certificate) = place.secrets("root");
    let listener = |service: &str, port: u16| {
        format!(
            "service {service}-login {{\n inet_listener {service} {{\n port = {port}\n }}\n \
             inet_listener {service}s {{\n port = 0\n }}\n}}\n"
        )
    };
    let text = format!(
        "base_dir = {base}\nstate_dir = {state}\nlog_path = /dev/stderr\nssl = yes\n\
         ssl_key = <{key}\nssl_cert = <{certificate}\nprotocols = imap pop3\nlisten = {}\n\
         passdb {{\n driver = static\n args = password=x\n}}\n{}{}",
        place.address,
        listener("imap", 3143),
        listener("pop3", 3110)
    );
    let file = place.file("dovecot.conf", &text);
    start("/usr/sbin/dovecot", &["-F", "-c", &file])
}

fn vsftpd(place: &Place) -> Daemon {
    let (empty, (key, certificate)) = (place.room("vsftpd", "root"), place.secrets("root"));
    let text = format!(
        "listen=YES\nlisten_address={}\nlisten_port=3021\nbackground=NO\n\
         secure_chroot_dir={empty}\nanonymous_enable=NO\nlocal_enable=YES\nssl_enable=YES\n\
         rsa_private_key_file={key}\nrsa_cert_file={certificate}\nssl_ciphers=HIGH\n",
        place.address
    );
    let file = place.file("vsftpd.conf", &text);
    start("/usr/sbin/vsftpd", &[&file])
}

fn mariadb(place: &Place) -> Daemon {
    let (data, (key, certificate)) = (place.room("mariadb", "nobody"), place.secrets("nobody"));
    let named = |name: &str, value: &str| format!("--{name}={value}");
    let words = [
        named("user", "nobody"),
        named("innodb-buffer-pool-size", "8M"),
        named("port", "3307"),
        named("datadir", &data),
        named("bind-address", &place.address),
        named("socket", &format!("{data}/s")),
        named("pid-file", &format!("{data}/pid")),
        named("ssl-key", &key),
        named("ssl-cert", &certificate),
    ];
    let words: Vec<&str> = ["--no-defaults", "--skip-grant-tables", "--skip-log-bin"]
        .into_iter()
        .chain(words.iter().map(String::as_str))
        .collect();
    start("/usr/sbin/mariadbd", &words)
}

fn slapd(place: &Place) -> Daemon {
    let (room, (key, certificate)) = (place.room("slapd", "root"), place.secrets("root"));
    let text = format!(
        "pidfile {room}/pid\nargsfile {room}/args\nTLSCertificateKeyFile {key}\n\
         TLSCertificateFile {certificate}\n"
    );
    let file = place.file("slapd.conf", &text);
    let url = format!("ldap://{}:3389", place.address);
    start("/usr/sbin/slapd", &["-d", "0", "-h", &url, "-f", &file])
}

/// What each port must show: how TLS begins, and the protocol.
const EXPECTED: [(u16, &str, &str); 6] = [
    (3025, "smtp", "smtp"),
    (3143, "imap", "imap"),
    (3110, "pop3", "pop3"),
    (3021, "ftp", "ftp"),
    (3307, "mysql", "mysql"),
    (3389, "ldap", "ldap"),
];

const PROGRAMS: [&str; 6] = [
    "/usr/sbin/postfix",
    "/usr/sbin/dovecot",
    "/usr/sbin/vsftpd",
    "/usr/sbin/mariadbd",
    "/usr/sbin/slapd",
    "/usr/bin/openssl",
];

#[test]
fn the_certificate_behind_starttls_is_that_of_the_daemon() {
    let is_here = PROGRAMS.iter().all(|program| Path::new(program).exists());
    if !is_here || !rustix::process::geteuid().is_root() {
        let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some();
        assert!(!required, "needs root and {PROGRAMS:?}");
        println!("skipped: needs root and {PROGRAMS:?}");
        return;
    }
    let directory = tempfile::Builder::new().prefix("wm").tempdir().unwrap();
    run("chmod", &["755", directory.path().to_str().unwrap()]);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(127, 208 + (high & 15), low, 9)).to_string();
    let place = Place { address, directory: directory.path() };
    let (key, certificate) = (place.path("key.pem"), place.path("cert.pem"));
    run(
        "/usr/bin/openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "90",
            "-subj",
            "/CN=mx.example.org",
            "-addext",
            "subjectAltName=DNS:mx.example.org",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ],
    );
    let _daemons =
        [mariadb(&place), postfix(&place), dovecot(&place), vsftpd(&place), slapd(&place)];
    let until = Instant::now() + Duration::from_secs(60);
    for (port, name, _) in EXPECTED {
        while TcpStream::connect((place.address.as_str(), port)).is_err() {
            assert!(Instant::now() < until, "{name} did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let ports = EXPECTED.map(|(port, ..)| port.to_string()).join(",");
    let state = place.path("state");
    let output = Command::new(env!("CARGO_BIN_EXE_wardmote"))
        .args(["scan", &place.address, "-p", &ports, "--identify", "--format", "json"])
        .args(["--state-dir", &state])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = report["hosts"][0]["ports"].as_array().unwrap();
    for (port, service, starttls) in EXPECTED {
        let one = found.iter().find(|one| one["port"] == port).unwrap();
        let tls = &one["tls"];
        assert_eq!(one["service"]["name"], service, "{one}");
        assert_eq!(tls["starttls"], starttls, "{one}");
        assert!(matches!(tls["version"].as_str(), Some("1.2" | "1.3")), "{one}");
        assert_eq!(
            (&tls["subject"], &tls["key"]),
            (&"CN=mx.example.org".into(), &"rsa 2048".into())
        );
        assert_eq!(tls["names"], serde_json::json!(["mx.example.org"]));
        assert!(tls.get("faults").is_none(), "{one}");
    }
}
