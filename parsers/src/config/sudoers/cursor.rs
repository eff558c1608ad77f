//! Words, lists and commands of sudoers(5), read from left to right.

use super::AliasKind;
use super::{Command, Member, Runas, Tags, What, Who};

/// What is wrong and where in the line.
pub(super) type Fault = (usize, &'static str);

/// What a line starts with.
pub(super) enum Keyword {
    Defaults,
    Alias(AliasKind),
}

/// A place in a line.
pub(super) struct Cursor<'a> {
    pub text: &'a str,
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Takes a sign, with blanks before and after it.
    pub fn take(&mut self, sign: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(sign);
        if found {
            self.at += 1;
            self.blanks();
        }
        found
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn keyword(&mut self) -> Option<Keyword> {
        let rest = self.rest();
        let known = [
            ("User_Alias", AliasKind::User),
            ("Runas_Alias", AliasKind::Runas),
            ("Host_Alias", AliasKind::Host),
            ("Cmnd_Alias", AliasKind::Command),
            ("Cmd_Alias", AliasKind::Command),
        ];
        for (name, kind) in known {
            if rest.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '\t'])) {
                self.at += name.len();
                return Some(Keyword::Alias(kind));
            }
        }
        let after = rest.strip_prefix("Defaults")?;
        if !after.starts_with([' ', '\t', '@', ':', '!', '>']) {
            return None;
        }
        self.at += "Defaults".len();
        Some(Keyword::Defaults)
    }

    /// `!` any number of times: whether it was odd.
    pub fn negation(&mut self) -> bool {
        let mut negated = false;
        while self.take(b'!') {
            negated = !negated;
        }
        negated
    }

    /// A word up to a blank or one of the signs, escapes taken off; quotes hold it together.
    pub fn word(&mut self, signs: &[u8]) -> Result<String, Fault> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut word = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' if self.at + 1 < bytes.len() => {
                    word.push(bytes[self.at + 1]);
                    self.at += 2;
                }
                b'"' => {
                    let end = closing_quote(bytes, self.at);
                    let end = end.ok_or((self.at, "a quote that does not end"))?;
                    let is_whole = word.is_empty();
                    // Only a quote is escaped between quotes.
                    let inner = self.text[self.at + 1..end].replace("\\\"", "\"");
                    word.extend(inner.into_bytes());
                    self.at = end + 1;
                    if is_whole {
                        break; // what follows is a word of its own
                    }
                }
                // `%:group`: a group of a plugin.
                b':' if signs == USER_SIGNS && word == b"%" => {
                    word.push(byte);
                    self.at += 1;
                }
                b':' if signs == HOST_SIGNS && is_ipv6_colon(&word, bytes.get(self.at + 1)) => {
                    word.push(byte);
                    self.at += 1;
                }
                _ if byte.is_ascii_whitespace() || signs.contains(&byte) => break,
                _ => {
                    word.push(byte);
                    self.at += 1;
                }
            }
        }
        if word.is_empty() {
            return Err((start, "a name is expected here"));
        }
        Ok(String::from_utf8_lossy(&word).into_owned())
    }

    /// A comma-separated list of users or hosts.
    pub fn members(&mut self, signs: &[u8]) -> Result<Vec<Member>, Fault> {
        let mut members = Vec::new();
        loop {
            let negated = self.negation();
            self.blanks();
            let start = self.at;
            let is_quoted = self.peek() == Some(b'"');
            let word = self.word(signs)?;
            if signs == USER_SIGNS && !is_quoted && is_network(&word) {
                return Err((start, "a network cannot stand among users"));
            }
            if matches!(word.as_str(), "%" | "%:" | "+") && signs == USER_SIGNS {
                return Err((start, "the name of the group is missing"));
            }
            let who = if is_quoted { quoted(word) } else { who(word, start)? };
            members.push(Member { negated, who });
            if !self.take(b',') {
                return Ok(members);
            }
        }
    }

    /// One command with its digests.
    pub fn command(&mut self) -> Result<Command, Fault> {
        let mut digests = Vec::new();
        while let Some(digest) = self.digest() {
            digests.push(digest);
            self.take(b',');
        }
        let negated = self.negation();
        self.blanks();
        let start = self.at;
        let what = if self.peek() == Some(b'^') {
            What::Path { path: self.regex()?, arguments: self.arguments()? }
        } else {
            let word = self.word(b",:=#")?;
            if word.starts_with('/') && has_odd_escape(&self.text[start..self.at]) {
                return Err((start, "a full path escapes only `,:=#` and blanks"));
            }
            match word.as_str() {
                "ALL" => What::All,
                "sudoedit" => What::Edit(self.arguments()?.unwrap_or_default()),
                "list" => What::List(self.arguments()?),
                path if path.starts_with('/') || path == "*" => {
                    let arguments = self.arguments()?;
                    What::Path { path: word, arguments }
                }
                name if is_alias(name) => What::Alias(word),
                _ => return Err((start, "a command is a full path, an alias or ALL")),
            }
        };
        if !digests.is_empty() && matches!(what, What::Alias(_)) {
            return Err((start, "a digest requires a path"));
        }
        Ok(Command { negated, digests, what })
    }

    /// `sha256:…`, in hexadecimal or Base64 digits.
    pub fn digest(&mut self) -> Option<String> {
        self.blanks();
        let rest = self.rest();
        let found = DIGESTS.iter().find_map(|(name, _)| {
            let after = rest.strip_prefix(name)?.trim_start_matches([' ', '\t']);
            Some((*name, after.strip_prefix(':')?.trim_start_matches([' ', '\t'])))
        });
        let (name, value) = found?;
        let is_digit = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        let digits = &value[..value.find(|c| !is_digit(c)).unwrap_or(value.len())];
        self.at = self.text.len() - value.len() + digits.len();
        Some(format!("{name}:{digits}"))
    }

    /// `^…$`, to the `$` that a blank, a sign or the end follows.
    pub fn regex(&mut self) -> Result<String, Fault> {
        let rest = self.rest();
        let end = rest.match_indices('$').map(|(at, _)| at + 1).find(|end| {
            rest[*end..].chars().next().is_none_or(|c| c.is_whitespace() || ",:".contains(c))
        });
        let end = end.ok_or((self.at, "a regular expression that does not end with $"))?;
        self.at += end;
        Ok(rest[..end].to_string())
    }

    /// Arguments up to an unescaped `,`, `:` or `#`; `""` means "none at all". The manual wants `=`
    /// escaped too, but sudo's lexer takes it into a run of other characters (`sudoedit=!X` has the
    /// argument `=!X`): only where it stands alone does it end the command.
    pub fn arguments(&mut self) -> Result<Option<String>, Fault> {
        self.blanks();
        if self.peek() == Some(b'^') {
            return self.regex().map(Some);
        }
        let bytes = self.text.as_bytes();
        let mut found = Vec::new();
        let mut in_run = false;
        while let Some(byte) = self.peek() {
            let goes_on = bytes.get(self.at + 1).is_some_and(|next| !b"#\\:, \t".contains(next));
            let ends = matches!(byte, b',' | b':' | b'#') || (byte == b'=' && !in_run && !goes_on);
            if ends {
                break;
            }
            in_run = !matches!(byte, b'\\' | b' ' | b'\t');
            match byte {
                b'\\' if bytes.get(self.at + 1).is_some_and(|next| b",:=#\\ \t".contains(next)) => {
                    found.push(bytes[self.at + 1]);
                    self.at += 2;
                }
                b'\\' if bytes.get(self.at + 1).is_some_and(|next| b"*?[]!^".contains(next)) => {
                    found.extend(&bytes[self.at..self.at + 2]);
                    self.at += 2;
                }
                b'\\' => {
                    return Err((self.at, "arguments escape only `,:=#\\`, blanks and patterns"));
                }
                // sudo keeps one space between arguments, however they are written.
                b' ' | b'\t' => {
                    if found.last() != Some(&b' ') {
                        found.push(b' ');
                    }
                    self.at += 1;
                }
                _ => {
                    found.push(byte);
                    self.at += 1;
                }
            }
        }
        let text = String::from_utf8_lossy(&found).trim().to_string();
        Ok(match text.as_str() {
            "" => None,
            "\"\"" => Some(String::new()),
            _ => Some(text),
        })
    }

    pub fn commands(&mut self) -> Result<Vec<Command>, Fault> {
        let mut commands = Vec::new();
        loop {
            commands.push(self.command()?);
            if !self.take(b',') {
                return Ok(commands);
            }
        }
    }

    /// A tag such as `NOPASSWD:`.
    pub fn tag(&mut self) -> Option<&'a str> {
        self.blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_')?;
        let after = rest[end..].trim_start();
        let name = &rest[..end];
        if !after.starts_with(':') || !Tags::default().set(name) {
            return None;
        }
        self.at = self.text.len() - after.len() + 1;
        Some(name)
    }

    /// An option such as `CWD=/tmp`.
    pub fn option(&mut self) -> Result<Option<(String, String)>, Fault> {
        self.blanks();
        let rest = self.rest();
        let Some(end) = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_') else {
            return Ok(None);
        };
        let after = rest[end..].trim_start();
        if !OPTIONS.contains(&&rest[..end]) || !after.starts_with('=') {
            return Ok(None);
        }
        self.at = self.text.len() - after.len() + 1;
        self.blanks();
        let value = self.word(b",=:()!>#")?;
        Ok(Some((rest[..end].to_string(), value)))
    }
}

/// Names of digests and how many bytes they have.
const DIGESTS: [(&str, usize); 4] =
    [("sha224", 28), ("sha256", 32), ("sha384", 48), ("sha512", 64)];

/// Whether a digest (`sha256:…`) has the length that its name says, in hexadecimal or Base64 digits.
pub(super) fn is_whole_digest(digest: &str) -> bool {
    let Some((name, digits)) = digest.split_once(':') else { return false };
    let Some((_, bytes)) = DIGESTS.iter().find(|(known, _)| *known == name) else { return false };
    let is_hex = digits.len() == 2 * bytes && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let padded = digits.ends_with('=');
    is_hex || digits.len() == if padded { 4 * bytes.div_ceil(3) } else { (4 * bytes).div_ceil(3) }
}

/// Whether a backslash stands before something that a path does not escape.
fn has_odd_escape(raw: &str) -> bool {
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && !bytes.next().is_some_and(|next| b",:= \t#".contains(&next)) {
            return true;
        }
    }
    false
}

pub(super) const USER_SIGNS: &[u8] = b",=:()!>";
pub(super) const HOST_SIGNS: &[u8] = b",=:()!";
const OPTIONS: [&str; 10] = [
    "CWD",
    "CHROOT",
    "TIMEOUT",
    "ROLE",
    "TYPE",
    "NOTBEFORE",
    "NOTAFTER",
    "PRIVS",
    "LIMITPRIVS",
    "APPARMOR_PROFILE",
];

/// Whether a word is an IPv4 address or network.
fn is_network(word: &str) -> bool {
    let (address, mask) = word.split_once('/').unwrap_or((word, "0"));
    let is_address = |text: &str| text.parse::<std::net::Ipv4Addr>().is_ok();
    is_address(address) && (is_address(mask) || mask.parse::<u8>().is_ok_and(|bits| bits <= 32))
}

/// Longest IPv6 address as text.
const IPV6_BYTES_MAX: usize = 45;

/// Whether a `:` in a host list belongs to an IPv6 address.
fn is_ipv6_colon(word: &[u8], next: Option<&u8>) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':';
    // `fe80::/10`: the last colon stands before the length of the prefix.
    let is_last = |next: &u8| *next == b'/' && word.last() == Some(&b':');
    word.len() < IPV6_BYTES_MAX
        && word.iter().all(is_part)
        && next.is_some_and(|next| is_part(next) || is_last(next))
}

pub(super) fn is_alias(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn who(word: String, at: usize) -> Result<Who, Fault> {
    let id = |digits: &str| digits.parse().map_err(|_| (at, "an id that is not a number"));
    Ok(match word.as_str() {
        "ALL" => Who::All,
        _ if is_alias(&word) => Who::Alias(word),
        _ => match word.strip_prefix('#') {
            Some(digits) => Who::Uid(match digits {
                "-1" => u32::MAX,
                digits => id(digits)?,
            }),
            None => match word.strip_prefix("%#") {
                Some(digits) => Who::Gid(id(digits)?),
                None => quoted(word),
            },
        },
    })
}

/// A name whose capitals do not make it an alias.
fn quoted(word: String) -> Who {
    if let Some(name) = word.strip_prefix("%:") {
        Who::OtherGroup(name.to_string())
    } else if let Some(name) = word.strip_prefix('%') {
        Who::Group(name.to_string())
    } else if let Some(name) = word.strip_prefix('+') {
        Who::Netgroup(name.to_string())
    } else {
        Who::Name(word)
    }
}

/// The closing quote of the one at `open`.
pub(super) fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            out.extend(characters.next());
        } else {
            out.push(character);
        }
    }
    out
}

impl Cursor<'_> {
    pub fn scoped(&mut self, signs: &[u8]) -> Result<Vec<Member>, Fault> {
        self.at += 1;
        self.members(signs)
    }

    pub fn end(&mut self) -> Result<(), Fault> {
        self.blanks();
        if self.at == self.text.len() { Ok(()) } else { Err((self.at, "not expected here")) }
    }

    /// `(users : groups)`.
    pub fn runas(&mut self) -> Result<Option<Runas>, Fault> {
        if !self.take(b'(') {
            return Ok(None);
        }
        let is_group_or_end = |byte| matches!(byte, Some(b':' | b')'));
        let users =
            if is_group_or_end(self.peek()) { Vec::new() } else { self.members(USER_SIGNS)? };
        let groups = if self.take(b':') && self.peek() != Some(b')') {
            let start = self.at;
            let groups = self.members(USER_SIGNS)?;
            let is_name = |one: &Member| {
                matches!(one.who, Who::All | Who::Name(_) | Who::Alias(_) | Who::Uid(_))
            };
            if !groups.iter().all(is_name) {
                return Err((start, "groups are written by name alone here"));
            }
            groups
        } else {
            Vec::new()
        };
        if !self.take(b')') {
            return Err((self.at, "`)` is expected here"));
        }
        Ok(Some(Runas { users, groups }))
    }
}
