//! Asks both guardians at the same time, each on a thread of its own and within its time.
//!
//! A guardian gets what it needs to know and nothing of the other's: the questions are of two types and
//! go down two channels. It says no when it is late, when it fails (a panic ends one batch, not the
//! guardian), and when it is still busy with an earlier batch. Harm's look at the system is its own, and
//! counts towards its time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use super::Answer;
use super::harm::{Aim, Danger, Limits, LiveSystem, Seen, Spent, harm};
use super::proof::{Bar, Doubt, Testimony, proof};

/// How long Proof may take for a batch.
pub const PROOF_WITHIN: Duration = Duration::from_millis(250);
/// How long Harm may take for a batch, its look at the system included.
pub const HARM_WITHIN: Duration = Duration::from_secs(2);
/// Most questions of one batch.
pub const BATCH_MAX: usize = 1_024;

/// What Proof is asked.
pub type ProofQuestion = (Testimony, Bar);
/// What Harm is asked.
pub type HarmQuestion = (Aim, Arc<Limits>, Seen<Spent>);
/// Looks at the system as it is now.
pub type Look = Box<dyn FnMut() -> LiveSystem + Send>;

struct Batch<Question, No> {
    questions: Vec<Question>,
    now: i64,
    to: SyncSender<Vec<Answer<No>>>,
}

/// Both guardians, waiting.
pub struct Guardians {
    proof: SyncSender<Batch<ProofQuestion, Doubt>>,
    harm: SyncSender<Batch<HarmQuestion, Danger>>,
    within: [Duration; 2],
}

impl Guardians {
    /// Starts both.
    pub fn start(look: Look) -> std::io::Result<Self> {
        Self::with(look, [PROOF_WITHIN, HARM_WITHIN])
    }

    /// The same with other times.
    pub fn with(mut look: Look, within: [Duration; 2]) -> std::io::Result<Self> {
        let judge = |questions: Vec<ProofQuestion>, now| {
            questions.iter().map(|(testimony, bar)| proof(testimony, bar, now)).collect()
        };
        let watch = move |questions: Vec<HarmQuestion>, now| {
            let live = look();
            let one = |(aim, limits, spent): &HarmQuestion| harm(aim, &live, limits, spent, now);
            questions.iter().map(one).collect()
        };
        Ok(Self { proof: stand("proof", judge)?, harm: stand("harm", watch)?, within })
    }

    /// What both say to each question, in the order asked.
    ///
    /// # Panics
    /// Never: of questions beyond [`BATCH_MAX`] both say no.
    pub fn ask(
        &self,
        proofs: Vec<ProofQuestion>,
        harms: Vec<HarmQuestion>,
        now: i64,
    ) -> Vec<(Answer<Doubt>, Answer<Danger>)> {
        let count = proofs.len().min(harms.len());
        let begun = Instant::now();
        // Both are on their way before either is waited for.
        let proof = hand(&self.proof, proofs, now);
        let harm = hand(&self.harm, harms, now);
        let proofs = heard(proof, begun + self.within[0], count);
        let harms = heard(harm, begun + self.within[1], count);
        proofs.into_iter().zip(harms).collect()
    }
}

fn stand<Question: Send + 'static, No: Send + 'static>(
    name: &str,
    mut answer: impl FnMut(Vec<Question>, i64) -> Vec<Answer<No>> + Send + 'static,
) -> std::io::Result<SyncSender<Batch<Question, No>>> {
    let (to, batches) = sync_channel::<Batch<Question, No>>(1);
    std::thread::Builder::new().name(name.into()).spawn(move || {
        for batch in batches {
            // Dropped unanswered, it is heard as a failure.
            let answers = catch_unwind(AssertUnwindSafe(|| answer(batch.questions, batch.now)));
            if let Ok(answers) = answers {
                let _ = batch.to.try_send(answers);
            }
        }
    })?;
    Ok(to)
}

fn hand<Question, No>(
    guardian: &SyncSender<Batch<Question, No>>,
    mut questions: Vec<Question>,
    now: i64,
) -> Result<Receiver<Vec<Answer<No>>>, &'static str> {
    questions.truncate(BATCH_MAX);
    let (to, answers) = sync_channel(1);
    match guardian.try_send(Batch { questions, now, to }) {
        Ok(()) => Ok(answers),
        Err(TrySendError::Full(_)) => Err("the guardian is still busy"),
        Err(TrySendError::Disconnected(_)) => Err("the guardian is gone"),
    }
}

fn heard<No: Clone>(
    answers: Result<Receiver<Vec<Answer<No>>>, &'static str>,
    until: Instant,
    count: usize,
) -> Vec<Answer<No>> {
    let left = until.saturating_duration_since(Instant::now());
    let answers = answers.and_then(|answers| match answers.recv_timeout(left) {
        Ok(answers) => Ok(answers),
        Err(RecvTimeoutError::Timeout) => Err("the guardian did not answer in time"),
        Err(RecvTimeoutError::Disconnected) => Err("the guardian failed"),
    });
    match answers {
        Ok(mut answers) => {
            answers.resize(count, Answer::Unheard("too many questions at once"));
            answers
        }
        Err(why) => vec![Answer::Unheard(why); count],
    }
}

#[cfg(test)]
mod tests {
    use super::super::harm::tests::{limits, quiet};
    use super::super::proof::tests::{bar, sure};
    use super::*;

    const NOW: i64 = 1_000_000;

    fn questions(count: usize) -> (Vec<ProofQuestion>, Vec<HarmQuestion>) {
        let aim = Aim { network: Some("198.51.100.7".parse().unwrap()), ..Aim::default() };
        let harm = (aim, Arc::new(limits()), Ok(Spent::default()));
        (vec![(sure(NOW), bar()); count], vec![harm; count])
    }

    fn ask(guardians: &Guardians, count: usize) -> Vec<(Answer<Doubt>, Answer<Danger>)> {
        let (proofs, harms) = questions(count);
        guardians.ask(proofs, harms, NOW)
    }

    #[test]
    fn both_answer_each_question() {
        let guardians = Guardians::start(Box::new(|| quiet(NOW))).unwrap();
        for count in [0, 1, 200] {
            let answers = ask(&guardians, count);
            assert_eq!(answers.len(), count);
            assert!(answers.iter().all(|(proof, harm)| proof.is_yes() && harm.is_yes()));
        }
        let answers = ask(&guardians, BATCH_MAX + 1);
        assert!(answers[BATCH_MAX - 1].1.is_yes());
        assert!(!answers[BATCH_MAX].0.is_yes() && !answers[BATCH_MAX].1.is_yes());
    }

    #[test]
    fn harm_that_is_late_or_busy_says_no_and_proof_is_still_heard() {
        let slow = || {
            std::thread::sleep(Duration::from_millis(400));
            quiet(NOW)
        };
        let within = [Duration::from_secs(5), Duration::from_millis(30)];
        let guardians = Guardians::with(Box::new(slow), within).unwrap();
        // The first is late, the second waits behind it, the third finds no room.
        for why in ["in time", "in time", "busy"] {
            let (proof, harm) = ask(&guardians, 1).remove(0);
            assert!(proof.is_yes());
            assert!(harm.reasons()[0].contains(why), "{harm:?}");
        }
    }

    #[test]
    fn a_guardian_that_fails_says_no_and_stands_again() {
        let mut calls = 0;
        let look = move || {
            calls += 1;
            assert!(calls > 1, "this panic is the test's own");
            quiet(NOW)
        };
        let guardians = Guardians::start(Box::new(look)).unwrap();
        let (proof, harm) = ask(&guardians, 1).remove(0);
        assert!(proof.is_yes() && harm.reasons()[0].contains("failed"), "{harm:?}");
        assert!(ask(&guardians, 1)[0].1.is_yes());
    }

    #[test]
    fn the_guardians_know_nothing_of_each_other() {
        // By types: proof(&Testimony, &Bar, i64), harm(&Aim, &LiveSystem, &Limits, &Seen<Spent>, i64).
        let _: fn(&Testimony, &Bar, i64) -> Answer<Doubt> = proof;
        let _: fn(&Aim, &LiveSystem, &Limits, &Seen<Spent>, i64) -> Answer<Danger> = harm;
        // And by what their files use.
        let code = |text: &'static str| {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            code.collect::<Vec<_>>().join("\n")
        };
        let (proof, harm) = (code(include_str!("proof.rs")), code(include_str!("harm.rs")));
        for word in ["harm", "LiveSystem", "Aim", "Limits", "Network", "live::", "std::fs"] {
            assert!(!proof.contains(word), "Proof reads {word}");
        }
        for word in ["proof", "Verdict", "Testimony", "Severity", "Bar", "Factors", "std::fs"] {
            assert!(!harm.contains(word), "Harm reads {word}");
        }
    }
}
