//! `cargo bench -p agent --bench notify`: a breaker beside a lock around the same decision, and limits beside
//! governor. A thousand asks a sample; the clock's value is given to ours as it is to governor's (a fake one).

#![allow(clippy::unwrap_used)] // a benchmark may panic as a test does

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};

#[allow(dead_code, unused_imports, reason = "the service and its tests use all of it")]
#[path = "../src/notify/breaker.rs"]
mod breaker;
#[allow(dead_code, unused_imports, reason = "the service and its tests use all of it")]
#[path = "../src/notify/limit.rs"]
mod limit;

use breaker::Breaker;
use limit::{KeyedLimit, Limit, Rate};

const ASKS: u64 = 1_000;
const KEYS: u64 = 64;

fn main() {
    divan::main();
}

#[divan::bench]
fn breaker_closed(bencher: Bencher) {
    let breaker = Breaker::default();
    bencher.counter(ItemsCount::new(ASKS)).bench_local(|| {
        for now in 0..ASKS {
            assert!(black_box(&breaker).allows(black_box(now)));
            black_box(&breaker).worked();
        }
    });
}

#[divan::bench]
fn breaker_closed_as_a_lock(bencher: Bencher) {
    let state = Mutex::new((0_u32, None::<u64>));
    bencher.counter(ItemsCount::new(ASKS)).bench_local(|| {
        for now in 0..ASKS {
            assert!(
                black_box(&state).lock().unwrap().1.is_none_or(|until| black_box(now) >= until)
            );
            *black_box(&state).lock().unwrap() = (0, None);
        }
    });
}

/// One in a nanosecond of the clock's: always allowed, and always counted.
const RATE: fn() -> Rate = || Rate::new(1, u32::MAX);

#[divan::bench]
fn limit_direct(bencher: Bencher) {
    let limit = Limit::new(RATE());
    bencher.counter(ItemsCount::new(ASKS)).bench_local(|| {
        for now in 0..ASKS {
            assert!(black_box(&limit).allows(black_box(now)));
        }
    });
}

#[divan::bench]
fn limit_direct_governor(bencher: Bencher) {
    let clock = FakeRelativeClock::default();
    let quota = Quota::with_period(Duration::from_nanos(1)).unwrap();
    let quota = quota.allow_burst(NonZeroU32::MAX);
    let limit = RateLimiter::direct_with_clock(quota, clock);
    bencher.counter(ItemsCount::new(ASKS)).bench_local(|| {
        for _ in 0..ASKS {
            assert!(black_box(&limit).check().is_ok());
        }
    });
}

#[divan::bench]
fn limit_keyed(bencher: Bencher) {
    let mut limit = KeyedLimit::new(RATE());
    let keys: Vec<String> = (0..KEYS).map(|key| format!("case-{key}")).collect();
    bencher.counter(ItemsCount::new(ASKS)).bench_local(|| {
        for now in 0..ASKS {
            let key = &keys[(now % KEYS) as usize];
            assert!(black_box(&mut limit).allows(black_box(key.as_str()), now));
        }
    });
}

#[divan::bench]
fn limit_keyed_governor(bencher: Bencher) {
    let clock = FakeRelativeClock::default();
    let quota = Quota::with_period(Duration::from_nanos(1)).unwrap();
    let quota = quota.allow_burst(NonZeroU32::MAX);
    let limit = RateLimiter::hashmap_with_clock(quota, clock);
    let keys: Vec<String> = (0..KEYS).map(|key| format!("case-{key}")).collect();
    bencher.counter(ItemsCount::new(ASKS)).bench_local(|| {
        for now in 0..ASKS {
            let key = &keys[(now % KEYS) as usize];
            assert!(black_box(&limit).check_key(black_box(key)).is_ok());
        }
    });
}
