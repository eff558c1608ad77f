//! What remembering why costs: appending an event with three causes, with its label known and with its
//! text looked up, beside events that own their text and list; slices of a graph of a million events;
//! and the graph of one verdict.
//!
//! Run with `cargo bench -p consensus --bench graph`. Appending is measured on graphs that begin empty
//! and grow, so that growing is part of it.

use consensus::graph::{Event, Graph, Id, MAX_EVENTS, Stage, Terms};
use consensus::{
    Context, Evidence, Kind, Panel, Privilege, Proof, Severity, SourceLine, Subject, Verdict,
};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const EVENTS: usize = 100_000;

fn texts() -> Vec<String> {
    (0..64).map(|at| format!("expert{at:02} says high: a rationale of some forty bytes")).collect()
}

/// Appends so many events with three causes each, the last ones and an old one.
fn grow(graph: &mut Graph, events: usize, mut event: impl FnMut(&mut Graph, usize) -> Event) {
    let mut ids: Vec<Id> = Vec::with_capacity(events);
    for at in 0..events {
        let event = event(graph, at);
        let parents = match ids[..] {
            [.., second, last] => &[ids[at / 2], second, last][..],
            _ => &ids[..],
        };
        ids.push(graph.append(event, parents).expect("room"));
    }
}

#[divan::bench]
fn appending_100_000_events(bencher: Bencher) {
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        let mut graph = Graph::new();
        let label = graph.label("x").expect("room");
        grow(&mut graph, EVENTS, |_, at| Event {
            stage: Stage::Opinion,
            label,
            time: at as i64,
            nats: Some(black_box(17)),
        });
        graph
    });
}

#[divan::bench]
fn appending_100_000_events_with_their_texts(bencher: Bencher) {
    let texts = texts();
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        let mut graph = Graph::new();
        grow(&mut graph, EVENTS, |graph, at| Event {
            stage: Stage::Opinion,
            label: graph.label(black_box(&texts[at % texts.len()])).expect("room"),
            time: at as i64,
            nats: None,
        });
        graph
    });
}

#[expect(dead_code, reason = "only making it is measured")]
struct Owned {
    stage: Stage,
    text: String,
    time: i64,
    parents: Vec<usize>,
}

/// The same as one would write it first: a text and a list of causes an event.
#[divan::bench]
fn appending_100_000_events_as_a_string_and_a_list_each(bencher: Bencher) {
    let texts = texts();
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        let mut events: Vec<Owned> = Vec::new();
        for at in 0..EVENTS {
            let text = black_box(&texts[at % texts.len()]).clone();
            let parents = if at < 3 { Vec::new() } else { vec![at / 2, at - 2, at - 1] };
            events.push(Owned { stage: Stage::Opinion, text, time: at as i64, parents });
        }
        events
    });
}

#[divan::bench]
fn backward_through_a_million_events(bencher: Bencher) {
    let (graph, ids) = million();
    bencher.bench(|| graph.backward(black_box(ids[ids.len() - 1])));
}

#[divan::bench]
fn forward_through_a_million_events(bencher: Bencher) {
    let (graph, ids) = million();
    bencher.bench(|| graph.forward(&[black_box(ids[0])]));
}

fn million() -> (Graph, Vec<Id>) {
    let mut graph = Graph::new();
    let label = graph.label("x").expect("room");
    let event = Event { stage: Stage::Opinion, label, time: 0, nats: None };
    grow(&mut graph, MAX_EVENTS, |_, _| event);
    let ids = graph.ids().collect();
    (graph, ids)
}

fn judged() -> (Evidence, Verdict) {
    let source = SourceLine {
        file: "/etc/ssh/sshd_config".into(),
        line: 12,
        column: 1,
        text: "PermitRootLogin yes".into(),
    };
    let evidence = Evidence {
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
        sources: vec![source],
        facts: Default::default(),
        tags: Vec::new(),
        count: 1,
        first: None,
        last: None,
    };
    let verdict = Panel::cold().judge(&evidence, &Context::default());
    (evidence, verdict)
}

#[divan::bench]
fn the_graph_of_one_verdict(bencher: Bencher) {
    let (evidence, verdict) = judged();
    bencher.bench(|| Graph::of(black_box(&evidence), &verdict, Terms::default(), 0));
}
