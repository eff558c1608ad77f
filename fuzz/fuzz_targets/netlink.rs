//! Messages of sock_diag and rtnetlink, and the tables of `/proc/net` that stand in for them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanner::ports::addresses;
use scanner::ports::inventory::{self, Seen, Transport};
use scanner::ports::netlink::{Dump, attributes};
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let mut dump = Dump::default();
        let _ = dump.feed(data, 20);
        let held: usize = dump.payloads.iter().map(Vec::len).sum();
        assert!(held <= data.len());
        dump.payloads.push(data.to_vec());
        for payload in &dump.payloads {
            assert!(attributes(payload).count() <= payload.len() / 4 + 1);
            addresses::decode(payload);
            if let Some((_, port, _)) = inventory::place(payload) {
                assert_ne!(port, 0);
            }
            for transport in [Transport::Tcp, Transport::Udp] {
                if let Some(Seen::Listening(socket)) = inventory::decode(transport, payload) {
                    assert_ne!(socket.port, 0);
                    assert_ne!(socket.mark, Some(0));
                    assert!(!socket.is_saturated() || socket.queue.0 > 0);
                }
            }
        }
        for transport in [Transport::Tcp, Transport::Udp] {
            inventory::table(transport, data);
        }
    });
});
