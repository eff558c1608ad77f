//! Requests of web servers: their fields, what they hide, what they try, and who asked how often.
//!
//! [`uri`] opens a request's target, [`payload`] says what it tries, [`request`] gives both to the rules as
//! fields, read once and only when asked; [`census`] counts the requests of every client, so that a story
//! can say how many there were beside those that a rule named.

pub mod census;
pub mod payload;
pub mod request;
pub mod uri;
