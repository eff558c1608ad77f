//! What a verdict costs: the built-in panel on one piece of evidence, and pooling alone for panels of
//! 5 to 50 experts, with rationales of 100 words and without.
//!
//! Run with `cargo bench -p consensus`. The text costs the copy discount (its words are compared) and
//! the trace (its bytes are hashed).

use consensus::pool::pool;
use consensus::{
    Attack, Context, Evidence, Exposure, Kind, Model, Opinion, Panel, Privilege, Proof, Service,
    Severity, Subject, trace,
};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn evidence() -> Evidence {
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
        sources: Vec::new(),
        facts: Default::default(),
        tags: vec!["attack.t1110".into()],
        count: 1,
        first: None,
        last: None,
    }
}

fn context() -> Context {
    let service = Service {
        exposure: Exposure::World,
        because: "0.0.0.0".into(),
        ports: vec![22],
        uid: Some(0),
    };
    let attack = Attack {
        service: "ssh".into(),
        rule: "ssh-brute-force".into(),
        tags: vec!["attack.t1110".into()],
        count: 4021,
        sources: 37,
        last: 1_700_000_000,
        succeeded: false,
    };
    Context {
        now: 1_700_000_060,
        services_known: true,
        services: [("ssh".to_string(), service)].into(),
        logs_known: true,
        attacks: vec![attack],
        ..Context::default()
    }
}

/// Opinions of strangers, each with so many words of its own (of 4 to 9 letters, from a vocabulary of
/// 2,000), some of which others use too, as people who write about one case do.
fn opinions(experts: usize, words: usize) -> Vec<Opinion> {
    let mut state = 1_u64;
    let mut draw = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let vocabulary: Vec<String> = (0..2_000)
        .map(|word| (0..4 + word % 6).map(|_| char::from(b'a' + draw(26) as u8)).collect())
        .collect();
    let mut one = |expert: usize| Opinion {
        expert: format!("expert{expert:02}"),
        distribution: [0.1, 0.1, 0.2, 0.4, 0.2],
        confidence: 0.7,
        rationale: (0..words)
            .map(|_| vocabulary[draw(2_000) as usize].as_str())
            .collect::<Vec<_>>()
            .join(" "),
        sources: Vec::new(),
        facts: Vec::new(),
    };
    (0..experts).map(&mut one).collect()
}

#[divan::bench]
fn verdict_of_the_built_in_panel(bencher: Bencher) {
    let (panel, evidence, context) = (Panel::cold(), evidence(), context());
    bencher.bench(|| panel.judge(black_box(&evidence), black_box(&context)));
}

/// 4,000 cases in one context, on one and on two threads.
#[divan::bench(args = [1, 2], sample_count = 30)]
fn a_batch_of_4000_on_threads(bencher: Bencher, threads: usize) {
    let (panel, evidence, context) = (Panel::cold(), vec![evidence(); 4_000], context());
    bencher.bench(|| panel.judge_on(threads, black_box(&evidence), black_box(&context)));
}

#[divan::bench(args = [5, 10, 20, 50])]
fn pooling_without_text(bencher: Bencher, experts: usize) {
    pooling(bencher, opinions(experts, 0));
}

#[divan::bench(args = [5, 10, 20, 50])]
fn pooling_with_100_words_each(bencher: Bencher, experts: usize) {
    pooling(bencher, opinions(experts, 100));
}

fn pooling(bencher: Bencher, opinions: Vec<Opinion>) {
    let (evidence, digest, model) = (evidence(), trace::context(&context()), Model::cold());
    bencher
        .with_inputs(|| opinions.clone())
        .bench_values(|opinions| pool(black_box(&evidence), &digest, opinions, &model));
}
