//! What services send: every reader at every state of the conversation, then the fingerprints.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::ports::identify::fingerprints::Fingerprints;
use scanner::ports::identify::plan::Protocol;
use scanner::ports::identify::protocols::{self, Flow, Step};
use scanner::ports::identify::{BANNER_CHARS_MAX, name};
use wardmote_fuzz::timed;

const ALL: [Protocol; 23] = [
    Protocol::Ssh,
    Protocol::Smtp,
    Protocol::Ftp,
    Protocol::Imap,
    Protocol::Pop3,
    Protocol::Mysql,
    Protocol::Nats,
    Protocol::Greeting,
    Protocol::Http,
    Protocol::Postgresql,
    Protocol::Redis,
    Protocol::Mongodb,
    Protocol::Memcached,
    Protocol::Dns,
    Protocol::Ldap,
    Protocol::Rdp,
    Protocol::Amqp,
    Protocol::Mqtt,
    Protocol::Kafka,
    Protocol::Docker,
    Protocol::Kubernetes,
    Protocol::Etcd,
    Protocol::Elasticsearch,
];

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let bytes = &bytes[..bytes.len().min(protocols::ANSWER_BYTES_MAX)];
    let protocol = ALL[usize::from(*choice) % ALL.len()];
    timed(|| {
        for flow in [Flow::Open, Flow::Over] {
            let step = protocols::answer(protocol, bytes, flow);
            assert!(flow == Flow::Open || step != Step::More || !protocol.greets());
            let Step::Done(answer) = step else { continue };
            let held: usize = answer.texts.iter().map(|(_, text)| text.len()).sum();
            // Fields are given one by one, the body once for each kind that it may be.
            assert!(held <= 4 * protocols::ANSWER_BYTES_MAX, "{held}");
            let identity = name(&answer, Fingerprints::built_in());
            let banner = identity.banner.unwrap_or_default();
            assert!(banner.chars().count() <= BANNER_CHARS_MAX + 1);
            assert!(!banner.contains(char::is_control));
            assert!(!identity.product.is_some_and(|text| text.contains(char::is_control)));
        }
    });
});
