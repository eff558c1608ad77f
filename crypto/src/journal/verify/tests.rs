use super::super::codec::{Encoder, Record, Value};
use super::super::frame::{HEAD_BYTES, HEADER_BYTES, MAGIC, Sealer};
use super::*;

const FIRST: [u8; 32] = [5; 32];
const JOURNAL: [u8; 16] = *b"journal of tests";

fn at(second: i64) -> Stamp {
    let mono_us = (second * 1_000_000) as u64;
    Stamp { wall_us: 1_700_000_000_000_000 + second * 1_000_000, mono_us }
}

fn sealer(first: [u8; 32]) -> Sealer {
    Sealer::new(EpochKey::first(Zeroizing::new(first)), Head::default(), 0, 0)
}

fn records(sealer: &mut Sealer, encoder: &mut Encoder, second: i64, out: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    for number in 0..3 {
        let fields = [("ip", Value::Name("192.0.2.7")), ("count", Value::Number(number))];
        let time_us = at(second).wall_us;
        let record = Record { time_us, level: 2, kind: "alert", fields: &fields };
        assert!(encoder.encode(&record, &mut bytes));
    }
    sealer.records(3, &bytes, at(second), out);
}

/// Four segments of three epochs each, two of them without a record.
fn journal(first: [u8; 32], id: [u8; 16]) -> Vec<Vec<u8>> {
    let mut sealer = sealer(first);
    let mut second = 0;
    let segments = 4;
    (0..segments)
        .map(|segment| {
            let (mut out, mut encoder) = (Vec::new(), Encoder::new());
            sealer.begin(id, segment, at(second), &mut out);
            sealer.open(&Open { boot: [1; 16], torn_bytes: 0 }, at(second), &mut out);
            for epoch in 0..3 {
                second += 10;
                if epoch != 1 {
                    records(&mut sealer, &mut encoder, second, &mut out);
                    records(&mut sealer, &mut encoder, second, &mut out);
                }
                sealer.end_epoch(at(second), &mut out);
            }
            if segment + 1 < segments {
                sealer.end(at(second), &mut out);
            }
            out
        })
        .collect()
}

fn ours() -> Vec<Vec<u8>> {
    journal(FIRST, JOURNAL)
}

fn verified_with(segments: &[Vec<u8>], names: &[u64], seen: Seen) -> Report {
    let mut verifier = Verifier::new(Zeroizing::new(FIRST), seen);
    let mut order: Vec<usize> = (0..segments.len()).collect();
    order.sort_by_key(|at| Begin::of(&segments[*at]).map(|begin| begin.segment));
    for at in order {
        verifier.segment(&format!("{}", names[at]), Some(names[at]), &segments[at], |_, _| {});
    }
    verifier.finish()
}

fn verified(segments: &[Vec<u8>]) -> Report {
    let names: Vec<u64> = (0..segments.len() as u64).collect();
    verified_with(segments, &names, Seen::default())
}

fn faults(report: &Report) -> Vec<Fault> {
    report.faults.iter().map(|(_, fault)| fault.clone()).collect()
}

/// Where the frames of a segment begin.
fn offsets(segment: &[u8]) -> Vec<usize> {
    let mut all = Vec::new();
    let mut offset = MAGIC.len();
    while let Some(frame) = frame::read(segment, offset) {
        all.push(offset);
        offset += frame.bytes();
    }
    all
}

#[test]
fn a_clean_journal_holds_and_gives_its_records() {
    let report = verified(&ours());
    assert_eq!(faults(&report), []);
    assert_eq!((report.segments, report.records, report.epoch), (4, 4 * 12, 12));
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    let mut verifier = Verifier::new(Zeroizing::new(FIRST), Seen::default());
    let mut counts = Vec::new();
    verifier.segment("0", Some(0), &ours()[0], |number, record| {
        assert_eq!((record.kind(), record.level()), ("alert", 2));
        let Some((_, Value::Number(count))) = record.fields().last() else { panic!("a count") };
        counts.push((number, count));
    });
    let expected: Vec<_> = (0..12).map(|number| (number, number as i64 % 3)).collect();
    assert_eq!(counts, expected);
}

#[test]
fn every_flipped_byte_is_found() {
    let clean = ours();
    for at in 0..clean[1].len() {
        let mut segments = clean.clone();
        segments[1][at] ^= 0x10;
        let report = verified(&segments);
        assert!(!report.holds(), "byte {at}");
    }
}

#[test]
fn a_flip_by_somebody_who_mends_the_checksum_is_forgery_and_told_once() {
    let mut segments = ours();
    let offset = offsets(&segments[1])[2];
    let frame = frame::read(&segments[1], offset).unwrap();
    let (number, bytes) = (frame.number, frame.bytes());
    // The last byte of the body, a count.
    segments[1][offset + bytes - HEAD_BYTES - 1] ^= 2;
    assert_eq!(faults(&verified(&segments)), [Fault::Damaged { number, offset }]);
    let (header, rest) = segments[1][offset..].split_at(HEADER_BYTES);
    let body = &rest[..bytes - HEADER_BYTES - HEAD_BYTES];
    let mut sum = crc32fast::Hasher::new();
    [&header[..4], &header[8..], body].into_iter().for_each(|part| sum.update(part));
    segments[1][offset + 4..offset + 8].copy_from_slice(&sum.finalize().to_le_bytes());
    assert_eq!(faults(&verified(&segments)), [Fault::Forged { number, offset }]);
}

#[test]
fn cut_tails_are_found_by_the_next_segment_the_watermark_or_the_epoch_of_the_key() {
    let clean = ours();
    let whole = verified(&clean);
    let seen = Seen { head: whole.last, epoch: Some(12) };
    assert!(verified_with(&clean, &[0, 1, 2, 3], seen).holds());
    for segment in 0..4 {
        let ends = offsets(&clean[segment]);
        let cuts = ends.iter().copied().chain([ends[3] + 1, clean[segment].len() - 1]);
        for cut in cuts {
            let mut segments = clean.clone();
            segments[segment].truncate(cut);
            let report = verified_with(&segments, &[0, 1, 2, 3], seen);
            assert!(!report.holds(), "segment {segment} cut at {cut}");
            if segment == 3 {
                assert!(faults(&report).iter().any(|fault| matches!(fault, Fault::Tail { .. })));
            }
        }
    }
    // At the end of an epoch, and nobody but the key has seen more.
    let mut segments = clean;
    let ends = offsets(&segments[3]);
    segments[3].truncate(ends[ends.len() - 1]);
    let seen = Seen { head: None, epoch: Some(12) };
    let report = verified_with(&segments, &[0, 1, 2, 3], seen);
    assert_eq!(faults(&report), [Fault::TailEpoch { found: 11, seen: 12 }]);
    let other = Seen { head: Some((3, [1; 32])), epoch: None };
    assert_eq!(faults(&verified_with(&ours(), &[0, 1, 2, 3], other)), [Fault::Head(3)]);
}

#[test]
fn a_dropped_epoch_and_swapped_frames_are_named() {
    let clean = ours();
    let places = offsets(&clean[1]);
    // begin, open, records, records, epoch end | epoch end | records …
    let mut segments = clean.clone();
    segments[1].drain(places[5]..places[6]);
    let first = frame::read(&clean[1], places[5]).unwrap();
    let expected = [
        Fault::Missing { from: first.number, to: first.number },
        Fault::Epoch { found: first.epoch + 1, expected: first.epoch },
    ];
    assert_eq!(faults(&verified(&segments)), expected);

    let mut segments = clean.clone();
    segments[1][places[2]..places[4]].rotate_left(places[3] - places[2]);
    let found = faults(&verified(&segments));
    assert!(found.iter().any(|fault| matches!(fault, Fault::Missing { .. })), "{found:?}");
    assert!(found.iter().any(|fault| matches!(fault, Fault::Order { .. })), "{found:?}");
}

#[test]
fn frames_and_segments_of_another_host_are_refused() {
    let (clean, other) = (ours(), journal([6; 32], *b"journal of other"));
    let mut segments = clean.clone();
    segments[2] = other[2].clone();
    assert!(faults(&verified(&segments)).contains(&Fault::OtherJournal));
    // The same id, so that only the key is another.
    let mut segments = clean.clone();
    segments[2] = journal([6; 32], JOURNAL)[2].clone();
    let found = faults(&verified(&segments));
    assert!(found.iter().all(|fault| matches!(fault, Fault::Forged { .. })) && found.len() > 2);
    let places = offsets(&clean[1]);
    let mut segments = clean;
    let theirs = journal([6; 32], JOURNAL)[1][places[2]..places[3]].to_vec();
    segments[1].splice(places[2]..places[3], theirs);
    assert!(matches!(faults(&verified(&segments))[0], Fault::Forged { .. }));
}

#[test]
fn old_segments_new_names_and_second_copies_are_named() {
    let clean = ours();
    let mut again = clean.clone();
    again.push(clean[1].clone());
    let report = verified_with(&again, &[0, 1, 2, 3, 4], Seen::default());
    assert_eq!(faults(&report), [Fault::Renamed(1), Fault::Twice(1)]);
    let report = verified_with(&again, &[0, 1, 2, 3, 1], Seen::default());
    assert_eq!(faults(&report), [Fault::Twice(1)]);
    let report = verified_with(&clean, &[0, 2, 1, 3], Seen::default());
    assert_eq!(faults(&report), [Fault::Renamed(1), Fault::Renamed(2)]);
    // An old segment in the place of a newer one.
    let mut replayed = clean.clone();
    replayed[2] = clean[1].clone();
    let report = verified_with(&replayed, &[0, 1, 2, 3], Seen::default());
    assert!(faults(&report).contains(&Fault::Renamed(1)));
    assert!(faults(&report).contains(&Fault::SegmentsMissing { from: 2, to: 2 }));
}

#[test]
fn what_was_sealed_again_with_a_newer_key_or_not_at_all_is_found() {
    let clean = ours();
    // Somebody has the key of epoch 9 and writes epoch 0 anew with it.
    let mut key = EpochKey::first(Zeroizing::new(FIRST));
    assert!(key.advance_to(9));
    let mut forger =
        Sealer::new(EpochKey::at(0, Zeroizing::new(*key.secret())), Head::default(), 0, 0);
    let (mut out, mut encoder) = (Vec::new(), Encoder::new());
    forger.begin(JOURNAL, 0, at(0), &mut out);
    forger.open(&Open { boot: [1; 16], torn_bytes: 0 }, at(0), &mut out);
    records(&mut forger, &mut encoder, 10, &mut out);
    let mut segments = clean.clone();
    segments[0] = out;
    assert!(faults(&verified(&segments)).iter().any(|fault| matches!(fault, Fault::Forged { .. })));

    let mut segments = clean.clone();
    for offset in offsets(&clean[0]) {
        let bytes = frame::read(&clean[0], offset).unwrap().bytes();
        segments[0][offset + bytes - HEAD_BYTES..offset + bytes].fill(0);
    }
    let found = faults(&verified(&segments));
    assert!(found.contains(&Fault::NotSealed(0)) && found.contains(&Fault::NotSealed(3)));
}

#[test]
fn empty_foreign_and_missing_files_are_named() {
    let clean = ours();
    for (bytes, fault) in [
        (Vec::new(), Fault::Empty),
        (b"wardmote".to_vec(), Fault::Foreign),
        (vec![7; 5000], Fault::Foreign),
    ] {
        let mut segments = clean.clone();
        segments[2] = bytes;
        let found = faults(&verified(&segments));
        assert!(found.contains(&fault), "{found:?}");
        assert!(found.contains(&Fault::SegmentsMissing { from: 2, to: 2 }), "{found:?}");
    }
    assert_eq!(faults(&verified(&[])), [Fault::Nothing]);
    let lost = faults(&verified_with(&clean[1..], &[1, 2, 3], Seen::default()));
    assert_eq!(lost, [Fault::SegmentsMissing { from: 0, to: 0 }]);
    let lost = [clean[0].clone(), clean[3].clone()];
    let lost = faults(&verified_with(&lost, &[0, 3], Seen::default()));
    assert_eq!(lost, [Fault::SegmentsMissing { from: 1, to: 2 }]);
}

#[test]
fn segments_that_a_gap_names_may_be_gone() {
    let mut sealer = sealer(FIRST);
    let mut segments = Vec::new();
    for number in 0..3 {
        let (mut out, mut encoder) = (Vec::new(), Encoder::new());
        sealer.begin(JOURNAL, number, at(0), &mut out);
        records(&mut sealer, &mut encoder, 0, &mut out);
        if number == 2 {
            let removed = Removed { segment: 0, from: 0, to: 3 };
            sealer.gap(&[removed], at(0), &mut out);
        } else {
            sealer.end(at(0), &mut out);
        }
        segments.push(out);
    }
    let report = verified_with(&segments[1..], &[1, 2], Seen::default());
    assert_eq!(faults(&report), []);
    assert!(matches!(report.notes[0].1, Note::Removed(Removed { segment: 0, .. })));
    let report = verified_with(&segments[2..], &[2], Seen::default());
    assert_eq!(faults(&report), [Fault::SegmentsMissing { from: 1, to: 1 }]);
}

#[test]
fn a_clock_that_goes_back_is_a_note_and_no_fault() {
    let mut sealer = sealer(FIRST);
    let (mut out, mut encoder) = (Vec::new(), Encoder::new());
    sealer.begin(JOURNAL, 0, at(0), &mut out);
    for (wall, mono) in [(10, 10), (10 - 3600, 20), (30 - 3600, 40)] {
        let stamp = Stamp { wall_us: at(wall).wall_us, mono_us: mono * 1_000_000 };
        let mut bytes = Vec::new();
        let record = Record { time_us: stamp.wall_us, level: 0, kind: "k", fields: &[] };
        assert!(encoder.encode(&record, &mut bytes));
        sealer.records(1, &bytes, stamp, &mut out);
    }
    let report = verified(&[out]);
    assert_eq!(faults(&report), []);
    let notes: Vec<_> = report.notes.into_iter().map(|(_, note)| note).collect();
    assert_eq!(notes, [Note::ClockStep { frame: 2, seconds: -3610 }]);
}

#[test]
fn hostile_lengths_and_epochs_are_bounded() {
    let clean = ours();
    let mut segments = clean.clone();
    let offset = offsets(&clean[3])[2];
    segments[3][offset..offset + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let report =
        verified_with(&segments, &[0, 1, 2, 3], Seen { head: verified(&clean).last, epoch: None });
    assert!(matches!(faults(&report)[0], Fault::Tail { .. }));
    let mut forged = clean[3].clone();
    forged[MAGIC.len() + 24..MAGIC.len() + 32].copy_from_slice(&u64::MAX.to_le_bytes());
    let report = verified_with(&[forged], &[3], Seen::default());
    assert!(!report.holds());
}

#[test]
fn the_last_gap_names_what_earlier_ones_named_that_are_gone_themselves() {
    let mut sealer = sealer(FIRST);
    let (mut segments, mut gone) = (Vec::new(), Vec::new());
    for number in 0..10 {
        let (mut out, mut encoder) = (Vec::new(), Encoder::new());
        sealer.begin(JOURNAL, number, at(0), &mut out);
        records(&mut sealer, &mut encoder, 0, &mut out);
        // Each but the first removes the one before it, but for the fifth.
        if number > 0 && number != 6 {
            let segment = number - 1;
            Span::from(Removed { segment, from: segment * 3, to: number * 3 }).add(&mut gone);
            sealer.gap(&gone, at(0), &mut out);
        }
        if number < 9 {
            sealer.end(at(0), &mut out);
        }
        segments.push(out);
    }
    let left = [segments[5].clone(), segments[9].clone()];
    let report = verified_with(&left, &[5, 9], Seen::default());
    assert_eq!(faults(&report), []);
    let notes: Vec<_> = report.notes.into_iter().map(|(_, note)| note).collect();
    let before = Note::RemovedSpan(Span { first: 0, last: 4, from: 0, to: 15 });
    assert_eq!(notes, [before, Note::RemovedSpan(Span { first: 6, last: 8, from: 18, to: 27 })]);
    let report = verified_with(&segments[9..], &[9], Seen::default());
    assert_eq!(faults(&report), [Fault::SegmentsMissing { from: 5, to: 5 }]);
}

#[test]
fn spans_of_removed_segments_stay_in_order_and_apart() {
    let mut spans = Vec::new();
    for segment in [7, 3, 9, 8, 1, 3, 2, u64::MAX] {
        let from = segment.saturating_mul(10);
        Span::from(Removed { segment, from, to: from.saturating_add(10) }).add(&mut spans);
    }
    let ends: Vec<_> =
        spans.iter().map(|span| (span.first, span.last, span.from, span.to)).collect();
    let end = (u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    assert_eq!(ends, [(1, 3, 10, 40), (7, 9, 70, 100), end]);
    assert_eq!(Span::decode(&Span::encode(&spans)), Some(spans.clone()));
    spans.swap(0, 1);
    assert_eq!(Span::decode(&Span::encode(&spans)), None);
    assert_eq!(Span::decode(&[0; 31]), None);
}
