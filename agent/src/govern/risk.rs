//! How risky an answer to a case is: one look into a printed table.
//!
//! Four axes, three steps each: how many are hit, how it is taken back, whom it hits, how sure the
//! panel is. The table holds all 81 cells as they are printed (`wardmote respond risk`,
//! docs/responses.md); nothing is computed, so that whoever wants to know why reads one row. It is
//! monotone: a worse step on any axis never lowers the risk. It decides how much of a human an action
//! needs, never that it happens: that takes two guardians.

use consensus::networks::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How risky an action is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// One stranger, for a while.
    Low,
    /// Somebody may ask why.
    Medium,
    /// Somebody should have looked at it first.
    High,
    /// Two should have.
    Critical,
}

impl Risk {
    /// The lower-case name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl std::fmt::Display for Risk {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(self.name())
    }
}

/// Blast radius: how many are hit at once.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// One address (an IPv6 /64 is one), one account, one unit.
    One,
    /// A small network: an IPv4 /24, an IPv6 /48.
    Few,
    /// More than that, or nobody knows.
    #[default]
    Many,
}

impl Reach {
    /// All of them, smallest first.
    pub const ALL: [Self; 3] = [Self::One, Self::Few, Self::Many];

    /// How many a block of this network hits.
    pub fn of(network: &Network) -> Self {
        let (one, few) = if network.address().is_ipv4() { (32, 24) } else { (64, 48) };
        match network.bits() {
            bits if bits >= one => Self::One,
            bits if bits >= few => Self::Few,
            _ => Self::Many,
        }
    }

    /// The word in the table.
    pub fn name(self) -> &'static str {
        ["one", "few", "many"][self as usize]
    }
}

/// Reversibility: how it is taken back.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// By itself at its time, also when wardmote is gone: a set's timeout in the kernel.
    ByItself,
    /// By its undo, whole: nothing stays behind.
    Whole,
    /// By its undo, in part: what broke in between stays broken.
    #[default]
    InPart,
}

impl Undo {
    /// All of them, easiest first.
    pub const ALL: [Self; 3] = [Self::ByItself, Self::Whole, Self::InPart];

    /// The words in the table.
    pub fn name(self) -> &'static str {
        ["by itself", "whole", "in part"][self as usize]
    }
}

/// Target class: whom it hits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// An address of the internet that nobody of ours has come from.
    Stranger,
    /// An address of a private or an own network.
    Neighbour,
    /// An account or unit of this host, or an address that somebody has logged in from.
    Own,
}

impl Target {
    /// All of them, farthest first.
    pub const ALL: [Self; 3] = [Self::Stranger, Self::Neighbour, Self::Own];

    /// The word in the table.
    pub fn name(self) -> &'static str {
        ["stranger", "neighbour", "own"][self as usize]
    }
}

/// How sure the panel is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// At least 95 % at that level, whatever any two experts or any one source said.
    Firm,
    /// At least 80 %, whatever any one expert or any one source said.
    Fair,
    /// Anything less.
    Weak,
}

impl Certainty {
    /// All of them, surest first.
    pub const ALL: [Self; 3] = [Self::Firm, Self::Fair, Self::Weak];

    /// The word in the table.
    pub fn name(self) -> &'static str {
        ["firm", "fair", "weak"][self as usize]
    }

    /// From the probability of the level or worse, and how many experts and sources may be wrong.
    pub fn of(probability: f64, experts: usize, sources: usize) -> Self {
        match () {
            () if probability >= 0.95 && experts >= 2 && sources >= 1 => Self::Firm,
            () if probability >= 0.80 && experts >= 1 && sources >= 1 => Self::Fair,
            () => Self::Weak,
        }
    }
}

/// What the risk of an action is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Factors {
    /// How many are hit.
    pub reach: Reach,
    /// How it is taken back.
    pub undo: Undo,
    /// Whom it hits.
    pub target: Target,
    /// How sure the panel is.
    pub certainty: Certainty,
}

impl Factors {
    /// The cell of the table.
    pub fn risk(self) -> Risk {
        let row = self.reach as usize * 3 + self.undo as usize;
        let column = self.target as usize * 3 + self.certainty as usize;
        TABLE[row][column]
    }
}

use Risk::{Critical as C, High as H, Low as L, Medium as M};

/// Rows: reach × undo. Columns: target × certainty. In the order of the enums.
#[rustfmt::skip]
const TABLE: [[Risk; 9]; 9] = [
    //           stranger    neighbour   own
    //           fi fa we    fi fa we    fi fa we
    /* one  it  */ [L, M, M,   M, M, H,   H, H, C],
    /* one  wh  */ [M, M, H,   M, H, H,   H, C, C],
    /* one  pa  */ [M, H, H,   H, H, C,   C, C, C],
    /* few  it  */ [M, M, H,   M, H, H,   H, C, C],
    /* few  wh  */ [M, H, H,   H, H, C,   C, C, C],
    /* few  pa  */ [H, H, C,   H, C, C,   C, C, C],
    /* many it  */ [H, H, C,   H, C, C,   C, C, C],
    /* many wh  */ [H, C, C,   C, C, C,   C, C, C],
    /* many pa  */ [C, C, C,   C, C, C,   C, C, C],
];

/// The table as it is printed.
pub fn printed() -> String {
    let mut text = String::from("risk of an action, by\n\n");
    text += &format!("{:<6}{:<11}", "reach", "undone");
    for target in Target::ALL {
        text += &format!("  {:<28}", target.name());
    }
    let mut text = text.trim_end().to_string() + "\n" + &" ".repeat(17);
    for _ in Target::ALL {
        let words: String = Certainty::ALL.iter().map(|one| format!("{:<9}", one.name())).collect();
        text += &format!("  {words} ");
    }
    let mut text = text.trim_end().to_string() + "\n";
    for reach in Reach::ALL {
        for undo in Undo::ALL {
            let mut line = format!("{:<6}{:<11}", reach.name(), undo.name());
            for target in Target::ALL {
                line += "  ";
                for certainty in Certainty::ALL {
                    let risk = Factors { reach, undo, target, certainty }.risk();
                    line += &format!("{:<9}", risk.name());
                }
                line.push(' ');
            }
            text += line.trim_end();
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Factors> {
        let mut cells = Vec::new();
        for reach in Reach::ALL {
            for undo in Undo::ALL {
                for target in Target::ALL {
                    let cell = |certainty| Factors { reach, undo, target, certainty };
                    cells.extend(Certainty::ALL.map(cell));
                }
            }
        }
        cells
    }

    /// The rule behind the table: points, with a jump where it begins to hurt many or one's own.
    fn by_points(cell: Factors) -> Risk {
        let reach = [0, 1, 3][cell.reach as usize];
        let target = [0, 1, 3][cell.target as usize];
        match reach + target + cell.undo as usize + cell.certainty as usize {
            0 => Risk::Low,
            1..=2 => Risk::Medium,
            3..=4 => Risk::High,
            _ => Risk::Critical,
        }
    }

    #[test]
    fn every_cell_is_what_its_points_say() {
        assert_eq!(all().len(), 81);
        for cell in all() {
            assert_eq!(cell.risk(), by_points(cell), "{cell:?}");
        }
    }

    #[test]
    fn a_worse_step_never_lowers_the_risk() {
        for one in all() {
            for two in all() {
                let worse = one.reach <= two.reach
                    && one.undo <= two.undo
                    && one.target <= two.target
                    && one.certainty <= two.certainty;
                assert!(!worse || one.risk() <= two.risk(), "{one:?} {two:?}");
            }
        }
    }

    #[test]
    fn the_table_in_the_docs_is_the_one_that_decides() {
        let docs = include_str!("../../../docs/responses.md");
        let table = docs.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
        assert_eq!(table, printed());
    }

    #[test]
    fn networks_have_a_reach() {
        for (network, reach) in [
            ("192.0.2.7", Reach::One),
            ("192.0.2.0/25", Reach::Few),
            ("192.0.2.0/24", Reach::Few),
            ("192.0.2.0/23", Reach::Many),
            ("2001:db8::1", Reach::One),
            ("2001:db8::/64", Reach::One),
            ("2001:db8::/63", Reach::Few),
            ("2001:db8::/48", Reach::Few),
            ("2001:db8::/47", Reach::Many),
        ] {
            assert_eq!(Reach::of(&network.parse().unwrap()), reach, "{network}");
        }
    }

    #[test]
    fn certainty_asks_probability_experts_and_sources() {
        for (probability, experts, sources, expected) in [
            (0.95, 2, 1, Certainty::Firm),
            (0.94, 2, 1, Certainty::Fair),
            (0.99, 1, 1, Certainty::Fair),
            (0.80, 1, 1, Certainty::Fair),
            (0.79, 9, 9, Certainty::Weak),
            (0.99, 9, 0, Certainty::Weak),
            (0.99, 0, 9, Certainty::Weak),
            (f64::NAN, 9, 9, Certainty::Weak),
        ] {
            assert_eq!(Certainty::of(probability, experts, sources), expected);
        }
    }
}
