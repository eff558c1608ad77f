//! stub
pub mod uris;
