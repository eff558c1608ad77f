//! Whether the kernel holds nftables, found out without asking nftables: that would load the module.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::OnceLock;

use memchr::memmem;

/// A function of nf_tables, as the kernel's list of symbols names it.
const SYMBOL: &[u8] = b" nf_tables_newtable";
/// Most bytes that are read of a list; a kernel's symbols are about 15 MB.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// What is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tables {
    /// The kernel has nftables.
    Held,
    /// It has none.
    None,
    /// It could not be seen, for this reason.
    Unseen(String),
}

/// Looks at this host's kernel.
pub fn nftables() -> Tables {
    if Path::new("/sys/module/nf_tables").exists() {
        return Tables::Held;
    }
    // What is built in stays so; it has no folder of its own unless it takes parameters.
    static BUILT_IN: OnceLock<Tables> = OnceLock::new();
    BUILT_IN
        .get_or_init(|| {
            let release = rustix::system::uname();
            let modules = format!("/lib/modules/{}", release.release().to_string_lossy());
            built_in(&Path::new(&modules).join("modules.builtin"), Path::new("/proc/kallsyms"))
        })
        .clone()
}

/// Whether it is built in: as the kernel's own package says, else by the kernel's symbols.
fn built_in(modules: &Path, symbols: &Path) -> Tables {
    let found = |held| if held { Tables::Held } else { Tables::None };
    match holds(modules, b"/nf_tables.ko") {
        Ok(held) => found(held),
        Err(_) => match holds(symbols, SYMBOL) {
            Ok(held) => found(held),
            // A kernel without the list of its symbols, and not of a distribution: as before, the module
            // is what counts.
            Err(error) if error.kind() == ErrorKind::NotFound => Tables::None,
            Err(error) => Tables::Unseen(format!(
                "whether the kernel has nftables built in: {}: {error}",
                symbols.display()
            )),
        },
    }
}

/// Whether a file holds these bytes.
fn holds(file: &Path, bytes: &[u8]) -> std::io::Result<bool> {
    let mut file = std::fs::File::open(file)?.take(LIST_BYTES_MAX);
    let mut block = vec![0; 1 << 16];
    let mut kept = 0;
    loop {
        let read = file.read(&mut block[kept..])?;
        if read == 0 {
            return Ok(false);
        }
        let end = kept + read;
        if memmem::find(&block[..end], bytes).is_some() {
            return Ok(true);
        }
        // It may stand across two blocks.
        kept = end.min(bytes.len() - 1);
        block.copy_within(end - kept..end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_are_built_in_are_found_across_blocks_too() {
        let folder = tempfile::tempdir().unwrap();
        let (list, none) = (folder.path().join("list"), folder.path().join("none"));
        for before in [0, (1 << 16) - 7, (1 << 17) - 1, 1 << 17] {
            let mut text = "x".repeat(before);
            text.push_str(" nf_tables_newtable\n");
            std::fs::write(&list, text).unwrap();
            assert_eq!(built_in(&none, &list), Tables::Held, "{before}");
        }
        std::fs::write(&list, "0 T nf_tables_new\n").unwrap();
        assert_eq!(built_in(&none, &list), Tables::None);
        assert_eq!(built_in(&none, &none), Tables::None);
        std::fs::write(&none, "kernel/net/netfilter/nf_tables.ko\n").unwrap();
        assert_eq!(built_in(&none, &list), Tables::Held, "the distribution's list comes first");
    }

    #[test]
    fn what_cannot_be_read_is_not_absent() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        // A directory can be opened and not read.
        assert!(matches!(built_in(&none, folder.path()), Tables::Unseen(_)));
    }
}
