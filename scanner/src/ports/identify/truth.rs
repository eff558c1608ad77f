//! On this host the package is the truth: what runs is what is installed, or something is amiss.
//!
//! Debian's versions are compared by their upstream part: `1:9.2p1-2+deb12u3` and a banner's `9.2p1`
//! are the same. A banner is compared only where product and package belong together: what a proxy
//! passes on from behind is not its own version.

use crate::ports::report::ServiceReport;

/// Products by what their Debian packages are called; `*` stands for any end.
const PRODUCTS: &[(&str, &str)] = &[
    ("openssh-server", "OpenSSH"),
    ("dropbear-bin", "Dropbear"),
    ("tinysshd", "TinySSH"),
    ("nginx*", "nginx"),
    ("apache2*", "Apache httpd"),
    ("lighttpd", "lighttpd"),
    ("caddy", "Caddy"),
    ("squid*", "Squid"),
    ("haproxy", "HAProxy"),
    ("varnish", "Varnish"),
    ("webmin", "Webmin"),
    ("cups-daemon", "CUPS"),
    ("postfix*", "Postfix"),
    ("exim4-daemon-*", "Exim"),
    ("sendmail-bin", "Sendmail"),
    ("opensmtpd", "OpenSMTPD"),
    ("dovecot-*", "Dovecot"),
    ("cyrus-imapd", "Cyrus IMAP"),
    ("courier-imap", "Courier IMAP"),
    ("vsftpd", "vsftpd"),
    ("proftpd-*", "ProFTPD"),
    ("pure-ftpd*", "Pure-FTPd"),
    ("mariadb-server*", "MariaDB"),
    ("mysql-server*", "MySQL"),
    ("mysql-community-server*", "MySQL"),
    ("percona-server-server*", "Percona Server"),
    ("postgresql-*", "PostgreSQL"),
    ("pgbouncer", "PgBouncer"),
    ("redis-*", "Redis"),
    ("valkey-*", "Valkey"),
    ("keydb-*", "KeyDB"),
    ("mongodb-*", "MongoDB"),
    ("memcached", "memcached"),
    ("bind9", "BIND"),
    ("unbound", "Unbound"),
    ("dnsmasq*", "dnsmasq"),
    ("knot", "Knot DNS"),
    ("nsd", "NSD"),
    ("pdns-server", "PowerDNS Authoritative Server"),
    ("pdns-recursor", "PowerDNS Recursor"),
    ("slapd", "OpenLDAP"),
    ("xrdp", "xrdp"),
    ("mosquitto", "Mosquitto"),
    ("nats-server", "NATS Server"),
    ("docker.io", "Docker Engine"),
    ("docker-ce", "Docker Engine"),
    ("etcd-server", "etcd"),
    ("elasticsearch", "Elasticsearch"),
    ("opensearch", "OpenSearch"),
    ("grafana*", "Grafana"),
    ("prometheus", "Prometheus"),
    ("prometheus-node-exporter", "Prometheus node_exporter"),
    ("rsync", "rsync"),
];

/// Packages whose programs carry what others say: interpreters, super servers, relays. Their version
/// is not the service's.
const CARRIERS: &[&str] = &[
    "systemd",
    "python3*",
    "perl-base",
    "ruby*",
    "nodejs",
    "openjdk-*",
    "temurin-*",
    "php*",
    "inetutils-inetd",
    "openbsd-inetd",
    "xinetd",
    "socat",
    "stunnel4",
    "erlang-base*",
    "busybox*",
    "netcat-*",
    "ncat",
    "bash",
    "openssh-client",
];

/// Sets product and version from the package of the holder (`openssh-server 1:9.2p1-2`), and says
/// where the service disagrees. What the probe found is in `service` already; without a package it
/// stays as it is.
pub fn settle(service: &mut ServiceReport, package: Option<&str>) {
    let Some((package, installed)) = package.and_then(|text| text.split_once(' ')) else { return };
    // What was remembered may have been settled against another package.
    service.disagreement = None;
    if CARRIERS.iter().any(|carrier| is_named(package, carrier)) {
        return;
    }
    let installed = upstream(installed);
    let product =
        PRODUCTS.iter().find(|(name, _)| is_named(package, name)).map(|(_, product)| *product);
    let said = service.version.take().filter(|_| {
        let told = service.product.as_deref();
        told.is_some()
            && (told == product
                || product.is_none() && told.is_some_and(|told| akin(told, package)))
    });
    if let Some(said) = said
        && !same(upstream(&said), installed)
    {
        service.disagreement = Some(format!("runs {said}, installed is {installed}: restart it"));
        // What answers is what runs; the package tells what should.
        service.version = Some(said);
        service.source = Some("probe".to_string());
    } else {
        service.version = Some(installed.to_string());
        service.source = Some("package".to_string());
    }
    service.product = Some(product.unwrap_or(package).to_string());
    service.age_s = Some(0);
}

fn is_named(package: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => package.starts_with(begin),
        None => package == pattern,
    }
}

/// A product and a package of the same name, but for case and punctuation.
fn akin(product: &str, package: &str) -> bool {
    let plain = |text: &str| {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let (product, package) = (plain(product), plain(package));
    !product.is_empty() && (package.starts_with(&product) || product.starts_with(&package))
}

/// The upstream part of a Debian version: without epoch, Debian revision and what repacking adds.
pub fn upstream(version: &str) -> &str {
    let version = match version.split_once(':') {
        Some((epoch, rest))
            if !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            rest
        }
        _ => version,
    };
    let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    // `2.0+really1.9` is 1.9: a package went back without its number going back.
    let version = version.rsplit_once("+really").map_or(version, |(_, really)| really);
    let cut = ["+dfsg", "+ds", "+repack", "~dfsg", ".dfsg", "~rc", "~beta", "+git", "~git"];
    let end = cut.iter().filter_map(|mark| version.find(mark)).min().unwrap_or(version.len());
    &version[..end]
}

/// Whether two versions are the same as far as both go: a banner may give fewer parts.
fn same(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+', '~', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(product: Option<&str>, version: Option<&str>) -> ServiceReport {
        ServiceReport {
            name: "x".to_string(),
            product: product.map(str::to_string),
            version: version.map(str::to_string),
            source: product.map(|_| "probe".to_string()),
            ..ServiceReport::default()
        }
    }

    type Settled = (Option<String>, Option<String>, Option<String>, bool);

    fn settled(product: Option<&str>, version: Option<&str>, package: Option<&str>) -> Settled {
        let mut found = service(product, version);
        settle(&mut found, package);
        (found.product, found.version, found.source, found.disagreement.is_some())
    }

    #[test]
    fn the_upstream_part_of_a_version_is_found() {
        for (version, expected) in [
            ("1:9.2p1-2+deb12u3", "9.2p1"),
            ("1.22.1-9", "1.22.1"),
            ("1:2.3.19.1+dfsg1-2.1+deb12u7", "2.3.19.1"),
            ("1.3.8+dfsg-4+deb12u4", "1.3.8"),
            ("20.10.24+dfsg1", "20.10.24"),
            ("5:7.0.15-1~deb12u1", "7.0.15"),
            ("9.2p1", "9.2p1"),
            ("3.0.3-13+b2", "3.0.3"),
            ("1:2.0+really1.9+dfsg-1", "1.9"),
            ("", ""),
        ] {
            assert_eq!(upstream(version), expected);
        }
    }

    #[test]
    fn the_package_gives_product_and_version() {
        for (product, version, package, expected) in [
            (
                Some("OpenSSH"),
                Some("9.2p1"),
                "openssh-server 1:9.2p1-2+deb12u3",
                ("OpenSSH", "9.2p1"),
            ),
            (Some("Dovecot"), None, "dovecot-core 1:2.3.19.1+dfsg1-2.1", ("Dovecot", "2.3.19.1")),
            (None, None, "postgresql-15 15.14-0+deb12u1", ("PostgreSQL", "15.14")),
            (
                Some("Apache httpd"),
                Some("2.4"),
                "apache2-bin 2.4.65-1~deb12u1",
                ("Apache httpd", "2.4.65"),
            ),
            (Some("gunicorn"), Some("20.0.4"), "nginx 1.22.1-9", ("nginx", "1.22.1")),
            (None, None, "acme-daemon 3.1-2", ("acme-daemon", "3.1")),
            (Some("Acme"), Some("3.1"), "acme-daemon 3.1-2", ("acme-daemon", "3.1")),
        ] {
            let (name, number) = expected;
            let expected = (Some(name.into()), Some(number.into()), Some("package".into()), false);
            assert_eq!(settled(product, version, Some(package)), expected, "{package}");
        }
    }

    #[test]
    fn code_that_runs_on_after_an_upgrade_is_told() {
        let mut found = service(Some("OpenSSH"), Some("9.2p1"));
        settle(&mut found, Some("openssh-server 1:9.4p1-1"));
        assert_eq!(
            found.disagreement.as_deref(),
            Some("runs 9.2p1, installed is 9.4p1: restart it")
        );
        assert_eq!(
            (found.version.as_deref(), found.source.as_deref()),
            (Some("9.2p1"), Some("probe"))
        );
        settle(&mut found, Some("openssh-server 1:9.2p1-2"));
        assert_eq!(found.disagreement, None, "the old package is back");
        assert!(settled(Some("nginx"), Some("1.2"), Some("nginx 1.22.1-9")).3, "1.2 is not 1.22");
    }

    #[test]
    fn without_a_package_of_its_own_the_probe_is_all_there_is() {
        let probe = (Some("Werkzeug".into()), Some("2.2.2".into()), Some("probe".into()), false);
        assert_eq!(
            settled(Some("Werkzeug"), Some("2.2.2"), Some("python3.11-minimal 3.11.2-6")),
            probe
        );
        assert_eq!(settled(Some("Werkzeug"), Some("2.2.2"), None), probe);
        let mut found = service(None, None);
        settle(&mut found, None);
        assert_eq!(found, service(None, None));
    }
}
