//! Request targets opened and judged: nothing grows, each limit holds, and what a prefilter is promised
//! is kept by every field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::log::access;
use scanner::logs::web::census::{Census, client_of};
use scanner::logs::web::payload::{self, ENOUGH};
use scanner::logs::web::request::{DERIVED, Request};
use scanner::logs::web::uri::{Opened, PARAMETERS_MAX, is_written_oddly, resolved};
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let opened = Opened::of(data);
        assert!(opened.text.len() <= data.len() + 1);
        assert!(opened.parameters().count() <= PARAMETERS_MAX);
        assert!(resolved(opened.path()).len() <= opened.path().len() + 1);
        assert!(is_written_oddly(data) || opened.text == data);
        assert!(payload::of_request(&opened).is_none_or(|found| found.points >= ENOUGH));
        let mut census = Census::default();
        for line in data.split(|byte| *byte == b'\n') {
            client_of(line);
            census.take_line(line, 1);
            let Some(record) = access::parse(line) else { continue };
            let request = Request::default();
            for name in DERIVED {
                assert!(request.field(&record, name).is_none() || Request::is_suspect(&record));
            }
            let texts = [line, request.text(&record).unwrap_or_default()];
            for name in ["uri_decoded", "uri_path", "uri_query"] {
                let Some(value) = request.field(&record, name) else { continue };
                let stands = |text: &&[u8]| {
                    value.is_empty() || text.windows(value.len()).any(|part| part == &*value)
                };
                assert!(texts.iter().any(stands), "{name}");
            }
        }
    });
});
