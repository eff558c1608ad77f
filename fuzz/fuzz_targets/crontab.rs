//! Crontabs in both forms: places lie inside, the command stands where its place says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::cron::{Crontab, Form};
use wardmote_fuzz::{Shape, timed};

fuzz_target!(|data: &[u8]| {
    let shape = Shape::of(data);
    timed(|| {
        for form in [Form::System, Form::User("bob".into())] {
            let tab = Crontab::parse("f", data, &form);
            shape.hold_problems(&tab.problems);
            for job in &tab.jobs {
                shape.holds(job.place.line, job.place.column);
                shape.holds(job.command_place.line, job.command_place.column);
                assert_eq!(job.place.line, job.command_place.line);
                assert!(job.place.column <= job.command_place.column);
            }
            tab.environment.iter().for_each(|set| shape.holds(set.place.line, set.place.column));
        }
    });
});
