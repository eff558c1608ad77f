//! RDP: an X.224 connection request with a negotiation request ([MS-RDPBCGR] 2.2.1.1).

use super::{Answer, Step};

/// TPKT, X.224 connection request, and: TLS or CredSSP, please.
pub const QUESTION: &[u8] = &[3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];

/// Reads an X.224 connection confirm.
pub fn answer(bytes: &[u8]) -> Step {
    const BEGIN: [u8; 3] = [3, 0, 0];
    let known = bytes.len().min(BEGIN.len());
    if bytes[..known] != BEGIN[..known] {
        return Step::Foreign;
    }
    let Some(length) = bytes.get(3).map(|length| usize::from(*length)) else { return Step::More };
    if !matches!(length, 11 | 19) {
        return Step::Foreign;
    }
    let Some(packet) = bytes.get(..length) else { return Step::More };
    // Connection confirm, its length counted from behind itself.
    if usize::from(packet[4]) != length - 5 || packet[5] & 0xf0 != 0xd0 {
        return Step::Foreign;
    }
    let said = match packet.get(11..19) {
        None => "confirm".to_string(),
        Some([2, flags, 8, 0, protocol @ ..]) => {
            format!("response flags={flags:#04x} protocol={}", number(protocol))
        }
        Some([3, _, 8, 0, code @ ..]) => format!("failure code={}", number(code)),
        Some(_) => return Step::Foreign,
    };
    Step::Done(Answer::new("rdp", "rdp.negotiation", said))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirms_are_read() {
        let response = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0x1f, 8, 0, 2, 0, 0, 0];
        let Step::Done(found) = answer(&response) else { panic!() };
        assert_eq!(found.banner, "response flags=0x1f protocol=2");
        let failure = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 3, 0, 8, 0, 5, 0, 0, 0];
        let Step::Done(found) = answer(&failure) else { panic!() };
        assert_eq!(found.banner, "failure code=5");
        let bare = [3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0];
        let Step::Done(found) = answer(&bare) else { panic!() };
        assert_eq!(found.banner, "confirm");
        for end in 0..response.len() {
            assert_eq!(answer(&response[..end]), Step::More, "{end}");
        }
        for bytes in [&b"HTTP/1.1"[..], &[3, 0, 0, 5, 0], &[3, 0, 0, 11, 6, 0xe0, 0, 0, 0, 0, 0]] {
            assert_eq!(answer(bytes), Step::Foreign);
        }
        assert_eq!(QUESTION.len(), usize::from(QUESTION[3]));
    }
}
