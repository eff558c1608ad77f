//! Lists of algorithms: which names are known, and what `+`, `-` and `^` make of the defaults.
//!
//! Names and defaults are those of OpenSSH 9.2 to 10.x as far as they are public protocol names;
//! names this table does not know are kept when the version is newer than the model.

use super::Version;
use super::keywords::Family;
use super::words::{ListMatch, glob_matches, list_matches};

const CIPHERS: &[&str] = &[
    "3des-cbc",
    "aes128-cbc",
    "aes192-cbc",
    "aes256-cbc",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
];
const CIPHERS_DEFAULT: &[&str] = &[
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
];
const MACS: &[&str] = &[
    "hmac-sha1",
    "hmac-sha1-96",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-md5",
    "hmac-md5-96",
    "umac-64@openssh.com",
    "umac-128@openssh.com",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1-96-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-md5-etm@openssh.com",
    "hmac-md5-96-etm@openssh.com",
    "umac-64-etm@openssh.com",
    "umac-128-etm@openssh.com",
];
const MACS_DEFAULT: &[&str] = &[
    "umac-64-etm@openssh.com",
    "umac-128-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha1-etm@openssh.com",
    "umac-64@openssh.com",
    "umac-128@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
];
const KEX: &[&str] = &[
    "diffie-hellman-group1-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group-exchange-sha256",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "mlkem768x25519-sha256",
];
/// Up to 9.8; 9.9 put ML-KEM in, 10.0 took the finite-field groups out.
const KEX_DEFAULT: &[&str] = &[
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
];
const KEX_DEFAULT_10: &[&str] = &[
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
];
const GSS: &[&str] = &[
    "gss-gex-sha1-",
    "gss-group1-sha1-",
    "gss-group14-sha1-",
    "gss-group14-sha256-",
    "gss-group16-sha512-",
    "gss-nistp256-sha256-",
    "gss-curve25519-sha256-",
];
const KEYS: &[&str] = &[
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-512-cert-v01@openssh.com",
];
const KEYS_DEFAULT: &[&str] = &[
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
const CA_DEFAULT: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
/// Short names that are accepted and match nothing.
const KEY_SHORT: &[&str] = &["ed25519", "ecdsa", "rsa", "dsa", "ed25519-sk", "ecdsa-sk"];

/// The newest version whose lists are known exactly: unknown names are wrong up to here.
const EXACT_UNTIL: Version = (9, 2);

/// What the daemon offers when nothing is configured.
pub(super) fn defaults(family: Family, version: Option<Version>) -> Vec<&'static str> {
    match family {
        Family::Cipher => CIPHERS_DEFAULT.to_vec(),
        Family::Mac => MACS_DEFAULT.to_vec(),
        Family::Kex => match version {
            Some(known) if known >= (10, 0) => KEX_DEFAULT_10.to_vec(),
            Some((9, 9)) => [KEX_DEFAULT_10, &KEX_DEFAULT[7..]].concat(),
            _ => KEX_DEFAULT.to_vec(),
        },
        Family::Key => KEYS_DEFAULT.to_vec(),
        Family::CaSignature => CA_DEFAULT.to_vec(),
    }
}

fn known(family: Family) -> Vec<&'static str> {
    match family {
        Family::Cipher => CIPHERS.to_vec(),
        Family::Mac => MACS.to_vec(),
        Family::Kex => KEX.to_vec(),
        Family::Key => KEYS.to_vec(),
        Family::CaSignature => {
            KEYS.iter().filter(|name| !name.contains("-cert-v01@")).copied().collect()
        }
    }
}

/// Most bytes of one list.
const LIST_BYTES_MAX: usize = 4 << 10;

/// Whether the daemon accepts a list as written.
pub(super) fn is_valid(family: Family, list: &str, version: Option<Version>) -> bool {
    if list.len() > LIST_BYTES_MAX {
        return false;
    }
    if list.starts_with('-') {
        return true;
    }
    let names = list.strip_prefix(['+', '^']).unwrap_or(list);
    let lenient = version.is_none_or(|known| known > EXACT_UNTIL);
    !names.is_empty()
        && names.split(',').take_while(|name| !name.is_empty()).all(|name| match family {
            Family::Cipher | Family::Mac => lenient || known(family).contains(&name),
            Family::Kex => lenient || known(family).contains(&name) || is_gss(name),
            Family::Key | Family::CaSignature => {
                lenient
                    || KEYS.contains(&name)
                    || KEY_SHORT.iter().any(|short| short.eq_ignore_ascii_case(name))
                    || KEYS.iter().any(|key| list_matches(key, name) != ListMatch::No)
            }
        })
}

/// Whether every name is a GSSAPI key exchange.
pub(super) fn is_valid_gss(list: &str) -> bool {
    !list.is_empty() && list.split(',').take_while(|name| !name.is_empty()).all(is_gss)
}

fn is_gss(name: &str) -> bool {
    GSS.iter().any(|prefix| name.starts_with(prefix))
}

/// The list that is in effect, as `sshd -T` prints it; `None` where sshd refuses the list because
/// nothing is left of it or a name is negated.
pub(super) fn assemble(family: Family, list: &str, version: Option<Version>) -> Option<String> {
    let defaults = defaults(family, version);
    if let Some(patterns) = list.strip_prefix('-') {
        let kept: Vec<&str> = defaults
            .into_iter()
            .filter(|name| list_matches(name, patterns) != ListMatch::Yes)
            .collect();
        return Some(kept.join(","));
    }
    let wanted: Vec<&str> = if let Some(more) = list.strip_prefix('+') {
        defaults.into_iter().chain(more.split(',').take_while(|name| !name.is_empty())).collect()
    } else if let Some(head) = list.strip_prefix('^') {
        head.split(',').chain(defaults).collect()
    } else {
        list.split(',').collect()
    };
    let known = known(family);
    let lenient = version.is_none_or(|known| known > EXACT_UNTIL);
    let mut result: Vec<&str> = Vec::new();
    for pattern in wanted {
        if pattern.starts_with('!') {
            return None;
        }
        let before = result.len();
        let mut matched = false;
        for name in known.iter().filter(|name| glob_matches(name.as_bytes(), pattern.as_bytes())) {
            matched = true;
            if !result[..before].contains(name) {
                result.push(name);
            }
        }
        let is_name = !pattern.is_empty() && !pattern.contains(['*', '?']);
        if lenient && !matched && is_name && !result.contains(&pattern) {
            result.push(pattern);
        }
    }
    (!result.is_empty()).then(|| result.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V92: Option<Version> = Some((9, 2));

    #[test]
    fn signs_change_the_defaults() {
        let minus = assemble(Family::Cipher, "-aes*,chacha*", V92).unwrap();
        assert_eq!(minus, "");
        let plus = assemble(Family::Mac, "+hmac-md5", V92).unwrap();
        assert!(plus.starts_with("umac-64-etm@") && plus.ends_with(",hmac-sha1,hmac-md5"));
        let caret = assemble(Family::Cipher, "^aes256-ctr", V92).unwrap();
        assert!(
            caret.starts_with("aes256-ctr,chacha20") && caret.matches("aes256-ctr").count() == 1
        );
        assert_eq!(assemble(Family::Cipher, "aes128-ctr,aes128-ctr", V92).unwrap(), "aes128-ctr");
    }

    #[test]
    fn unknown_names_are_refused_only_where_the_lists_are_known() {
        assert!(!is_valid(Family::Cipher, "rot13", V92));
        assert!(is_valid(Family::Cipher, "rot13", Some((11, 0))));
        assert!(is_valid(Family::Cipher, "-rot13", V92));
        assert!(is_valid(Family::Key, "ssh-*", V92) && !is_valid(Family::Cipher, "aes*", V92));
        assert!(!is_valid(Family::Cipher, "", V92));
    }
}
