//! Which events a rule is shown: from its log source.

use parsers::rules::sigma::Logsource;

use crate::logs::event::{Class, Event};

/// Which events a rule is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Syslog of these programs.
    Programs(&'static [&'static str]),
    /// Any syslog line; audit records too when `true`.
    Syslog(bool),
    Web,
    Audit,
    /// A source that no text log gives: only JSON lines.
    Elsewhere,
}

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
            _ => (Self::Elsewhere, ""),
        }
    }

    pub(super) fn admits(self, event: &Event<'_>) -> bool {
        match (self, event.class()) {
            (_, Class::Json) => true,
            (Self::Programs(names), Class::Syslog) => event
                .program()
                .is_some_and(|program| names.iter().any(|name| name.as_bytes() == program)),
            (Self::Syslog(_), Class::Syslog) | (Self::Web, Class::Web) => true,
            (Self::Syslog(audit), Class::Audit) => audit,
            (Self::Audit, class) => class == Class::Audit,
            _ => false,
        }
    }

    pub(super) fn reaches(self, class: Class) -> bool {
        match class {
            Class::Syslog => matches!(self, Self::Programs(_) | Self::Syslog(_)),
            Class::Web => self == Self::Web,
            Class::Audit => matches!(self, Self::Audit | Self::Syslog(true)),
            Class::Json => false,
        }
    }
}
