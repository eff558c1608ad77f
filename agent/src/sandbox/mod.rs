//! The service's look runs in a child process that holds no right: whoever finds a way into a parser of
//! hostile text finds nothing there to open, to connect to, to start or to signal.
//!
//! Two processes of one binary. The **broker** is the service: it holds the one capability, the store, the
//! firewall, the keys, and reads no log and no configuration of the host's. The **child** holds [`Host`], the
//! look itself: rules, parsers, judges. It has no capability, no network, no file of its own
//! ([`close`]: landlock with every right handled and no path allowed, a list of system calls of which none
//! takes a path or makes a socket, no new privileges, bounded memory); all that it needs it asks for over one
//! pair of sockets ([`wire`]), and [`broker`] answers: a file that is regular, below the root, and none of the
//! service's own secrets; facts about entries; kernel tables out of a list of two; the answers of the host's
//! programs, which are listed there, not named by the child; files of the state by their place in a list.
//!
//! What comes from the child is hostile: bounded, decoded without a panic, its texts made printable and its
//! numbers brought into range before anybody uses them ([`clean`]). A child that breaks the protocol, takes
//! too long or dies makes that look fail, which is told; the next one starts another child, later each time.
//! Nothing is lost by it: the broker keeps the place in the logs only when what was seen is stored and told,
//! and it writes it down itself, so that the child's death in between neither loses nor doubles anything.
//!
//! A child costs memory (rules, parsers): it ends after an audit and when there was nothing to do for
//! [`proxy::REST_AFTER`], and leaves what the next one needs. While no file that the last look asked for has
//! changed, the broker does not ask for another ([`changes`]).
//!
//! The responder stays with the broker: what was judged comes back with the answer, and is offered there.
//!
//! [`Host`]: crate::service::host::Host

mod asked;
mod broker;
mod changes;
pub mod child;
mod clean;
mod close;
mod level;
mod message;
mod nursery;
mod process;
pub mod proxy;
mod syscalls;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

pub use level::Level;
pub use proxy::Proxy;
