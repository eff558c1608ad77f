//! httpd.conf with includes: places lie inside of their files, bounds hold, merging ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::apache::{Apache, Facts, Request};
use parsers::config::directives::Directive;
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 3] = ["/etc/apache2/apache2.conf", "/etc/apache2/a", "/etc/apache2/d/b"];

fn hold(files: &Files, directives: &[Directive]) {
    for directive in directives {
        files.holds(&directive.place);
        directive.arguments.iter().for_each(|argument| files.holds(&argument.place));
        hold(files, directive.children());
    }
}

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        let facts = Facts::default();
        let read = Apache::read(files.tree(), PATHS[0], &facts).expect("the main file is there");
        files.hold_problems(&read.problems);
        hold(&files, &read.directives);
        read.notes.iter().for_each(|note| files.holds(&note.place));
        let text = |text: &str| Some(text.to_string());
        let request = Request { host: text("www"), path: text("/a/b"), file: text("/srv/a/b") };
        read.effective(&request);
    });
});
