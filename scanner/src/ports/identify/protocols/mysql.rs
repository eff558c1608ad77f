//! MySQL and MariaDB: the first packet of the server (protocol 10), which names the version.
//!
//! Nothing is sent. A client that leaves after the greeting is an aborted handshake, and those count
//! towards `max_connect_errors` of the address they came from. Every way out that does not count is
//! worse: a login that fails is written to the error log as `Access denied`, which fail2ban acts on. On
//! this host the connection comes from a loopback address that only wardmote uses, so nobody else can
//! be blocked by it; another host is asked once a scan, as a bare connect scan would.

use super::{Answer, Bytes, Step};

/// Protocol version of every server since 3.21.
const PROTOCOL: u8 = 10;
/// First byte of an error packet.
const ERROR: u8 = 0xff;
/// `CLIENT_SSL`.
const CAN_TLS: u16 = 0x0800;
/// Longest first packet; real ones have about 100 bytes.
const PACKET_BYTES_MAX: usize = 1024;

/// Reads the first packet.
pub fn answer(bytes: &[u8]) -> Step {
    let Some(header) = bytes.first_chunk::<5>() else {
        let may_be = matches!(bytes, [] | [_] | [_, _] | [_, _, 0] | [_, _, 0, 0]);
        return if may_be { Step::More } else { Step::Foreign };
    };
    let length =
        usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
    let is_first = header[3] == 0 && matches!(header[4], PROTOCOL | ERROR);
    if !is_first || !(4..=PACKET_BYTES_MAX).contains(&length) {
        return Step::Foreign;
    }
    let Some(packet) = bytes.get(4..4 + length) else { return Step::More };
    match read(packet) {
        Some(answer) => Step::Done(answer),
        None => Step::Foreign,
    }
}

fn read(packet: &[u8]) -> Option<Answer> {
    let mut rest = Bytes(packet);
    if rest.byte()? == ERROR {
        let _number = rest.take(2)?;
        let message = rest.0;
        // `#` and five characters of SQLSTATE stand before the message in some.
        let message = if message.first() == Some(&b'#') { message.get(6..)? } else { message };
        let answer = Answer::new("mysql", "mysql.error", message);
        return Some(Answer { without_tls: true, ..answer });
    }
    let version = rest.until_nul()?;
    // Thread id and the first part of the scramble: what looks like a greeting has them.
    rest.take(4 + 8)?;
    // A filler, then the lower half of what it can do.
    let can = rest.take(3).map(|can| u16::from_le_bytes([can[1], can[2]]));
    let printable = version.iter().all(|byte| (b' '..=b'~').contains(byte));
    let mut answer = Answer::new("mysql", "mysql.banners", version);
    answer.without_tls = can.is_none_or(|can| can & CAN_TLS == 0);
    (printable && !version.is_empty()).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(body: &[u8]) -> Vec<u8> {
        [&[u8::try_from(body.len()).unwrap(), 0, 0, 0], body].concat()
    }

    #[test]
    fn greetings_and_refusals_are_read() {
        let body =
            [b"\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0", &[7, 0, 0, 0][..], b"abcdefgh\0\xfe\xf7"]
                .concat();
        let Step::Done(found) = answer(&packet(&body)) else { panic!() };
        assert_eq!(found.texts, [("mysql.banners", b"5.5.5-10.11.6-MariaDB-0+deb12u1".to_vec())]);
        assert!(found.without_tls, "0xf7fe lacks CLIENT_SSL");
        let body = [b"\x0a8.0.36\0", &[7, 0, 0, 0][..], b"abcdefgh\0\xff\xff"].concat();
        let Step::Done(found) = answer(&packet(&body)) else { panic!() };
        assert!(!found.without_tls);
        let body = [&[0xff, 0x6a, 0x04][..], b"Host '192.0.2.1' is not allowed"].concat();
        let Step::Done(found) = answer(&packet(&body)) else { panic!() };
        assert_eq!(found.texts, [("mysql.error", b"Host '192.0.2.1' is not allowed".to_vec())]);
        let body = [&[0xff, 0x10, 0x04][..], b"#08004Too many connections"].concat();
        let Step::Done(found) = answer(&packet(&body)) else { panic!() };
        assert_eq!(found.texts[0].1, b"Too many connections");
    }

    #[test]
    fn parts_are_waited_for_and_anything_else_is_foreign() {
        let whole = packet(&[b"\x0a8.0.36\0", &[7, 0, 0, 0][..], b"abcdefgh\0"].concat());
        for end in 0..whole.len() {
            assert_eq!(answer(&whole[..end]), Step::More, "{end}");
        }
        for bytes in [
            &b"220 x\r\n"[..],
            b"SSH-2.0-x",
            &packet(b"\x0a8.0"),
            &packet(b"\x0a\0aaaabbbbbbbb"),
            &packet(b"\x0a\x01\x02\0aaaabbbbbbbb"),
            b"\xff\xff\xff\0\x0a",
        ] {
            assert_eq!(answer(bytes), Step::Foreign);
        }
    }
}
