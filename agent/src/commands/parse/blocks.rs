//! Formats made of directives and blocks, and those of packet filters and certificates.

use parsers::config::nginx::Nginx;

use super::source::Source;
use super::{Kind, Parsed, plain, unreadable};

/// Whether a kind is read here.
pub(super) fn handles(kind: Kind) -> bool {
    matches!(kind, Kind::Nginx)
}

/// Whether a kind that is read here has an effective view.
pub(super) fn has_effective(kind: Kind) -> bool {
    matches!(kind, Kind::Nginx)
}

/// Reads a file: its structure, or what holds in the end.
pub(super) fn read(source: &Source, kind: Kind, effective: bool) -> anyhow::Result<Parsed> {
    match kind {
        Kind::Nginx => nginx(source, effective),
        _ => anyhow::bail!("this kind is not read here"),
    }
}

fn nginx(source: &Source, effective: bool) -> anyhow::Result<Parsed> {
    let mut read = Nginx::read(source.tree(), source.path()).map_err(|e| unreadable(&e))?;
    let mut problems = std::mem::take(&mut read.problems);
    let unread = std::mem::take(&mut read.unread);
    if !effective {
        return Ok(Parsed::new(plain(&read)?, "directives", problems).unread(unread));
    }
    let effective = read.effective();
    for problem in effective.problems.kept.iter() {
        problems.push(problem.place.clone(), problem.message.clone());
    }
    Ok(Parsed::new(effective.to_json(), "blocks", problems).unread(unread))
}
