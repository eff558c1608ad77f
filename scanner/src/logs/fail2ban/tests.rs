use std::path::Path;

use parsers::rules::fail2ban::{Backend, Call, filter};
use parsers::tree::MemoryTree;

use super::*;

fn filter(text: &str) -> Filter {
    let tree = MemoryTree::new().file("/f/filter.d/a.conf", format!("[Definition]\n{text}"));
    let call = Call { name: "a".into(), ..Call::default() };
    let definition = filter::load(&tree, Path::new("/f"), &call, Backend::File).unwrap();
    Filter::compile(&definition, 2029).unwrap()
}

/// What each line comes to: the failure's identity, `-` for a line that is passed, nothing for others.
fn told(filter: &Filter, state: &mut State, lines: &[&str]) -> Vec<String> {
    let mut scratch = Scratch::default();
    let one = |line: &&str| {
        let Some(seen) = filter.examine(line.as_bytes(), &mut scratch) else {
            return String::new();
        };
        let taken = state.take(filter, &seen, None);
        assert!(!taken.undecided);
        match taken.failure {
            Some(failure) => failure.id,
            None if taken.passed => "-".into(),
            None => String::new(),
        }
    };
    lines.iter().map(one).collect()
}

#[test]
fn identities_are_addresses_networks_names_or_what_the_filter_says() {
    let cases = [
        ("failregex = x <HOST>$", "2025-01-01 00:00:00 x 192.0.2.1", "192.0.2.1"),
        ("failregex = x <HOST>$", "x ::ffff:192.0.2.1", "192.0.2.1"),
        ("failregex = x <HOST>$", "x [2001:DB8::0:1]", "2001:db8::1"),
        ("failregex = x <HOST>$", "x host.example", "host.example"),
        ("usedns = no\nfailregex = x <HOST>$", "x host.example", ""),
        ("failregex = x <ADDR>$", "x host.example", ""),
        ("failregex = x <SUBNET>$", "x 192.0.2.77/24", "192.0.2.0/24"),
        ("failregex = x <IP6>/<CIDR>$", "x 2001:db8:1:2::3/48", "2001:db8:1::/48"),
        ("failregex = x <F-ID>\\S+</F-ID> <IP4>$", "x id7 192.0.2.1", "id7"),
        ("failregex = x <DNS>$", "x a-b.example", "a-b.example"),
        ("failregex = ^x <HOST>$\nignoreregex = 0\\.2\\.9$", "x 192.0.2.9", "-"),
        ("failregex = ^x <HOST>$", "x 192.0.2.1\r\n", "192.0.2.1"),
        ("failregex = ^\\w+ <HOST>$", "h\u{e9} 192.0.2.1", "192.0.2.1"),
    ];
    for (text, line, id) in cases {
        let mut state = State::new(CONNECTIONS_MAX, None);
        assert_eq!(told(&filter(text), &mut state, &[line]), [id], "{text}: {line}");
    }
    // What is not UTF-8 is read as a replacement character, which is no letter.
    let latin = filter("failregex = ^h.\\s<HOST>$");
    assert!(latin.examine(b"h\xe9 192.0.2.1", &mut Scratch::default()).is_some());
}

const SESSIONS: &str = "prefregex = ^<F-MLFID>s\\[\\d+\\]: </F-MLFID><F-CONTENT>.+</F-CONTENT>$\n\
     failregex = ^bad <F-USER>\\S+</F-USER>$\n\
     \x20  ^bad <F-USER>\\S+</F-USER> at <HOST>$\n\
     \x20  ^<F-NOFAIL>from</F-NOFAIL> <HOST>$\n\
     \x20  ^<F-MLFFORGET>gone</F-MLFFORGET> <HOST>$\n\
     \x20  ^<F-MLFFORGET><F-MLFGAINED>in</F-MLFGAINED></F-MLFFORGET> <F-USER>\\S+</F-USER> <HOST>$\n";

#[test]
fn connections_join_lines_and_forgive_one_user_only() {
    let filter = filter(SESSIONS);
    let mut state = State::new(CONNECTIONS_MAX, None);
    // The address comes first, or last; a login forgives what nobody was told of yet.
    let lines = ["s[1]: from 192.0.2.1", "s[1]: bad a", "s[2]: bad a", "s[2]: gone 192.0.2.2"];
    assert_eq!(told(&filter, &mut state, &lines), ["-", "192.0.2.1", "-", "192.0.2.2"]);
    let lines = [
        "s[3]: from 192.0.2.3",
        "s[3]: in a 192.0.2.3",
        "s[4]: bad a at 192.0.2.4",
        "s[4]: in b 192.0.2.4",
    ];
    assert_eq!(told(&filter, &mut state, &lines), ["-", "-", "192.0.2.4", "192.0.2.4"]);
    // What ended is not known any more.
    assert_eq!(told(&filter, &mut state, &["s[2]: bad a"]), ["-"]);
}

#[test]
fn connections_are_bounded_and_the_lost_are_counted() {
    let filter = filter(SESSIONS);
    for (most, last, evicted) in [(3, "192.0.2.1", 0), (2, "-", 1)] {
        let mut state = State::new(most, None);
        let lines =
            ["s[1]: from 192.0.2.1", "s[2]: from 192.0.2.2", "s[3]: from 192.0.2.3", "s[1]: bad a"];
        assert_eq!(told(&filter, &mut state, &lines)[3], last);
        assert!(state.evicted >= evicted && (evicted > 0 || state.evicted == 0));
    }
    let mut scratch = Scratch::default();
    let mut state = State::new(CONNECTIONS_MAX, Some(CONNECTION_S));
    let mut at = |line: &str, time: f64| {
        let seen = filter.examine(line.as_bytes(), &mut scratch).unwrap();
        state.take(&filter, &seen, Some(time)).failure.is_some()
    };
    at("s[1]: from 192.0.2.1", 0.0);
    assert!(at("s[1]: bad a", CONNECTION_S));
    assert!(!at("s[1]: bad a", CONNECTION_S + 1.0));
}

#[test]
fn lines_are_looked_at_together() {
    let filter =
        filter("failregex = ^open <HOST><SKIPLINES>bad (?P<q>['\"])x(?P=q)$\nmaxlines = 3\n");
    assert_eq!((filter.maxlines(), filter.needed()), (3, None));
    let mut state = State::new(CONNECTIONS_MAX, None);
    let lines =
        ["open 192.0.2.1", "else", "bad 'x'", "bad 'x'", "open 192.0.2.2", "a", "b", "bad 'x'"];
    let found = told(&filter, &mut state, &lines);
    assert_eq!(found, ["", "", "192.0.2.1", "", "", "", "", ""]);
}

#[test]
fn what_takes_too_long_is_undecided_and_long_lines_are_cut() {
    let filter = filter("failregex = ^(?P<q>a+)+(?P=q) <HOST>$\n");
    let mut scratch = Scratch::default();
    let line = format!("{} 192.0.2.1", "a".repeat(5_000) + "b");
    let seen = filter.examine_candidate(line.as_bytes(), &mut scratch).unwrap();
    assert_eq!(seen.sight, Sight::Undecided);
    assert!(State::new(1, None).take(&filter, &seen, None).undecided);
    let long = "x".repeat(10 << 20);
    let plain = super::tests::filter("failregex = y <HOST>$\n");
    assert_eq!(plain.examine_candidate(long.as_bytes(), &mut scratch), None);
}

#[test]
fn literals_are_needed_by_every_match_even_across_a_cut_date() {
    let needed = |text: &str| {
        let needed = filter(text).needed()?.into_iter();
        Some(needed.map(|needle| String::from_utf8(needle).unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(needed("failregex = ^Failed for <HOST>"), Some(vec!["Failed for ".into()]));
    let cut = "failregex = ^Failed for <HOST>\ndatepattern = **%%Y-%%m-%%d**";
    assert_eq!(needed(cut), Some(vec!["Faile".into(), "d for ".into()]));
    let mut state = State::new(1, None);
    assert_eq!(told(&filter(cut), &mut state, &["Fai2025-01-02led for 192.0.2.1"]), ["192.0.2.1"]);
    assert_eq!(needed("failregex = ^<HOST>\ndatepattern = {NONE}"), None);
}

#[test]
fn lines_that_are_left_out_change_nothing_that_is_found() {
    let filter = filter(
        "failregex = ^open <HOST><SKIPLINES>bad (?P<q>\\w)$\n  ^(?P<r>\\w)<SKIPLINES>end <HOST> (?P=r)$\nmaxlines = 3\n",
    );
    let marks = filter.marks().unwrap();
    assert_eq!(marks.len(), 2);
    let mut seed = 9_u64;
    let mut below = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % most
    };
    let texts =
        ["x", "y", "other", "bad x", "open 192.0.2.1", "end 192.0.2.2 x", "end 192.0.2.3 y"];
    let (mut failures, mut left_out) = (0, 0);
    for _ in 0..60 {
        let quiet = 1 + below(40);
        let mut line = || if below(quiet) > 2 { texts[below(3)] } else { texts[below(7)] };
        let lines: Vec<&str> = (0..400).map(|_| line()).collect();
        let (mut all, mut some) = (State::new(1, None), State::new(1, None));
        let mut scratch = Scratch::default();
        for block in lines.chunks(50 + below(350)) {
            let bytes =
                block.iter().flat_map(|line| [line.as_bytes(), b"\n"]).collect::<Vec<_>>().concat();
            let holds = |at: &usize| marks.iter().any(|mark| bytes[*at..].starts_with(mark));
            let mut watch = Watch::new(0, filter.maxlines());
            watch.begin(&bytes, (0..bytes.len()).filter(holds));
            let mut start = 0;
            for line in block {
                let seen = filter.examine_candidate(line.as_bytes(), &mut scratch).unwrap();
                let wanted = all.take(&filter, &seen, None);
                let (shows, before) = watch.shows(start, start + line.len());
                start += line.len() + 1;
                if shows && !before {
                    some.take(&filter, &Seen { sight: Sight::Apart, ..seen.clone() }, None);
                }
                match shows {
                    true => assert_eq!(some.take(&filter, &seen, None).failure, wanted.failure),
                    false => assert_eq!(wanted.failure, None),
                }
                failures += usize::from(wanted.failure.is_some());
                left_out += usize::from(!shows);
            }
        }
    }
    assert!(failures > 500 && left_out > 2_000, "{failures} {left_out}");
}
