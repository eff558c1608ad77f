//! The built-in rules: every file of `content/rules`, embedded.

use std::sync::Arc;

use parsers::place::Problem;
use parsers::rules::sigma::{Document, parse};

use super::matcher::RuleSet;

/// A rule file, its text, and its samples.
type File = (&'static str, &'static str, &'static str);

macro_rules! file {
    ($name:literal) => {
        (
            concat!("content/rules/", $name, ".yml"),
            include_str!(concat!("../../../content/rules/", $name, ".yml")),
            include_str!(concat!("../../../content/rules/tests/", $name, ".yml")),
        )
    };
}

/// Every built-in rule file: name, text, and the logs on which its rules fire or stay silent.
pub const FILES: &[File] = &[
    file!("accounts"),
    file!("audit"),
    file!("cron"),
    file!("database"),
    file!("firewall"),
    file!("ftp"),
    file!("kernel"),
    file!("mail"),
    file!("pam"),
    file!("server-errors"),
    file!("services"),
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
    for (name, text, _) in FILES {
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
