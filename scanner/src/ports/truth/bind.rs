//! The bind view: which TCP ports are taken, asked by binding a socket to each.
//!
//! Bind only, never `listen`: no other program can ever connect to these sockets, no packet is sent and
//! no log line is written. `SO_REUSEADDR` is set, so that a daemon that sets it too (nearly all do) can
//! bind the same port in the same microsecond, and connections in TIME_WAIT that had it do not count.
//! One socket of IPv6 without `IPV6_V6ONLY` asks for both families; only where it is refused are the
//! families asked apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

/// Threads that bind.
const WORKERS: usize = 2;
/// Ports below this one need CAP_NET_BIND_SERVICE, unless the host says otherwise.
const PRIVILEGED: u16 = 1024;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

impl Family {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Four,
            IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => Self::Four,
            IpAddr::V6(_) => Self::Six,
        }
    }

    /// Its wildcard address.
    pub fn any(self) -> IpAddr {
        match self {
            Self::Four => Ipv4Addr::UNSPECIFIED.into(),
            Self::Six => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// What binding told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Ports that are in use.
    pub ports: BTreeSet<(Family, u16)>,
    /// Ports that could be asked.
    pub asked: BTreeSet<u16>,
    /// Why some were not.
    pub unasked: Option<String>,
}

/// Asks each of the ports.
pub fn look(ports: &[u16]) -> Taken {
    let parts = ports.chunks(ports.len().div_ceil(WORKERS).max(1));
    let told: Vec<Taken> = std::thread::scope(|scope| {
        let workers: Vec<_> = parts.map(|part| scope.spawn(|| look_part(part))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect()
    });
    let mut taken = Taken::default();
    for part in told {
        taken.ports.extend(part.ports);
        taken.asked.extend(part.asked);
        taken.unasked = taken.unasked.or(part.unasked);
    }
    taken
}

fn look_part(ports: &[u16]) -> Taken {
    let mut taken = Taken::default();
    let mut both = true;
    let mut refused: Option<(usize, u16, Errno)> = None;
    for &port in ports {
        match ask(port, &mut both, &mut taken.ports) {
            Ok(()) => {
                taken.asked.insert(port);
            }
            Err(errno) => {
                let told = refused.get_or_insert((0, port, errno));
                told.0 += 1;
                if told.0 == usize::from(PRIVILEGED) && taken.asked.is_empty() {
                    break;
                }
            }
        }
    }
    taken.unasked = refused.map(|(count, first, errno)| {
        let why = match errno {
            Errno::ACCESS | Errno::PERM => "no CAP_NET_BIND_SERVICE".to_string(),
            other => other.to_string(),
        };
        format!("bind view: {count} ports (from {first} on) were not asked: {why}")
    });
    taken
}

/// Asks one port; `both` is whether one socket can ask for both families.
fn ask(port: u16, both: &mut bool, taken: &mut BTreeSet<(Family, u16)>) -> Result<(), Errno> {
    if *both {
        match bind(Family::Six, false, port) {
            Ok(()) => return Ok(()),
            Err(Errno::ADDRINUSE) => {}
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::PROTONOSUPPORT) => *both = false,
            Err(errno) => return Err(errno),
        }
    }
    for family in [Family::Four, Family::Six] {
        match bind(family, true, port) {
            Ok(()) => {}
            Err(Errno::ADDRINUSE) => {
                taken.insert((family, port));
            }
            // A host without the family has no port of it in use.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::PROTONOSUPPORT)
                if family == Family::Six => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn bind(family: Family, only: bool, port: u16) -> Result<(), Errno> {
    let socket = socket(family)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if family == Family::Six {
        sockopt::set_ipv6_v6only(&socket, only)?;
    }
    rustix::net::bind(&socket, &SocketAddr::new(family.any(), port))
}

fn socket(family: Family) -> Result<OwnedFd, Errno> {
    let family = match family {
        Family::Four => AddressFamily::INET,
        Family::Six => AddressFamily::INET6,
    };
    rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_is_taken_by_a_listener_of_its_family_on_any_address() {
        let four = TcpListener::bind("127.0.0.1:0").unwrap();
        let six = TcpListener::bind("[::1]:0").unwrap();
        let (of_four, of_six) =
            (four.local_addr().unwrap().port(), six.local_addr().unwrap().port());
        let taken = look(&[of_four, of_six]);
        assert!(taken.ports.contains(&(Family::Four, of_four)));
        assert!(taken.ports.contains(&(Family::Six, of_six)));
        assert_eq!(taken.asked.len(), 2);
        assert_eq!(taken.unasked, None);
        drop((four, six));
        let free = look(&[of_four]);
        assert!(free.ports.is_empty() && free.asked.contains(&of_four));
        assert_eq!(look(&[]), Taken::default());
    }

    #[test]
    fn binding_never_lets_anybody_connect() {
        let port = {
            let chosen = TcpListener::bind("127.0.0.1:0").unwrap();
            chosen.local_addr().unwrap().port()
        };
        let asking = std::thread::spawn(move || {
            for _ in 0..2_000 {
                look(&[port]);
            }
        });
        while !asking.is_finished() {
            assert!(std::net::TcpStream::connect(("127.77.3.3", port)).is_err());
        }
        asking.join().unwrap();
    }
}
