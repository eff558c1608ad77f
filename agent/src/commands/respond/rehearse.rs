//! `respond rehearse`: what would have been done about the findings of the last days, had responses been
//! on, and to which of our own people.
//!
//! Verdicts are as they were, the policy is the one of now with dry_run off and blocks on, gateways and
//! name servers are those of now. Sessions of then are over: who had logged in from an address that
//! would have been blocked is told from wtmp. Nothing is written and nothing is done.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use consensus::Operator;
use parsers::log::utmp::Login;
use schemars::JsonSchema;
use serde::Serialize;

use super::Format;
use crate::exit::Exit;
use crate::govern::decide::decide;
use crate::govern::engine::HOUR_S;
use crate::govern::harm::{LiveSystem, Seen, Spent, harm};
use crate::govern::policy::Policy;
use crate::govern::proof::proof;
use crate::govern::propose::{Known, proposals};
use crate::govern::risk::Target;
use crate::govern::{Decision, Outcome, Proposal, live, worker};
use crate::settings::{Settings, Span};
use crate::store::cases::{self, Case, Run};
use crate::store::feedback;

/// Most lines of each sort in the text.
const SHOWN_MAX: usize = 100;

/// What `respond rehearse --format json` prints.
#[derive(Serialize, JsonSchema)]
pub struct Rehearsal {
    /// `wardmote.rehearsal/1`.
    schema: &'static str,
    /// Kept findings that were looked at.
    findings: usize,
    /// Proposals that only repeated one that would have been in effect or waiting.
    repeated: usize,
    /// What would have been done by itself.
    would_act: Vec<Rehearsed>,
    /// What would have waited for an operator, and why.
    would_wait: Vec<Rehearsed>,
    /// What could not be looked at.
    incomplete: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Rehearsed {
    #[serde(flatten)]
    decision: Decision,
    /// When it was judged, RFC 3339.
    when: String,
    /// Own people who had come from there: `ann, 3 logins`.
    people: Vec<String>,
}

/// The rehearsal as text or JSON; 1 where our own people would have been hit without being asked.
pub(super) fn run(
    state: &Path,
    settings: &Settings,
    since: Span,
    format: Format,
    now: i64,
) -> anyhow::Result<(String, Exit)> {
    let runs = cases::runs(state)?;
    let from = now.saturating_sub(since.seconds());
    let host = worker::host()?;
    let clicks = feedback::read(state).ok().filter(|(_, unread)| unread.count == 0);
    let clicks = clicks.map(|(log, _)| log.clicks);
    let known = worker::known(&host, clicks.as_deref());
    let logins = live::past_logins(&host);
    let policy = policy(settings, &settings.site.operator()?);
    let mut stage = Stage::new(policy, worker::live_now(now), known, logins);
    stage.play(&runs, from..=now);
    let told = stage.end();
    let exit = told.exit();
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&told)? + "\n",
        Format::Text => told.text(),
    };
    Ok((text, exit))
}

/// The policy of now, as if it were on.
fn policy(settings: &Settings, operator: &Operator) -> Policy {
    let mut responses = settings.responses.clone();
    responses.enabled = true;
    responses.dry_run = false;
    responses.block.enabled = true;
    Policy::new(responses, operator)
}

struct Stage {
    policy: Policy,
    live: LiveSystem,
    known: Known,
    logins: Seen<Vec<Login>>,
    /// Until when an action would have been in effect or waiting, by name and target.
    standing: BTreeMap<(String, String), i64>,
    /// When actions would have begun: name, class, time.
    acts: Vec<(String, Target, i64)>,
    told: Rehearsal,
}

impl Stage {
    fn new(policy: Policy, live: LiveSystem, known: Known, logins: Seen<Vec<Login>>) -> Self {
        let told = Rehearsal {
            schema: "wardmote.rehearsal/1",
            findings: 0,
            repeated: 0,
            would_act: Vec::new(),
            would_wait: Vec::new(),
            incomplete: Vec::new(),
        };
        Self { policy, live, known, logins, standing: BTreeMap::new(), acts: Vec::new(), told }
    }

    /// Goes through the findings of a time, the oldest first.
    fn play(&mut self, runs: &[(Run, Vec<Case>)], time: RangeInclusive<i64>) {
        let mut runs: Vec<&(Run, Vec<Case>)> = runs.iter().collect();
        runs.sort_by_key(|(run, _)| run.started);
        for (run, cases) in runs.into_iter().filter(|(run, _)| time.contains(&run.started)) {
            for case in cases {
                self.told.findings += 1;
                for proposal in proposals(case, run.started, &self.policy, &self.known) {
                    self.rehearse(&proposal, run.started);
                }
            }
        }
    }

    fn rehearse(&mut self, proposal: &Proposal, then: i64) {
        let (name, target) = (proposal.action.name().to_string(), proposal.action.target());
        let class = proposal.factors.target;
        let key = (name.clone(), target);
        if self.standing.get(&key).is_some_and(|until| *until > then) {
            self.told.repeated += 1;
            return;
        }
        self.acts.retain(|(_, _, at)| *at > then.saturating_sub(HOUR_S));
        let count = |same: &dyn Fn(&(String, Target, i64)) -> bool| {
            u32::try_from(self.acts.iter().filter(|one| same(one)).count()).unwrap_or(u32::MAX)
        };
        let spent =
            Spent { of_kind: count(&|one| one.0 == name), of_class: count(&|one| one.1 == class) };
        let limits = self.policy.limits(&proposal.action, class);
        let bar = self.policy.bar(&proposal.action, proposal.factors.risk());
        // The look is of now: it stands for the one of then.
        self.live.taken = then;
        let proof = proof(&proposal.testimony, &bar, then);
        let harm = harm(&proposal.aim, &self.live, &limits, &Ok(spent), then);
        let decision = decide(proposal, &proof, &harm, &self.policy, None, then);
        let acts = decision.outcome == Outcome::Act;
        let lasts = if acts { proposal.hold_s } else { self.policy.settings.wait.seconds() };
        self.standing.insert(key, then.saturating_add(lasts));
        let rehearsed = Rehearsed { people: self.people(proposal), when: stamp(then), decision };
        if acts {
            self.acts.push((name, class, then));
            self.told.would_act.push(rehearsed);
        } else {
            self.told.would_wait.push(rehearsed);
        }
    }

    /// Who had logged in from there, most often first.
    fn people(&self, proposal: &Proposal) -> Vec<String> {
        let (Some(network), Ok(logins)) = (proposal.aim.network, &self.logins) else {
            return Vec::new();
        };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for login in logins {
            if login.address.is_some_and(|from| network.contains(from)) {
                *counts.entry(scanner::redact::printable(&login.user)).or_default() += 1;
            }
        }
        let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(user, count)| format!("{user}, {count} logins")).collect()
    }

    fn end(mut self) -> Rehearsal {
        let mut unseen = |what: &str, seen: Option<&String>| {
            self.told.incomplete.extend(seen.map(|why| format!("{what}: {why}")));
        };
        unseen("logins", self.logins.as_ref().err());
        unseen("feedback", self.known.dismissed.as_ref().err());
        unseen("sessions", self.live.sessions.as_ref().err());
        unseen("gateways", self.live.gateways.as_ref().err());
        unseen("name servers", self.live.resolvers.as_ref().err());
        unseen("own addresses", self.live.addresses.as_ref().err());
        self.told
    }
}

impl Rehearsal {
    fn exit(&self) -> Exit {
        let hit = self.would_act.iter().any(|one| !one.people.is_empty());
        match (hit, self.incomplete.is_empty()) {
            (true, _) => Exit::Found,
            (false, false) => Exit::Incomplete,
            (false, true) => Exit::Clean,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (title, all) in
            [("would have been done", &self.would_act), ("would have waited", &self.would_wait)]
        {
            text += &format!("{title}: {}\n", all.len());
            for one in all.iter().take(SHOWN_MAX) {
                let Decision { action, target, risk, title, .. } = &one.decision;
                text += &format!("  {} {action} {target} ({risk} risk)  {title}\n", one.when);
                for who in &one.people {
                    text += &format!("      OWN PEOPLE: {who}\n");
                }
                for (who, why) in one.decision.reasons() {
                    text += &format!("      {who}: {why}\n");
                }
            }
            if all.len() > SHOWN_MAX {
                text += &format!("  … and {} more (--format json)\n", all.len() - SHOWN_MAX);
            }
        }
        for what in &self.incomplete {
            text += &format!("not looked at: {what}\n");
        }
        let hit = self.would_act.iter().filter(|one| !one.people.is_empty()).count();
        text += &format!(
            "{} kept findings, {} repetitions; {hit} of what would have been done would have hit own people\n",
            self.findings, self.repeated
        );
        text
    }
}

fn stamp(time: i64) -> String {
    jiff::Timestamp::from_second(time).map_or_else(|_| time.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use consensus::{Context, Severity};

    use super::*;
    use crate::govern::harm::tests::quiet;
    use crate::govern::propose::tests::{case, known};
    use crate::store::cases::By;

    fn run(started: i64, ips: &[&str]) -> (Run, Vec<Case>) {
        let run = Run {
            schema: "wardmote.kept/1".into(),
            model: "m".into(),
            by: By::Watch,
            host: "h".into(),
            started,
            context: Context::default(),
            taught: None,
            left_out: 0,
        };
        let attack = |ip: &&str| {
            let mut case = case(ip, Severity::High);
            case.evidence.last = Some(started - 1);
            case
        };
        (run, ips.iter().map(attack).collect())
    }

    fn played(logins: Seen<Vec<Login>>, runs: &[(Run, Vec<Case>)]) -> Rehearsal {
        let from = |logins: &Vec<Login>| logins.iter().filter_map(|login| login.address).collect();
        let known = Known { logins: logins.as_ref().map(from).map_err(Clone::clone), ..known() };
        let mut settings = Settings::default();
        settings.responses.automatic_up_to = crate::govern::risk::Risk::High;
        settings.responses.block.per_hour = 2;
        let policy = policy(&settings, &Operator::default());
        let mut stage = Stage::new(policy, quiet(0), known, logins);
        stage.play(runs, 1_000..=100_000);
        stage.end()
    }

    fn targets(all: &[Rehearsed]) -> Vec<(&str, i64)> {
        all.iter().map(|one| (one.decision.target.as_str(), one.decision.time)).collect()
    }

    #[test]
    fn what_would_have_been_done_is_told_once_within_its_budget_and_its_time() {
        let runs = [
            run(2_100, &["198.51.100.7", "198.51.100.10"]),
            run(2_000, &["198.51.100.7", "198.51.100.8", "198.51.100.9"]),
            run(999, &["198.51.100.1"]),
            run(100_001, &["198.51.100.2"]),
            run(9_000, &["198.51.100.7", "203.0.113.1"]),
        ];
        let told = played(Ok(Vec::new()), &runs);
        assert_eq!((told.findings, told.repeated), (7, 1));
        let acts = [("198.51.100.7", 2_000), ("198.51.100.8", 2_000), ("198.51.100.7", 9_000)];
        assert_eq!(targets(&told.would_act), acts);
        let waits = [("198.51.100.9", 2_000), ("198.51.100.10", 2_100), ("203.0.113.1", 9_000)];
        assert_eq!(targets(&told.would_wait), waits);
        assert!(told.would_wait[0].decision.harm[0].contains("at most 2"));
        assert!(told.would_wait[2].decision.harm[0].contains("gateway"));
        assert_eq!(told.exit(), Exit::Clean);
    }

    #[test]
    fn own_people_who_would_have_been_hit_are_named_and_change_the_exit_code() {
        let login =
            |user: &str, at| Login { user: user.into(), address: "198.51.100.7".parse().ok(), at };
        let logins = Ok(vec![login("ann", 1), login("bob", 2), login("bob", 3)]);
        let told = played(logins, &[run(2_000, &["198.51.100.7", "198.51.100.8"])]);
        assert_eq!(told.would_act[0].people, ["bob, 2 logins", "ann, 1 logins"]);
        assert!(told.would_act[1].people.is_empty());
        assert_eq!(told.exit(), Exit::Found);
        let text = told.text();
        assert!(text.contains("OWN PEOPLE: bob, 2 logins"), "{text}");
        assert!(
            text.ends_with("1 of what would have been done would have hit own people\n"),
            "{text}"
        );
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_clean() {
        let told = played(Err("denied".into()), &[]);
        assert_eq!(told.exit(), Exit::Incomplete);
        assert!(told.text().contains("not looked at: logins: denied"), "{}", told.text());
    }
}
