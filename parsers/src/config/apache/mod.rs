//! httpd.conf: directives and sections as Apache httpd reads them, and what holds for one request.
//!
//! Lines are joined at `\`, `${NAME}` is put in, conditions (`<IfModule>`, `<IfDefine>`, `<IfVersion>`,
//! `<IfFile>`) are decided by the given [`Facts`] and by what the files themselves load and define, and
//! includes are spliced in where they stand. What httpd would refuse becomes a problem, and reading
//! goes on. Not checked: values that modules check (paths, expressions, addresses).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::directives::Directive;
use super::problems::Problems;
use crate::place::{Placed, Problem};
use crate::tree::{CONFIG_BYTES_MAX, LookError, Tree};

mod conditions;
mod effective;
mod include;
mod known;
mod lines;
mod read;

pub use effective::Request;
pub use known::names;

/// Deepest nesting of includes, as in httpd.
pub const INCLUDES_DEPTH_MAX: usize = 128;

/// Most files read, drop-ins counted.
pub const FILES_MAX: usize = 20_000;

/// Most bytes of all files together.
pub const BYTES_MAX: usize = 4 * CONFIG_BYTES_MAX;

/// Most bytes of one line with its continuations and the values put in.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Most notes that are kept.
const NOTES_MAX: usize = 1_000;

/// What the program was started with and built from, as far as files do not say it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Names given with `-D`.
    pub defined: BTreeSet<String>,
    /// Modules loaded besides those that the files load, without `mod_`.
    pub modules: BTreeSet<String>,
    /// The environment, for `${NAME}`.
    pub variables: BTreeMap<String, String>,
    /// The program's version.
    pub version: [u32; 3],
    /// Where relative paths start, until a `ServerRoot` says otherwise.
    pub server_root: String,
}

impl Default for Facts {
    /// Debian's: `/etc/apache2`, version 2.4, nothing defined.
    fn default() -> Self {
        Self {
            defined: BTreeSet::new(),
            modules: BTreeSet::new(),
            variables: BTreeMap::new(),
            version: [2, 4, 62],
            server_root: "/etc/apache2".into(),
        }
    }
}

impl Facts {
    /// Takes `export NAME=value` lines of Debian's `envvars` over; parts that a shell would compute
    /// (`$SUFFIX`, which is empty for the only instance of a host) are left out.
    #[must_use]
    pub fn with_envvars(mut self, bytes: &[u8]) -> Self {
        for line in super::lines::numbered(bytes).take(10_000) {
            let text = line.text();
            let Some((name, value)) =
                text.trim().strip_prefix("export ").and_then(|rest| rest.split_once('='))
            else {
                continue;
            };
            let value = value.trim_matches(['"', '\'']).replace("$SUFFIX", "");
            if !value.contains(['$', '`']) {
                self.variables.insert(name.trim().to_string(), value);
            }
        }
        self
    }
}

/// A configuration with its includes, conditions decided.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Apache {
    /// Directives in the order in which httpd reads them, sections without their `<`. Includes and
    /// conditions are replaced by what they hold; `Define` and the like, obeyed at once, are kept.
    pub directives: Vec<Directive>,
    /// Files read, in the order of reading.
    pub files: Vec<Arc<str>>,
    /// Conditions that do not hold; what stands in them is not read.
    pub skipped: Vec<Placed<String>>,
    /// Directives of modules that are loaded but not known here.
    pub unknown: Vec<Placed<String>>,
    /// What httpd accepts and a reader should know: variables without a value, sections left open.
    pub notes: Vec<Problem>,
    /// What httpd would refuse.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
}

impl Apache {
    /// Reads a main file (usually `/etc/apache2/apache2.conf`) with everything that it includes. In a
    /// file that neither loads nor includes anything (a site) every known module counts as loaded.
    ///
    /// # Errors
    ///
    /// When the file itself cannot be read.
    pub fn read(tree: &dyn Tree, path: &str, facts: &Facts) -> Result<Self, LookError> {
        let bytes = tree.read_config(path)?;
        Ok(read::Reader::new(tree, facts).run(path, &bytes))
    }
}

#[cfg(test)]
mod tests;
