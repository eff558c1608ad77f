//! Which events a rule is shown: from its log source.
//!
//! A log source is a promise about what the fields mean, so a rule sees only events of which it holds:
//! a rule about a proxy must not judge the visitors of a web server. A JSON line of which nothing tells
//! where it comes from is shown to every rule, because its fields may be Sigma's own.

use parsers::rules::sigma::Logsource;

use crate::logs::audit::Deed;
use crate::logs::event::{Class, Event};
use crate::logs::taxonomy::{Origin, has_mnemonic, is_command_record};

/// Which events a rule is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Syslog of these programs.
    Programs(&'static [&'static str]),
    /// Any syslog line; audit records too when `true`.
    Syslog(bool),
    Web,
    /// Requests that go out: with a whole address, as proxies log them.
    Proxy,
    Audit,
    /// Audit records that were joined, or Sysmon's events.
    Joined(Deed),
    /// Queries of resolvers.
    Resolver,
    /// Packets that a filter logged.
    Packets,
    /// Commands given to a Cisco device.
    Commands,
    /// Messages of other network devices.
    Device,
    /// JSON lines of Zeek: of this log, or of any.
    Zeek(&'static str),
    Fortigate,
    /// A source that no text log gives: only JSON lines.
    Elsewhere,
}

const RESOLVERS: &[&str] = &["dnsmasq", "named", "unbound"];
const PACKET_FILTERS: &[&str] = &["kernel", "ulogd"];
const ZEEK_LOGS: [&str; 14] = [
    "conn",
    "dns",
    "http",
    "dce_rpc",
    "smb_files",
    "smb_mapping",
    "kerberos",
    "rdp",
    "x509",
    "ssl",
    "ssh",
    "smtp",
    "ftp",
    "notice",
];

impl Route {
    pub(super) fn of(logsource: &Logsource) -> (Self, &'static str) {
        let (product, category, service) = (
            logsource.product.as_deref().unwrap_or_default(),
            logsource.category.as_deref().unwrap_or_default(),
            logsource.service.as_deref().unwrap_or_default(),
        );
        match (product, category, service) {
            (_, "webserver", _)
            | ("apache" | "nginx", ..)
            | (_, _, "apache" | "nginx" | "httpd") => (Self::Web, "http"),
            ("linux" | "", "process_creation", _) => (Self::Joined(Deed::Process), ""),
            ("linux" | "", "file_event", _) => (Self::Joined(Deed::File), ""),
            ("linux" | "", "network_connection", _) => (Self::Joined(Deed::Network), ""),
            ("linux" | "", "", "auditd") => (Self::Audit, ""),
            ("linux" | "", "", "sshd") => (Self::Programs(&["sshd"]), "ssh"),
            ("linux" | "", "", "sudo") => (Self::Programs(&["sudo"]), ""),
            ("linux" | "", "", "su") => (Self::Programs(&["su"]), ""),
            ("linux" | "", "", "cron") => (Self::Programs(&["cron", "crontab"]), ""),
            ("linux" | "", "", "kernel") => (Self::Programs(&["kernel"]), ""),
            ("linux" | "", "", "systemd") => (Self::Programs(&["systemd"]), ""),
            ("linux" | "", "", "vsftpd") => (Self::Programs(&["vsftpd"]), "ftp"),
            ("linux" | "", "", service @ ("ftp" | "proftpd" | "pure-ftpd")) => match service {
                "proftpd" => (Self::Programs(&["proftpd"]), "ftp"),
                "pure-ftpd" => (Self::Programs(&["pure-ftpd"]), "ftp"),
                _ => (Self::Programs(&["vsftpd", "proftpd", "pure-ftpd"]), "ftp"),
            },
            ("linux" | "", "", "postfix") => (Self::Programs(&["postfix"]), "smtp"),
            ("linux" | "", "", "dovecot") => (Self::Programs(&["dovecot"]), "imap"),
            ("linux" | "", "", "mysql") => (Self::Programs(&["mysqld"]), "mysql"),
            ("linux" | "", "", "postgresql") => (Self::Programs(&["postgres"]), "postgresql"),
            ("linux" | "", "", "redis") => (Self::Programs(&["redis-server"]), "redis"),
            ("linux" | "", "", "docker") => (Self::Programs(&["dockerd", "containerd"]), "docker"),
            ("linux" | "", "", "openvpn") => (Self::Programs(&["openvpn"]), "openvpn"),
            ("linux" | "", "", "clamav") => {
                (Self::Programs(&["clamd", "clamav", "clamav-daemon", "freshclam", "clamscan"]), "")
            }
            ("linux" | "", "", "guacamole") => (Self::Programs(&["guacd", "guacamole"]), ""),
            ("linux" | "", "", "auth" | "syslog") => (Self::Syslog(false), ""),
            ("linux", "", "") => (Self::Syslog(true), ""),
            (_, "proxy", _) => (Self::Proxy, ""),
            ("" | "linux", "dns", "") => (Self::Resolver, "dns"),
            ("" | "linux", "firewall", "") => (Self::Packets, ""),
            ("zeek", ..) => {
                let log = ZEEK_LOGS.iter().find(|log| **log == service);
                match (log, service) {
                    (Some(log), _) => (Self::Zeek(log), ""),
                    (None, "") => (Self::Zeek(""), ""),
                    _ => (Self::Elsewhere, ""),
                }
            }
            ("cisco", "", "aaa") => (Self::Commands, ""),
            ("cisco" | "huawei" | "juniper", "", _) => (Self::Device, ""),
            ("fortigate" | "fortinet", ..) => (Self::Fortigate, ""),
            _ => (Self::Elsewhere, ""),
        }
    }

    pub(super) fn admits(self, event: &Event<'_>) -> bool {
        let is_of = |names: &[&str]| {
            event.program().is_some_and(|program| names.iter().any(|n| n.as_bytes() == program))
        };
        match (self, event.class()) {
            (_, Class::Json) => self.admits_fields(event),
            (Self::Programs(names), Class::Syslog) => is_of(names),
            (Self::Syslog(_), Class::Syslog) | (Self::Web, Class::Web) => true,
            (Self::Syslog(audit), Class::Audit) => audit,
            (Self::Audit, class) => class == Class::Audit,
            (Self::Joined(deed), Class::Joined) => event.joined().is_some_and(|one| one.is(deed)),
            (Self::Proxy, Class::Web) => goes_out(event),
            (Self::Resolver, Class::Syslog) => is_of(RESOLVERS),
            (Self::Packets, Class::Syslog) => is_of(PACKET_FILTERS),
            (Self::Commands, Class::Syslog) => event.message().is_some_and(|message| {
                has_mnemonic(message) && is_command_record(message) || message.starts_with(b"cmd=")
            }),
            // the texts that these rules look for are the makers' own
            (Self::Device, Class::Syslog) => true,
            _ => false,
        }
    }

    /// Whether nothing but the class of an event and its program decides.
    pub(super) fn is_by_program(self) -> bool {
        matches!(self, Self::Programs(_) | Self::Resolver | Self::Packets)
    }

    /// Lines with named fields: by where they come from.
    fn admits_fields(self, event: &Event<'_>) -> bool {
        match event.origin() {
            Origin::Unknown => match self {
                Self::Commands => is_command_record(event.raw),
                Self::Proxy => event.field("cs-host").is_some() || event.field("c-uri").is_some(),
                _ => true,
            },
            Origin::Zeek => match (self, event.field("_path")) {
                (Self::Zeek(log), Some(path)) => log.is_empty() || log.as_bytes() == &*path,
                (Self::Zeek(_), None) => true,
                (Self::Resolver, path) => path.as_deref() == Some(b"dns"),
                _ => false,
            },
            Origin::SysmonProcess => self == Self::Joined(Deed::Process),
            Origin::SysmonNetwork => self == Self::Joined(Deed::Network),
            Origin::SysmonFile => self == Self::Joined(Deed::File),
            Origin::SysmonOther => false,
            Origin::Fortigate => matches!(self, Self::Fortigate | Self::Packets),
            Origin::Web => self == Self::Web || self == Self::Proxy && goes_out(event),
            Origin::Journal => match self {
                Self::Programs(names) => event.field("SYSLOG_IDENTIFIER").is_some_and(|program| {
                    let program = crate::logs::extract::canonical_program(&program);
                    names.iter().any(|name| name.as_bytes() == program)
                }),
                Self::Syslog(_) => true,
                _ => false,
            },
        }
    }

    pub(super) fn reaches(self, class: Class) -> bool {
        match class {
            Class::Syslog => matches!(
                self,
                Self::Programs(_)
                    | Self::Syslog(_)
                    | Self::Resolver
                    | Self::Packets
                    | Self::Commands
                    | Self::Device
            ),
            Class::Web => matches!(self, Self::Web | Self::Proxy),
            Class::Audit => matches!(self, Self::Audit | Self::Syslog(true)),
            Class::Joined => matches!(self, Self::Joined(_)),
            Class::Json => true,
        }
    }

    /// Whether a host with events of these classes, and syslog of these programs, has what it is about.
    pub(super) fn is_fed(self, has: &dyn Fn(Class) -> bool, writes: &dyn Fn(&str) -> bool) -> bool {
        let one_writes = |names: &[&str]| has(Class::Syslog) && names.iter().any(|one| writes(one));
        let text = match self {
            Self::Programs(names) => one_writes(names),
            Self::Resolver => one_writes(RESOLVERS),
            Self::Packets => one_writes(PACKET_FILTERS),
            Self::Syslog(audit) => has(Class::Syslog) || audit && has(Class::Audit),
            Self::Commands | Self::Device | Self::Fortigate => has(Class::Syslog),
            Self::Web | Self::Proxy => has(Class::Web),
            Self::Audit | Self::Joined(_) => has(Class::Audit),
            Self::Zeek(_) | Self::Elsewhere => false,
        };
        text || has(Class::Json)
    }

    /// What feeds it, in words for reports.
    pub(super) fn source(self) -> &'static str {
        match self {
            Self::Programs(_) => "syslog of a program",
            Self::Syslog(_) => "syslog",
            Self::Web => "logs of web servers",
            Self::Proxy => "access logs of proxies",
            Self::Audit => "audit records",
            Self::Joined(Deed::Process) => "audit records of started programs",
            Self::Joined(Deed::File) => "audit records of created files",
            Self::Joined(Deed::Network) => "audit records of connections",
            Self::Resolver => "query logs of resolvers",
            Self::Packets => "packets logged by a filter",
            Self::Commands => "commands logged by Cisco devices",
            Self::Device => "syslog of network devices",
            Self::Zeek(_) => "JSON logs of Zeek",
            Self::Fortigate => "syslog of a FortiGate",
            Self::Elsewhere => "JSON lines only",
        }
    }
}

/// Whether a request names the server whole, as those to a proxy do.
fn goes_out(event: &Event<'_>) -> bool {
    let is = |name: &str, accepts: &dyn Fn(&[u8]) -> bool| {
        event.any_value(name, accepts).unwrap_or_default()
    };
    is("cs-method", &|method| method == b"CONNECT")
        || is("c-uri", &|uri| memchr::memmem::find(&uri[..uri.len().min(12)], b"://").is_some())
}
