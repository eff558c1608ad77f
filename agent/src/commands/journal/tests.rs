//! What somebody may do to a journal's files, and what `wardmote journal` says of it.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Parser;
use crypto::chain::EpochKey;
use crypto::journal::codec::Encoder;
use crypto::journal::frame::{self, HEAD_BYTES, HEADER_BYTES, Kind, MAGIC, Sealer, Stamp};
use serde_json::Value as Json;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::commands::{self, Cli};
use crate::exit::Exit;
use crate::journal::disk::{Directory, Disk};
use crate::journal::segments::{self, Bytes};
use crate::journal::tests::{Clocks, FIRST, entry, in_memory, open};
use crate::journal::{Journal, Made, Options, create, key};

/// A journal of several segments on a real disk, and the key that verifies it.
struct Host {
    dir: TempDir,
}

impl Host {
    fn new(first: [u8; 32], id: [u8; 16]) -> Self {
        let host = Self { dir: in_memory() };
        fs::create_dir(host.path()).unwrap();
        let mut options = fs::OpenOptions::new();
        let mut key = options.write(true).create_new(true).mode(0o600).open(host.key()).unwrap();
        std::io::Write::write_all(&mut key, &first).unwrap();
        let clocks = Clocks::new();
        let disk = Directory::open(&host.path()).unwrap();
        create(&disk, Zeroizing::new(first), id, Made::WithVerifyKey, clocks.now()).unwrap();
        let options = Options { segment_bytes: 3_000, epoch_records: 7, ..Options::default() };
        let (journal, _) = open(disk, options, &clocks);
        for number in 0..200 {
            journal.append(&entry(number)).unwrap();
            if number % 3 == 2 {
                journal.tick().unwrap();
            }
            clocks.pass(1);
        }
        for _ in 0..3 {
            clocks.pass(60);
            journal.tick().unwrap();
        }
        journal.close().unwrap();
        host
    }

    fn ours() -> Self {
        Self::new(FIRST, *b"journal of tests")
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("verify.key")
    }

    fn segments(&self) -> Vec<u64> {
        let names = Directory::open(&self.path()).unwrap().names().unwrap();
        segments::among(&names).into_keys().collect()
    }

    fn last(&self) -> u64 {
        *self.segments().last().unwrap()
    }

    /// The bytes of a segment, packed or not.
    fn read(&self, number: u64) -> Vec<u8> {
        let disk = Directory::open(&self.path()).unwrap();
        let forms = segments::among(&disk.names().unwrap())[&number];
        match segments::read(&disk, number, forms).unwrap() {
            Bytes::Whole(bytes) => bytes,
            Bytes::Twice(..) => panic!("{number} is there twice"),
        }
    }

    fn remove(&self, number: u64) {
        let _ = fs::remove_file(self.path().join(segments::name(number)));
        let _ = fs::remove_file(self.path().join(segments::packed_name(number)));
    }

    fn write(&self, number: u64, bytes: &[u8]) {
        self.remove(number);
        fs::write(self.path().join(segments::name(number)), bytes).unwrap();
    }

    /// Changes the bytes of a segment.
    fn change(&self, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.read(number);
        change(&mut bytes);
        self.write(number, &bytes);
    }

    fn run(&self, words: &[&str]) -> (Exit, String) {
        let out = self.dir.path().join("out");
        let _ = fs::remove_file(&out);
        let (path, key) = (self.path(), self.key());
        let mut all = vec!["wardmote", "journal", words[0], path.to_str().unwrap()];
        if words[0] == "verify" {
            all.extend(["--key-file", key.to_str().unwrap()]);
        }
        all.extend(&words[1..]);
        all.extend(["-o", out.to_str().unwrap()]);
        let exit = commands::run(Cli::try_parse_from(all).unwrap()).unwrap();
        (exit, fs::read_to_string(out).unwrap())
    }

    fn verify(&self, words: &[&str]) -> (Exit, Json) {
        let (exit, out) = self.run(&[&["verify", "--format", "json"], words].concat());
        (exit, serde_json::from_str(&out).unwrap())
    }

    /// The words of all faults, and that the exit code follows from them.
    fn faults(&self, words: &[&str]) -> Vec<String> {
        let (exit, report) = self.verify(words);
        let faults = report["faults"].as_array().unwrap();
        assert_eq!(exit == Exit::Found, !faults.is_empty(), "{report}");
        assert_eq!(report["holds"], faults.is_empty());
        faults.iter().map(|fault| fault["fault"].as_str().unwrap().to_string()).collect()
    }

    fn head(&self) -> String {
        self.verify(&[]).1["head"].as_str().unwrap().to_string()
    }
}

/// Offsets of the frames of a segment, with their kinds.
fn frames(bytes: &[u8]) -> Vec<(usize, Kind)> {
    let mut all = Vec::new();
    let mut offset = MAGIC.len();
    while let Some(found) = frame::read(bytes, offset) {
        all.push((offset, found.kind.unwrap()));
        offset += found.bytes();
    }
    all
}

fn places(bytes: &[u8], wanted: Kind) -> Vec<usize> {
    frames(bytes).into_iter().filter(|(_, kind)| *kind == wanted).map(|(at, _)| at).collect()
}

#[test]
fn a_clean_journal_holds_with_and_without_its_watermark() {
    let host = Host::ours();
    let (exit, report) = host.verify(&[]);
    assert_eq!(
        (exit, &report["holds"], &report["records"]),
        (Exit::Clean, &true.into(), &200.into())
    );
    assert!(host.segments().len() > 3, "{:?}", host.segments());
    assert_eq!(host.faults(&["--expect-head", &host.head()]), [""; 0]);
    // An hour back is a note, at most.
    let clocks = Clocks::new();
    clocks.step_wall(-3_600);
    let (journal, _) = open(Directory::open(&host.path()).unwrap(), Options::default(), &clocks);
    journal.append(&entry(500)).unwrap();
    clocks.step_wall(-3_600);
    journal.close().unwrap();
    let (exit, report) = host.verify(&[]);
    assert_eq!(exit, Exit::Clean, "{report}");
    assert!(report["notes"].to_string().contains("stepped by -3600 s"), "{report}");
}

#[test]
fn a_flip_is_named_with_its_place_in_every_segment() {
    let host = Host::ours();
    for number in host.segments() {
        let before = host.read(number);
        let offset = *places(&host.read(number), Kind::EpochEnd).first().unwrap();
        host.change(number, |bytes| bytes[offset + 45] ^= 1);
        let (exit, report) = host.verify(&[]);
        assert_eq!(exit, Exit::Found);
        let fault = &report["faults"][0];
        assert_eq!((&fault["fault"], &fault["offset"]), (&"damaged".into(), &offset.into()));
        assert_eq!(fault["segment"], segments::name(number));
        host.write(number, &before);
        assert_eq!(host.faults(&[]), [""; 0]);
    }
    // In the packed form, too.
    let host = Host::ours();
    let packed = host.path().join(segments::packed_name(1));
    let mut bytes = fs::read(&packed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&packed, bytes).unwrap();
    assert!(!host.faults(&[]).is_empty());
}

#[test]
fn cut_tails_are_found_by_the_writers_state_or_by_a_head_that_was_kept() {
    let head = Host::ours().head();
    for at_epoch in [false, true] {
        for keeps_state in [false, true] {
            let host = Host::ours();
            let last = host.last();
            host.change(last, |bytes| {
                let ends = places(bytes, Kind::EpochEnd);
                let to = match at_epoch {
                    // Behind an epoch, as if nothing had come after it.
                    true => ends[ends.len() - 2] + HEADER_BYTES + HEAD_BYTES,
                    false => bytes.len() - 50,
                };
                bytes.truncate(to);
            });
            if !keeps_state {
                fs::remove_file(host.path().join("key")).unwrap();
                assert_eq!(host.faults(&[]), [""; 0], "nobody has seen more");
                assert_eq!(host.faults(&["--expect-head", &head]), ["tail"]);
            } else {
                assert_eq!(host.faults(&[]), ["tail", "tail_epoch"]);
            }
        }
    }
    let host = Host::ours();
    let other = head.replace(':', ":f0").split_at(head.len()).0.to_string();
    assert_eq!(host.faults(&["--expect-head", &other]), ["head"]);
    // A whole segment less.
    let host = Host::ours();
    host.remove(host.last());
    assert!(host.faults(&[]).contains(&"tail".to_string()));
}

#[test]
fn what_was_moved_copied_or_left_out_is_named() {
    let host = Host::ours();
    host.change(1, |bytes| {
        let all = frames(bytes);
        let ends = places(bytes, Kind::EpochEnd);
        let from = all.iter().position(|(at, _)| *at == ends[0]).unwrap() + 1;
        let to = ends[1] + HEADER_BYTES + HEAD_BYTES;
        bytes.drain(all[from].0..to);
    });
    assert_eq!(host.faults(&[]), ["missing", "epoch"], "an epoch was dropped");

    let host = Host::ours();
    host.change(1, |bytes| {
        let all = frames(bytes);
        let (first, second, end) = (all[2].0, all[3].0, all[4].0);
        bytes[first..end].rotate_left(second - first);
    });
    let found = host.faults(&[]);
    assert!(found.contains(&"missing".into()) && found.contains(&"order".into()), "{found:?}");

    let host = Host::ours();
    let (one, two) = (host.read(1), host.read(2));
    host.write(2, &one);
    assert_eq!(host.faults(&[])[..2], ["renamed", "twice"], "an old segment was replayed");
    host.write(1, &two);
    assert_eq!(host.faults(&[]), ["renamed", "renamed"], "two segments changed names");

    let host = Host::ours();
    host.remove(2);
    let found = host.faults(&[]);
    assert_eq!(found, ["segments_missing"], "no gap names it");
    host.write(2, &two);
    fs::write(host.path().join("0000000077.journal"), host.read(1)).unwrap();
    assert_eq!(host.faults(&[])[..2], ["renamed", "twice"], "a number is there twice");
}

#[test]
fn what_comes_from_elsewhere_or_was_sealed_again_is_refused() {
    let stranger = Host::new([9; 32], *b"journal of other");
    let host = Host::ours();
    host.write(2, &stranger.read(2));
    assert!(host.faults(&[]).contains(&"other_journal".to_string()));
    // The same name of the journal, so that only the key differs.
    let twin = Host::new([9; 32], *b"journal of tests");
    host.write(2, &twin.read(2));
    assert!(host.faults(&[]).contains(&"forged".to_string()));
    let spliced = Host::ours();
    spliced.change(1, |bytes| {
        let other = twin.read(1);
        let (here, there) = (frames(bytes), frames(&other));
        bytes.splice(here[3].0..here[4].0, other[there[3].0..there[4].0].to_vec());
    });
    assert_eq!(spliced.faults(&[])[0], "forged");

    // Whoever has the key of today writes yesterday anew.
    let host = Host::ours();
    let state = key::peek(&Directory::open(&host.path()).unwrap()).unwrap();
    let late = EpochKey::at(0, Zeroizing::new(*state.key.secret()));
    let mut sealer = Sealer::new(late, [0; 32], 0, 0);
    let (mut out, mut bytes) = (Vec::new(), Vec::new());
    sealer.begin(*b"journal of tests", 0, Stamp::default(), &mut out);
    entry(0).with_record(0, |record| Encoder::new().encode(record, &mut bytes));
    sealer.records(1, &bytes, Stamp::default(), &mut out);
    sealer.end(Stamp::default(), &mut out);
    host.write(0, &out);
    assert_eq!(host.faults(&[])[0], "forged");

    // Or takes the seals away.
    let host = Host::ours();
    for number in host.segments() {
        host.change(number, |bytes| {
            for (offset, _) in frames(bytes) {
                let end = offset + frame::read(bytes, offset).unwrap().bytes();
                bytes[end - HEAD_BYTES..end].fill(0);
            }
        });
    }
    fs::remove_file(host.path().join("key")).unwrap();
    let found = host.faults(&[]);
    assert!(found.iter().all(|fault| fault == "not_sealed") && found.len() > 50, "{found:?}");
    // Another key than its own.
    assert_eq!(fs::copy(stranger.key(), host.key()).unwrap(), 32);
    assert!(!host.faults(&[]).is_empty());
}

#[test]
fn odd_files_end_soon_with_a_name() {
    let host = Host::ours();
    host.write(2, b"");
    assert_eq!(host.faults(&[]), ["empty", "segments_missing"]);
    let mut noise = b"wardmote journal".to_vec();
    noise.resize(10 << 20, 0x5a);
    for bytes in [&b"wardmote"[..], &noise] {
        host.write(2, bytes);
        assert_eq!(host.faults(&[])[1], "segments_missing");
        let (exit, out) = host.run(&["show"]);
        assert_eq!(exit, Exit::Incomplete);
        assert!(out.lines().count() > 100);
    }
    host.remove(2);
    let path = host.path().join(segments::name(2));
    let fifo: fn(&Path) = |path| {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    let directory: fn(&Path) = |path| fs::create_dir(path).unwrap();
    let link: fn(&Path) = |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    for make in [fifo, directory, link] {
        make(&path);
        let found = host.faults(&[]);
        assert!(!found.is_empty(), "not what its name says");
        let (exit, report) = host.verify(&[]);
        assert_eq!((exit, report["incomplete"].as_array().unwrap().len()), (Exit::Found, 1));
        assert_eq!(host.run(&["export"]).0, Exit::Incomplete);
        assert_eq!(host.run(&["stats", "--format", "json"]).0, Exit::Incomplete);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
    for number in host.segments() {
        host.remove(number);
    }
    assert!(host.faults(&[]).contains(&"nothing".to_string()));
}

#[test]
fn whoever_damages_a_journal_does_not_stop_it() {
    let clocks = Clocks::new();
    type Damage = fn(&Host);
    let damages: [Damage; 5] = [
        |host| host.change(host.last(), |bytes| bytes.truncate(bytes.len() / 2)),
        |host| host.remove(host.last()),
        |host| host.write(host.last(), b"garbage"),
        |host| fs::write(host.path().join(segments::name(host.last() + 1)), b"in the way").unwrap(),
        |host| {
            let last = host.last();
            let bytes = host.read(last);
            host.remove(last);
            let packed = crypto::journal::packed::pack(&bytes).unwrap();
            fs::write(host.path().join(segments::packed_name(last)), packed).unwrap();
        },
    ];
    for (at, damage) in damages.into_iter().enumerate() {
        let host = Host::ours();
        damage(&host);
        // Small segments: the next number has to be passed.
        let options = Options { segment_bytes: 600, ..Options::default() };
        for life in 0..3 {
            let disk = Directory::open(&host.path()).unwrap();
            let Ok((journal, _)) = Journal::open(Box::new(disk), options, [1; 16], clocks.clock())
            else {
                panic!("damage {at}, life {life}")
            };
            for number in 1_000..1_040 {
                let ticket = journal.append(&entry(number + life * 100));
                if ticket.and_then(|ticket| ticket.wait_durable()).is_err() {
                    // Something was in the way of the next segment: the next life passes it.
                    break;
                }
            }
        }
        assert!(!host.faults(&[]).is_empty(), "damage {at} is not forgotten");
        let (_, out) = host.run(&["export"]);
        assert!(out.contains("\"count\":1239"), "damage {at}: the last life came to its end");
    }
}
