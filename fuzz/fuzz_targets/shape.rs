//! What is proved of a shape holds for every line of it: a pattern that cannot match the shape of a line
//! matches neither it nor the same line with other digits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::logs::fail2ban::pattern::{Lines, Machine, Pattern};

fuzz_target!(|data: &[u8]| {
    let Some(cut) = data.iter().position(|byte| *byte == 0) else { return };
    let (text, line) = (&data[..cut], &data[cut + 1..]);
    let Ok(text) = std::str::from_utf8(&text[..text.len().min(200)]) else { return };
    let Ok(pattern) = Pattern::new(text, Lines::One) else { return };
    let line = &line[..line.len().min(200)];
    if pattern.may_match_like(line) {
        return;
    }
    let mut machine = Machine::default();
    for turn in 0..10_u8 {
        let other = |byte: &u8| match byte.is_ascii_digit() {
            true => (byte - b'0' + turn) % 10 + b'0',
            false => *byte,
        };
        let other: Vec<u8> = line.iter().map(other).chain([b'\n']).collect();
        // A shape of which anything is proved is of ASCII text.
        let other = std::str::from_utf8(&other).expect("ASCII text");
        assert_ne!(pattern.search(other, &mut machine), Ok(true), "{text:?} {other:?}");
    }
});
