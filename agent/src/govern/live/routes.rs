//! Next hops and directly connected networks, of all routing tables (RTM_GETROUTE, rtnetlink(7)).

use std::collections::BTreeSet;
use std::net::IpAddr;

use consensus::networks::Network;
use scanner::ports::netlink::{attributes, dump, u16_at};

use crate::govern::harm::Seen;

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTMSG_BYTES: usize = 12;
const RTA_DST: u16 = 1;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
/// `RTN_UNICAST`.
const UNICAST: u8 = 1;
/// `RTN_LOCAL`, `RTN_BROADCAST`, `RTN_ANYCAST`, `RTN_MULTICAST` and the refusing ones are no links.
const RTNEXTHOP_BYTES: usize = 8;

/// Where packets go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Next hops.
    pub gateways: Vec<IpAddr>,
    /// Networks without a next hop.
    pub links: Vec<Network>,
}

/// Asks the kernel for all routes.
pub fn look() -> Seen<Routes> {
    let answers = dump(None, RTM_GETROUTE, &[0; RTMSG_BYTES], RTM_NEWROUTE)
        .map_err(|error| error.to_string())?;
    let (mut gateways, mut links) = (BTreeSet::new(), BTreeSet::new());
    for answer in answers {
        let route = decode(&answer).ok_or("a route shorter than its fixed part")?;
        gateways.extend(route.gateways);
        links.extend(route.links);
    }
    Ok(Routes { gateways: gateways.into_iter().collect(), links: links.into_iter().collect() })
}

/// Decodes `struct rtmsg` and its attributes; `None` when it is cut short.
fn decode(message: &[u8]) -> Option<Routes> {
    let fixed = message.get(..RTMSG_BYTES)?;
    let (bits, kind) = (fixed[1], fixed[7]);
    let mut routes = Routes::default();
    let mut destination = None;
    for (kind, value) in attributes(&message[RTMSG_BYTES..]) {
        match kind {
            RTA_DST => destination = address(value),
            RTA_GATEWAY => routes.gateways.extend(address(value)),
            RTA_VIA => routes.gateways.extend(via(value)),
            RTA_MULTIPATH => hops(value, &mut routes.gateways),
            _ => {}
        }
    }
    // A default route without a next hop (a tunnel) makes nobody a neighbour.
    let link = destination.filter(|_| kind == UNICAST && routes.gateways.is_empty() && bits > 0);
    routes.links.extend(link.and_then(|address| Network::new(address, bits)));
    Some(routes)
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    }
}

/// `struct rtvia`: a next hop of another family.
fn via(value: &[u8]) -> Option<IpAddr> {
    address(value.get(2..)?)
}

/// `struct rtnexthop`s, each with attributes of its own.
fn hops(mut value: &[u8], gateways: &mut Vec<IpAddr>) {
    while let Some(length) = u16_at(value, 0).map(usize::from) {
        let Some(inside) = value.get(RTNEXTHOP_BYTES..length) else { return };
        for (kind, value) in attributes(inside) {
            match kind {
                RTA_GATEWAY => gateways.extend(address(value)),
                RTA_VIA => gateways.extend(via(value)),
                _ => {}
            }
        }
        value = value.get((length + 3) & !3..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn route(bits: u8, kind: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![2, bits, 0, 0, 254, 0, 0, kind, 0, 0, 0, 0];
        attributes.iter().for_each(|one| bytes.extend_from_slice(one));
        bytes
    }

    fn texts(routes: &Routes) -> (Vec<String>, Vec<String>) {
        (
            routes.gateways.iter().map(ToString::to_string).collect(),
            routes.links.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn next_hops_and_links_are_told_apart() {
        let gateway = attribute(RTA_GATEWAY, &[192, 0, 2, 1]);
        let told = |bits, kind, attributes: &[Vec<u8>]| {
            texts(&decode(&route(bits, kind, attributes)).unwrap())
        };
        let none = Vec::<String>::new;
        assert_eq!(
            told(0, UNICAST, std::slice::from_ref(&gateway)),
            (vec!["192.0.2.1".into()], none())
        );
        let link = attribute(RTA_DST, &[192, 0, 2, 0]);
        assert_eq!(
            told(24, UNICAST, std::slice::from_ref(&link)),
            (none(), vec!["192.0.2.0/24".into()])
        );
        assert_eq!(
            told(24, UNICAST, &[link.clone(), gateway]),
            (vec!["192.0.2.1".into()], none()),
            "behind a gateway is no neighbour"
        );
        assert_eq!(told(24, 2, &[link]), (none(), none()), "a local address is no link");
        assert_eq!(told(0, UNICAST, &[]), (none(), none()));
        let six = attribute(RTA_VIA, &[&[0, 10][..], &[0; 15], &[1]].concat());
        assert_eq!(told(0, UNICAST, &[six]), (vec!["::1".into()], none()));
    }

    #[test]
    fn each_hop_of_several_is_a_gateway_and_hostile_lengths_end() {
        let hop = |last: u8| {
            let inside = attribute(RTA_GATEWAY, &[192, 0, 2, last]);
            let length = u16::try_from(RTNEXTHOP_BYTES + inside.len()).unwrap();
            [&length.to_ne_bytes()[..], &[0; 6], &inside].concat()
        };
        let both = [hop(1), hop(2)].concat();
        let whole = route(0, UNICAST, &[attribute(RTA_MULTIPATH, &both)]);
        assert_eq!(texts(&decode(&whole).unwrap()).0, ["192.0.2.1", "192.0.2.2"]);
        for end in 0..whole.len() {
            let _ = decode(&whole[..end]);
        }
        for length in [0_u16, 1, 7, u16::MAX] {
            let mut gateways = Vec::new();
            hops(&[&length.to_ne_bytes()[..], &[0; 20]].concat(), &mut gateways);
            assert!(gateways.is_empty());
        }
        assert_eq!(decode(&[0; RTMSG_BYTES - 1]), None);
    }
}
