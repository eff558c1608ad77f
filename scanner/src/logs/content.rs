//! The built-in rules: every file of `content/rules`, embedded as the build read it.

use parsers::place::{Place, Problem};
use parsers::rules::sigma::Document;

use super::matcher::RuleSet;

/// A rule file, its text, and its samples.
type File = (&'static str, &'static str, &'static str);

/// Every built-in rule file: name, text, and the logs on which its rules fire or stay silent.
pub const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// The documents of all files, in their order.
const DOCUMENTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rules.bin"));

/// The documents of all built-in rules. An error would be the build's, which a test excludes.
pub fn documents() -> Result<Vec<Document>, Problem> {
    postcard::from_bytes(DOCUMENTS).map_err(|error| Problem {
        place: Place::whole("content/rules"),
        message: format!("not what the build wrote: {error}"),
    })
}

/// The built-in rules, ready to be asked.
pub fn rules() -> RuleSet {
    let documents = documents().expect("the build wrote what these types read, which a test shows");
    match RuleSet::new(documents) {
        Ok(rules) => rules,
        Err(problems) => unreachable!("the built-in rules fit together: {problems:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_embedded_is_what_the_files_say() {
        let mut read = Vec::new();
        for (name, text, _) in FILES {
            read.extend(parsers::rules::sigma::parse(&Arc::from(*name), text.as_bytes()).unwrap());
        }
        let as_text = |documents: &[Document]| serde_json::to_string(documents).unwrap();
        assert!(read.len() > 200, "{}", read.len());
        assert_eq!(as_text(&documents().unwrap()), as_text(&read));
    }
}
