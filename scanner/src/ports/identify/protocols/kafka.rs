//! Kafka: ApiVersions (version 0), which a broker answers before any login.

use super::{Answer, Bytes, Step};

const CORRELATION: u32 = 0x776d_0001;
const CLIENT: &[u8] = b"wardmote";
/// Most APIs of an answer; brokers have about 80.
const APIS_MAX: u32 = 1_000;

/// Length, key 18, version 0, correlation id, client id.
pub fn question() -> Vec<u8> {
    let body = [&[0, 18, 0, 0][..], &CORRELATION.to_be_bytes(), &[0, 8], CLIENT].concat();
    let length = u32::try_from(body.len()).unwrap_or(0);
    [&length.to_be_bytes()[..], &body].concat()
}

/// Reads the error code and how many APIs there are.
pub fn answer(bytes: &[u8]) -> Step {
    let mut rest = Bytes(bytes);
    let Some(length) = rest.u32_be() else { return Step::More };
    if !(10..=10 + 6 * APIS_MAX).contains(&length) {
        return Step::Foreign;
    }
    match rest.u32_be() {
        None => return Step::More,
        Some(CORRELATION) => {}
        Some(_) => return Step::Foreign,
    }
    let (Some(error), Some(apis)) = (rest.u16_be(), rest.u32_be()) else { return Step::More };
    if apis > APIS_MAX || length < 10 + 6 * apis {
        return Step::Foreign;
    }
    Step::Done(Answer::new("kafka", "kafka.api", format!("error={error} apis={apis}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_read() {
        let body = [&CORRELATION.to_be_bytes()[..], &[0, 0, 0, 0, 0, 2], &[0; 12]].concat();
        let whole = [&22_u32.to_be_bytes()[..], &body].concat();
        let Step::Done(found) = answer(&whole) else { panic!() };
        assert_eq!(found.banner, "error=0 apis=2");
        for end in 0..14 {
            assert_eq!(answer(&whole[..end]), Step::More, "{end}");
        }
        for bytes in [&b"HTTP/1.1"[..], &[0, 0, 0, 22, 1, 2, 3, 4], &[0, 0, 0, 9]] {
            assert_eq!(answer(bytes), Step::Foreign);
        }
        let asked = question();
        assert_eq!(asked.len(), 4 + usize::from(asked[3]));
    }
}
