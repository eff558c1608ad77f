//! Ranges of addresses in rules, and which share of the packets from somewhere they hold.

use std::net::IpAddr;

use crate::ports::addresses::Reach;

use super::Share;

/// A range of addresses of one family, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    six: bool,
    low: u128,
    high: u128,
}

/// From this many addresses on a list is a good part of the internet: 2^24 (an IPv4 /8).
const MANY_V4: u128 = 1 << 24;
/// The same for IPv6: 2^108 (a /20, what a large provider has).
const MANY_V6: u128 = 1 << 108;

/// Private ranges whose packets may come from a neighbour (see [`Reach::Private`]).
const PRIVATE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
];

/// Sources that no packet from elsewhere has (RFC 1122, RFC 4291).
const NOWHERE: [&str; 3] = ["127.0.0.0/8", "0.0.0.0/8", "::/127"];

impl Span {
    /// From the first to the last address; `None` for different families or a reversed range.
    pub fn between(first: IpAddr, last: IpAddr) -> Option<Self> {
        let six = first.is_ipv6();
        let (low, high) = (number(first), number(last));
        (six == last.is_ipv6() && low <= high).then_some(Self { six, low, high })
    }

    /// A network by its prefix length.
    pub fn network(address: IpAddr, length: u8) -> Option<Self> {
        let six = address.is_ipv6();
        let width: u8 = if six { 128 } else { 32 };
        let host_bits = width.checked_sub(length)?;
        let mask = if host_bits == 128 { u128::MAX } else { (1_u128 << host_bits) - 1 };
        let low = number(address) & !mask;
        Some(Self { six, low, high: low | mask })
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv6() == self.six && (self.low..=self.high).contains(&number(address))
    }

    /// How many addresses it holds; the whole of IPv6 counts one less than it has.
    pub fn count(&self) -> u128 {
        (self.high - self.low).saturating_add(1)
    }

    /// Its addresses in order.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        (self.low..=self.high).map(move |number| match self.six {
            true => IpAddr::V6(number.into()),
            false => IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()),
        })
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.six == other.six && self.low <= other.high && other.low <= self.high
    }

    fn inside(&self, other: &Self) -> bool {
        self.six == other.six && other.low <= self.low && self.high <= other.high
    }
}

impl std::str::FromStr for Span {
    type Err = ();

    /// Reads `192.0.2.1`, `192.0.2.0/24`, `192.0.2.0/255.255.255.0` and `192.0.2.1-192.0.2.9`.
    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (first.trim().parse(), last.trim().parse());
            return Self::between(first.map_err(|_| ())?, last.map_err(|_| ())?).ok_or(());
        }
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let full = if address.is_ipv6() { 128 } else { 32 };
        let length = match length {
            None => full,
            Some(length) => length.parse().or_else(|_| mask_length(length))?,
        };
        Self::network(address, length).ok_or(())
    }
}

/// The prefix length of a netmask; an error for one with holes.
fn mask_length(text: &str) -> Result<u8, ()> {
    let mask: IpAddr = text.parse().map_err(|_| ())?;
    let (bits, width) = match mask {
        IpAddr::V4(four) => (u128::from(u32::from(four)) << 96, 32),
        IpAddr::V6(six) => (u128::from(six), 128),
    };
    let length = bits.leading_ones();
    let holes = length < 128 && bits << length != 0;
    if holes || length > width { Err(()) } else { u8::try_from(length).map_err(|_| ()) }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u128::from(u32::from(four)),
        IpAddr::V6(six) => u128::from(six),
    }
}

/// Which share of the packets that come from there have a source in one of the spans.
pub fn share(spans: &[Span], from: Reach, six: bool) -> Share {
    let parsed = |texts: &[&str]| -> Vec<Span> {
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    };
    let (private, nowhere) = (parsed(&PRIVATE), parsed(&NOWHERE));
    // All of the IPv6 internet is in 2000::/3.
    let full = if six { 1 << 125 } else { u128::from(u32::MAX) };
    let of_family = spans
        .iter()
        .filter(|span| span.six == six && !nowhere.iter().any(|lost| span.inside(lost)));
    let mut total: u128 = 0;
    for span in of_family {
        let relevant = match from {
            Reach::Global => !private.iter().any(|private| span.inside(private)),
            Reach::Private => private.iter().any(|private| span.overlaps(private)),
            // No packet from elsewhere has a loopback source (RFC 1122).
            Reach::Loopback => false,
        };
        if relevant {
            total = total.saturating_add((span.high - span.low).saturating_add(1));
        }
    }
    let many = match (from, six) {
        (Reach::Global, false) => MANY_V4,
        (Reach::Global, true) => MANY_V6,
        // A private network is never larger than this, whatever its family.
        _ => 1 << 24,
    };
    match total {
        0 => Share::None,
        total if total >= full => Share::All,
        total if total >= many => Share::Many,
        _ => Share::Few,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(texts: &[&str]) -> Vec<Span> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn spans_are_read_in_every_notation_and_rubbish_is_refused() {
        let net: Span = "192.0.2.0/24".parse().unwrap();
        for same in ["192.0.2.77/24", "192.0.2.0/255.255.255.0", "192.0.2.0-192.0.2.255"] {
            assert_eq!(same.parse::<Span>(), Ok(net), "{same}");
        }
        assert!(net.contains("192.0.2.255".parse().unwrap()));
        assert!(!net.contains("192.0.3.0".parse().unwrap()));
        assert!("::/0".parse::<Span>().unwrap().contains("::1".parse().unwrap()));
        for bad in [
            "",
            "x",
            "1.2.3.4/33",
            "::/129",
            "1.2.3.4/255.0.255.0",
            "9.9.9.9-1.1.1.1",
            "1.1.1.1-::1",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_differ_by_where_a_packet_comes_from() {
        for (texts, six, global, private) in [
            (vec!["0.0.0.0/0"], false, Share::All, Share::All),
            (vec!["0.0.0.0/1", "128.0.0.0/1"], false, Share::All, Share::All),
            (vec!["::/0"], true, Share::All, Share::All),
            (vec!["::/0"], false, Share::None, Share::None),
            (vec!["10.0.0.0/8"], false, Share::None, Share::Many),
            (vec!["192.168.1.0/24"], false, Share::None, Share::Few),
            (vec!["198.51.100.7"], false, Share::Few, Share::None),
            (vec!["20.0.0.0/8"], false, Share::Many, Share::None),
            (vec!["2000::/3"], true, Share::All, Share::None),
            (vec!["127.0.0.0/8"], false, Share::None, Share::None),
            (vec!["::1"], true, Share::None, Share::None),
            (vec!["fe80::/10"], true, Share::None, Share::Many),
        ] {
            let list = spans(&texts);
            assert_eq!(share(&list, Reach::Global, six), global, "{texts:?} from the internet");
            assert_eq!(share(&list, Reach::Private, six), private, "{texts:?} from next door");
        }
    }
}
