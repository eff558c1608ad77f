//! Canonical service names: the same daemon has one name in checks, findings and logs.

use std::path::Path;

use super::Owner;
use super::inventory::Transport;

/// Most characters of an executable's name that becomes a service's.
const NAME_CHARS_MAX: usize = 64;

/// Executables, or units without their suffix, and the service they are.
const NAMES: &[(&str, &[&str])] = &[
    ("ssh", &["sshd", "sshd-session", "sshd-auth", "ssh", "dropbear", "tinysshd"]),
    (
        "http",
        &["nginx", "apache2", "httpd", "caddy", "lighttpd", "haproxy", "traefik", "h2o", "envoy"],
    ),
    ("postgresql", &["postgres", "postmaster", "postgresql", "pgbouncer"]),
    ("mysql", &["mysqld", "mariadbd", "mysql", "mariadb"]),
    ("redis", &["redis-server", "redis-check-rdb", "redis", "valkey-server", "keydb-server"]),
    ("mongodb", &["mongod", "mongos", "mongodb"]),
    ("memcached", &["memcached"]),
    ("elasticsearch", &["elasticsearch", "opensearch"]),
    ("docker", &["dockerd", "docker"]),
    ("docker-proxy", &["docker-proxy", "rootlessport", "rootlesskit"]),
    ("kubernetes", &["kubelet", "kube-apiserver", "k3s-server", "k3s"]),
    ("etcd", &["etcd"]),
    ("smb", &["smbd", "nmbd", "samba", "ksmbd.mountd"]),
    ("nfs", &["rpc.nfsd", "rpc.mountd", "rpc.statd", "nfs-server", "nfs-mountd"]),
    ("rpcbind", &["rpcbind", "portmap"]),
    ("ftp", &["vsftpd", "proftpd", "pure-ftpd", "in.ftpd", "ftpd"]),
    ("tftp", &["in.tftpd", "tftpd", "atftpd", "tftpd-hpa"]),
    ("telnet", &["in.telnetd", "telnetd", "utelnetd"]),
    ("rsh", &["in.rshd", "in.rlogind", "in.rexecd", "rshd", "rlogind", "rexecd"]),
    ("smtp", &["exim4", "exim", "sendmail", "postfix", "opensmtpd", "smtpd"]),
    ("imap", &["dovecot", "imap-login", "cyrus-master", "courier-imap"]),
    (
        "dns",
        &[
            "named",
            "bind9",
            "unbound",
            "dnsmasq",
            "pdns_server",
            "knotd",
            "kresd",
            "coredns",
            "systemd-resolved",
            "systemd-resolve",
        ],
    ),
    ("dhcp", &["dhcpd", "kea-dhcp4", "dhclient", "dhcpcd", "systemd-networkd", "systemd-network"]),
    ("ldap", &["slapd", "ns-slapd"]),
    ("ipp", &["cupsd", "cups", "cups-browsed"]),
    ("ntp", &["chronyd", "ntpd", "ntpsec", "systemd-timesyncd", "openntpd", "chrony"]),
    ("snmp", &["snmpd"]),
    ("syslog", &["rsyslogd", "syslog-ng"]),
    ("mdns", &["avahi-daemon"]),
    ("vpn", &["openvpn", "charon", "charon-systemd", "pluto", "tailscaled"]),
    ("proxy", &["squid", "privoxy", "tinyproxy", "danted", "sockd"]),
    ("vnc", &["Xvnc", "x11vnc", "vncserver-x11", "Xtigervnc", "vino-server", "x0vncserver"]),
    ("rdp", &["xrdp", "gnome-remote-de", "gnome-remote-desktop-daemon"]),
    ("x11", &["Xorg", "X", "Xwayland"]),
    ("rsync", &["rsync"]),
    ("mqtt", &["mosquitto"]),
    ("rabbitmq", &["rabbitmq-server", "beam.smp"]),
    ("zabbix", &["zabbix_agentd", "zabbix_agent2", "zabbix_server"]),
    ("prometheus", &["prometheus", "node_exporter", "prometheus-node-exporter"]),
    ("grafana", &["grafana", "grafana-server"]),
    ("webmin", &["miniserv.pl", "webmin"]),
];

/// Interpreters and super servers, whose own name says nothing about the service.
const CARRIERS: &[&str] = &[
    "systemd",
    "init",
    "inetd",
    "xinetd",
    "java",
    "python",
    "python3",
    "perl",
    "ruby",
    "node",
    "php",
    "bash",
    "sh",
    "master",
    "stunnel4",
    "stunnel",
    "tcpserver",
    "socat",
    "busybox",
];

/// Ports whose service is well known, for sockets whose holder cannot be seen or says nothing.
const PORTS: &[(&str, Transport, &[u16])] = &[
    ("ftp", Transport::Tcp, &[21]),
    ("ssh", Transport::Tcp, &[22]),
    ("telnet", Transport::Tcp, &[23]),
    ("smtp", Transport::Tcp, &[25, 465, 587]),
    ("dns", Transport::Tcp, &[53]),
    ("dns", Transport::Udp, &[53]),
    ("dhcp", Transport::Udp, &[67, 68, 546, 547]),
    ("tftp", Transport::Udp, &[69]),
    ("http", Transport::Tcp, &[80, 443, 8080, 8443]),
    ("imap", Transport::Tcp, &[110, 143, 993, 995]),
    ("rpcbind", Transport::Tcp, &[111]),
    ("rpcbind", Transport::Udp, &[111]),
    ("ntp", Transport::Udp, &[123, 323]),
    ("smb", Transport::Tcp, &[139, 445]),
    ("smb", Transport::Udp, &[137, 138]),
    ("snmp", Transport::Udp, &[161, 162]),
    ("ldap", Transport::Tcp, &[389, 636]),
    ("rsh", Transport::Tcp, &[512, 513, 514]),
    ("syslog", Transport::Udp, &[514]),
    ("ipp", Transport::Tcp, &[631]),
    ("ipp", Transport::Udp, &[631]),
    ("rsync", Transport::Tcp, &[873]),
    ("nfs", Transport::Tcp, &[2049]),
    ("docker", Transport::Tcp, &[2375, 2376]),
    ("etcd", Transport::Tcp, &[2379, 2380]),
    ("mysql", Transport::Tcp, &[3306]),
    ("rdp", Transport::Tcp, &[3389]),
    ("mdns", Transport::Udp, &[5353]),
    ("postgresql", Transport::Tcp, &[5432]),
    ("vnc", Transport::Tcp, &[5900, 5901, 5902]),
    ("x11", Transport::Tcp, &[6000, 6001, 6002]),
    ("redis", Transport::Tcp, &[6379]),
    ("kubernetes", Transport::Tcp, &[6443, 10250]),
    ("elasticsearch", Transport::Tcp, &[9200, 9300]),
    ("memcached", Transport::Tcp, &[11211]),
    ("memcached", Transport::Udp, &[11211]),
    ("mongodb", Transport::Tcp, &[27017, 27018]),
];

/// The name of what listens: by its holders' executables and units, by the unit that is known without
/// a holder, by a well-known port, or `port-N`.
pub fn name(owners: &[Owner], unit: Option<&str>, transport: Transport, port: u16) -> String {
    let executables = owners.iter().filter_map(|owner| executable(owner.exe.as_deref()?));
    let units = owners.iter().filter_map(|owner| owner.unit.as_deref()).chain(unit);
    let known = executables
        .clone()
        .find_map(canonical)
        .or_else(|| units.clone().find_map(|unit| canonical(stem(unit))));
    if let Some(known) = known {
        return known.to_string();
    }
    if let Some(name) = executables.into_iter().find(|name| !is_carrier(name)) {
        return crate::redact::printable(name).chars().take(NAME_CHARS_MAX).collect();
    }
    by_port(transport, port).map_or_else(|| format!("port-{port}"), str::to_string)
}

/// The service that an executable or a unit alone says it is; `None` for interpreters and super
/// servers.
pub fn by_holder(exe: Option<&str>, unit: Option<&str>) -> Option<String> {
    let name = exe.and_then(executable);
    let known = name.and_then(canonical).or_else(|| canonical(stem(unit?)));
    let own = || name.filter(|name| !is_carrier(name)).map(crate::redact::printable);
    known.map(str::to_string).or_else(own)
}

/// The service of a well-known port.
pub fn by_port(transport: Transport, port: u16) -> Option<&'static str> {
    PORTS
        .iter()
        .find(|(_, of, ports)| *of == transport && ports.contains(&port))
        .map(|(name, _, _)| *name)
}

/// Whether a name is one that [`name`] gives to daemons it knows.
pub fn is_known(name: &str) -> bool {
    NAMES.iter().any(|(canonical, _)| *canonical == name)
}

fn canonical(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(canonical, _)| *canonical)
}

fn executable(path: &str) -> Option<&str> {
    // Postfix's only listener is called `master`; its directory says whose.
    if path.ends_with("/postfix/sbin/master") || path.ends_with("/postfix/master") {
        return Some("postfix");
    }
    Path::new(path).file_name()?.to_str()
}

/// `postgresql@15-main.service` → `postgresql`.
fn stem(unit: &str) -> &str {
    let name = unit.rsplit_once('.').map_or(unit, |(name, _)| name);
    name.split('@').next().unwrap_or(name)
}

fn is_carrier(name: &str) -> bool {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    CARRIERS.contains(&name) || CARRIERS.contains(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(exe: &str, unit: &str) -> Owner {
        Owner {
            pid: 1,
            exe: Some(exe.to_string()),
            deleted: false,
            unit: (!unit.is_empty()).then(|| unit.to_string()),
            container: None,
            package: None,
            uid: 0,
        }
    }

    #[test]
    fn services_have_one_name_each() {
        for (exe, unit, port, expected) in [
            ("/usr/sbin/sshd", "ssh.service", 22, "ssh"),
            ("/usr/lib/openssh/sshd-session", "ssh.service", 2222, "ssh"),
            ("/usr/lib/systemd/systemd", "ssh.socket", 2222, "ssh"),
            ("/usr/lib/systemd/systemd", "init.scope", 4711, "port-4711"),
            ("/usr/sbin/nginx", "nginx.service", 80, "http"),
            (
                "/usr/lib/postgresql/15/bin/postgres",
                "postgresql@15-main.service",
                5433,
                "postgresql",
            ),
            ("/usr/bin/redis-server", "", 7000, "redis"),
            ("/usr/lib/postfix/sbin/master", "postfix@-.service", 25, "smtp"),
            ("/usr/bin/python3.11", "", 8000, "port-8000"),
            ("/usr/bin/python3.11", "", 6379, "redis"),
            ("/usr/bin/java", "elasticsearch.service", 9999, "elasticsearch"),
            ("/opt/acme/acmed", "acme.service", 5432, "acmed"),
            ("/usr/sbin/mariadbd", "", 3306, "mysql"),
        ] {
            let name = name(&[owner(exe, unit)], None, Transport::Tcp, port);
            assert_eq!(name, expected, "{exe} {unit} {port}");
        }
        for (exe, unit, expected) in [
            (Some("/usr/sbin/sshd"), None, Some("ssh")),
            (Some("/usr/lib/systemd/systemd"), Some("ssh.socket"), Some("ssh")),
            (Some("/usr/bin/python3.11"), None, None),
            (Some("/opt/acme/acmed"), Some("x.service"), Some("acmed")),
            (None, None, None),
        ] {
            assert_eq!(by_holder(exe, unit).as_deref(), expected, "{exe:?} {unit:?}");
        }
        assert_eq!(name(&[], None, Transport::Tcp, 22), "ssh");
        assert_eq!(name(&[], Some("redis.service"), Transport::Tcp, 22), "redis");
        assert_eq!(name(&[], None, Transport::Udp, 40000), "port-40000");
    }
}
