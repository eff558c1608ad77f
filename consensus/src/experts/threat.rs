//! Threat context: what sort of address an activity comes from.
//!
//! The class comes from the special-purpose registries (RFC 6890, with RFC 1918, 3927, 4193, 4291,
//! 5737, 6598 and 3849); what is not registered there is public. Lists of scanners and of Tor relays
//! are the operator's. An address in a log may be forged or belong to a proxy, so this voice is light;
//! who is on a list of scanners and merely scans is no news, who got in is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::experts::{ADDRESSES, OPERATOR, address, around, opinion, shifted, shown_by, was_done};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// What sort of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The host itself: 127.0.0.0/8, ::1.
    Loopback,
    /// A network of the operator's own or his provider's: RFC 1918, RFC 4193, link-local.
    Private,
    /// Shared among a provider's customers: 100.64.0.0/10 (RFC 6598).
    Shared,
    /// For documentation: RFC 5737, RFC 3849, RFC 9637.
    Documentation,
    /// Never a source: unspecified, multicast, broadcast, benchmarks, reserved.
    Reserved,
    /// Anybody's.
    Public,
}

impl Class {
    /// The class of an address; an IPv4-mapped IPv6 address is the IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(four) => of_four(four),
            IpAddr::V6(six) => of_six(six),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Loopback => "this host itself, or a proxy on it",
            Self::Private => "a private address: somebody inside",
            Self::Shared => "an address shared by a provider's customers (RFC 6598)",
            Self::Documentation => "an address for documentation (RFC 5737, RFC 3849): not routed",
            Self::Reserved => "an address that is never a source (RFC 6890): forged",
            Self::Public => "a public address: anybody's",
        }
    }

    /// Mass on the levels below and above, and confidence.
    fn weight(self, done: bool) -> (f64, f64, f64) {
        match (self, done) {
            // A typing error, or somebody who is in already.
            (Self::Loopback | Self::Private, _) => (0.2, 0.2, 0.25),
            (Self::Shared | Self::Public, false) => (0.0, 0.0, 0.25),
            (Self::Shared | Self::Public, true) => (0.0, 0.2, 0.25),
            (Self::Documentation, _) => (0.1, 0.1, 0.25),
            (Self::Reserved, _) => (0.0, 0.2, 0.25),
        }
    }
}

fn of_four(four: Ipv4Addr) -> Class {
    let [first, second, third, _] = four.octets();
    match (first, second, third) {
        (127, ..) => Class::Loopback,
        (100, 64..=127, _) => Class::Shared,
        (0 | 224..=255, ..) | (198, 18 | 19, _) | (192, 0, 0) => Class::Reserved,
        _ if four.is_private() || four.is_link_local() => Class::Private,
        _ if four.is_documentation() => Class::Documentation,
        _ => Class::Public,
    }
}

fn of_six(six: Ipv6Addr) -> Class {
    match six.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Class::Documentation,
        [0x0064, 0xff9b, ..] => Class::Public,
        [0xfc00..=0xfdff, ..] | [0xfe80..=0xfebf, ..] | [0xfec0..=0xfeff, ..] => Class::Private,
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Reserved,
    }
}

/// The expert.
pub struct Origin;

impl Expert for Origin {
    fn name(&self) -> &'static str {
        "threat"
    }

    fn needs(&self) -> Needs {
        Needs::ACTIVITY.raised().address()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        if evidence.kind != Kind::Activity || evidence.level == Severity::Info {
            return None;
        }
        let (address, level) = (address(evidence)?, evidence.level);
        let done = was_done(evidence);
        let operator = &context.operator;
        let listed = |rationale: String, distribution, confidence| {
            opinion(self.name(), distribution, confidence, rationale, &[OPERATOR])
        };
        if let Some(network) = operator.tor.find(address) {
            let rationale = format!("{address} is a Tor relay by the operator's list ({network})");
            let distribution =
                if done { around(shifted(level, 1), 0.2, 0.0) } else { around(level, 0.0, 0.3) };
            return listed(rationale, distribution, 0.8);
        }
        if let Some(network) = operator.scanners.find(address) {
            let rationale = format!("{address} is a scanner by the operator's list ({network})");
            let distribution =
                if done { around(shifted(level, 1), 0.2, 0.0) } else { around(level, 0.2, 0.0) };
            return listed(rationale, distribution, 0.8);
        }
        let class = Class::of(address);
        let (below, above, confidence) = class.weight(done);
        let mut sources = shown_by(evidence);
        sources.push(ADDRESSES.to_string());
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let rationale = format!("{address} is {}", class.words());
        opinion(self.name(), around(level, below, above), confidence, rationale, &sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;
    use crate::experts::tests::{activity, mean, with_fact};

    #[test]
    fn addresses_have_their_registered_class() {
        use Class::{Documentation, Loopback, Private, Public, Reserved, Shared};
        for (address, class) in [
            ("127.0.0.1", Loopback),
            ("::1", Loopback),
            ("::ffff:127.9.9.9", Loopback),
            ("10.255.0.1", Private),
            ("172.16.0.1", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("169.254.1.1", Private),
            ("fd12::1", Private),
            ("fe80::1", Private),
            ("fec0::1", Private),
            ("100.63.255.255", Public),
            ("100.64.0.0", Shared),
            ("100.127.255.255", Shared),
            ("100.128.0.0", Public),
            ("192.0.2.1", Documentation),
            ("198.51.100.1", Documentation),
            ("203.0.113.1", Documentation),
            ("2001:db8::1", Documentation),
            ("3fff:fff::1", Documentation),
            ("3fff:1000::1", Public),
            ("0.0.0.0", Reserved),
            ("::", Reserved),
            ("198.18.0.1", Reserved),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Reserved),
            ("224.0.0.1", Reserved),
            ("ff02::1", Reserved),
            ("8.8.8.8", Public),
            ("2606:4700::1", Public),
        ] {
            assert_eq!(Class::of(address.parse().unwrap()), class, "{address}");
        }
    }

    fn from(address: &str, done: bool) -> Evidence {
        let subject = Subject { ip: Some(address.into()), ..Subject::default() };
        let evidence = Evidence { subject, ..activity(Severity::Medium) };
        if done { with_fact(evidence, "success", "true") } else { evidence }
    }

    #[test]
    fn whoever_got_in_from_a_list_is_graver_than_who_knocks() {
        let mut context = Context::default();
        context.operator.tor = vec!["198.51.100.0/24".parse().unwrap()].into();
        context.operator.scanners = vec!["203.0.113.7".parse().unwrap()].into();
        let tor = Origin.judge(&from("198.51.100.9", false), &context).unwrap();
        assert_eq!(
            tor.rationale,
            "198.51.100.9 is a Tor relay by the operator's list (198.51.100.0/24)"
        );
        let scan = Origin.judge(&from("203.0.113.7", false), &context).unwrap();
        assert!(mean(&scan) < 2.0 && mean(&tor) > 2.0);
        let entered = Origin.judge(&from("203.0.113.7", true), &context).unwrap();
        assert_eq!(entered.level(), Severity::High);
    }

    #[test]
    fn a_class_always_says_something_and_never_much() {
        for address in ["8.8.8.8", "10.0.0.1", "::1", "100.64.0.1", "192.0.2.1", "0.0.0.0"] {
            let said = Origin.judge(&from(address, false), &Context::default()).unwrap();
            assert_eq!(said.level(), Severity::Medium);
            assert!(said.rationale.starts_with(address) && said.confidence < 0.5);
        }
        assert!(Origin.judge(&from("not an address", false), &Context::default()).is_none());
    }
}
