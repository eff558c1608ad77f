//! One decision: the risk, two answers and the policy in, what comes of it out. Nothing else is read.

use super::harm::Danger;
use super::policy::Policy;
use super::proof::Doubt;
use super::{Answer, Decision, Outcome, Proposal};

/// Decides. `stopped` says why nothing may be done by itself, where that is so.
pub fn decide(
    proposal: &Proposal,
    proof: &Answer<Doubt>,
    harm: &Answer<Danger>,
    policy: &Policy,
    stopped: Option<&str>,
    now: i64,
) -> Decision {
    let risk = proposal.factors.risk();
    let mut held: Vec<String> = stopped.map(str::to_string).into_iter().collect();
    let most = policy.settings.automatic_up_to;
    if risk > most {
        held.push(format!("its risk is {risk}, above {most}"));
    }
    if !policy.allows(&proposal.action) {
        held.push("it is not opted into".into());
    }
    if policy.settings.dry_run {
        held.push("dry_run is on".into());
    }
    let both = proof.is_yes() && harm.is_yes();
    let outcome = match both && held.is_empty() {
        true => Outcome::Act,
        false => Outcome::Wait { operators: policy.operators(risk) },
    };
    Decision {
        time: now,
        id: None,
        case: proposal.case.clone(),
        title: proposal.title.clone(),
        action: proposal.action.name().to_string(),
        target: proposal.action.target(),
        factors: proposal.factors,
        risk,
        proof: proof.reasons(),
        harm: harm.reasons(),
        held,
        outcome,
        policy: policy.digest.clone(),
    }
}

#[cfg(test)]
mod tests {
    use consensus::Operator;

    use super::super::risk::{Certainty, Factors, Reach, Risk, Target, Undo};
    use super::super::{Action, proof};
    use super::*;
    use crate::settings::ResponseSettings;

    fn proposal() -> Proposal {
        Proposal {
            case: "c".into(),
            title: "t".into(),
            action: Action::Block { network: "192.0.2.7".parse().unwrap() },
            aim: Default::default(),
            testimony: proof::tests::sure(100),
            factors: Factors {
                reach: Reach::One,
                undo: Undo::ByItself,
                target: Target::Stranger,
                certainty: Certainty::Firm,
            },
            hold_s: 3_600,
            confirm_within_s: Some(600),
        }
    }

    fn armed() -> ResponseSettings {
        let mut settings =
            ResponseSettings { enabled: true, dry_run: false, ..ResponseSettings::default() };
        settings.block.enabled = true;
        settings
    }

    #[test]
    fn only_two_yes_within_the_policy_act() {
        let yes_no = |yes: bool| if yes { Answer::Yes } else { Answer::No(vec![Doubt::Dismissed]) };
        let harmless =
            |yes: bool| if yes { Answer::Yes } else { Answer::No(vec![Danger::Special("x")]) };
        for bits in 0..128_u32 {
            let on = |bit: u32| bits >> bit & 1 == 1;
            let mut settings = armed();
            settings.dry_run = on(2);
            settings.enabled = !on(3);
            settings.block.enabled = !on(4);
            settings.critical_operators = 2;
            let policy = Policy::new(settings, &Operator::default());
            let mut proposal = proposal();
            if on(5) {
                proposal.factors.reach = Reach::Many;
            }
            let stopped = on(6).then_some("stopped");
            let (proof, harm) = (yes_no(!on(0)), harmless(!on(1)));
            let decided = decide(&proposal, &proof, &harm, &policy, stopped, 100);
            assert_eq!(decided.outcome == Outcome::Act, bits == 0, "{bits:b} {decided:?}");
            let reasons = decided.proof.len() + decided.harm.len() + decided.held.len();
            assert_eq!(reasons == 0, bits == 0, "what does not act says why: {decided:?}");
        }
    }

    #[test]
    fn a_guardian_that_is_not_heard_is_a_no() {
        let policy = Policy::new(armed(), &Operator::default());
        let late = Answer::Unheard("late");
        let decided = decide(&proposal(), &late, &Answer::Yes, &policy, None, 100);
        assert_eq!(
            (decided.outcome, decided.proof),
            (Outcome::Wait { operators: 1 }, vec!["late".into()])
        );
    }

    #[test]
    fn critical_actions_can_need_two_operators() {
        let mut settings = armed();
        settings.critical_operators = 2;
        settings.automatic_up_to = Risk::High;
        let policy = Policy::new(settings, &Operator::default());
        let mut proposal = proposal();
        proposal.factors.target = Target::Own;
        let wait = |proposal: &Proposal| {
            decide(proposal, &Answer::Yes, &Answer::Yes, &policy, None, 100).outcome
        };
        assert_eq!(wait(&proposal), Outcome::Act, "high is automatic here");
        proposal.factors.certainty = Certainty::Weak;
        assert_eq!(wait(&proposal), Outcome::Wait { operators: 2 });
    }
}
