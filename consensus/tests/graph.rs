//! What caused what: slices, cuts, limits, and renderings of labels that anybody may have written.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::collections::BTreeSet;

use consensus::graph::{
    Cut, Decision, Document, EXACT_DECISIONS, Event, Graph, Id, MAX_CANDIDATES, MAX_EDGES,
    MAX_EVENTS, MAX_LABEL_BYTES, MAX_LABELS, MAX_LINES, MAX_PARENTS, MAX_TREE_DEPTH,
    MAX_TREE_LINES, Refused, Stage, Terms, smallest_cut,
};
use consensus::{
    Context, Evidence, Exposure, Kind, Model, Opinion, Panel, Privilege, Proof, Service, Severity,
    SourceLine, Subject, pool,
};
use proptest::prelude::*;

fn happened(graph: &mut Graph, text: &str, parents: &[Id]) -> Id {
    graph.happened(Stage::Evidence, text, 0, None, parents).unwrap()
}

/// A graph whose event `i` has the causes that the bits of `causes[i]` pick among the older ones.
fn made(causes: &[u32]) -> (Graph, Vec<Id>) {
    let mut graph = Graph::new();
    let mut ids: Vec<Id> = Vec::new();
    for (at, causes) in causes.iter().enumerate() {
        let picked =
            ids.iter().copied().enumerate().filter(|(place, _)| causes >> (place % 32) & 1 == 1);
        let parents: Vec<Id> = picked.map(|(_, id)| id).collect();
        ids.push(happened(&mut graph, &at.to_string(), &parents));
    }
    (graph, ids)
}

/// Which events are reached from which: by Warshall's algorithm.
fn reach(graph: &Graph, ids: &[Id]) -> Vec<Vec<bool>> {
    let place = |id: Id| ids.iter().position(|other| *other == id).unwrap();
    let mut reach = vec![vec![false; ids.len()]; ids.len()];
    for (at, id) in ids.iter().enumerate() {
        reach[at][at] = true;
        graph.parents(*id).iter().for_each(|parent| reach[at][place(*parent)] = true);
    }
    for via in 0..ids.len() {
        for from in 0..ids.len() {
            for to in 0..ids.len() {
                reach[from][to] |= reach[from][via] && reach[via][to];
            }
        }
    }
    reach
}

proptest! {
    #[test]
    fn slices_are_what_is_reached(
        // Sparse, and more events than a word of marks has bits.
        causes in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<u32>()), 1..90),
    ) {
        let causes: Vec<u32> = causes.into_iter().map(|(a, b, c)| a & b & c).collect();
        let (graph, ids) = made(&causes);
        let reach = reach(&graph, &ids);
        for (at, id) in ids.iter().enumerate() {
            let of = |to: &dyn Fn(usize) -> bool| -> Vec<Id> {
                (0..ids.len()).filter(|other| to(*other)).map(|other| ids[other]).collect()
            };
            prop_assert_eq!(graph.backward(*id), of(&|other| reach[at][other]));
            prop_assert_eq!(graph.forward(&[*id]), of(&|other| reach[other][at]));
            let last = ids.len() - 1;
            let standing = of(&|other| reach[last][other] && !reach[other][at]);
            prop_assert_eq!(graph.standing(ids[last], Stage::Evidence, &[*id]), standing);
            prop_assert!(graph.parents(*id).iter().all(|parent| parent < id), "no cycle");
        }
    }

    /// A level that any sets of removed candidates may lower: no rule that the search could rest on.
    #[test]
    fn a_cut_of_up_to_twelve_is_the_smallest(
        number in 0_usize..=12, lowering in proptest::collection::vec(1_u32..1 << 12, 0..4),
    ) {
        let (_, ids) = made(&vec![0; number]);
        let set = |removed: &[Id]| -> u32 {
            removed.iter().map(|id| 1 << ids.iter().position(|other| other == id).unwrap()).sum()
        };
        let lowers = |set: u32| lowering.contains(&set);
        let cut = smallest_cut(&ids, |removed| Decision {
            level: if lowers(set(removed)) { Severity::Low } else { Severity::High },
            margin: 0,
        });
        let smallest = (0..1_u32 << number).filter(|set| lowers(*set)).map(u32::count_ones).min();
        prop_assert!(cut.exact);
        prop_assert_eq!(cut.lowers(), smallest.is_some());
        prop_assert_eq!(cut.removed.len() as u32, smallest.unwrap_or(0));
        prop_assert!(smallest.is_none() || lowers(set(&cut.removed)));
    }

    /// Weights that are removed from a sum: what is found lowers it, and none of it can be left out.
    #[test]
    fn a_cut_of_many_lowers_the_level_and_nothing_in_it_is_idle(
        weights in proptest::collection::vec(0_i64..100, 13..40), share in 1_i64..100,
    ) {
        let (_, ids) = made(&vec![0; weights.len()]);
        let sum: i64 = weights.iter().sum();
        let decide = |removed: &[Id]| {
            let gone = removed.iter().map(|id| ids.iter().position(|other| other == id).unwrap());
            let left = sum - gone.map(|place| weights[place]).sum::<i64>();
            let margin = left - sum * share / 100;
            Decision { level: if margin >= 0 { Severity::High } else { Severity::Low }, margin }
        };
        let cut = smallest_cut(&ids, decide);
        if sum > 0 {
            prop_assert!(cut.lowers());
            prop_assert_eq!(decide(&cut.removed).level, cut.after);
            for one in &cut.removed {
                let others: Vec<Id> = cut.removed.iter().copied().filter(|id| id != one).collect();
                prop_assert_eq!(decide(&others).level, cut.before);
            }
            // Weights: the heaviest first is the fewest.
            let mut heaviest = weights.clone();
            heaviest.sort_unstable_by_key(|weight| std::cmp::Reverse(*weight));
            let mut left = sum;
            let fewest = heaviest
                .iter()
                .take_while(|weight| {
                    let stands = left >= sum * share / 100;
                    left -= **weight;
                    stands
                })
                .count();
            prop_assert_eq!(cut.removed.len(), fewest);
        } else {
            prop_assert!(!cut.lowers());
        }
    }

    /// Whatever a label holds, a tree has one line for each event, and DOT one string for each.
    #[test]
    fn labels_do_not_break_out(labels in proptest::collection::vec(hostile(), 1..6)) {
        let mut graph = Graph::new();
        let mut last = None;
        for label in &labels {
            let parents: Vec<Id> = last.into_iter().collect();
            last = Some(happened(&mut graph, label, &parents));
        }
        let shown = graph.backward(last.unwrap());
        let tree = graph.tree(last.unwrap());
        prop_assert_eq!(tree.lines().count(), labels.len());
        let obeyed = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        prop_assert!(!tree.contains(obeyed));
        let (outside, strings) = tokens(&graph.dot(&shown));
        prop_assert_eq!(strings.len(), labels.len());
        let chain: String = (1..labels.len()).map(|at| format!("  n{} -> n{at};\n", at - 1)).collect();
        let nodes: String = (0..labels.len()).map(|at| format!("  n{at} [label=\"\"];\n")).collect();
        let head = "digraph wardmote {\n  rankdir=LR;\n  node [shape=box];\n";
        prop_assert_eq!(outside, format!("{head}{nodes}{chain}}}\n"));
        let json = serde_json::to_value(graph.document(&shown)).unwrap();
        for (event, label) in json["events"].as_array().unwrap().iter().zip(&labels) {
            prop_assert_eq!(event["label"].as_str().unwrap(), label);
        }
    }
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\"\\\\\\]\\[{}<>;\n\r\t\u{1b}\u{7}\u{202e}\u{2028}a-c-]{0,40}",
        Just("\"]; system \"x".to_string()),
        Just("\\\"];\\".to_string()),
        Just("\\N \\G \\".to_string()),
    ]
}

/// DOT with the insides of its strings taken out, and these with their escapes undone, as the grammar
/// of Graphviz has it: in a quoted string only `\"` is an escape of the scanner, and the other pairs
/// are left to the label.
fn tokens(dot: &str) -> (String, Vec<String>) {
    let (mut outside, mut strings) = (String::new(), Vec::new());
    let mut characters = dot.chars();
    while let Some(character) = characters.next() {
        outside.push(character);
        if character != '"' {
            continue;
        }
        let mut string = String::new();
        loop {
            match characters.next().expect("a string that ends") {
                '"' => break,
                '\\' => match characters.next().expect("an escape that ends") {
                    escaped @ ('"' | '\\') => string.push(escaped),
                    other => panic!("an escape that Graphviz obeys: {other:?}"),
                },
                other => string.push(other),
            }
        }
        outside.push('"');
        strings.push(string);
    }
    (outside, strings)
}

#[test]
fn causes_must_be_there_and_everything_refused_is_counted() {
    let mut graph = Graph::new();
    let mut other = Graph::new();
    happened(&mut other, "x", &[]);
    let second = happened(&mut other, "y", &[]);
    let append =
        |graph: &mut Graph, parents: &[Id]| graph.happened(Stage::Opinion, "z", 0, None, parents);
    let first = append(&mut graph, &[]).unwrap();
    assert_eq!(append(&mut graph, &[second]), Err(Refused::NotThere), "its own cause");
    let many = vec![first; MAX_PARENTS + 1];
    assert!(append(&mut graph, &many[..MAX_PARENTS]).is_ok());
    assert_eq!(append(&mut graph, &many), Err(Refused::Parents));
    let label = other.label("one more").unwrap();
    let event = Event { stage: Stage::Source, label, time: 0, nats: None };
    assert_eq!(graph.append(event, &[]), Err(Refused::NoLabel));
    assert_eq!((graph.len(), graph.refused()), (2, 3));
    assert!(
        graph.backward(Id::clone(&first)).len() == 1 && Graph::new().backward(first).is_empty()
    );
    assert!(Graph::new().forward(&[first]).is_empty() && Graph::new().tree(first).is_empty());
}

#[test]
fn events_edges_and_labels_are_bounded() {
    let mut graph = Graph::new();
    let label = graph.label("x").unwrap();
    let event = Event { stage: Stage::Evidence, label, time: 0, nats: None };
    let first = graph.append(event, &[]).unwrap();
    let many = vec![first; MAX_PARENTS];
    for _ in 0..MAX_EDGES / MAX_PARENTS {
        graph.append(event, &many).unwrap();
    }
    assert_eq!(graph.append(event, &[first]), Err(Refused::Edges));
    while graph.len() < MAX_EVENTS {
        graph.append(event, &[]).unwrap();
    }
    assert_eq!(graph.append(event, &[]), Err(Refused::Events));
    assert_eq!(graph.refused(), 2);
    assert_eq!(graph.forward(&[first]).len(), 1 + MAX_EDGES / MAX_PARENTS);
    for number in 1..MAX_LABELS {
        graph.label(&number.to_string()).unwrap();
    }
    assert_eq!(graph.label("one more"), Err(Refused::Labels));
    assert_eq!(graph.label("x"), Ok(label), "a known one needs no room");
    let long = "é".repeat(MAX_LABEL_BYTES);
    let mut graph = Graph::new();
    let label = graph.label(&long).unwrap();
    assert_eq!(graph.label(&long[..MAX_LABEL_BYTES]), Ok(label));
    assert_ne!(graph.label(&long[..MAX_LABEL_BYTES - 2]), Ok(label));
}

#[test]
fn a_tree_is_bounded_in_lines_and_depth() {
    let mut graph = Graph::new();
    let mut last = happened(&mut graph, "0", &[]);
    for depth in 1..=MAX_TREE_DEPTH {
        last = happened(&mut graph, &depth.to_string(), &[last]);
    }
    assert_eq!(graph.tree(last).lines().count(), MAX_TREE_DEPTH + 1);
    last = happened(&mut graph, "more", &[last]);
    let tree = graph.tree(last);
    assert_eq!(tree.lines().count(), MAX_TREE_DEPTH + 2);
    assert!(tree.ends_with("… and 1 more, with what they came from\n"), "{tree}");
    let mut graph = Graph::new();
    let leaves: Vec<Id> =
        (0..MAX_TREE_LINES).map(|at| happened(&mut graph, &at.to_string(), &[])).collect();
    let some = |graph: &mut Graph, leaves: &[Id]| {
        let groups: Vec<Id> =
            leaves.chunks(MAX_PARENTS).map(|group| happened(graph, "group", group)).collect();
        let root = happened(graph, "root", &groups);
        (graph.tree(root), groups.len())
    };
    let (full, groups) = some(&mut graph, &leaves[..MAX_TREE_LINES - 11]);
    assert_eq!((full.lines().count(), groups), (MAX_TREE_LINES, 10));
    let (over, _) = some(&mut graph, &leaves[..MAX_TREE_LINES - 10]);
    assert!(over.lines().count() == MAX_TREE_LINES + 1 && over.contains("… and 1 more"));
}

#[test]
fn a_tree_shows_causes_below_and_each_only_once() {
    let mut graph = Graph::new();
    let file = graph.happened(Stage::Source, "file:/etc/x", 5, None, &[]).unwrap();
    let line = graph.happened(Stage::Evidence, "a \"line\"\n", 5, None, &[file]).unwrap();
    let one = graph.happened(Stage::Weight, "one", 6, Some(1_230_000), &[line]).unwrap();
    let two = graph.happened(Stage::Weight, "two", 6, Some(-40_000), &[line]).unwrap();
    let verdict = graph.happened(Stage::Verdict, "high", 7, None, &[one, two]).unwrap();
    let action = graph.happened(Stage::Action, "block 192.0.2.1", 8, None, &[verdict]).unwrap();
    let tree = "\
#5 action block 192.0.2.1
└─ #4 verdict high
   ├─ #2 weight +1.2 one
   │  └─ #1 evidence a \"line\"\\n
   │     └─ #0 source file:/etc/x
   └─ #3 weight -0.0 two
      └─ #1 evidence a \"line\"\\n (as above)
";
    assert_eq!(graph.tree(action), tree);
    assert_eq!(graph.forward(&[file]), graph.ids().collect::<Vec<_>>());
    let json = serde_json::to_value(graph.document(&graph.backward(one))).unwrap();
    let expected = serde_json::json!({"schema": "wardmote.graph/1", "refused": 0, "events": [
        {"id": 0, "stage": "source", "label": "file:/etc/x", "time": 5},
        {"id": 1, "stage": "evidence", "label": "a \"line\"\n", "time": 5, "parents": [0]},
        {"id": 2, "stage": "weight", "label": "one", "time": 6, "nats": 1.23, "parents": [1]},
    ]});
    assert_eq!(json, expected);
    let schema = serde_json::to_value(schemars::schema_for!(Document<'static>)).unwrap();
    assert!(schema["properties"]["events"].is_object());
    // A part of a graph names no cause that it does not show.
    assert_eq!(graph.dot(&[one, verdict]).matches("->").count(), 1);
}

#[test]
fn a_search_that_cannot_be_exact_says_so() {
    let cut_of = |number: usize, needed: usize| -> (Cut, usize) {
        let (_, ids) = made(&vec![0; number]);
        let mut decisions = 0;
        let cut = smallest_cut(&ids, |removed| {
            decisions += 1;
            let margin = needed as i64 - removed.len() as i64;
            Decision { level: if margin > 0 { Severity::High } else { Severity::Low }, margin }
        });
        (cut, decisions)
    };
    let (cut, decisions) = cut_of(12, 12);
    assert!(cut.exact && cut.removed.len() == 12 && decisions == EXACT_DECISIONS);
    assert!(
        cut_of(12, 13).0
            == Cut { removed: vec![], before: Severity::High, after: Severity::High, exact: true }
    );
    // Of many, small sets are still found by trying all of them.
    let (cut, _) = cut_of(40, 2);
    assert!(cut.exact && cut.removed.len() == 2);
    let (cut, _) = cut_of(40, 5);
    assert!(!cut.exact && cut.removed.len() == 5);
    let (cut, _) = cut_of(13, 14);
    assert!(!cut.exact && !cut.lowers());
    let (cut, decisions) = cut_of(MAX_CANDIDATES, 3);
    assert!(!cut.exact && cut.removed.len() == 3 && decisions < MAX_CANDIDATES * MAX_CANDIDATES);
    assert!(cut_of(MAX_CANDIDATES, 1).0.exact);
    assert!(!cut_of(MAX_CANDIDATES + 1, 1).0.exact);
}

#[test]
fn what_a_greedy_search_removed_for_nothing_is_put_back() {
    let (_, ids) = made(&[0; 20]);
    // Fifteen look better at every step, and the other five decide.
    let cut = smallest_cut(&ids, |removed| {
        let decoys = removed.iter().filter(|id| ids[5..].contains(id)).count();
        let needed = removed.len() - decoys;
        let level = if needed == 5 { Severity::Info } else { Severity::High };
        Decision { level, margin: -(decoys as i64 * 10 + needed as i64) }
    });
    assert_eq!(cut.removed, ids[..5]);
    assert!(cut.lowers() && !cut.exact && cut.after == Severity::Info);
}

fn evidence() -> Evidence {
    let line = |file: &str, line| SourceLine {
        file: file.into(),
        line,
        column: 1,
        text: "PermitRootLogin yes".into(),
    };
    Evidence {
        check: "ssh-permit-root-login".into(),
        key: String::new(),
        title: "Root may log in over SSH".into(),
        kind: Kind::Posture,
        proof: Proof::Direct,
        level: Severity::High,
        floor: None,
        privilege: Privilege::Root,
        services: vec!["ssh".into()],
        subject: Subject::default(),
        sources: vec![line("/etc/ssh/sshd_config", 12), line("/etc/ssh/sshd_config.d/a.conf", 3)],
        facts: Default::default(),
        tags: Vec::new(),
        count: 1,
        first: None,
        last: None,
    }
}

fn context() -> Context {
    let exposure = Exposure::World;
    let service = Service { exposure, because: "0.0.0.0".into(), ports: vec![22], uid: Some(0) };
    Context {
        now: 1_000_000_000,
        services_known: true,
        services: [("ssh".to_string(), service)].into(),
        logs_known: true,
        ..Context::default()
    }
}

#[test]
fn the_graph_of_a_verdict_holds_what_was_seen_said_and_weighed() {
    let (evidence, model) = (evidence(), Model::cold());
    let verdict = Panel::cold().judge(&evidence, &context());
    let weighing = pool::weigh(&evidence, &verdict.opinions, &model);
    let explanation = weighing.explain(evidence.level);
    let others = [("prior", explanation.prior), ("caution", explanation.caution)];
    let terms = Terms { opinions: &explanation.parts, others: &others };
    let (graph, id) = Graph::of(&evidence, &verdict, terms, 1_000_000_000).unwrap();
    assert_eq!(graph.text(id), verdict.severity.name());
    assert_eq!(graph.backward(id).len(), graph.len(), "all of it came to this");
    let opinions = graph.causes(id, Stage::Opinion);
    let said: Vec<&str> = opinions.iter().map(|id| graph.text(*id)).collect();
    for (opinion, said) in verdict.opinions.iter().zip(&said) {
        assert!(
            said.starts_with(&format!("{} says {}", opinion.expert, opinion.level())),
            "{said}"
        );
    }
    // The explanation adds up.
    let nats = |id: &Id| graph.event(*id).unwrap().nats.unwrap();
    let sum: i64 = graph.causes(id, Stage::Weight).iter().map(nats).sum();
    assert_eq!(sum, explanation.margin);
    let named: BTreeSet<&str> =
        graph.causes(id, Stage::Source).into_iter().map(|id| graph.text(id)).collect();
    assert!(named.contains("kernel") && named.contains("file:/etc/ssh/sshd_config"), "{named:?}");
    assert_eq!(graph.causes(id, Stage::Evidence).len(), evidence.sources.len() + 1);

    // What would be decided without some of the sources: by the opinions that are left.
    let decide = |removed: &[Id]| {
        let left: Vec<Opinion> = graph
            .standing(id, Stage::Opinion, removed)
            .iter()
            .map(|id| verdict.opinions[opinions.binary_search(id).unwrap()].clone())
            .collect();
        let weighing = pool::weigh(&evidence, &left, &model);
        let level = weighing.decided;
        let threshold = level.index().saturating_sub(1);
        Decision { level, margin: weighing.sums[threshold] }
    };
    let cut = graph.smallest_cut(id, Stage::Source, decide);
    assert!(cut.exact && cut.lowers() && cut.before == verdict.severity, "{cut:?}");
    let sources = graph.causes(id, Stage::Source);
    let picked = |set: u32| -> Vec<Id> {
        (0..sources.len()).filter(|at| set >> at & 1 == 1).map(|at| sources[at]).collect()
    };
    let lowering = (0..1 << sources.len()).filter(|set| decide(&picked(*set)).level < cut.before);
    assert_eq!(Some(cut.removed.len() as u32), lowering.map(u32::count_ones).min());
}

#[test]
fn a_verdict_without_opinions_or_sources_has_a_graph_too() {
    let mut bare = evidence();
    bare.sources.clear();
    let mut verdict = Panel::cold().judge(&bare, &Context::default());
    let nameless = Opinion { sources: Vec::new(), ..verdict.opinions[0].clone() };
    verdict.opinions = vec![nameless];
    let (graph, id) = Graph::of(&bare, &verdict, Terms::default(), 7).unwrap();
    // The fact, the opinion that rests on it, and the verdict.
    assert_eq!((graph.len(), graph.parents(id).len()), (3, 2));
    verdict.opinions.clear();
    let (graph, id) = Graph::of(&bare, &verdict, Terms::default(), 7).unwrap();
    assert_eq!((graph.len(), graph.parents(id).len()), (2, 1));
    let line = SourceLine { file: "/x".into(), line: 1, column: 1, text: String::new() };
    for (lines, events) in [(MAX_LINES, MAX_LINES + 3), (MAX_LINES + 1, MAX_LINES + 4)] {
        bare.sources = vec![line.clone(); lines];
        let (graph, _) = Graph::of(&bare, &verdict, Terms::default(), 7).unwrap();
        assert_eq!(graph.len(), events);
    }
}
