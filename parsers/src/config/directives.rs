//! The tree of a configuration made of directives and blocks (nginx, Apache, logrotate, and others):
//! names, arguments and nested blocks, each with its place.
//!
//! Only the shape is kept here; which grammar made it, and what is in effect where, is the grammar's own
//! business. Depth is bounded by
//! [`DEPTH_MAX`] (so that a tree can be dropped), the number of directives by [`DIRECTIVES_MAX`].

use serde::Serialize;

use crate::place::{Place, Placed};

/// Deepest nesting of blocks.
pub const DEPTH_MAX: usize = 64;

/// Most directives of one configuration, included files counted.
pub const DIRECTIVES_MAX: usize = 500_000;

/// One directive, perhaps with a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Directive {
    /// Its name as written.
    pub name: String,
    /// Where the name is.
    pub place: Place,
    /// Arguments without their quotes.
    pub arguments: Vec<Placed<String>>,
    /// What stands in its block; `None` when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// The text of an argument, counted from 0.
    pub fn argument(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).map(|argument| argument.value.as_str())
    }

    /// The directives of its block.
    pub fn children(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// Directives of its block with a name, ASCII case ignored, in order.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Directive> {
        self.children().iter().filter(move |child| child.name.eq_ignore_ascii_case(name))
    }
}
