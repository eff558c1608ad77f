//! Who is asked: what an expert needs before it can have anything to say.

use crate::{Context, Evidence, Kind, Severity};

/// What must be there for an expert to have anything to say: one of these kinds of evidence, and all
/// of these things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    kinds: u8,
    things: u16,
}

impl Needs {
    /// Nothing: it may be asked about everything.
    pub const NOTHING: Self = Self { kinds: 0b1111, things: 0 };
    /// States only: no activities.
    pub const STATE: Self = Self { kinds: 0b0111, things: 0 };
    /// Activities only.
    pub const ACTIVITY: Self = Self { kinds: 1 << Kind::Activity as u8, things: 0 };

    /// And a level above `info`.
    pub const fn raised(self) -> Self {
        self.and(Self::RAISED)
    }
    /// And a service that is concerned.
    pub const fn service(self) -> Self {
        self.and(Self::SERVICE)
    }
    /// And an address, account or file that is concerned.
    pub const fn subject(self) -> Self {
        self.and(Self::SUBJECT)
    }
    /// And listening sockets that were looked at.
    pub const fn listeners(self) -> Self {
        self.and(Self::LISTENERS)
    }
    /// And logs that were looked at.
    pub const fn logs(self) -> Self {
        self.and(Self::LOGS)
    }
    /// And a past of this host.
    pub const fn history(self) -> Self {
        self.and(Self::HISTORY)
    }

    /// And an address that is concerned.
    pub const fn address(self) -> Self {
        self.and(Self::ADDRESS)
    }
    /// And an account that is concerned.
    pub const fn user(self) -> Self {
        self.and(Self::USER)
    }
    /// And counts of this host's past.
    pub const fn past(self) -> Self {
        self.and(Self::PAST)
    }
    /// And changes that were looked for.
    pub const fn changes(self) -> Self {
        self.and(Self::CHANGES)
    }

    const RAISED: u16 = 1;
    const SERVICE: u16 = 1 << 1;
    const SUBJECT: u16 = 1 << 2;
    const LISTENERS: u16 = 1 << 3;
    const LOGS: u16 = 1 << 4;
    const HISTORY: u16 = 1 << 5;
    const ADDRESS: u16 = 1 << 6;
    const USER: u16 = 1 << 7;
    const PAST: u16 = 1 << 8;
    const CHANGES: u16 = 1 << 9;

    const fn and(self, thing: u16) -> Self {
        Self { things: self.things | thing, ..self }
    }

    /// What a case has to offer.
    pub fn offered(evidence: &Evidence, context: &Context) -> Self {
        let subject = &evidence.subject;
        let named = subject.ip.is_some() || subject.user.is_some() || subject.path.is_some();
        let things = [
            (Self::RAISED, evidence.level > Severity::Info),
            (Self::SERVICE, !evidence.services.is_empty()),
            (Self::SUBJECT, named),
            (Self::LISTENERS, context.services_known),
            (Self::LOGS, context.logs_known),
            (Self::HISTORY, context.new_subjects.is_some()),
            (Self::ADDRESS, subject.ip.is_some()),
            (Self::USER, subject.user.is_some()),
            (Self::PAST, context.past.is_some()),
            (Self::CHANGES, context.changes.is_some()),
        ];
        let things = things.into_iter().filter(|(_, there)| *there).map(|(thing, _)| thing).sum();
        Self { kinds: 1 << evidence.kind as u8, things }
    }

    /// Whether what is offered is enough.
    pub const fn met_by(self, offered: Self) -> bool {
        self.kinds & offered.kinds != 0 && self.things & !offered.things == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exposure;
    use crate::experts::tests::{listening, posture};

    #[test]
    fn needs_are_met_by_the_kind_and_every_thing() {
        let offered = Needs::offered(&posture(Severity::Low), &listening(Exposure::World));
        assert!(Needs::NOTHING.met_by(offered));
        assert!(Needs::STATE.raised().service().listeners().logs().met_by(offered));
        assert!(!Needs::STATE.history().met_by(offered));
        assert!(!Needs::STATE.subject().met_by(offered));
        assert!(!Needs::ACTIVITY.met_by(offered));
        let calm = Needs::offered(&posture(Severity::Info), &Context::default());
        assert!(!Needs::STATE.raised().met_by(calm));
        assert!(!Needs::STATE.listeners().met_by(calm));
    }
}
