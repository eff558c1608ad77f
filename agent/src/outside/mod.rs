//! Experts from outside: commands that the operator names, asked over JSON lines.
//!
//! A command is started once, at the first question, without a shell, with nothing in its environment
//! but `PATH` and `LANG`, without capabilities and ways to gain any, in a process group of its own that
//! is killed at the end. For each case it gets
//! one line `{"case":"…","evidence":{…}}` (the evidence is redacted) and answers with one line, see
//! [`consensus::outside`]. All are asked at the same time, each has its time limit a line. What does not
//! come, or makes no sense, is no opinion and is recorded with the case; after [`FAILURES_MAX`] failures
//! in a row, or one answer that nobody asked for, the expert is not asked again and listed under
//! `incomplete`. Root runs no command that somebody else could have written ([`owner`]).

pub mod owner;
pub mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use consensus::outside::{PREFIX, answer};
use consensus::{Evidence, Model, Opinion, trace};
use serde_json::json;

use crate::powers::Powers;
use crate::settings::ExpertSettings;
use process::{Heard, Process};

/// Failures in a row after which an expert is not asked again.
pub const FAILURES_MAX: usize = 3;
/// How long one expert may keep a run waiting in all.
const RUN_TIME_MAX: Duration = Duration::from_secs(60);

/// All experts from outside.
#[derive(Default)]
pub struct Experts {
    experts: Vec<Expert>,
    /// Who starts them, if it is not this process.
    starter: Option<Arc<dyn Powers>>,
}

/// What they said about one case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// Opinions that make sense, under the experts' own names.
    pub opinions: Vec<Opinion>,
    /// Who gave none that does, and why; abstentions are none of these.
    pub unanswered: Vec<String>,
}

impl Experts {
    /// The experts of the configuration; none is started yet.
    pub fn new(settings: &[ExpertSettings]) -> Self {
        let experts = settings.iter().cloned().map(Expert::new).collect();
        Self { experts, starter: None }
    }

    /// No experts yet; those that come are started by somebody else.
    pub fn started_by(starter: Arc<dyn Powers>) -> Self {
        Self { experts: Vec::new(), starter: Some(starter) }
    }

    /// These experts for one more run: those that run go on, with a new account of what they fail in.
    /// Others than the configuration names are ended, and so are all after an audit in which one failed.
    #[must_use]
    pub fn again(mut self, settings: &[ExpertSettings], afresh: bool) -> Self {
        let same = self.experts.iter().map(|expert| &expert.settings).eq(settings);
        if !same || (afresh && !self.complaints().is_empty()) {
            return Self { starter: self.starter.take(), ..Self::new(settings) };
        }
        for expert in &mut self.experts {
            expert.waited = Duration::ZERO;
            if !matches!(expert.state, State::Stopped) {
                expert.failures = 0;
            }
        }
        self
    }

    /// Asks all about one piece of evidence in a context whose digest is given.
    pub fn ask(&mut self, evidence: &Evidence, context: &trace::Digest) -> Answers {
        let mut answers = Answers::default();
        if self.experts.is_empty() {
            return answers;
        }
        let case = trace::id(evidence, context, &[], &Model::cold());
        let question = json!({ "case": case, "evidence": evidence }).to_string() + "\n";
        for (place, expert) in self.experts.iter_mut().enumerate() {
            expert.tell(&question, |settings| match &self.starter {
                Some(starter) => starter.expert(place, settings),
                None => Process::start(&settings.command),
            });
        }
        for expert in &mut self.experts {
            match expert.hear(&case) {
                Ok(opinion) => answers.opinions.extend(opinion.map(redacted)),
                Err(why) => {
                    answers.unanswered.push(format!("{PREFIX}{}: {why}", expert.settings.name))
                }
            }
        }
        answers
    }

    /// Who did not answer, for `incomplete`; one line an expert.
    pub fn complaints(&self) -> Vec<String> {
        self.experts.iter().filter_map(Expert::complaint).collect()
    }
}

/// What an expert writes may quote what it was asked, and more.
fn redacted(mut opinion: Opinion) -> Opinion {
    opinion.rationale = scanner::redact::line(&opinion.rationale);
    for text in opinion.sources.iter_mut().chain(&mut opinion.facts) {
        *text = scanner::redact::line(text);
    }
    opinion
}

enum State {
    New,
    Running(Process),
    Stopped,
}

struct Expert {
    settings: ExpertSettings,
    state: State,
    /// When it must have answered what it was told.
    asked: Option<Instant>,
    /// Questions without an answer so far: theirs come first.
    owed: usize,
    in_a_row: usize,
    failures: usize,
    waited: Duration,
    /// Why it failed last.
    last: String,
}

impl Expert {
    fn new(settings: ExpertSettings) -> Self {
        Self {
            settings,
            state: State::New,
            asked: None,
            owed: 0,
            in_a_row: 0,
            failures: 0,
            waited: Duration::ZERO,
            last: String::new(),
        }
    }

    /// Asks, without waiting.
    fn tell(
        &mut self,
        question: &str,
        start: impl FnOnce(&ExpertSettings) -> Result<Process, String>,
    ) {
        self.asked = None;
        if let State::New = self.state {
            self.state = match start(&self.settings) {
                Ok(process) => State::Running(process),
                Err(why) => return self.stop(why),
            };
        }
        let State::Running(process) = &mut self.state else { return };
        // What came since the last question is late, or was never asked for.
        while let Some(heard) = process.already_heard() {
            match heard {
                Heard::Line(_) if self.owed > 0 => self.owed -= 1,
                Heard::Line(_) => return self.stop("it answers without being asked".into()),
                Heard::End(why) => return self.stop(why),
            }
        }
        if process.tell(question) {
            self.asked = Some(Instant::now());
        } else {
            self.fail("it does not read what it is asked".into());
        }
    }

    /// Waits for the answer to what it was told.
    fn hear(&mut self, case: &str) -> Result<Option<Opinion>, String> {
        let Some(asked) = self.asked.take() else { return Err(self.last.clone()) };
        let began = Instant::now();
        let heard = self.answer(case, asked + self.settings.timeout.0);
        self.waited += began.elapsed();
        match heard {
            Ok(opinion) => {
                self.in_a_row = 0;
                if self.waited > RUN_TIME_MAX {
                    self.stop(format!("it took more than {} s in all", RUN_TIME_MAX.as_secs()));
                }
                Ok(opinion)
            }
            Err(why) => {
                self.fail(why.clone());
                Err(why)
            }
        }
    }

    fn answer(&mut self, case: &str, until: Instant) -> Result<Option<Opinion>, String> {
        let State::Running(process) = &mut self.state else { return Err(self.last.clone()) };
        loop {
            let Some(heard) = process.hear(until.saturating_duration_since(Instant::now())) else {
                self.owed += 1;
                return Err(format!("no answer within {}", self.settings.timeout));
            };
            let line = match heard {
                Heard::Line(line) => line,
                Heard::End(why) => {
                    self.stop(why.clone());
                    return Err(why);
                }
            };
            let answer = answer(&self.settings.name, &line);
            let other = |answer: &consensus::outside::Answer| {
                answer.case.as_ref().is_some_and(|about| about != case)
            };
            // Answers come in the order of the questions, unless they name their case.
            let named = answer.as_ref().is_ok_and(|answer| answer.case.is_some() && !other(answer));
            if self.owed > 0 && !named {
                self.owed -= 1;
                continue;
            }
            self.owed = 0;
            return match answer {
                Ok(answer) if other(&answer) => Err("an answer about another case".into()),
                Ok(answer) => Ok(answer.opinion),
                Err(bad) => Err(bad.to_string()),
            };
        }
    }

    fn fail(&mut self, why: String) {
        self.failures += 1;
        self.in_a_row += 1;
        self.last = why;
        if self.in_a_row >= FAILURES_MAX {
            self.state = State::Stopped;
        }
    }

    fn stop(&mut self, why: String) {
        self.failures += 1;
        self.last = why;
        self.state = State::Stopped;
    }

    fn complaint(&self) -> Option<String> {
        let (name, last) = (&self.settings.name, scanner::redact::line(&self.last));
        match (&self.state, self.failures) {
            (State::Stopped, _) => Some(format!("{PREFIX}{name} stopped answering: {last}")),
            (_, 0) => None,
            (_, failures) => {
                Some(format!("{PREFIX}{name} gave no answer {failures} times: {last}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::{Kind, Privilege, Proof, Severity, Subject};

    fn evidence() -> Evidence {
        Evidence {
            check: "ssh-permit-root-login".into(),
            key: String::new(),
            title: "root may log in".into(),
            kind: Kind::Posture,
            proof: Proof::Direct,
            level: Severity::High,
            floor: None,
            privilege: Privilege::Root,
            services: Vec::new(),
            subject: Subject::default(),
            sources: Vec::new(),
            facts: Default::default(),
            tags: Vec::new(),
            count: 1,
            first: None,
            last: None,
        }
    }

    fn expert(script: &str, timeout: &str) -> Experts {
        let command = ["/bin/sh", "-c", script].map(String::from).to_vec();
        let timeout = timeout.parse().unwrap();
        Experts::new(&[ExpertSettings { name: "tool".into(), command, timeout }])
    }

    fn ask(experts: &mut Experts) -> Answers {
        experts.ask(&evidence(), &[0; 32])
    }

    const GOOD: &str = r#"while read -r q; do echo '{"severity":"low","rationale":"seen"}'; done"#;

    #[test]
    fn an_expert_answers_line_by_line_and_gets_the_evidence_with_its_case() {
        let mut experts = expert(GOOD, "10s");
        for _ in 0..3 {
            let answers = ask(&mut experts);
            assert_eq!(answers.opinions[0].expert, "outside:tool");
            assert_eq!(answers.opinions[0].level(), Severity::Low);
        }
        assert!(experts.complaints().is_empty());
        let echo = r#"read -r q; q=$(printf %s "$q" | tr -d '"{}' | tr , ' ');
            printf '{"severity":"low","rationale":"%s"}\n' "$q"; sleep 60"#;
        let said = ask(&mut expert(echo, "10s")).opinions.remove(0).rationale;
        assert!(
            said.starts_with("case:") && said.contains("check:ssh-permit-root-login"),
            "{said}"
        );
    }

    #[test]
    fn one_that_hangs_is_not_asked_for_ever() {
        let mut experts = expert("sleep 60", "20ms");
        for _ in 0..FAILURES_MAX {
            assert!(experts.complaints().iter().all(|line| !line.contains("stopped")));
            assert_eq!(ask(&mut experts).unanswered, ["outside:tool: no answer within 20ms"]);
        }
        let stopped = "outside:tool stopped answering: no answer within 20ms";
        assert_eq!(experts.complaints(), [stopped]);
        assert!(matches!(experts.experts[0].state, State::Stopped));
    }

    #[test]
    fn a_late_answer_is_not_taken_for_the_next_case() {
        // The first answer comes after its time, together with the second.
        let late = r#"read -r a; read -r b; echo '{"severity":"critical"}'; echo '{"severity":"low"}'; sleep 60"#;
        let mut experts = expert(late, "2s");
        assert!(ask(&mut experts).opinions.is_empty());
        assert_eq!(ask(&mut experts).opinions[0].level(), Severity::Low);
        assert_eq!(
            experts.complaints(),
            ["outside:tool gave no answer 1 times: no answer within 2s"]
        );
    }

    #[test]
    fn one_that_floods_is_stopped() {
        let flood = r#"read -r q; while :; do echo '{"severity":"info","confidence":1}'; done"#;
        let mut experts = expert(flood, "10s");
        assert_eq!(ask(&mut experts).opinions.len(), 1, "the first is an answer");
        // The next line is there before the next question: it may take a moment to come.
        for _ in 0..500 {
            if !experts.complaints().is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            ask(&mut experts);
        }
        assert_eq!(
            experts.complaints(),
            ["outside:tool stopped answering: it answers without being asked"]
        );
        let endless = r#"read -r q; while :; do printf xxxxxxxxxxxxxxxx; done"#;
        let mut experts = expert(endless, "10s");
        assert!(ask(&mut experts).opinions.is_empty());
        assert!(
            experts.complaints()[0].contains("a line longer than"),
            "{:?}",
            experts.complaints()
        );
    }

    #[test]
    fn garbage_and_posing_are_no_opinions() {
        let says = |line: &str| {
            let mut experts = expert(&format!("while read -r q; do echo '{line}'; done"), "10s");
            ask(&mut experts)
        };
        assert_eq!(
            says("!!").unanswered,
            ["outside:tool: an answer that is no opinion as a JSON object"]
        );
        let posing = says(r#"{"expert":"declared","severity":"info","confidence":1}"#);
        assert_eq!(posing.opinions, []);
        assert_eq!(posing.unanswered, ["outside:tool: an answer under the name of `declared`"]);
        let other = says(r#"{"case":"another","severity":"info"}"#);
        assert_eq!(other.unanswered, ["outside:tool: an answer about another case"]);
        assert_eq!(says(r#"{"abstain":true}"#), Answers::default());
    }

    #[test]
    fn an_expert_goes_on_from_run_to_run_and_a_stopped_one_starts_again_with_an_audit() {
        let counts = r#"n=0; while read -r q; do n=$((n+1)); echo "{\"severity\":\"low\",\"rationale\":\"$n\"}"; done"#;
        let mut experts = expert(counts, "10s");
        let settings = vec![experts.experts[0].settings.clone()];
        let said = |experts: &mut Experts| ask(experts).opinions.remove(0).rationale;
        assert_eq!(said(&mut experts), "1");
        let mut experts = experts.again(&settings, true);
        assert_eq!(said(&mut experts), "2");
        let mut experts = experts.again(&[], true);
        assert_eq!(ask(&mut experts), Answers::default());
        let mut ends = expert("exit 0", "10s");
        let settings = vec![ends.experts[0].settings.clone()];
        ask(&mut ends);
        let ends = ends.again(&settings, false);
        assert!(matches!(ends.experts[0].state, State::Stopped));
        assert_eq!(ends.complaints().len(), 1, "still said");
        assert!(matches!(ends.again(&settings, true).experts[0].state, State::New));
    }

    #[test]
    fn one_that_ends_or_is_not_there_is_said() {
        let mut ends = expert("echo broken >&2; exit 3", "10s");
        assert!(ask(&mut ends).opinions.is_empty());
        let said = ends.complaints().remove(0);
        assert!(said.contains("stopped answering: it ended"), "{said}");
        let settings = ExpertSettings {
            name: "none".into(),
            command: vec!["/nonexistent/expert".into()],
            timeout: "1s".parse().unwrap(),
        };
        let mut experts = Experts::new(&[settings]);
        assert!(ask(&mut experts).opinions.is_empty());
        let said = experts.complaints().remove(0);
        assert!(said.starts_with("outside:none stopped answering: /nonexistent/expert"), "{said}");
    }

    #[test]
    fn it_cannot_gain_rights() {
        let status = r#"read -r q; set -- $(grep NoNewPrivs /proc/self/status); printf '{"severity":"low","rationale":"%s"}\n' "$2"; sleep 60"#;
        assert_eq!(ask(&mut expert(status, "10s")).opinions.remove(0).rationale, "1");
    }

    #[test]
    fn nothing_of_the_environment_reaches_it_and_its_children_end_with_it() {
        let env = r#"read -r q; v=$(env | cut -d= -f1 | sort | tr '\n' ' ');
            sleep 6543 & printf '{"severity":"low","rationale":"%s pid %s."}\n' "$v" $!; wait"#;
        let mut experts = expert(env, "10s");
        let said = ask(&mut experts).opinions.remove(0).rationale;
        let (names, pid) = said.split_once(" pid ").unwrap();
        let own = ["LANG", "OLDPWD", "PATH", "PWD", "SHLVL", "_"];
        assert!(names.split(' ').all(|name| name.is_empty() || own.contains(&name)), "{names}");
        let pid = pid.trim_end_matches('.').to_string();
        drop(experts);
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ") || !stat.contains("(sleep)")
        };
        for _ in 0..500 {
            if gone() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{pid} still runs");
    }
}
