//! Where the scan of own addresses connects from: an address that only scans use, and a socket that
//! keeps its port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};

use crate::ports::addresses::unmapped;

/// How often another process may take the port that the kernel just chose.
const BINDS_MAX: usize = 16;
/// Ports tried where the kernel has none to choose.
const BEYOND_MAX: u16 = 64;
/// The loopback addresses that connections come from, unless they are the target: nothing else uses
/// them, so that what daemons log of a scan can be told from what others did. Connections to IPv6
/// addresses come from `::1`.
pub const SOURCES: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 77, 1, 1), Ipv4Addr::new(127, 77, 1, 2)];

/// An address to come from that is not the target, if this host has one.
pub(super) fn source(target: IpAddr) -> Option<IpAddr> {
    let reaches = |from: &IpAddr| bound(*from).is_ok();
    match target {
        IpAddr::V4(_) => {
            let mut other = (0..SOURCES.len()).filter(|nth| IpAddr::V4(SOURCES[*nth]) != target);
            other.find(|nth| is_here(*nth)).map(|nth| IpAddr::V4(SOURCES[nth]))
        }
        IpAddr::V6(_) => Some(IpAddr::V6(Ipv6Addr::LOCALHOST))
            .filter(|one| *one != target && unmapped(target).is_ipv6())
            .filter(reaches),
    }
}

/// Whether this host has one of our addresses. What has been seen once is not asked for each host anew; a
/// refusal may be for want of descriptors, and is.
fn is_here(nth: usize) -> bool {
    static SEEN: [AtomicBool; SOURCES.len()] = [const { AtomicBool::new(false) }; SOURCES.len()];
    if SEEN[nth].load(Ordering::Relaxed) {
        return true;
    }
    let is_here = bound(IpAddr::V4(SOURCES[nth])).is_ok();
    SEEN[nth].store(is_here, Ordering::Relaxed);
    is_here
}

/// A socket bound to an address and a port, with that port. The kernel chooses the port and it is then
/// bound by its number: only a port that was asked for stays with the socket after a refusal
/// (SOCK_BINDPORT_LOCK); otherwise each connect would take another, perhaps the one it asks.
pub(super) fn bound(address: IpAddr) -> Result<(OwnedFd, u16), Errno> {
    for _ in 0..BINDS_MAX {
        let chosen = socket(address)?;
        match rustix::net::bind(&chosen, &SocketAddr::new(address, 0)) {
            Ok(()) => {}
            Err(Errno::ADDRINUSE) => return beyond(address),
            Err(errno) => return Err(errno),
        }
        let port = local_port(&chosen)?;
        drop(chosen);
        match bound_to(address, port) {
            Err(Errno::ADDRINUSE) => {}
            other => return other,
        }
    }
    Err(Errno::ADDRINUSE)
}

fn bound_to(address: IpAddr, port: u16) -> Result<(OwnedFd, u16), Errno> {
    let socket = socket(address)?;
    rustix::net::bind(&socket, &SocketAddr::new(address, port))?;
    Ok((socket, port))
}

/// The kernel's own range is used up (it may hold a handful of ports): some port beyond it.
fn beyond(address: IpAddr) -> Result<(OwnedFd, u16), Errno> {
    for nth in 0..BEYOND_MAX {
        // Far apart, so that no block of ports in use takes them all.
        let port = u16::MAX - (nth * 619) % 60_000;
        match bound_to(address, port) {
            Err(Errno::ADDRINUSE) => {}
            other => return other,
        }
    }
    Err(Errno::ADDRINUSE)
}

pub(super) fn local_port(socket: &OwnedFd) -> Result<u16, Errno> {
    Ok(SocketAddr::try_from(rustix::net::getsockname(socket)?)?.port())
}

fn socket(of: IpAddr) -> Result<OwnedFd, Errno> {
    let family = if of.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
}
