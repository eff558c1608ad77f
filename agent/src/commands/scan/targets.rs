//! Words of the command line become addresses: `@FILE`, names, networks, exclusions.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use scanner::ports::firewall::Span;
use scanner::ports::targets::{self, Target, WORDS_MAX};

use crate::exit::hinted;

/// Most bytes of an `@file`.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Longest wait for a name.
const RESOLVE_WITHIN: Duration = Duration::from_secs(10);
/// Most names that are resolved.
const NAMES_MAX: usize = 4096;
/// The words of the command line with `@FILE` replaced by the words of that file.
pub(super) fn words(given: &[String]) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    for word in given {
        match word.strip_prefix('@') {
            None => words.push(word.clone()),
            Some(path) => words.extend(words_of_file(Path::new(path))?),
        }
        if words.len() > WORDS_MAX {
            return Err(hinted(format!("more than {WORDS_MAX} targets"), "write networks"));
        }
    }
    Ok(words)
}

/// Words of a file; `#` starts a comment.
fn words_of_file(path: &Path) -> anyhow::Result<Vec<String>> {
    let told = |why: String| hinted(format!("{}: {why}", path.display()), "one target a line");
    let file = crate::secrets::open_regular(path)?;
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(|error| told(error.to_string()))? as u64 > FILE_BYTES_MAX {
        return Err(told(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::split_ascii_whitespace)
        .take(WORDS_MAX + 1)
        .map(str::to_string)
        .collect())
}

pub(super) type Named = Vec<(IpAddr, String)>;

/// Spans, addresses of names, and names that do not resolve.
pub(super) async fn resolve(words: &[String]) -> anyhow::Result<(Vec<Span>, Named, Vec<String>)> {
    let (mut spans, mut named, mut unresolved) = (Vec::new(), Vec::new(), Vec::new());
    let mut names = 0;
    for word in words {
        let name = match targets::target(word).map_err(usage)? {
            Target::Span(span) => {
                spans.push(span);
                continue;
            }
            Target::Name(name) => name,
        };
        names += 1;
        if names > NAMES_MAX {
            return Err(hinted(format!("more than {NAMES_MAX} names"), "write addresses"));
        }
        let asked = tokio::net::lookup_host((name.as_str(), 0));
        match tokio::time::timeout(RESOLVE_WITHIN, asked).await {
            Ok(Ok(found)) => named.extend(found.map(|found| (found.ip(), name.clone()))),
            Ok(Err(error)) => unresolved.push(format!("{name}: not resolved: {error}")),
            Err(_) => unresolved.push(format!("{name}: not resolved in {RESOLVE_WITHIN:?}")),
        }
    }
    Ok((spans, named, unresolved))
}

/// The addresses to scan, each once: of the names first, with them.
pub(super) fn pick(
    spans: &[Span],
    named: Named,
    excluded: &[Span],
) -> anyhow::Result<Vec<(IpAddr, Option<String>)>> {
    let mut seen = std::collections::HashSet::new();
    let plain = targets::addresses(spans, excluded).map_err(usage)?;
    let named = named
        .into_iter()
        .filter(|(address, _)| !excluded.iter().any(|span| span.contains(*address)))
        .map(|(address, name)| (address, Some(name)));
    Ok(named
        .chain(plain.into_iter().map(|address| (address, None)))
        .filter(|(address, _)| seen.insert(*address))
        .collect())
}

pub(super) fn usage(error: targets::TargetError) -> anyhow::Error {
    let hint = match error {
        targets::TargetError::Word(_) => "write 192.0.2.1, 192.0.2.0/24, 192.0.2.1-20 or a name",
        targets::TargetError::TooMany => "scan it in parts",
        targets::TargetError::Port(_) => "write 22,80,8000-8010, or - for all",
    };
    hinted(error.to_string(), hint)
}
