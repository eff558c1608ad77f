//! The keywords of sshd_config(5): where each may stand, what its arguments look like, and which of
//! several lines wins. Modelled on OpenSSH 9.2; what later and older versions know is marked.

use super::Version;

/// Where a keyword may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Only outside of `Match` blocks (or inside them from a version on).
    Global,
    /// Everywhere.
    Everywhere,
    /// Inside `Match` blocks only from this version on.
    MatchSince(Version),
}

/// Which of several lines wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The first line.
    First,
    /// The last line.
    Last,
    /// All lines add up.
    Append,
}

/// What the arguments look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One of some words, in any case: word and how it is printed.
    OneOf(&'static [(&'static str, &'static str)]),
    Time,
    UnusedTimeout,
    Integer,
    Port,
    ListenAddress,
    /// A path that may be `none`.
    Path,
    AgentSocket,
    /// A path with `%` tokens.
    TokenPath,
    Word,
    KeyProvider,
    Algorithms(Family),
    GssAlgorithms,
    PubkeyOptions,
    UserEnvironment,
    RekeyLimit,
    Facility,
    Level,
    Verbose,
    Users,
    Groups,
    AcceptEnv,
    SetEnv,
    KeysFiles,
    ChannelTimeout,
    AuthenticationMethods,
    Subsystem,
    MaxStartups,
    NetBlockSize,
    SourceStartups,
    Tunnel,
    PermitOpen,
    PermitListen,
    RawCommand,
    VersionAddendum,
    AbsoluteCommand,
    IpQos,
    OctalMask,
    Digest,
    /// Any words, printed with blanks between: keywords of versions newer than the model.
    Words,
    /// Read and ignored, whatever follows.
    Ignored,
    /// Refused on Linux.
    NotHere,
    Include,
    Match,
}

/// The families of algorithm lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Cipher,
    Mac,
    Kex,
    /// Key and signature types.
    Key,
    /// Signature algorithms of certificate authorities.
    CaSignature,
}

/// One keyword.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keyword {
    /// Lower case.
    pub name: &'static str,
    /// As `sshd -T` prints it.
    pub shown: &'static str,
    pub form: Form,
    pub scope: Scope,
    pub rule: Rule,
    /// First version that knows it.
    pub since: Version,
}

impl Keyword {
    /// Whether a `Match` block of this version may hold it.
    pub fn in_match(&self, version: Option<Version>) -> bool {
        match self.scope {
            Scope::Global => false,
            Scope::Everywhere => true,
            Scope::MatchSince(since) => version.is_none_or(|known| known >= since),
        }
    }
}

/// Finds a keyword, in any case.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    const NAME_BYTES_MAX: usize = 64;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    KEYWORDS
        .binary_search_by(|keyword| keyword.name.cmp(lower.as_str()))
        .ok()
        .map(|at| &KEYWORDS[at])
}

const FLAG: Form = Form::OneOf(&[("yes", "yes"), ("no", "no")]);
const RHOSTS: Form = Form::OneOf(&[("yes", "yes"), ("no", "no"), ("shosts-only", "shosts-only")]);
const FAMILY: Form = Form::OneOf(&[("inet", "inet"), ("inet6", "inet6"), ("any", "any")]);
const ROOT_LOGIN: Form = Form::OneOf(&[
    ("without-password", "without-password"),
    ("prohibit-password", "without-password"),
    ("forced-commands-only", "forced-commands-only"),
    ("yes", "yes"),
    ("no", "no"),
]);
const COMPRESSION: Form = Form::OneOf(&[("yes", "yes"), ("delayed", "yes"), ("no", "no")]);
const GATEWAY: Form =
    Form::OneOf(&[("clientspecified", "clientspecified"), ("yes", "yes"), ("no", "no")]);
const FORWARDING: Form = Form::OneOf(&[
    ("yes", "yes"),
    ("all", "yes"),
    ("no", "no"),
    ("remote", "remote"),
    ("local", "local"),
]);

const fn word(name: &'static str, form: Form, scope: Scope, rule: Rule) -> Keyword {
    Keyword { name, shown: name, form, scope, rule, since: (0, 0) }
}
const fn global(name: &'static str, form: Form) -> Keyword {
    word(name, form, Scope::Global, Rule::First)
}
const fn both(name: &'static str, form: Form) -> Keyword {
    word(name, form, Scope::Everywhere, Rule::First)
}
const fn ignored(name: &'static str) -> Keyword {
    word(name, Form::Ignored, Scope::Global, Rule::First)
}
impl Keyword {
    const fn shown(self, shown: &'static str) -> Self {
        Self { shown, ..self }
    }
    const fn since(self, major: u32, minor: u32) -> Self {
        Self { since: (major, minor), ..self }
    }
    const fn rule(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }
}

/// Sorted by name.
static KEYWORDS: &[Keyword] = &[
    both("acceptenv", Form::AcceptEnv).rule(Rule::Append),
    global("addressfamily", FAMILY),
    ignored("afstokenpassing"),
    both("allowagentforwarding", FLAG),
    both("allowgroups", Form::Groups).rule(Rule::Append),
    both("allowstreamlocalforwarding", FORWARDING),
    both("allowtcpforwarding", FORWARDING),
    both("allowusers", Form::Users).rule(Rule::Append),
    both("authenticationmethods", Form::AuthenticationMethods),
    both("authorizedkeyscommand", Form::AbsoluteCommand),
    both("authorizedkeyscommanduser", Form::Word),
    both("authorizedkeysfile", Form::KeysFiles),
    both("authorizedkeysfile2", Form::Ignored),
    both("authorizedprincipalscommand", Form::AbsoluteCommand),
    both("authorizedprincipalscommanduser", Form::Word),
    both("authorizedprincipalsfile", Form::TokenPath),
    both("banner", Form::Path),
    both("casignaturealgorithms", Form::Algorithms(Family::CaSignature)),
    both("challengeresponseauthentication", FLAG).shown("kbdinteractiveauthentication"),
    both("channeltimeout", Form::ChannelTimeout).since(9, 2),
    ignored("checkmail"),
    both("chrootdirectory", Form::Word),
    global("ciphers", Form::Algorithms(Family::Cipher)),
    both("clientalivecountmax", Form::Integer),
    both("clientaliveinterval", Form::Time),
    global("compression", COMPRESSION),
    global("debianbanner", FLAG),
    both("denygroups", Form::Groups).rule(Rule::Append),
    both("denyusers", Form::Users).rule(Rule::Append),
    both("disableforwarding", FLAG),
    global("dsaauthentication", FLAG).shown("pubkeyauthentication"),
    both("exposeauthinfo", FLAG),
    global("fingerprinthash", Form::Digest).rule(Rule::Last),
    both("forcecommand", Form::RawCommand),
    both("gatewayports", GATEWAY),
    both("gssapiauthentication", FLAG),
    global("gssapicleanupcredentials", FLAG),
    global("gssapicleanupcreds", FLAG).shown("gssapicleanupcredentials"),
    global("gssapidelegatecredentials", FLAG).since(10, 0),
    both("gssapienablek5users", Form::Ignored), // Red Hat
    both("gssapiindicators", Form::Ignored),    // Red Hat
    global("gssapikexalgorithms", Form::GssAlgorithms),
    global("gssapikeyexchange", FLAG),
    global("gssapistorecredentialsonrekey", FLAG),
    global("gssapistrictacceptorcheck", FLAG),
    ignored("gssapiusesessioncredcache"),
    ignored("gssusesessionccache"),
    both("hostbasedacceptedalgorithms", Form::Algorithms(Family::Key)),
    both("hostbasedacceptedkeytypes", Form::Algorithms(Family::Key))
        .shown("hostbasedacceptedalgorithms"),
    both("hostbasedauthentication", FLAG),
    both("hostbasedusesnamefrompacketonly", FLAG),
    global("hostcertificate", Form::Path).rule(Rule::Append),
    global("hostdsakey", Form::Path).shown("hostkey").rule(Rule::Append),
    global("hostkey", Form::Path).rule(Rule::Append),
    global("hostkeyagent", Form::AgentSocket),
    global("hostkeyalgorithms", Form::Algorithms(Family::Key)),
    both("ignorerhosts", RHOSTS),
    global("ignoreuserknownhosts", FLAG),
    both("include", Form::Include).since(8, 2),
    both("ipqos", Form::IpQos).rule(Rule::Last),
    both("kbdinteractiveauthentication", FLAG),
    global("keepalive", FLAG).shown("tcpkeepalive"),
    both("kerberosauthentication", FLAG),
    ignored("kerberosgetafstoken"),
    global("kerberosorlocalpasswd", FLAG),
    ignored("kerberostgtpassing"),
    global("kerberosticketcleanup", FLAG),
    global("kerberosuniqueccache", Form::Ignored), // Red Hat
    both("kerberosusekuserok", Form::Ignored),     // Red Hat
    global("kexalgorithms", Form::Algorithms(Family::Kex)),
    ignored("keyregenerationinterval"),
    global("listenaddress", Form::ListenAddress).rule(Rule::Append),
    global("logingracetime", Form::Time),
    both("loglevel", Form::Level),
    both("logverbose", Form::Verbose),
    global("macs", Form::Algorithms(Family::Mac)),
    both("match", Form::Match),
    both("maxauthtries", Form::Integer),
    both("maxsessions", Form::Integer),
    global("maxstartups", Form::MaxStartups).rule(Rule::Last),
    global("modulifile", Form::Path),
    ignored("pamauthenticationviakbdint"),
    both("passwordauthentication", FLAG),
    ignored("permitblacklistedkeys"),
    both("permitemptypasswords", FLAG),
    both("permitlisten", Form::PermitListen),
    both("permitopen", Form::PermitOpen),
    both("permitrootlogin", ROOT_LOGIN),
    both("permittty", FLAG),
    both("permittunnel", Form::Tunnel),
    global("permituserenvironment", Form::UserEnvironment),
    both("permituserrc", FLAG),
    global("persourcemaxstartups", Form::SourceStartups).rule(Rule::Last),
    global("persourcenetblocksize", Form::NetBlockSize).rule(Rule::Last),
    global("persourcepenalties", Form::Words).since(9, 8),
    global("persourcepenaltyexemptlist", Form::Words).since(9, 8),
    global("pidfile", Form::Path),
    global("port", Form::Port).rule(Rule::Append),
    global("printlastlog", FLAG),
    global("printmotd", FLAG),
    ignored("protocol"),
    both("pubkeyacceptedalgorithms", Form::Algorithms(Family::Key)),
    both("pubkeyacceptedkeytypes", Form::Algorithms(Family::Key)).shown("pubkeyacceptedalgorithms"),
    both("pubkeyauthentication", FLAG),
    both("pubkeyauthoptions", Form::PubkeyOptions),
    both("rdomain", Form::NotHere),
    both("refuseconnection", FLAG).since(9, 9),
    both("rekeylimit", Form::RekeyLimit),
    both("requiredrsasize", Form::Integer),
    ignored("reversemappingcheck"),
    both("revokedkeys", Form::Path),
    ignored("rhostsauthentication"),
    both("rhostsrsaauthentication", Form::Ignored),
    both("rsaauthentication", Form::Ignored),
    both("rsaminsize", Form::Integer).shown("requiredrsasize"), // Red Hat's first name for it
    global("securitykeyprovider", Form::KeyProvider),
    ignored("serverkeybits"),
    both("setenv", Form::SetEnv),
    both("skeyauthentication", FLAG).shown("kbdinteractiveauthentication"),
    global("sshdauthpath", Form::Path).since(10, 0),
    global("sshdsessionpath", Form::Path).since(9, 8),
    both("streamlocalbindmask", Form::OctalMask).rule(Rule::Last),
    both("streamlocalbindunlink", FLAG),
    global("strictmodes", FLAG),
    word("subsystem", Form::Subsystem, Scope::MatchSince((9, 5)), Rule::Append),
    global("syslogfacility", Form::Facility),
    global("tcpkeepalive", FLAG),
    both("trustedusercakeys", Form::Path),
    both("unusedconnectiontimeout", Form::UnusedTimeout).since(9, 2),
    global("usedns", FLAG),
    ignored("uselogin"),
    global("usepam", FLAG),
    ignored("useprivilegeseparation"),
    ignored("verifyreversemapping"),
    global("versionaddendum", Form::VersionAddendum),
    both("x11displayoffset", Form::Integer),
    both("x11forwarding", FLAG),
    both("x11maxdisplays", Form::Ignored), // Red Hat
    both("x11uselocalhost", FLAG),
    global("xauthlocation", Form::Path),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(KEYWORDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(find("PermitRootLogin").unwrap().name, "permitrootlogin");
        assert_eq!(find("KeepAlive").unwrap().shown, "tcpkeepalive");
        assert!(find("PermitRoot").is_none() && find(&"x".repeat(100_000)).is_none());
    }
}
