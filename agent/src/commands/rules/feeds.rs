//! Which logs can feed a rule: from its log source, and from the logs that a host has.
//!
//! Knows the usual names of logs only: a rule that nothing feeds here may still be fed a file that the
//! user names. The journal holds what syslog holds.

use std::path::Path;

use parsers::rules::sigma::Logsource;
use parsers::tree::{Links, Tree};
use scanner::RootedTree;
use scanner::logs::source;

/// The logs of a host, by what their lines are.
#[derive(Debug, Default)]
pub(super) struct Logs {
    syslog: Vec<String>,
    web: Vec<String>,
    audit: Vec<String>,
    own: Vec<String>,
}

/// What a log source promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Syslog and the journal.
    Syslog,
    /// Logs of web servers.
    Web,
    /// Records of the audit daemon.
    Audit,
    /// Syslog, or a log that the daemon of this name writes by itself.
    Own(&'static str),
    /// Lines with named fields that another program wrote.
    Fields,
}

/// Daemons with logs of their own: the service, and a part of the path.
const OWN: [(&str, &str); 5] = [
    ("mysql", "/mysql"),
    ("postgresql", "/postgresql"),
    ("redis", "/redis"),
    ("vsftpd", "/vsftpd"),
    ("ftp", "/vsftpd"),
];

/// Services whose lines are syslog's.
pub(super) const SYSLOG_SERVICES: [&str; 19] = [
    "auth",
    "syslog",
    "sshd",
    "sudo",
    "su",
    "cron",
    "kernel",
    "systemd",
    "vsftpd",
    "ftp",
    "proftpd",
    "pure-ftpd",
    "postfix",
    "dovecot",
    "docker",
    "openvpn",
    "clamav",
    "guacamole",
    "",
];

/// What a log source promises.
pub(super) fn kind(logsource: &Logsource) -> Kind {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let (product, category, service) =
        (text(&logsource.product), text(&logsource.category), text(&logsource.service));
    if category == "webserver" || ["apache", "nginx"].contains(&product.as_str()) {
        return Kind::Web;
    }
    if !["linux", ""].contains(&product.as_str()) {
        return Kind::Fields;
    }
    match (category.as_str(), service.as_str()) {
        ("", "apache" | "nginx" | "httpd") => Kind::Web,
        ("", "auditd") | ("process_creation" | "file_event" | "network_connection", _) => {
            Kind::Audit
        }
        ("", service) => match OWN.iter().find(|(own, _)| *own == service) {
            Some((_, part)) => Kind::Own(part),
            None if SYSLOG_SERVICES.contains(&service) => Kind::Syslog,
            None => Kind::Fields,
        },
        ("firewall" | "dns", "") => Kind::Syslog,
        _ => Kind::Fields,
    }
}

impl Logs {
    /// The logs of a host.
    pub(super) fn of(tree: &RootedTree) -> Self {
        let mut logs = Self::default();
        for family in source::discover(tree).families {
            let name = family.name;
            let of = if name.contains("/audit/") {
                &mut logs.audit
            } else if ["/nginx/", "/apache2/", "/httpd/"].iter().any(|part| name.contains(part)) {
                &mut logs.web
            } else if OWN.iter().any(|(_, part)| name.contains(part)) {
                &mut logs.own
            } else {
                &mut logs.syslog
            };
            of.push(name);
        }
        for journal in ["/var/log/journal", "/run/log/journal"] {
            if tree.stat(Path::new(journal), Links::Follow).is_ok() {
                logs.syslog.push("journal".into());
                break;
            }
        }
        logs
    }

    /// Those that can feed a rule.
    pub(super) fn feeding(&self, logsource: &Logsource) -> Vec<&str> {
        let names: Vec<&String> = match kind(logsource) {
            Kind::Syslog => self.syslog.iter().collect(),
            Kind::Web => self.web.iter().collect(),
            Kind::Audit => self.audit.iter().collect(),
            Kind::Own(part) => {
                let own = self.own.iter().filter(|name| name.contains(part));
                own.chain(&self.syslog).collect()
            }
            Kind::Fields => Vec::new(),
        };
        names.into_iter().map(String::as_str).collect()
    }
}
