use super::*;

const NOW: i64 = 1_000_000;

/// A host on which nobody is.
pub fn quiet(now: i64) -> LiveSystem {
    LiveSystem {
        taken: now,
        sessions: Ok(Vec::new()),
        gateways: Ok(vec!["203.0.113.1".parse().unwrap()]),
        resolvers: Ok(vec!["192.0.2.53".parse().unwrap()]),
        addresses: Ok(vec!["203.0.113.9".parse().unwrap(), "2001:db8:9::9".parse().unwrap()]),
        links: Ok(vec!["203.0.113.0/28".parse().unwrap(), "2001:db8:9::/64".parse().unwrap()]),
        administrators: Ok(["ann".to_string(), "bob".to_string()].into()),
    }
}

pub fn limits() -> Limits {
    Limits {
        allow: Networks::from(vec!["198.18.7.0/24".parse().unwrap()]),
        neighbours: false,
        widest: [16, 32],
        critical_units: vec!["postgresql.service".into()],
        per_hour: 20,
        per_hour_of_class: 20,
    }
}

pub fn at(network: &str) -> Aim {
    Aim { network: Some(network.parse().unwrap()), ..Aim::default() }
}

fn asked(aim: &Aim, live: &LiveSystem) -> Vec<String> {
    harm(aim, live, &limits(), &Ok(Spent::default()), NOW).reasons()
}

fn session(who: &str, from: &str) -> Session {
    Session { who: who.into(), from: Some(from.parse().unwrap()) }
}

#[test]
fn a_stranger_may_be_blocked() {
    for network in ["198.51.100.7", "198.51.100.0/24", "198.51.0.0/16", "2001:db8:1::/48"] {
        assert_eq!(asked(&at(network), &quiet(NOW)), Vec::<String>::new(), "{network}");
    }
}

#[test]
fn what_is_ours_is_refused_at_any_length_of_prefix() {
    let mut live = quiet(NOW);
    live.sessions = Ok(vec![
        session("ann", "198.51.100.7"),
        session("bob", "::ffff:198.51.101.7"),
        Session { who: "root".into(), from: None },
    ]);
    live.gateways = Ok(vec!["198.51.102.1".parse().unwrap()]);
    for (address, why) in [
        ("198.51.100.7", "ann is logged in from 198.51.100.7"),
        ("198.51.101.7", "bob is logged in from 198.51.101.7"),
        ("198.51.102.1", "gateway"),
        ("192.0.2.53", "name server"),
        ("203.0.113.9", "own"),
        ("2001:db8:9::9", "own"),
        ("198.18.7.200", "allow list"),
    ] {
        let whole = if address.contains(':') { 128 } else { 32 };
        for bits in 0..=whole {
            let reasons = asked(&at(&format!("{address}/{bits}")), &live).join("; ");
            assert!(reasons.contains(why), "{address}/{bits}: {reasons}");
        }
    }
    let mapped = asked(&at("::ffff:198.51.100.7"), &live);
    assert!(mapped[0].contains("ann is logged in"), "{mapped:?}");
    // A small part of an allowed network is as allowed.
    assert!(asked(&at("198.18.7.128/25"), &live)[0].contains("allow list"));
}

#[test]
fn wide_and_special_networks_are_refused() {
    for (network, why) in [
        ("198.51.0.0/15", "wider than /16"),
        ("2001:db8::/31", "wider than /32"),
        ("0.0.0.0/0", "wider"),
        ("::/0", "wider"),
        ("::ffff:0:0/96", "wider"),
        ("127.0.0.1", "loopback"),
        ("127.8.8.8", "loopback"),
        ("::1", "loopback"),
        ("::", "unspecified"),
        ("0.0.0.0", "unspecified"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.251", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("ff02::1", "multicast"),
    ] {
        let reasons = asked(&at(network), &quiet(NOW)).join("; ");
        assert!(reasons.contains(why), "{network}: {reasons}");
    }
    assert_eq!(SPECIAL.iter().filter(|(text, _)| text.parse::<Network>().is_err()).count(), 0);
}

#[test]
fn neighbours_are_refused_unless_allowed_and_their_network_always() {
    let near = at("203.0.113.5");
    assert_eq!(asked(&near, &quiet(NOW)), ["203.0.113.0/28 is directly connected"]);
    let near_allowed = Limits { neighbours: true, ..limits() };
    let told = |aim: &Aim| harm(aim, &quiet(NOW), &near_allowed, &Ok(Spent::default()), NOW);
    assert_eq!(told(&near), Answer::Yes);
    let reasons = told(&at("203.0.113.0/28")).reasons().join("; ");
    assert!(reasons.contains("directly connected") && reasons.contains("gateway"), "{reasons}");
}

#[test]
fn what_could_not_be_looked_at_is_a_danger() {
    let spoil: [fn(&mut LiveSystem); 5] = [
        |live| live.sessions = Err("denied".into()),
        |live| live.gateways = Err("denied".into()),
        |live| live.resolvers = Err("denied".into()),
        |live| live.addresses = Err("denied".into()),
        |live| live.links = Err("denied".into()),
    ];
    for one in spoil {
        let mut live = quiet(NOW);
        one(&mut live);
        let reasons = asked(&at("198.51.100.7"), &live);
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].contains("could not be looked at: denied"), "{reasons:?}");
    }
    for taken in [NOW - LOOK_FRESH_S - 1, NOW + LOOK_FRESH_S + 1, i64::MIN, i64::MAX] {
        let live = LiveSystem { taken, ..quiet(NOW) };
        assert!(asked(&at("198.51.100.7"), &live)[0].contains("could not be looked at"));
    }
    let unread = harm(&at("198.51.100.7"), &quiet(NOW), &limits(), &Err("locked".into()), NOW);
    assert!(unread.reasons()[0].contains("locked"));
}

#[test]
fn accounts_and_units_that_are_needed_are_refused() {
    let mut live = quiet(NOW);
    live.sessions = Ok(vec![session("carl", "198.51.100.7")]);
    let user = |name: &str| Aim { user: Some(name.into()), ..Aim::default() };
    assert!(asked(&user("root"), &live)[0].contains("it is root"));
    assert!(asked(&user("carl"), &live)[0].contains("logged in"));
    assert_eq!(asked(&user("ann"), &live), Vec::<String>::new());
    live.administrators = Ok(["ann".to_string()].into());
    assert!(asked(&user("ann"), &live)[0].contains("last one"));
    live.administrators = Err("denied".into());
    assert!(asked(&user("dora"), &live)[0].contains("administrators could not"));
    for (unit, refused) in [
        ("ssh.service", true),
        ("sshd", true),
        ("systemd-journald.service", true),
        ("getty@tty1.service", true),
        ("postgresql", true),
        ("wardmote.service", true),
        ("nginx.service", false),
    ] {
        let aim = Aim { unit: Some(unit.into()), ..Aim::default() };
        assert_eq!(!asked(&aim, &quiet(NOW)).is_empty(), refused, "{unit}");
    }
}

#[test]
fn budgets_end_at_their_number() {
    let told = |of_kind, of_class| {
        let spent = Ok(Spent { of_kind, of_class });
        harm(&at("198.51.100.7"), &quiet(NOW), &limits(), &spent, NOW).reasons()
    };
    assert_eq!(told(19, 19), Vec::<String>::new());
    assert_eq!(told(20, 19), ["20 actions of this kind within an hour, at most 20"]);
    assert_eq!(told(19, 20).len(), 1);
    assert_eq!(told(u32::MAX, u32::MAX).len(), 2);
}

#[test]
fn a_human_overrides_only_what_hurts_nobody_of_ours() {
    let from = "198.51.100.7".parse().unwrap();
    let session = |who: &str| Danger::Session { from, who: who.into() };
    assert!(session("ann").is_absolute("ann"));
    assert!(!session("mallory").is_absolute("ann"), "an intruder's session is no protection");
    assert!(session(NOBODY_KNOWN).is_absolute("ann"), "it may be ann's");
    assert!(Danger::Gateway(from).is_absolute("ann"));
    assert!(Danger::Blind { what: "sessions", why: String::new() }.is_absolute("ann"));
    assert!(!Danger::Neighbour("10.0.0.0/8".parse().unwrap()).is_absolute("ann"));
}
