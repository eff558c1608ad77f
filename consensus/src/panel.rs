//! The panel: which experts are asked, and in which order their opinions are pooled.

use std::sync::LazyLock;

use crate::gate::{self, Budget, Gate, Needs};
use crate::likelihood::{self, Model};
use crate::trace::{self, Digest};
use crate::{Context, Evidence, Opinion, Verdict, experts, pool};

/// A deterministic judge. `judge` returns `None` where it has nothing to say (an abstention).
pub trait Expert: Send + Sync {
    /// Stable name, as shown in verdicts.
    fn name(&self) -> &'static str;
    /// What must be there for it to have anything to say.
    fn needs(&self) -> Needs;
    /// What asking it costs, in units of one look-up: a constant of the model, never a measurement.
    fn cost(&self) -> u32 {
        1
    }
    /// Its opinion of this evidence in this context.
    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion>;
}

/// Most threads that one batch is shared among.
pub const MAX_THREADS: usize = 64;

/// A fixed set of experts and the model that pools them.
pub struct Panel {
    experts: Vec<Box<dyn Expert>>,
    model: Model,
    gate: Gate,
    budget: Budget,
}

impl Panel {
    /// The built-in panel with its fixed, sceptical model: twin hosts get identical verdicts.
    pub fn cold() -> Self {
        // Ranking the experts is the dear part, and always the same here.
        static RANKED: LazyLock<Gate> = LazyLock::new(|| Panel::with(Model::cold()).gate);
        let gate = RANKED.clone();
        Self { experts: experts::all(), model: Model::cold(), gate, budget: Budget::All }
    }

    /// The built-in panel with a model that has learnt.
    pub fn with(model: Model) -> Self {
        Self::of(experts::all(), model)
    }

    /// The panel without this expert; for what-if questions.
    #[must_use]
    pub fn without(mut self, expert: &str) -> Self {
        self.experts.retain(|one| one.name() != expert);
        Self { budget: self.budget, ..Self::of(self.experts, self.model) }
    }

    /// The panel that may spend only so much on a case.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// A panel of the named experts only (unknown names are ignored); for tests and what-if questions.
    pub fn only(names: &[&str]) -> Self {
        let mut experts = experts::all();
        experts.retain(|one| names.contains(&one.name()));
        Self::of(experts, Model::cold())
    }

    fn of(experts: Vec<Box<dyn Expert>>, model: Model) -> Self {
        let gate = Gate::new(&experts, &model)
            .expect("a test holds the built-in experts to as many as a gate chooses from");
        Self { experts, model, gate, budget: Budget::All }
    }

    /// Judges one piece of evidence. For many in one context, [`Panel::judge_all`] is cheaper.
    pub fn judge(&self, evidence: &Evidence, context: &Context) -> Verdict {
        self.judge_in(evidence, context, &trace::context(context), Vec::new())
    }

    /// Judges each piece of evidence in the same context; the context is digested once.
    pub fn judge_all(&self, evidence: &[Evidence], context: &Context) -> Vec<Verdict> {
        let digest = trace::context(context);
        evidence.iter().map(|one| self.judge_in(one, context, &digest, Vec::new())).collect()
    }

    /// [`Panel::judge_all`] on so many threads: the same verdicts in the same order on any number, for
    /// cases are judged one by one. Threads pay from about a hundred cases on.
    pub fn judge_on(
        &self,
        threads: usize,
        evidence: &[Evidence],
        context: &Context,
    ) -> Vec<Verdict> {
        let threads = threads.clamp(1, MAX_THREADS);
        let share = evidence.len().div_ceil(threads).max(1);
        if threads == 1 || share == evidence.len() {
            return self.judge_all(evidence, context);
        }
        let digest = trace::context(context);
        let judge = |part: &[Evidence]| -> Vec<Verdict> {
            part.iter().map(|one| self.judge_in(one, context, &digest, Vec::new())).collect()
        };
        std::thread::scope(|scope| {
            let mut parts = evidence.chunks(share);
            let own = parts.next().unwrap_or_default();
            let others: Vec<_> = parts.map(|part| (part, scope.spawn(|| judge(part)))).collect();
            let mut verdicts = judge(own);
            for (part, other) in others {
                // A thread that could not finish is done over here, where its panic would show.
                verdicts.extend(other.join().unwrap_or_else(|_| judge(part)));
            }
            verdicts
        })
    }

    /// Judges one piece of evidence together with opinions from outside; `digest` is
    /// [`trace::context`] of the context. Nobody from outside speaks under a built-in expert's name:
    /// such opinions are refused, and named in the reasons.
    pub fn judge_in(
        &self,
        evidence: &Evidence,
        context: &Context,
        digest: &Digest,
        outside: Vec<Opinion>,
    ) -> Verdict {
        let hash = gate::case_hash(evidence, digest);
        let choice = self.gate.choose(Needs::offered(evidence, context), hash, self.budget);
        let asked = self.experts.iter().enumerate().filter(|(place, _)| choice.asks(*place));
        let mut opinions: Vec<Opinion> =
            asked.filter_map(|(_, expert)| expert.judge(evidence, context)).collect();
        let (posing, outside): (Vec<_>, Vec<_>) =
            outside.into_iter().partition(|opinion| likelihood::is_known(&opinion.expert));
        opinions.extend(outside);
        let mut verdict = pool::pool(evidence, digest, opinions, &self.model);
        verdict.reasons.extend(posing.into_iter().map(|opinion| {
            format!("ignored: an opinion from outside under the name of `{}`", opinion.expert)
        }));
        verdict
    }

    /// Names of the experts in the order in which they are asked.
    pub fn names(&self) -> Vec<&'static str> {
        self.experts.iter().map(|expert| expert.name()).collect()
    }
}
