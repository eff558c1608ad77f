//! The report for people: what to do first comes first.

use consensus::Severity;
use scanner::passwords::{Account, State};
use scanner::redact;

use super::Report;

/// The whole report.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    let mut accounts: Vec<&Account> =
        report.accounts.iter().filter(|account| account.severity() > Severity::Info).collect();
    accounts.sort_by_key(|account| std::cmp::Reverse(account.severity()));
    for account in &accounts {
        for fault in account.faults.iter().filter(|fault| fault.severity > Severity::Info) {
            let name = redact::printable(&account.name);
            let level = fault.severity.to_string();
            out.push_str(&format!("{level:<9}{name}: {}\n", fault.title));
        }
    }
    notes(&mut out, report);
    for line in &report.incomplete {
        out.push_str(&format!("incomplete: {line}\n"));
    }
    if let Some(guessed) = &report.guessed {
        out.push_str(&format!(
            "{} guesses at {} hashes in {:.1} s\n",
            guessed.tried,
            guessed.hashes,
            guessed.elapsed_ms as f64 / 1e3
        ));
    }
    out.push_str(&count(report));
    out
}

/// What is worth knowing and nothing to do about at once: one line a kind.
fn notes(out: &mut String, report: &Report) {
    let mut kinds: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for account in &report.accounts {
        for fault in account.faults.iter().filter(|fault| fault.severity == Severity::Info) {
            let name = redact::printable(&account.name);
            match kinds.iter_mut().find(|(id, ..)| *id == fault.id) {
                Some((_, _, names)) => names.push(name),
                None => kinds.push((fault.id, &fault.title, vec![name])),
            }
        }
    }
    for (_, title, names) in kinds {
        let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(5);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        out.push_str(&format!("note     {shown}{rest}: {title}\n"));
    }
}

fn count(report: &Report) -> String {
    let of = |state: State| report.accounts.iter().filter(|one| one.state == state).count();
    let mut schemes: Vec<(String, usize)> = Vec::new();
    for account in &report.accounts {
        let Some(scheme) = account.scheme.as_ref().filter(|_| account.state == State::Hash) else {
            continue;
        };
        let cost = account.cost.as_ref().map(|cost| format!(" ({cost})")).unwrap_or_default();
        let name = format!("{scheme}{cost}");
        match schemes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => schemes.push((name, 1)),
        }
    }
    let schemes: Vec<String> =
        schemes.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
    let with = match schemes.is_empty() {
        true => String::new(),
        false => format!(": {}", schemes.join(", ")),
    };
    format!(
        "{} accounts, {} with a password{with}, {} locked, {} without one\n",
        report.accounts.len(),
        of(State::Hash),
        of(State::Locked) + of(State::LockedHash),
        of(State::Empty)
    )
}
