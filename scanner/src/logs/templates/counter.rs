//! Counts the lines of a part into its [`Census`]; its room is reused from part to part.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use parsers::time::Stamp;

use super::census::{
    Census, Deed, Hour, Outcome, PROGRAM_BYTES_MAX, Run, STEP_SECONDS, Shape, Spot, USER_BYTES_MAX,
    pause_class,
};
use super::head::{self, Form, Head, Memo, When};
use super::recipes::{Found, Recipes, Told};
use super::skeleton::Key;
use super::tokens::{Tokens, hash, mix};
use super::{SAMPLE_BYTES_MAX, TEXT_BYTES_MAX};
use crate::logs::features::uris::{self, Parameter};

/// Programs whose logins rules judge already: single lines of theirs are not kept.
const TOLD_BY_RULES: [&[u8]; 3] = [b"sshd", b"sudo", b"su"];

/// Reads parts; its room is reused from part to part.
pub struct Counter {
    memo: Memo,
    recipes: Recipes,
    /// Number of the part; the places that recipes know are those of one part.
    part: u32,
    tokens: Tokens,
    text: Vec<u8>,
    census: Census,
    programs: HashMap<Box<[u8]>, u32>,
    shapes: HashMap<u64, u32, Seeded>,
    users: HashMap<Box<[u8]>, u32>,
    parameters: HashMap<u64, u32, Seeded>,
    last_program: u32,
}

impl Default for Counter {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0_u8);
        Self {
            memo: Memo::default(),
            recipes: Recipes::default(),
            part: 1,
            tokens: Tokens::default(),
            text: Vec::new(),
            census: Census::default(),
            programs: HashMap::new(),
            shapes: HashMap::with_hasher(Seeded(seed)),
            users: HashMap::new(),
            parameters: HashMap::with_hasher(Seeded(seed)),
            last_program: 0,
        }
    }
}

impl Counter {
    /// Counts whole lines.
    pub fn part(&mut self, bytes: &[u8], offset: u64) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
            if end == start && end == bytes.len() {
                break;
            }
            let line = &bytes[start..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.line(line, offset + start as u64);
            start = end + 1;
        }
        self.census.bytes += bytes.len() as u64;
    }

    /// Counts one line that stands at this offset.
    pub fn line(&mut self, line: &[u8], offset: u64) {
        let stamp = head::stamp(line, &mut self.memo);
        let tagged = stamp.and_then(|(when, used)| Some((when, head::tagged(line, when, used)?)));
        let mut again = None;
        if let Some((when, tagged)) = tagged {
            match self.recipes.find(tagged) {
                Found::Recipe(at) if self.count_alike(at, tagged, when, offset) => return,
                Found::Again(key) => again = Some((key, tagged)),
                _ => {}
            }
        }
        let head = head::read(line, stamp);
        self.count(line, &head, offset);
        if let Some((key, tagged)) = again {
            self.learn(key, tagged);
        }
    }

    /// Counts a line of which a recipe tells what would be read; `false` when the part has no place for
    /// it yet.
    fn count_alike(&mut self, at: usize, tagged: &[u8], when: When, offset: u64) -> bool {
        if self.recipes.at(at).part != self.part {
            let name = self.recipes.program(at).0;
            let program = self.programs.get(&name[..name.len().min(PROGRAM_BYTES_MAX)]);
            let Some(program) = program.copied() else { return false };
            let recipe = self.recipes.at(at);
            let key = shape_key(recipe.sum, program, usize::from(recipe.tokens));
            let Some(place) = self.shapes.get(&key) else { return false };
            (recipe.place, recipe.part) = (*place, self.part);
        }
        let (shape, told_by_rules) = (self.recipes.at(at).place, self.recipes.program(at).1);
        let mut spot = self.next_spot(offset);
        spot.second = when.second;
        spot.hour = self.hour(when, spot);
        self.count_one(shape, spot);
        if !told_by_rules {
            let [ip, user] = self.recipes.named(at, tagged);
            self.did(shape, ip, user, spot);
        }
        true
    }

    /// Keeps what was just read of a line for others of its skeleton.
    fn learn(&mut self, key: Key, tagged: &[u8]) {
        let (written, message) = head::told(tagged);
        let program = crate::logs::extract::canonical_program(written);
        let tokens = &self.tokens;
        let told_by_rules = TOLD_BY_RULES.contains(&program);
        let told = Told { text: tagged, written, program, told_by_rules, message, tokens };
        self.recipes.learn(key, &told);
    }

    /// Counts a message whose program and time are known (an entry of the journal, with its number).
    pub fn message(&mut self, program: &[u8], message: &[u8], at: i64, number: Option<u64>) {
        let second = at.rem_euclid(3600);
        let hour = Stamp::Exact(at - second);
        let when = head::When { hour, second: u16::try_from(second).unwrap_or(0) };
        let program = crate::logs::extract::canonical_program(program);
        if let Some(number) = number {
            let line = u32::try_from(self.census.lines).unwrap_or(u32::MAX);
            self.serial(number, Spot { line, hour: Spot::UNDATED, ..Spot::default() });
        }
        let head = Head { when: Some(when), program, message: message.into(), form: Form::Syslog };
        self.count(message, &head, 0);
    }

    /// What was counted since the last time.
    pub fn finish(&mut self) -> Census {
        self.part = self.part.wrapping_add(1).max(1);
        self.programs.clear();
        self.shapes.clear();
        self.users.clear();
        self.parameters.clear();
        std::mem::take(&mut self.census)
    }

    fn count(&mut self, line: &[u8], head: &Head<'_>, offset: u64) {
        let mut spot = self.next_spot(offset);
        if line.is_empty() {
            return;
        }
        match head.when {
            Some(when) => {
                spot.second = when.second;
                spot.hour = self.hour(when, spot);
            }
            None => self.census.undated += 1,
        }
        self.census.unparsed += u64::from(matches!(head.form, Form::Unknown));
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.read(&head.message);
        let program = self.program(head.program);
        let key = shape_key(tokens.sum, program, tokens.len());
        let shape = match self.shapes.get(&key) {
            Some(shape) => *shape,
            None => self.shape(key, program, &tokens, head, line, spot),
        };
        self.count_one(shape, spot);
        self.deed(shape, &tokens, head, spot);
        self.tokens = tokens;
    }

    /// The next line's, without its time.
    fn next_spot(&mut self, offset: u64) -> Spot {
        let line = u32::try_from(self.census.lines).unwrap_or(u32::MAX);
        self.census.lines += 1;
        Spot { line, offset, hour: Spot::UNDATED, second: 0 }
    }

    /// Counts a line of a shape.
    fn count_one(&mut self, shape: u32, spot: Spot) {
        let known = &mut self.census.shapes[shape as usize];
        known.count += 1;
        known.last = spot;
        if spot.hour != Spot::UNDATED {
            match self.census.runs.get_mut(known.run as usize) {
                Some(run) if run.shape == shape && run.hour == spot.hour => run.count += 1,
                _ => {
                    known.run = u32::try_from(self.census.runs.len()).unwrap_or(u32::MAX);
                    self.census.runs.push(Run { shape, hour: spot.hour, count: 1 });
                }
            }
        }
    }

    /// The hour of a line: the last one, or a new one where another begins or the clock goes back.
    fn hour(&mut self, when: When, spot: Spot) -> u32 {
        let index = self.census.hours.len().wrapping_sub(1) as u32;
        if let Some(last) = self.census.hours.last_mut()
            && last.stamp == when.hour
            && when.second + STEP_SECONDS >= last.last
        {
            let pause = u64::from(when.second.saturating_sub(last.last));
            self.census.pauses[pause_class(pause)] += 1;
            (last.last, last.to) = (when.second, Spot { hour: index, ..spot });
            return index;
        }
        let index = u32::try_from(self.census.hours.len()).unwrap_or(u32::MAX - 1);
        let spot = Spot { hour: index, ..spot };
        let (first, stamp) = (when.second, when.hour);
        self.census.hours.push(Hour { stamp, first, last: first, from: spot, to: spot });
        index
    }

    fn program(&mut self, name: &[u8]) -> u32 {
        let name = &name[..name.len().min(PROGRAM_BYTES_MAX)];
        if let Some(last) = self.census.programs.get(self.last_program as usize)
            && last.as_bytes() == name
        {
            return self.last_program;
        }
        let place = match self.programs.get(name) {
            Some(place) => *place,
            None => {
                let place = u32::try_from(self.programs.len()).unwrap_or(u32::MAX);
                self.programs.insert(name.into(), place);
                self.census.programs.push(String::from_utf8_lossy(name).into());
                place
            }
        };
        self.last_program = place;
        place
    }

    fn shape(
        &mut self,
        key: u64,
        program: u32,
        tokens: &Tokens,
        head: &Head<'_>,
        line: &[u8],
        spot: Spot,
    ) -> u32 {
        self.text.clear();
        tokens.render(&head.message, &mut self.text);
        let outcome = match head.form {
            Form::Request { refused: true, .. } => Outcome::Failure,
            Form::Request { .. } | Form::Audit { .. } | Form::Json => Outcome::Open,
            _ => outcome(&self.text),
        };
        let place = u32::try_from(self.census.shapes.len()).unwrap_or(u32::MAX);
        self.census.shapes.push(Shape {
            program,
            tokens: tokens.items.iter().map(|token| token.hash).collect(),
            text: cut(&self.text, TEXT_BYTES_MAX),
            sample: cut(line, SAMPLE_BYTES_MAX),
            outcome,
            names_ip: tokens.ip.is_some(),
            count: 0,
            first: spot,
            last: spot,
            run: u32::MAX,
        });
        self.shapes.insert(key, place);
        place
    }

    /// Keeps who did what, where the line says it.
    fn deed(&mut self, shape: u32, tokens: &Tokens, head: &Head<'_>, spot: Spot) {
        let part = |place: Option<(u32, u32)>| {
            place.and_then(|(from, to)| head.message.get(from as usize..to as usize))
        };
        let (ip, user) = match head.form {
            Form::Request { client, user, uri, .. } => {
                self.parameters(uri, spot);
                (Some(client), (!user.is_empty()).then_some(user))
            }
            Form::Audit { serial } => {
                self.serial(serial, spot);
                return;
            }
            _ if TOLD_BY_RULES.contains(&head.program) => return,
            _ => (part(tokens.ip), part(tokens.user)),
        };
        self.did(shape, ip, user, spot);
    }

    fn did(&mut self, shape: u32, ip: Option<&[u8]>, user: Option<&[u8]>, spot: Spot) {
        let outcome = self.census.shapes[shape as usize].outcome;
        let ip = ip.and_then(|ip| std::str::from_utf8(ip).ok()?.parse().ok());
        if ip.is_none() && (user.is_none() || outcome == Outcome::Open) {
            return;
        }
        let user = user.map(|user| self.user(user));
        self.census.deeds.push(Deed { shape, spot, ip, user, outcome });
    }

    fn serial(&mut self, serial: u64, spot: Spot) {
        if self.census.serials.last().is_none_or(|(last, _)| *last != serial) {
            self.census.serials.push((serial, spot));
        }
    }

    fn user(&mut self, name: &[u8]) -> u32 {
        let name = &name[..name.len().min(USER_BYTES_MAX)];
        if let Some(place) = self.users.get(name) {
            return *place;
        }
        let place = u32::try_from(self.users.len()).unwrap_or(u32::MAX);
        self.users.insert(name.into(), place);
        self.census.users.push(String::from_utf8_lossy(name).into());
        place
    }

    fn parameters(&mut self, uri: &[u8], spot: Spot) {
        uris::each_parameter(uri, |endpoint, name, classes| {
            let key = mix(hash(endpoint), hash(name));
            let known = self.parameters.get(&key).copied();
            let place = known.unwrap_or_else(|| {
                let place = u32::try_from(self.census.parameters.len()).unwrap_or(u32::MAX);
                self.parameters.insert(key, place);
                self.census.parameters.push(Parameter::new(endpoint, name, spot));
                place
            });
            self.census.parameters[place as usize].add(classes, spot);
        });
    }
}

/// What tells shapes of a part apart.
fn shape_key(sum: u64, program: u32, tokens: usize) -> u64 {
    mix(sum, u64::from(program) << 8 | tokens as u64)
}

fn cut(bytes: &[u8], most: usize) -> Box<str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into()
}

/// What the words of a message say about how it ended.
fn outcome(text: &[u8]) -> Outcome {
    const REFUSED: [&[u8]; 11] = [
        b"fail",
        b"invalid",
        b"denied",
        b"refused",
        b"not allowed",
        b"incorrect",
        b"unknown user",
        b"rejected",
        b"bad password",
        b"auth error",
        b"mismatch",
    ];
    const LET_IN: [&[u8]; 8] = [
        b"accepted",
        b"session opened",
        b"logged in",
        b"login:",
        b"ok login",
        b"authenticated",
        b"succeeded",
        b"access granted",
    ];
    let text = text.to_ascii_lowercase();
    let says =
        |words: &[&[u8]]| words.iter().any(|word| memchr::memmem::find(&text, word).is_some());
    match (says(&REFUSED), says(&LET_IN)) {
        (true, _) => Outcome::Failure,
        (_, true) => Outcome::Success,
        _ => Outcome::Open,
    }
}

/// Hashes what is a hash already, so that nobody can choose lines that collide in a table.
#[derive(Clone)]
struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher(self.0)
    }
}

struct SeededHasher(u64);

impl Hasher for SeededHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, hash(bytes));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = mix(self.0, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines with digits of all sorts in all sorts of places.
    const LINES: [&str; 40] = [
        "Jun  1 00:00:00 web1 sshd[1508]: Failed password for root from 192.0.2.77 port 41000 ssh2",
        "Jun  1 00:00:01 web1 sshd[8]: Failed password for invalid user bob7 x from 2001:db8::17 port 4 ssh2",
        "Jun  1 00:00:01 web1 sshd[8]: Received disconnect from 10.2.32.226 port 46820:11: disconnected by user",
        "Jun  1 00:00:01 web1 sshd[8]: Accepted publickey for bob from 10.0.0.1 port 2 ssh2: ED25519 SHA256:1L9egj7dy9Vpupp2r8OdUB",
        "Jun  1 00:00:01 web1 sshd[8]: key SHA256:x1 or MD5:12:ab or SHA1:9 or xSHA256:1",
        "Jun  1 00:00:01 web1 CRON[7055]: (root7) CMD (/usr/local/bin/backup9.sh --keep 7 >/dev/null 2>&1)",
        "Jun  1 00:00:01 web1 sudo:   erin5 : TTY=pts/8 ; PWD=/home/h1 ; USER=root ; COMMAND=/bin/cat /var/log/1",
        "Jun  1 00:00:01 web1 kernel: x[8097219.979334] [UFW BLOCK] IN=eth0 MAC=02:42:ac:11:00:02:02 SRC=1.2.3.4 DPT=5900",
        "Jun  1 00:00:01 kernel: x [8097219.979334] eth0: 100 Mbps",
        "Jun  1 00:00:01 web1 systemd-logind[612]: New session 75334 of user carol12.",
        "Jun  1 00:00:01 web1 systemd[1]: session-75334.scope: Consumed 1.5s, 15ms 12min 4KiB CPU",
        "Jun  1 00:00:01 web1 systemd[1]: Started user@1000.service, nginx7.service:8 x",
        "Jun  1 00:00:01 web1 prog8[1]: at 10:00:05 or 2024-05-01 or 2024-05-01T10:00:00Z or 1:2:333",
        "Jun  1 00:00:01 web1 prog[1]: 0x1f 1xff deadbeef12 12345678 abcdef1 00ff11aa",
        "Jun  1 00:00:01 web1 prog[1]: 550e8400-e29b-41d4-a716-446655440000 02:42:ac:11:00:02",
        "Jun  1 00:00:01 web1 prog[1]: open /var/log/x1.log, /1/2 /a-1-2_T3456789012 /7 dir1/dir2/f3",
        "Jun  1 00:00:01 web1 prog[1]: mail b1@example2.org at mx3.example.org. see http://h4/5?b=6",
        "Jun  1 00:00:01 web1 prog[1]: a1='b 2' \"c 3\"4 user5=x6 uid7=8 rhost=9.9 addr=h1.2 k8=192.0.2.1",
        "Jun  1 00:00:01 web1 prog[1]: 192.0.2.7:80 192.0.2.0/24 (192.0.2.9) 1.2.3 1.2.3.4.5 1,024 50% -3 +4 5-6 1::2",
        "Jun  1 00:00:01 web1 prog[1]: abcdefghijklmnopqrstuvwxyz12345678901234567890abcd ABCDEFGHIJabcdefghij0",
        "Jun  1 00:00:01 web1 dovecot: imap-login: Login: user=<bob7>, rip=192.0.2.1, lip=10.0.0.5, session=<a1b2>",
        "Jun  1 00:00:01 web1 dovecot: auth failed for user bob3 from 192.0.2.1 after 3 tries",
        "Jun  1 00:00:01 web1 vpn2: user u9(uid=1007) logged in from host8.example.org (10.0.0.1)",
        "Jun  1 00:00:01 web1 vpn10: Accepted x for bob1 from 10.0.0.1: 7",
        "Jun  1 00:00:01 web1 prog[1]: [12.5] told [123456789012345678901.5] 7",
        "Jun  1 00:00:01 web1 prog[1]: message repeated 3 times: [ x 7 ]",
        "Jun  1 00:00:01 web1 7: 8",
        "Jun  1 00:00:01 web1 12345",
        "Jun  1 00:00:01 5",
        "Jun  1 00:00:01 sshd[7]: no host 7",
        "Jun  1 00:00:01 fe80::1 kernel: y 12",
        "Jun  1 00:00:01 12 [Note] x 9",
        "Jun  1 00:00:01 UTC1 [7] LOG: x 9",
        "Jun  1 00:00:01 [pid 7] [bob1] FAIL LOGIN: x",
        "2024-05-01T10:00:00.123456+02:00 web1 sshd-session[7]: Connection closed by 10.0.0.1 port 5",
        "2024-05-01 10:00:00 status installed x1:amd64 1:3.0.9-1",
        "2024-05-01 10:00:01 web1 y1[2]: x 7 of 8",
        "Jun  1 00:00:01 web1 /usr/lib9/x8[7]: x(9) 12",
        "Jun  1 00:00:01 web1 x(pam_unix2)[7]: y 12",
        "no stamp 12 at all 7",
    ];

    /// The line with other digits.
    fn varied(line: &str, seed: &[u8]) -> String {
        let (stamp, rest) = line.split_at(line.len().min(16));
        let (mut out, mut seeds) = (stamp.to_string(), seed.iter().cycle());
        let mut digits = rest.chars().peekable();
        while let Some(letter) = digits.next() {
            if !letter.is_ascii_digit() {
                out.push(letter);
                continue;
            }
            let mut run = String::from(letter);
            while let Some(more) = digits.next_if(char::is_ascii_digit) {
                run.push(more);
            }
            match seeds.next().copied().unwrap_or(0) {
                0..120 => out.push_str(&run),
                seed @ 120..160 => run.bytes().for_each(|digit| {
                    out.push(char::from(b'0' + (digit + seed) % 10));
                }),
                seed @ 160..220 => out.extend(std::iter::repeat_n('7', usize::from(seed % 5) + 1)),
                220..235 => out.push('0'),
                seed => out.extend(std::iter::repeat_n('1', usize::from(seed) - 225)),
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_recipes_tell_is_what_reading_tells(
            picks in proptest::collection::vec((0..LINES.len(), proptest::collection::vec(any::<u8>(), 1..12)), 200..400),
            parts in 1_usize..5,
        ) {
            let lines: Vec<String> =
                picks.iter().map(|(line, seed)| varied(LINES[*line], seed)).collect();
            let (mut warm, mut known) = (Counter::default(), 0);
            // once to learn, then in parts
            for _ in 0..3 {
                lines.iter().for_each(|line| warm.line(line.as_bytes(), 7));
                warm.finish();
            }
            for line in &lines {
                let line = line.as_bytes();
                let stamp = head::stamp(line, &mut Memo::default());
                let tagged = stamp.and_then(|(when, used)| head::tagged(line, when, used));
                let Some(tagged) = tagged else { continue };
                let Found::Recipe(at) = warm.recipes.find(tagged) else { continue };
                let (head, mut tokens) = (head::read(line, stamp), Tokens::default());
                tokens.read(&head.message);
                let named = [tokens.ip, tokens.user].map(|place| {
                    place.map(|(from, to)| &head.message[from as usize..to as usize])
                });
                prop_assert_eq!(warm.recipes.named(at, tagged), named);
                let program = warm.recipes.program(at).0.to_vec();
                let recipe = warm.recipes.at(at);
                let told = (recipe.sum, usize::from(recipe.tokens), &*program);
                let line = String::from_utf8_lossy(line);
                prop_assert_eq!(told, (tokens.sum, tokens.len(), head.program), "{}", line);
                known += 1;
            }
            prop_assert!(known > 0);
            for part in lines.chunks(lines.len().div_ceil(parts)) {
                let mut cold = Counter::default();
                for line in part {
                    cold.recipes = Recipes::default();
                    cold.line(line.as_bytes(), 7);
                    warm.line(line.as_bytes(), 7);
                }
                let (one, other) = (format!("{:#?}", warm.finish()), format!("{:#?}", cold.finish()));
                let differing = one.lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
                prop_assert!(one == other, "{differing:?} in {part:#?}");
            }
        }
    }
}
