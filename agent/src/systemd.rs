//! Talks to systemd: readiness, status, reloads, the watchdog and the end (sd_notify(3)).
//!
//! A datagram to `$NOTIFY_SOCKET`, a path or an abstract name (`@…`). Outside of systemd nothing is
//! sent, and a lost message is no reason to stop: every call is without a result. The watchdog is fed
//! by the loop that does the work and by nothing else, or it would prove nothing.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Longest status line.
const STATUS_CHARS_MAX: usize = 200;

/// The way to the service manager, if there is one.
pub struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub fn from_environment() -> Self {
        let text = |name: &str| std::env::var(name).ok();
        let ours = text("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = text("WATCHDOG_USEC").and_then(|usec| usec.parse().ok()).filter(|_| ours);
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| connect(&name).ok());
        Self { socket, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// How often the watchdog wants to be fed at the latest: half of its patience.
    pub fn feed_every(&self) -> Option<Duration> {
        self.watchdog.map(|patience| patience / 2)
    }

    /// The work can begin, or goes on after a reload.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        let safe: String =
            line.chars().filter(|char| !char.is_control()).take(STATUS_CHARS_MAX).collect();
        self.send(&format!("STATUS={safe}"));
    }

    /// The work goes on.
    pub fn feed_watchdog(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
    }

    /// A reload begins; systemd 253 and newer want the time with it.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// The end begins.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }
}

fn connect(name: &OsStr) -> std::io::Result<UnixDatagram> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that does not read must not stop the service.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn talk(socket: &UnixDatagram, name: &OsStr) {
        let watchdog = Some(Duration::from_secs(30));
        let notifier = Notifier { socket: Some(connect(name).unwrap()), watchdog };
        notifier.ready();
        assert_eq!(heard(socket), "READY=1");
        notifier.status(&format!("one line\nREADY=0{}", "x".repeat(500)));
        let status = heard(socket);
        assert!(status.starts_with("STATUS=one lineREADY=0x") && !status.contains('\n'));
        assert!(status.len() <= "STATUS=".len() + STATUS_CHARS_MAX);
        notifier.reloading();
        let reloading = heard(socket);
        let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(usec.parse::<u64>().unwrap() > 0);
        notifier.feed_watchdog();
        assert_eq!(heard(socket), "WATCHDOG=1");
        notifier.stopping();
        assert_eq!(heard(socket), "STOPPING=1");
        assert_eq!(notifier.feed_every(), Some(Duration::from_secs(15)));
    }

    #[test]
    fn speaks_to_a_path_and_to_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        talk(&UnixDatagram::bind(&path).unwrap(), path.as_os_str());
        let name = format!("wardmote-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        talk(&UnixDatagram::bind_addr(&address).unwrap(), OsStr::new(&format!("@{name}")));
    }

    #[test]
    fn nobody_to_talk_to_is_fine() {
        assert!(connect(OsStr::new("/nonexistent/notify")).is_err());
        let notifier = Notifier { socket: None, watchdog: None };
        notifier.ready();
        notifier.feed_watchdog();
        assert_eq!(notifier.feed_every(), None);
    }
}
