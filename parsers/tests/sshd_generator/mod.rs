//! Makes configurations from a seed: every keyword, right and wrong values, in every spelling.

/// Whether configurations are made with a keyword, in small letters as `sshd -T` prints it.
pub fn is_generated(name: &str) -> bool {
    let others = ["subsystem", "include", "match"];
    KEYWORDS.iter().any(|(known, ..)| known.eq_ignore_ascii_case(name)) || others.contains(&name)
}

/// A configuration and the connection it is asked about.
#[derive(Default)]
pub struct Case {
    /// Paths and texts; the main file is `sshd_config`.
    pub files: Vec<(String, String)>,
    pub user: String,
    pub host: String,
    pub addr: String,
    pub laddr: String,
    pub lport: u16,
}

impl Case {
    /// As `sshd -C` takes it.
    pub fn specification(&self) -> String {
        let or = |text: &str, otherwise: &str| {
            if text.is_empty() { otherwise.to_string() } else { text.to_string() }
        };
        format!(
            "user={},host={},addr={},laddr={},lport={}",
            self.user,
            or(&self.host, "h"),
            or(&self.addr, "192.0.2.1"),
            or(&self.laddr, "192.0.2.2"),
            self.lport.max(1)
        )
    }
}

/// Numbers from a seed (Vigna's splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }
    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const FLAG: &[&str] = &["yes", "no", "YES", "No"];
const TIME: &[&str] = &["0", "30", "2m", "1h30m", "1D", "90S", "1w"];
const INTEGER: &[&str] = &["0", "1", "3", "6", "10", "250"];
const PATH: &[&str] = &["none", "/etc/x", "NONE", "~/y", "rel/z", "\"/a b\""];
const KEYS: &[&str] = &[
    "ssh-ed25519",
    "rsa-sha2-512,ssh-ed25519",
    "+ssh-rsa",
    "-ecdsa*",
    "^ssh-ed25519,rsa-sha2-256",
    "ssh-*",
    "*",
    "rsa-sha2-*,ssh-ed25519",
    "+ssh-rsa,ssh-dss",
];
const USERS: &[&str] =
    &["root", "a*", "bob eve", "root@10.0.0.0/8", "x@192.0.2.*", "!no yes", "'a b'"];
const GROUPS: &[&str] = &["root", "wheel adm", "staff*", "\"domain users\""];
const PERMIT: &[&str] =
    &["any", "none", "host:22", "*:80 localhost:*", "[::1]:443", "192.0.2.1:8080"];
const FORWARDING: &[&str] = &["yes", "no", "all", "local", "remote", "ALL"];

/// Keyword, values, and whether a `Match` block may hold it.
const KEYWORDS: &[(&str, &[&str], bool)] = &[
    ("AcceptEnv", &["LANG", "LANG LC_*", "'A B'", "X\tY # c"], true),
    ("AddressFamily", &["any", "inet", "inet6", "ANY", "any"], false),
    ("AllowAgentForwarding", FLAG, true),
    ("AllowGroups", GROUPS, true),
    ("AllowStreamLocalForwarding", FORWARDING, true),
    ("AllowTcpForwarding", FORWARDING, true),
    ("AllowUsers", USERS, true),
    (
        "AuthenticationMethods",
        &["publickey", "any", "publickey,password publickey,keyboard-interactive", "password"],
        true,
    ),
    ("AuthorizedKeysCommand", &["none", "/bin/x %u", "/bin/y 'a b' # c"], true),
    ("AuthorizedKeysCommandUser", &["nobody", "root"], true),
    ("AuthorizedKeysFile", &[".ssh/authorized_keys", "/etc/k/%u ~/k", "none"], true),
    ("AuthorizedPrincipalsCommand", &["none", "/bin/p"], true),
    ("AuthorizedPrincipalsCommandUser", &["nobody"], true),
    ("AuthorizedPrincipalsFile", &["none", "/etc/p/%u", "~/p"], true),
    ("Banner", PATH, true),
    ("CASignatureAlgorithms", &["ssh-ed25519", "-rsa*", "+ssh-rsa", "^rsa-sha2-256"], true),
    ("ChallengeResponseAuthentication", FLAG, true),
    ("ChannelTimeout", &["none", "session=5m", "session=1h x11-connection=30"], true),
    ("CheckMail", &["whatever it is"], false),
    ("ChrootDirectory", &["none", "/srv/%u", "None"], true),
    (
        "Ciphers",
        &[
            "aes256-ctr",
            "aes128-ctr,aes256-gcm@openssh.com",
            "-aes*",
            "+3des-cbc",
            "^aes256-ctr",
            "aes128-ctr,aes128-ctr",
            "-chacha20*,aes128-ctr",
        ],
        false,
    ),
    ("ClientAliveCountMax", INTEGER, true),
    ("ClientAliveInterval", TIME, true),
    ("Compression", &["yes", "no", "delayed"], false),
    ("DebianBanner", FLAG, false),
    ("DenyGroups", GROUPS, true),
    ("DenyUsers", USERS, true),
    ("DisableForwarding", FLAG, true),
    ("DSAAuthentication", FLAG, false),
    ("ExposeAuthInfo", FLAG, true),
    ("FingerprintHash", &["sha256", "MD5", "SHA512"], false),
    (
        "ForceCommand",
        &["none", "/bin/false", "internal-sftp -d /x", "\"echo\" 'a  b' # no", "NONE"],
        true,
    ),
    ("GatewayPorts", &["yes", "no", "clientspecified"], true),
    ("GSSAPIAuthentication", FLAG, true),
    ("GSSAPICleanupCredentials", FLAG, false),
    ("GSSAPICleanupCreds", FLAG, false),
    ("GSSAPIKexAlgorithms", &["gss-group14-sha256-", "gss-gex-sha1-,gss-nistp256-sha256-"], false),
    ("GSSAPIKeyExchange", FLAG, false),
    ("GSSAPIStoreCredentialsOnRekey", FLAG, false),
    ("GSSAPIStrictAcceptorCheck", FLAG, false),
    ("HostbasedAcceptedAlgorithms", KEYS, true),
    ("HostbasedAcceptedKeyTypes", KEYS, true),
    ("HostbasedAuthentication", FLAG, true),
    ("HostbasedUsesNameFromPacketOnly", FLAG, true),
    ("HostCertificate", &["/etc/cert.pub"], false),
    ("HostKey", &["/etc/none_key", "/etc/other_key"], false),
    ("HostKeyAgent", &["none", "/run/agent", "\"/a b\"", "SSH_AUTH_SOCK"], false),
    ("HostKeyAlgorithms", KEYS, false),
    ("IgnoreRhosts", &["yes", "no", "shosts-only"], true),
    ("IgnoreUserKnownHosts", FLAG, false),
    ("IPQoS", &["lowdelay", "af21 cs1", "none", "0x10 8", "EF throughput", "255", "le 017"], true),
    ("KbdInteractiveAuthentication", FLAG, true),
    ("KeepAlive", FLAG, false),
    ("KerberosAuthentication", FLAG, true),
    ("KerberosOrLocalPasswd", FLAG, false),
    ("KerberosTicketCleanup", FLAG, false),
    (
        "KexAlgorithms",
        &["curve25519-sha256", "-ecdh*", "+diffie-hellman-group14-sha1", "^ecdh-sha2-nistp521"],
        false,
    ),
    (
        "ListenAddress",
        &["0.0.0.0", "127.0.0.1:2222", "::", "[::1]:22", "[2001:db8::1]", "10.1"],
        false,
    ),
    ("LoginGraceTime", TIME, false),
    (
        "LogLevel",
        &["INFO", "quiet", "VERBOSE", "debug1", "Debug", "DEBUG3", "silent", "fatal"],
        true,
    ),
    ("LogVerbose", &["none", "kex.c:*:1000", "a b"], true),
    ("MACs", &["hmac-sha2-256", "-*sha1*", "+hmac-md5", "^hmac-sha2-512-etm@openssh.com"], false),
    ("MaxAuthTries", INTEGER, true),
    ("MaxSessions", INTEGER, true),
    ("MaxStartups", &["10", "10:30:100", "5:50:60", "7"], false),
    ("ModuliFile", &["/etc/ssh/moduli"], false),
    ("PasswordAuthentication", FLAG, true),
    ("PermitEmptyPasswords", FLAG, true),
    ("PermitListen", &["any", "none", "8080", "localhost:22 *:9", "*"], true),
    ("PermitOpen", PERMIT, true),
    (
        "PermitRootLogin",
        &["yes", "no", "without-password", "prohibit-password", "forced-commands-only", "Yes"],
        true,
    ),
    ("PermitTTY", FLAG, true),
    ("PermitTunnel", &["yes", "no", "point-to-point", "ethernet"], true),
    ("PermitUserEnvironment", &["yes", "no", "LANG,LC_*"], false),
    ("PermitUserRC", FLAG, true),
    ("PerSourceMaxStartups", &["none", "3", "10"], false),
    ("PerSourceNetBlockSize", &["32:128", "24:64", "0:0"], false),
    ("PidFile", PATH, false),
    ("Port", &["22", "2222", "ssh", "8022"], false),
    ("PrintLastLog", FLAG, false),
    ("PrintMotd", FLAG, false),
    ("Protocol", &["2", "1,2"], false),
    ("PubkeyAcceptedAlgorithms", KEYS, true),
    ("PubkeyAcceptedKeyTypes", KEYS, true),
    ("PubkeyAuthentication", FLAG, true),
    (
        "PubkeyAuthOptions",
        &["none", "touch-required", "verify-required touch-required", "none verify-required"],
        true,
    ),
    (
        "RekeyLimit",
        &["default", "1G", "512M 1h", "default none", "1.5k 30", "default 2m", "16"],
        true,
    ),
    ("RequiredRSASize", &["1024", "2048", "3072"], true),
    ("RevokedKeys", PATH, true),
    ("RSAAuthentication", FLAG, true),
    ("SecurityKeyProvider", &["internal", "/lib/sk.so", "none"], false),
    ("SetEnv", &["A=1", "A=1 B=2 A=3", "'A=x y'", "C="], true),
    ("SkeyAuthentication", FLAG, true),
    ("StreamLocalBindMask", &["0177", "077", "0", "777"], true),
    ("StreamLocalBindUnlink", FLAG, true),
    ("StrictModes", FLAG, false),
    ("SyslogFacility", &["AUTH", "authpriv", "LOCAL7", "daemon"], false),
    ("TCPKeepAlive", FLAG, false),
    ("TrustedUserCAKeys", PATH, true),
    ("UnusedConnectionTimeout", &["none", "5m", "1h"], true),
    ("UseDNS", FLAG, false),
    ("UsePAM", FLAG, false),
    ("UsePrivilegeSeparation", &["sandbox"], false),
    ("VersionAddendum", &["none", "Debian-1", "a b # c", "\"q\""], false),
    ("X11DisplayOffset", INTEGER, true),
    ("X11Forwarding", FLAG, true),
    ("X11UseLocalhost", FLAG, true),
    ("XAuthLocation", PATH, false),
];

/// Lines that sshd refuses, or that look as if it would.
const ODD: &[&str] = &[
    "PermitRootLogin maybe",
    "PermitRootLogin",
    "PermitRootLogin yes no",
    "PermitRootLogin \"yes",
    "\"PermitRootLogin yes",
    "NoSuchKeyword yes",
    "Port 0",
    "Port 70000",
    "Port 22 23",
    "LoginGraceTime 1x",
    "MaxAuthTries -1",
    "MaxAuthTries many",
    "Ciphers rot13",
    "Ciphers aes*",
    "MACs none",
    "HostKeyAlgorithms !ssh-rsa",
    "MaxStartups 10:30",
    "MaxStartups 100:30:10",
    "PermitTunnel Yes",
    "RekeyLimit 5",
    "AcceptEnv A=b",
    "SetEnv A",
    "AllowUsers x@10.0.0.1/8",
    "AllowUsers ''",
    "AuthenticationMethods",
    "AuthenticationMethods any publickey",
    "AuthenticationMethods telepathy",
    "Match",
    "Match all user root",
    "Match colour red",
    "Match address 10.0.0.1/8",
    "Match user",
    "Match localport nonsense",
    "Include",
    "Include \"\"",
    "ForceCommand",
    "AuthorizedKeysCommand relative",
    "StreamLocalBindMask 9",
    "StreamLocalBindMask 1000",
    "IPQoS fast",
    "ListenAddress 1.2.3.4:",
    "ListenAddress [::1",
    "PermitOpen host",
    "LogLevel LOUD",
    "RDomain x",
    "Subsystem sftp",
    "# only a comment",
    "#PermitRootLogin yes",
    "   ",
    "X11Forwarding yes # fine",
    "X11Forwarding yes#not",
    "= X11Forwarding yes",
    "X11Forwarding == yes",
    "\"X11Forwarding\" \"yes\"",
    "X11Forwarding 'yes'",
    "X11Forwarding y\\es",
    "AcceptEnv #nothing",
    "PubkeyAuthOptions #nothing",
    "Match user root,!root # c",
    "Match User=root",
    "Match \"user\" root",
    "Match all # everybody",
];

/// Makes the configuration of a seed below a directory.
pub fn generate(seed: u64, root: &str) -> Case {
    let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
    let mut case = Case {
        user: dice.pick(&["root", "nobody", "daemon", "games", "alice"]).into(),
        host: dice.pick(&["web1.example.org", "h", "Gate.Example.NET"]).into(),
        addr: dice.pick(&["192.0.2.7", "10.1.2.3", "2001:db8::7", "127.0.0.1"]).into(),
        laddr: dice.pick(&["192.0.2.1", "::1"]).into(),
        lport: [22, 2222][dice.below(2)],
        files: Vec::new(),
    };
    let mut writer = Writer { dice: &mut dice, root: root.to_string(), files: Vec::new() };
    let main = writer.file(0, false);
    let mut files = vec![(format!("{root}/sshd_config"), main)];
    files.append(&mut writer.files);
    if dice.one_in(8) {
        for (_, text) in &mut files {
            *text = damaged(&mut dice, text);
        }
    }
    case.files = files;
    case
}

/// The text with a character put in, taken out or doubled somewhere: what typing errors do. Lines
/// that would make sshd ask for names (of hosts, of users' homes) are left alone.
fn damaged(dice: &mut Dice, text: &str) -> String {
    let mut lines: Vec<String> = text.split('\n').map(str::to_string).collect();
    let at = dice.below(lines.len());
    let lower = lines[at].to_ascii_lowercase();
    if lower.contains("listenaddress") || lower.contains('~') || lower.contains("include") {
        return text.to_string();
    }
    let mut characters: Vec<char> = lines[at].chars().collect();
    let place = dice.below(characters.len() + 1);
    let put =
        dice.pick(&[" ", "=", "\"", "'", "\\", "#", ",", "\t", "*", "!", "?", "\r", ":", "0"]);
    match dice.below(4) {
        0 if place < characters.len() => drop(characters.remove(place)),
        1 if place < characters.len() => characters.insert(place, characters[place]),
        _ => characters.insert(place, put.chars().next().unwrap_or(' ')),
    }
    lines[at] = characters.into_iter().collect();
    lines.join("\n")
}

struct Writer<'a> {
    dice: &'a mut Dice,
    root: String,
    files: Vec<(String, String)>,
}

const NESTING_MAX: usize = 3;

impl Writer<'_> {
    /// The text of a file; `in_match` when it is included from inside a block.
    fn file(&mut self, depth: usize, in_match: bool) -> String {
        let mut in_match = in_match;
        let mut text = String::new();
        let lines = 2 + self.dice.below(if depth == 0 { 24 } else { 8 });
        for _ in 0..lines {
            match self.dice.below(40) {
                0..=4 => {
                    text.push_str(&self.matched());
                    in_match = true;
                }
                5..=7 if depth < NESTING_MAX => {
                    let line = self.include(depth, in_match);
                    text.push_str(&line);
                }
                8 if self.dice.one_in(12) => text.push_str(self.dice.pick(ODD)),
                9 => text.push_str(self.dice.pick(&["# comment", "", "\t", "#X11Forwarding no"])),
                10 if !in_match => text.push_str(&self.subsystem()),
                _ => text.push_str(&self.directive(in_match)),
            }
            text.push_str(if self.dice.one_in(15) { "\r\n" } else { "\n" });
        }
        if self.dice.one_in(4) {
            text.truncate(text.trim_end().len());
        }
        text
    }

    fn directive(&mut self, in_match: bool) -> String {
        let (name, values) = loop {
            let (name, values, anywhere) = KEYWORDS[self.dice.below(KEYWORDS.len())];
            if anywhere || !in_match || self.dice.one_in(150) {
                break (name, values);
            }
        };
        let value = self.dice.pick(values);
        let raw = ["ForceCommand", "VersionAddendum", "AuthorizedKeysCommand"].contains(&name);
        self.line(name, value, raw)
    }

    /// A keyword and its value in some spelling; a raw value is the rest of the line as it is.
    fn line(&mut self, name: &str, value: &str, raw: bool) -> String {
        let name = match self.dice.below(5) {
            0 => name.to_ascii_lowercase(),
            1 => name.to_ascii_uppercase(),
            2 if self.dice.one_in(4) => format!("\"{name}\""),
            _ => name.to_string(),
        };
        let quoted = name.starts_with('"');
        let between = match self.dice.below(8) {
            0 if !quoted => "=",
            1 if !quoted => " = ",
            2 => "\t",
            3 => "   ",
            4 if !quoted => " =",
            _ => " ",
        };
        let plain = !raw && !value.contains([' ', '\'', '"', '\t', '#']);
        let value = match self.dice.below(8) {
            0 if plain => format!("\"{value}\""),
            1 if plain => format!("'{value}'"),
            _ => value.to_string(),
        };
        let before = self.dice.pick(&["", "", "", "  ", "\t"]);
        let after = match self.dice.below(10) {
            0 => "  ",
            1 if !raw => " # comment",
            2 if !raw => "\t#x 'y",
            _ => "",
        };
        format!("{before}{name}{between}{value}{after}")
    }

    fn subsystem(&mut self) -> String {
        let number = self.dice.below(2000);
        format!("Subsystem s{number} /usr/lib/sftp-server  -l 'IN FO' # c")
    }

    fn matched(&mut self) -> String {
        let mut line = self.dice.pick(&["Match", "match", "MATCH", "  Match"]).to_string();
        if self.dice.one_in(5) {
            return line + self.dice.pick(&[" all", " All", " ALL # c", "=all"]);
        }
        for _ in 0..1 + self.dice.below(2) {
            let between = self.dice.pick(&[" ", " ", "=", "\t"]);
            let (name, values): (&str, &[&str]) = match self.dice.below(6) {
                0 => {
                    ("User", &["root", "no*,ro*", "!root,*", "nobody,daemon", "a?ice", "\"root\""])
                }
                1 => ("Group", &["root", "nogroup,daemon", "*,!root", "gam*"]),
                2 => ("Host", &["*.example.org", "GATE.*", "h", "!h,*", "*.example.???"]),
                3 => (
                    "Address",
                    &[
                        "192.0.2.0/24",
                        "10.0.0.0/8,!10.1.2.3",
                        "2001:db8::/32",
                        "127.*",
                        "*",
                        "127.1",
                    ],
                ),
                4 => ("LocalAddress", &["192.0.2.1", "::1", "!192.0.2.1,*", "0.0.0.0/0"]),
                _ => ("LocalPort", &["22", "2222", "ssh"]),
            };
            let name = if self.dice.one_in(3) { name.to_lowercase() } else { name.to_string() };
            line.push_str(&format!(" {name}{between}{}", self.dice.pick(values)));
        }
        if self.dice.one_in(6) {
            line.push_str(" # who");
        }
        line
    }

    fn include(&mut self, depth: usize, in_match: bool) -> String {
        let number = self.files.len();
        let directory = format!("{}/{depth}-{number}.d", self.root);
        match self.dice.below(6) {
            0 => format!("Include {directory}/nothing*.conf"),
            1 => {
                // An earlier file once more, as long as it does not include us.
                let known = self.files.iter().rfind(|(path, _)| path.contains("/leaf"));
                let path = known.map_or(format!("{directory}/absent"), |(path, _)| path.clone());
                format!("Include \"{path}\"")
            }
            2 => {
                let text = self.file(NESTING_MAX, in_match);
                self.files.push((format!("{directory}/leaf.conf"), text));
                format!("include={directory}/leaf.conf # one")
            }
            _ => {
                let names = ["10-a.conf", "2-b.conf", "Z.conf", ".hidden.conf", "90-c.txt"];
                for name in names.iter().take(1 + self.dice.below(names.len())) {
                    let text = self.file(depth + 1, in_match);
                    self.files.push((format!("{directory}/{name}"), text));
                }
                let pattern = self.dice.pick(&["*.conf", "[0-9]*.conf", "*", "?*-?.conf"]);
                format!("Include {directory}/{pattern}")
            }
        }
    }
}
