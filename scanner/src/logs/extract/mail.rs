//! Mail servers: postfix, dovecot, and Cyrus' saslauthd.
//!
//! Postfix writes the client before anything that the client said, so its first address counts. Dovecot
//! writes the name that was typed before the address (`rip=`), so its last one does.

use super::address::{address, bracketed, value};
use super::{Ended, Extracted};

/// `warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: …, sasl_username=bob`,
/// `NOQUEUE: reject: RCPT from x[192.0.2.1]: 554 …`, `A1B2: client=x[192.0.2.1], sasl_method=…`.
pub(super) fn postfix(text: &str) -> Extracted<'_> {
    let ip = bracketed(text);
    let user = text.rsplit_once("sasl_username=").map(|(_, user)| value(user));
    let user = user.filter(|user| !user.is_empty());
    let refused = text.contains(" authentication failed");
    let ended = match (refused, user) {
        (true, _) => Some(Ended::Failure),
        (false, Some(_)) if text.contains(": client=") => Some(Ended::Success),
        _ => None,
    };
    Extracted { user, typed: refused, ip, ended, ..Extracted::default() }
}

/// `imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, rip=…`,
/// `imap-login: Login: user=<bob>, …`, `auth: pam(bob,192.0.2.1,<…>): …`.
pub(super) fn dovecot(text: &str) -> Extracted<'_> {
    let failed = text.contains("(auth failed") || text.contains("(auth_failed)");
    if let Some((_, rest)) = text.rsplit_once(" rip=") {
        let user = text.split_once("user=<").map(|(_, rest)| rest);
        let user = user.and_then(|rest| Some(&rest[..rest.find('>')?]));
        let entered = text.contains("-login: Login: ") || text.contains("-login: Info: Login: ");
        let ended = if failed { Some(Ended::Failure) } else { entered.then_some(Ended::Success) };
        return Extracted {
            user: user.filter(|user| !user.is_empty()),
            typed: failed,
            ip: address(value(rest)),
            ended,
            ..Extracted::default()
        };
    }
    let worker = text.strip_prefix("auth-worker(").and_then(|rest| rest.split_once("): "));
    let said = worker.map(|(_, said)| said).or_else(|| text.strip_prefix("auth: "));
    let Some(text) = said else { return Extracted::default() };
    // `sql(bob,192.0.2.1,<session>): unknown user`: the address follows the last comma that one follows
    let Some((inside, _)) = text.split_once("): ") else { return Extracted::default() };
    let found = inside.rmatch_indices(',').take(8).find_map(|(at, _)| {
        let ip = address(value(&inside[at + 1..]))?;
        Some((inside[..at].rsplit_once('(')?.1, ip))
    });
    match found {
        Some((user, ip)) => {
            Extracted { user: Some(user), typed: true, ip: Some(ip), ..Extracted::default() }
        }
        None => Extracted::default(),
    }
}

/// `do_auth         : auth failure: [user=bob] [service=smtp] [realm=] [mech=pam] [reason=…]`.
pub(super) fn saslauthd(text: &str) -> Extracted<'_> {
    if !text.contains("auth failure: [user=") {
        return Extracted::default();
    }
    let user =
        text.split_once("[user=").and_then(|(_, rest)| Some(rest.split_once("] [service=")?.0));
    Extracted { user, typed: true, ended: Some(Ended::Failure), ..Extracted::default() }
}
