//! Every listening socket, from the kernel.
//!
//! TCP sockets in LISTEN and unconnected UDP sockets, IPv4 and IPv6, of this network namespace, asked
//! with NETLINK_SOCK_DIAG (sock_diag(7)); where that is refused, read from `/proc/net`, which is said.
//! SCTP, raw and packet sockets are not looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use parsers::config::lines;
use parsers::tree::Tree;
use serde::{Deserialize, Serialize};

use super::netlink::{NetlinkError, ask, attributes, u32_at};
use crate::gate::Table;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// `TCP_TIME_WAIT`.
pub const TCP_TIME_WAIT: u8 = 6;
/// `TCP_CLOSE`.
pub const TCP_CLOSE: u8 = 7;
/// `TCP_BOUND_INACTIVE` (Linux 6.8): bound, and neither listening nor connected.
pub const TCP_BOUND_INACTIVE: u8 = 13;
const TCP_LISTEN: u8 = 10;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_MARK: u16 = 15;
const INET_DIAG_CGROUP_ID: u16 = 21;
const INET_DIAG_MSG_BYTES: usize = 72;
/// `INET_DIAG_NOCOOKIE`: the kernel gave none.
const NO_COOKIE: u64 = u64::MAX;
/// Most bytes of one `/proc/net` table (about 200,000 sockets).
const TABLE_BYTES_MAX: usize = 32 << 20;

/// Transport of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// The lower-case name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Tcp => IPPROTO_TCP,
            Self::Udp => IPPROTO_UDP,
        }
    }

    fn state(self) -> u8 {
        match self {
            Self::Tcp => TCP_LISTEN,
            Self::Udp => TCP_CLOSE,
        }
    }
}

/// One listening socket before anybody asked who holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Socket {
    /// Transport.
    pub transport: Transport,
    /// Bound port.
    pub port: u16,
    /// Bound address.
    pub address: IpAddr,
    /// Whether an IPv6 wildcard also accepts IPv4.
    pub dual_stack: bool,
    /// Owner of the socket.
    pub uid: u32,
    /// Inode.
    pub inode: u32,
    /// Connections waiting to be accepted and the most that may wait; (0, 0) for UDP.
    pub queue: (u32, u32),
    /// Control group the socket was made in, where the kernel tells.
    pub cgroup: Option<u64>,
    /// The kernel's name for the socket, never used twice until the next boot; `None` from `/proc/net`.
    pub cookie: Option<u64>,
    /// Firewall mark (`SO_MARK`), where there is one.
    pub mark: Option<u32>,
}

impl Socket {
    /// Whether the accept queue is full; see [`saturated`].
    pub fn is_saturated(&self) -> bool {
        self.cookie.is_some() && saturated(self.queue)
    }
}

/// Whether an accept queue of so many of at most so many is full. The kernel lets one more in than the
/// backlog says (`sk_acceptq_is_full`), so that at the backlog the next connection is the last.
pub fn saturated((waiting, most): (u32, u32)) -> bool {
    waiting > 0 && waiting >= most
}

/// Every listening socket sorted by transport, port and address, and what could not be looked at.
pub fn sockets(tree: &dyn Tree) -> (Vec<Socket>, Vec<String>) {
    let mut sockets = Vec::new();
    let mut incomplete = Vec::new();
    for transport in [Transport::Tcp, Transport::Udp] {
        for family in [AF_INET, AF_INET6] {
            match from_kernel(transport, family) {
                Ok(found) => sockets.extend(found),
                Err(error) => {
                    let (found, told) = from_table(tree, transport, family, &error);
                    sockets.extend(found);
                    incomplete.push(told);
                }
            }
        }
    }
    sockets.sort();
    sockets.dedup();
    (sockets, incomplete)
}

/// Every listening socket from the kernel's dump alone: of the network namespace of this thread.
pub fn from_netlink() -> Result<Vec<Socket>, NetlinkError> {
    let mut sockets = Vec::new();
    for transport in [Transport::Tcp, Transport::Udp] {
        for family in [AF_INET, AF_INET6] {
            sockets.extend(from_kernel(transport, family)?);
        }
    }
    Ok(sockets)
}

/// Every listening socket from `/proc/net` alone, or why it could not be read whole. A kernel without
/// IPv6 has no tables of it.
pub fn from_tables(tree: &dyn Tree) -> Result<Vec<Socket>, String> {
    let mut sockets = Vec::new();
    for (name, transport) in [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ] {
        let path = format!("/proc/net/{name}");
        match tree.read(Path::new(&path), TABLE_BYTES_MAX) {
            Ok(bytes) => {
                let (found, malformed) = table(transport, &bytes);
                if malformed > 0 {
                    return Err(format!("{path}: {malformed} lines were not understood"));
                }
                sockets.extend(found);
            }
            Err(absent) if absent.not_found() && name.ends_with('6') => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(sockets)
}

/// TCP sockets that do not listen: local address, port, state.
pub fn not_listening() -> Result<Vec<(IpAddr, u16, u8)>, NetlinkError> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let states = !(1_u32 << TCP_LISTEN);
        let answers = ask(Table::Sockets { family, protocol: IPPROTO_TCP, states })?;
        found.extend(answers.iter().filter_map(|answer| place(answer)));
    }
    Ok(found)
}

/// Whether this kernel shows sockets that are bound and inactive: one is made, and looked for.
pub fn shows_inactive() -> bool {
    let Ok(bound) = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        Some(rustix::net::ipproto::TCP),
    ) else {
        return false;
    };
    let any = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let port = rustix::net::bind(&bound, &any)
        .and_then(|()| rustix::net::getsockname(&bound))
        .ok()
        .and_then(|name| std::net::SocketAddr::try_from(name).ok())
        .map(|address| address.port());
    let shown = not_listening().unwrap_or_default();
    let is_ours = |&(address, at, state): &(IpAddr, u16, u8)| {
        address == any.ip() && Some(at) == port && state_is_inactive(state)
    };
    shown.iter().any(is_ours)
}

fn state_is_inactive(state: u8) -> bool {
    matches!(state, TCP_CLOSE | TCP_BOUND_INACTIVE)
}

/// Local address, port and state of any `struct inet_diag_msg`.
pub fn place(message: &[u8]) -> Option<(IpAddr, u16, u8)> {
    let fixed = message.get(..INET_DIAG_MSG_BYTES)?;
    let port = u16::from_be_bytes([fixed[4], fixed[5]]);
    (port != 0).then_some((local_address(fixed)?, port, fixed[1]))
}

fn local_address(fixed: &[u8]) -> Option<IpAddr> {
    match fixed[0] {
        AF_INET => Some(Ipv4Addr::new(fixed[8], fixed[9], fixed[10], fixed[11]).into()),
        AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(&fixed[8..24]).ok()?).into()),
        _ => None,
    }
}

fn from_kernel(transport: Transport, family: u8) -> Result<Vec<Socket>, NetlinkError> {
    let states = 1 << transport.state();
    let answers = ask(Table::Sockets { family, protocol: transport.number(), states })?;
    let mut sockets = Vec::with_capacity(answers.len());
    for answer in answers {
        match decode(transport, &answer) {
            Some(Seen::Listening(socket)) => sockets.push(socket),
            Some(Seen::Other) => {}
            None => return Err(NetlinkError::Malformed("a socket shorter than its fixed part")),
        }
    }
    Ok(sockets)
}

/// What one answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A socket that others can send to.
    Listening(Socket),
    /// Connected, or of a family we did not ask for.
    Other,
}

/// Decodes `struct inet_diag_msg` and its attributes; `None` when it is cut short.
pub fn decode(transport: Transport, message: &[u8]) -> Option<Seen> {
    let fixed = message.get(..INET_DIAG_MSG_BYTES)?;
    let state = fixed[1];
    let port = u16::from_be_bytes([fixed[4], fixed[5]]);
    let peer_port = u16::from_be_bytes([fixed[6], fixed[7]]);
    if state != transport.state() || peer_port != 0 || port == 0 {
        return Some(Seen::Other);
    }
    let Some(address) = local_address(fixed) else { return Some(Seen::Other) };
    let queue = match transport {
        Transport::Tcp => (u32_at(fixed, 56)?, u32_at(fixed, 60)?),
        Transport::Udp => (0, 0),
    };
    let cookie = u64::from(u32_at(fixed, 44)?) | u64::from(u32_at(fixed, 48)?) << 32;
    let mut v6_only = false;
    let (mut cgroup, mut mark) = (None, None);
    for (kind, value) in attributes(&message[INET_DIAG_MSG_BYTES..]) {
        match kind {
            INET_DIAG_SKV6ONLY => v6_only = value.first() == Some(&1),
            INET_DIAG_CGROUP_ID => cgroup = value.try_into().ok().map(u64::from_ne_bytes),
            INET_DIAG_MARK => mark = value.try_into().ok().map(u32::from_ne_bytes),
            _ => {}
        }
    }
    Some(Seen::Listening(Socket {
        transport,
        port,
        address,
        dual_stack: address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !v6_only,
        uid: u32_at(fixed, 64)?,
        inode: u32_at(fixed, 68)?,
        queue,
        cgroup,
        cookie: Some(cookie).filter(|cookie| *cookie != NO_COOKIE),
        mark: mark.filter(|mark| *mark != 0),
    }))
}

/// The same from `/proc/net`, and one line that says so.
fn from_table(
    tree: &dyn Tree,
    transport: Transport,
    family: u8,
    error: &NetlinkError,
) -> (Vec<Socket>, String) {
    let name = match family {
        AF_INET => transport.name().to_string(),
        _ => format!("{}6", transport.name()),
    };
    let path = format!("/proc/net/{name}");
    match tree.read(Path::new(&path), TABLE_BYTES_MAX) {
        Ok(bytes) => {
            let (sockets, malformed) = table(transport, &bytes);
            let mut told = format!(
                "{name} sockets: the kernel refused sock_diag ({error}); read from {path} instead, \
                 without backlog limits"
            );
            if malformed > 0 {
                told.push_str(&format!("; {malformed} lines were not understood"));
            }
            (sockets, told)
        }
        // A kernel without IPv6 has neither the family nor the table.
        Err(absent) if absent.not_found() && family == AF_INET6 => {
            (Vec::new(), format!("{name} sockets: not looked at: {error}, and {path} is absent"))
        }
        Err(unread) => (Vec::new(), format!("{name} sockets: not looked at: {error}; {unread}")),
    }
}

/// Reads a table of `/proc/net` (proc_pid_net(5)): its listening sockets, and how many lines were not
/// understood. Whether an IPv6 wildcard takes IPv4 is not shown; the wider answer is assumed.
pub fn table(transport: Transport, bytes: &[u8]) -> (Vec<Socket>, usize) {
    let mut malformed = 0;
    let mut sockets = Vec::new();
    for line in lines::numbered(bytes).skip(1) {
        let text = line.text();
        if text.trim().is_empty() {
            continue;
        }
        match row(transport, &text) {
            Some(Seen::Listening(socket)) => sockets.push(socket),
            Some(Seen::Other) => {}
            None => malformed += 1,
        }
    }
    (sockets, malformed)
}

fn row(transport: Transport, text: &str) -> Option<Seen> {
    let mut fields = text.split_ascii_whitespace().skip(1);
    let (address, port) = endpoint(fields.next()?)?;
    let (_, peer_port) = endpoint(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (_, waiting) = fields.next()?.split_once(':')?;
    let waiting = u32::from_str_radix(waiting, 16).ok()?;
    let uid = fields.nth(2)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    if state != transport.state() || peer_port != 0 || port == 0 {
        return Some(Seen::Other);
    }
    Some(Seen::Listening(Socket {
        transport,
        port,
        address,
        dual_stack: address == IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        uid,
        inode,
        queue: if transport == Transport::Tcp { (waiting, 0) } else { (0, 0) },
        cgroup: None,
        cookie: None,
        mark: None,
    }))
}

/// `0100007F:0016`: each word of the address in the host's byte order.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| -> Option<[u8; 4]> {
        let digits = address.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut octets = [0; 16];
            for index in 0..4 {
                octets[index * 4..index * 4 + 4].copy_from_slice(&word(index)?);
            }
            IpAddr::from(octets)
        }
        _ => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    fn message(family: u8, state: u8, port: u16, address: &[u8]) -> Vec<u8> {
        let mut message = vec![0; INET_DIAG_MSG_BYTES];
        message[0] = family;
        message[1] = state;
        message[4..6].copy_from_slice(&port.to_be_bytes());
        message[8..8 + address.len()].copy_from_slice(address);
        message[44..48].copy_from_slice(&0x9abc_def0_u32.to_ne_bytes());
        message[48..52].copy_from_slice(&0x12_u32.to_ne_bytes());
        message[56..60].copy_from_slice(&3_u32.to_ne_bytes());
        message[60..64].copy_from_slice(&128_u32.to_ne_bytes());
        message[64..68].copy_from_slice(&111_u32.to_ne_bytes());
        message[68..72].copy_from_slice(&411_u32.to_ne_bytes());
        message
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize((bytes.len() + 3) & !3, 0);
        bytes
    }

    fn listening(transport: Transport, message: &[u8]) -> Socket {
        match decode(transport, message) {
            Some(Seen::Listening(socket)) => socket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_listener_is_decoded_with_its_attributes() {
        let socket = listening(Transport::Tcp, &message(AF_INET, TCP_LISTEN, 22, &[127, 0, 0, 1]));
        assert_eq!(socket.address, IpAddr::from([127, 0, 0, 1]));
        assert_eq!((socket.port, socket.uid, socket.inode), (22, 111, 411));
        assert_eq!((socket.queue, socket.dual_stack, socket.cgroup), ((3, 128), false, None));

        let mut six = message(AF_INET6, TCP_LISTEN, 443, &[0; 16]);
        assert!(listening(Transport::Tcp, &six).dual_stack);
        six.extend(attribute(INET_DIAG_SKV6ONLY, &[1]));
        six.extend(attribute(INET_DIAG_CGROUP_ID, &77_u64.to_ne_bytes()));
        let socket = listening(Transport::Tcp, &six);
        assert_eq!((socket.dual_stack, socket.cgroup), (false, Some(77)));
        assert_eq!((socket.cookie, socket.mark), (Some(0x12_9abc_def0), None));
        for (mark, told) in [(0_u32, None), (9, Some(9))] {
            let mut marked = six.clone();
            marked.extend(attribute(INET_DIAG_MARK, &mark.to_ne_bytes()));
            assert_eq!(listening(Transport::Tcp, &marked).mark, told);
        }
        six[44..52].fill(0xff);
        assert_eq!(listening(Transport::Tcp, &six).cookie, None);
    }

    #[test]
    fn a_queue_is_full_at_its_backlog_and_never_when_nobody_waits() {
        for (queue, full) in [
            ((0, 0), false),
            ((1, 0), true),
            ((127, 128), false),
            ((128, 128), true),
            ((129, 128), true),
        ] {
            assert_eq!(saturated(queue), full, "{queue:?}");
        }
    }

    #[test]
    fn connected_and_foreign_sockets_are_not_listeners() {
        let mut connected = message(AF_INET, TCP_CLOSE, 53, &[0; 4]);
        connected[6..8].copy_from_slice(&9_u16.to_be_bytes());
        assert_eq!(decode(Transport::Udp, &connected), Some(Seen::Other));
        assert_eq!(
            decode(Transport::Tcp, &message(AF_INET, 1, 22, &[0; 4])),
            Some(Seen::Other),
            "established"
        );
        assert_eq!(decode(Transport::Tcp, &message(1, TCP_LISTEN, 22, &[0; 4])), Some(Seen::Other));
        assert_eq!(
            decode(Transport::Udp, &message(AF_INET, TCP_CLOSE, 0, &[0; 4])),
            Some(Seen::Other)
        );
    }

    #[test]
    fn cut_answers_and_hostile_attributes_never_panic() {
        let mut whole = message(AF_INET6, TCP_LISTEN, 443, &[0; 16]);
        whole.extend(attribute(INET_DIAG_CGROUP_ID, &[1, 2, 3]));
        whole.extend([255, 255, 21, 0]);
        for end in 0..INET_DIAG_MSG_BYTES {
            assert_eq!(decode(Transport::Tcp, &whole[..end]), None);
        }
        for end in INET_DIAG_MSG_BYTES..=whole.len() {
            assert_eq!(listening(Transport::Tcp, &whole[..end]).cgroup, None);
        }
    }

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:18EB 00000000:0000 0A 00000000:00000002 00:00000000 00000000   111        0 4242 1 0 100 0 0 10 0\n\
        \x20  1: 0100007F:8001 0100007F:0016 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0 20 4 30 10 -1\n";

    #[test]
    fn the_tables_of_proc_net_give_the_same_and_say_what_they_lack() {
        if cfg!(target_endian = "big") {
            return;
        }
        let (sockets, malformed) = table(Transport::Tcp, TCP.as_bytes());
        assert_eq!((sockets.len(), malformed), (1, 0));
        assert_eq!(sockets[0].address, IpAddr::from([127, 0, 0, 1]));
        assert_eq!((sockets[0].port, sockets[0].uid, sockets[0].inode), (6379, 111, 4242));
        assert_eq!(sockets[0].queue, (2, 0));
        let six = format!(
            "header\n 0: {}:0050 {}:0000 0A 0:0 00:0 0 0 0 7 1\n",
            "0".repeat(32),
            "0".repeat(32)
        );
        let (sockets, _) = table(Transport::Tcp, six.as_bytes());
        assert!(sockets[0].dual_stack);
        let tree = MemoryTree::new().file("/proc/net/tcp", TCP);
        let refused = NetlinkError::Refused(rustix::io::Errno::PERM);
        let (sockets, told) = from_table(&tree, Transport::Tcp, AF_INET, &refused);
        assert_eq!(sockets.len(), 1);
        assert!(told.contains("/proc/net/tcp"), "{told}");
        let (sockets, told) = from_table(&tree, Transport::Udp, AF_INET6, &refused);
        assert!(sockets.is_empty() && told.contains("not looked at"), "{told}");
    }

    #[test]
    fn hostile_tables_are_counted_and_bounded_in_time() {
        for bytes in [
            b"".to_vec(),
            b"h\n".to_vec(),
            vec![0; 1 << 20],
            [b"h\n".to_vec(), vec![b'A'; 10 << 20]].concat(),
            b"h\n 0: \xff\xff:0016 x".to_vec(),
            "h\n 0: \u{e9}\u{e9}\u{e9}\u{e9}:0016 00000000:0000 0A 0:0 0 0 0 0 1\n".into(),
        ] {
            let (sockets, _) = table(Transport::Tcp, &bytes);
            assert!(sockets.is_empty());
        }
        let (_, malformed) = table(Transport::Tcp, b"h\nrubbish\nmore rubbish\n");
        assert_eq!(malformed, 2);
    }

    #[test]
    fn the_kernel_shows_a_listener_that_this_test_made() {
        let four = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let tree = MemoryTree::new();
        let (sockets, incomplete) = sockets(&tree);
        assert!(incomplete.is_empty(), "{incomplete:?}");
        for (transport, address) in [
            (Transport::Tcp, four.local_addr().unwrap()),
            (Transport::Udp, udp.local_addr().unwrap()),
        ] {
            let found = sockets
                .iter()
                .find(|s| s.transport == transport && s.port == address.port())
                .unwrap_or_else(|| panic!("{address} is missing"));
            assert_eq!(found.address, address.ip());
            assert!(found.inode > 0);
        }
    }
}
