//! Filters and jails of fail2ban: problems lie inside of their files, bounds hold, whatever compiles can
//! be asked.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use parsers::rules::fail2ban::{Backend, Call, call, filter, jail};
use scanner::logs::fail2ban::{CONNECTIONS_MAX, Filter, NEEDLES_MAX, Scratch, State};
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] =
    ["/f/filter.d/a.conf", "/f/filter.d/a.local", "/f/filter.d/b.conf", "/f/jail.conf"];

const LINES: [&str; 3] = [
    "Nov  3 10:00:00 host sshd[7]: Failed password for root from 192.0.2.1 port 4 ssh2",
    "2024-05-01T10:00:00.1Z x 2001:db8::1",
    "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 404 1",
];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        for text in ["a", "a[mode=x, logtype=journal]"] {
            let call: Call = call::parse(text).expect("a constant call");
            let loaded = filter::load(files.tree(), Path::new("/f"), &call, Backend::File);
            let compiled = loaded.and_then(|definition| Filter::compile(&definition, 2029));
            match compiled {
                Err(problem) if &*problem.place.file == "options" => {}
                Err(problem) => files.holds(&problem.place),
                Ok(filter) => ask(&filter),
            }
        }
        if let Ok(jails) = jail::load(files.tree(), Path::new("/f")) {
            jails.jails.iter().for_each(|jail| assert!(jail.findtime_s.is_finite()));
        }
        let _ = call::parse(&String::from_utf8_lossy(data));
    });
});

fn ask(filter: &Filter) {
    assert!(filter.needed().is_none_or(|needed| needed.len() <= NEEDLES_MAX));
    let mut scratch = Scratch::default();
    let mut state = State::new(CONNECTIONS_MAX, None);
    for line in LINES {
        let gated = filter.examine(line.as_bytes(), &mut scratch);
        let plain = filter.examine_candidate(line.as_bytes(), &mut scratch);
        // The gate loses no match.
        assert!(gated == plain || gated.is_none() && !matched(&plain), "{line}");
        if let Some(seen) = plain {
            state.take(filter, &seen, None);
        }
    }
}

fn matched(seen: &Option<scanner::logs::fail2ban::Seen>) -> bool {
    use scanner::logs::fail2ban::Sight;
    seen.as_ref().is_some_and(|seen| matches!(seen.sight, Sight::Match { .. }))
}
