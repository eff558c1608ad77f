//! What a file is: by its path first, then by what it holds, last by its ending.
//!
//! The tables below are all that is known. A path is compared from its end, so that a copy of a tree reads
//! as the tree itself.

use std::path::Path;

use clap::ValueEnum;
use parsers::config::{glob, yaml};

use super::source::Source;
use super::{Kind, unreadable};
use crate::exit::hinted;

/// Ends of paths; the first that fits is taken.
const PATHS: &[(&str, Kind)] = &[
    ("sshd_config", Kind::Sshd),
    ("sshd_config.d/*.conf", Kind::Sshd),
    ("passwd", Kind::Passwd),
    ("passwd-", Kind::Passwd),
    ("gshadow", Kind::Gshadow),
    ("gshadow-", Kind::Gshadow),
    ("shadow", Kind::Shadow),
    ("shadow-", Kind::Shadow),
    ("group", Kind::Group),
    ("group-", Kind::Group),
    ("sysctl.conf", Kind::Sysctl),
    ("sysctl.d/*.conf", Kind::Sysctl),
    ("sudoers", Kind::Sudoers),
    ("sudoers.d/*", Kind::Sudoers),
    ("pam.d/*", Kind::Pam),
    ("crontab", Kind::Crontab),
    ("cron.d/*", Kind::Crontab),
    ("cron/crontabs/*", Kind::Crontab),
    ("login.defs", Kind::LoginDefs),
    ("security/pwquality.conf", Kind::Pwquality),
    ("pwquality.conf.d/*.conf", Kind::Pwquality),
    ("security/faillock.conf", Kind::Faillock),
    ("security/pwhistory.conf", Kind::Keyvalue),
    ("security/limits.conf", Kind::Limits),
    ("limits.d/*.conf", Kind::Limits),
    ("etc/fstab", Kind::Fstab),
    ("mountinfo", Kind::Mountinfo),
    ("systemd/*.conf", Kind::SystemdConf),
    ("systemd/*.conf.d/*.conf", Kind::SystemdConf),
    ("fail2ban/jail.*", Kind::Fail2ban),
    ("fail2ban/jail.d/*", Kind::Fail2ban),
    ("nginx.conf", Kind::Nginx),
    ("nginx/conf.d/*.conf", Kind::Nginx),
    ("nginx/sites-*/*", Kind::Nginx),
    ("apache2.conf", Kind::Apache),
    ("httpd.conf", Kind::Apache),
    ("apache2/*-*/*.conf", Kind::Apache),
    ("httpd/conf.d/*.conf", Kind::Apache),
    ("postgresql.conf", Kind::Postgresql),
    ("postgresql.auto.conf", Kind::Postgresql),
    ("pg_hba.conf", Kind::PgHba),
    ("pg_ident.conf", Kind::PgIdent),
    ("my.cnf", Kind::MyCnf),
    (".my.cnf", Kind::MyCnf),
    ("mariadb.cnf", Kind::MyCnf),
    ("mysql/*/*.cnf", Kind::MyCnf),
    ("redis.conf", Kind::Redis),
    ("redis/*.conf", Kind::Redis),
    ("logrotate.conf", Kind::Logrotate),
    ("logrotate.d/*", Kind::Logrotate),
    ("sources.list", Kind::AptSources),
    ("sources.list.d/*.list", Kind::AptSources),
    ("sources.list.d/*.sources", Kind::AptSources),
    ("apt.conf", Kind::AptConf),
    ("apt.conf.d/*", Kind::AptConf),
    ("iptables/rules.v[46]", Kind::Iptables),
    ("sysconfig/iptables", Kind::Iptables),
    ("docker/daemon.json", Kind::Docker),
    ("netplan/*.yaml", Kind::Netplan),
    ("cloud.cfg", Kind::CloudInit),
    ("cloud.cfg.d/*.cfg", Kind::CloudInit),
    ("compose.y*ml", Kind::Compose),
    ("compose.override.y*ml", Kind::Compose),
    ("docker-compose.y*ml", Kind::Compose),
    ("docker-compose.override.y*ml", Kind::Compose),
    ("kubelet/config.yaml", Kind::Kubelet),
    ("kubelet.conf.d/*.conf", Kind::Kubelet),
    ("kubernetes/manifests/*.yaml", Kind::Kubernetes),
    ("rsyslog.conf", Kind::Rsyslog),
    ("rsyslog.d/*.conf", Kind::Rsyslog),
    ("*.service", Kind::SystemdUnit),
    ("*.socket", Kind::SystemdUnit),
    ("*.timer", Kind::SystemdUnit),
    ("*.mount", Kind::SystemdUnit),
    ("*.target", Kind::SystemdUnit),
    ("*.slice", Kind::SystemdUnit),
    ("*.service.d/*.conf", Kind::SystemdUnit),
    ("*.socket.d/*.conf", Kind::SystemdUnit),
];

/// A question to a text.
type Fits = fn(&Content<'_>) -> bool;

/// What a text holds; the first that fits is taken.
const CONTENTS: &[(Fits, Kind)] = &[
    (|c| c.has_line(|line| line.starts_with("-----BEGIN ")), Kind::Certificate),
    (
        |c| c.has_line(|line| TABLES.contains(&line)) && c.has_line(|l| l == "COMMIT"),
        Kind::Iptables,
    ),
    (|c| c.compact(16).starts_with("{\"nftables\":"), Kind::Nftables),
    (|c| c.has_line(|line| UNIT_SECTIONS.contains(&line)), Kind::SystemdUnit),
    (|c| c.text.starts_with("#%PAM-"), Kind::Pam),
    (|c| c.text.starts_with("#cloud-config"), Kind::CloudInit),
    (|c| c.has_line(|line| line == "kind: KubeletConfiguration"), Kind::Kubelet),
    (|c| c.has_key("apiVersion:") && c.has_key("kind:"), Kind::Kubernetes),
    (|c| c.has_line(|line| line == "services:"), Kind::Compose),
    (|c| c.has_line(|line| line == "network:"), Kind::Netplan),
    (|c| c.has_key("Types:") && c.has_key("URIs:"), Kind::AptSources),
    (
        |c| c.has_line(|line| line.starts_with("deb http") || line.starts_with("deb [")),
        Kind::AptSources,
    ),
];

/// Ends of names that say the language, not whose it is.
const ENDINGS: &[(&str, Kind)] = &[
    ("*.yaml", Kind::Yaml),
    ("*.yml", Kind::Yaml),
    ("*.json", Kind::Json),
    ("*.pem", Kind::Certificate),
    ("*.crt", Kind::Certificate),
    ("*.cer", Kind::Certificate),
    ("*.der", Kind::Certificate),
    ("*.key", Kind::Certificate),
];

const TABLES: [&str; 5] = ["*filter", "*nat", "*mangle", "*raw", "*security"];

const UNIT_SECTIONS: [&str; 6] =
    ["[Unit]", "[Service]", "[Install]", "[Timer]", "[Socket]", "[Mount]"];

/// How much of a text is looked at.
const LOOKED_BYTES: usize = 256 << 10;

/// The start of a text.
struct Content<'a> {
    text: &'a str,
}

impl Content<'_> {
    fn has_line(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.text.lines().any(|line| fits(line.trim_end()))
    }

    fn has_key(&self, key: &str) -> bool {
        self.has_line(|line| line.starts_with(key))
    }

    /// The first characters that are no blanks.
    fn compact(&self, count: usize) -> String {
        self.text.chars().filter(|c| !c.is_ascii_whitespace()).take(count).collect()
    }
}

/// What a source is.
///
/// # Errors
/// Nothing fits, or the source cannot be read.
pub(super) fn kind(source: &Source) -> anyhow::Result<Kind> {
    let path = Path::new(source.path());
    if let Some(kind) = by_path(PATHS, path) {
        return Ok(kind);
    }
    let bytes = source.tree().read_config(source.path()).map_err(|e| unreadable(&e))?;
    let found = by_content(&bytes).or_else(|| by_path(ENDINGS, path)).or_else(|| language(&bytes));
    found.ok_or_else(|| {
        let names: Vec<String> = kinds().map(|(_, name)| name).collect();
        let hint = format!("say what it is with --as: {}", names.join(", "));
        hinted(format!("{}: neither its path nor its text tells what it is", source.name()), hint)
    })
}

/// A kind's name on the command line.
pub(super) fn name(kind: Kind) -> String {
    kind.to_possible_value().map_or(String::new(), |value| value.get_name().to_string())
}

fn kinds() -> impl Iterator<Item = (Kind, String)> {
    let all = Kind::value_variants().iter().filter(|kind| **kind != Kind::Auto);
    all.map(|kind| (*kind, name(*kind)))
}

fn by_path(table: &[(&str, Kind)], path: &Path) -> Option<Kind> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let fits = |pattern: &str| {
        let wanted: Vec<&str> = pattern.split('/').collect();
        parts.len() >= wanted.len()
            && wanted
                .iter()
                .zip(&parts[parts.len() - wanted.len()..])
                .all(|(pattern, part)| glob::matches(pattern.as_bytes(), part.as_bytes()))
    };
    table.iter().find(|(pattern, _)| fits(pattern)).map(|(_, kind)| *kind)
}

fn by_content(bytes: &[u8]) -> Option<Kind> {
    let start = &bytes[..bytes.len().min(LOOKED_BYTES)];
    let text = String::from_utf8_lossy(start);
    let content = Content { text: &text };
    CONTENTS.iter().find(|(fits, _)| fits(&content)).map(|(_, kind)| *kind)
}

/// JSON or YAML. Nearly every text is YAML: only one with a mapping or list counts.
fn language(bytes: &[u8]) -> Option<Kind> {
    let first = bytes.trim_ascii_start().first()?;
    if matches!(first, b'{' | b'[') && yaml::json(bytes).is_ok() {
        return Some(Kind::Json);
    }
    let tree = yaml::config_tree(bytes).ok()?;
    let is_collection = tree.documents().next()?.kind().is_collection();
    is_collection.then_some(Kind::Yaml)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds that no path and no content leads to, with the reason.
    const EXCEPTIONS: &[(Kind, &str)] = &[];

    #[test]
    fn something_leads_to_every_kind() {
        for (kind, name) in kinds() {
            let by_path = PATHS.iter().chain(ENDINGS).any(|(_, known)| *known == kind);
            let by_content = CONTENTS.iter().any(|(_, known)| *known == kind);
            let is_exception = EXCEPTIONS.iter().any(|(known, _)| *known == kind);
            assert_eq!(by_path || by_content, !is_exception, "{name}");
        }
    }

    #[test]
    fn a_path_is_compared_from_its_end() {
        for (path, kind) in [
            ("/etc/ssh/sshd_config", Some(Kind::Sshd)),
            ("/mnt/image/etc/sudoers.d/10-x", Some(Kind::Sudoers)),
            ("/etc/apt/apt.conf.d/20auto", Some(Kind::AptConf)),
            ("/etc/netplan/50-cloud-init.yaml", Some(Kind::Netplan)),
            ("/srv/docker-compose.yml", Some(Kind::Compose)),
            ("/usr/lib/systemd/system/x.service.d/10.conf", Some(Kind::SystemdUnit)),
            ("/etc/apache2/sites-enabled/000.conf", Some(Kind::Apache)),
            ("/var/lib/kubelet/config.yaml", Some(Kind::Kubelet)),
            ("/etc/systemd/journald.conf.d/10.conf", Some(Kind::SystemdConf)),
            ("/etc/fail2ban/jail.local", Some(Kind::Fail2ban)),
            ("/mnt/etc/security/pwquality.conf.d/50.conf", Some(Kind::Pwquality)),
            ("/srv/config.yaml", None),
        ] {
            assert_eq!(by_path(PATHS, Path::new(path)), kind, "{path}");
        }
    }

    #[test]
    fn content_tells_where_the_path_does_not() {
        for (text, kind) in [
            ("-----BEGIN CERTIFICATE-----\n", Some(Kind::Certificate)),
            ("# x\n*filter\n:INPUT DROP\nCOMMIT\n", Some(Kind::Iptables)),
            ("{ \"nftables\": [] }", Some(Kind::Nftables)),
            ("[Unit]\nDescription=x\n", Some(Kind::SystemdUnit)),
            ("#cloud-config\na: 1\n", Some(Kind::CloudInit)),
            ("apiVersion: v1\nkind: Pod\n", Some(Kind::Kubernetes)),
            ("kind: KubeletConfiguration\n", Some(Kind::Kubelet)),
            ("services:\n  a: {}\n", Some(Kind::Compose)),
            ("network:\n  version: 2\n", Some(Kind::Netplan)),
            ("deb http://x/ s main\n", Some(Kind::AptSources)),
            ("just words\n", None),
        ] {
            assert_eq!(by_content(text.as_bytes()), kind, "{text}");
        }
        assert_eq!(language(b"{\"a\": 1}"), Some(Kind::Json));
        assert_eq!(language(b"- a\n- b\n"), Some(Kind::Yaml));
        assert_eq!((language(b"words and more"), language(b"")), (None, None));
    }
}
