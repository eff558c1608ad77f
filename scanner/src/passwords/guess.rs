//! Guessing, when the operator asks for it: what a person would try first, then a word list, until the
//! list or the time is at its end.
//!
//! Guesses are tried in the order of their rank over all accounts, so that the likeliest are through when
//! the time runs out. A hash that two accounts share is tried once. Which guess matched is told to nobody.

use std::io::{self, BufRead};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use consensus::Severity;
use crypto::password::Hasher;
use crypto::shadow::{Hash, MEMORY_BYTES_MAX, PASSWORD_BYTES_MAX};
use zeroize::Zeroizing;

use super::{Account, State};

/// Most words of a list.
pub const WORDS_MAX: u64 = 1_000_000_000;
/// Words that a worker takes at a time.
const WORDS_AT_ONCE: usize = 8;
/// Most threads.
const WORKERS_MAX: usize = 64;
/// Shortest part of a full name that is tried.
const NAME_CHARS_MIN: usize = 3;
/// What is found in every list of leaked passwords, and what installers leave behind.
const COMMON: [&str; 24] = [
    "123456",
    "password",
    "12345678",
    "qwerty",
    "123456789",
    "12345",
    "1234",
    "111111",
    "1234567",
    "admin",
    "letmein",
    "welcome",
    "changeme",
    "root",
    "toor",
    "default",
    "secret",
    "test",
    "guest",
    "passw0rd",
    "P@ssw0rd",
    "Password1",
    "raspberry",
    "ubuntu",
];
/// What people put behind a name.
const ENDINGS: [&str; 12] =
    ["", "1", "12", "123", "1234", "12345", "123456", "!", "1!", "123!", "01", "@123"];

/// What limits the guessing, and what it knows.
pub struct Plan<'a> {
    /// When to stop.
    pub until: Instant,
    /// Threads.
    pub workers: usize,
    /// The host's name, which people use as a password.
    pub host: &'a str,
    /// This year and the last ones are endings too.
    pub year: i16,
}

/// What the guessing came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guessed {
    /// Hashes that were tried.
    pub hashes: usize,
    /// Guesses made, all hashes together.
    pub tried: u64,
    /// Words of the list that were tried on every hash.
    pub words: u64,
    /// Whether the time was up before all was tried.
    pub cut: bool,
}

struct Target<'a> {
    hash: &'a Hash,
    /// Every account with this hash.
    accounts: Vec<usize>,
    own: Vec<String>,
    found: AtomicBool,
}

/// Tries guesses against all accounts with a usable or locked hash; those that fall get a fault.
pub fn run(
    accounts: &mut [Account],
    list: Option<&mut (dyn BufRead + Send)>,
    plan: &Plan<'_>,
) -> io::Result<Guessed> {
    let round = Round {
        targets: targets(accounts, plan),
        until: plan.until,
        list: Mutex::new(Words { list, words: 0, failed: None }),
        next_own: AtomicU64::new(0),
        tried: AtomicU64::new(0),
        words: AtomicU64::new(0),
        cut: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for _ in 0..workers(&round.targets, plan.workers) {
            scope.spawn(|| round.work());
        }
    });
    let (guessed, fallen) = round.end()?;
    for at in fallen {
        let severity = match (accounts[at].state, accounts[at].login) {
            (State::LockedHash, _) => Severity::Medium,
            (_, Some(false)) => Severity::High,
            _ => Severity::Critical,
        };
        accounts[at].add("guessed", severity, "the password was guessed: change it now");
    }
    Ok(guessed)
}

/// What the workers share.
struct Round<'a, 'l> {
    targets: Vec<Target<'a>>,
    until: Instant,
    list: Mutex<Words<'l>>,
    /// Rank of the next guess of its own for every target.
    next_own: AtomicU64,
    tried: AtomicU64,
    words: AtomicU64,
    cut: AtomicBool,
}

impl Round<'_, '_> {
    /// One worker: what a person would try first, then the list.
    fn work(&self) {
        let mut hasher = Hasher::new();
        let longest = self.targets.iter().map(|target| target.own.len()).max().unwrap_or(0);
        loop {
            let rank = self.next_own.fetch_add(1, Ordering::Relaxed) as usize;
            if rank >= longest || self.cut.load(Ordering::Relaxed) {
                break;
            }
            for target in &self.targets {
                if let Some(word) = target.own.get(rank) {
                    self.try_one(target, word.as_bytes(), &mut hasher);
                }
            }
        }
        while let Some(some) = next_words(&self.list, &self.cut) {
            for word in &some {
                for target in &self.targets {
                    self.try_one(target, word, &mut hasher);
                }
                if !self.cut.load(Ordering::Relaxed) {
                    self.words.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn try_one(&self, target: &Target<'_>, word: &[u8], hasher: &mut Hasher) {
        if target.found.load(Ordering::Relaxed) {
            return;
        }
        if Instant::now() >= self.until {
            self.cut.store(true, Ordering::Relaxed);
            return;
        }
        self.tried.fetch_add(1, Ordering::Relaxed);
        if target.hash.matches(word, hasher).unwrap_or(false) {
            target.found.store(true, Ordering::Relaxed);
        }
    }

    /// What it came to, and the accounts whose password was found.
    fn end(self) -> io::Result<(Guessed, Vec<usize>)> {
        let list = self.list.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(error) = list.failed {
            return Err(error);
        }
        let guessed = Guessed {
            hashes: self.targets.len(),
            tried: self.tried.into_inner(),
            words: self.words.into_inner(),
            cut: self.cut.into_inner(),
        };
        let found = self.targets.into_iter().filter(|target| target.found.load(Ordering::Relaxed));
        Ok((guessed, found.flat_map(|target| target.accounts).collect()))
    }
}

fn targets<'a>(accounts: &'a [Account], plan: &Plan<'_>) -> Vec<Target<'a>> {
    let mut targets: Vec<Target<'a>> = Vec::new();
    for (at, account) in accounts.iter().enumerate() {
        let Some(hash) = &account.hash else { continue };
        let own = guesses(&account.name, &account.gecos, plan);
        match targets.iter_mut().find(|target| target.hash == hash) {
            Some(target) => {
                target.accounts.push(at);
                target.own.extend(own);
            }
            None => targets.push(Target {
                hash,
                accounts: vec![at],
                own,
                found: AtomicBool::new(false),
            }),
        }
    }
    targets
}

/// Threads that fit the memory bound, each with the largest guess in hand.
fn workers(targets: &[Target<'_>], wanted: usize) -> usize {
    let largest = targets.iter().map(|target| target.hash.memory_bytes()).max().unwrap_or(1);
    let fitting = usize::try_from(MEMORY_BYTES_MAX / largest.max(1)).unwrap_or(usize::MAX);
    wanted.min(WORKERS_MAX).min(fitting).max(1)
}

/// What a person would try first for a user, likeliest first, each once.
fn guesses(name: &str, gecos: &str, plan: &Plan<'_>) -> Vec<String> {
    let years = (plan.year - 3..=plan.year + 1).rev().map(|year| year.to_string());
    let endings: Vec<String> =
        ENDINGS.iter().map(|ending| ending.to_string()).chain(years).collect();
    let mut words = vec![name.to_string(), name.chars().rev().collect(), name.repeat(2)];
    let parts = gecos.split(|c: char| !c.is_alphanumeric());
    words.extend(parts.filter(|part| part.chars().count() >= NAME_CHARS_MIN).map(str::to_string));
    words.push(plan.host.split('.').next().unwrap_or_default().to_string());
    let mut out = vec![String::new()];
    out.extend(COMMON.iter().map(|word| word.to_string()));
    for word in words.iter().filter(|word| !word.is_empty()) {
        for form in [word.to_lowercase(), capitalised(word), word.to_uppercase(), word.clone()] {
            out.extend(endings.iter().map(|ending| format!("{form}{ending}")));
        }
    }
    let mut seen = std::collections::HashSet::new();
    out.retain(|word| word.len() <= PASSWORD_BYTES_MAX && seen.insert(word.clone()));
    out
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect()
    })
}

struct Words<'l> {
    list: Option<&'l mut (dyn BufRead + Send)>,
    words: u64,
    failed: Option<io::Error>,
}

/// The next words of the list; `None` at its end, when the time is up, or when it cannot be read.
fn next_words(list: &Mutex<Words<'_>>, cut: &AtomicBool) -> Option<Vec<Zeroizing<Vec<u8>>>> {
    let mut words = list.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut some = Vec::with_capacity(WORDS_AT_ONCE);
    while some.len() < WORDS_AT_ONCE && words.words < WORDS_MAX && !cut.load(Ordering::Relaxed) {
        let Some(list) = words.list.as_mut() else { break };
        match next_word(*list) {
            Ok(Some(word)) => {
                words.words += 1;
                some.extend(word);
            }
            Ok(None) => words.list = None,
            Err(error) => {
                words.failed = Some(error);
                words.list = None;
            }
        }
    }
    (!some.is_empty()).then_some(some)
}

/// One line; a line that is longer than any password is skipped, however long: `Some(None)`.
fn next_word(list: &mut dyn BufRead) -> io::Result<Option<Option<Zeroizing<Vec<u8>>>>> {
    let mut word = Zeroizing::new(Vec::with_capacity(64));
    let mut long = false;
    loop {
        let room = list.fill_buf()?;
        if room.is_empty() {
            return Ok(if word.is_empty() && !long { None } else { Some((!long).then_some(word)) });
        }
        let end = room.iter().position(|&byte| byte == b'\n');
        let part = &room[..end.unwrap_or(room.len())];
        match word.len() + part.len() <= PASSWORD_BYTES_MAX {
            true => word.extend_from_slice(part),
            false => long = true,
        }
        let used = part.len() + usize::from(end.is_some());
        list.consume(used);
        if end.is_some() {
            // Lists made elsewhere end their lines with CR LF; no password ends with a CR.
            if word.last() == Some(&b'\r') {
                word.pop();
            }
            return Ok(Some((!long).then_some(word)));
        }
    }
}
