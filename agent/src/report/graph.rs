//! What a kept verdict came from, as a graph: for Graphviz, as JSON, and the least that would have to be
//! missing for it to be lower.

use consensus::graph::{Decision, Graph, Id, Refused, Stage, Terms};
use consensus::{Model, Opinion, Severity, pool, trace};
use serde_json::Value;

use crate::store::cases::Found;

/// The graph of one verdict.
pub struct Causes<'a> {
    found: &'a Found,
    graph: Graph,
    verdict: Id,
}

impl<'a> Causes<'a> {
    /// The graph of a kept case; what each opinion counted for stands in it where this wardmote's model is
    /// the one that judged.
    pub fn of(found: &'a Found) -> Result<Self, Refused> {
        let (evidence, verdict) = (&found.case.evidence, &found.case.verdict);
        let weighing = pool::weigh(evidence, &verdict.opinions, &Model::cold());
        let sum = weighing.explain(evidence.level);
        let others = [("prior", sum.prior), ("caution", sum.caution)];
        let terms = match is_ours(found) {
            true => Terms { opinions: &sum.parts, others: &others },
            false => Terms::default(),
        };
        let (graph, verdict) = Graph::of(evidence, verdict, terms, found.run.started)?;
        Ok(Self { found, graph, verdict })
    }

    /// In the language of Graphviz.
    pub fn dot(&self) -> String {
        self.graph.dot(&self.graph.backward(self.verdict))
    }

    /// As JSON.
    pub fn json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self.graph.document(&self.graph.backward(self.verdict)))
    }

    /// The smallest set of sources without which the verdict would be lower, in words.
    pub fn falls(&self) -> Option<String> {
        if !is_ours(self.found) {
            return None;
        }
        let cut = self.graph.smallest_cut(self.verdict, Stage::Source, |gone| self.decide(gone));
        if !cut.lowers() {
            return None;
        }
        let named: Vec<&str> = cut.removed.iter().map(|id| self.graph.text(*id)).collect();
        let how = if cut.exact { "" } else { " (a smaller set may do)" };
        Some(format!("to {} without {}{how}", cut.after, named.join(" and ")))
    }

    /// What the opinions decide that rest on none of these.
    fn decide(&self, gone: &[Id]) -> Decision {
        let (evidence, verdict) = (&self.found.case.evidence, &self.found.case.verdict);
        let all = self.graph.causes(self.verdict, Stage::Opinion);
        let left = self.graph.standing(self.verdict, Stage::Opinion, gone);
        let left: Vec<Opinion> = all
            .iter()
            .zip(&verdict.opinions)
            .filter(|(id, _)| left.binary_search(id).is_ok())
            .map(|(_, opinion)| opinion.clone())
            .collect();
        let model = Model::cold();
        let weighing = pool::weigh(evidence, &left, &model);
        let digest = trace::context(&self.found.run.context);
        let level: Severity = pool::pool(evidence, &digest, left, &model).severity;
        let margin = weighing.sums[level.index().saturating_sub(1)];
        Decision { level, margin }
    }
}

fn is_ours(found: &Found) -> bool {
    found.run.model == trace::MODEL
}
