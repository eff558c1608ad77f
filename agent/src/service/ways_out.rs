//! How the service reaches others, as its configuration says: targets of notifications, doors to the metrics.

use super::{Parts, Service};
use crate::control::metrics::Doors;
use crate::notices::{Notice, tell};
use crate::notify::Desk;
use crate::notify::handover::Handover;
use crate::settings::{AgentSettings, Settings};

impl Service {
    /// Opens the ways out that the configuration names; the old ones stay when that fails, and it is said.
    pub(super) fn open_desk(&mut self) {
        let Parts { settings, state_directory, clock, .. } = &self.parts;
        let opened = Handover::find(&settings.agent).map_err(anyhow::Error::from);
        let opened = opened.and_then(|handover| {
            Desk::open(&settings.notify, state_directory, handover.as_ref(), *clock)
        });
        match opened {
            Ok(desk) => {
                self.desk = desk;
                self.no_desk = None;
            }
            Err(error) => {
                let trouble = scanner::redact::line(&format!("no notifications: {error:#}"));
                tell(Notice::Trouble, None, &[], &format!("error: {trouble}"));
                self.no_desk = Some(trouble);
            }
        }
    }

    pub(super) fn wants_other_desk(&self, before: &Settings) -> bool {
        let place = |settings: &Settings| (settings.agent.deliver, settings.agent.spool.clone());
        let now = &self.parts.settings;
        before.notify != now.notify || place(before) != place(now) || self.no_desk.is_some()
    }

    /// Opens the doors to the metrics; what could not be opened is said and stops nothing.
    pub(super) fn open_doors(&mut self) {
        let Parts { settings, state_directory, shared, .. } = &self.parts;
        // The old ones first: the new ones may be at the same place.
        self.doors = Doors::default();
        let (doors, trouble) = Doors::open(&settings.agent, state_directory, shared);
        if let Some(trouble) = &trouble {
            say!("wardmote: error: {trouble}");
        }
        (self.doors, self.no_doors) = (doors, trouble);
    }

    pub(super) fn wants_other_doors(&self, before: &AgentSettings) -> bool {
        let now = &self.parts.settings.agent;
        let same = before.metrics_socket == now.metrics_socket
            && before.metrics_listen == now.metrics_listen;
        !same || self.no_doors.is_some()
    }
}
