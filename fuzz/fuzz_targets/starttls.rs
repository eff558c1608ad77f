//! The talk before TLS, of every protocol: it ends, it never asks for more than its bound, and nothing that
//! came after the answer that begins TLS is ever taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::ports::tls::starttls::{Start, Step, TALK_BYTES_MAX, Talk};
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else { return };
    timed(|| {
        let start = Start::ALL[usize::from(first) % Start::ALL.len()];
        for size in [1, 5, rest.len().max(1)] {
            let mut talk = Talk::new(start);
            let mut sent = 0;
            for piece in rest.chunks(size) {
                match talk.feed(piece) {
                    Ok(Step::More) => {}
                    Ok(Step::Send(bytes)) => {
                        sent += 1;
                        assert!(!bytes.is_empty() && sent <= 3);
                    }
                    Ok(Step::Handshake(_)) | Err(_) => break,
                }
            }
        }
        let mut talk = Talk::new(start);
        if start != Start::Direct {
            assert!(talk.feed(&vec![b'x'; TALK_BYTES_MAX + 1]).is_err());
        }
    });
});
