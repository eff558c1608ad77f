//! Text made safe to show: a planted password never survives, no control byte does, length is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::redact;
use wardmote_fuzz::timed;

/// An escaped character is at most `\u{10ffff}`.
const SHOWN_CHARS_MAX: usize = redact::LINE_CHARS_MAX * 10 + 1;
const SECRET: &str = "SECRETxyz";
const PLANTED: &str = " password=SECRETxyz ";

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    timed(|| {
        for shown in [redact::line(&text), redact::printable(&text), redact::crypt_field(&text)] {
            safe(&shown);
        }
        if text.contains(SECRET) {
            return;
        }
        let half = text.floor_char_boundary(text.len() / 2);
        let around = format!("{}{PLANTED}{}", &text[..half], &text[half..]);
        for planted in [format!("{PLANTED}{text}"), format!("{text}{PLANTED}"), around] {
            let shown = redact::line(&planted);
            assert!(!shown.contains(SECRET), "{shown}");
            safe(&shown);
        }
    });
});

fn safe(shown: &str) {
    assert!(shown.chars().count() <= SHOWN_CHARS_MAX);
    assert!(!shown.chars().any(char::is_control));
}
