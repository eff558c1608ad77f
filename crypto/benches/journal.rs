//! `cargo bench -p crypto --bench journal`: the journal's codec on real alerts, beside postcard with zstd.
//!
//! The rows are those of the alert corpora (`WARDMOTE_CORPORA`, default `../shared/corpora`); without them
//! the bench says so and ends. Blocks of 4,096 rows; MACs are not counted.

#![allow(clippy::unwrap_used)] // a benchmark may panic as a test does

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crypto::journal::codec::{Decoder, Encoder, Record, Value};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde::{Deserialize, Serialize};

/// Rows of a block.
const BLOCK: usize = 4096;
const NAMES: [&str; 6] = ["name", "ip", "host", "short", "time_label", "event_label"];

#[derive(Serialize, Deserialize)]
struct Row {
    time: i64,
    fields: [String; 6],
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let corpora = std::env::var_os("WARDMOTE_CORPORA")
        .map_or_else(|| PathBuf::from("../../shared/corpora"), PathBuf::from);
    let mut rows = Vec::new();
    for name in ["fox", "russellmitchell", "shaw", "wheeler"] {
        let path = corpora.join(format!("alerts/{name}_alerts.csv.xz"));
        let Ok(out) = Command::new("xz").arg("-dc").arg(&path).output() else { continue };
        let text = String::from_utf8(out.stdout).unwrap();
        for line in text.lines().skip(1) {
            let mut words = line.split(',');
            let Some(Ok(time)) = words.next().map(str::parse) else { continue };
            let mut fields = words.map(str::to_string);
            rows.push(Row {
                time,
                fields: std::array::from_fn(|_| fields.next().unwrap_or_default()),
            });
        }
    }
    rows
});

fn main() {
    if ROWS.is_empty() {
        println!("SKIPPED: no alerts under WARDMOTE_CORPORA");
        return;
    }
    let rows = ROWS.len() as f64;
    let (mut plain, mut packed, mut ours, mut theirs, mut best) = (0, 0, 0, 0, 0);
    let mut encoder = Encoder::new();
    for block in ROWS.chunks(BLOCK) {
        let bytes = encoded(&mut encoder, block);
        plain += bytes.len();
        packed += zstd::bulk::compress(&bytes, 3).unwrap().len();
        ours += compress_to_vec(&bytes[..], CompressionLevel::Fastest).len();
        let bytes = postcard::to_stdvec(block).unwrap();
        theirs += zstd::bulk::compress(&bytes, 3).unwrap().len();
        best += zstd::bulk::compress(&bytes, 19).unwrap().len();
    }
    println!(
        "{rows} rows in blocks of {BLOCK}, bytes a row: codec {:.2}, codec + zstd -3 {:.2}, \
         codec + ruzstd {:.2}, postcard + zstd -3 {:.2}, postcard + zstd -19 {:.2}",
        plain as f64 / rows,
        packed as f64 / rows,
        ours as f64 / rows,
        theirs as f64 / rows,
        best as f64 / rows
    );
    divan::main();
}

fn encoded(encoder: &mut Encoder, rows: &[Row]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len() * 8);
    for row in rows {
        let fields: [(&str, Value<'_>); 6] =
            std::array::from_fn(|at| (NAMES[at], Value::Name(&row.fields[at])));
        let record =
            Record { time_us: row.time * 1_000_000, level: 2, kind: "alert", fields: &fields };
        assert!(encoder.encode(&record, &mut out));
    }
    out
}

#[divan::bench(sample_count = 5)]
fn encode(bencher: Bencher) {
    bencher.counter(ItemsCount::new(ROWS.len())).bench_local(|| {
        let mut encoder = Encoder::new();
        for block in ROWS.chunks(BLOCK) {
            black_box(encoded(&mut encoder, block));
        }
    });
}

#[divan::bench(sample_count = 5)]
fn encode_and_compress(bencher: Bencher) {
    bencher.counter(ItemsCount::new(ROWS.len())).bench_local(|| {
        let mut encoder = Encoder::new();
        for block in ROWS.chunks(BLOCK) {
            black_box(zstd::bulk::compress(&encoded(&mut encoder, block), 3).unwrap());
        }
    });
}

#[divan::bench(sample_count = 5)]
fn decode(bencher: Bencher) {
    let mut encoder = Encoder::new();
    let blocks: Vec<Vec<u8>> =
        ROWS.chunks(BLOCK).map(|block| encoded(&mut encoder, block)).collect();
    bencher.counter(ItemsCount::new(ROWS.len())).bench_local(|| {
        let mut decoder = Decoder::new();
        let mut bytes = 0;
        for block in &blocks {
            let count = decoder.decode(block, |record| {
                for (_, value) in record.fields() {
                    if let Value::Name(text) = value {
                        bytes += text.len();
                    }
                }
            });
            count.unwrap();
        }
        black_box(bytes)
    });
}

#[divan::bench(sample_count = 3)]
fn encode_with_postcard_and_zstd(bencher: Bencher) {
    bencher.counter(ItemsCount::new(ROWS.len())).bench_local(|| {
        for block in ROWS.chunks(BLOCK) {
            let bytes = postcard::to_stdvec(block).unwrap();
            black_box(zstd::bulk::compress(&bytes, 3).unwrap());
        }
    });
}

#[divan::bench(sample_count = 3)]
fn decode_with_postcard_and_zstd(bencher: Bencher) {
    let packed: Vec<(usize, Vec<u8>)> = ROWS
        .chunks(BLOCK)
        .map(|block| {
            let bytes = postcard::to_stdvec(block).unwrap();
            (bytes.len(), zstd::bulk::compress(&bytes, 3).unwrap())
        })
        .collect();
    bencher.counter(ItemsCount::new(ROWS.len())).bench_local(|| {
        for (length, block) in &packed {
            let bytes = zstd::bulk::decompress(block, *length).unwrap();
            black_box(postcard::from_bytes::<Vec<Row>>(&bytes).unwrap());
        }
    });
}
