//! The built-in rules: every file of `content/rules`, embedded.

use std::sync::Arc;

use parsers::place::Problem;
use parsers::rules::sigma::{Document, parse};

use super::matcher::RuleSet;

macro_rules! file {
    ($name:literal) => {
        (
            concat!("content/rules/", $name, ".yml"),
            include_str!(concat!("../../../content/rules/", $name, ".yml")),
        )
    };
}

/// Every built-in rule file: name and text.
pub const FILES: &[(&str, &str)] = &[
    file!("accounts"),
    file!("cron"),
    file!("kernel"),
    file!("ssh-attacks"),
    file!("ssh-login"),
    file!("su"),
    file!("sudo"),
    file!("systemd"),
    file!("tampering"),
    file!("web-payloads"),
    file!("web-probes"),
    file!("web-storms"),
];

/// The documents of all built-in rules.
pub fn documents() -> Result<Vec<Document>, Problem> {
    let mut documents = Vec::new();
    for (name, text) in FILES {
        documents.extend(parse(&Arc::from(*name), text.as_bytes())?);
    }
    Ok(documents)
}

/// The built-in rules, ready to be asked.
pub fn rules() -> RuleSet {
    let documents = documents().expect("the built-in rules load, which a test shows");
    match RuleSet::new(documents) {
        Ok(rules) => rules,
        Err(problems) => unreachable!("the built-in rules fit together: {problems:?}"),
    }
}
