//! What a stack answers, given what its modules answer: the decisions of libpam's `_pam_dispatch_aux`
//! (Linux-PAM 1.5), as pam.conf(5) describes them.
//!
//! Nothing is run. A stack with problems or unread files has no answer: libpam makes lines that it cannot
//! read fail, and what was not read is unknown.

use super::{Control, Kind, Rule, Stack, Step};

/// Names of what a module or a stack returns, in the order of their numbers.
pub const RETURNS: [&str; 32] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
];

/// What a module or a stack returns: a number below 32, by name in [`RETURNS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Return(u8);

impl Return {
    /// `PAM_SUCCESS`.
    pub const SUCCESS: Self = Self(0);
    /// `PAM_PERM_DENIED`, with which a stack fails that nobody decided.
    pub const PERM_DENIED: Self = Self(6);
    /// `PAM_NEW_AUTHTOK_REQD`.
    pub const NEW_AUTHTOK_REQD: Self = Self(12);
    /// `PAM_IGNORE`.
    pub const IGNORE: Self = Self(25);

    /// By its name in a control, such as `user_unknown`.
    pub fn named(name: &str) -> Option<Self> {
        let index = RETURNS.iter().position(|known| *known == name)?;
        u8::try_from(index).ok().map(Self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        RETURNS[usize::from(self.0) % RETURNS.len()]
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// What a return does to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Ignore,
    Ok,
    Done,
    Bad,
    Die,
    Reset,
    Jump(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Impression {
    Undecided,
    Positive,
    Negative,
}

impl Stack {
    /// What libpam returns for one management group when `answer` tells what each module returns.
    /// `None` where the stack has problems or was not read whole.
    ///
    /// ```
    /// use parsers::config::pam::{Kind, Return, Stack};
    /// use parsers::tree::MemoryTree;
    /// let text = "auth sufficient pam_unix.so\nauth required pam_deny.so\n";
    /// let stack = Stack::read(&MemoryTree::new().file("/etc/pam.d/x", text), "x").unwrap();
    /// let all_fail = stack.evaluate(Kind::Auth, |_| Return::named("auth_err").unwrap());
    /// assert_eq!(all_fail, Return::named("auth_err"));
    /// ```
    pub fn evaluate(&self, kind: Kind, mut answer: impl FnMut(&Rule) -> Return) -> Option<Return> {
        if !self.problems.is_empty() || !self.unread.is_empty() {
            return None;
        }
        let steps: Vec<&Step> = self.steps.iter().filter(|step| step.kind == kind).collect();
        let mut state = (Impression::Undecided, Return::PERM_DENIED);
        let mut entered = [state; super::DEPTH_MAX + 2];
        let (mut at, mut above) = (0, 0);
        while let Some(step) = steps.get(at) {
            let level = step.level;
            if above < level {
                entered[level] = state;
            }
            above = level;
            if let Some(rule) = step.rule.and_then(|index| self.rules.get(index)) {
                let returned = answer(rule);
                let action = action(&rule.control, returned);
                let is_final = apply(&mut state, action, returned, entered[level]);
                if is_final {
                    while steps.get(at + 1).is_some_and(|next| next.level >= level) {
                        at += 1;
                    }
                }
                if let Action::Jump(count) = action
                    && !jump(&steps, &mut at, level, count)
                {
                    state = (Impression::Negative, Return::PERM_DENIED);
                }
                above = steps[at].level;
            }
            at += 1;
        }
        let (impression, status) = state;
        let is_undecided = status == Return::SUCCESS && impression != Impression::Positive;
        Some(if is_undecided { Return::PERM_DENIED } else { status })
    }
}

/// Skips steps of the same level, a substack with all that is in it as one; `false` past the end.
fn jump(steps: &[&Step], at: &mut usize, level: usize, count: usize) -> bool {
    let next = |at: usize| steps.get(at + 1).map(|step| step.level);
    let mut left = count;
    while left > 0 && next(*at).is_some_and(|next| next >= level) {
        *at += 1;
        while next(*at).is_some_and(|next| next > level) {
            *at += 1;
        }
        left -= 1;
    }
    left == 0
}

/// Takes an action into the state; whether it decides the (sub)stack.
fn apply(
    state: &mut (Impression, Return),
    action: Action,
    returned: Return,
    entered: (Impression, Return),
) -> bool {
    match action {
        Action::Reset => *state = entered,
        Action::Ok | Action::Done => {
            let may_change = state.0 == Impression::Undecided
                || *state == (Impression::Positive, Return::SUCCESS);
            if may_change {
                *state = (Impression::Positive, returned);
            }
            return action == Action::Done && state.0 == Impression::Positive;
        }
        Action::Bad | Action::Die => {
            if state.0 != Impression::Negative {
                let status =
                    if returned == Return::IGNORE { Return::PERM_DENIED } else { returned };
                *state = (Impression::Negative, status);
            }
            return action == Action::Die;
        }
        Action::Ignore | Action::Jump(_) => {}
    }
    false
}

fn action(control: &Control, returned: Return) -> Action {
    let is_fine = matches!(returned, Return::SUCCESS | Return::NEW_AUTHTOK_REQD);
    match control {
        Control::Required | Control::Requisite if returned == Return::IGNORE => Action::Ignore,
        Control::Required | Control::Requisite | Control::Optional if is_fine => Action::Ok,
        Control::Required => Action::Bad,
        Control::Requisite => Action::Die,
        Control::Sufficient if is_fine => Action::Done,
        Control::Sufficient | Control::Optional => Action::Ignore,
        Control::Actions(pairs) => written(pairs, returned.name()),
    }
}

/// The action of `[value=action …]`: the last of the value's own, else what `default` said.
fn written(pairs: &[(String, String)], name: &str) -> Action {
    let of = |name: &str| pairs.iter().rev().find(|(value, _)| value == name);
    let Some((_, action)) = of(name).or_else(|| of("default")) else { return Action::Bad };
    match action.as_str() {
        "ignore" => Action::Ignore,
        "ok" => Action::Ok,
        "done" => Action::Done,
        "die" => Action::Die,
        "reset" => Action::Reset,
        number => match number.parse() {
            Ok(0) => Action::Ignore,
            Ok(count) => Action::Jump(count),
            Err(_) => Action::Bad,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    /// Modules answer with their own names: `success`, `auth_err` …
    fn ask(text: &str, inner: &str) -> &'static str {
        let tree = MemoryTree::new().file("/etc/pam.d/x", text).file("/etc/pam.d/in", inner);
        let stack = Stack::read(&tree, "x").unwrap();
        let answer = stack.evaluate(Kind::Auth, |rule| Return::named(rule.name()).unwrap());
        answer.map_or("none", Return::name)
    }

    #[test]
    fn controls_decide_as_pam_conf_5_says() {
        assert_eq!(ask("auth required success\nauth required auth_err\n", ""), "auth_err");
        assert_eq!(ask("auth sufficient success\nauth required auth_err\n", ""), "success");
        let after = "auth required auth_err\nauth sufficient success\nauth required maxtries\n";
        assert_eq!(ask(after, ""), "auth_err");
        assert_eq!(ask("auth optional auth_err\n", ""), "perm_denied");
        assert_eq!(ask("auth required ignore\n", ""), "perm_denied");
        let two = "auth [success=2 default=ignore] success\nauth requisite auth_err\n";
        assert_eq!(
            ask(&format!("{two}auth required maxtries\nauth required success\n"), ""),
            "success"
        );
        assert_eq!(ask(two, ""), "perm_denied", "a jump past the end");
        assert_eq!(ask("auth required success\nauth nothing x\n", ""), "none");
    }

    #[test]
    fn die_and_done_end_a_substack_but_an_include_ends_all() {
        let outer = |how: &str| format!("auth {how} in\nauth required maxtries\n");
        let done = "auth sufficient success\nauth required auth_err\n";
        assert_eq!(ask(&outer("include"), done), "success");
        assert_eq!(ask(&outer("substack"), done), "maxtries");
        let jump =
            "auth [success=1 default=ignore] success\nauth substack in\nauth required success\n";
        assert_eq!(ask(jump, "auth required auth_err\nauth required auth_err\n"), "success");
        assert_eq!(
            ask(
                &jump.replace("substack", "include"),
                "auth required success\nauth required auth_err\n"
            ),
            "auth_err"
        );
    }
}
