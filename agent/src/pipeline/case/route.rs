//! Fifth stage: who is asked. The built-in experts are chosen by their gate while the panel judges
//! ([`consensus::gate`]); here it is decided whether the dearer ones are worth it.

use super::assess::Weight;

/// Who is asked besides the built-in panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Experts from outside: processes that take milliseconds and may fail.
    pub outside: bool,
}

/// Chooses.
pub fn route(weight: Weight) -> Route {
    Route { outside: weight == Weight::Full }
}
