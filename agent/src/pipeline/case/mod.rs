//! What the service sees becomes cases. What only came again is held back before ([`storm`]); then one file
//! a stage, in this order: [`assess`] (is it worth more
//! than the panel?), [`retrieve`] (what was like it?), [`decompose`] (who, what, from where, with which
//! right, what next?), [`verify`] (may it be believed?), [`route`] and [`collect`] (who is asked?),
//! [`synthesize`] (verdict and case). What is then recorded and told is the service's.
//!
//! The severity is the panel's alone, from the same inputs as in an audit or a sweep: a verdict of the
//! service replays as theirs do. The other stages say what a human would have to find out first, and how
//! sure anybody may be before something is done automatically.

use std::time::Instant;

use consensus::{Context, trace};
use serde::{Deserialize, Serialize};

use crate::pipeline::judge::{Judged, Judges};
use crate::store::cases::Case;

pub mod assess;
#[cfg(test)]
mod bench;
pub mod case_file;
pub mod collect;
pub mod decompose;
pub mod quiet;
pub mod retrieve;
pub mod route;
pub mod storm;
pub mod synthesize;
pub mod tactic;
pub mod timings;
pub mod verify;

pub use self::case_file::CaseFile;
pub use self::synthesize::Cases;
pub use self::timings::{Stage, Timings};

/// What the stages before the verdict found, kept with the case for `explain`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The first questions, answered.
    pub questions: decompose::Questions,
    /// Past cases that are like it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub similar: Vec<retrieve::Similar>,
    /// Whether it may be believed.
    pub checked: verify::Checked,
}

/// What the stages remember from one case to the next.
#[derive(Default)]
pub struct Pipeline {
    /// Past cases.
    pub memory: retrieve::Memory,
    /// What each stage took.
    pub timings: Timings,
}

impl Pipeline {
    /// One piece of evidence through all stages up to its verdict.
    pub fn judge(
        &mut self,
        judges: &mut Judges,
        item: &Judged,
        context: &Context,
        digest: &trace::Digest,
    ) -> Case {
        let evidence = &item.evidence;
        let mut clock = Instant::now();
        let mut done = |timings: &mut Timings, stage| {
            let now = Instant::now();
            timings.add(stage, now - clock);
            clock = now;
        };
        let timings = &mut self.timings;
        let weight = assess::assess(evidence, context);
        done(timings, Stage::Assess);
        let full = weight == assess::Weight::Full;
        let similar = match full {
            true => self.memory.similar(evidence, context.now),
            false => Vec::new(),
        };
        done(timings, Stage::Retrieve);
        let questions = decompose::decompose(evidence, context);
        done(timings, Stage::Decompose);
        let checked = verify::verify(evidence, context);
        done(timings, Stage::Verify);
        let route = route::route(weight);
        done(timings, Stage::Route);
        let answers = collect::collect(&mut judges.outside, route, evidence, digest);
        done(timings, Stage::Collect);
        let mut case = judges.decide(item, context, digest, answers);
        done(timings, Stage::Synthesize);
        case.course = Some(Course { questions, similar, checked });
        case
    }
}

/// Evidence for the tests of the stages.
#[cfg(test)]
pub mod samples {
    use consensus::{Evidence, Kind, Privilege, Proof, Severity, SourceLine, Subject};

    /// The time of the tests.
    pub const NOW: i64 = 1_795_169_000;

    /// Networks as the operator writes them.
    pub fn networks(text: &str) -> consensus::networks::Networks {
        serde_json::from_value(serde_json::json!([text])).unwrap()
    }

    /// Two events of an address, seen in one line.
    pub fn evidence(check: &str, level: Severity) -> Evidence {
        Evidence {
            check: check.into(),
            key: "192.0.2.7".into(),
            title: format!("{check} is seen"),
            kind: Kind::Activity,
            proof: Proof::Inferred,
            level,
            floor: None,
            privilege: Privilege::None,
            services: vec!["ssh".into()],
            subject: Subject { ip: Some("192.0.2.7".into()), ..Subject::default() },
            sources: vec![SourceLine {
                file: "/var/log/auth.log".into(),
                line: 7,
                column: 1,
                text: "Failed password".into(),
            }],
            facts: Default::default(),
            tags: vec!["attack.credential-access".into()],
            count: 2,
            first: Some(NOW - 60),
            last: Some(NOW - 1),
        }
    }
}
