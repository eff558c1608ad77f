use super::*;

fn record_of(kind: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
    [&[kind, 3, 1], &length[..], contents].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn hello(version: u16, suite: u16) -> Vec<u8> {
    let (version, suite) = (version.to_be_bytes(), suite.to_be_bytes());
    let body = [&version[..], &[7; 32], &[2, 9, 9], &suite, &[0]].concat();
    message(SERVER_HELLO, &body)
}

fn chain(certificates: &[&[u8]]) -> Vec<u8> {
    let one = |der: &&[u8]| [&u32::try_from(der.len()).unwrap().to_be_bytes()[1..], der].concat();
    let list: Vec<u8> = certificates.iter().flat_map(one).collect();
    let length = u32::try_from(list.len()).unwrap().to_be_bytes();
    message(CERTIFICATE, &[&length[1..], &list].concat())
}

fn whole(version: u16) -> Vec<u8> {
    let mut messages = hello(version, 0x002f);
    messages.extend(chain(&[b"leaf", b"root"]));
    messages.extend(message(12, &[0; 40]));
    messages.extend(message(CERTIFICATE_REQUEST, &[1, 1, 0, 0]));
    messages.extend(message(SERVER_HELLO_DONE, &[]));
    // Messages do not end where records end.
    let (one, two) = messages.split_at(50);
    [record_of(ALERT, &[1, 112]), record_of(HANDSHAKE, one), record_of(HANDSHAKE, two)].concat()
}

#[test]
fn a_flight_is_read_in_pieces_of_any_size() {
    for version in 0x0300..=0x0303 {
        let bytes = whole(version);
        for size in [1, 2, 3, 7, 50, bytes.len()] {
            let mut flight = Flight::default();
            let mut last = Progress::More;
            for piece in bytes.chunks(size) {
                assert_eq!(last, Progress::More);
                last = flight.feed(piece).unwrap();
            }
            assert_eq!(last, Progress::Done);
            assert_eq!((flight.version, flight.suite), (Some(version), Some(0x002f)));
            assert_eq!(flight.chain, [b"leaf".to_vec(), b"root".to_vec()]);
            assert!(flight.asks_certificate);
        }
    }
}

#[test]
fn alerts_and_other_protocols_are_told_apart() {
    let feed = |bytes: &[u8]| Flight::default().feed(bytes);
    assert_eq!(feed(&record_of(ALERT, &[2, 40])), Err(TlsParseError::Alert(40)));
    assert_eq!(alert_name(40), Some("handshake_failure"));
    assert_eq!(feed(b"HTTP/1.1 400 Bad Request\r\n"), Err(TlsParseError::NotTls));
    assert_eq!(feed(b"220 mail ESMTP\r\n"), Err(TlsParseError::NotTls));
    assert_eq!(feed(&[22]), Ok(Progress::More));
    assert_eq!(feed(&[22, 0]), Err(TlsParseError::NotTls));
    assert!(matches!(feed(&record_of(23, b"x")), Err(TlsParseError::Malformed(_))));
    assert!(matches!(feed(&record_of(ALERT, &[2])), Err(TlsParseError::Malformed(_))));
}

#[test]
fn hostile_lengths_end_in_an_error_or_a_wait() {
    let feed = |bytes: &[u8]| Flight::default().feed(bytes);
    assert_eq!(feed(&[22, 3, 3, 0x48, 0x00]), Ok(Progress::More));
    assert!(matches!(feed(&[22, 3, 3, 0x48, 0x01]), Err(TlsParseError::Malformed(_))));
    for body in [&[][..], &[3, 3], &[3; 34], &[3; 36]] {
        let bytes = record_of(HANDSHAKE, &message(SERVER_HELLO, body));
        assert_eq!(feed(&bytes), Err(BAD_HELLO), "{body:?}");
    }
    for body in [&[][..], &[0, 0, 9], &[0, 0, 4, 0, 0, 9, 1]] {
        let bytes = record_of(HANDSHAKE, &message(CERTIFICATE, body));
        assert_eq!(feed(&bytes), Err(BAD_CHAIN), "{body:?}");
    }
    let done = record_of(HANDSHAKE, &message(SERVER_HELLO_DONE, &[]));
    assert_eq!(feed(&done), Err(BAD_HELLO), "done before hello");
}

#[test]
fn a_flight_ends_at_its_bound() {
    // A message that says it is endless, in records that never stop.
    let mut flight = Flight::default();
    let mut bytes = vec![12, 0xff, 0xff, 0xff];
    bytes.resize(1 << 14, 0);
    let record = record_of(HANDSHAKE, &bytes);
    for _ in 0..FLIGHT_BYTES_MAX / record.len() {
        assert_eq!(flight.feed(&record), Ok(Progress::More));
    }
    assert!(matches!(flight.feed(&record), Err(TlsParseError::Malformed(_))));

    let empty = record_of(HANDSHAKE, &[]).repeat(FLIGHT_BYTES_MAX / 5);
    let mut flight = Flight::default();
    assert_eq!(flight.feed(&empty), Ok(Progress::More));
    assert!(matches!(flight.feed(&empty[..5]), Err(TlsParseError::Malformed(_))));

    let many: Vec<&[u8]> = vec![b"x"; CHAIN_MAX + 1];
    let mut flight = Flight::default();
    flight.feed(&record_of(HANDSHAKE, &chain(&many))).unwrap();
    assert_eq!(flight.chain.len(), CHAIN_MAX);
}

#[test]
fn the_hello_is_short_and_takes_only_names_for_sni() {
    let plain = client_hello(None, &[7; 32]);
    assert!(plain.len() < 256, "{}", plain.len());
    assert_eq!(plain[..3], [22, 3, 1]);
    assert_eq!(usize::from(u16::from_be_bytes([plain[3], plain[4]])), plain.len() - 5);
    let named = client_hello(Some("mail.example.org"), &[7; 32]);
    assert!(named.windows(16).any(|part| part == b"mail.example.org"));
    for none in ["192.0.2.1", "::1", "", "a b", &"a".repeat(254)] {
        assert_eq!(client_hello(Some(none), &[7; 32]), plain, "{none}");
    }
}

#[test]
fn suites_have_each_one_number_and_name() {
    let numbers: std::collections::BTreeSet<u16> = OFFERED.iter().map(|one| one.0).collect();
    assert_eq!(numbers.len(), OFFERED.len());
    assert_eq!(suite_name(0x1301), "TLS_AES_128_GCM_SHA256");
    assert_eq!(suite_name(0xeeee), "0xeeee");
}
