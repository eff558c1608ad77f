//! The kernel's lines: packets that netfilter logged (UFW, iptables, nftables) and programs that it
//! stopped.

use super::Extracted;
use super::address::address;
use super::sought::{Sought, sought};

/// A packet: `[UFW BLOCK] IN=eth0 OUT= MAC=… SRC=192.0.2.1 DST=… PROTO=TCP SPT=… DPT=22 …`.
pub(super) fn kernel(text: &str) -> Extracted<'_> {
    let ip = part(text, sought!(" SRC=")).and_then(address);
    Extracted { ip, ..Extracted::default() }
}

/// The parts of a packet by the names that rules use, and the program that the kernel speaks of.
pub(super) fn named<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    match name {
        "dst_ip" => part(text, sought!(" DST=")),
        "dst_port" => part(text, sought!(" DPT=")),
        "src_port" => part(text, sought!(" SPT=")),
        "proto" => part(text, sought!(" PROTO=")),
        "in_interface" => incoming(text),
        "out_interface" => part(text, sought!(" OUT=")),
        "process" => process(text),
        _ => None,
    }
}

/// What stands behind the first such key, where anything does: an ICMP error repeats the packet that it
/// answers after the outer one, in brackets.
fn part<'a>(text: &'a str, key: &Sought) -> Option<&'a str> {
    let at = key.find(text)?;
    let value = text.get(at + key.len()..)?;
    let value = &value[..memchr::memchr(b' ', value.as_bytes()).unwrap_or(value.len())];
    // Without a source it is no packet, and most lines of a kernel are none.
    let packet = sought!(" SRC=").is_in(text);
    (packet && !value.is_empty()).then_some(value)
}

/// The first part of a packet: an administrator's own words may stand right before it (`DROPIN=eth0`).
fn incoming(text: &str) -> Option<&str> {
    let end = sought!(" OUT=").find(text)?;
    let value = sought!("IN=").rsplit(text.get(..end)?)?.1;
    (!value.is_empty()).then_some(value)
}

/// `nginx[7]: segfault at`, `traps: nginx[7] general protection`, `Killed process 7 (nginx)`.
fn process(text: &str) -> Option<&str> {
    if let Some((_, rest)) =
        sought!("Killed process ").split(text).or_else(|| sought!("Kill process ").split(text))
    {
        let (_, rest) = rest.split_once('(')?;
        return rest.split(')').next();
    }
    let end = sought!("]: segfault at ")
        .find(text)
        .or_else(|| sought!("] general protection").find(text))?;
    let (name, _) = text[..end].rsplit_once('[')?;
    // a stamp of its own stands before: `[ 12.345678] nginx[7]`
    let name = sought!("] ").rsplit(name).map_or(name, |(_, name)| name);
    Some(name.strip_prefix("traps: ").unwrap_or(name))
}
