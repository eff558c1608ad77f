//! What can be done, and taken back: [`block`] and [`command`], and nothing else.
//!
//! Whoever decides sees only [`Effects`]; the host behind it is [`Host`], and tests have their own.

use std::path::Path;

use consensus::networks::Network;

use super::Action;

pub mod block;
pub mod blocker;
pub mod command;
mod direct;
mod run;

/// Blocks in effect at one time.
pub const BLOCKS_MAX: usize = 4_096;

/// A network that is to be blocked, and for how long from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blocked {
    /// Whom.
    pub network: Network,
    /// Seconds, at least 1.
    pub seconds: u64,
}

/// Whether this process has the right to change the firewall, or somebody whom it may ask has.
pub fn may_block() -> bool {
    let own = rustix::thread::capabilities(None);
    let right = rustix::thread::CapabilitySet::NET_ADMIN;
    own.is_ok_and(|sets| sets.effective.contains(right)) || Path::new(blocker::SOCKET).exists()
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Nothing of it happened.
    Nothing(String),
    /// Some of it may have happened.
    Halfway(String),
}

impl Failed {
    /// The reason, one line that is safe to print.
    pub fn why(&self) -> &str {
        match self {
            Self::Nothing(why) | Self::Halfway(why) => why,
        }
    }
}

/// A command's two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is done.
    Do,
    /// It is taken back.
    Undo,
}

/// What can be done to the host.
pub trait Effects {
    /// Makes exactly these networks the blocked ones, at once or not at all.
    fn block_only(&mut self, blocks: &[Blocked]) -> Result<(), Failed>;

    /// Whether exactly these are blocked, as far as can be seen.
    fn blocks_stand(&mut self, blocks: &[Blocked]) -> Result<bool, String>;

    /// Runs a command of an action, or its undo; what it said, one line.
    fn command(&mut self, action: &Action, case: &str, way: Way) -> Result<String, Failed>;
}

/// The host. Blocks are made by `wardmote-block.service` where its socket is, else with our own rights.
pub struct Host;

impl Effects for Host {
    fn block_only(&mut self, blocks: &[Blocked]) -> Result<(), Failed> {
        blocker::client::only(Path::new(blocker::SOCKET), blocks)
            .unwrap_or_else(|| direct::block_only(blocks))
    }

    fn blocks_stand(&mut self, blocks: &[Blocked]) -> Result<bool, String> {
        blocker::client::stand(Path::new(blocker::SOCKET), blocks)
            .unwrap_or_else(|| direct::blocks_stand(blocks))
    }

    fn command(&mut self, action: &Action, case: &str, way: Way) -> Result<String, Failed> {
        command::start(action, case, way)
    }
}

#[cfg(test)]
#[path = "../../../../scanner/tests/namespace/mod.rs"]
pub mod namespace;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(network: &str, seconds: u64) -> Blocked {
        Blocked { network: network.parse().unwrap(), seconds }
    }

    /// In a network namespace of its own: the host's rules are never touched.
    #[test]
    fn nft_takes_every_sort_of_network_and_tells_what_stands() {
        if !namespace::inside(
            "govern::actions::tests::nft_takes_every_sort_of_network_and_tells_what_stands",
        ) {
            return;
        }
        let mut host = Host;
        assert_eq!(host.blocks_stand(&[]), Ok(true));
        let blocks = [
            block("192.0.2.7", 600),
            block("198.51.100.0/24", 60),
            block("198.51.100.7", 900),
            block("203.0.113.0/25", 2_592_000),
            block("203.0.113.128/25", 5),
            block("2001:db8::7", 600),
            block("2001:db8:1::/48", 600),
            block("2001:db8:ffff:ffff:ffff:ffff:ffff:fff0/124", 600),
        ];
        assert_eq!(host.blocks_stand(&blocks), Ok(false));
        host.block_only(&blocks).unwrap();
        assert_eq!(host.blocks_stand(&blocks), Ok(true));
        assert_eq!(host.blocks_stand(&blocks[..2]), Ok(false), "more than was wanted");
        let many: Vec<Blocked> =
            (0..BLOCKS_MAX).map(|n| block(&format!("10.{}.{}.1", n >> 8, n & 255), 600)).collect();
        host.block_only(&many).unwrap();
        assert_eq!(host.blocks_stand(&many), Ok(true));
        assert!(namespace::run(&["nft", "flush", "chain", "inet", "wardmote", "input"]));
        assert_eq!(host.blocks_stand(&many), Ok(false), "nothing drops any more");
        host.block_only(&blocks[..1]).unwrap();
        assert_eq!(host.blocks_stand(&blocks[..1]), Ok(true));
        assert!(namespace::run(&["nft", "flush", "ruleset"]));
        assert_eq!(host.blocks_stand(&blocks[..1]), Ok(false));
        host.block_only(&[]).unwrap();
        assert_eq!(host.blocks_stand(&[]), Ok(true));
    }
}
