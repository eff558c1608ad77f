//! Address prefixes, and sets of them that are asked by address: lists given by the operator.
//!
//! A prefix is kept with its host bits cleared; IPv4-mapped IPv6 addresses (RFC 4291 2.5.5.2) are the
//! IPv4 addresses that they hold. In a set no prefix lies within another, so that one binary search
//! answers. Bounded by whoever makes the set: [`Networks::MOST`].

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address prefix (RFC 4632, RFC 4291 2.3): `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The caller's text is no address prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a network: write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")]
pub struct NotANetwork;

impl Network {
    /// The prefix of this many bits that holds the address; `None` when an address has fewer bits.
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let (address, bits) = match address {
            IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
                (address.to_canonical(), bits.checked_sub(96)?)
            }
            _ => (address, bits),
        };
        Some(Self { address: masked(address, bits)?, bits })
    }

    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.bits) == Some(self.address)
            && address.to_canonical().is_ipv4() == self.address.is_ipv4()
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many first bits its addresses share: at most 32 for IPv4, 128 for IPv6.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether all of the other one's addresses lie in it.
    pub fn holds(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }

    /// Whether some address lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.holds(other) || other.holds(self)
    }
}

/// The address with all but its first bits cleared.
fn masked(address: IpAddr, bits: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(four) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            Some(Ipv4Addr::from(u32::from(four) & mask).into())
        }
        IpAddr::V6(six) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            Some(Ipv6Addr::from(u128::from(six) & mask).into())
        }
        _ => None,
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| NotANetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        Self::new(address, bits.unwrap_or(whole)).ok_or(NotANetwork)
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // A visitor of its own, so that an error stands at the text itself and not where its list begins.
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Network;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an address or a network")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Network, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_str(Text)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        match self.bits == whole {
            true => write!(out, "{}", self.address),
            false => write!(out, "{}/{}", self.address, self.bits),
        }
    }
}

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// A set of prefixes: sorted, and none within another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Vec<Network>", into = "Vec<Network>")]
#[schemars(with = "Vec<String>")]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Most prefixes that whoever reads a list should take.
    pub const MOST: usize = 100_000;

    /// The prefix that holds the address.
    pub fn find(&self, address: IpAddr) -> Option<&Network> {
        let address = address.to_canonical();
        let after = self.0.partition_point(|network| network.address <= address);
        self.0[..after].last().filter(|network| network.contains(address))
    }

    /// Whether some prefix holds the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.find(address).is_some()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The prefixes, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Network> {
        self.0.iter()
    }

    /// The set with another one's prefixes.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        [self.0, more.0].concat().into()
    }
}

impl From<Vec<Network>> for Networks {
    fn from(mut networks: Vec<Network>) -> Self {
        networks.sort_unstable();
        // A prefix sorts before all that lie within it.
        networks.dedup_by(|later, first| first.holds(later));
        Self(networks)
    }
}

impl From<Networks> for Vec<Network> {
    fn from(networks: Networks) -> Self {
        networks.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Network>>().into()
    }

    #[test]
    fn prefixes_are_read_and_printed() {
        for (text, printed) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), printed);
        }
        for wrong in
            ["", "a", "192.0.2.7/33", "::/129", "192.0.2.7/", "1.2.3/8", "::ffff:1.2.3.4/95"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_overlap_when_one_lies_in_the_other() {
        for (one, two, overlap) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/9", "10.128.0.0/9", false),
            ("0.0.0.0/0", "::/0", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("2001:db8::/32", "2001:db8:1::/48", true),
        ] {
            let (one, two): (Network, Network) = (one.parse().unwrap(), two.parse().unwrap());
            assert_eq!((one.overlaps(&two), two.overlaps(&one)), (overlap, overlap), "{one} {two}");
        }
    }

    #[test]
    fn a_set_finds_what_any_of_its_prefixes_holds() {
        let set =
            networks(&["10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]);
        assert_eq!(set.iter().len(), 3);
        for (address, held) in [
            ("10.255.0.1", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::a01:203", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), held, "{address}");
        }
        assert!(!Networks::default().contains("::1".parse().unwrap()));
    }

    proptest::proptest! {
        #[test]
        fn a_set_answers_as_its_prefixes_do(
            given in proptest::collection::vec((proptest::prelude::any::<u32>(), 0_u8..=32), 0..20),
            asked in proptest::prelude::any::<u32>(),
        ) {
            let list: Vec<Network> = given
                .into_iter()
                .map(|(address, bits)| Network::new(Ipv4Addr::from(address).into(), bits).unwrap())
                .collect();
            let asked = IpAddr::from(Ipv4Addr::from(asked));
            let one_by_one = list.iter().any(|network| network.contains(asked));
            proptest::prop_assert_eq!(Networks::from(list).contains(asked), one_by_one);
        }
    }
}
