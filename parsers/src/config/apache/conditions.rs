//! `<IfModule>`, `<IfDefine>`, `<IfFile>`, `<IfDirective>`, `<IfSection>`, `<IfVersion>`.

use std::path::Path;

use super::known::{find, source_file};
use super::lines::words;
use super::read::Reader;
use crate::tree::Links;

/// Most words of a condition.
const WORDS_MAX: usize = 4;

impl Reader<'_> {
    /// Whether a condition holds; `name` is the section's in small letters.
    pub(super) fn holds(&self, name: &str, arguments: &str) -> Result<bool, &'static str> {
        if name == "<ifversion" {
            return self.version(arguments);
        }
        let end = arguments.rfind('>').ok_or("the closing `>` is missing")?;
        let (negated, inner) = match arguments[..end].strip_prefix('!') {
            Some(inner) => (true, inner),
            None => (false, &arguments[..end]),
        };
        let words = words(inner, 0, 1);
        let asked = words.first().map_or("", |word| word.text.as_str());
        if asked.is_empty() {
            return Err("the condition is missing");
        }
        let is_so = match name {
            "<ifmodule" => self.loaded.iter().any(|module| {
                source_file(module) == asked || asked.strip_suffix("_module") == Some(module)
            }),
            "<ifdefine" => self.defined.contains(asked),
            "<iffile" => self.tree.stat(Path::new(&self.absolute(asked)), Links::Follow).is_ok(),
            "<ifdirective" => self.is_available(asked),
            _ => self.is_available(&format!("<{asked}")),
        };
        Ok(is_so != negated)
    }

    fn is_available(&self, name: &str) -> bool {
        find(name).iter().any(|known| self.loaded.contains(known.module))
    }

    /// `<IfVersion [[!]operator] version>`.
    fn version(&self, arguments: &str) -> Result<bool, &'static str> {
        const MISSING: &str = "the closing `>` is missing";
        let words = words(arguments, 0, WORDS_MAX);
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let (operator, version) = match texts[..] {
            [version] => ("=", version.strip_suffix('>').ok_or(MISSING)?),
            [version, ">"] => ("=", version),
            [operator, version] => (operator, version.strip_suffix('>').ok_or(MISSING)?),
            [operator, version, ">"] => (operator, version),
            _ => return Err("the closing `>` is missing, or there is more than a version"),
        };
        let (negated, operator) = match operator.strip_prefix('!') {
            Some("") => (true, "!"),
            Some(rest) => (true, rest),
            None => (false, operator),
        };
        let regex = match operator {
            "~" => Some(version),
            "=" | "==" if version.starts_with('/') => {
                let inner = version[1..].strip_suffix('/');
                Some(inner.ok_or("the closing `/` of the regular expression is missing")?)
            }
            _ => None,
        };
        if let Some(regex) = regex {
            let [major, minor, patch] = self.facts.version;
            let regex = regex::RegexBuilder::new(regex).size_limit(1 << 20).build();
            let regex = regex.map_err(|_| "the regular expression cannot be compiled")?;
            return Ok(regex.is_match(&format!("{major}.{minor}.{patch}")) != negated);
        }
        let order = self.compare(version)?;
        let is_so = match operator {
            "=" | "==" => order.is_eq(),
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            _ => return Err("unrecognized operator"),
        };
        Ok(is_so != negated)
    }

    /// The program's version beside the one that is asked for; parts left out are 0.
    fn compare(&self, asked: &str) -> Result<std::cmp::Ordering, &'static str> {
        let parts = asked.split('.').map(|part| match part.bytes().all(|b| b.is_ascii_digit()) {
            true => part.parse::<u32>().map_err(|_| "the version is not a number"),
            false => Err("the version is not a number"),
        });
        let parts = parts.collect::<Result<Vec<u32>, _>>()?;
        if parts.len() > 3 {
            return Err("the version has more than three parts");
        }
        let mut asked = [0; 3];
        asked[..parts.len()].copy_from_slice(&parts);
        Ok(self.facts.version.cmp(&asked))
    }
}
