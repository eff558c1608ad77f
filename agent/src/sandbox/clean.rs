//! What the child gives is brought into range before anybody uses it: texts are printable, times are of this
//! world, numbers of cases are ones that could have been given. What is beyond that is a broken child.

use scanner::redact::printable;

use super::message::Gave;
use crate::pipeline::case::CaseFile;
use crate::service::Looked;
use crate::store::Sighting;

/// Most findings or cases that one look may give.
const SEEN_MAX: usize = 200_000;
/// Most new cases of one look.
const NEW_CASES_MAX: u64 = 1_000_000;
/// Longest text of one line, in bytes.
const LINE_BYTES_MAX: usize = 16 << 10;
/// How far ahead of now a time may be, in seconds.
const AHEAD_MAX_S: i64 = 86_400;

/// Brings into range what came; why it is refused.
pub fn clean(gave: &mut Gave, next: u64, now: i64) -> Result<(), String> {
    let Looked { seen, more, cases, merged, checks, stale, places, .. } = &mut gave.looked;
    if seen.len() > SEEN_MAX || cases.len() > SEEN_MAX || gave.judged.len() > SEEN_MAX {
        return Err("more findings than there can be".into());
    }
    let last = next.saturating_add(NEW_CASES_MAX);
    let known = |id: &u64| (1..last).contains(id);
    let mut numbers = cases.iter().flat_map(|case| [&case.id].into_iter().chain(&case.joined));
    let are_known = numbers.all(known) && merged.iter().all(known);
    drop(numbers);
    if !are_known {
        return Err("a case with a number that nobody gave".into());
    }
    seen.iter_mut().try_for_each(sighting)?;
    if more.len() > SEEN_MAX || !more.iter().all(|more| is_fingerprint(&more.fingerprint)) {
        return Err("more of what is nothing".into());
    }
    cases.iter_mut().try_for_each(|case| case_file(case, now))?;
    if !checks.iter().all(|check| is_line(check)) || merged.len() > SEEN_MAX {
        return Err("a name that is none".into());
    }
    // Only the broker watches, and makes places of what came beside this.
    *stale = None;
    places.clear();
    Ok(())
}

fn sighting(seen: &mut Sighting) -> Result<(), String> {
    if !is_fingerprint(&seen.fingerprint) || !is_line(&seen.check) {
        return Err("a finding without a name".into());
    }
    line(&mut seen.title)
}

fn case_file(case: &mut CaseFile, now: i64) -> Result<(), String> {
    let at = |time: &mut i64| *time = (*time).clamp(0, now.saturating_add(AHEAD_MAX_S));
    at(&mut case.first);
    at(&mut case.last);
    line(&mut case.title)?;
    for step in &mut case.steps {
        at(&mut step.at);
        line(&mut step.title)?;
        line(&mut step.check)?;
        line(&mut step.fingerprint)?;
        let named = [&mut step.ip, &mut step.user, &mut step.thing];
        named.into_iter().flatten().try_for_each(line)?;
    }
    Ok(())
}

fn line(text: &mut String) -> Result<(), String> {
    if text.len() > LINE_BYTES_MAX {
        return Err("a line without an end".into());
    }
    if !is_line(text) {
        *text = printable(text);
    }
    Ok(())
}

fn is_fingerprint(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_line(text: &str) -> bool {
    text.len() <= LINE_BYTES_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use consensus::Severity;

    use super::*;
    use crate::pipeline::case::case_file::Step;
    use crate::store::{Document, Source};

    fn case(id: u64, at: i64, title: &str) -> CaseFile {
        let step = Step {
            at,
            fingerprint: "ab".into(),
            check: "r".into(),
            title: title.into(),
            severity: Severity::Low,
            count: 1,
            ip: None,
            user: Some("u\u{1b}[2J".into()),
            thing: None,
        };
        let mut case = CaseFile::new(id, &step);
        case.add(step, &[]);
        case
    }

    fn gave(cases: Vec<CaseFile>, fingerprint: &str) -> Gave {
        let seen = Sighting {
            source: Source::Sweep,
            fingerprint: fingerprint.into(),
            check: "r".into(),
            title: "t\nforged line".into(),
            severity: Severity::Low,
            accepted: false,
            count: 1,
            verdict: Document::of(&serde_json::json!({})).unwrap(),
            evidence: Document::of(&serde_json::json!([])).unwrap(),
        };
        let looked = Looked { seen: vec![seen], cases, ..Looked::default() };
        Gave { looked, ..Gave::default() }
    }

    #[test]
    fn texts_are_made_printable_and_times_come_back_to_this_world() {
        let mut gave = gave(vec![case(3, i64::MAX, "x\ry")], "0a");
        clean(&mut gave, 3, 1_000).unwrap();
        let Looked { seen, cases, .. } = &gave.looked;
        assert!(!seen[0].title.contains('\n'));
        let step = &cases[0].steps[0];
        assert_eq!((cases[0].last, step.at), (1_000 + AHEAD_MAX_S, 1_000 + AHEAD_MAX_S));
        assert!(!step.user.as_ref().unwrap().contains('\u{1b}') && !cases[0].title.contains('\r'));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |mut gave: Gave| clean(&mut gave, 3, 1_000).is_err();
        assert!(refused(gave(vec![case(0, 1, "x")], "0a")));
        assert!(refused(gave(vec![case(u64::MAX, 1, "x")], "0a")));
        assert!(refused(gave(vec![case(3, 1, &"x".repeat(LINE_BYTES_MAX + 1))], "0a")));
        assert!(refused(gave(Vec::new(), "../../x")));
        let mut merged = gave(Vec::new(), "0a");
        merged.looked.merged = vec![i64::MAX as u64];
        assert!(refused(merged));
        assert!(!refused(gave(vec![case(3, 1, &"x".repeat(LINE_BYTES_MAX))], "0a")));
    }
}
