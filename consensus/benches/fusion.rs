//! What fusing costs: streams of alerts of 100 rules on 200 hosts, made here. *Calm* alerts are spread
//! out and mostly repeat; in a *storm* all come at once; in the *hostile* stream every alert brings an
//! address and an indicator that nobody has seen, so that nothing repeats and the oldest are evicted.
//!
//! Beside it, the least that anybody could do with the same alerts: counting them by host and name.
//!
//! Run with `cargo bench -p consensus --bench fusion`; a case that is over is closed as a service would,
//! once a gap. One core.

use std::collections::HashMap;

use consensus::Severity;
use consensus::fusion::{Alert, Fusion, GAP_S};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const ALERTS: usize = 1 << 18;

struct Made {
    time: i64,
    host: String,
    name: String,
    ip: Option<String>,
    user: Option<String>,
    indicator: Option<String>,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Calm,
    Storm,
    Hostile,
}

fn made(stream: Stream) -> Vec<Made> {
    let mut state = 7_u64;
    let mut draw = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let one = |at: usize| {
        let (host, rule) = (draw(200), draw(100));
        // Squared: some rules are loud and most are quiet, as rules are.
        let rule = rule * rule / 100;
        let time = match stream {
            Stream::Calm => at as i64 / 4,
            Stream::Storm | Stream::Hostile => at as i64 / 4096,
        };
        let new = matches!(stream, Stream::Hostile);
        Made {
            time,
            host: format!("host-{host:03}.example"),
            name: format!("Detector: rule number {rule} about something that should not happen"),
            ip: (new || draw(4) == 0).then(|| {
                let ip = if new { at as u64 } else { host };
                format!("2001:db8::{:x}:{:x}", ip >> 16, ip & 0xffff)
            }),
            user: (draw(8) == 0).then(|| format!("user{}", draw(2000))),
            indicator: new.then(|| format!("{at:064x}")),
        }
    };
    (0..ALERTS).map(one).collect()
}

#[divan::bench(args = [Stream::Calm, Stream::Storm, Stream::Hostile], sample_count = 20)]
fn fusing(bencher: Bencher, stream: Stream) {
    let made = made(stream);
    bencher.counter(ItemsCount::new(ALERTS)).bench_local(|| {
        let mut fusion = Fusion::new(GAP_S, 1).expect("a valid gap");
        let mut next = GAP_S;
        for one in &made {
            if one.time > next {
                black_box(fusion.close_until(one.time));
                next += GAP_S;
            }
            let indicator = one.indicator.as_deref();
            black_box(fusion.push(&Alert {
                time: one.time,
                host: &one.host,
                name: &one.name,
                ip: one.ip.as_deref(),
                user: one.user.as_deref(),
                indicators: indicator.as_slice(),
                level: Severity::Low,
            }));
        }
        // Given out, so that dropping it is not measured.
        fusion
    });
}

#[divan::bench(args = [Stream::Calm, Stream::Storm, Stream::Hostile], sample_count = 20)]
fn counting_only(bencher: Bencher, stream: Stream) {
    let made = made(stream);
    bencher.counter(ItemsCount::new(ALERTS)).bench_local(|| {
        let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
        for one in &made {
            *counts.entry((&one.host, &one.name)).or_insert(0) += 1;
        }
        counts
    });
}
