//! What the scan of own addresses relies on, asked of this kernel before it is relied on.
//!
//! Linux answers a SYN to an own address before `connect` returns, tells the outcome to a second
//! `connect`, and lets a socket that was refused, or connected to nowhere, connect again from the port
//! it is bound to. POSIX leaves that unspecified, and other kernels and sandboxes (gVisor) differ.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::io::Errno;

use super::source::{SOURCES, bound, local_port};

/// How sockets are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One socket for many ports, and a second `connect` for the answer.
    Reused,
    /// A socket a port, and poll(2) for the answer: holds everywhere.
    Fresh,
}

/// The way that this kernel allows; tried once a process.
pub fn way() -> Way {
    static WAY: OnceLock<Way> = OnceLock::new();
    if let Some(way) = WAY.get() {
        return *way;
    }
    match holds() {
        Ok(true) => *WAY.get_or_init(|| Way::Reused),
        Ok(false) => *WAY.get_or_init(|| Way::Fresh),
        // Out of descriptors, perhaps: another time it may be known.
        Err(_) => Way::Fresh,
    }
}

/// Two refusals, an acceptance and a refusal through one socket. The listener lives for these few calls, on an
/// address that only scans use.
fn holds() -> Result<bool, Errno> {
    let [from, to] = SOURCES.map(IpAddr::V4);
    let (socket, port) = bound(from)?;
    let (silent, closed) = bound(to)?;
    for _ in 0..2 {
        if asked(&socket, to, closed) != Err(Errno::CONNREFUSED) || local_port(&socket)? != port {
            return Ok(false);
        }
    }
    rustix::net::listen(&silent, 1)?;
    let accepted = asked(&socket, to, closed).is_ok() && local_port(&socket)? == port;
    rustix::net::connect_unspec(&socket)?;
    drop(silent);
    let refused = asked(&socket, to, closed) == Err(Errno::CONNREFUSED);
    Ok(accepted && refused && local_port(&socket)? == port)
}

/// Two connects; what the second one says.
fn asked(socket: &OwnedFd, address: IpAddr, port: u16) -> Result<(), Errno> {
    let target = SocketAddr::new(address, port);
    match rustix::net::connect(socket, &target) {
        Err(Errno::INPROGRESS) => match rustix::net::connect(socket, &target) {
            Err(Errno::ISCONN) => Ok(()),
            said => said,
        },
        said => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_holds() {
        assert_eq!(holds(), Ok(true));
        assert_eq!(way(), Way::Reused);
    }
}
