//! What keeping costs, with divan; only run when it is asked for:
//! `cargo test --release -p agent --bins store::bench -- --ignored --nocapture`

use consensus::{Context, Panel, Severity, trace};
use divan::Bencher;
use divan::counter::ItemsCount;

use super::document::Document;
use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use super::{ALERTS_MAX, Parts as _, Sighting, Source, Store};
use crate::pipeline::case::samples;
use crate::pipeline::judge::fingerprint;

/// Rows of one batch.
const BATCH: u32 = 1_000;

#[test]
#[ignore = "a benchmark: only worth something in a release build on a quiet machine"]
fn figures() {
    divan::Divan::default().run_benches();
}

/// Findings as the panel judges them, each about an address of its own.
pub(super) fn sightings(count: u32) -> Vec<Sighting> {
    let panel = Panel::cold();
    let context = Context { now: samples::NOW, ..Context::default() };
    let digest = trace::context(&context);
    let sighting = |number: u32| {
        let mut evidence = samples::evidence("ssh-brute-force", Severity::Medium);
        let address = std::net::Ipv4Addr::from(0x2d2d_0000 + number).to_string();
        evidence.title = format!("{number} failed logins from {address}");
        evidence.sources[0].text = format!(
            "Nov 20 10:00:01 web1 sshd[{number}]: Failed password for root from {address} port 4 ssh2"
        );
        evidence.key.clone_from(&address);
        evidence.subject.ip = Some(address);
        let verdict = panel.judge_in(&evidence, &context, &digest, Vec::new());
        Sighting {
            source: Source::Sweep,
            fingerprint: fingerprint(&evidence, &mut Default::default()),
            check: evidence.check,
            title: evidence.title,
            severity: verdict.severity,
            accepted: false,
            count: 2,
            verdict: Document::of(&verdict).unwrap(),
            evidence: Document::of(&evidence.sources).unwrap(),
        }
    };
    (0..count).map(sighting).collect()
}

fn sqlite() -> (tempfile::TempDir, SqliteStore) {
    // Beside the sources: the system's temporary directory is often no disk.
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let store = SqliteStore::open(&dir.path().join("wardmote.db"), ALERTS_MAX).unwrap();
    (dir, store)
}

#[divan::bench]
fn memory_write(bencher: Bencher<'_, '_>) {
    let all = sightings(BATCH);
    let mut store = MemoryStore::new(ALERTS_MAX);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        all.iter().for_each(|one| drop(store.upsert(std::slice::from_ref(one), 1)))
    });
}

#[divan::bench]
fn memory_read(bencher: Bencher<'_, '_>) {
    let all = sightings(BATCH);
    let mut store = MemoryStore::new(ALERTS_MAX);
    store.upsert(&all, 1).unwrap();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        all.iter().filter(|one| store.alert(&one.fingerprint).unwrap().is_some()).count()
    });
}

/// A thousand new rows in one transaction, on the disk with synchronous=FULL.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn sqlite_write_a_batch_of_new_ones(bencher: Bencher<'_, '_>) {
    let all = sightings(BATCH);
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(sqlite).bench_local_values(|mut kept| {
        kept.1.upsert(&all, 1).unwrap();
        kept
    });
}

/// The same without waiting for the disk (synchronous=NORMAL). The service always waits.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn sqlite_write_a_batch_without_sync(bencher: Bencher<'_, '_>) {
    let all = sightings(BATCH);
    let relaxed = || {
        let (dir, mut store) = sqlite();
        store.never_wait();
        (dir, store)
    };
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(relaxed).bench_local_values(|mut kept| {
        kept.1.upsert(&all, 1).unwrap();
        kept
    });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn sqlite_write_a_batch_of_known_ones(bencher: Bencher<'_, '_>) {
    let all = sightings(BATCH);
    let (_dir, mut store) = sqlite();
    store.upsert(&all, 1).unwrap();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| store.upsert(&all, 2).unwrap());
}

/// One row, durable before the next (synchronous=FULL).
#[divan::bench(sample_count = 200, sample_size = 1)]
fn sqlite_write_one_and_sync(bencher: Bencher<'_, '_>) {
    let all = sightings(BATCH);
    let (_dir, mut store) = sqlite();
    let mut next = all.iter().cycle();
    bencher.bench_local(|| store.upsert(std::slice::from_ref(next.next().unwrap()), 1).unwrap());
}

#[divan::bench]
fn sqlite_read(bencher: Bencher<'_, '_>) {
    let all = sightings(BATCH);
    let (_dir, mut store) = sqlite();
    store.upsert(&all, 1).unwrap();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        all.iter().filter(|one| store.alert(&one.fingerprint).unwrap().is_some()).count()
    });
}

/// The bar is 10 MB; the reference takes 39.
#[test]
fn ten_thousand_alerts_take_less_than_ten_megabytes() {
    let (dir, mut store) = sqlite();
    store.upsert(&sightings(10_000), 1).unwrap();
    drop(store);
    let sizes = std::fs::read_dir(dir.path()).unwrap().flatten();
    let bytes: u64 = sizes.map(|file| file.metadata().unwrap().len()).sum();
    println!("10,000 alerts: {:.1} MB", bytes as f64 / 1e6);
    assert!(bytes < 10_000_000, "{bytes} bytes");
}
