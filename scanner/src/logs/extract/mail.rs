//! Mail servers: postfix, dovecot, and Cyrus' saslauthd.
//!
//! Postfix writes the client before anything that the client said, so its first address counts. Dovecot
//! writes the name that was typed before the address (`rip=`), so its last one does.

use super::address::{address, bracketed, value};
use super::sought::sought;
use super::{Ended, Extracted};

/// `warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: …, sasl_username=bob`,
/// `NOQUEUE: reject: RCPT from x[192.0.2.1]: 554 …`, `A1B2: client=x[192.0.2.1], sasl_method=…`.
pub(super) fn postfix(text: &str) -> Extracted<'_> {
    let ip = bracketed(text);
    let user = sought!("sasl_username=").rsplit(text).map(|(_, user)| value(user));
    let user = user.filter(|user| !user.is_empty());
    let refused = sought!(" authentication failed").is_in(text);
    let ended = match (refused, user) {
        (true, _) => Some(Ended::Failure),
        (false, Some(_)) if sought!(": client=").is_in(text) => Some(Ended::Success),
        _ => None,
    };
    Extracted { user, typed: refused, ip, ended, ..Extracted::default() }
}

/// `imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, rip=…`,
/// `imap-login: Login: user=<bob>, …`, `auth: pam(bob,192.0.2.1,<…>): …`.
pub(super) fn dovecot(text: &str) -> Extracted<'_> {
    let failed = sought!("(auth failed").is_in(text) || sought!("(auth_failed)").is_in(text);
    if let Some((_, rest)) = sought!(" rip=").rsplit(text) {
        let user = sought!("user=<").split(text).map(|(_, rest)| rest);
        let user = user.and_then(|rest| Some(&rest[..rest.find('>')?]));
        let entered =
            sought!("-login: Login: ").is_in(text) || sought!("-login: Info: Login: ").is_in(text);
        let ended = if failed { Some(Ended::Failure) } else { entered.then_some(Ended::Success) };
        return Extracted {
            user: user.filter(|user| !user.is_empty()),
            typed: failed,
            ip: address(value(rest)),
            ended,
            ..Extracted::default()
        };
    }
    let worker = text.strip_prefix("auth-worker(").and_then(|rest| sought!("): ").split(rest));
    let said = worker.map(|(_, said)| said).or_else(|| text.strip_prefix("auth: "));
    let Some(text) = said else { return Extracted::default() };
    // `sql(bob,192.0.2.1,<session>): unknown user`: the address follows the last comma that one follows
    let Some((inside, _)) = sought!("): ").split(text) else { return Extracted::default() };
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
    if !sought!("auth failure: [user=").is_in(text) {
        return Extracted::default();
    }
    let user = sought!("[user=")
        .split(text)
        .and_then(|(_, rest)| Some(sought!("] [service=").split(rest)?.0));
    Extracted { user, typed: true, ended: Some(Ended::Failure), ..Extracted::default() }
}
