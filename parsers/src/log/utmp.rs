//! Login records of wtmp (utmp(5)): who logged in from where, and when.
//!
//! Records have a fixed size of 384 bytes on Linux, little-endian here as on every platform that
//! wardmote is built for. A cut last record is left out; a record that makes no sense gives nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Size of a record in bytes.
pub const RECORD_BYTES: usize = 384;

/// `ut_type` of a login of a user.
const USER_PROCESS: i16 = 7;

/// One login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Account.
    pub user: String,
    /// Where it came from, if from the network.
    pub address: Option<IpAddr>,
    /// Seconds since the epoch.
    pub at: i64,
}

/// The logins of a wtmp file, in its order.
pub fn logins(bytes: &[u8]) -> impl Iterator<Item = Login> {
    bytes.chunks_exact(RECORD_BYTES).filter_map(login)
}

fn login(record: &[u8]) -> Option<Login> {
    let kind = i16::from_le_bytes(record[0..2].try_into().ok()?);
    let user = text(&record[44..76])?;
    if kind != USER_PROCESS || user.is_empty() {
        return None;
    }
    let at = i32::from_le_bytes(record[340..344].try_into().ok()?);
    let address = text(&record[76..332])
        .and_then(|host| host.parse().ok())
        .or_else(|| address(record[348..364].try_into().ok()?));
    Some(Login { user, address, at: i64::from(at) })
}

/// A field up to its NUL; `None` when it is no text.
fn text(field: &[u8]) -> Option<String> {
    let end = memchr::memchr(0, field).unwrap_or(field.len());
    String::from_utf8(field[..end].to_vec()).ok()
}

/// `ut_addr_v6`: an IPv4 address fills only the first four bytes.
fn address(field: [u8; 16]) -> Option<IpAddr> {
    if field == [0; 16] {
        return None;
    }
    let [a, b, c, d, rest @ ..] = field;
    if rest == [0; 12] {
        return Some(Ipv4Addr::new(a, b, c, d).into());
    }
    Some(Ipv6Addr::from(field).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: i16, user: &str, host: &str, address: [u8; 16], at: i32) -> Vec<u8> {
        let mut record = vec![0; RECORD_BYTES];
        record[0..2].copy_from_slice(&kind.to_le_bytes());
        record[44..44 + user.len()].copy_from_slice(user.as_bytes());
        record[76..76 + host.len()].copy_from_slice(host.as_bytes());
        record[340..344].copy_from_slice(&at.to_le_bytes());
        record[348..364].copy_from_slice(&address);
        record
    }

    #[test]
    fn logins_are_read_and_everything_else_is_left_out() {
        let mut v4 = [0; 16];
        v4[..4].copy_from_slice(&[192, 0, 2, 7]);
        let mut bytes = record(7, "alice", "gate.example.org", v4, 1_000);
        bytes.extend(record(7, "bob", "2001:db8::1", [0; 16], 2_000));
        bytes.extend(record(2, "reboot", "6.1.0", [0; 16], 3_000));
        bytes.extend(record(7, "carol", "", [0; 16], 4_000));
        bytes.extend_from_slice(&[7; 100]);
        let found: Vec<_> = logins(&bytes).map(|l| (l.user, l.address, l.at)).collect();
        assert_eq!(
            found,
            [
                ("alice".into(), Some("192.0.2.7".parse().unwrap()), 1_000),
                ("bob".into(), Some("2001:db8::1".parse().unwrap()), 2_000),
                ("carol".into(), None, 4_000),
            ]
        );
        assert_eq!(logins(&[0xff; RECORD_BYTES * 2 + 1]).count(), 0);
        assert_eq!(logins(b"").count(), 0);
    }
}
