//! Hides what strangers typed where a user name belongs: it may be somebody's password.
//!
//! A name is shown when the account exists on the host, or when the logs themselves show that it does
//! (somebody logged in with it, or `sshd` says so by not calling it invalid).

use std::collections::BTreeSet;
use std::sync::OnceLock;

use regex::{Captures, Regex};

use super::event::Who;
use crate::redact;

/// Most names that logs may add.
const NAMES_MAX: usize = 10_000;

/// The account names of a passwd(5) file.
pub fn names_of_passwd(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .take(NAMES_MAX)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.to_string())
        .filter(|name| !name.is_empty() && !name.starts_with(['#', '+', '-']))
        .collect()
}

/// Knows which names may be shown.
#[derive(Clone, Debug, Default)]
pub struct Concealer {
    known: BTreeSet<String>,
}

/// What announces a word that somebody typed; the word goes on to the address or the line's end.
struct Announced {
    /// Of these, in lower case, every line that it matches holds one: told without the expression,
    /// which most runs then never compile.
    needs: &'static [&'static str],
    source: &'static str,
    compiled: OnceLock<Regex>,
}

impl Announced {
    const fn new(needs: &'static [&'static str], source: &'static str) -> Self {
        Self { needs, source, compiled: OnceLock::new() }
    }

    /// Whether a text in lower case may hold what it looks for.
    fn may_match(&self, lower: &str) -> bool {
        let holds = |text: &&str| memchr::memmem::find(lower.as_bytes(), text.as_bytes()).is_some();
        self.needs.iter().any(holds)
    }

    fn regex(&self) -> &Regex {
        let compile = || Regex::new(self.source).expect("a constant pattern, compiled by a test");
        self.compiled.get_or_init(compile)
    }
}

static TYPED: [Announced; 19] = [
    Announced::new(
        // `k` and `s` have another case beyond ASCII
        &["invalid u", "illegal u", "nown u"],
        r"(?i)((?:invalid|illegal|unknown) user )(.*?)( from [0-9A-Fa-f:.]+(?: port \d+.*)?$| [0-9A-Fa-f:.]{3,} port \d+.*$| \[preauth\]$|$)",
    ),
    Announced::new(
        &[" not allowed because"],
        r"(\bUser )(\S.*?)( from \S+ not allowed because.*$)",
    ),
    Announced::new(&["failed login "], r"(\bFAILED LOGIN .* FOR '?)(.*?)('?, .*$)"),
    Announced::new(&["- "], r#"^("?(?:\S+ ){1,2}- )(.+?)( \[\d\d/[A-Z][a-z]{2}/\d{4}:.*$)"#),
    Announced::new(&["acct=\""], r#"(\bacct=")([^"]*)(".*$)"#),
    Announced::new(&["authentication failure;"], r"(\bauthentication failure;.*\buser=)(\S+)(.*$)"),
    Announced::new(
        &[": authentication failure", ": user ", ": password mismatch", "not found"],
        r#"(\buser "?)(.*?)("?: (?:authentication failure|user) .*|"?: password mismatch.*|"?: not found.*| not found: .*|" was not found in .*)$"#,
    ),
    Announced::new(&["user=<"], r"(\buser=<)(.*?)(>, (?:method|rip)=.*$)"),
    Announced::new(&["sasl_username="], r"(\bsasl_username=)(\S+)(.*$)"),
    Announced::new(&["auth failure: [user="], r"(\bauth failure: \[user=)(.*?)(\] \[service=.*$)"),
    Announced::new(
        &[
            "): unknown user",
            "): password mismatch",
            "): user not found",
            "): authentication failed",
            "): pam_authenticate",
        ],
        r"^(.*?[ \]:(]?[a-z]+\()([^(),]+)(,[0-9A-Fa-f.:]{3,}(?:,<[^>]*>)?\): (?:unknown user|[Pp]assword mismatch|user not found|authentication failed|pam_authenticate).*$)",
    ),
    Announced::new(
        &["] fail login: client \""],
        r#"^(.*?\[)([^\]"]+)(\] FAIL LOGIN: Client ".*$)"#,
    ),
    Announced::new(
        &["(login failed)", ": no such user found from "],
        r"(\bUSER )(.*)( \(Login failed\).*|: no such user found from .*$)",
    ),
    Announced::new(
        &["authentication failed for user ["],
        r"(\bAuthentication failed for user \[)(.*)(\]$)",
    ),
    Announced::new(&["access denied for user '"], r"(\bAccess denied for user ')(.*)('@'.*$)"),
    Announced::new(
        &["authentication failed for user \"", "role \""],
        r#"(\b(?:authentication failed for user|role) ")(.*)("(?: does not exist)?.*$)"#,
    ),
    Announced::new(
        &["no pg_hba.conf entry for "],
        r#"(\bno pg_hba\.conf entry for (?:replication connection from )?host "[^"]*", user ")(.*?)(", (?:database|no encryption|SSL).*$)"#,
    ),
    Announced::new(
        &["consecutive login failures for user "],
        r"(\bConsecutive login failures for user )(.*)( account temporarily locked.*$)",
    ),
    Announced::new(&["pam_tally"], r"(\bpam_tally2?\([^)]*\): user )(.*?)( \(\d+\) tally .*$)"),
];

impl Concealer {
    /// Shows these names, no others.
    pub fn new(known: impl IntoIterator<Item = String>) -> Self {
        Self { known: known.into_iter().collect() }
    }

    /// Learns from an event that an account exists.
    pub fn learn(&mut self, who: &Who<'_>) {
        if let (Some(user), false) = (&who.user, who.typed)
            && who.ended.is_some()
            && self.known.len() < NAMES_MAX
            && !self.known.contains(&**user)
        {
            self.known.insert(user.to_string());
        }
    }

    /// A user name as it may be shown.
    pub fn user(&self, user: &str) -> String {
        if self.known.contains(user) { redact::line(user) } else { redact::HIDDEN.to_string() }
    }

    /// A line as it may be shown.
    pub fn line(&self, text: &str) -> String {
        let mut text = redact::line(text);
        let mut lower = text.to_ascii_lowercase();
        for announced in &TYPED {
            if !announced.may_match(&lower) {
                continue;
            }
            let hidden = announced.regex().replace(&text, |found: &Captures<'_>| {
                if self.known.contains(&found[2]) || matches!(&found[2], "" | "-") {
                    return found[0].to_string();
                }
                format!("{}{}{}", &found[1], redact::HIDDEN, &found[3])
            });
            if let std::borrow::Cow::Owned(hidden) = hidden {
                text = hidden;
                lower = text.to_ascii_lowercase();
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_words_are_hidden_and_known_names_stay() {
        let conceal = Concealer::new(["bob".to_string()]);
        for line in [
            "h sshd[1]: Invalid user CANARY from 192.0.2.1 port 4",
            "h sshd[1]: Invalid user CANARY from 192.0.2.1",
            "h sshd[1]: Failed password for invalid user my CANARY x from 192.0.2.1 port 4 ssh2",
            "h sshd[1]: Failed none for illegal user CANARY from 192.0.2.1 port 4 ssh2",
            "h sshd[1]: input_userauth_request: invalid user CANARY [preauth]",
            "h sshd[1]: Connection closed by invalid user CANARY 192.0.2.1 port 4 [preauth]",
            "h sshd[1]: User CANARY from 192.0.2.1 not allowed because not listed in AllowUsers",
            "h login[1]: FAILED LOGIN (1) on '/dev/tty1' FOR 'CANARY', User not known",
            "type=USER_LOGIN msg=audit(1.1:1): acct=\"CANARY\" res=failed",
            "h sshd[1]: Invalid user CANARY",
            "192.0.2.1 - CANARY [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 401 5",
            "www.example.org 192.0.2.1 - CANARY [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 401 5",
            "h sshd[1]: pam_unix(sshd:auth): authentication failure; uid=0 ruser= rhost=192.0.2.1  user=CANARY",
            "h sshd[1]: error: PAM: Authentication failure for illegal user CANARY from 192.0.2.1",
            "h dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<CANARY>, method=PLAIN, rip=192.0.2.1, lip=198.51.100.1",
            "h dovecot: auth-worker(7): sql(CANARY,192.0.2.1,<a+b>): unknown user",
            "h dovecot: auth: pam(CANARY,192.0.2.1): pam_authenticate() failed",
            "h postfix/smtpd[1]: warning: x[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=CANARY",
            "h saslauthd[1]: do_auth         : auth failure: [user=CANARY] [service=smtp] [realm=] [mech=pam] [reason=PAM auth error]",
            "h vsftpd[1]: [CANARY] FAIL LOGIN: Client \"192.0.2.1\"",
            "Wed May  1 10:00:00 2024 [pid 7] [CANARY] FAIL LOGIN: Client \"192.0.2.1\"",
            "h proftpd[1]: h (x[192.0.2.1]) - USER CANARY (Login failed): Incorrect password",
            "h proftpd[1]: h (x[192.0.2.1]): USER CANARY: no such user found from x [192.0.2.1] to 198.51.100.1:21",
            "h pure-ftpd: (?@192.0.2.1) [WARNING] Authentication failed for user [CANARY]",
            "2024-05-01T10:00:00Z 7 [Note] Access denied for user 'CANARY'@'192.0.2.1' (using password: YES)",
            "2024-05-01 10:00:00 UTC [7] FATAL:  password authentication failed for user \"CANARY\"",
            "2024-05-01 10:00:00 UTC [7] FATAL:  role \"CANARY\" does not exist",
            "2024-05-01 10:00:00 UTC [7] FATAL:  no pg_hba.conf entry for host \"192.0.2.1\", user \"CANARY\", database \"x\", no encryption",
            "h sshd[1]: pam_faillock(sshd:auth): Consecutive login failures for user CANARY account temporarily locked",
            "2024/05/01 10:00:00 [error] 7#7: *1 user \"CANARY\": password mismatch, client: 192.0.2.1, server: x",
            "2024/05/01 10:00:00 [error] 7#7: *1 user \"CANARY\" was not found in \"/etc/x\", client: 192.0.2.1, server: x",
            "[Sun Dec 04 04:47:44 2005] [auth_basic:error] [client 192.0.2.1:4] AH01618: user CANARY not found: /a",
        ] {
            let safe = conceal.line(line);
            assert!(!safe.contains("CANARY") && safe.contains(redact::HIDDEN), "{safe}");
            let known = line.replace("my CANARY x", "CANARY").replace("CANARY", "bob");
            assert_eq!(conceal.line(&known), redact::line(&known));
        }
        for plain in [
            "h sshd[1]: Failed password for root from 192.0.2.1 port 4 ssh2",
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 5",
        ] {
            assert_eq!(conceal.line(plain), plain);
        }
        assert_eq!(conceal.user("x"), redact::HIDDEN);
    }

    #[test]
    fn no_line_that_an_expression_matches_is_skipped() {
        let words = [
            "User x from 192.0.2.1 not allowed because",
            "no pg_hba.conf entry for host \"192.0.2.1\", user \"x\", no encryption",
            "Invalid user ",
            "illegal user ",
            "unKnown U\u{17f}er ",
            "UN\u{212a}NOWN USER ",
            "User ",
            "user ",
            "user \"",
            "USER ",
            "CANARY",
            "x y",
            " from 192.0.2.1",
            " not allowed because",
            " port 22",
            " [preauth]",
            "FAILED LOGIN 1 FOR '",
            "', x",
            "- ",
            "h 192.0.2.1 - ",
            " [10/Oct/2000:13",
            "acct=\"",
            "\"",
            "authentication failure; user=",
            ": authentication failure ",
            ": user ",
            "\": password mismatch",
            ": not found",
            " not found: ",
            "\" was not found in ",
            "user=<",
            ">, method=",
            ">, rip=",
            "sasl_username=",
            "auth failure: [user=",
            "] [service=",
            " sql(",
            ",192.0.2.1): unknown user",
            ",192.0.2.1,<a>): Password mismatch",
            ",::1): user not found",
            "[",
            "] FAIL LOGIN: Client \"",
            " (Login failed)",
            ": no such user found from ",
            "]",
            "Authentication failed for user [",
            "Access denied for user '",
            "'@'",
            "role \"",
            "authentication failed for user \"",
            "\" does not exist",
            "no pg_hba.conf entry for host \"",
            "\", user \"",
            "\", database",
            "\", SSL",
            "Consecutive login failures for user ",
            " account temporarily locked",
            "pam_tally2(sshd:auth): user ",
            "pam_tally(): user ",
            " (0) tally 3",
        ];
        let mut seed = 9_u64;
        let mut next = |below: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let mut matched = [0_u32; TYPED.len()];
        for _ in 0..60_000 {
            let text: String = (0..2 + next(5)).map(|_| words[next(words.len())]).collect();
            let lower = text.to_ascii_lowercase();
            for (announced, matched) in TYPED.iter().zip(&mut matched) {
                if announced.regex().is_match(&text) {
                    *matched += 1;
                    assert!(announced.may_match(&lower), "{} on {text:?}", announced.source);
                }
            }
        }
        assert!(matched.iter().all(|count| *count > 3), "{matched:?}");
    }
}
