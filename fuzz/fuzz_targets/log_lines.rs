//! Lines of syslog, access and error logs, audit and JSON, as records and as events; and what a sweep
//! makes of them: names that somebody typed, decoded addresses, the built-in rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::log::{access, audit, json, syslog};
use scanner::logs::audit::{Joiner, Note};
use scanner::logs::conceal::Concealer;
use scanner::logs::event::{Event, Form};
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let mut form = Form::default();
        let mut concealer = Concealer::default();
        let mut joiner = Joiner::default();
        for line in data.split(|byte| *byte == b'\n') {
            if let Some(record) = syslog::parse(line) {
                assert!((1..=syslog::REPEATED_MAX).contains(&record.weight));
                assert!(record.message.len() <= line.len());
            }
            access::parse(line);
            access::parse_error(line);
            if let Some(record) = audit::parse(line) {
                assert!(record.fields.len() <= audit::FIELDS_MAX);
            }
            if let Some(fields) = json::parse(line) {
                assert!(fields.len() <= json::FIELDS_MAX);
            }
            let event = Event::read(line, &mut form);
            assert!(event.column() as usize <= line.len() + 1);
            assert_eq!(event.raw, line);
            for name in ["message", "program", "user", "src_ip", "c-uri", "sc-status", "a0"] {
                event.field(name);
            }
            concealer.learn(&event.who());
            event.any_text(true, |_| false);
            if let Some(note) = event.audit_record().and_then(Note::of) {
                joiner.push(note, (), |joined, ()| {
                    assert_eq!(
                        Event::of_joined(&joined).any_value("Image", |_| true).is_none(),
                        joined.values("Image").next().is_none()
                    );
                });
            }
        }
        joiner.finish(|_, ()| ());
        concealer.line(&String::from_utf8_lossy(data));
    });
});
