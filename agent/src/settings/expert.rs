//! An expert from outside, as the operator configures it.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::hinted;

/// Most experts from outside.
pub const EXPERTS_MAX: usize = 16;
/// Longest name.
const NAME_MAX: usize = 32;
/// Most words of a command.
const WORDS_MAX: usize = 64;
/// Longest time for an answer.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// A command that is asked for its opinion about each finding, over JSON lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Given")]
pub struct ExpertSettings {
    /// Its name: letters, digits, `-` and `_`; verdicts call it `outside:NAME`.
    pub name: String,
    /// The program's absolute path and its arguments; no shell is involved.
    pub command: Vec<String>,
    /// How long one answer may take.
    pub timeout: Patience,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    command: Vec<String>,
    #[serde(default)]
    timeout: Patience,
}

impl TryFrom<Given> for ExpertSettings {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let Given { name, command, timeout } = given;
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
            return Err(format!(
                "an expert's name is 1 to {NAME_MAX} letters, digits, hyphens and underscores"
            ));
        }
        if !command.first().is_some_and(|program| program.starts_with('/')) {
            return Err("an expert's command begins with an absolute path".into());
        }
        if command.len() > WORDS_MAX {
            return Err(format!("an expert's command has at most {WORDS_MAX} words"));
        }
        Ok(Self { name, command, timeout })
    }
}

/// Refuses too many experts, and two of one name.
pub fn distinct(experts: &[ExpertSettings]) -> anyhow::Result<()> {
    if experts.len() > EXPERTS_MAX {
        let message = format!("configuration: more than {EXPERTS_MAX} experts");
        return Err(hinted(message, "let one command ask the others"));
    }
    let names: BTreeSet<&str> = experts.iter().map(|expert| expert.name.as_str()).collect();
    match names.len() == experts.len() {
        true => Ok(()),
        false => Err(hinted("configuration: two experts have one name", "rename one of them")),
    }
}

/// Root takes commands only from a configuration that nobody else can write.
pub fn only_roots(file: &Path, names: &str) -> anyhow::Result<()> {
    let meta = std::fs::metadata(file)
        .map_err(|error| hinted(format!("{}: {error}", file.display()), "use sudo"))?;
    let open = meta.uid() != 0 || meta.mode() & 0o022 != 0;
    if open && rustix::process::geteuid().is_root() {
        return Err(hinted(
            format!("{}: it names {names}, and others than root may write it", file.display()),
            format!("chown root {0} && chmod 644 {0}", file.display()),
        ));
    }
    Ok(())
}

/// A short span of time written as `500ms` or `2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Patience(pub Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_millis(500))
    }
}

impl std::str::FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("a time limit is 1ms to {}s: 500ms, 2s", TIMEOUT_MAX.as_secs());
        let (number, unit) = match text.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (text.strip_suffix('s').ok_or_else(wrong)?, 1_000),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let limit = Duration::from_millis(number.checked_mul(unit).ok_or_else(wrong)?);
        let holds = !limit.is_zero() && limit <= TIMEOUT_MAX;
        if holds { Ok(Self(limit)) } else { Err(wrong()) }
    }
}

impl std::fmt::Display for Patience {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_millis() {
            whole if whole.is_multiple_of(1_000) => write!(out, "{}s", whole / 1_000),
            millis => write!(out, "{millis}ms"),
        }
    }
}

impl Serialize for Patience {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Patience {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_have_units_and_bounds() {
        for (text, millis) in [("1ms", 1), ("500ms", 500), ("2s", 2_000), ("60s", 60_000)] {
            let limit: Patience = text.parse().unwrap();
            assert_eq!((limit.0.as_millis(), limit.to_string()), (millis, text.to_string()));
        }
        for wrong in ["", "0ms", "60001ms", "61s", "5", "s", "1m", "-1s", "99999999999999999999s"] {
            assert!(wrong.parse::<Patience>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_commands_are_checked() {
        let read = |name: &str, words: usize| {
            let command: Vec<String> = (0..words).map(|_| "/bin/x".to_string()).collect();
            ExpertSettings::try_from(Given {
                name: name.into(),
                command,
                timeout: Patience::default(),
            })
        };
        assert!(read(&"x".repeat(NAME_MAX), WORDS_MAX).is_ok());
        assert!(read(&"x".repeat(NAME_MAX + 1), 1).is_err());
        assert!(read("x", WORDS_MAX + 1).is_err());
        assert!(read("x", 0).is_err());
        for name in ["", "a b", "outside:a", "é"] {
            assert!(read(name, 1).is_err(), "{name}");
        }
    }
}
