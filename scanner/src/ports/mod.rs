//! Ports and services: what listens, who holds it, from where it can be reached.

use consensus::Exposure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod addresses;
pub mod firewall;
pub mod inventory;
mod netlink;

/// One listening socket, as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Bound address.
    pub address: std::net::IpAddr,
    /// Bound port.
    pub port: u16,
    /// Whether an IPv6 wildcard also accepts IPv4.
    pub dual_stack: bool,
    /// Owner uid of the socket.
    pub uid: u32,
    /// Socket inode.
    pub inode: u32,
    /// Connections waiting to be accepted, and the most that may wait (TCP).
    pub queue: (u32, u32),
    /// Every process that holds the socket; empty where that could not be seen (see `owner_unknown`).
    pub owners: Vec<Owner>,
    /// Why the owners are unknown, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_unknown: Option<String>,
    /// Canonical service name (`ssh`, `http`, `postgresql` …), or the executable's name, or `port-N`.
    pub service: String,
    /// From where it can be reached.
    pub exposure: Exposure,
    /// What decided that.
    pub because: String,
}

/// A process that holds a listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Executable, as `/proc/PID/exe` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The executable on disk was replaced or removed since the process started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// systemd unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Package and version that owns the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Effective uid of the process.
    pub uid: u32,
}

/// Everything that listens, and what could not be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Sorted by protocol, port, address.
    pub listeners: Vec<Listener>,
    /// What could not be looked at, with the reason.
    pub incomplete: Vec<String>,
}
