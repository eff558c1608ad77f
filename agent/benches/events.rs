//! `cargo bench -p agent --bench events`: putting an event on the bus, beside tokio's bounded channel.

#![allow(clippy::unwrap_used)] // a benchmark may panic as a test does

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

#[allow(dead_code, reason = "the service and its tests use all of it")]
#[path = "../src/events.rs"]
mod events;

use events::{Bus, Event, HELD_MAX};

fn main() {
    divan::main();
}

#[divan::bench]
fn emit(bencher: Bencher) {
    let line: Arc<str> = "a case".into();
    let bus = Bus::default();
    bencher
        .counter(ItemsCount::new(HELD_MAX))
        .with_inputs(|| while bus.take().is_some() {})
        .bench_local_values(|()| {
            for _ in 0..HELD_MAX {
                assert!(black_box(&bus).emit(Event::Case(Arc::clone(&line))));
            }
        });
}

#[divan::bench]
fn emit_and_take(bencher: Bencher) {
    let line: Arc<str> = "a case".into();
    let bus = Bus::default();
    bencher.counter(ItemsCount::new(HELD_MAX)).bench_local(|| {
        for _ in 0..HELD_MAX {
            assert!(black_box(&bus).emit(Event::Case(Arc::clone(&line))));
            black_box(black_box(&bus).take());
        }
    });
}

#[divan::bench]
fn emit_tokio(bencher: Bencher) {
    let line: Arc<str> = "a case".into();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(HELD_MAX);
    bencher
        .counter(ItemsCount::new(HELD_MAX))
        .with_inputs(|| while receiver.try_recv().is_ok() {})
        .bench_local_values(|()| {
            for _ in 0..HELD_MAX {
                black_box(&sender).try_send(Event::Case(Arc::clone(&line))).unwrap();
            }
        });
}
