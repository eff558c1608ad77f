//! Clean lives of a journal: whatever the clocks do, verification finds nothing.

use super::simulated::Simulated;
use super::*;

fn small() -> Options {
    Options { segment_bytes: 1_500, budget_bytes: 1 << 30, epoch_records: 20, epoch_us: 60_000_000 }
}

#[test]
fn entries_come_back_in_order_over_rotations_and_epochs() {
    let disk = Simulated::default();
    make(&disk);
    let clocks = Clocks::new();
    let (journal, opened) = open(disk.clone(), small(), &clocks);
    assert_eq!(opened, Opened::default());
    for number in 0..200 {
        let ticket = journal.append(&entry(number)).unwrap();
        assert_eq!(ticket.record, number);
        if number % 7 == 0 {
            assert!(!ticket.is_durable());
            ticket.wait_durable().unwrap();
            assert!(ticket.is_durable());
        }
        clocks.pass(1);
    }
    journal.close().unwrap();
    let (numbers, report) = verified(&disk, seen(&disk));
    assert_eq!(report.faults, []);
    assert!(numbers.into_iter().eq(0..200));
    assert!(report.segments > 3 && report.epoch > 5, "{report:?}");
}

#[test]
fn ten_thousand_lives_with_stepping_clocks_raise_no_alarm() {
    let disk = Simulated::default();
    make(&disk);
    let clocks = Clocks::new();
    let options = Options { segment_bytes: 30_000, ..small() };
    let (mut random, mut next, mut wanted) = (9_u64, 0_u64, Vec::new());
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    for life in 0..10_000_u64 {
        match below(6) {
            0 => clocks.step_wall(-3_600),
            1 => clocks.step_wall(7_200),
            2 => clocks.reboot(),
            _ => clocks.pass(30),
        }
        let (journal, opened) = open(disk.clone(), options, &clocks);
        assert_eq!(opened, Opened::default(), "life {life}");
        for _ in 0..below(4) {
            let ticket = journal.append(&entry(next)).unwrap();
            wanted.push(next);
            next += 1;
            if below(2) == 0 {
                ticket.wait_durable().unwrap();
            }
            if below(8) == 0 {
                clocks.reboot();
            }
            clocks.pass(below(40).cast_signed());
            journal.tick().unwrap();
        }
        match below(3) {
            // Dropped: what was decided is written.
            0 => drop(journal),
            _ => journal.close().unwrap(),
        }
        if life % 2_500 == 2_499 {
            let (numbers, report) = verified(&disk, seen(&disk));
            assert_eq!(report.faults, [], "life {life}");
            assert!(numbers == wanted, "life {life}");
        }
    }
    let (_, report) = verified(&disk, seen(&disk));
    assert!(report.segments > 20 && report.epoch > 10_000, "{:?}", report.last);
}

#[test]
fn an_idle_epoch_ends_by_the_monotonic_clock_alone() {
    let disk = Simulated::default();
    make(&disk);
    let clocks = Clocks::new();
    let (journal, _) = open(disk.clone(), small(), &clocks);
    let epoch = || key::peek(&disk).unwrap().key.epoch();
    let begun = epoch();
    for (seconds, wall, ended) in
        [(59, 0, 0), (1, 0, 1), (59, 100_000, 1), (0, -100_000, 1), (1, 0, 2), (60, 0, 3)]
    {
        clocks.pass(seconds);
        clocks.step_wall(wall);
        journal.tick().unwrap();
        assert_eq!(epoch() - begun, ended, "after {seconds} s");
    }
    clocks.reboot();
    journal.tick().unwrap();
    clocks.pass(60);
    journal.tick().unwrap();
    assert_eq!(epoch() - begun, 4);
    drop(journal);
    assert_eq!(verified(&disk, seen(&disk)).1.faults, []);
}

#[test]
fn the_key_of_an_epoch_that_has_ended_is_nowhere_on_the_disk() {
    use crypto::chain::EpochKey;
    let disk = Simulated::default();
    make(&disk);
    let clocks = Clocks::new();
    let (journal, _) = open(disk.clone(), small(), &clocks);
    let mut key = EpochKey::first(Zeroizing::new(FIRST));
    for number in 0..5 {
        journal.append(&entry(number)).unwrap();
        clocks.pass(60);
        journal.tick().unwrap();
        let open = key::peek(&disk).unwrap().key;
        while key.epoch() < open.epoch() {
            let old = *key.secret();
            assert!(!disk.holds(&old), "the secret of epoch {}", key.epoch());
            key.advance();
        }
        assert_eq!(key.secret(), open.secret());
        assert!(disk.holds(key.secret()));
    }
}

#[test]
fn one_writer_at_a_time_and_readers_beside_it() {
    let disk = Simulated::default();
    assert!(matches!(key::peek(&disk), Err(Error::None)));
    make(&disk);
    let again = create(&disk, Zeroizing::new([1; 32]), [1; 16], Made::Alone, Clocks::new().now());
    assert!(matches!(again, Err(Error::Exists)));
    let clocks = Clocks::new();
    let (journal, _) = open(disk.clone(), small(), &clocks);
    let second = Journal::open(Box::new(disk.clone()), small(), [1; 16], clocks.clock());
    assert!(matches!(second, Err(Error::Busy)));
    journal.append(&entry(1)).unwrap().wait_durable().unwrap();
    let (numbers, report) = verified(&disk, seen(&disk));
    assert_eq!((numbers, report.faults), (vec![1], vec![]));
    drop(journal);
    open(disk, small(), &clocks);
}

#[test]
fn sixty_four_threads_share_their_writes_and_each_entry_is_there_once() {
    let disk = Simulated::default();
    make(&disk);
    let (journal, _) = open(disk.clone(), small(), &Clocks::new());
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..20 {
                    let ticket = journal.append(&entry(thread * 20 + number)).unwrap();
                    ticket.wait_durable().unwrap();
                }
            });
        }
    });
    let (mut numbers, report) = verified(&disk, seen(&disk));
    assert_eq!(report.faults, []);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..64 * 20));
}

#[test]
fn over_its_budget_the_least_grave_goes_first_and_is_named() {
    let disk = Simulated::default();
    make(&disk);
    let options = Options { segment_bytes: 1_000, budget_bytes: 12_000, ..small() };
    let clocks = Clocks::new();
    let (journal, _) = open(disk.clone(), options, &clocks);
    // One critical entry early, one high a little later, then much that is low.
    for number in 0..3_000_u64 {
        let level = match number {
            50 => Severity::Critical,
            300 => Severity::High,
            _ => Severity::Low,
        };
        let what = What::Lost { source: "test", why: "numbered", count: number };
        journal.append(&Entry::new(level, what)).unwrap().wait_durable().unwrap();
    }
    journal.close().unwrap();
    let (numbers, report) = verified(&disk, seen(&disk));
    assert_eq!(report.faults, []);
    assert!(numbers.contains(&50) && numbers.contains(&300) && numbers.contains(&2_999));
    assert!(numbers.len() < 1_000, "{} entries are left", numbers.len());
    let gone = (0..3_000).filter(|record| is_removed(&report, *record));
    let mut all: Vec<u64> = gone.chain(numbers).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..3_000), "what is gone is named, and nothing else");
    let told = read::parts::<std::io::Error>(&disk, read::Order::Names, |part| {
        assert!(part.file_bytes < 3_000);
        Ok(())
    });
    told.unwrap();
}

#[test]
fn a_full_disk_is_met_with_room_for_what_is_new() {
    let disk = Simulated::default();
    make(&disk);
    let options = Options { segment_bytes: 30_000, ..small() };
    let (journal, _) = open(disk.clone(), options, &Clocks::new());
    // Room for the segment that is written, the next one, and a few packed ones.
    disk.set_room(Some(3 << 20));
    let mut random = 5_u64;
    for number in 0..300 {
        let mut noise = String::new();
        while noise.len() < 8_000 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            noise.push_str(&format!("{random:016x}"));
        }
        let what = What::Reloaded { holds: true, why: &noise };
        journal.append(&Entry::new(Severity::Low, what)).unwrap();
        journal.append(&entry(number)).unwrap().wait_durable().unwrap();
    }
    drop(journal);
    let (numbers, report) = verified(&disk, seen(&disk));
    assert_eq!(report.faults, []);
    assert!(numbers.len() > 30 && numbers.len() < 299 && numbers.contains(&299), "{numbers:?}");
    // And where there is no room at all, it stops and says why.
    disk.set_room(Some(0));
    let opened = Journal::open(Box::new(disk), options, [1; 16], Clocks::new().clock());
    let why = opened.err().map(|error| error.to_string());
    assert!(why.as_ref().is_some_and(|why| why.contains("No space left")), "{why:?}");
}
