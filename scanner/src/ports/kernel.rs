//! Listening sockets that the kernel itself holds: no process has them, and none is hidden.
//!
//! Told by what the kernel shows of its own services: nfsd names its ports; ksmbd and LIO have theirs
//! by protocol; of tunnels (WireGuard, VXLAN, Geneve) only the interface is seen, so that any UDP
//! socket without a holder may be theirs, and the words say so.

use std::path::Path;

use parsers::config::lines;
use parsers::tree::{Links, Tree};

use super::inventory::Transport;

/// Most interfaces that are looked at.
const INTERFACES_MAX: usize = 10_000;
/// Tunnels whose interfaces have a UDP socket, by `DEVTYPE` of their uevent.
const TUNNELS: [&str; 3] = ["wireguard", "vxlan", "geneve"];
/// Services that have one port, by the path that shows them.
const FIXED: [(&str, u16, &str); 2] = [
    ("/sys/class/ksmbd-control", 445, "ksmbd"),
    ("/sys/kernel/config/target/iscsi", 3260, "iSCSI target"),
];

/// What the kernel listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelServices {
    ports: Vec<(Transport, u16, String)>,
    tunnels: Vec<String>,
}

impl KernelServices {
    /// Looks for the kernel's services.
    pub fn read(tree: &dyn Tree) -> Self {
        let mut found = Self::default();
        let nfsd = tree.read(Path::new("/proc/fs/nfsd/portlist"), 1 << 16).unwrap_or_default();
        for line in lines::numbered(&nfsd) {
            let text = line.text();
            let mut words = text.split_ascii_whitespace();
            let transport = match words.next() {
                Some("tcp" | "tcp6") => Transport::Tcp,
                Some("udp" | "udp6") => Transport::Udp,
                _ => continue,
            };
            let port = words.next().and_then(|port| port.parse().ok());
            found.ports.extend(port.map(|port| (transport, port, "nfsd".to_string())));
        }
        for (path, port, name) in FIXED {
            if tree.stat(Path::new(path), Links::Follow).is_ok() {
                found.ports.push((Transport::Tcp, port, name.to_string()));
            }
        }
        let interfaces = tree.list(Path::new("/sys/class/net")).unwrap_or_default();
        for entry in interfaces.iter().take(INTERFACES_MAX) {
            let uevent = tree.read(&entry.path.join("uevent"), 1 << 12).unwrap_or_default();
            let kind = lines::numbered(&uevent).find_map(|line| {
                let text = line.text();
                let kind = text.strip_prefix("DEVTYPE=")?;
                TUNNELS.iter().find(|tunnel| **tunnel == kind).copied()
            });
            if let (Some(kind), Some(name)) = (kind, entry.path.file_name()) {
                let name = crate::redact::printable(&name.to_string_lossy());
                found.tunnels.push(format!("{kind} {name}"));
            }
        }
        found
    }

    /// Which service of the kernel's a socket without a holder is.
    pub fn holder(&self, transport: Transport, port: u16) -> Option<String> {
        let exact = self.ports.iter().find(|(of, at, _)| (*of, *at) == (transport, port));
        if let Some((_, _, name)) = exact {
            return Some(name.clone());
        }
        let tunnel = self.tunnels.first().filter(|_| transport == Transport::Udp)?;
        Some(format!("perhaps {tunnel}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    #[test]
    fn services_of_the_kernel_are_told_from_hidden_ones() {
        let tree = MemoryTree::new()
            .file("/proc/fs/nfsd/portlist", "tcp 2049\nudp 2049\nrubbish\ntcp x\n")
            .file("/sys/class/net/eth0/uevent", "INTERFACE=eth0\nIFINDEX=2\n")
            .directory("/sys/class/ksmbd-control", 0o755, 0, 0);
        let services = KernelServices::read(&tree);
        assert_eq!(services.holder(Transport::Tcp, 2049).as_deref(), Some("nfsd"));
        assert_eq!(services.holder(Transport::Tcp, 445).as_deref(), Some("ksmbd"));
        assert_eq!(services.holder(Transport::Tcp, 4444), None);
        assert_eq!(services.holder(Transport::Udp, 51820), None, "no tunnel");
        let tree = tree.file("/sys/class/net/wg0/uevent", "DEVTYPE=wireguard\nINTERFACE=wg0\n");
        let services = KernelServices::read(&tree);
        let holder = services.holder(Transport::Udp, 51820).unwrap();
        assert_eq!(holder, "perhaps wireguard wg0");
        assert_eq!(services.holder(Transport::Tcp, 51820), None, "tunnels are UDP");
    }
}
