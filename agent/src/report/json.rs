//! The JSON forms: one document, or one finding a line and a summary.

use serde_json::json;

use crate::report::Report;

/// One document, indented.
pub fn document(report: &Report) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(report)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// One finding a line, then one line `{"summary":{…}}` with everything else.
pub fn lines(report: &Report) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for finding in &report.findings {
        serde_json::to_writer(&mut bytes, finding)?;
        bytes.push(b'\n');
    }
    let summary = json!({"summary": {
        "schema": report.schema, "started": report.started, "host": report.host,
        "vantage": report.vantage, "checks": report.checks, "incomplete": report.incomplete,
        "counts": report.counts, "accepted": report.accepted, "elapsed_ms": report.elapsed_ms,
    }});
    serde_json::to_writer(&mut bytes, &summary)?;
    bytes.push(b'\n');
    Ok(bytes)
}
