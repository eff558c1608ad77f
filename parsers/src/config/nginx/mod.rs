//! nginx.conf: directives and blocks with every include spliced in, and what holds where.
//!
//! Words are read as nginx's own tokenizer reads them (quotes, escapes, `${}`, Lua blocks); includes are
//! relative to the directory of the main file, patterns are sorted. What nginx would refuse becomes a
//! [`Problem`](crate::place::Problem), and reading goes on. Directives of modules that are not nginx's
//! own are kept in `unknown`: whether nginx accepts them depends on the modules that it loads. Not
//! checked: whether regular expressions compile, variables and zones exist, certificates can be read.

use std::sync::Arc;

use serde::Serialize;

use super::directives::Directive;
use super::problems::Problems;
use crate::place::{Place, Placed};
use crate::tree::{CONFIG_BYTES_MAX, LookError, Tree};

mod effective;
mod known;
mod read;
mod token;

pub use effective::{Block, Effective};
pub use known::{Context, names, shape};

/// Deepest nesting of includes; nginx has no limit of its own but that of open files.
pub const INCLUDES_DEPTH_MAX: usize = 32;

/// Most files read, drop-ins counted.
pub const FILES_MAX: usize = 20_000;

/// Most bytes of all files together.
pub const BYTES_MAX: usize = 4 * CONFIG_BYTES_MAX;

/// A configuration with its includes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Nginx {
    /// Directives in the order in which nginx reads them; those of an included file stand behind the
    /// `include`, with places in their own file.
    pub directives: Vec<Directive>,
    /// Files read, in the order of reading.
    pub files: Vec<Arc<str>>,
    /// Directives of modules that are not nginx's own, and where they stand.
    pub unknown: Vec<Placed<String>>,
    /// What nginx would refuse.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
    #[serde(skip)]
    context: Option<Context>,
}

impl Nginx {
    /// Reads a main file (usually `/etc/nginx/nginx.conf`) with everything that it includes. A file that
    /// is itself included by another (a site, a snippet) is read in the context into which it fits.
    ///
    /// # Errors
    ///
    /// When the file itself cannot be read.
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        let first = Self::read_in(tree, path, Context::Main)?;
        let is_whole = first.directives.iter().any(|d| matches!(&*d.name, "events" | "http"));
        if is_whole {
            return Ok(first);
        }
        let fit = |context| {
            let names = first.directives.iter().map(|directive| directive.name.as_str());
            names.filter(|name| matches!(known::find(name, context), known::Found::Here(_))).count()
        };
        let candidates =
            [Context::Http, Context::Server, Context::Location, Context::Upstream, Context::Events];
        let mut best = (Context::Main, fit(Context::Main));
        for context in candidates {
            let fits = fit(context);
            if fits > best.1 {
                best = (context, fits);
            }
        }
        if best.0 == Context::Main { Ok(first) } else { Self::read_in(tree, path, best.0) }
    }

    /// Reads a file as if it stood in a context; includes are relative to its directory.
    ///
    /// # Errors
    ///
    /// When the file itself cannot be read.
    pub fn read_in(tree: &dyn Tree, path: &str, context: Context) -> Result<Self, LookError> {
        let bytes = tree.read_config(path)?;
        let mut read = read::Reader::new(tree, path).run(&bytes, context);
        if context == Context::Main {
            let has = |name: &str| read.directives.iter().any(|directive| directive.name == name);
            if !has("events") {
                let message = "there is no `events` section: nginx does not start";
                read.problems.push(Place::whole(path), message);
            }
        }
        read.context = Some(context);
        Ok(read)
    }

    /// The context of the first file.
    pub fn context(&self) -> Context {
        self.context.unwrap_or(Context::Main)
    }

    /// What holds in every block.
    pub fn effective(&self) -> Effective {
        effective::of(self)
    }
}

#[cfg(test)]
mod tests;
