//! What OpenSSH does when nothing is configured, by version, for the settings that matter to
//! security (release notes of OpenSSH 6.0 to 10.0). Distributions patch some of them in their
//! configuration file rather than in the daemon, so that the file shows it.

use std::collections::BTreeMap;

use super::Version;
use super::algorithms;
use super::keywords::Family;

/// Settings whose default never changed between 6.0 and 10.0.
const CONSTANT: &[(&str, &str)] = &[
    ("addressfamily", "any"),
    ("allowagentforwarding", "yes"),
    ("allowstreamlocalforwarding", "yes"),
    ("allowtcpforwarding", "yes"),
    ("authenticationmethods", "any"),
    ("authorizedkeyscommand", "none"),
    ("authorizedkeysfile", ".ssh/authorized_keys .ssh/authorized_keys2"),
    ("banner", "none"),
    ("chrootdirectory", "none"),
    ("clientalivecountmax", "3"),
    ("clientaliveinterval", "0"),
    ("disableforwarding", "no"),
    ("forcecommand", "none"),
    ("gatewayports", "no"),
    ("gssapiauthentication", "no"),
    ("hostbasedauthentication", "no"),
    ("hostbasedusesnamefrompacketonly", "no"),
    ("ignorerhosts", "yes"),
    ("ignoreuserknownhosts", "no"),
    ("kbdinteractiveauthentication", "yes"),
    ("kerberosauthentication", "no"),
    ("logingracetime", "120"),
    ("loglevel", "INFO"),
    ("maxauthtries", "6"),
    ("maxsessions", "10"),
    ("passwordauthentication", "yes"),
    ("permitemptypasswords", "no"),
    ("permittty", "yes"),
    ("permittunnel", "no"),
    ("permituserenvironment", "no"),
    ("permituserrc", "yes"),
    ("port", "22"),
    ("printlastlog", "yes"),
    ("pubkeyauthentication", "yes"),
    ("strictmodes", "yes"),
    ("syslogfacility", "AUTH"),
    ("tcpkeepalive", "yes"),
    ("usepam", "no"),
    ("x11forwarding", "no"),
    ("x11uselocalhost", "yes"),
];

/// All defaults of a version; keywords and values as `sshd -T` prints them.
pub fn defaults(version: Version) -> BTreeMap<&'static str, String> {
    let mut all: BTreeMap<&'static str, String> =
        CONSTANT.iter().map(|&(keyword, value)| (keyword, value.to_string())).collect();
    let before = |major, minor| version < (major, minor);
    let root = if before(7, 0) { "yes" } else { "without-password" };
    all.insert("permitrootlogin", root.into());
    all.insert("usedns", if before(6, 8) { "yes" } else { "no" }.into());
    all.insert("maxstartups", if before(6, 2) { "10:100:10" } else { "10:30:100" }.into());
    if !before(9, 1) {
        all.insert("requiredrsasize", "1024".into());
    }
    if !before(6, 8) {
        all.insert("fingerprinthash", "SHA256".into());
    }
    let list = |family, old: &[(&str, Version)]| {
        let mut names = algorithms::defaults(family, Some(version));
        names.extend(old.iter().filter(|(_, until)| version < *until).map(|(name, _)| *name));
        names.join(",")
    };
    all.insert("ciphers", list(Family::Cipher, OLD_CIPHERS));
    all.insert("macs", list(Family::Mac, OLD_MACS));
    all.insert("kexalgorithms", list(Family::Kex, OLD_KEX));
    for keyword in ["hostbasedacceptedalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms"]
    {
        all.insert(keyword, list(Family::Key, OLD_KEYS));
    }
    all.insert("casignaturealgorithms", list(Family::CaSignature, OLD_CA_SIGNATURES));
    all
}

/// The default of one keyword (lower case).
pub fn default_of(keyword: &str, version: Version) -> Option<String> {
    defaults(version).remove(keyword)
}

/// Weak names that older versions offered, and the version that stopped.
const OLD_CIPHERS: &[(&str, Version)] = &[
    ("aes128-cbc", (6, 7)),
    ("3des-cbc", (6, 7)),
    ("blowfish-cbc", (6, 7)),
    ("cast128-cbc", (6, 7)),
    ("aes192-cbc", (6, 7)),
    ("aes256-cbc", (6, 7)),
    ("arcfour256", (6, 7)),
    ("arcfour128", (6, 7)),
    ("arcfour", (6, 7)),
];
const OLD_MACS: &[(&str, Version)] =
    &[("hmac-md5", (6, 7)), ("hmac-sha1-96", (6, 7)), ("hmac-md5-96", (6, 7))];
const OLD_KEX: &[(&str, Version)] = &[
    ("diffie-hellman-group14-sha1", (8, 2)),
    ("diffie-hellman-group-exchange-sha1", (7, 0)),
    ("diffie-hellman-group1-sha1", (7, 0)),
];
const OLD_KEYS: &[(&str, Version)] =
    &[("ssh-rsa", (8, 8)), ("ssh-rsa-cert-v01@openssh.com", (8, 8)), ("ssh-dss", (7, 0))];
const OLD_CA_SIGNATURES: &[(&str, Version)] = &[("ssh-rsa", (8, 2))];

/// The version in what `sshd -V` says (`OpenSSH_9.2p1 Debian-2, OpenSSL …`), in a banner, or in a
/// package's version (`1:9.2p1-2+deb12u3`).
///
/// ```
/// use parsers::config::sshd::parse_version;
/// assert_eq!(parse_version("OpenSSH_9.2, OpenSSL 3.0.19 27 Jan 2026"), Some((9, 2)));
/// assert_eq!(parse_version("1:10.0p1-7"), Some((10, 0)));
/// ```
pub fn parse_version(text: &str) -> Option<Version> {
    const TEXT_BYTES_MAX: usize = 4096;
    let text = text.get(..TEXT_BYTES_MAX).unwrap_or(text);
    let start = match text.find("OpenSSH_") {
        Some(at) => {
            let rest = &text[at + "OpenSSH_".len()..];
            rest.strip_prefix("for_Windows_").unwrap_or(rest)
        }
        None => text.trim().split_once(':').map_or(text.trim(), |(_, rest)| rest),
    };
    let number = |text: &str| -> Option<(u32, usize)> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end.min(4))?.parse().ok().map(|value| (value, end))
    };
    let (major, used) = number(start)?;
    let (minor, _) = number(start[used..].strip_prefix('.')?)?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_follow_the_version() {
        assert_eq!(default_of("permitrootlogin", (6, 6)).unwrap(), "yes");
        assert_eq!(default_of("permitrootlogin", (9, 2)).unwrap(), "without-password");
        assert!(default_of("ciphers", (6, 6)).unwrap().contains("arcfour"));
        assert!(!default_of("ciphers", (9, 2)).unwrap().contains("cbc"));
        assert!(default_of("kexalgorithms", (8, 0)).unwrap().contains("group14-sha1"));
        assert!(!default_of("kexalgorithms", (10, 0)).unwrap().contains("diffie"));
        assert_eq!(default_of("nosuch", (9, 2)), None);
    }

    #[test]
    fn versions_are_found_in_banners_and_packages() {
        assert_eq!(parse_version("SSH-2.0-OpenSSH_8.9p1 Ubuntu-3"), Some((8, 9)));
        assert_eq!(parse_version("9.2p1-2+deb12u3"), Some((9, 2)));
        for bad in ["", "OpenSSH_", "dropbear", "1:", "OpenSSH_x.y"] {
            assert_eq!(parse_version(bad), None, "{bad}");
        }
    }
}
