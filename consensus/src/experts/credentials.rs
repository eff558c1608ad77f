//! Credential strength: how well the account concerned is guarded.
//!
//! It speaks of evidence about an account's password (a weak hash, guessing, a valid account misused):
//! scheme, empty, locked, shell, age. It may lower what cannot open a locked account, never what the
//! log says was done. Passwords of web applications are not the host's: it abstains there.

use crate::context::{Account, Password};
use crate::experts::{ACCOUNTS, around, opinion, shifted, shown_by, uses, was_done};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Opinion, Severity};

/// Techniques that go for passwords.
const TECHNIQUES: &[&str] = &["attack.t1110", "attack.t1078"];
/// Services that ask the host's own accounts.
const SERVICES: &[&str] = &["ssh", "telnet", "rsh", "ftp", "imap", "smtp"];
/// Schemes that no good password survives, as crypt(5) names them.
const WEAK_SCHEMES: &[&str] = &["DES", "BSDi extended DES", "MD5", "SunMD5", "NT", "SHA-1"];
/// A password that nobody changed for so long may be known to many.
const OLD_DAYS: i64 = 3 * 365;

/// The expert.
pub struct Guarded;

impl Expert for Guarded {
    fn name(&self) -> &'static str {
        "credentials"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.raised().user()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        let name = evidence.subject.user.as_deref()?;
        let scheme = evidence.facts.get("scheme").filter(|s| WEAK_SCHEMES.contains(&s.as_str()));
        let of_host = evidence.services.is_empty()
            || evidence.services.iter().any(|service| SERVICES.contains(&service.as_str()));
        let concerned = scheme.is_some() || (of_host && uses(evidence, TECHNIQUES));
        if evidence.level == Severity::Info || !concerned {
            return None;
        }
        let account = context.accounts.as_ref().and_then(|accounts| accounts.get(name));
        if let Some(account) = account
            && let Some((distribution, confidence, how)) = guard(evidence, account)
        {
            let rationale = format!("{name} {how}");
            return opinion(self.name(), distribution, confidence, rationale, &[ACCOUNTS]);
        }
        // A locked hash is declared low already.
        let scheme = scheme.filter(|_| evidence.level >= Severity::Medium)?;
        let rationale = format!("the password of {name} is hashed with {scheme}, guessed in hours");
        let files = shown_by(evidence);
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        opinion(self.name(), around(evidence.level, 0.0, 0.3), 0.5, rationale, &files)
    }
}

/// What the account's guard makes of the level: distribution, confidence, in words.
fn guard(evidence: &Evidence, account: &Account) -> Option<([f64; 5], f64, String)> {
    let level = evidence.level;
    let tried_only = !was_done(evidence);
    let said = |distribution, confidence, how: &str| Some((distribution, confidence, how.into()));
    match (account.password?, account.login_shell) {
        (Password::Empty, true) => {
            said(around(shifted(level, 1), 0.3, 0.0), 0.8, "has no password and a login shell")
        }
        (Password::Weak, true) => {
            said(around(level, 0.0, 0.3), 0.5, "has a password with a weak hash and a login shell")
        }
        (Password::Locked, false) if tried_only => {
            said(around(level, 0.6, 0.0), 0.7, "has no usable password and no login shell")
        }
        (Password::Locked, true) if tried_only => {
            said(around(level, 0.5, 0.0), 0.5, "has no usable password: guessing opens nothing")
        }
        (Password::Sound, true) => {
            let days = account.password_days.filter(|days| *days > OLD_DAYS)?;
            let how = format!("has a password that was not changed for {days} days");
            Some((around(level, 0.0, 0.15), 0.4, how))
        }
        (_, false) if tried_only => said(around(level, 0.3, 0.0), 0.4, "has no login shell"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;
    use crate::experts::tests::{activity, mean, with_fact};

    fn guessing(level: Severity) -> Evidence {
        let subject = Subject { user: Some("alice".into()), ..Subject::default() };
        Evidence { subject, ..activity(level) }
    }

    fn guarded(password: Option<Password>, login_shell: bool, days: i64) -> Context {
        let account = Account { uid: 1000, login_shell, password, password_days: Some(days) };
        Context { accounts: Some([("alice".to_string(), account)].into()), ..Context::default() }
    }

    fn at(password: Password, login_shell: bool) -> Option<f64> {
        let said =
            Guarded.judge(&guessing(Severity::Medium), &guarded(Some(password), login_shell, 1));
        said.map(|said| mean(&said))
    }

    #[test]
    fn the_weaker_the_guard_the_worse() {
        let empty = at(Password::Empty, true).unwrap();
        let weak = at(Password::Weak, true).unwrap();
        let locked = at(Password::Locked, true).unwrap();
        let shut = at(Password::Locked, false).unwrap();
        assert!(empty > weak && weak > 2.0 && 2.0 > locked && locked > shut);
        assert_eq!(at(Password::Sound, true), None, "nothing to say of a sound password");
    }

    #[test]
    fn a_lock_is_no_comfort_once_somebody_got_in() {
        let locked = guarded(Some(Password::Locked), true, 1);
        let tried = Guarded.judge(&guessing(Severity::High), &locked).unwrap();
        assert_eq!(tried.rationale, "alice has no usable password: guessing opens nothing");
        let done = with_fact(guessing(Severity::High), "entered_as", "alice");
        assert!(Guarded.judge(&done, &locked).is_none());
    }

    #[test]
    fn an_old_password_may_be_known_to_many() {
        let old = guarded(Some(Password::Sound), true, OLD_DAYS + 1);
        assert!(Guarded.judge(&guessing(Severity::Medium), &old).is_some());
        let younger = guarded(Some(Password::Sound), true, OLD_DAYS);
        assert!(Guarded.judge(&guessing(Severity::Medium), &younger).is_none());
    }

    #[test]
    fn a_weak_scheme_speaks_without_the_account() {
        let hash = Evidence { tags: Vec::new(), ..guessing(Severity::High) };
        let md5 = with_fact(hash.clone(), "scheme", "MD5");
        let said = Guarded.judge(&md5, &Context::default()).unwrap();
        assert_eq!(said.rationale, "the password of alice is hashed with MD5, guessed in hours");
        let sound = with_fact(hash, "scheme", "yescrypt");
        assert!(Guarded.judge(&sound, &Context::default()).is_none());
    }

    #[test]
    fn it_abstains_where_the_account_is_not_known_or_not_the_hosts() {
        let evidence = guessing(Severity::Medium);
        assert!(Guarded.judge(&evidence, &Context::default()).is_none());
        assert!(Guarded.judge(&evidence, &guarded(None, true, 1)).is_none());
        let web = Evidence { services: vec!["http".into()], ..evidence };
        assert!(Guarded.judge(&web, &guarded(Some(Password::Empty), true, 1)).is_none());
    }
}
