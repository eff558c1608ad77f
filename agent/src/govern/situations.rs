//! Ten thousand generated hosts and attackers: nothing is done against what is ours.
//!
//! What is forbidden is decided here by an oracle of its own, which counts addresses as plain numbers
//! and knows nothing of the code it judges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use consensus::networks::{Network, Networks};

use super::decide::decide;
use super::harm::{Aim, LiveSystem, Session, Spent, harm};
use super::policy::Policy;
use super::proof::{proof, tests::sure};
use super::risk::{Certainty, Factors, Reach, Risk, Target, Undo};
use super::{Action, Outcome, Proposal};
use crate::settings::ResponseSettings;

const SITUATIONS: usize = 10_000;
const NOW: i64 = 1_000_000;

/// SplitMix64 (Steele, Lea and Flood 2014): the same situations on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.roll() % most
    }

    /// An address; a few prefixes, so that they meet. Some IPv4 ones come as IPv6.
    fn address(&mut self) -> IpAddr {
        let host = self.below(6) as u32;
        let nets =
            [0xC633_6400, 0xC612_0000, 0x0808_0800, 0x0A01_0200, 0xC0A8_0100, 0x2D2D_0000_u32];
        let net = nets[self.below(6) as usize] | (self.below(3) as u32) << 8;
        match self.below(10) {
            0..=5 => Ipv4Addr::from(net | host).into(),
            6 => IpAddr::V6(Ipv4Addr::from(net | host).to_ipv6_mapped()),
            _ => {
                let net = 0x2001_0db8_0000_0000_u128 | u128::from(self.below(3)) << 16;
                Ipv6Addr::from((net | u128::from(self.below(3))) << 64 | u128::from(host)).into()
            }
        }
    }

    fn addresses(&mut self, most: u64) -> Vec<IpAddr> {
        (0..self.below(most + 1)).map(|_| self.address()).collect()
    }

    fn network(&mut self) -> Network {
        let address = self.address();
        let four = address.to_canonical().is_ipv4();
        let bits = match (self.below(3), four) {
            (0, true) => 16 + self.below(17),
            (0, false) => 32 + self.below(97),
            (_, true) => 32,
            (_, false) => 128,
        };
        Network::new(address.to_canonical(), bits as u8).unwrap()
    }
}

struct Situation {
    live: LiveSystem,
    allow: Vec<Network>,
    attacker: Network,
}

fn situation(dice: &mut Dice) -> Situation {
    let mut sessions: Vec<Session> = dice
        .addresses(4)
        .into_iter()
        .map(|from| Session { who: "ann".into(), from: Some(from) })
        .collect();
    sessions.push(Session { who: "root".into(), from: None });
    let allow = (0..dice.below(3)).map(|_| dice.network()).collect();
    let live = LiveSystem {
        taken: NOW,
        sessions: Ok(sessions),
        gateways: Ok(dice.addresses(2)),
        resolvers: Ok(dice.addresses(2)),
        addresses: Ok(dice.addresses(3)),
        links: Ok((0..dice.below(2)).map(|_| dice.network()).collect()),
        administrators: Ok(Default::default()),
    };
    // Often one of our own is made to look like the attacker, as it is or in a network around it.
    let ours: Vec<IpAddr> = [&live.gateways, &live.resolvers, &live.addresses]
        .into_iter()
        .flat_map(|all| all.clone().unwrap())
        .chain(live.sessions.iter().flatten().filter_map(|one| one.from))
        .collect();
    let attacker = match dice.below(3) {
        0 if !ours.is_empty() => {
            let address = ours[dice.below(ours.len() as u64) as usize].to_canonical();
            let whole = if address.is_ipv4() { 32 } else { 128 };
            let widest = if dice.below(2) == 0 { 1 } else { 129 };
            let cut = dice.below(widest).min(whole);
            Network::new(address, (whole - cut) as u8).unwrap()
        }
        _ => dice.network(),
    };
    Situation { live, allow, attacker }
}

/// First and last address of a prefix in the numbers of IPv6, IPv4 among them as RFC 4291 maps it.
fn range(address: IpAddr, bits: u8) -> (u128, u128) {
    let (number, bits) = match address {
        IpAddr::V4(four) => (0xffff_0000_0000 + u128::from(u32::from(four)), bits + 96),
        IpAddr::V6(six) if u128::from(six) >> 32 == 0xffff => (u128::from(six), bits.max(96)),
        IpAddr::V6(six) => (u128::from(six), bits),
    };
    let rest = if bits == 0 { u128::MAX } else { (1_u128 << (128 - bits)) - 1 };
    (number & !rest, number | rest)
}

/// Whether the attacker holds something of ours: by counting.
fn forbidden(situation: &Situation) -> bool {
    let (first, last) = range(situation.attacker.address(), situation.attacker.bits());
    let live = &situation.live;
    let single = [&live.gateways, &live.resolvers, &live.addresses]
        .into_iter()
        .flat_map(|all| all.clone().unwrap())
        .chain(live.sessions.iter().flatten().filter_map(|one| one.from));
    let hit = single.into_iter().any(|address| {
        let (own, _) = range(address, if address.is_ipv4() { 32 } else { 128 });
        (first..=last).contains(&own)
    });
    let allowed = situation.allow.iter().any(|allowed| {
        let (from, to) = range(allowed.address(), allowed.bits());
        from <= last && first <= to
    });
    hit || allowed
}

#[test]
fn nothing_of_ours_is_ever_acted_against_and_strangers_are() {
    let mut settings = ResponseSettings {
        enabled: true,
        dry_run: false,
        automatic_up_to: Risk::Critical,
        neighbours: true,
        ..ResponseSettings::default()
    };
    settings.block.enabled = true;
    (settings.block.widest_v4, settings.block.widest_v6) = (8, 16);
    let mut dice = Dice(8);
    let (mut acted, mut ours) = (0, 0);
    for number in 0..SITUATIONS {
        let situation = situation(&mut dice);
        let allow = Networks::from(situation.allow.clone());
        let operator = consensus::Operator { monitoring: allow, ..Default::default() };
        let policy = Policy::new(settings.clone(), &operator);
        let network = situation.attacker;
        let factors = Factors {
            reach: Reach::of(&network),
            undo: Undo::ByItself,
            target: Target::Stranger,
            certainty: Certainty::Firm,
        };
        let proposal = Proposal {
            case: "case".into(),
            title: String::new(),
            action: Action::Block { network },
            aim: Aim { network: Some(network), ..Aim::default() },
            testimony: sure(NOW),
            factors,
            hold_s: 3_600,
            confirm_within_s: None,
        };
        let proof = proof(&proposal.testimony, &policy.bar(&proposal.action, factors.risk()), NOW);
        let limits = policy.limits(&proposal.action, factors.target);
        let harm = harm(&proposal.aim, &situation.live, &limits, &Ok(Spent::default()), NOW);
        let decision = decide(&proposal, &proof, &harm, &policy, None, NOW);
        let forbidden = forbidden(&situation);
        ours += usize::from(forbidden);
        if decision.outcome == Outcome::Act {
            acted += 1;
            assert!(!forbidden, "situation {number}: {network} {:?}", situation.live);
        } else if forbidden {
            assert!(!decision.harm.is_empty(), "situation {number}: {decision:?}");
        }
    }
    // The situations are worth something: both sorts are among them, in their thousands.
    assert!(acted > SITUATIONS / 5, "{acted}");
    assert!(ours > SITUATIONS / 5, "{ours}");
}

#[test]
fn the_oracle_itself_knows_what_is_ours() {
    let mut one = situation(&mut Dice(1));
    one.live.gateways = Ok(vec!["::ffff:198.51.100.1".parse().unwrap()]);
    for (attacker, expected) in [("198.51.100.0/24", true), ("198.51.100.1", true)] {
        one.attacker = attacker.parse().unwrap();
        assert_eq!(forbidden(&one), expected, "{attacker}");
    }
    let nobody = Situation {
        live: LiveSystem {
            sessions: Ok(Vec::new()),
            resolvers: Ok(Vec::new()),
            addresses: Ok(Vec::new()),
            ..one.live
        },
        allow: Vec::new(),
        attacker: "198.51.101.0/24".parse().unwrap(),
    };
    assert!(!forbidden(&nobody));
}
