//! What a TLS server of any age sends in the clear: read in pieces of any size it gives the same, its memory
//! is bounded, and any chain becomes a report.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::tls::{CHAIN_MAX, FLIGHT_BYTES_MAX, Flight, Progress, TlsParseError, client_hello};
use scanner::ports::tls::Start;
use scanner::ports::tls::facts::{Shown, report};
use wardmote_fuzz::timed;

fn read(data: &[u8], size: usize) -> (Flight, Result<Progress, TlsParseError>) {
    let mut flight = Flight::default();
    for piece in data.chunks(size) {
        match flight.feed(piece) {
            Ok(Progress::More) => {}
            ended => return (flight, ended),
        }
    }
    (flight, Ok(Progress::More))
}

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let (whole, ended) = read(data, data.len().max(1));
        let (pieces, ended_so) = read(data, 7);
        assert_eq!(ended, ended_so);
        assert_eq!((&whole.version, &whole.suite, &whole.chain), (&pieces.version, &pieces.suite, &pieces.chain));
        assert!(whole.chain.len() <= CHAIN_MAX);
        assert!(whole.chain.iter().map(Vec::len).sum::<usize>() <= FLIGHT_BYTES_MAX);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut chain = whole.chain;
        chain.push(data.to_vec());
        let shown = Shown { version: whole.version, suite: whole.suite, chain, client_certificate: None };
        let told = report(&shown, Start::Direct, Some("a.example.org"), now);
        assert!(told.chain > 0 && told.sha256.is_some());
        let name = std::str::from_utf8(data).ok();
        assert!(client_hello(name, &[0; 32]).len() < 512);
    });
});
