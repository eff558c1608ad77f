//! YAML and JSON documents: errors lie inside of the file, what was read as JSON can be written and read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::yaml::{DOCUMENTS_MAX, documents, json};
use wardmote_fuzz::{Shape, timed};

fuzz_target!(|data: &[u8]| {
    let shape = Shape::of(data);
    timed(|| {
        match documents(data) {
            Ok(all) => assert!(all.len() <= DOCUMENTS_MAX),
            Err(error) => Shape::of_yaml(data).holds(error.line, 0),
        }
        match json(data) {
            // Not compared: serde_json reads long fractions to within their last bit.
            Ok(value) => assert!(json(value.to_string().as_bytes()).is_ok()),
            Err(error) => shape.holds(error.line, error.column),
        }
    });
});
