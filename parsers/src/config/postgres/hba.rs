//! pg_hba.conf: who may connect, from where, and how they prove it; the first rule that fits decides.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::address::{Address, numeric, prefix_mask};
use super::fields::{Fields, Lines, Word};
use crate::config::problems::Problems;
use crate::place::Place;
use crate::tree::{LookError, Tree};

/// Which connections a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// The unix socket.
    Local,
    /// TCP, encrypted or not.
    Host,
    /// TCP with TLS.
    HostSsl,
    /// TCP without TLS.
    HostNoSsl,
    /// TCP with GSSAPI encryption.
    HostGssEnc,
    /// TCP without GSSAPI encryption.
    HostNoGssEnc,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Which connections.
    pub connection: Connection,
    /// Databases: names, or without quotes `all`, `sameuser`, `samerole`, `replication`.
    pub databases: Vec<Word>,
    /// Users: names, or without quotes `all` and `+role`.
    pub users: Vec<Word>,
    /// From where; `None` for the unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// The method (`ident` of a local rule is `peer`).
    pub method: String,
    /// `name=value`; may hold secrets.
    pub options: Vec<(String, String)>,
    /// Where the rule is.
    pub place: Place,
    /// Its first line; may hold a secret, redact before showing.
    #[serde(skip)]
    pub text: String,
}

/// The rules of one configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Hba {
    /// In the order in which they are tried.
    pub rules: Vec<Rule>,
    /// Files in the order of reading.
    pub files: Vec<Arc<str>>,
    /// Lines with a fault; one is enough for the server to refuse the whole.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
}

impl Hba {
    /// Reads a pg_hba.conf with what it includes.
    ///
    /// # Errors
    /// When the file itself cannot be read.
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        Lines::read(tree, path).map(Self::of)
    }

    /// Reads the text of one file alone.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        Self::of(Lines::parse(file, bytes))
    }

    fn of(read: Lines) -> Self {
        let Lines { files, mut problems, unread, lines } = read;
        let mut rules = Vec::with_capacity(lines.len());
        for line in lines {
            match rule(line) {
                Ok(rule) => rules.push(rule),
                Err((place, message)) => problems.push(place, message),
            }
        }
        Self { rules, files, problems, unread }
    }
}

type Fault = (Place, &'static str);

/// The fields of one line, taken one after the other.
struct Taking {
    fields: std::vec::IntoIter<Vec<Word>>,
    place: Place,
}

impl Taking {
    fn many(&mut self, missing: &'static str) -> Result<Vec<Word>, Fault> {
        let words = self.fields.next().ok_or((self.place.clone(), missing))?;
        self.place = words[0].place.clone();
        Ok(words)
    }

    fn one(&mut self, missing: &'static str) -> Result<Word, Fault> {
        let mut words = self.many(missing)?;
        if words.len() > 1 {
            return Err((words.remove(1).place, "one value is expected here"));
        }
        Ok(words.remove(0))
    }
}

fn rule(line: Fields) -> Result<Rule, Fault> {
    let Fields { fields, place, text } = line;
    let mut taking = Taking { fields: fields.into_iter(), place: place.clone() };
    let kind = taking.one("a connection type is expected")?;
    let connection = match kind.text.as_str() {
        "local" => Connection::Local,
        "host" => Connection::Host,
        "hostssl" => Connection::HostSsl,
        "hostnossl" => Connection::HostNoSsl,
        "hostgssenc" => Connection::HostGssEnc,
        "hostnogssenc" => Connection::HostNoGssEnc,
        _ => return Err((kind.place, "unknown connection type")),
    };
    let databases = taking.many("the line ends before the database")?;
    let users = taking.many("the line ends before the user")?;
    let address = match connection {
        Connection::Local => None,
        _ => Some(address(&mut taking)?),
    };
    let named = taking.one("the line ends before the method")?;
    let method = method(connection, &named)?;
    let mut options = Vec::new();
    for word in taking.fields.flatten() {
        let Some((name, value)) = word.text.split_once('=') else {
            return Err((word.place, "an option is not `name=value`"));
        };
        option(connection, method, name, value).map_err(|message| (word.place.clone(), message))?;
        options.push((name.to_string(), value.to_string()));
    }
    required(method, &options).map_err(|message| (named.place, message))?;
    Ok(Rule {
        connection,
        databases,
        users,
        address,
        method: method.to_string(),
        options,
        place,
        text,
    })
}

fn address(taking: &mut Taking) -> Result<Address, Fault> {
    let word = taking.one("the line ends before the address")?;
    for (keyword, address) in
        [("all", Address::All), ("samehost", Address::SameHost), ("samenet", Address::SameNet)]
    {
        if word.is(keyword) {
            return Ok(address);
        }
    }
    let (text, prefix) = match word.text.split_once('/') {
        Some((text, prefix)) => (text, Some(prefix)),
        None => (word.text.as_str(), None),
    };
    let Some(address) = numeric(text) else {
        return match prefix {
            Some(_) => Err((word.place, "a host name has no prefix length")),
            None => Ok(Address::Host(word.text)),
        };
    };
    let mask = match prefix {
        Some(bits) => prefix_mask(bits, address).ok_or((word.place, "not a prefix length"))?,
        None => {
            let mask = taking.one("the line ends before the mask")?;
            let known = numeric(&mask.text).ok_or((mask.place.clone(), "not a mask"))?;
            let is_same = matches!(
                (address, known),
                (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_))
            );
            if !is_same {
                return Err((mask.place, "address and mask are of two families"));
            }
            known
        }
    };
    Ok(Address::Network { address, mask })
}

const METHODS: [&str; 14] = [
    "trust",
    "reject",
    "md5",
    "password",
    "scram-sha-256",
    "gss",
    "sspi",
    "ident",
    "peer",
    "pam",
    "ldap",
    "radius",
    "cert",
    "bsd",
];

fn method(connection: Connection, word: &Word) -> Result<&'static str, Fault> {
    let known = METHODS.into_iter().find(|method| *method == word.text);
    let method = known.ok_or((word.place.clone(), "unknown method"))?;
    let is_local = connection == Connection::Local;
    match method {
        "ident" if is_local => Ok("peer"),
        "peer" if !is_local => Err((word.place.clone(), "peer is for local connections only")),
        "gss" if is_local => Err((word.place.clone(), "gss is not for local connections")),
        "cert" if connection != Connection::HostSsl => {
            Err((word.place.clone(), "cert is for hostssl only"))
        }
        method => Ok(method),
    }
}

/// Whether an option may stand with a method.
fn option(
    connection: Connection,
    method: &str,
    name: &str,
    value: &str,
) -> Result<(), &'static str> {
    let methods: &[&str] = match name {
        "map" => &["ident", "peer", "gss", "sspi", "cert"],
        "clientcert" | "clientname" => {
            return match (connection, name, value, method) {
                (Connection::HostSsl, "clientcert", "verify-ca", "cert") => {
                    Err("cert verifies fully; verify-ca is refused")
                }
                (Connection::HostSsl, "clientcert", "verify-full" | "verify-ca", _)
                | (Connection::HostSsl, "clientname", "CN" | "DN", _) => Ok(()),
                (Connection::HostSsl, ..) => Err("a value that this option does not take"),
                _ => Err("an option of hostssl only"),
            };
        }
        "pamservice" | "pam_use_hostname" => &["pam"],
        "krb_realm" | "include_realm" => &["gss", "sspi"],
        "compat_realm" | "upn_username" => &["sspi"],
        "radiusservers" | "radiusports" | "radiussecrets" | "radiusidentifiers" => &["radius"],
        "ldapport" if method == "ldap" && value.parse::<i32>().map_or(true, |port| port == 0) => {
            return Err("not a port");
        }
        _ if name.starts_with("ldap") && LDAP.contains(&&name[4..]) => &["ldap"],
        _ => return Err("unknown option"),
    };
    if methods.contains(&method) { Ok(()) } else { Err("an option of another method") }
}

const LDAP: [&str; 12] = [
    "url",
    "tls",
    "scheme",
    "server",
    "port",
    "binddn",
    "bindpasswd",
    "searchattribute",
    "searchfilter",
    "basedn",
    "prefix",
    "suffix",
];

/// Options without which a method is refused.
fn required(method: &str, options: &[(String, String)]) -> Result<(), &'static str> {
    let has = |name: &str| options.iter().any(|(have, _)| have == name);
    let has_empty =
        |name: &str| options.iter().any(|(have, value)| have == name && value.is_empty());
    match method {
        "ldap" if !has("ldapurl") => {
            let simple = has("ldapprefix") || has("ldapsuffix");
            let search = ["basedn", "binddn", "bindpasswd", "searchattribute", "searchfilter"];
            let searches = search.iter().any(|name| has(&format!("ldap{name}")));
            match (simple, searches) {
                (true, true) => Err("ldap takes a prefix and suffix or a search, not both"),
                (false, false) => Err("ldap needs a prefix, a suffix or a base"),
                (false, true) if !has("ldapbasedn") => {
                    Err("ldap needs a prefix, a suffix or a base")
                }
                _ if has("ldapsearchattribute") && has("ldapsearchfilter") => {
                    Err("ldap takes a search attribute or a filter, not both")
                }
                _ => Ok(()),
            }
        }
        "radius" if !has("radiusservers") || has_empty("radiusservers") => {
            Err("radius needs radiusservers")
        }
        "radius" if !has("radiussecrets") || has_empty("radiussecrets") => {
            Err("radius needs radiussecrets")
        }
        _ => Ok(()),
    }
}
