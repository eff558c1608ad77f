//! What the stages cost without a disk, with divan; only run when it is asked for:
//! `cargo test --release -p agent --bins case::bench -- --ignored --nocapture`

use consensus::context::Account;
use consensus::{Attack, Context, Severity, trace};
use divan::Bencher;
use divan::counter::ItemsCount;

use super::{Cases, Pipeline, samples};
use crate::pipeline::judge::{Judged, Judges};
use crate::report::Remediation;

const ITEMS: u32 = 1_000;

#[test]
#[ignore = "a benchmark: only worth something in a release build on a quiet machine"]
fn figures() {
    divan::Divan::default().run_benches();
}

/// What a busy host tells: every item is about an address of its own, and an account that some share.
fn items() -> Vec<Judged> {
    let item = |number: u32| {
        let level = [Severity::Low, Severity::Medium, Severity::High][number as usize % 3];
        let mut evidence = samples::evidence(&format!("rule-{}", number % 40), level);
        let address = std::net::Ipv4Addr::from(0x2d2d_0000 + number).to_string();
        evidence.key.clone_from(&address);
        evidence.subject.ip = Some(address);
        evidence.subject.user = Some(format!("user{}", number % 20));
        evidence.last = Some(samples::NOW - i64::from(number % 600));
        Judged {
            evidence,
            why: "somebody guesses".into(),
            remediation: Remediation { text: "turn passwords off".into(), snippet: String::new() },
            references: Vec::new(),
        }
    };
    (0..ITEMS).map(item).collect()
}

/// A context that knows attacks, accounts and who else spoke of each address.
fn context(items: &[Judged]) -> Context {
    let mut context = Context { now: samples::NOW, logs_known: true, ..Context::default() };
    let account =
        || Account { uid: 1_000, login_shell: true, password: None, password_days: Some(30) };
    context.accounts = Some((0..20).map(|n| (format!("user{n}"), account())).collect());
    for item in items {
        let subject = &item.evidence.subject;
        for (kind, value) in [("ip", &subject.ip), ("user", &subject.user)] {
            let key = format!("{kind}:{}", value.as_deref().unwrap_or(""));
            context.mentions.entry(key).or_default().insert(item.evidence.check.clone());
        }
    }
    context.attacks = (0..20)
        .map(|n| Attack {
            service: "ssh".into(),
            rule: format!("rule-{n}"),
            tags: vec!["attack.t1110".into()],
            count: 50,
            sources: 3,
            last: samples::NOW - 60,
            succeeded: false,
        })
        .collect();
    context
}

/// All stages and the case that it joins: per piece of evidence.
#[divan::bench]
fn all_stages(bencher: Bencher<'_, '_>) {
    let items = items();
    let context = context(&items);
    let digest = trace::context(&context);
    let dir = tempfile::tempdir().unwrap();
    let mut judges = Judges::with(Default::default(), dir.path(), samples::NOW);
    let mut pipeline = Pipeline::default();
    for (number, item) in items.iter().enumerate() {
        let (name, evidence) = (format!("past-{number}"), &item.evidence);
        pipeline.memory.note(&name, evidence, Severity::Low, samples::NOW - 9_000);
    }
    bencher
        .counter(ItemsCount::new(ITEMS))
        .with_inputs(|| Cases::new(Vec::new(), 1))
        .bench_local_values(|mut cases| {
            for item in &items {
                let case = pipeline.judge(&mut judges, item, &context, &digest);
                let (key, severity) = (&item.evidence.key, case.verdict.severity);
                cases.take(key, &item.evidence, severity, samples::NOW);
            }
            cases
        });
}

/// The look into a full memory.
#[divan::bench]
fn retrieve_among_ten_thousand(bencher: Bencher<'_, '_>) {
    let items = items();
    let mut memory = super::retrieve::Memory::default();
    for number in 0..10_000 {
        let evidence = &items[number % items.len()].evidence;
        memory.note(&format!("past-{number}"), evidence, Severity::Low, samples::NOW - 9_000);
    }
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(|| {
        items.iter().map(|item| memory.similar(&item.evidence, samples::NOW).len()).sum::<usize>()
    });
}

/// An occurrence of what is known already: the reference's "activation update".
#[divan::bench]
fn remember_once_more(bencher: Bencher<'_, '_>) {
    let items = items();
    let mut memory = super::retrieve::Memory::default();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(|| {
        for item in &items {
            memory.note(&item.evidence.key, &item.evidence, Severity::Low, samples::NOW);
        }
    });
}
