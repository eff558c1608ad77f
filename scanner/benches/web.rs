//! What a request costs: opened, judged, asked of all built-in rules, and counted.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use scanner::logs::content;
use scanner::logs::event::{Event, Form};
use scanner::logs::matcher::Scratch;
use scanner::logs::web::census::Census;
use scanner::logs::web::payload;
use scanner::logs::web::uri::Opened;

fn main() {
    divan::main();
}

/// Ordinary requests; every `attack_every`th is one that a scanner sends.
fn log(attack_every: usize) -> String {
    const PATHS: [&str; 10] = [
        "/",
        "/static/app.0a1b2c3d.js",
        "/api/v1/items/4711",
        "/search?q=shoes+5&page=2",
        "/img/p7.jpg",
        "/login",
        "/feed.xml",
        "/product/99",
        "/cart",
        "/favicon.ico",
    ];
    const ATTACKS: [&str; 5] = [
        "/index.php?id=1%27%20OR%201=1--",
        "/../../../../etc/passwd",
        "/.env",
        "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/api?u=1+UNION+SELECT+username,password+FROM+users",
    ];
    let mut log = String::new();
    for line in 0..10_000_usize {
        let attack = line % attack_every == attack_every - 1;
        let path = if attack { ATTACKS[line / attack_every % 5] } else { PATHS[line % 10] };
        writeln!(
            log,
            "192.0.{}.{} - - [01/Jun/2025:10:00:00 +0000] \"GET {path} HTTP/1.1\" {} 5120 \"https://example.com/\" \"Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0\"",
            line % 7, line * 31 % 250, if line % 8 == 0 { 404 } else { 200 },
        )
        .unwrap();
    }
    log
}

#[divan::bench(args = ["/search?q=shoes+5&page=2", "/a?id=1%2527%2520or%25201=1--", "/a?q=%3Cscript%3Ealert(1)%3C/script%3E"])]
fn open_and_judge(uri: &str) -> Option<payload::Payload> {
    payload::of_request(&Opened::of(black_box(uri).as_bytes()))
}

/// The worst that one value may cost: as long as is judged, made of nothing but marks.
#[divan::bench(args = ["'", "(", "<a ", "${", "on", "/*!", "union select ", "../", "%25"])]
fn hostile_value(bencher: Bencher<'_, '_>, unit: &str) {
    let uri = format!("/a?q={}", unit.repeat(60_000 / unit.len()));
    bencher.bench(|| payload::of_request(&Opened::of(black_box(uri.as_bytes()))));
}

#[divan::bench(args = [100, 1_000_000])]
fn lines_through_the_rules(bencher: Bencher<'_, '_>, attack_every: usize) {
    let (log, rules) = (log(attack_every), content::rules());
    bencher.counter(ItemsCount::new(10_000_usize)).bench(|| {
        let (mut hits, mut form, mut scratch) = (0, Form::Access, Scratch::default());
        for line in log.lines() {
            let event = Event::read(line.as_bytes(), &mut form);
            rules.each_match(&event, &mut scratch, |_| hits += 1);
        }
        hits
    });
}

#[divan::bench]
fn lines_counted_by_client(bencher: Bencher<'_, '_>) {
    let log = log(100);
    bencher.counter(ItemsCount::new(10_000_usize)).bench(|| {
        let mut census = Census::default();
        log.lines().for_each(|line| census.take_line(line.as_bytes(), 1));
        census.clients()
    });
}
