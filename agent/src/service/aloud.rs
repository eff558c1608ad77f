//! Says in the system journal what is told: every case of which there are news, and grave alerts.
//!
//! Bounded a step, and what is left out is counted: the files of [`super::tell`] have it all.

use consensus::Severity;

use crate::notices::{Notice, tell};
use crate::pipeline::case::{CaseFile, case_file};
use crate::store::{Alert, News};

/// Lines of one kind a step.
const LINES_MAX: usize = 20;

/// Says the alerts that are new or have risen, from high up.
pub(super) fn alerts(news: &[Alert]) {
    let grave = || news.iter().filter(|alert| alert.seen.severity >= Severity::High);
    for alert in grave().take(LINES_MAX) {
        let event = match alert.untold {
            Some(News::Risen) => Notice::AlertRisen,
            Some(News::New) | None => Notice::AlertNew,
        };
        let seen = &alert.seen;
        let count = seen.count.to_string();
        let fields = [
            ("WARDMOTE_CHECK", seen.check.as_str()),
            ("WARDMOTE_FINDING", &seen.fingerprint),
            ("WARDMOTE_COUNT", &count),
        ];
        tell(
            event,
            Some(seen.severity),
            &fields,
            &format!("{} alert: {}", seen.severity, seen.title),
        );
    }
    left_out(grave().count(), "alerts");
}

/// Says the cases of which there are news.
pub(super) fn cases(news: &[CaseFile]) {
    for case in news.iter().take(LINES_MAX) {
        let event = match case.untold {
            Some(case_file::News::Risen) => Notice::CaseRisen,
            Some(case_file::News::Further) => Notice::CaseFurther,
            Some(case_file::News::New) | None => Notice::CaseNew,
        };
        let number = case.id.to_string();
        let mut fields = vec![("WARDMOTE_CASE", number.as_str())];
        if let Some(last) = case.steps.last() {
            fields.push(("WARDMOTE_CHECK", &last.check));
            fields.push(("WARDMOTE_FINDING", &last.fingerprint));
        }
        let line = format!("case {number}: {}: {}", case.severity, case.title);
        tell(event, Some(case.severity), &fields, &line);
    }
    left_out(news.len(), "cases");
}

fn left_out(count: usize, what: &str) {
    if count > LINES_MAX {
        say!("wardmote: {} more {what}: wardmote alerts", count - LINES_MAX);
    }
}
