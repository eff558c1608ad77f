//! Lines against a filter with all that filters have: groups stay inside, the gate loses nothing, the
//! fast dates are the slow ones, connections are bounded.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use parsers::rules::fail2ban::{Backend, Call, filter};
use parsers::tree::MemoryTree;
use scanner::logs::fail2ban::{CONNECTIONS_MAX, Filter, Scratch, Sight, State, USERS_MAX};
use wardmote_fuzz::timed;

static FILTERS: LazyLock<Vec<Filter>> = LazyLock::new(|| {
    let texts = [
        "[Definition]\n\
         prefregex = ^<F-MLFID>\\s*(?:\\S+\\s+)?x\\[\\d+\\]:\\s+</F-MLFID>(?:(?:error|fatal): )?<F-CONTENT>.+</F-CONTENT>$\n\
         failregex = ^Failed (?P<cond_inv>invalid user )?<F-USER>(?P<cond_user>\\S+)|(?(cond_inv)(?:(?! from ).)*?|[^:]+)</F-USER> from <HOST>(?(cond_user): |(?:(?:(?! from ).)*)$)\n\
         \x20 ^<F-NOFAIL>Connection from</F-NOFAIL> <HOST>\n\
         \x20 ^<F-MLFFORGET><F-MLFGAINED>Accepted</F-MLFGAINED></F-MLFFORGET> <F-USER>\\S+</F-USER>\n\
         \x20 ^locked <F-USER>\\S+|.*?</F-USER>\\s*$\n\
         ignoreregex = ^never\ndatepattern = {^LN-BEG}\n",
        "[Definition]\nfailregex = ^a <HOST>.*<SKIPLINES>b (?P<q>['\"]).*(?P=q)$\nmaxlines = 5\n",
        "[Definition]\nfailregex = (?:a+)+ <ADDR>(?:/<CIDR>)? <F-ID/>\ndatepattern = {DATE}\n",
    ];
    let made = texts.iter().map(|text| {
        let tree = MemoryTree::new().file("/f/filter.d/a.conf", text);
        let call = Call { name: "a".into(), ..Call::default() };
        let definition = filter::load(&tree, Path::new("/f"), &call, Backend::File);
        Filter::compile(&definition.expect("a constant filter"), 2029).expect("a constant filter")
    });
    made.collect()
});

fuzz_target!(|data: &[u8]| {
    for filter in FILTERS.iter() {
        timed(|| {
            let mut scratch = Scratch::default();
            let mut state = State::new(CONNECTIONS_MAX, Some(300.0));
            for line in data.split(|byte| *byte == b'\n').take(100) {
                let gated = filter.examine(line, &mut scratch);
                let plain = filter.examine_candidate(line, &mut scratch);
                let matched =
                    plain.as_ref().is_some_and(|seen| matches!(seen.sight, Sight::Match { .. }));
                assert!(gated == plain || gated.is_none() && !matched);
                let Some(seen) = plain else { continue };
                let taken = state.take(filter, &seen, None);
                if let Some(failure) = taken.failure {
                    assert!(!failure.id.is_empty() && failure.users.len() <= USERS_MAX);
                    assert!(failure.regex < filter.expressions().len());
                }
            }
        });
    }
});
