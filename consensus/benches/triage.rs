//! What triage costs an alert: CSV and JSON lines read, pushed and judged, on one core.
//!
//! Run with `cargo bench -p consensus --bench triage`. The alerts are made here, in the shape of a small
//! office's week: a dozen hosts, some eighty rules of three detectors, quiet chatter, and storms in which
//! one host raises one rule thousands of times. The counter is alerts.

use consensus::triage::{Triage, json, row};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const ALERTS: usize = 200_000;
const WINDOW_S: i64 = 300;

fn main() {
    divan::main();
}

/// One made alert: time, host, rule.
struct Made {
    time: i64,
    host: usize,
    rule: usize,
}

fn made() -> Vec<Made> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % most as u64) as usize
    };
    let mut alerts = Vec::with_capacity(ALERTS);
    let mut time = 1_642_204_800;
    while alerts.len() < ALERTS {
        time += next(60) as i64;
        let storm = if next(500) == 0 { 5_000 } else { 1 };
        let (host, rule) = (next(12), next(9) * next(9));
        for index in 0..storm.min(ALERTS - alerts.len()) {
            alerts.push(Made { time: time + (index / 500) as i64, host, rule });
        }
        time += (storm / 500) as i64;
    }
    alerts
}

fn detector(rule: usize) -> &'static str {
    ["Wazuh", "Suricata", "AMiner"][rule % 3]
}

fn csv() -> String {
    made()
        .iter()
        .map(|alert| {
            let Made { time, host, rule } = alert;
            let detector = detector(*rule);
            format!(
                "{time},{detector}: Something of rule {rule} was seen from the same source.,\
                 10.1.2.{host},host-{host}-server,X-{rule},label,-\n"
            )
        })
        .collect()
}

fn eve() -> String {
    made()
        .iter()
        .map(|alert| {
            let Made { time, host, rule } = alert;
            let (day, second) = (15 + (time - 1_642_204_800) / 86_400, time.rem_euclid(86_400));
            let (month, day) = (1 + day / 29, 1 + day % 28);
            let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
            format!(
                "{{\"timestamp\":\"2022-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.123456+0000\",\
                 \"flow_id\":1234567890,\"event_type\":\"alert\",\"src_ip\":\"192.0.2.7\",\"src_port\":50096,\
                 \"dest_ip\":\"10.1.2.{host}\",\"dest_port\":80,\"proto\":\"TCP\",\"alert\":{{\"action\":\"allowed\",\
                 \"gid\":1,\"signature_id\":{rule},\"rev\":10,\"signature\":\"Something of rule {rule} was seen\",\
                 \"category\":\"Potentially Bad Traffic\",\"severity\":2}},\"app_proto\":\"http\"}}\n"
            )
        })
        .collect()
}

#[divan::bench]
fn csv_read_and_judged(bencher: Bencher) {
    let text = csv();
    bencher.counter(ItemsCount::new(ALERTS)).bench(|| {
        let mut triage = Triage::new(WINDOW_S).expect("a constant window");
        let mut out = Vec::new();
        for line in black_box(&text).lines() {
            triage.push(&row::read(line).expect("a made row").alert(), &mut out);
        }
        (triage.finish(&mut out), out)
    });
}

#[divan::bench]
fn csv_read_only(bencher: Bencher) {
    let text = csv();
    bencher.counter(ItemsCount::new(ALERTS)).bench(|| {
        black_box(&text)
            .lines()
            .map(|line| row::read(line).expect("a made row").alert().time)
            .sum::<i64>()
    });
}

#[divan::bench]
fn suricata_read_and_judged(bencher: Bencher) {
    let text = eve();
    bencher.counter(ItemsCount::new(ALERTS)).bench(|| {
        let mut triage = Triage::new(WINDOW_S).expect("a constant window");
        let mut out = Vec::new();
        for line in black_box(&text).lines() {
            let read = json::read(json::Format::Suricata, line).expect("a made line");
            triage.push(&read.expect("an alert").alert(), &mut out);
        }
        (triage.finish(&mut out), out)
    });
}

/// The worst of windows: every one has new hosts and new names.
#[divan::bench]
fn all_new_judged(bencher: Bencher) {
    let texts: Vec<(String, String)> = (0..ALERTS)
        .map(|index| (format!("host {}", index / 20), format!("rule {index}")))
        .collect();
    bencher.counter(ItemsCount::new(ALERTS)).bench(|| {
        let mut triage = Triage::new(WINDOW_S).expect("a constant window");
        let mut out = Vec::new();
        for (index, (host, name)) in texts.iter().enumerate() {
            let time = (index / 200) as i64 * WINDOW_S;
            triage.push(&consensus::triage::Alert { time, host, name, title: name }, &mut out);
        }
        (triage.finish(&mut out), out)
    });
}
