//! One child: started, told what to do, answered meanwhile, and ended.

use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Level;
use super::broker::Broker;
use super::message::{Done, FROM_CHILD_BYTES_MAX, FromChild, Order};
use super::nursery;
use super::wire::Socket;
use crate::settings::ExpertSettings;

/// How long a child may take to give up its rights.
const START_WITHIN: Duration = Duration::from_secs(20);
/// What of the environment a child gets: the zone of stamps that name none.
const VARIABLES: [&str; 2] = ["TZ", "TZDIR"];

/// A child; it is killed when this is dropped.
pub struct Child {
    process: std::process::Child,
    socket: Socket,
    begun: bool,
}

impl Child {
    /// Starts one, and says what it gave up.
    pub fn start(mut command: Command) -> Result<(Self, Level), String> {
        let (socket, other) = Socket::pair().map_err(|error| error.to_string())?;
        command.env_clear();
        for name in VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // A group of its own: who ends the service at a terminal does not end a look before it is stored.
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::from(other)).stdout(Stdio::null());
        let process = nursery::start(command).map_err(|error| error.to_string())?;
        let child = Self { process, socket, begun: false };
        match child.hear(Instant::now() + START_WITHIN)? {
            Done::Closed(level) => Ok((child, level)),
            _ => Err("it does not say what it gave up".into()),
        }
    }

    /// Its process.
    #[cfg(test)]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it was told what to look at.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Has an order done, and answers what it asks meanwhile; an error is the child's end.
    pub fn obey(
        &mut self,
        order: &Order,
        broker: &mut Broker,
        experts: &[ExpertSettings],
        within: Duration,
    ) -> Result<Done, String> {
        let by = Instant::now() + within;
        let bytes = serde_json::to_vec(order).map_err(|error| error.to_string())?;
        self.socket.send(&bytes, &[]).map_err(|error| self.why(&error))?;
        broker.begin(matches!(order, Order::Sweep { .. }));
        loop {
            let bytes = self.receive(by)?;
            match FromChild::of(&bytes).ok_or("it says what makes no sense")? {
                FromChild::Ask(ask) => {
                    let (answer, descriptors) = broker.answer(ask, experts)?;
                    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
                    self.socket.send(&answer, &descriptors).map_err(|error| self.why(&error))?;
                }
                FromChild::Done(done) => {
                    self.begun |= matches!((order, &*done), (Order::Begin(_), Done::Yes));
                    return Ok(*done);
                }
            }
        }
    }

    fn hear(&self, by: Instant) -> Result<Done, String> {
        match FromChild::of(&self.receive(by)?) {
            Some(FromChild::Done(done)) => Ok(*done),
            _ => Err("it says what makes no sense".into()),
        }
    }

    fn receive(&self, by: Instant) -> Result<Vec<u8>, String> {
        match self.socket.receive(FROM_CHILD_BYTES_MAX, Some(by)) {
            Ok(Some(message)) if message.descriptors.is_empty() => Ok(message.bytes),
            Ok(Some(_)) => Err("it sends descriptors".into()),
            Ok(None) => Err("it ended".into()),
            Err(error) => Err(self.why(&error)),
        }
    }

    fn why(&self, error: &std::io::Error) -> String {
        match error.kind() {
            std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => {
                "it took too long".into()
            }
            std::io::ErrorKind::BrokenPipe => "it ended".into(),
            _ => error.to_string(),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
