//! What is known of a connection.

use std::path::Path;

use crate::config::lines::numbered;
use crate::tree::{LookError, Tree};

/// What is known of a connection; what is `None` meets no criterion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The account that is asked for.
    pub user: Option<String>,
    /// The client's name.
    pub host: Option<String>,
    /// The client's address.
    pub addr: Option<String>,
    /// The address that was connected to.
    pub laddr: Option<String>,
    /// The port that was connected to.
    pub lport: Option<u16>,
    /// Groups of the account, by name.
    pub groups: Vec<String>,
    /// Routing domain.
    pub rdomain: Option<String>,
}

/// A specification that is not `key=value,…`; its writer is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConnection {
    /// A part has no `=`, or a key nobody knows.
    #[error("unknown part `{0}`: use user=, host=, addr=, laddr=, lport= or rdomain=")]
    Unknown(String),
    /// The port is no number from 1 to 65535.
    #[error("lport is not a port number")]
    Port,
}

impl std::str::FromStr for Connection {
    type Err = BadConnection;

    /// Reads what `sshd -C` takes: `user=u,host=h,addr=a,laddr=l,lport=22`.
    ///
    /// ```
    /// use parsers::config::sshd::Connection;
    /// let connection: Connection = "user=bob,addr=192.0.2.7,lport=22".parse().unwrap();
    /// assert_eq!(connection.addr.as_deref(), Some("192.0.2.7"));
    /// ```
    fn from_str(text: &str) -> Result<Self, BadConnection> {
        const PART_CHARS_MAX: usize = 40;
        let mut connection = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let unknown = || BadConnection::Unknown(part.chars().take(PART_CHARS_MAX).collect());
            let (key, value) = part.split_once('=').ok_or_else(unknown)?;
            let given = Some(value.to_string());
            match key {
                "user" => connection.user = given,
                "host" => connection.host = given,
                "addr" => connection.addr = given,
                "laddr" => connection.laddr = given,
                "rdomain" => connection.rdomain = given,
                "lport" => {
                    let port = value.parse().ok().filter(|&port: &u16| port > 0);
                    connection.lport = Some(port.ok_or(BadConnection::Port)?);
                }
                _ => return Err(unknown()),
            }
        }
        Ok(connection)
    }
}

impl Connection {
    /// Looks the account's groups up in the tree's passwd and group files (directory services are
    /// not asked). An account that does not exist has none, as for sshd.
    pub fn look_up_groups(&mut self, tree: &dyn Tree) -> Result<(), LookError> {
        self.groups.clear();
        let Some(user) = &self.user else { return Ok(()) };
        let passwd = tree.read(Path::new("/etc/passwd"), crate::tree::CONFIG_BYTES_MAX)?;
        let primary = numbered(&passwd).find_map(|line| {
            let text = line.text();
            let mut fields = text.split(':');
            (fields.next() == Some(user)).then(|| fields.nth(2).map(str::to_string)).flatten()
        });
        let Some(primary) = primary else { return Ok(()) };
        let group = tree.read(Path::new("/etc/group"), crate::tree::CONFIG_BYTES_MAX)?;
        for line in numbered(&group) {
            let text = line.text();
            let fields: Vec<&str> = text.split(':').collect();
            let [name, _, gid, members, ..] = fields[..] else { continue };
            if gid == primary || members.split(',').any(|member| member == user) {
                self.groups.push(name.to_string());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn specifications_are_read_and_mistakes_named() {
        let read = |text: &str| text.parse::<Connection>();
        assert_eq!(read("user=u,host=h,lport=22").unwrap().lport, Some(22));
        assert_eq!(read("").unwrap(), Connection::default());
        assert_eq!(read("lport=0"), Err(BadConnection::Port));
        assert!(matches!(read("colour=red"), Err(BadConnection::Unknown(_))));
        assert!(matches!(read("user"), Err(BadConnection::Unknown(_))));
    }

    #[test]
    fn groups_come_from_the_trees_files() {
        let tree = MemoryTree::new()
            .file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:1000:100::/:/bin/sh\n")
            .file("/etc/group", "root:x:0:\nusers:x:100:\nwheel:x:10:eve,bob\n");
        let mut bob: Connection = "user=bob".parse().unwrap();
        bob.look_up_groups(&tree).unwrap();
        assert_eq!(bob.groups, ["users", "wheel"]);
        let mut nobody: Connection = "user=x".parse().unwrap();
        nobody.look_up_groups(&tree).unwrap();
        assert!(nobody.groups.is_empty());
        assert!(bob.look_up_groups(&MemoryTree::new()).is_err());
    }
}
