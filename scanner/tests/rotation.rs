//! Thousands of random rotations: every line is seen exactly once, or the gap that swallowed it is said.
//!
//! A model writes numbered lines and does to the log what daemons, logrotate, administrators and
//! intruders do; between the acts the logs are swept with the state of the sweep before. The disk is the
//! oracle: after a quiet sweep each whole line that stands in any file has been seen; no line is ever
//! seen twice; and what left the disk unseen, together with something that had been seen, left a gap in
//! the sweep that followed. (What came and went between two sweeps, and took nothing with it that any
//! sweep had seen, left no trace that anybody could find.)
//! `WARDMOTE_TEST_ROTATIONS` asks for more rotations than the 10,000 that always run.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

use scanner::RootedTree;
use scanner::logs::checkpoint::Checkpoint;
use scanner::logs::{RuleSet, SweepOptions, source, sweep};

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

/// Rotations that one history has; each begins with an empty host.
const ROTATIONS: u64 = 100;

/// Rotated files that are kept, at most.
const KEPT: u32 = 4;

fn rules() -> RuleSet {
    let text = "title: login\nname: login\nlevel: high\nlogsource:\n  product: linux\n\
                detection:\n  keywords:\n    '|all':\n      - 'Failed password'\n      - 'ssh2 end'\n  condition: keywords\n";
    RuleSet::new(parsers::rules::sigma::parse(&"rule".into(), text.as_bytes()).unwrap()).unwrap()
}

/// xorshift: the same seed gives the same history.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn line(serial: u64) -> String {
    let [_, a, b, c] = u32::try_from(serial).unwrap().to_be_bytes();
    format!(
        "Dec 10 06:55:46 web sshd[7]: Failed password for root from 10.{a}.{b}.{c} port {serial} ssh2 end\n"
    )
}

fn serial_of(ip: &str) -> u64 {
    let parts: Vec<u64> = ip.split('.').map(|part| part.parse().unwrap()).collect();
    parts[1] << 16 | parts[2] << 8 | parts[3]
}

struct Host<'a> {
    dir: tempfile::TempDir,
    rules: &'a RuleSet,
    random: Random,
    state: Vec<u8>,
    serial: u64,
    /// The rest of a line that has been begun, and whether its beginning is still in front of it.
    open: Option<(String, u64)>,
    /// Lines that a rotation tore in two: they are no lines any more.
    torn: BTreeSet<u64>,
    seen: BTreeMap<u64, u64>,
    /// Lines that left the disk unseen: the next sweep must say so.
    destroyed: BTreeSet<u64>,
    /// Those of which a sweep has said that a gap is there.
    lost: BTreeSet<u64>,
    /// Those of which no trace was left.
    traceless: BTreeSet<u64>,
    first: u64,
    rotations: u64,
    gaps: u64,
    seed: u64,
    acts: Vec<String>,
}

impl<'a> Host<'a> {
    fn new(rules: &'a RuleSet, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("var/log")).unwrap();
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self {
            dir,
            rules,
            random,
            state: Checkpoint::new().to_json(),
            serial: seed % 1000,
            open: None,
            torn: BTreeSet::new(),
            seen: BTreeMap::new(),
            destroyed: BTreeSet::new(),
            lost: BTreeSet::new(),
            traceless: BTreeSet::new(),
            first: 1 + seed % 1000,
            rotations: 0,
            gaps: 0,
            seed,
            acts: Vec::new(),
        }
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.dir.path().join(format!("var/log/auth.log{suffix}"))
    }

    fn write(&self, suffix: &str, text: &str) {
        let mut file = File::options().create(true).append(true).open(self.path(suffix)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn next_line(&mut self) -> String {
        self.serial += 1;
        line(self.serial)
    }

    /// Ends the line that was begun, then appends whole lines.
    fn append(&mut self, suffix: &str, count: u64) {
        let mut text = self.open.take().map(|(rest, _)| rest).unwrap_or_default();
        for _ in 0..count {
            text.push_str(&self.next_line());
        }
        self.write(suffix, &text);
    }

    fn append_part(&mut self) {
        if self.open.is_none() {
            let whole = self.next_line();
            let at = 1 + usize::try_from(self.random.below(whole.len() as u64 - 2)).unwrap();
            self.write("", &whole[..at]);
            self.open = Some((whole[at..].to_string(), self.serial));
        }
    }

    /// Moves the rotated files on by one; what would be too old is deleted.
    fn shift(&mut self) {
        for number in (1..=KEPT).rev() {
            for packed in ["", ".gz"] {
                let from = self.path(&format!(".{number}{packed}"));
                if !from.exists() {
                } else if number == KEPT {
                    fs::remove_file(from).unwrap();
                } else {
                    fs::rename(from, self.path(&format!(".{}{packed}", number + 1))).unwrap();
                }
            }
        }
        self.rotations += 1;
    }

    fn pack(&self, suffix: &str) {
        let Ok(text) = fs::read(self.path(suffix)) else { return };
        let packed = File::create(self.path(&format!("{suffix}.gz"))).unwrap();
        let mut gz = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        gz.write_all(&text).unwrap();
        gz.finish().unwrap();
    }

    fn pack_and_remove(&self, suffix: &str) {
        self.pack(suffix);
        let _ = fs::remove_file(self.path(suffix));
    }

    fn rename(&mut self) {
        if self.random.below(3) == 0 {
            self.pack_and_remove(".1");
        }
        self.shift();
        let _ = fs::rename(self.path(""), self.path(".1"));
        // The daemon has the old file open still.
        if self.random.below(2) == 0 && self.path(".1").exists() {
            self.open_goes_to(".1");
        } else {
            self.tear();
        }
        let count = self.random.below(20);
        self.append("", count);
    }

    /// The line that was begun, and perhaps others, are still written to the renamed file.
    fn open_goes_to(&mut self, suffix: &str) {
        let count = self.random.below(4);
        self.append(suffix, count);
    }

    fn tear(&mut self) {
        if let Some((_, serial)) = self.open.take() {
            self.torn.insert(serial);
        }
    }

    fn copy(&mut self) {
        self.shift();
        if self.path("").exists() {
            fs::copy(self.path(""), self.path(".1")).unwrap();
        }
    }

    /// A sweep while the log is being copied, before it is truncated.
    fn sweep_while_copied(&mut self) {
        self.destroy(Self::shift);
        let Ok(text) = fs::read(self.path("")) else { return };
        let at = match self.random.below(3) {
            0 => 0,
            _ => usize::try_from(self.random.below(text.len() as u64 + 1)).unwrap(),
        };
        fs::write(self.path(".1"), &text[..at]).unwrap();
        self.sweep(true);
        let mut copy = File::options().append(true).open(self.path(".1")).unwrap();
        copy.write_all(&text[at..]).unwrap();
        self.destroy(|host| host.truncate(0));
        let count = self.random.below(60);
        self.append("", count);
    }

    /// A sweep while a rotated file is being packed.
    fn sweep_while_packed(&mut self) {
        if !self.path(".1").exists() {
            return;
        }
        self.pack(".1");
        let packed = fs::read(self.path(".1.gz")).unwrap();
        let at = usize::try_from(self.random.below(packed.len() as u64)).unwrap();
        let mut file = File::options().append(true).open(self.path(".1.gz")).unwrap();
        file.set_len(at as u64).unwrap();
        self.sweep(true);
        file.write_all(&packed[at..]).unwrap();
        let _ = fs::remove_file(self.path(".1"));
    }

    fn truncate(&mut self, keep: u64) {
        if let Ok(file) = File::options().write(true).open(self.path("")) {
            let length = file.metadata().unwrap().len();
            file.set_len(length.min(keep)).unwrap();
        }
        self.tear();
    }

    fn cut_in_half(&mut self) {
        let length = self.path("").metadata().map_or(0, |facts| facts.len());
        // What is left of a log that was cut to less than 1 KiB is read again: nothing proves it.
        if length > 1024 {
            let keep = 1024 + self.random.below(length - 1024);
            self.truncate(keep);
            // Whoever cuts a log so makes a mess of its last line; end it, so that it is one line.
            let text = fs::read(self.path("")).unwrap();
            if text.last().is_some_and(|last| *last != b'\n') {
                let begun = text.rsplit(|byte| *byte == b'\n').next().unwrap();
                let whole = serials(begun);
                self.torn.extend(whole);
                self.torn.extend(self.numbered(begun));
                self.write("", " cut\n");
            }
        }
        self.rotations += 1;
    }

    /// The line that a piece of text is the beginning of.
    fn numbered(&self, begun: &[u8]) -> Option<u64> {
        let begun = String::from_utf8(begun.to_vec()).unwrap();
        (1..=self.serial).rev().find(|serial| line(*serial).starts_with(&begun) && begun.len() > 60)
    }

    fn recreate(&mut self) {
        let _ = fs::remove_file(self.path(""));
        self.tear();
        let count = self.random.below(40);
        self.append("", count);
        self.rotations += 1;
    }

    /// All whole lines on the disk.
    fn on_disk(&self) -> BTreeSet<u64> {
        let mut all = BTreeSet::new();
        for entry in fs::read_dir(self.dir.path().join("var/log")).unwrap() {
            let path = entry.unwrap().path();
            let mut text = fs::read(&path).unwrap();
            if path.extension().is_some_and(|end| end == "gz") {
                let mut out = Vec::new();
                // One that is half made gives what it has.
                let _ = flate2::read::GzDecoder::new(&text[..]).read_to_end(&mut out);
                text = out;
                // Nobody will end the last line of an archive.
                text.push(b'\n');
            }
            all.extend(serials(&text));
        }
        all.retain(|serial| !self.torn.contains(serial));
        all
    }

    /// What is neither on the disk nor seen must have been said by the sweep that follows its loss.
    fn sweep(&mut self, quiet: bool) {
        let disk = self.on_disk();
        // A memory for shapes of lines is dear for so few of them.
        let options = SweepOptions { shapes: false, ..SweepOptions::new(NOW) };
        let mut state = Checkpoint::from_json(&self.state).unwrap();
        let tree = RootedTree::open(self.dir.path()).unwrap();
        let found = source::discover(&tree);
        let outcome = sweep(&tree, found, None, self.rules, &options, Some(&mut state));
        self.state = state.to_json();
        assert_eq!(outcome.summary.evicted, 0);
        let said = outcome.incomplete.len() as u64;
        for detection in &outcome.detections {
            let serial = serial_of(detection.subject.ip.as_deref().unwrap());
            if !self.torn.contains(&serial) {
                *self.seen.entry(serial).or_default() += detection.count;
            }
        }
        self.acts.push(format!("swept {}: {:?}", outcome.summary.lines, outcome.incomplete));
        let gaps = outcome.summary.gaps;
        self.gaps += gaps;
        assert!(gaps <= said, "a gap is also a line: {:?}", outcome.incomplete);
        let twice: Vec<_> = self.seen.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "seen more than once: {twice:?}");
        let destroyed = std::mem::take(&mut self.destroyed);
        assert!(destroyed.is_empty() || gaps > 0, "lost without a word: {destroyed:?}");
        self.lost.extend(destroyed);
        // What a gap was said of may still stand on the disk.
        let unsaid = |serial: &u64| !self.seen.contains_key(serial) && !self.lost.contains(serial);
        let unseen: Vec<u64> = disk.into_iter().filter(unsaid).collect();
        if !quiet && gaps == 0 {
            return;
        }
        assert!(unseen.is_empty() || gaps > 0, "on disk and unseen: {unseen:?}");
        self.lost.extend(unseen);
        if !quiet {
            return;
        }
        let begun = self.open.as_ref().map(|(_, serial)| *serial);
        for serial in (self.first..=self.serial).filter(|serial| begun != Some(*serial)) {
            let known = self.seen.contains_key(&serial) || self.torn.contains(&serial);
            let gone = self.lost.contains(&serial) || self.traceless.contains(&serial);
            assert!(known || gone, "line {serial} is nowhere");
        }
    }

    /// Does something that may destroy lines, and notes what the next sweep must say of it.
    fn destroy(&mut self, act: impl FnOnce(&mut Self)) {
        let before = self.on_disk();
        act(self);
        let after = self.on_disk();
        let destroyed: BTreeSet<u64> = before.difference(&after).copied().collect();
        let (seen, unseen): (BTreeSet<u64>, BTreeSet<u64>) =
            destroyed.into_iter().partition(|serial| self.seen.contains_key(serial));
        let unsaid = |serial: &u64| !self.torn.contains(serial) && !self.lost.contains(serial);
        let unseen: Vec<u64> = unseen.into_iter().filter(unsaid).collect();
        match seen.is_empty() {
            true => self.traceless.extend(unseen),
            false => self.destroyed.extend(unseen),
        }
    }

    /// A sweep during which the log is rotated by copying, then a quiet one.
    fn sweep_while_truncated(&mut self) {
        self.destroy(Self::copy);
        let path = self.path("");
        let wait = std::time::Duration::from_micros(self.random.below(3000));
        let after = self.next_line();
        self.tear();
        std::thread::scope(|scope| {
            let truncation = scope.spawn(move || {
                std::thread::sleep(wait);
                let file = File::options().write(true).create(true).truncate(false).open(&path);
                file.unwrap().set_len(0).unwrap();
                fs::OpenOptions::new().append(true).open(path).unwrap().write_all(after.as_bytes())
            });
            self.sweep(false);
            truncation.join().unwrap().unwrap();
        });
        let gaps = self.gaps;
        self.sweep(false);
        // A gap of the first sweep covers what the second cannot find.
        if gaps == self.gaps {
            self.sweep(true);
        }
    }

    fn act(&mut self) {
        let which = self.random.below(22);
        self.acts.push(format!("act {which}, line {}", self.serial));
        match which {
            0..=5 => {
                let count = self.random.below(30);
                self.append("", count);
            }
            6 => self.append_part(),
            7 | 8 => self.sweep(true),
            9..=12 => self.destroy(Self::rename),
            13 | 14 => {
                self.destroy(Self::copy);
                if self.random.below(3) == 0 {
                    // Between the copy and the truncation.
                    self.sweep(true);
                }
                self.destroy(|host| host.truncate(0));
                let count = self.random.below(60);
                self.append("", count);
            }
            15 => {
                self.pack(".1");
                if self.random.below(2) == 0 {
                    // Both the file and its archive are there.
                    self.sweep(true);
                }
                let _ = fs::remove_file(self.path(".1"));
            }
            16 => self.sweep_while_truncated(),
            17 => {
                self.destroy(|host| host.truncate(0));
                self.rotations += 1;
                let count = self.random.below(60);
                self.append("", count);
            }
            18 => {
                self.destroy(Self::cut_in_half);
                if self.random.below(2) == 0 {
                    self.sweep(true);
                }
            }
            19 => self.destroy(Self::recreate),
            20 => self.sweep_while_copied(),
            _ => self.sweep_while_packed(),
        }
    }
}

/// The numbers of the whole lines of a text.
fn serials(text: &[u8]) -> BTreeSet<u64> {
    let text = String::from_utf8_lossy(text);
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with("ssh2 end\n"));
    let serial = |line: &str| line.split(" port ").nth(1)?.split(' ').next()?.parse().ok();
    lines.filter_map(serial).collect()
}

#[test]
fn every_line_is_seen_once_or_the_gap_is_said() {
    let wanted = std::env::var("WARDMOTE_TEST_ROTATIONS").ok().and_then(|n| n.parse().ok());
    let wanted: u64 = wanted.unwrap_or(10_000);
    let rules = rules();
    let first = std::env::var("WARDMOTE_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let next = std::sync::atomic::AtomicU64::new(first);
    let totals = std::sync::Mutex::new([0_u64; 4]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    if totals.lock().unwrap()[0] >= wanted {
                        return;
                    }
                    let mut host = Host::new(&rules, seed);
                    while host.rotations < ROTATIONS {
                        host.act();
                    }
                    host.append("", 1);
                    host.sweep(true);
                    let mut totals = totals.lock().unwrap();
                    totals[0] += host.rotations;
                    totals[1] += host.seen.len() as u64;
                    totals[2] += host.lost.len() as u64;
                    totals[3] += host.gaps;
                }
            });
        }
    });
    let [rotations, seen, lost, gaps] = totals.into_inner().unwrap();
    println!(
        "{rotations} rotations: {seen} lines seen once, {lost} lost in {gaps} gaps that were said"
    );
    assert!(rotations >= wanted && seen > 5 * lost && lost > 0);
}

/// Says which history failed, and how it ended.
impl Drop for Host<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("WARDMOTE_TEST_SEED={}", self.seed);
            self.acts.iter().rev().take(12).rev().for_each(|act| eprintln!("{act}"));
        }
    }
}
