//! One conversation: listen, ask at most one question, read a bounded answer, say goodbye.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::plan::{Known, Plan, Protocol};
use super::protocols::{self, ANSWER_BYTES_MAX, Answer, Flow, Step, greeting};

/// How long a conversation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// For a greeting of a service that may not have one.
    pub greeting: Duration,
    /// For all of it.
    pub whole: Duration,
}

/// How long a service that was told goodbye may take to close.
const GOODBYE_WITHIN: Duration = Duration::from_millis(250);
/// How long is waited for the rest of a greeting that has begun and may be whole.
const REST_WITHIN: Duration = Duration::from_millis(150);
/// How long a broker that let us in may take to publish its version.
const PUBLISH_WITHIN: Duration = Duration::from_millis(500);

/// Why a conversation came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It said nothing, or nothing that is known here.
    Unknown,
    /// It closed the connection without a word.
    Closed,
    /// The connection broke: what the system says.
    Broken(String),
}

/// Speaks with a service. `None`: it said nothing that is known here, or nothing at all.
pub async fn talk<S>(stream: &mut S, plan: Plan, waits: Waits, host: &str) -> Option<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    hear(stream, plan, waits, host).await.ok()
}

/// The same with the reason where there is no answer.
///
/// # Errors
/// The service kept silent, said something else, or the connection ended.
pub async fn hear<S>(
    stream: &mut S,
    plan: Plan,
    waits: Waits,
    host: &str,
) -> Result<Answer, Silence>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let end = Instant::now() + waits.whole;
    let expected = match plan {
        Plan::Never(_) => return Err(Silence::Unknown),
        Plan::Listen => Protocol::Greeting,
        Plan::Ask(ask) => ask.protocol,
    };
    let mut heard = Vec::new();
    // Who surely waits for us is not waited for.
    let sure = matches!(plan, Plan::Ask(ask) if ask.known == Known::Holder && !expected.greets());
    let patience = match (sure, expected.greets() && expected != Protocol::Greeting) {
        (true, _) => Duration::ZERO,
        (false, true) => waits.whole,
        (false, false) => waits.greeting,
    };
    if !patience.is_zero() {
        let until = end.min(Instant::now() + patience);
        let reader = |bytes: &[u8], flow| greeting::answer(bytes, flow, expected);
        match listen(stream, &mut heard, until, end, reader).await {
            Ok(answer) => {
                goodbye(stream, &answer).await;
                return Ok(answer);
            }
            // It only waits for us.
            Err(Silence::Unknown) if heard.is_empty() => {}
            Err(silence) => return Err(silence),
        }
    }
    let question = protocols::question(expected, host).ok_or(Silence::Unknown)?;
    let asked = async {
        stream.write_all(&question).await?;
        stream.flush().await
    };
    match timeout_at(end, asked).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(Silence::Broken(error.to_string())),
        Err(_) => return Err(Silence::Unknown),
    }
    let until =
        if expected == Protocol::Mqtt { end.min(Instant::now() + PUBLISH_WITHIN) } else { end };
    let reader = |bytes: &[u8], flow| protocols::answer(expected, bytes, flow);
    let answer = listen(stream, &mut heard, until, end, reader).await?;
    goodbye(stream, &answer).await;
    Ok(answer)
}

/// Reads until `reader` has enough, the service closes, or time is over: `first_by` for the first
/// byte, `end` for all.
async fn listen<S: AsyncRead + Unpin>(
    stream: &mut S,
    heard: &mut Vec<u8>,
    first_by: Instant,
    end: Instant,
    reader: impl Fn(&[u8], Flow) -> Step,
) -> Result<Answer, Silence> {
    let mut buffer = [0_u8; 4096];
    loop {
        let until = match heard.is_empty() {
            true => first_by,
            // What has begun is soon whole, unless the question had a longer answer.
            false => end.min(first_by.max(Instant::now() + REST_WITHIN)),
        };
        let room = (ANSWER_BYTES_MAX - heard.len()).min(buffer.len());
        let read = timeout_at(until, stream.read(&mut buffer[..room])).await;
        let (flow, silence) = match read {
            Ok(Ok(count)) if count > 0 => {
                heard.extend_from_slice(&buffer[..count]);
                let is_full = heard.len() >= ANSWER_BYTES_MAX;
                (if is_full { Flow::Over } else { Flow::Open }, Silence::Unknown)
            }
            Ok(Ok(_)) if heard.is_empty() => (Flow::Over, Silence::Closed),
            Ok(Err(error)) => (Flow::Over, Silence::Broken(error.to_string())),
            Ok(Ok(_)) | Err(_) => (Flow::Over, Silence::Unknown),
        };
        match reader(heard, flow) {
            Step::Done(answer) => return Ok(answer),
            Step::Foreign => return Err(silence),
            Step::More if flow == Flow::Over => return Err(silence),
            Step::More => {}
        }
    }
}

/// Ends the conversation as the protocol has it, and lets the service close first.
async fn goodbye<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, answer: &Answer) {
    if answer.goodbye.is_empty() {
        return;
    }
    let polite = async {
        stream.write_all(answer.goodbye).await?;
        stream.flush().await?;
        let mut rest = [0_u8; 512];
        // A service that goes on talking is left.
        for _ in 0..8 {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        std::io::Result::Ok(())
    };
    // Whether it worked changes nothing of what was heard.
    _ = timeout(GOODBYE_WITHIN, polite).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::identify::plan::Ask;

    const WAITS: Waits =
        Waits { greeting: Duration::from_millis(50), whole: Duration::from_millis(800) };

    fn ask(protocol: Protocol, known: Known) -> Plan {
        Plan::Ask(Ask { protocol, known, tls: false })
    }

    /// A service that says `greeting`, then answers whatever it is asked with `reply`; gives what it
    /// received in all.
    async fn with(greeting: &[u8], reply: &[u8], plan: Plan) -> (Option<Answer>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(64 << 10);
        let (greeting, reply) = (greeting.to_vec(), reply.to_vec());
        let service = tokio::spawn(async move {
            let mut received = Vec::new();
            let mut buffer = [0; 1024];
            theirs.write_all(&greeting).await.unwrap();
            while let Ok(count) = theirs.read(&mut buffer).await
                && count > 0
            {
                if received.is_empty() {
                    _ = theirs.write_all(&reply).await;
                }
                received.extend_from_slice(&buffer[..count]);
            }
            received
        });
        let answer = talk(&mut ours, plan, WAITS, "192.0.2.1").await;
        drop(ours);
        (answer, service.await.unwrap())
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_greeting_is_read_and_answered_with_a_goodbye_only() {
        let (answer, received) = run(with(
            b"220 mx ESMTP Postfix\r\n",
            b"221 Bye\r\n",
            ask(Protocol::Smtp, Known::Port),
        ));
        assert_eq!(answer.unwrap().service, "smtp");
        assert_eq!(received, b"QUIT\r\n");
        let (answer, received) = run(with(b"SSH-2.0-x\r\n", b"", Plan::Listen));
        assert_eq!((answer.unwrap().service, received.len()), ("ssh", 0));
    }

    #[test]
    fn who_greets_is_not_asked_although_something_else_was_expected() {
        let (answer, received) = run(with(b"SSH-2.0-x\r\n", b"", ask(Protocol::Http, Known::Port)));
        assert_eq!((answer.unwrap().service, received.len()), ("ssh", 0));
        let (answer, received) = run(with(b"\0\x01binary", b"", ask(Protocol::Redis, Known::Port)));
        assert_eq!((answer.map(|answer| answer.service), received.len()), (Some("greeting"), 0));
    }

    #[test]
    fn the_silent_are_asked_once_what_was_planned_and_nothing_else() {
        let (answer, received) =
            run(with(b"", b"VERSION 1.6.18\r\n", ask(Protocol::Memcached, Known::Port)));
        assert_eq!(answer.unwrap().banner, "VERSION 1.6.18");
        assert_eq!(received, b"version\r\nquit\r\n");
        let (answer, received) = run(with(b"", b"junk\r\n", ask(Protocol::Redis, Known::Holder)));
        assert_eq!((answer, received), (None, protocols::redis::QUESTION.to_vec()));
        let (answer, received) = run(with(b"", b"", Plan::Listen));
        assert_eq!((answer, received.len()), (None, 0), "nothing is known of it: nothing is sent");
        let (answer, received) = run(with(b"", b"", ask(Protocol::Ssh, Known::Port)));
        assert_eq!((answer, received.len()), (None, 0), "it should have spoken first");
    }

    #[test]
    fn endless_talk_is_cut() {
        let long = vec![b'a'; ANSWER_BYTES_MAX * 3];
        let (answer, _) = run(with(&long, b"", Plan::Listen));
        assert_eq!(answer.unwrap().texts[0].1.len(), ANSWER_BYTES_MAX);
    }
}
