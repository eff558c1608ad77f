//! A note as OCSF's Detection Finding (class 2004, schema 1.3.0, <https://schema.ocsf.io>).

use consensus::Severity;
use serde_json::{Value, json};

use super::{Kind, Note};

/// The event.
pub fn finding(note: &Note) -> Value {
    let (activity_id, activity) = match note.kind {
        Kind::New => (1, "Create"),
        Kind::Risen | Kind::Further => (2, "Update"),
        Kind::Gap => (99, "Gap"),
        Kind::Summary => (99, "Summary"),
    };
    let (severity_id, severity) = match note.severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    };
    let mut related: Vec<Value> = Vec::new();
    for step in note.body["steps"].as_array().into_iter().flatten() {
        related.push(json!({ "uid": step["fingerprint"], "title": step["title"] }));
    }
    let milliseconds = |value: &Value| value.as_i64().map(|at| at.saturating_mul(1000));
    let mut info = json!({
        "uid": note.key, "title": note.title, "types": [note.kind.word()],
        "analytic": { "type_id": 1, "type": "Rule", "name": "wardmote" },
    });
    for (name, from) in [("first_seen_time", "first"), ("last_seen_time", "last")] {
        if let Some(at) = milliseconds(&note.body[from]) {
            info[name] = at.into();
        }
    }
    if !related.is_empty() {
        info["related_events"] = related.into();
    }
    json!({
        "category_uid": 2, "category_name": "Findings",
        "class_uid": 2004, "class_name": "Detection Finding",
        "activity_id": activity_id, "activity_name": activity,
        "type_uid": 200_400 + activity_id, "type_name": format!("Detection Finding: {activity}"),
        "time": note.time.saturating_mul(1000),
        "severity_id": severity_id, "severity": severity,
        "status_id": 1, "status": "New",
        "message": note.title,
        "metadata": {
            "version": "1.3.0", "uid": note.id,
            "product": {
                "name": "wardmote", "vendor_name": "wardmote", "version": env!("CARGO_PKG_VERSION"),
            },
        },
        "device": { "hostname": note.host, "type_id": 1, "type": "Server" },
        "finding_info": info,
        "unmapped": { "wardmote": note.body },
    })
}
