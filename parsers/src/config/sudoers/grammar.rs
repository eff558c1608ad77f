//! The grammar of one logical line of sudoers(5).

use std::sync::Arc;

use crate::place::Place;

use super::cursor::{
    Cursor, Fault, HOST_SIGNS, Keyword, USER_SIGNS, closing_quote, is_alias, is_whole_digest,
    unescaped,
};
use super::parameters::fault;
use super::{
    Alias, AliasKind, Command, Joined, Member, Operator, Rule, Runas, Scope, Setting, Sudoers,
    Tags, What,
};

/// An include directive.
pub(super) struct Include {
    pub is_directory: bool,
    pub path: String,
    /// Something stands behind the path that is no comment.
    pub has_more: bool,
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
    let (path, rest) = match path.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((inner, rest)) => (inner.to_string(), rest),
        // The path ends at a blank.
        None => {
            let (path, rest) = path.split_at(blank(path).unwrap_or(path.len()));
            (unescaped(path), rest)
        }
    };
    let rest = rest.trim_start();
    Some(Include { is_directory, path, has_more: !rest.is_empty() && !rest.starts_with('#') })
}

/// The first blank without a backslash before it.
fn blank(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len())
        .find(|at| matches!(bytes[*at], b' ' | b'\t') && (*at == 0 || bytes[*at - 1] != b'\\'))
}

/// Reads one line into the policy, or notes why it could not be.
pub(super) fn line(policy: &mut Sudoers, file: &Arc<str>, line: &Joined) {
    let mut cursor = Cursor { text: &line.text, at: 0 };
    cursor.blanks();
    let start = cursor.at;
    let keyword = cursor.keyword();
    if keyword.is_some() && line.place(file, start).0.line != line.segments[0].1 {
        let message = "a line that is continued cannot begin with this word";
        return policy.problems.push(line.place(file, start).0, message);
    }
    let mut entry = Entry { policy, file, line };
    let read = match keyword {
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

impl Tags {
    /// Sets the field of a tag; `false` when there is no such tag.
    pub(super) fn set(&mut self, name: &str) -> bool {
        let (field, value) = match name {
            "PASSWD" => (&mut self.password, true),
            "NOPASSWD" => (&mut self.password, false),
            "SETENV" => (&mut self.setenv, true),
            "NOSETENV" => (&mut self.setenv, false),
            "EXEC" => (&mut self.exec, true),
            "NOEXEC" => (&mut self.exec, false),
            "FOLLOW" => (&mut self.follow, true),
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
    line: &'a Joined,
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
        if let Some(message) = fault(&name, operator, (width > 0).then_some(&value)) {
            self.policy.notes.push(place.clone(), message);
        }
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
            commands.iter().for_each(|command| self.digests(command, &place));
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

    /// Notes digests that no file can have.
    fn digests(&mut self, command: &Command, place: &Place) {
        if !command.digests.iter().all(|digest| is_whole_digest(digest)) {
            self.policy.notes.push(place.clone(), "a digest of the wrong length");
        }
    }

    fn user_spec(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let users = Arc::new(cursor.members(USER_SIGNS)?);
        if cursor.peek() == Some(b':') {
            return Err((cursor.at, "not expected here"));
        }
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
            // First the options, then the tags: an option behind a tag is no option.
            while let Some((name, value)) = cursor.option()? {
                let all = Arc::make_mut(&mut options);
                all.retain(|(known, _)| *known != name);
                all.push((name, value));
            }
            while let Some(name) = cursor.tag() {
                tags.set(name);
            }
            cursor.blanks();
            let (place, text) = self.line.place(self.file, cursor.at);
            let command = cursor.command()?;
            self.digests(&command, &place);
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
