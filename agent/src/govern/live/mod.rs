//! The system as it is now, for guardian Harm: sessions, routes, name servers, accounts.
//!
//! Everything is read through a [`Tree`] or asked of the kernel; nothing is changed and no program is
//! started. What could not be read whole is an error with its reason, never a short list.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use parsers::config::accounts;
use parsers::tree::Tree;
use scanner::ports::addresses;

use super::harm::{LiveSystem, Seen};

mod routes;
mod sessions;

pub use sessions::past_logins;

/// Groups whose members may become root, where their distribution says so.
const ADMIN_GROUPS: [&str; 3] = ["sudo", "wheel", "admin"];
/// Files that name the servers to ask: the one that programs read, and those with what is behind a stub.
const RESOLVER_FILES: [&str; 4] = [
    "/etc/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
    "/run/dnsmasq/resolv.conf",
];
/// Most bytes of such a file.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Looks at the host; `now` in seconds since the epoch.
pub fn look(tree: &dyn Tree, now: i64) -> LiveSystem {
    let routes = routes::look();
    let (gateways, links) = match routes {
        Ok(routes) => (Ok(routes.gateways), Ok(routes.links)),
        Err(why) => (Err(why.clone()), Err(why)),
    };
    LiveSystem {
        taken: now,
        sessions: sessions::look(tree),
        gateways,
        resolvers: resolvers(tree),
        addresses: own_addresses(tree),
        links,
        administrators: administrators(tree),
    }
}

/// This host's own addresses.
pub fn own_addresses(tree: &dyn Tree) -> Seen<Vec<IpAddr>> {
    let (own, told) = addresses::own(tree);
    match own.0 {
        Some(own) => Ok(own.into_iter().map(|one| one.address).collect()),
        None => Err(told.join("; ")),
    }
}

/// The next hops of all routes.
pub fn gateways() -> Seen<Vec<IpAddr>> {
    routes::look().map(|routes| routes.gateways)
}

/// The name servers of resolv.conf(5), and those that a local stub asks.
fn resolvers(tree: &dyn Tree) -> Seen<Vec<IpAddr>> {
    let mut servers = BTreeSet::new();
    for file in RESOLVER_FILES {
        let bytes = match tree.read(Path::new(file), FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            // Without one the host itself is asked (resolv.conf(5)).
            Err(error) if error.not_found() => continue,
            Err(error) => return Err(error.to_string()),
        };
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("nameserver") else { continue };
            let word = rest.split_whitespace().next().unwrap_or_default();
            // A link-local one has its interface behind it.
            let address = word.split('%').next().unwrap_or_default();
            servers.extend(address.parse::<IpAddr>().ok());
        }
    }
    Ok(servers.into_iter().collect())
}

/// Root, and the members of the groups that may become root. Rules of sudoers that name accounts are
/// not counted: with fewer administrators the last one is protected sooner.
fn administrators(tree: &dyn Tree) -> Seen<BTreeSet<String>> {
    let read = |path: &str| tree.read_config(path).map_err(|error| error.to_string());
    let groups = accounts::group("/etc/group", &read("/etc/group")?).entries;
    let users = accounts::passwd("/etc/passwd", &read("/etc/passwd")?).entries;
    let mut found = BTreeSet::new();
    for group in groups.iter().filter(|group| ADMIN_GROUPS.contains(&group.name.as_str())) {
        found.extend(group.members.iter().cloned());
        let primary = users.iter().filter(|user| user.gid == group.gid);
        found.extend(primary.map(|user| user.name.clone()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use parsers::tree::MemoryTree;

    use super::*;

    #[test]
    fn name_servers_behind_a_stub_are_name_servers() {
        let tree = MemoryTree::new()
            .file("/etc/resolv.conf", "# x\nnameserver 127.0.0.53\noptions edns0\n")
            .file(
                "/run/systemd/resolve/resolv.conf",
                "nameserver 192.0.2.53\nnameserver\tfe80::1%eth0\nnameserver ::ffff:192.0.2.54\n\
                 search example.org\nnameserver gate\n",
            );
        let found: Vec<String> =
            resolvers(&tree).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.0.0.53", "192.0.2.53", "::ffff:192.0.2.54", "fe80::1"]);
        assert_eq!(resolvers(&MemoryTree::new()).unwrap(), Vec::<IpAddr>::new());
        assert!(resolvers(&MemoryTree::new().denied("/etc/resolv.conf")).is_err());
    }

    #[test]
    fn administrators_are_members_by_name_or_by_primary_group() {
        let tree = MemoryTree::new()
            .file("/etc/group", "root:x:0:\nsudo:x:27:ann,bob\nwheel:x:10:\nusers:x:100:dora\n")
            .file("/etc/passwd", "carl:x:7:10::/:/bin/sh\ndora:x:8:100::/:/bin/sh\n");
        let expected = ["ann", "bob", "carl"].map(String::from).into();
        assert_eq!(administrators(&tree), Ok(expected));
        assert!(administrators(&MemoryTree::new()).is_err());
    }

    #[test]
    fn this_host_can_be_looked_at() {
        let tree = scanner::RootedTree::open(Path::new("/")).unwrap();
        let live = look(&tree, 5);
        assert_eq!(live.taken, 5);
        let own = live.addresses.unwrap();
        assert!(own.contains(&"127.0.0.1".parse().unwrap()), "{own:?}");
        assert!(live.gateways.is_ok() && live.links.is_ok() && live.resolvers.is_ok());
    }
}
