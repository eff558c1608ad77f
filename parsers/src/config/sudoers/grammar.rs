//! The grammar of one logical line of sudoers(5).

use std::sync::Arc;

use super::{
    Alias, AliasKind, Command, Logical, Member, Operator, Rule, Runas, Scope, Setting, Sudoers,
    Tags, What, Who,
};

/// An include directive.
pub(super) struct Include {
    pub is_directory: bool,
    pub path: String,
}

/// Where a comment starts: an unescaped `#` outside of quotes that starts neither an id (`#1000`) nor
/// an include.
pub(super) fn comment(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    if include(line).is_some() {
        return None;
    }
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' if at == 0 || b" \t,=:!%+@(>".contains(&bytes[at - 1]) => {
                if let Some(end) = closing_quote(bytes, at) {
                    at = end;
                }
            }
            b'#' => {
                let rest = &bytes[at + 1..];
                let rest = rest.strip_prefix(b"-").unwrap_or(rest);
                if !rest.first().is_some_and(u8::is_ascii_digit) {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The closing quote of the one at `open`.
fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
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

/// An include directive, if the line is one.
pub(super) fn include(line: &str) -> Option<Include> {
    let line = line.trim();
    let rest = line.strip_prefix(['@', '#'])?;
    let (word, path) = rest.split_once([' ', '\t'])?;
    let is_directory = match word {
        "include" => false,
        "includedir" => true,
        _ => return None,
    };
    let path = path.trim();
    let path = match path.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((inner, _)) => inner.to_string(),
        None => unescaped(path),
    };
    Some(Include { is_directory, path })
}

fn unescaped(text: &str) -> String {
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

/// What is wrong and where in the line.
type Fault = (usize, &'static str);

/// Reads one line into the policy, or notes why it could not be.
pub(super) fn line(policy: &mut Sudoers, file: &Arc<str>, line: &Logical) {
    let mut cursor = Cursor { text: &line.text, at: 0 };
    cursor.blanks();
    let mut entry = Entry { policy, file, line };
    let read = match cursor.keyword() {
        Some(Keyword::Defaults) => entry.defaults(&mut cursor),
        Some(Keyword::Alias(kind)) => entry.aliases(&mut cursor, kind),
        None => entry.user_spec(&mut cursor),
    };
    if let Err((at, message)) = read {
        // The joined text ends with a blank of its own: a fault at the end is where the line ends.
        let (place, _) = line.place(file, at.min(line.text.trim_end().len()));
        entry.policy.problems.push(place, message);
    }
}

enum Keyword {
    Defaults,
    Alias(AliasKind),
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Takes a sign, with blanks before and after it.
    fn take(&mut self, sign: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(sign);
        if found {
            self.at += 1;
            self.blanks();
        }
        found
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn keyword(&mut self) -> Option<Keyword> {
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
    fn negation(&mut self) -> bool {
        let mut negated = false;
        while self.take(b'!') {
            negated = !negated;
        }
        negated
    }

    /// A word up to a blank or one of the signs, escapes taken off; quotes hold it together.
    fn word(&mut self, signs: &[u8]) -> Result<String, Fault> {
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
                    word.extend(unescaped(&self.text[self.at + 1..end]).into_bytes());
                    self.at = end + 1;
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
    fn members(&mut self, signs: &[u8]) -> Result<Vec<Member>, Fault> {
        let mut members = Vec::new();
        loop {
            let negated = self.negation();
            self.blanks();
            let start = self.at;
            let is_quoted = self.peek() == Some(b'"');
            let word = self.word(signs)?;
            let who = if is_quoted { quoted(word) } else { who(word, start)? };
            members.push(Member { negated, who });
            if !self.take(b',') {
                return Ok(members);
            }
        }
    }

    /// One command with its digests.
    fn command(&mut self) -> Result<Command, Fault> {
        let negated = self.negation();
        let mut digests = Vec::new();
        while let Some(digest) = self.digest() {
            digests.push(digest);
            self.take(b',');
        }
        self.blanks();
        let start = self.at;
        let what = if self.peek() == Some(b'^') {
            What::Path { path: self.regex()?, arguments: self.arguments() }
        } else {
            let word = self.word(b",:=#")?;
            match word.as_str() {
                "ALL" => What::All,
                "sudoedit" => What::Edit(self.arguments().unwrap_or_default()),
                "list" => What::List(self.arguments()),
                path if path.starts_with('/') || path == "*" => {
                    let arguments = self.arguments();
                    What::Path { path: word, arguments }
                }
                name if is_alias(name) => What::Alias(word),
                _ => return Err((start, "a command is a full path, an alias or ALL")),
            }
        };
        Ok(Command { negated, digests, what })
    }

    fn digest(&mut self) -> Option<String> {
        self.blanks();
        let rest = self.rest();
        let is_digest =
            ["sha224:", "sha256:", "sha384:", "sha512:"].iter().any(|name| rest.starts_with(name));
        if !is_digest {
            return None;
        }
        let end = rest.find([' ', '\t', ',']).unwrap_or(rest.len());
        self.at += end;
        Some(rest[..end].to_string())
    }

    /// `^…$`, to the `$` that a blank, a sign or the end follows.
    fn regex(&mut self) -> Result<String, Fault> {
        let rest = self.rest();
        let end = rest.match_indices('$').map(|(at, _)| at + 1).find(|end| {
            rest[*end..].chars().next().is_none_or(|c| c.is_whitespace() || ",:".contains(c))
        });
        let end = end.ok_or((self.at, "a regular expression that does not end with $"))?;
        self.at += end;
        Ok(rest[..end].to_string())
    }

    /// Arguments up to an unescaped `,`, `:`, `=` or `#`; `""` means "none at all".
    fn arguments(&mut self) -> Option<String> {
        self.blanks();
        if self.peek() == Some(b'^')
            && let Ok(regex) = self.regex()
        {
            return Some(regex);
        }
        let bytes = self.text.as_bytes();
        let mut found = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' if bytes.get(self.at + 1).is_some_and(|next| b",:=#\\".contains(next)) => {
                    found.push(bytes[self.at + 1]);
                    self.at += 2;
                }
                b'\\' if self.at + 1 < bytes.len() => {
                    found.extend(&bytes[self.at..self.at + 2]);
                    self.at += 2;
                }
                b',' | b':' | b'=' | b'#' => break,
                _ => {
                    found.push(byte);
                    self.at += 1;
                }
            }
        }
        let text = String::from_utf8_lossy(&found).trim().to_string();
        match text.as_str() {
            "" => None,
            "\"\"" => Some(String::new()),
            _ => Some(text),
        }
    }

    fn commands(&mut self) -> Result<Vec<Command>, Fault> {
        let mut commands = Vec::new();
        loop {
            commands.push(self.command()?);
            if !self.take(b',') {
                return Ok(commands);
            }
        }
    }

    /// A tag such as `NOPASSWD:`.
    fn tag(&mut self) -> Option<&'a str> {
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
    fn option(&mut self) -> Result<Option<(String, String)>, Fault> {
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
        let value = self.word(b",")?;
        Ok(Some((rest[..end].to_string(), value)))
    }
}

const USER_SIGNS: &[u8] = b",=:()!>";
const HOST_SIGNS: &[u8] = b",=:()!";
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

/// Longest IPv6 address as text.
const IPV6_BYTES_MAX: usize = 45;

/// Whether a `:` in a host list belongs to an IPv6 address.
fn is_ipv6_colon(word: &[u8], next: Option<&u8>) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':';
    word.len() < IPV6_BYTES_MAX && word.iter().all(is_part) && next.is_some_and(is_part)
}

fn is_alias(word: &str) -> bool {
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

impl Tags {
    /// Sets the field of a tag; `false` when there is no such tag.
    fn set(&mut self, name: &str) -> bool {
        let (field, value) = match name {
            "PASSWD" => (&mut self.password, true),
            "NOPASSWD" => (&mut self.password, false),
            "SETENV" => (&mut self.setenv, true),
            "NOSETENV" => (&mut self.setenv, false),
            "EXEC" => (&mut self.exec, true),
            "NOEXEC" => (&mut self.exec, false),
            "FOLLOW" | "FOLLOWLNK" => (&mut self.follow, true),
            "NOFOLLOW" => (&mut self.follow, false),
            "LOG_INPUT" => (&mut self.log_input, true),
            "NOLOG_INPUT" => (&mut self.log_input, false),
            "LOG_OUTPUT" => (&mut self.log_output, true),
            "NOLOG_OUTPUT" => (&mut self.log_output, false),
            "MAIL" => (&mut self.mail, true),
            "NOMAIL" => (&mut self.mail, false),
            "INTERCEPT" => (&mut self.intercept, true),
            "NOINTERCEPT" => (&mut self.intercept, false),
            _ => return false,
        };
        *field = Some(value);
        true
    }
}

/// One line on its way into the policy.
struct Entry<'a> {
    policy: &'a mut Sudoers,
    file: &'a Arc<str>,
    line: &'a Logical,
}

impl Entry<'_> {
    fn defaults(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let sign = cursor.peek();
        let scope = match sign {
            Some(b'@') => Scope::Hosts(cursor.scoped(HOST_SIGNS)?),
            Some(b':') => Scope::Users(cursor.scoped(USER_SIGNS)?),
            Some(b'>') => Scope::Runas(cursor.scoped(USER_SIGNS)?),
            Some(b'!') => {
                cursor.at += 1;
                let mut commands = Vec::new();
                loop {
                    // Arguments are not allowed here: the word ends the command.
                    let negated = cursor.negation();
                    let word = cursor.word(b",")?;
                    let what = match word.as_str() {
                        "ALL" => What::All,
                        name if is_alias(name) => What::Alias(word),
                        _ => What::Path { path: word, arguments: None },
                    };
                    commands.push(Command { negated, digests: Vec::new(), what });
                    if !cursor.take(b',') {
                        break Scope::Commands(commands);
                    }
                }
            }
            _ => Scope::Global,
        };
        let scope = Arc::new(scope);
        loop {
            self.parameter(cursor, &scope)?;
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.end()
    }

    fn parameter(&mut self, cursor: &mut Cursor<'_>, scope: &Arc<Scope>) -> Result<(), Fault> {
        cursor.blanks();
        let start = cursor.at;
        let negated = cursor.negation();
        let name = cursor.word(b",=+-!:()")?;
        cursor.blanks();
        let rest = cursor.rest();
        let (operator, width) = if rest.starts_with("+=") {
            (Operator::Add, 2)
        } else if rest.starts_with("-=") {
            (Operator::Remove, 2)
        } else if rest.starts_with('=') {
            (Operator::Set, 1)
        } else if negated {
            (Operator::Off, 0)
        } else {
            (Operator::On, 0)
        };
        if negated && width > 0 {
            return Err((start, "a negated parameter has no value"));
        }
        cursor.at += width;
        let value = if width > 0 {
            cursor.blanks();
            if cursor.rest().starts_with("\"\"") {
                cursor.at += 2;
                String::new()
            } else {
                cursor.word(b",")?
            }
        } else {
            String::new()
        };
        let (place, text) = self.line.place(self.file, start);
        let scope = Arc::clone(scope);
        self.policy.defaults.push(Setting { scope, name, operator, value, place, text });
        Ok(())
    }

    fn aliases(&mut self, cursor: &mut Cursor<'_>, kind: AliasKind) -> Result<(), Fault> {
        loop {
            cursor.blanks();
            let start = cursor.at;
            let name = cursor.word(USER_SIGNS)?;
            if !is_alias(&name) || name == "ALL" {
                return Err((start, "an alias is written in capitals"));
            }
            if !cursor.take(b'=') {
                return Err((cursor.at, "`=` is expected here"));
            }
            let (members, commands) = match kind {
                AliasKind::Command => (Vec::new(), cursor.commands()?),
                AliasKind::Host => (cursor.members(HOST_SIGNS)?, Vec::new()),
                _ => (cursor.members(USER_SIGNS)?, Vec::new()),
            };
            let (place, _) = self.line.place(self.file, start);
            let alias = Alias { kind, members, commands, place: place.clone() };
            if self.policy.aliases.contains_key(&(kind, name.clone())) {
                self.policy.problems.push(place, "the alias is already defined");
            } else {
                self.policy.aliases.insert((kind, name), alias);
            }
            if !cursor.take(b':') {
                return cursor.end();
            }
        }
    }

    fn user_spec(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let users = Arc::new(cursor.members(USER_SIGNS)?);
        loop {
            cursor.blanks();
            let hosts = Arc::new(cursor.members(HOST_SIGNS)?);
            if !cursor.take(b'=') {
                return Err((cursor.at, "`=` is expected after the hosts"));
            }
            self.command_specs(cursor, &users, &hosts)?;
            if !cursor.take(b':') {
                return cursor.end();
            }
        }
    }

    fn command_specs(
        &mut self,
        cursor: &mut Cursor<'_>,
        users: &Arc<Vec<Member>>,
        hosts: &Arc<Vec<Member>>,
    ) -> Result<(), Fault> {
        let mut runas: Option<Arc<Runas>> = None;
        let mut tags = Tags::default();
        let mut options: Arc<Vec<(String, String)>> = Arc::default();
        loop {
            if let Some(given) = cursor.runas()? {
                runas = Some(Arc::new(given));
            }
            loop {
                if let Some(name) = cursor.tag() {
                    tags.set(name);
                } else if let Some((name, value)) = cursor.option()? {
                    let all = Arc::make_mut(&mut options);
                    all.retain(|(known, _)| *known != name);
                    all.push((name, value));
                } else {
                    break;
                }
            }
            cursor.blanks();
            let (place, text) = self.line.place(self.file, cursor.at);
            let command = cursor.command()?;
            let (users, hosts) = (Arc::clone(users), Arc::clone(hosts));
            let (runas, options) = (runas.clone(), Arc::clone(&options));
            self.policy.rules.push(Rule {
                users,
                hosts,
                runas,
                tags,
                options,
                command,
                place,
                text,
            });
            if !cursor.take(b',') {
                return Ok(());
            }
        }
    }
}

impl Cursor<'_> {
    fn scoped(&mut self, signs: &[u8]) -> Result<Vec<Member>, Fault> {
        self.at += 1;
        self.members(signs)
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.blanks();
        if self.at == self.text.len() { Ok(()) } else { Err((self.at, "not expected here")) }
    }

    /// `(users : groups)`.
    fn runas(&mut self) -> Result<Option<Runas>, Fault> {
        if !self.take(b'(') {
            return Ok(None);
        }
        let is_group_or_end = |byte| matches!(byte, Some(b':' | b')'));
        let users =
            if is_group_or_end(self.peek()) { Vec::new() } else { self.members(USER_SIGNS)? };
        let groups = if self.take(b':') && self.peek() != Some(b')') {
            self.members(USER_SIGNS)?
        } else {
            Vec::new()
        };
        if !self.take(b')') {
            return Err((self.at, "`)` is expected here"));
        }
        Ok(Some(Runas { users, groups }))
    }
}
