//! Does what is asked over the socket, by the same functions as the commands do it where no service runs.

use std::path::PathBuf;

use super::Shared;
use super::words::{Ask, Done, Form, Question, Reply, VERSION, Who};
use crate::commands::{alerts, explain, feedback, respond};
use crate::exit::{hinted, say};
use crate::govern::Ledger;
use crate::service::record::SharedRecorder;

/// What answers are made from.
#[derive(Clone)]
pub struct Answers {
    /// The state directory.
    pub state: PathBuf,
    /// How things are, and what holds.
    pub shared: Shared,
    /// The way to the journal, for what operators decide.
    pub recorder: SharedRecorder,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Root, or the service's own user: may say for whom it asks.
    Trusted(u32),
    /// An operator whom the configuration names.
    Operator(u32),
    /// Anybody else.
    Stranger(u32),
}

impl Answers {
    /// Who this user is to us.
    pub fn peer(&self, uid: u32) -> Peer {
        if uid == 0 || uid == rustix::process::geteuid().as_raw() {
            return Peer::Trusted(uid);
        }
        let operators = self.shared.settings().agent.operators;
        let name = respond::name_of(uid);
        let is_one = |known: &String| *known == name || *known == uid.to_string();
        match operators.iter().any(is_one) {
            true => Peer::Operator(uid),
            false => Peer::Stranger(uid),
        }
    }

    /// The answer's line, without its end. Blocking.
    pub fn line(&self, question: &[u8], peer: Peer) -> Vec<u8> {
        let reply = match (peer, serde_json::from_slice::<Question>(question)) {
            (Peer::Stranger(uid), _) => Reply::of_error(&hinted(
                format!("user {uid} is no operator of wardmote here"),
                "use sudo, or have root name you under agent.operators in the configuration",
            )),
            (_, Ok(asked)) if asked.v != VERSION => Reply::of_error(&hinted(
                format!("the service speaks version {VERSION}, not {}", asked.v),
                "systemctl restart wardmote after an upgrade",
            )),
            (_, Ok(Question { ask: Ask::Status, .. })) => {
                return serde_json::to_vec(&self.shared.status()).unwrap_or_default();
            }
            (_, Ok(asked)) => self.reply(asked, peer),
            (_, Err(_)) => Reply::of_error(&hinted(
                "no such question",
                "systemctl restart wardmote after an upgrade",
            )),
        };
        serde_json::to_vec(&reply).unwrap_or_default()
    }

    fn reply(&self, asked: Question, peer: Peer) -> Reply {
        let (state, now) = (&self.state, jiff::Timestamp::now().as_second());
        let who = match (peer, asked.who) {
            (Peer::Trusted(_), Some(who)) => who,
            // Where the others come from only protects them from themselves.
            (Peer::Trusted(uid) | Peer::Operator(uid) | Peer::Stranger(uid), who) => {
                Who { uid, from: who.and_then(|who| who.from) }
            }
        };
        let change = |what| {
            let settings = self.shared.settings();
            let ledger = Box::new(self.recorder.clone()) as Box<dyn Ledger + Send>;
            respond::decide(state, &settings, ledger, &who, what, now)
        };
        let plain =
            |text: anyhow::Result<String>| text.map(|text| Done { text, notes: Vec::new() });
        let done = match asked.ask {
            Ask::Status => return Reply::of_error(&hinted("status is no work", "")),
            Ask::Alerts { from, days, form } => plain(alerts::listed(state, from, days, form, now)),
            Ask::Show { id, form } => plain(alerts::shown(state, &id, form)),
            Ask::Explain { id, form } => plain(explain::explained(state, &id, form)),
            Ask::Feedback { id, word, note } => {
                feedback::said(state, &id, word, &note, who.uid, now)
            }
            Ask::Requests { all, form } => plain(respond::list::run(state, all, form, now)),
            ref what @ (Ask::Approve { id } | Ask::Deny { id } | Ask::Confirm { id }) => {
                if let Some(why) = respond::lacks(state, id, what) {
                    return Reply::Yourself { why };
                }
                let said = match what {
                    Ask::Approve { .. } => respond::Said::Approve(id),
                    Ask::Deny { .. } => respond::Said::Deny(id),
                    _ => respond::Said::Confirm(id),
                };
                say(format_args!("wardmote: user {} says {said:?}", who.uid));
                plain(change(said))
            }
        };
        match done {
            Ok(Done { text, notes }) => Reply::Said { text, notes },
            Err(error) => Reply::of_error(&error),
        }
    }
}

impl Form {
    /// Whether it is for a terminal with colours.
    pub fn color(self) -> bool {
        self == Self::Colored
    }
}
