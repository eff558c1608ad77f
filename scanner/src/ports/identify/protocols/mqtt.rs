//! MQTT 3.1.1: CONNECT with a clean session and no name, SUBSCRIBE to what brokers publish about their
//! version, DISCONNECT. A client need not wait for CONNACK (3.1.4), so it is one question.

use super::{Answer, Bytes, Flow, Step};

/// Where Mosquitto and HiveMQ, and where EMQX publish their version.
const TOPICS: [&str; 2] = ["$SYS/broker/version", "$SYS/brokers/+/version"];
const DISCONNECT: &[u8] = &[0xe0, 0];
/// Most packets that are walked through.
const PACKETS_MAX: usize = 8;

/// CONNECT and SUBSCRIBE (quality of service 0).
pub fn question() -> Vec<u8> {
    let connect = [&[0, 4][..], b"MQTT", &[4, 2, 0, 10, 0, 0]].concat();
    let topics =
        TOPICS.iter().flat_map(|topic| [&[0, short(topic.len())], topic.as_bytes(), &[0]].concat());
    let subscribe: Vec<u8> = [0, 1].into_iter().chain(topics).collect();
    [&[0x10, short(connect.len())], &connect[..], &[0x82, short(subscribe.len())], &subscribe]
        .concat()
}

/// A length below 128, as all of the question's are.
fn short(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(127)
}

/// Reads CONNACK, and waits for a version if the broker let us in.
pub fn answer(bytes: &[u8], flow: Flow) -> Step {
    const CONNACK: [u8; 2] = [0x20, 2];
    let known = bytes.len().min(CONNACK.len());
    if bytes[..known] != CONNACK[..known] {
        return Step::Foreign;
    }
    let Some(&code) = bytes.get(3) else { return Step::More };
    let accepted = match code {
        0 => true,
        1..=5 => false,
        _ => return Step::Foreign,
    };
    let mut rest = Bytes(&bytes[4..]);
    for _ in 0..PACKETS_MAX {
        let Some((kind, body)) = packet(&mut rest) else { break };
        if kind & 0xf0 == 0x30
            && let Some(text) = published(body)
        {
            return Step::Done(Answer::new("mqtt", "mqtt.version", text).with_goodbye(DISCONNECT));
        }
    }
    if accepted && flow == Flow::Open {
        return Step::More;
    }
    let banner = if accepted { "accepts anonymous clients" } else { "refuses anonymous clients" };
    let goodbye = if accepted { DISCONNECT } else { b"" };
    Step::Done(Answer { service: "mqtt", banner: banner.to_string(), goodbye, ..Answer::default() })
}

/// Topic and text of a PUBLISH with quality of service 0.
fn published(body: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Bytes(body);
    let length = rest.u16_be()?;
    let topic = rest.take(usize::from(length))?;
    topic.starts_with(b"$SYS/").then(|| [topic, b" ", rest.0].concat())
}

/// The next packet: its first byte and what follows its length.
fn packet<'b>(rest: &mut Bytes<'b>) -> Option<(u8, &'b [u8])> {
    let kind = rest.byte()?;
    let mut length = 0_usize;
    for place in 0..4 {
        let byte = rest.byte()?;
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return rest.take(length).map(|body| (kind, body));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_version_is_read() {
        let text = b"mosquitto version 2.0.11";
        let topic = TOPICS[0].as_bytes();
        let body = [&[0, short(topic.len())], topic, text].concat();
        let whole =
            [&[0x20, 2, 0, 0, 0x90, 4, 0, 1, 0, 0, 0x31, short(body.len())], &body[..]].concat();
        let Step::Done(found) = answer(&whole, Flow::Open) else { panic!() };
        assert_eq!(
            found.texts,
            [("mqtt.version", b"$SYS/broker/version mosquitto version 2.0.11".to_vec())]
        );
        assert_eq!(found.goodbye, DISCONNECT);
        for end in 0..whole.len() {
            assert_eq!(answer(&whole[..end], Flow::Open), Step::More, "{end}");
        }
        let Step::Done(found) = answer(&whole[..10], Flow::Over) else { panic!() };
        assert_eq!((found.banner.as_str(), found.texts.len()), ("accepts anonymous clients", 0));
    }

    #[test]
    fn a_refusal_is_enough_and_anything_else_is_foreign() {
        let Step::Done(found) = answer(&[0x20, 2, 0, 5], Flow::Open) else { panic!() };
        assert_eq!((found.banner.as_str(), found.goodbye), ("refuses anonymous clients", &b""[..]));
        for bytes in [&b"HTTP"[..], &[0x20, 3, 0, 0], &[0x20, 2, 0, 9]] {
            assert_eq!(answer(bytes, Flow::Open), Step::Foreign);
        }
        let endless = [0x20, 2, 0, 0, 0x30, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(matches!(answer(&endless, Flow::Over), Step::Done(_)));
    }

    #[test]
    fn the_question_has_the_lengths_that_it_states() {
        let asked = question();
        let mut rest = Bytes(&asked);
        assert!(matches!(packet(&mut rest), Some((0x10, _))));
        assert!(matches!(packet(&mut rest), Some((0x82, body)) if body.ends_with(b"version\0")));
        assert!(rest.0.is_empty());
    }
}
