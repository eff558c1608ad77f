//! Checkpoints: each line is judged exactly once, whatever happens to the file between two sweeps.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::fs;
use std::io::Write;
use std::path::Path;

use scanner::RootedTree;
use scanner::logs::checkpoint::{CARRIED_BYTES_MAX, Carried, Checkpoint, StateError};
use scanner::logs::{RuleSet, SweepOptions, SweepOutcome, content, source, sweep};

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

struct Host {
    dir: tempfile::TempDir,
    state: Checkpoint,
    lines: u64,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("var/log")).unwrap();
        Self { dir, state: Checkpoint::new(), lines: 0 }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("var/log").join(name)
    }

    /// Appends so many different lines, long enough to fill the head that identifies a file.
    fn append(&mut self, name: &str, count: u64) {
        let mut file = fs::File::options().create(true).append(true).open(self.path(name)).unwrap();
        for _ in 0..count {
            self.lines += 1;
            let line = self.lines;
            writeln!(file, "Dec 10 06:55:46 web sshd[{line}]: Failed password for root from 192.0.2.7 port {line} ssh2").unwrap();
        }
    }

    fn sweep(&mut self) -> SweepOutcome {
        let tree = RootedTree::open(self.dir.path()).unwrap();
        let found = source::discover(&tree);
        let rules = content::rules();
        // through its written form, as between two runs
        let mut state = Checkpoint::from_json(&self.state.to_json()).unwrap();
        let options = SweepOptions::new(NOW);
        let outcome = sweep(&tree, found, None, &rules, &options, Some(&mut state));
        self.state = state;
        outcome
    }

    fn new_lines(&mut self) -> u64 {
        let outcome = self.sweep();
        assert_eq!(outcome.incomplete, Vec::<String>::new());
        let failed: u64 = outcome
            .activity
            .iter()
            .filter(|a| a.rule == "ssh-login-failed")
            .map(|a| a.events)
            .sum();
        assert_eq!(failed, outcome.summary.lines, "every line is a failed login");
        outcome.summary.lines
    }
}

fn gzip(from: &Path, to: &Path) {
    let mut gz =
        flate2::write::GzEncoder::new(fs::File::create(to).unwrap(), flate2::Compression::fast());
    gz.write_all(&fs::read(from).unwrap()).unwrap();
    gz.finish().unwrap();
    fs::remove_file(from).unwrap();
}

#[test]
fn what_was_read_is_not_read_again_and_what_is_appended_is() {
    let mut host = Host::new();
    host.append("auth.log", 3);
    assert_eq!([host.new_lines(), host.new_lines()], [3, 0]);
    host.append("auth.log", 40);
    assert_eq!([host.new_lines(), host.new_lines()], [40, 0]);
}

#[test]
fn a_line_without_its_end_waits_for_it() {
    let mut host = Host::new();
    host.append("auth.log", 2);
    let whole = fs::read(host.path("auth.log")).unwrap();
    fs::write(host.path("auth.log"), &whole[..whole.len() - 5]).unwrap();
    assert_eq!(host.new_lines(), 1);
    fs::write(host.path("auth.log"), &whole).unwrap();
    assert_eq!([host.new_lines(), host.new_lines()], [1, 0]);
}

#[test]
fn a_rotation_by_renaming_loses_and_repeats_nothing() {
    let mut host = Host::new();
    host.append("auth.log", 20);
    assert_eq!(host.new_lines(), 20);
    host.append("auth.log", 5);
    fs::rename(host.path("auth.log"), host.path("auth.log.1")).unwrap();
    host.append("auth.log", 7);
    assert_eq!([host.new_lines(), host.new_lines()], [12, 0]);
    host.append("auth.log.1", 1); // a late writer
    gzip(&host.path("auth.log.1"), &host.path("auth.log.2.gz"));
    fs::rename(host.path("auth.log"), host.path("auth.log.1")).unwrap();
    host.append("auth.log", 2);
    assert_eq!([host.new_lines(), host.new_lines()], [3, 0]);
}

#[test]
fn copytruncate_loses_and_repeats_nothing() {
    let mut host = Host::new();
    host.append("auth.log", 20);
    assert_eq!(host.new_lines(), 20);
    host.append("auth.log", 5);
    fs::copy(host.path("auth.log"), host.path("auth.log.1")).unwrap();
    fs::File::options().write(true).open(host.path("auth.log")).unwrap().set_len(0).unwrap();
    host.append("auth.log", 3);
    let outcome = host.sweep();
    assert_eq!((outcome.summary.lines, outcome.summary.gaps), (8, 0));
    assert_eq!(host.new_lines(), 0);
}

#[test]
fn a_file_cut_and_grown_beyond_its_old_size_is_read_from_its_start_and_the_gap_is_said() {
    let mut host = Host::new();
    host.append("auth.log", 20);
    assert_eq!(host.new_lines(), 20);
    fs::File::options().write(true).open(host.path("auth.log")).unwrap().set_len(0).unwrap();
    host.append("auth.log", 60);
    let outcome = host.sweep();
    assert_eq!((outcome.summary.lines, outcome.summary.gaps), (60, 1));
    assert_eq!(host.new_lines(), 0);
}

#[test]
fn an_inode_used_again_by_another_file_is_another_file() {
    let mut host = Host::new();
    host.append("auth.log", 20);
    assert_eq!(host.new_lines(), 20);
    // Same inode, other content, larger than before: written over in place.
    let mut other = Host::new();
    other.lines = 5000;
    other.append("auth.log", 50);
    let text = fs::read(other.path("auth.log")).unwrap();
    let mut file =
        fs::File::options().write(true).truncate(true).open(host.path("auth.log")).unwrap();
    file.write_all(&text).unwrap();
    assert_eq!(host.sweep().summary.lines, 50);
    assert_eq!(host.new_lines(), 0);
}

#[test]
fn random_histories_give_every_line_once() {
    for seed in 0..40_u64 {
        let mut host = Host::new();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut seen = 0;
        host.append("auth.log", 20);
        for _step in 0..12 {
            match next(5) {
                0 => seen += host.new_lines(),
                1 => {
                    let _ = fs::remove_file(host.path("auth.log.3.gz"));
                    let _ = fs::rename(host.path("auth.log.2.gz"), host.path("auth.log.3.gz"));
                    if host.path("auth.log.1").exists() {
                        gzip(&host.path("auth.log.1"), &host.path("auth.log.2.gz"));
                    }
                    seen += host.new_lines(); // what is deleted unread is lost: look before
                    fs::rename(host.path("auth.log"), host.path("auth.log.1")).unwrap();
                    host.append("auth.log", 1 + next(30));
                }
                _ => host.append("auth.log", next(40)),
            }
        }
        seen += host.new_lines();
        assert_eq!(seen, host.lines, "seed {seed}");
    }
}

#[test]
fn attempts_before_the_last_sweep_are_context_for_what_is_new() {
    let mut host = Host::new();
    host.append("auth.log", 7);
    assert!(host.sweep().detections.is_empty());
    host.append("auth.log", 1);
    let outcome = host.sweep();
    assert_eq!(outcome.summary.lines, 1);
    assert_eq!(outcome.detections.len(), 1);
    assert_eq!(
        (outcome.detections[0].rule.as_str(), outcome.detections[0].count),
        ("ssh-brute-force", 8)
    );
    assert_eq!(outcome.detections[0].samples.last().unwrap().line, 8);
    assert!(host.sweep().detections.is_empty());
}

#[test]
fn a_log_that_vanished_is_said_once() {
    let mut host = Host::new();
    host.append("auth.log", 20);
    assert_eq!(host.new_lines(), 20);
    fs::remove_file(host.path("auth.log")).unwrap();
    let outcome = host.sweep();
    assert_eq!((outcome.summary.gaps, outcome.incomplete.len()), (1, 1));
    assert!(outcome.incomplete[0].starts_with("/var/log/auth.log: gone since the last sweep"));
    assert_eq!(host.sweep().summary.gaps, 0);
    // Renamed away, packed or old enough to be deleted is not gone.
    host.append("auth.log", 5);
    host.append("auth.log.7", 5);
    assert_eq!(host.new_lines(), 10);
    fs::remove_file(host.path("auth.log.7")).unwrap();
    fs::rename(host.path("auth.log"), host.path("auth.log.1")).unwrap();
    gzip(&host.path("auth.log.1"), &host.path("auth.log.1.gz"));
    assert_eq!((host.sweep().summary.gaps, host.new_lines()), (0, 0));
}

/// Two logs may begin with the same few lines: only the second inode says that they are two.
#[test]
fn a_new_log_that_begins_like_the_old_one_is_read_from_its_start() {
    let mut host = Host::new();
    host.append("auth.log", 2);
    assert_eq!(host.new_lines(), 2);
    fs::rename(host.path("auth.log"), host.path("auth.log.1")).unwrap();
    host.lines = 0;
    host.append("auth.log", 3);
    assert_eq!([host.new_lines(), host.new_lines()], [3, 0]);
}

#[test]
fn what_the_next_sweep_must_know_is_carried_within_its_bound() {
    let fits = "x".repeat(CARRIED_BYTES_MAX - 2);
    let carried = Carried::new(7, &fits).unwrap();
    assert!(Carried::new(7, &format!("{fits}x")).is_none());
    assert_eq!(carried.read::<String>(7), Some(fits));
    assert_eq!(carried.read::<String>(8), None, "another version");
    assert_eq!(carried.read::<u64>(7), None, "another form");
    let mut state = Checkpoint::new();
    state.carried = Carried::new(1, &[1, 2]);
    let again = Checkpoint::from_json(&state.to_json()).unwrap();
    assert_eq!(again.carried.unwrap().read::<Vec<u64>>(1), Some(vec![1, 2]));
}

#[test]
fn a_log_that_was_read_and_rests_is_not_opened_again() {
    let mut host = Host::new();
    host.append("auth.log", 3);
    let hours_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW as u64 - 7200);
    let rest = |host: &Host| {
        let file = fs::File::options().append(true).open(host.path("auth.log")).unwrap();
        file.set_modified(hours_ago).unwrap();
    };
    rest(&host);
    assert_eq!(host.sweep().summary.files, 1);
    let outcome = host.sweep();
    assert_eq!((outcome.summary.files, outcome.sources.len()), (0, 1));
    assert_eq!(host.sweep().summary.gaps, 0, "it was met all the same");
    host.append("auth.log", 1);
    rest(&host);
    assert_eq!(host.new_lines(), 1);
}

#[test]
fn a_damaged_or_newer_state_is_refused() {
    assert_eq!(Checkpoint::from_json(b""), Err(StateError::Damaged));
    assert_eq!(Checkpoint::from_json(b"{\"version\":1}"), Err(StateError::Damaged));
    let newer = b"{\"version\":3,\"files\":[],\"unknown\":1}";
    assert_eq!(Checkpoint::from_json(newer), Err(StateError::Version(3)));
}

/// Found by fuzzing: a mark whose proof starts before the file made the sweep panic.
#[test]
fn a_mark_that_no_sweep_writes_is_damage() {
    let state = |offset: u64, head: usize, tail: usize| {
        let json = format!(
            r#"{{"version":1,"files":[{{"path":"/var/log/a","device":1,"inode":1,"size":9,
            "modified":0,"head_bytes":{head},"head":"","offset":{offset},"lines":1,
            "tail_bytes":{tail},"tail":""}}]}}"#
        );
        Checkpoint::from_json(json.as_bytes())
    };
    assert!(state(64, 64, 64).is_ok());
    assert!(state(2000, 1024, 64).is_ok());
    for (offset, head, tail) in [(63, 63, 64), (63, 64, 63), (2000, 1025, 64), (2000, 1024, 65)] {
        assert_eq!(state(offset, head, tail), Err(StateError::Damaged), "{offset} {head} {tail}");
    }
}

fn plain_gzip(text: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text).unwrap();
    gz.finish().unwrap()
}

/// Half a line is how any line begins: that an archive ended so says nothing of another file.
#[test]
fn half_a_line_at_the_end_of_an_archive_is_no_other_files_beginning() {
    let mut host = Host::new();
    fs::write(host.path("auth.log.2.gz"), plain_gzip(b"Dec 10 06:55:46 web sshd[")).unwrap();
    host.append("auth.log", 1);
    assert_eq!(host.sweep().summary.lines, 2);
    host.append("auth.log.1", 3);
    assert_eq!([host.new_lines(), host.new_lines()], [3, 0]);
}

/// What was found before anything was copied to it is still a copy, once it is made.
#[test]
fn a_copy_or_an_archive_that_was_half_made_when_it_was_found_repeats_nothing() {
    let mut host = Host::new();
    host.append("auth.log", 30);
    fs::write(host.path("auth.log.1"), "").unwrap();
    assert_eq!(host.new_lines(), 30);
    let text = fs::read(host.path("auth.log")).unwrap();
    fs::write(host.path("auth.log.1"), &text).unwrap();
    fs::File::options().write(true).open(host.path("auth.log")).unwrap().set_len(0).unwrap();
    host.append("auth.log", 3);
    assert_eq!([host.new_lines(), host.new_lines()], [3, 0]);
    let packed = plain_gzip(&text);
    fs::write(host.path("auth.log.1.gz"), &packed[..5]).unwrap();
    let outcome = host.sweep();
    assert_eq!((outcome.summary.lines, outcome.incomplete.len()), (0, 1));
    fs::write(host.path("auth.log.1.gz"), &packed).unwrap();
    fs::remove_file(host.path("auth.log.1")).unwrap();
    assert_eq!(host.new_lines(), 0);
}

#[test]
fn a_log_that_was_cut_in_the_middle_and_then_copied_is_not_read_again_and_the_gap_is_said() {
    let mut host = Host::new();
    host.append("auth.log", 60);
    assert_eq!(host.new_lines(), 60);
    let text = fs::read(host.path("auth.log")).unwrap();
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let left = lines[..30].concat();
    fs::write(host.path("auth.log.1"), &left).unwrap();
    fs::File::options().write(true).open(host.path("auth.log")).unwrap().set_len(0).unwrap();
    host.append("auth.log.1", 2);
    host.append("auth.log", 3);
    let outcome = host.sweep();
    // Which of the lines after the cut are new nobody can tell.
    assert_eq!(outcome.summary.lines, 3);
    assert!(outcome.summary.gaps >= 1, "{:?}", outcome.incomplete);
    assert_eq!(host.new_lines(), 0);
}

#[test]
fn a_small_log_that_is_copied_and_cut_is_no_gap() {
    let mut host = Host::new();
    host.append("auth.log", 2);
    assert_eq!(host.new_lines(), 2);
    host.append("auth.log", 30);
    fs::copy(host.path("auth.log"), host.path("auth.log.1")).unwrap();
    fs::File::options().write(true).open(host.path("auth.log")).unwrap().set_len(0).unwrap();
    host.append("auth.log", 3);
    assert_eq!([host.new_lines(), host.new_lines()], [33, 0]);
}

#[test]
fn what_could_not_be_read_to_its_end_is_opened_again_though_it_rests() {
    let mut host = Host::new();
    let packed = plain_gzip("line\n".repeat(5000).as_bytes());
    fs::write(host.path("auth.log.1.gz"), &packed[..packed.len() - 9]).unwrap();
    let hours_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW as u64 - 7200);
    let file = fs::File::options().append(true).open(host.path("auth.log.1.gz")).unwrap();
    file.set_modified(hours_ago).unwrap();
    let said = host.sweep().incomplete;
    assert_eq!(said.len(), 1);
    assert_eq!(host.sweep().incomplete, said, "it is not clean because it was seen before");
}

fn noise(count: u64) -> String {
    "Dec 10 06:55:46 web app[1]: nothing to see here, move along, nothing to see here at all\n"
        .repeat(usize::try_from(count).unwrap())
}

/// What windows look back at need not stand near in the file, nor in the same one.
#[test]
fn attempts_are_remembered_however_much_was_written_since() {
    let mut host = Host::new();
    host.append("auth.log", 7);
    assert!(host.sweep().detections.is_empty());
    let mut log = fs::File::options().append(true).open(host.path("auth.log")).unwrap();
    log.write_all(noise(30_000).as_bytes()).unwrap();
    assert!(host.sweep().detections.is_empty());
    fs::rename(host.path("auth.log"), host.path("auth.log.1")).unwrap();
    host.append("auth.log", 1);
    let outcome = host.sweep();
    assert_eq!((outcome.summary.lines, outcome.detections.len()), (1, 1));
    let told = &outcome.detections[0];
    assert_eq!((told.rule.as_str(), told.count), ("ssh-brute-force", 8));
    assert_eq!((told.samples[0].line, told.samples[0].path.as_str()), (1, "/var/log/auth.log.1"));
    assert!(host.sweep().detections.is_empty());
}

fn jail() -> scanner::logs::fail2ban::Jail {
    let tree = parsers::tree::MemoryTree::new()
        .file("/f/jail.local", "[door]\nenabled = true\nmaxretry = 3\nfindtime = 600\nfilter = door\nlogpath = /var/log/auth.log*\n")
        .file(
            "/f/filter.d/door.conf",
            "[Definition]\nfailregex = ^ \\S+ doord\\[<F-MLFID>\\d+</F-MLFID>\\]: refused$\n \
             ^ \\S+ doord\\[<F-MLFID>\\d+</F-MLFID>\\]: <F-NOFAIL>from</F-NOFAIL> <HOST>$\n",
        );
    let found = scanner::logs::fail2ban::Jails::load(&tree, Path::new("/f"), 2029).unwrap();
    found.jails.into_iter().next().unwrap()
}

/// Who fired what: rules and addresses of all stories.
fn fired(outcome: &SweepOutcome) -> std::collections::BTreeSet<(String, String)> {
    let each = outcome.detections.iter().flat_map(|told| {
        let ip = told.subject.ip.clone().unwrap_or_default();
        told.also.iter().chain([&told.rule]).map(move |rule| (ip.clone(), rule.clone()))
    });
    each.collect()
}

/// Sweeps that go on where the last one ended tell together what one sweep over everything tells.
#[test]
fn many_small_sweeps_fire_what_one_over_everything_fires() {
    let documents = || {
        let text = "title: failed\nname: failed\nlogsource: {product: linux}\ndetection: {s: ['Failed password'], condition: s}\n---\n\
            title: in\nname: in\nlogsource: {product: linux}\ndetection: {s: ['Accepted password'], condition: s}\n---\n\
            title: many\nname: many\nlevel: high\ncorrelation: {type: event_count, rules: [failed], group-by: [src_ip], timespan: 120s, condition: {gte: 4}}\n---\n\
            title: users\nname: users\nlevel: high\ncorrelation: {type: value_count, rules: [failed], group-by: [src_ip], timespan: 120s, condition: {gte: 3, field: user}}\n---\n\
            title: got in\nname: got-in\nlevel: high\ncorrelation: {type: temporal_ordered, rules: [failed, in], group-by: [src_ip], timespan: 60s}\n";
        parsers::rules::sigma::parse(&"r".into(), text.as_bytes()).unwrap()
    };
    let rules = RuleSet::with_jails(documents(), vec![jail()]).unwrap_or_else(|p| panic!("{p:?}"));
    let mut all = 0;
    for seed in 1..=25_u64 {
        let mut host = Host::new();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let (mut second, mut state) = (0, Checkpoint::new());
        let mut together = std::collections::BTreeSet::new();
        for _ in 0..120 {
            second += next(50);
            let (ip, user) = (next(4), next(4));
            let what = match next(6) {
                0..=2 => {
                    format!("sshd[7]: Failed password for u{user} from 192.0.2.{ip} port 9 ssh2")
                }
                3 => {
                    format!("sshd[7]: Accepted password for u{user} from 192.0.2.{ip} port 9 ssh2")
                }
                4 => format!("doord[{ip}]: from 198.51.100.{ip}"),
                _ => format!("doord[{ip}]: refused"),
            };
            let at = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
            let path = host.path("auth.log");
            let mut log = fs::File::options().create(true).append(true).open(&path).unwrap();
            writeln!(log, "Dec 10 {at} web {what}").unwrap();
            if next(8) == 0 {
                log.write_all(noise(2).replace("06:55:46", &at).as_bytes()).unwrap();
            }
            host.lines += 1;
            if next(5) == 0 {
                state = Checkpoint::from_json(&state.to_json()).unwrap();
                together.extend(fired(&swept(&host, &rules, Some(&mut state))));
            }
            if next(40) == 0 {
                for number in (1..9).rev() {
                    let from = host.path(&format!("auth.log.{number}"));
                    let _ = fs::rename(from, host.path(&format!("auth.log.{}", number + 1)));
                }
                fs::rename(&path, host.path("auth.log.1")).unwrap();
            }
        }
        together.extend(fired(&swept(&host, &rules, Some(&mut state))));
        let whole = fired(&swept(&host, &rules, None));
        assert_eq!(together, whole, "seed {seed}");
        all += whole.len();
    }
    assert!(all > 100, "{all}");
}

fn swept(host: &Host, rules: &RuleSet, state: Option<&mut Checkpoint>) -> SweepOutcome {
    let tree = RootedTree::open(host.dir.path()).unwrap();
    let found = source::discover(&tree);
    sweep(&tree, found, None, rules, &SweepOptions::new(NOW), state)
}
