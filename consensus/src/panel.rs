//! The panel: which experts are asked, and in which order their opinions are pooled.

use crate::trace::{self, Digest};
use crate::{Context, Evidence, Opinion, Verdict, experts, pool};

/// A deterministic judge. `judge` returns `None` where it has nothing to say (an abstention).
pub trait Expert: Send + Sync {
    /// Stable name, as shown in verdicts.
    fn name(&self) -> &'static str;
    /// Its opinion of this evidence in this context.
    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion>;
}

/// A fixed set of experts and the model that pools them.
pub struct Panel {
    experts: Vec<Box<dyn Expert>>,
}

impl Panel {
    /// The built-in panel with its fixed, sceptical model: twin hosts get identical verdicts.
    pub fn cold() -> Self {
        Self { experts: experts::all() }
    }

    /// A panel of the named experts only (unknown names are ignored); for tests and what-if questions.
    pub fn only(names: &[&str]) -> Self {
        Self { experts: experts::all().into_iter().filter(|e| names.contains(&e.name())).collect() }
    }

    /// Judges one piece of evidence. For many in one context, [`Panel::judge_all`] is cheaper.
    pub fn judge(&self, evidence: &Evidence, context: &Context) -> Verdict {
        self.judge_in(evidence, context, &trace::context(context))
    }

    /// Judges each piece of evidence in the same context; the context is digested once.
    pub fn judge_all(&self, evidence: &[Evidence], context: &Context) -> Vec<Verdict> {
        let digest = trace::context(context);
        evidence.iter().map(|one| self.judge_in(one, context, &digest)).collect()
    }

    /// Names of the experts in the order in which they are asked.
    pub fn names(&self) -> Vec<&'static str> {
        self.experts.iter().map(|expert| expert.name()).collect()
    }

    fn judge_in(&self, evidence: &Evidence, context: &Context, digest: &Digest) -> Verdict {
        let opinions = self.experts.iter().filter_map(|e| e.judge(evidence, context)).collect();
        pool::pool(evidence, digest, opinions)
    }
}
