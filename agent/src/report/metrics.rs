//! How the service is, for Prometheus: the text format of exposition (version 0.0.4), as the node exporter's
//! textfile collector reads it. Units are base units, counters end in `_total`, every metric is there from the
//! first moment, so that an absence means that nobody watches.

use std::fmt::Write as _;

use consensus::Severity;

use crate::control::status::Status;

/// The whole text.
pub fn text(status: &Status) -> String {
    let mut out = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
        let _ = writeln!(out, "# HELP wardmote_{name} {help}\n# TYPE wardmote_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(out, "wardmote_{name}{labels} {value}");
        }
    };
    let plain = |value: f64| [(String::new(), value)];
    let label = |name: &str, value: &str| format!("{{{name}=\"{value}\"}}");
    let seconds = |at: Option<i64>| plain(at.unwrap_or(0) as f64);

    let open = Severity::ALL.map(|level| {
        let count = status.alerts.get(&level).copied().unwrap_or(0);
        (label("severity", level.name()), count as f64)
    });
    metric("alerts_open", "gauge", "Open alerts.", &open);
    let tally = &status.tally;
    let fates =
        [("notified", tally.notified), ("merged", tally.merged), ("suppressed", tally.suppressed)];
    let fates = fates.map(|(fate, count)| (label("fate", fate), count as f64));
    metric("events_total", "counter", "What the logs showed, by what became of it.", &fates);
    metric(
        "alerts_evicted_total",
        "counter",
        "Alerts that made room.",
        &plain(status.evicted as f64),
    );
    metric(
        "incomplete",
        "gauge",
        "Things that could not be looked at.",
        &plain(status.incomplete as f64),
    );
    let trouble = f64::from(u8::from(status.trouble.is_some()));
    metric("trouble", "gauge", "1 while something goes wrong.", &plain(trouble));
    metric(
        "start_time_seconds",
        "gauge",
        "When the service started.",
        &plain(status.started as f64),
    );
    let name = "last_sweep_timestamp_seconds";
    metric(
        name,
        "gauge",
        "The end of the last look at the logs; 0: none.",
        &seconds(status.last_sweep),
    );
    let name = "last_audit_timestamp_seconds";
    metric(name, "gauge", "The end of the last audit; 0: none.", &seconds(status.last_audit));
    let runs: Vec<_> = status
        .stages
        .iter()
        .map(|(stage, took)| (label("stage", stage), took.count as f64))
        .collect();
    metric("stage_runs_total", "counter", "Runs of a stage of the pipeline.", &runs);
    let spent: Vec<_> = status
        .stages
        .iter()
        .map(|(stage, took)| (label("stage", stage), took.total_ns as f64 / 1e9))
        .collect();
    metric("stage_seconds_total", "counter", "Time in a stage of the pipeline.", &spent);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::Tally;
    use crate::pipeline::case::timings::Took;

    #[test]
    fn each_sample_stands_under_its_help_and_type_once() {
        let status = Status {
            started: 1_795_000_000,
            alerts: [(Severity::High, 2)].into(),
            tally: Tally { received: 6, notified: 1, merged: 2, suppressed: 3 },
            stages: [("verify".to_string(), Took { count: 4, total_ns: 2_000_000, most_ns: 9 })]
                .into(),
            trouble: Some("disk full".into()),
            ..Status::default()
        };
        let text = text(&status);
        for line in [
            "wardmote_alerts_open{severity=\"high\"} 2",
            "wardmote_alerts_open{severity=\"critical\"} 0",
            "wardmote_events_total{fate=\"suppressed\"} 3",
            "wardmote_start_time_seconds 1795000000",
            "wardmote_last_audit_timestamp_seconds 0",
            "wardmote_trouble 1",
            "wardmote_stage_seconds_total{stage=\"verify\"} 0.002",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
        // The format itself: HELP, TYPE, then samples of that very metric.
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                current = name.to_string();
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else if !line.starts_with("# HELP ") {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(name, current);
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok());
            }
        }
        assert!(!text.contains("disk full"), "no free text in metrics");
    }
}
