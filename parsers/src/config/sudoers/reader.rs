//! Which sudo reads the policy: Todd Miller's sudo or sudo-rs (Ubuntu's since 25.10), which is stricter.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Sudoers, What};
use crate::place::Problem;
use crate::tree::{FileKind, Links, Tree};

/// The program behind `/usr/bin/sudo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBy {
    /// The original.
    Sudo,
    /// sudo-rs.
    SudoRs,
    /// There is no `/usr/bin/sudo` here.
    #[default]
    Unknown,
}

/// Links followed before a chain counts as a loop.
const LINKS_MAX: usize = 16;

impl ReadBy {
    /// Follows `/usr/bin/sudo` by its links, as the alternatives of a distribution set them.
    pub(super) fn of(tree: &dyn Tree) -> Self {
        let mut path = PathBuf::from("/usr/bin/sudo");
        for _ in 0..LINKS_MAX {
            let text = path.to_string_lossy();
            if text.contains("sudo-rs") || text.starts_with("/usr/lib/cargo/bin/") {
                return Self::SudoRs;
            }
            let Ok(facts) = tree.stat(&path, Links::Keep) else { return Self::Unknown };
            if facts.kind != FileKind::Link {
                return Self::Sudo;
            }
            let Ok(to) = tree.read_link(&path) else { return Self::Unknown };
            path = path.parent().unwrap_or(Path::new("/")).join(to);
        }
        Self::Unknown
    }
}

/// What sudo-rs refuses although sudo reads it: wildcards in arguments (but a last word `*`, which
/// allows any), and regular expressions.
pub fn stricter(policy: &Sudoers) -> Vec<Problem> {
    let rules = policy.rules.iter().filter_map(|rule| {
        let What::Path { path, arguments } = &rule.command.what else { return None };
        let arguments = arguments.as_deref().unwrap_or_default();
        let before = match arguments.strip_suffix('*') {
            Some(before) if before.is_empty() || before.ends_with(' ') => before,
            _ => arguments,
        };
        let message = if path.starts_with('^') || arguments.starts_with('^') {
            "sudo-rs refuses regular expressions"
        } else if before.contains(['*', '?', '[']) {
            "sudo-rs refuses wildcards in arguments, but for a last `*`"
        } else {
            return None;
        };
        Some(Problem { place: rule.place.clone(), message: message.into() })
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sudoers::SUDOERS;
    use crate::tree::MemoryTree;

    #[test]
    fn the_program_that_reads_is_found_by_its_links() {
        let text = "bob ALL = /bin/a x*, /bin/b *, /bin/c -v *, ^/bin/d$, /bin/* y\n";
        let tree = MemoryTree::new().file(SUDOERS, text);
        let rust = tree
            .clone()
            .link("/usr/bin/sudo", "/etc/alternatives/sudo")
            .link("/etc/alternatives/sudo", "/usr/lib/cargo/bin/sudo");
        let policy = Sudoers::read(&rust, SUDOERS).unwrap();
        assert_eq!(policy.read_by, ReadBy::SudoRs);
        let columns: Vec<u32> = stricter(&policy).iter().map(|p| p.place.column).collect();
        assert_eq!(columns, [11, 45]);
        let original = tree.clone().file("/usr/bin/sudo", "");
        assert_eq!(Sudoers::read(&original, SUDOERS).unwrap().read_by, ReadBy::Sudo);
        assert_eq!(Sudoers::read(&tree, SUDOERS).unwrap().read_by, ReadBy::Unknown);
        let looped = tree.link("/usr/bin/sudo", "sudo");
        assert_eq!(Sudoers::read(&looped, SUDOERS).unwrap().read_by, ReadBy::Unknown);
    }
}
