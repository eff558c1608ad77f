//! Sixth stage: the opinions that have to be asked for. Experts from outside are asked side by side,
//! each with its time and its breaker ([`crate::outside`]); what they do not say is recorded as an input,
//! so that a verdict can be replayed.

use consensus::{Evidence, trace};

use super::route::Route;
use crate::outside::{Answers, Experts};

/// Asks whom the route names.
pub fn collect(
    experts: &mut Experts,
    route: Route,
    evidence: &Evidence,
    context: &trace::Digest,
) -> Answers {
    match route.outside {
        true => experts.ask(evidence, context),
        false => Answers::default(),
    }
}
