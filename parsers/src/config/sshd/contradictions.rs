//! What sshd checks once all lines are read: settings that do not go together.

use super::algorithms;
use super::evaluate::{Given, Pass, Slots};
use super::keywords::Form;
use super::matching::numeric;
use crate::place::Problem;

/// What only shows once the first pass is done.
pub(super) fn find(global: &Pass<'_>) -> Vec<Problem> {
    let slots = &global.slots;
    let winner = |name: &str| slots.get(name).and_then(|slot| slot.winners.first());
    let mut problems = Vec::new();
    let mut wrong = |given: &Given, message: &str| {
        let place = given.value.place.clone();
        problems.push(Problem { place, message: message.to_string() });
    };
    for (command, user) in [
        ("authorizedkeyscommand", "authorizedkeyscommanduser"),
        ("authorizedprincipalscommand", "authorizedprincipalscommanduser"),
    ] {
        if let Some(given) = winner(command)
            && !given.value.value.eq_ignore_ascii_case("none")
            && winner(user).is_none()
        {
            wrong(given, &format!("{command} is set without {user}"));
        }
    }
    for slot in slots.values() {
        for given in slot.winners.iter().take(1) {
            if let Form::Algorithms(family) = given.keyword.form
                && algorithms::assemble(family, &given.value.value, global.version).is_none()
            {
                wrong(given, &format!("{}: no algorithm is left", given.keyword.name));
            }
        }
    }
    let family = winner("addressfamily").map(|given| given.value.value.as_str());
    for given in slots.get("listenaddress").map_or(&[][..], |slot| &slot.winners) {
        let ip = given.value.value.rsplit_once(' ').and_then(|(host, _)| numeric(host));
        let wanted = match ip {
            Some(ip) if ip.is_ipv4() => "inet",
            Some(_) => "inet6",
            None => continue,
        };
        if family.is_some_and(|family| family != "any" && family != wanted) {
            wrong(given, "listenaddress: not of the configured address family");
        }
    }
    if let Some(given) = winner("authenticationmethods")
        && !given.value.value.split(' ').any(|list| satisfiable(list, slots))
    {
        wrong(given, "authenticationmethods: no list can be satisfied");
    }
    problems
}

/// Whether all methods of a list are enabled outside of `Match` blocks.
fn satisfiable(list: &str, slots: &Slots) -> bool {
    let is = |name: &str, otherwise: bool| {
        let winner = slots.get(name).and_then(|slot| slot.winners.first());
        winner.map_or(otherwise, |given| given.value.value == "yes")
    };
    list == "any"
        || list.split(',').all(|method| match method.split(':').next().unwrap_or_default() {
            "publickey" => is("pubkeyauthentication", true),
            "password" => is("passwordauthentication", true),
            "keyboard-interactive" => is("kbdinteractiveauthentication", true),
            "hostbased" => is("hostbasedauthentication", false),
            "gssapi-with-mic" | "gssapi-keyex" => is("gssapiauthentication", false),
            _ => true,
        })
}
