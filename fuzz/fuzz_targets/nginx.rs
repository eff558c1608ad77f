//! nginx.conf with includes: places lie inside of their files, bounds hold, the effective view ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::directives::Directive;
use parsers::config::nginx::Nginx;
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 3] = ["/etc/nginx/nginx.conf", "/etc/nginx/a", "/etc/nginx/d/b"];

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
        let read = Nginx::read(files.tree(), PATHS[0]).expect("the main file is there");
        files.hold_problems(&read.problems);
        hold(&files, &read.directives);
        read.effective().blocks.iter().for_each(|block| files.holds(&block.place));
    });
});
