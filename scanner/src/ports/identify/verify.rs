//! Do fingerprints do what their examples say?
//!
//! recog's own rules: an example matches its fingerprint; every attribute of it equals the parameter
//! of that name; no earlier fingerprint of the same file matches it.

use parsers::place::{Place, Problem};
use parsers::rules::recog::{Example, Text};

use super::fingerprints::Ready;

/// What came of the examples of some files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Examples that hold.
    pub passed: usize,
    /// Examples that do not, and expressions that do not compile.
    pub failures: Vec<Problem>,
    /// Fingerprints without an example.
    pub untested: usize,
}

impl Outcome {
    /// Adds the outcome of another file.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.untested += other.untested;
        self.failures.extend(other.failures);
    }
}

/// Runs every example of a database. `beside` reads an example that is kept in a file of its own.
pub fn verify(ready: &Ready, beside: impl Fn(&str) -> Result<Vec<u8>, String>) -> Outcome {
    let mut outcome = Outcome::default();
    for (index, fingerprint) in ready.database.fingerprints.iter().enumerate() {
        let problem = |line: u32, message: String| Problem {
            place: Place::new(&ready.database.file, line, 0),
            message,
        };
        if let Some(why) = ready.error(index) {
            outcome.failures.push(problem(fingerprint.line, format!("does not compile: {why}")));
            continue;
        }
        outcome.untested += usize::from(fingerprint.examples.is_empty());
        for example in &fingerprint.examples {
            let told = match &example.text {
                Text::Here(bytes) => one(ready, index, example, bytes),
                Text::Beside(name) => {
                    beside(name).and_then(|bytes| one(ready, index, example, &bytes))
                }
            };
            match told {
                Ok(()) => outcome.passed += 1,
                Err(why) => outcome.failures.push(problem(example.line, why)),
            }
        }
    }
    outcome
}

fn one(ready: &Ready, index: usize, example: &Example, text: &[u8]) -> Result<(), String> {
    let facts = ready.ask(index, text).ok_or("the example does not match its pattern")?;
    for (name, expected) in &example.expected {
        match facts.get(name) {
            Some(found) if found == expected => {}
            Some(found) => return Err(format!("`{name}` is `{found}`, not `{expected}`")),
            None => return Err(format!("`{name}` is not set, expected `{expected}`")),
        }
    }
    match ready.first(text) {
        Some((first, _)) if first < index => {
            let line = ready.database.fingerprints[first].line;
            Err(format!("the earlier fingerprint of line {line} matches too"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::identify::fingerprints::Fingerprints;
    use parsers::rules::recog;

    const FILE: &str = "<fingerprints matches='x'>
<fingerprint pattern='^a(\\d)'><description>a</description>
<example v='1'>a1</example>
<example v='2'>a1</example>
<example w='1'>a1</example>
<example>b</example>
<param pos='1' name='v'/></fingerprint>
<fingerprint pattern='^a1'><description>shadowed</description>
<example>a1</example>
<example _filename='f'/></fingerprint>
<fingerprint pattern='(?!x)'><description>does not compile</description></fingerprint>
<fingerprint pattern='^z'><description>untested</description></fingerprint>
</fingerprints>";

    #[test]
    fn every_way_to_fail_is_told_with_its_line() {
        let database = recog::parse(&"x.xml".into(), FILE.as_bytes()).unwrap();
        let all = Fingerprints::default().with(vec![database]);
        let ready = all.databases().next().unwrap();
        let outcome = verify(ready, |name| Err(format!("{name}: gone")));
        let told: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
        assert_eq!(
            told[..6],
            [
                "x.xml:4: `v` is `1`, not `2`",
                "x.xml:5: `w` is not set, expected `1`",
                "x.xml:6: the example does not match its pattern",
                "x.xml:9: the earlier fingerprint of line 2 matches too",
                "x.xml:10: f: gone",
                "x.xml:11: does not compile: look-around, including look-ahead and look-behind, is not supported",
            ]
        );
        assert_eq!((told.len(), outcome.passed, outcome.untested), (6, 1, 1));
    }
}
