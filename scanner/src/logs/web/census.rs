//! How many requests each client made: all of them, not only those that a rule named.
//!
//! A story about a scanner would else count only the requests that looked bad one by one. The count
//! needs no times and no order: parts of a log are counted apart and merged, in any order, with the same
//! result as long as nothing was dropped. Addresses are kept as numbers; at most [`CLIENTS_MAX`] are held.
//! When there are more, those with the fewest requests are dropped and counted, so that a count that is
//! given may be too low (by at most [`Census::missed_at_most`]), never too high.

use std::collections::HashMap;
use std::net::IpAddr;

/// Most clients that are held at once (24 bytes each and the table's slack).
pub const CLIENTS_MAX: usize = 1 << 18;

/// Requests by client.
#[derive(Clone, Debug, Default)]
pub struct Census {
    counts: HashMap<u128, u64>,
    /// The client counted last and its requests that are not in the table yet: they come in runs.
    last: Option<(u128, u64)>,
    /// Clients dropped for want of room.
    pub evicted: u64,
    missed: u64,
}

impl Census {
    /// Counts a request of a client, by its address as written. A name is not counted: it may be anybody's.
    pub fn take(&mut self, client: &[u8], weight: u64) {
        if let Some(key) = key(client) {
            self.take_key(key, weight);
        }
    }

    /// Counts a line of an access log without reading it: whoever stands at its front.
    pub fn take_line(&mut self, line: &[u8], weight: u64) {
        if let Some(client) = client_of(line) {
            self.take(client, weight);
        }
    }

    /// Takes what was counted elsewhere.
    pub fn merge(&mut self, mut other: Self) {
        other.settle();
        self.settle();
        self.evicted += other.evicted;
        self.missed += other.missed;
        // in order, so that what is dropped does not depend on the table's
        let mut counts: Vec<_> = other.counts.into_iter().collect();
        counts.sort_unstable();
        for (key, count) in counts {
            self.add(key, count);
        }
    }

    /// Requests of a client; 0 for one that is not known (any more).
    pub fn count(&self, client: &str) -> u64 {
        let Some(key) = key(client.as_bytes()) else { return 0 };
        let run = self.last.filter(|(last, _)| *last == key).map_or(0, |(_, run)| run);
        self.counts.get(&key).copied().unwrap_or(0) + run
    }

    /// By how much a count may be too low.
    pub fn missed_at_most(&self) -> u64 {
        self.missed
    }

    /// Clients that are held.
    pub fn clients(&self) -> usize {
        let run = self.last.is_some_and(|(key, _)| !self.counts.contains_key(&key));
        self.counts.len() + usize::from(run)
    }

    fn take_key(&mut self, key: u128, weight: u64) {
        match &mut self.last {
            Some((last, run)) if *last == key => *run = run.saturating_add(weight),
            _ => {
                self.settle();
                self.last = Some((key, weight));
            }
        }
    }

    fn settle(&mut self) {
        if let Some((key, run)) = self.last.take() {
            self.add(key, run);
        }
    }

    fn add(&mut self, key: u128, count: u64) {
        if self.counts.len() >= CLIENTS_MAX && !self.counts.contains_key(&key) {
            self.make_room();
        }
        let known = self.counts.entry(key).or_default();
        *known = known.saturating_add(count);
    }

    /// Drops the half with the fewest requests; of equals, the higher addresses.
    fn make_room(&mut self) {
        let mut order: Vec<(u64, std::cmp::Reverse<u128>)> =
            self.counts.iter().map(|(key, count)| (*count, std::cmp::Reverse(*key))).collect();
        order.sort_unstable();
        order.truncate(CLIENTS_MAX / 2);
        self.missed += order.last().map_or(0, |(count, _)| *count);
        self.evicted += order.len() as u64;
        for (_, key) in order {
            self.counts.remove(&key.0);
        }
    }
}

/// The client of a line of an access log: its first word, or the second where a virtual host stands first.
pub fn client_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (first, second) = (words.next()?, words.next()?);
    [first, second].into_iter().find(|word| key(word).is_some())
}

/// An address as a number; IPv4 as it is mapped into IPv6.
fn key(client: &[u8]) -> Option<u128> {
    if let Some(address) = dotted(client) {
        return Some(0xffff_0000_0000 | u128::from(address));
    }
    let text = std::str::from_utf8(client).ok()?;
    match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => Some(address.to_ipv6_mapped().to_bits()),
        IpAddr::V6(address) => Some(address.to_bits()),
    }
}

/// `192.0.2.1`, quickly; anything else is left to the library.
fn dotted(text: &[u8]) -> Option<u32> {
    if !(7..=15).contains(&text.len()) {
        return None;
    }
    let (mut address, mut part, mut digits, mut parts) = (0_u32, 0_u32, 0, 1);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits < 3 && !(digits > 0 && part == 0) => {
                part = part * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && parts < 4 && part < 256 => {
                address = address << 8 | part;
                (part, digits) = (0, 0);
                parts += 1;
            }
            _ => return None,
        }
    }
    (parts == 4 && digits > 0 && part < 256).then_some(address << 8 | part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_the_same_however_the_log_is_cut() {
        let lines: Vec<String> = (0..500_u32).map(|n| format!("192.0.2.{}", n * n % 7)).collect();
        let mut whole = Census::default();
        lines.iter().for_each(|line| whole.take(line.as_bytes(), 1));
        for size in [1, 3, 100] {
            let mut merged = Census::default();
            for part in lines.chunks(size) {
                let mut census = Census::default();
                part.iter().for_each(|line| census.take(line.as_bytes(), 1));
                merged.merge(census);
            }
            for last in 0..8 {
                let client = format!("192.0.2.{last}");
                let plain = lines.iter().filter(|line| **line == client).count() as u64;
                assert_eq!((whole.count(&client), merged.count(&client)), (plain, plain));
            }
            assert_eq!(merged.clients(), whole.clients());
        }
    }

    #[test]
    fn an_address_is_one_client_however_written_and_a_name_is_none() {
        let mut census = Census::default();
        for client in ["2001:db8::1", "2001:DB8:0::1", "::ffff:192.0.2.1", "192.0.2.1"] {
            census.take(client.as_bytes(), 2);
        }
        for client in
            ["host.example", "", "-", "300.1.1.1", "1.2.3", "01.2.3.4", "1.2.3.4.5", "1..2.3"]
        {
            census.take(client.as_bytes(), 1);
            assert_eq!(census.count(client), 0, "{client}");
        }
        assert_eq!((census.count("2001:db8::1"), census.count("192.0.2.1")), (4, 4));
        assert_eq!(census.clients(), 2);
    }

    #[test]
    fn the_client_of_a_line_is_whom_its_grammar_names() {
        let tail = "- - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"";
        for front in ["192.0.2.1", "\"192.0.2.1", "2001:db8::1", "www.example.org:80 192.0.2.1"] {
            let line = format!("{front} {tail}");
            let record = parsers::log::access::parse(line.as_bytes()).unwrap();
            assert_eq!(client_of(line.as_bytes()), Some(record.client), "{line}");
        }
        for line in ["", "x", "host.example - -", "no address here"] {
            assert_eq!(client_of(line.as_bytes()), None);
        }
    }

    #[test]
    fn clients_are_bounded_and_the_busy_ones_stay() {
        let mut census = Census::default();
        census.take(b"192.0.2.1", 1_000);
        for number in 1..CLIENTS_MAX as u128 {
            census.take_key(number, 1);
        }
        assert_eq!((census.clients(), census.evicted), (CLIENTS_MAX, 0));
        census.take(b"192.0.2.2", 1);
        census.settle();
        assert_eq!(census.evicted, CLIENTS_MAX as u64 / 2);
        assert_eq!((census.count("192.0.2.1"), census.missed_at_most()), (1_000, 1));
        assert!(census.clients() <= CLIENTS_MAX);
    }
}
