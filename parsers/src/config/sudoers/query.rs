//! Questions to a policy: who is meant, what is meant, and what the last matching rule says.

use super::{AliasKind, Command, Member, Operator, Rule, Scope, Setting, Sudoers, What, Who};
use crate::config::glob;

/// Deepest chain of aliases that is followed.
pub const ALIAS_DEPTH_MAX: usize = 32;

/// Most members that one list is expanded to.
pub const EXPANDED_MAX: usize = 10_000;

/// Most commands that one alias is expanded to.
pub const COMMANDS_MAX: usize = 1_000;

/// Somebody who asks sudo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Names and ids of all his groups.
    pub groups: Vec<(String, u32)>,
}

/// What the policy says about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The rule that decides: the last that matches.
    pub rule: &'a Rule,
    /// Whether it allows (`false`: a negated command).
    pub allowed: bool,
    /// Whether a password is asked.
    pub password: bool,
}

impl Sudoers {
    /// The parameter that holds for everybody: the last one of that name.
    pub fn global(&self, name: &str) -> Option<&Setting> {
        let is_it = |set: &&Setting| set.name == name && *set.scope == Scope::Global;
        self.defaults.iter().rev().find(is_it)
    }

    /// Every setting of a parameter, in order, whatever its scope.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Setting> {
        self.defaults.iter().filter(move |setting| setting.name == name)
    }

    /// The first members (at most `most`) of a list of users, runas users or hosts with its aliases
    /// replaced; negations multiply.
    pub fn members(&self, kind: AliasKind, list: &[Member], most: usize) -> Vec<Member> {
        let mut out = Vec::new();
        self.expand(kind, list, false, 0, most.min(EXPANDED_MAX), &mut out);
        out
    }

    /// The last member of a list that a test accepts: whether it is negated. Aliases are followed from
    /// the end, so that only as much is looked at as decides.
    pub fn last_that(
        &self,
        kind: AliasKind,
        list: &[Member],
        test: &dyn Fn(&Who) -> bool,
    ) -> Option<bool> {
        let mut budget = EXPANDED_MAX;
        self.search(kind, list, 0, &mut budget, test)
    }

    /// A command with its aliases replaced; negations multiply.
    pub fn commands(&self, command: &Command) -> Vec<Command> {
        let mut out = Vec::new();
        self.expand_command(command, false, 0, &mut out);
        out
    }

    /// Whether a rule's users name this account; the last member that matches wins.
    pub fn names(&self, kind: AliasKind, list: &[Member], account: &Account) -> bool {
        self.last_that(kind, list, &|who| is(who, account)) == Some(false)
    }

    /// Whether a password is asked for a rule: its tag, else the `authenticate` parameter.
    pub fn asks_password(&self, rule: &Rule, account: Option<&Account>) -> bool {
        if let Some(asked) = rule.tags.password {
            return asked;
        }
        let holds = |setting: &&Setting| match (&*setting.scope, account) {
            (Scope::Global, _) => true,
            (Scope::Users(users), Some(account)) => self.names(AliasKind::User, users, account),
            _ => false,
        };
        let last = self.named("authenticate").filter(holds).last();
        last.is_none_or(|setting| setting.operator != Operator::Off)
    }

    /// What the policy says when an account asks to run a command line as a user on a host. Hosts are
    /// compared by name; networks and netgroups never match.
    pub fn decide(
        &self,
        account: &Account,
        host: &str,
        runas: &str,
        command: &str,
    ) -> Option<Decision<'_>> {
        self.rules.iter().rev().find_map(|rule| {
            let matches = self.names(AliasKind::User, &rule.users, account)
                && self.names_host(&rule.hosts, host)
                && self.names_runas(rule, account, runas);
            if !matches {
                return None;
            }
            let commands = self.commands(&rule.command);
            let last = commands.iter().rev().find(|known| runs(&known.what, command))?;
            let password = self.asks_password(rule, Some(account));
            Some(Decision { rule, allowed: !last.negated, password })
        })
    }

    fn names_host(&self, list: &[Member], host: &str) -> bool {
        let host = host.to_lowercase();
        let matches = |who: &Who| match who {
            Who::All => true,
            Who::Name(name) | Who::Alias(name) => {
                glob::matches(name.to_lowercase().as_bytes(), host.as_bytes())
            }
            _ => false,
        };
        self.last_that(AliasKind::Host, list, &matches) == Some(false)
    }

    fn names_runas(&self, rule: &Rule, account: &Account, runas: &str) -> bool {
        let Some(list) = &rule.runas else {
            let default = self.global("runas_default").map_or("root", |s| s.value.as_str());
            return runas == default;
        };
        if list.users.is_empty() {
            return runas == account.name;
        }
        let uid = if runas == "root" { 0 } else { u32::MAX };
        let target = Account { name: runas.to_string(), uid, groups: Vec::new() };
        self.names(AliasKind::Runas, &list.users, &target)
    }

    fn search(
        &self,
        kind: AliasKind,
        list: &[Member],
        depth: usize,
        budget: &mut usize,
        test: &dyn Fn(&Who) -> bool,
    ) -> Option<bool> {
        list.iter().rev().find_map(|member| {
            *budget = budget.checked_sub(1)?;
            let known = match &member.who {
                Who::Alias(name) if depth < ALIAS_DEPTH_MAX => {
                    self.aliases.get(&(kind, name.clone()))
                }
                _ => None,
            };
            let found = match known {
                Some(alias) => self.search(kind, &alias.members, depth + 1, budget, test),
                None => test(&member.who).then_some(false),
            };
            found.map(|negated| negated != member.negated)
        })
    }

    fn expand(
        &self,
        kind: AliasKind,
        list: &[Member],
        flip: bool,
        depth: usize,
        most: usize,
        out: &mut Vec<Member>,
    ) {
        for member in list {
            if out.len() >= most {
                return;
            }
            let negated = member.negated != flip;
            let known = match &member.who {
                // The depth ends an alias that names itself.
                Who::Alias(name) if depth < ALIAS_DEPTH_MAX => {
                    self.aliases.get(&(kind, name.clone()))
                }
                _ => None,
            };
            match known {
                Some(alias) => self.expand(kind, &alias.members, negated, depth + 1, most, out),
                None => out.push(Member { negated, who: member.who.clone() }),
            }
        }
    }

    fn expand_command(&self, command: &Command, flip: bool, depth: usize, out: &mut Vec<Command>) {
        if out.len() >= COMMANDS_MAX {
            return;
        }
        let negated = command.negated != flip;
        let known = match &command.what {
            What::Alias(name) if depth < ALIAS_DEPTH_MAX => {
                self.aliases.get(&(AliasKind::Command, name.clone()))
            }
            _ => None,
        };
        match known {
            Some(alias) => {
                for inner in &alias.commands {
                    self.expand_command(inner, negated, depth + 1, out);
                }
            }
            None => out.push(Command { negated, ..command.clone() }),
        }
    }
}

fn is(who: &Who, account: &Account) -> bool {
    match who {
        Who::All => true,
        Who::Name(name) | Who::Alias(name) => *name == account.name,
        Who::Uid(uid) => *uid == account.uid,
        Who::Group(name) => account.groups.iter().any(|(group, _)| group == name),
        Who::Gid(gid) => account.groups.iter().any(|(_, id)| id == gid),
        Who::OtherGroup(_) | Who::Netgroup(_) => false,
    }
}

/// Whether a command of the policy is the command line that is asked for.
fn runs(what: &What, line: &str) -> bool {
    let (path, given) = line.split_once(' ').unwrap_or((line, ""));
    match what {
        What::All => true,
        What::Path { path: pattern, arguments } => {
            let is_path = match pattern.strip_suffix('/') {
                Some(directory) => path.rsplit_once('/').is_some_and(|(up, _)| up == directory),
                None => glob::parts(pattern, path, '/'),
            };
            let fits = |wanted: &String| match wanted.as_str() {
                "" => given.is_empty(),
                wanted => glob::matches(wanted.as_bytes(), given.as_bytes()),
            };
            is_path && arguments.as_ref().is_none_or(fits)
        }
        What::Edit(files) => {
            path == "sudoedit" && (files.is_empty() || glob::parts(files, given, '/'))
        }
        What::List(_) | What::Alias(_) => false,
    }
}
