//! Each disagreement by hand, with its cause.

use super::*;
use crate::ports::firewall::nft;

fn socket(address: &str, port: u16, inode: u32) -> Socket {
    Socket {
        transport: Transport::Tcp,
        port,
        address: address.parse().unwrap(),
        dual_stack: address == "::",
        uid: 0,
        inode,
        queue: (0, 128),
        cgroup: None,
        cookie: Some(u64::from(inode)),
        mark: None,
    }
}

/// Views that agree about one listener.
fn agreeing() -> Views {
    let one = socket("0.0.0.0", 80, 7);
    Views {
        netlink: Some(vec![one.clone()]),
        tables: Some(vec![one]),
        taken: Some(Taken {
            ports: [(Family::Four, 80)].into(),
            asked: (1..=1000).collect(),
            unasked: None,
        }),
        answers: vec![answer(80, State::Open(1)), answer(81, State::Closed)],
        held: Some([7].into()),
        keepers: Some(BTreeMap::new()),
        shows_inactive: true,
        firewall: Some(Firewall::Known(rules(b"{\"nftables\":[]}"))),
        ..Views::default()
    }
}

fn answer(port: u16, state: State) -> Answer {
    Answer { address: "127.0.0.1".parse().unwrap(), port, state }
}

fn rules(text: &[u8]) -> crate::ports::firewall::Ruleset {
    nft::read(text, |_, _| false).unwrap()
}

/// The only disagreement.
fn only(views: &Views) -> (Cause, String) {
    let found = compare(views);
    assert_eq!(found.len(), 1, "{found:?}");
    (found[0].cause, found[0].because.clone())
}

#[test]
fn views_that_agree_have_nothing_to_tell() {
    assert_eq!(compare(&agreeing()), []);
    let mut dual = agreeing();
    for view in [&mut dual.netlink, &mut dual.tables] {
        *view = Some(vec![socket("::", 80, 7)]);
    }
    dual.taken.as_mut().unwrap().ports.insert((Family::Six, 80));
    assert_eq!(compare(&dual), []);
    assert_eq!(compare(&Views::default()), [], "nothing was looked at");
}

#[test]
fn a_listener_that_one_of_both_tables_lacks_is_hidden() {
    let mut views = agreeing();
    views.tables = Some(Vec::new());
    assert_eq!(only(&views).0, Cause::Hidden);
    let mut views = agreeing();
    views.tables.as_mut().unwrap().push(socket("0.0.0.0", 99, 9));
    assert_eq!(only(&views).0, Cause::Hidden);
    views.beyond.insert(9, "net:[5] (web)".into());
    let (cause, because) = only(&views);
    assert!(cause == Cause::Namespace && because.contains("(web)"), "{because}");
    views.tables = None;
    assert_eq!(compare(&views), [], "not looked at");
}

#[test]
fn a_taken_port_without_a_listener_is_told_by_what_keeps_it() {
    let mut views = agreeing();
    views.taken.as_mut().unwrap().ports.insert((Family::Four, 90));
    assert_eq!(only(&views).0, Cause::Hidden);
    views.shows_inactive = false;
    assert_eq!(only(&views).0, Cause::Unexplained);
    views.shows_inactive = true;
    for (keeper, cause) in
        [(Keeper::TimeWait, Cause::TimeWait), (Keeper::BoundInactive, Cause::BoundInactive)]
    {
        views.keepers.as_mut().unwrap().insert((Family::Four, 90), keeper);
        assert_eq!(only(&views).0, cause);
    }
    views.keepers.as_mut().unwrap().insert((Family::Four, 90), Keeper::Connection);
    assert_eq!(compare(&views), []);
    let mut views = agreeing();
    views.taken.as_mut().unwrap().ports.clear();
    assert_eq!(only(&views).0, Cause::Unexplained, "a listener whose port is free");
    views.taken.as_mut().unwrap().asked.remove(&80);
    assert_eq!(compare(&views), [], "not asked");
}

#[test]
fn an_answer_without_a_listener_is_a_redirection_or_hidden() {
    let mut views = agreeing();
    views.answers.push(answer(8080, State::Open(1)));
    assert_eq!(only(&views).0, Cause::Hidden);
    views.firewall = Some(Firewall::Unread("needs CAP_NET_ADMIN".into()));
    let (cause, because) = only(&views);
    assert!(cause == Cause::Unexplained && because.contains("CAP_NET_ADMIN"), "{because}");
    views.firewall = Some(Firewall::Known(rules(
        br#"{"nftables":[
        {"chain":{"family":"inet","table":"t","name":"out","handle":2,"type":"nat","hook":"output","prio":-100,"policy":"accept"}},
        {"rule":{"family":"inet","table":"t","chain":"out","handle":3,"expr":[
            {"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":8080}},{"redirect":{"port":80}}]}}]}"#,
    )));
    let (cause, because) = only(&views);
    assert_eq!(cause, Cause::Redirect);
    assert!(because.contains("rule with handle 3") && because.contains("port 80"), "{because}");
}

#[test]
fn a_listener_that_does_not_answer_is_saturated_or_firewalled() {
    let mut views = agreeing();
    views.answers = vec![answer(80, State::Filtered("no answer"))];
    assert_eq!(only(&views).0, Cause::Unexplained, "the firewall is known, and lets it in");
    for view in [&mut views.netlink, &mut views.tables] {
        view.as_mut().unwrap()[0].queue = (1, 0);
    }
    let (cause, because) = only(&views);
    assert!(cause == Cause::Saturated && because.contains("1 of 0"), "{because}");
    let mut views = agreeing();
    views.answers = vec![answer(80, State::Filtered("no answer"))];
    views.firewall = Some(Firewall::Known(rules(
        br#"{"nftables":[
        {"chain":{"family":"inet","table":"t","name":"in","handle":2,"type":"filter","hook":"input","prio":0,"policy":"accept"}},
        {"rule":{"family":"inet","table":"t","chain":"in","handle":7,"expr":[
            {"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":80}},{"drop":null}]}}]}"#,
    )));
    let (cause, because) = only(&views);
    assert!(cause == Cause::Firewalled && because.contains("handle 7"), "{because}");
    views.firewall = Some(Firewall::Unread("x".into()));
    assert_eq!(only(&views).0, Cause::Firewalled);
    views.answers = vec![answer(80, State::LocalError(24))];
    assert_eq!(compare(&views), [], "this host could not ask");
}

#[test]
fn a_listener_without_a_holder_is_the_kernels_or_unexplained() {
    let mut views = agreeing();
    views.held = Some(BTreeSet::new());
    assert_eq!(only(&views).0, Cause::Unexplained);
    let nfsd = parsers::tree::MemoryTree::new().file("/proc/fs/nfsd/portlist", "tcp 80\n");
    views.kernel = KernelServices::read(&nfsd);
    let (cause, because) = only(&views);
    assert!(cause == Cause::Kernel && because.contains("nfsd"), "{because}");
    views.held = None;
    assert_eq!(compare(&views), [], "not looked at");
}
