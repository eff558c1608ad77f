//! OpenTelemetry logs: OTLP over HTTP in the JSON mapping of its protocol buffers
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>, data model of logs 1.x). One record a request, so
//! that an answer is about one note.

use std::sync::Arc;
use std::time::Duration;

use consensus::Severity;
use rustls::ClientConfig;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::http::{Patience, Url, Want, post, tls};
use super::{Failure, Note, Notifier};
use crate::exit::hinted;
use crate::settings::OtlpSettings;

/// The protocol's default time for a request.
const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(5), total: Duration::from_secs(10) };
/// Longest file of headers, and most of them.
const HEADERS_BYTES_MAX: usize = 4096;
const HEADERS_MAX: usize = 16;
/// Deepest value of a note that is told as a structure; what is deeper is told as JSON text.
const DEPTH_MAX: usize = 16;
/// Headers that are ours to set.
const OWN_HEADERS: [&str; 5] =
    ["host", "connection", "content-length", "content-type", "transfer-encoding"];

/// One collector.
pub struct Otlp {
    url: Url,
    tls: Option<Arc<ClientConfig>>,
    /// Names and values, such as tokens.
    headers: Vec<(String, Zeroizing<String>)>,
}

impl Otlp {
    /// Reads the headers and the certificates to trust.
    pub fn new(settings: &OtlpSettings) -> anyhow::Result<Self> {
        let mut url = Url::parse(&settings.url).map_err(|why| hinted(why, ""))?;
        if url.path == "/" {
            url.path = "/v1/logs".into();
        }
        let headers = match &settings.headers_file {
            Some(file) => {
                let bytes = file.read(HEADERS_BYTES_MAX)?;
                headers(&bytes).map_err(|why| {
                    hinted(format!("{file}: {why}"), "one header a line: Authorization: Bearer …")
                })?
            }
            None => Vec::new(),
        };
        let tls = match url.tls {
            true => Some(tls(settings.ca_file.as_deref()).map_err(|why| hinted(why, ""))?),
            false => None,
        };
        Ok(Self { url, tls, headers })
    }
}

impl Notifier for Otlp {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        let body = request(note).to_string();
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let tls = self.tls.as_ref();
        let answer = post(&self.url, tls, &headers, body.as_bytes(), PATIENCE, Want::Body)?;
        let why = format!("HTTP status {}", answer.status);
        match (answer.status, answer.retry_after) {
            (200..=299, _) => rejected(&answer.body).map_or(Ok(()), |why| Err(Failure::Never(why))),
            // What is wrong with the record stays wrong. (The protocol says that of every other 4xx, too; but a
            // token or a path is put right by the operator, and no note should be lost to it meanwhile.)
            (400 | 405 | 410 | 413 | 415 | 422, _) => Err(Failure::Never(why)),
            (429 | 502 | 503 | 504, Some(pause)) => Err(Failure::After(pause, why)),
            _ => Err(Failure::Later(why)),
        }
    }
}

/// What a collector says of records that it did not take: these are not sent again. Counts are numbers in
/// text, as the mapping has it, or numbers.
fn rejected(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Response {
        partial_success: Option<Partial>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Partial {
        rejected_log_records: Value,
        error_message: String,
    }
    let response: Response = serde_json::from_slice(body).ok()?;
    let partial = response.partial_success?;
    let count = &partial.rejected_log_records;
    let count = count.as_i64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0);
    // With none rejected the message is a warning, and the record is there.
    (count > 0).then(|| format!("{count} records rejected: {}", partial.error_message))
}

/// The whole request (ExportLogsServiceRequest).
pub fn request(note: &Note) -> Value {
    let text = |value: &str| json!({ "stringValue": value });
    let attribute = |key: &str, value: Value| json!({ "key": key, "value": value });
    // 64 bits are text in this mapping.
    let nanoseconds = i128::from(note.time.max(0)) * 1_000_000_000;
    let severity = note.severity.to_string();
    json!({ "resourceLogs": [{
        "resource": { "attributes": [
            attribute("service.name", text("wardmote")),
            attribute("service.version", text(env!("CARGO_PKG_VERSION"))),
            attribute("host.name", text(&note.host)),
        ]},
        "scopeLogs": [{
            "scope": { "name": "wardmote", "version": env!("CARGO_PKG_VERSION") },
            "logRecords": [{
                "timeUnixNano": nanoseconds.to_string(),
                "observedTimeUnixNano": nanoseconds.to_string(),
                "severityNumber": severity_number(note.severity),
                "severityText": severity,
                "eventName": format!("wardmote.{}", note.kind.type_name()),
                "body": text(&note.title),
                "attributes": [
                    attribute("wardmote.note.id", text(&note.id)),
                    attribute("wardmote.note.kind", text(note.kind.word())),
                    attribute("wardmote.key", text(&note.key)),
                    attribute("wardmote.data", any(&note.body, 0)),
                ],
            }],
        }],
    }]})
}

/// The data model's numbers for syslog's levels (its appendix B), so that all ways out say the same.
pub fn severity_number(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 9,
        Severity::Low => 10,
        Severity::Medium => 13,
        Severity::High => 17,
        Severity::Critical => 18,
    }
}

/// A value as AnyValue; nothing is an AnyValue without a value.
fn any(value: &Value, depth: usize) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(yes) => json!({ "boolValue": yes }),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!({ "intValue": whole.to_string() }),
            None => json!({ "doubleValue": number.as_f64() }),
        },
        Value::String(text) => json!({ "stringValue": text }),
        _ if depth >= DEPTH_MAX => json!({ "stringValue": value.to_string() }),
        Value::Array(all) => {
            let all: Vec<Value> = all.iter().map(|one| any(one, depth + 1)).collect();
            json!({ "arrayValue": { "values": all } })
        }
        Value::Object(all) => {
            let all =
                all.iter().map(|(key, one)| json!({ "key": key, "value": any(one, depth + 1) }));
            json!({ "kvlistValue": { "values": all.collect::<Vec<_>>() } })
        }
    }
}

/// Headers, one a line; an error names no value.
fn headers(bytes: &[u8]) -> Result<Vec<(String, Zeroizing<String>)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
        let token = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        if name.is_empty() || !name.bytes().all(token) {
            return Err("a header's name is letters, digits, hyphens, underscores and dots".into());
        }
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(format!("{name} is not for you to set"));
        }
        let value = value.trim();
        if !value.bytes().all(|c| c == b' ' || c.is_ascii_graphic()) {
            return Err(format!("the value of {name} is not plain text"));
        }
        headers.push((name.to_string(), Zeroizing::new(value.to_string())));
    }
    match headers.len() {
        0..=HEADERS_MAX => Ok(headers),
        _ => Err(format!("more than {HEADERS_MAX} headers")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::tests::note;
    use super::*;

    /// The mapping by hand, after the example of the specification's repository (examples/logs.json): names in
    /// lowerCamelCase, 64-bit numbers as text, enumerations as numbers.
    #[test]
    fn the_request_is_what_the_mapping_says() {
        let body =
            json!({"count": 3, "ratio": 0.5, "open": true, "none": null, "ips": ["192.0.2.7"]});
        let note = Note { body, ..note("case-7", Severity::High) };
        let version = env!("CARGO_PKG_VERSION");
        let wanted = format!(
            r#"{{"resourceLogs":[{{
              "resource":{{"attributes":[
                {{"key":"service.name","value":{{"stringValue":"wardmote"}}}},
                {{"key":"service.version","value":{{"stringValue":"{version}"}}}},
                {{"key":"host.name","value":{{"stringValue":"host7"}}}}]}},
              "scopeLogs":[{{
                "scope":{{"name":"wardmote","version":"{version}"}},
                "logRecords":[{{
                  "timeUnixNano":"1700000000000000000",
                  "observedTimeUnixNano":"1700000000000000000",
                  "severityNumber":17,
                  "severityText":"high",
                  "eventName":"wardmote.case.new",
                  "body":{{"stringValue":"case-7"}},
                  "attributes":[
                    {{"key":"wardmote.note.id","value":{{"stringValue":"wm-case-7"}}}},
                    {{"key":"wardmote.note.kind","value":{{"stringValue":"new"}}}},
                    {{"key":"wardmote.key","value":{{"stringValue":"case-7"}}}},
                    {{"key":"wardmote.data","value":{{"kvlistValue":{{"values":[
                      {{"key":"count","value":{{"intValue":"3"}}}},
                      {{"key":"ratio","value":{{"doubleValue":0.5}}}},
                      {{"key":"open","value":{{"boolValue":true}}}},
                      {{"key":"none","value":{{}}}},
                      {{"key":"ips","value":{{"arrayValue":{{"values":[{{"stringValue":"192.0.2.7"}}]}}}}}}]}}}}}}]}}]}}]}}]}}"#
        );
        assert_eq!(request(&note), serde_json::from_str::<Value>(&wanted).unwrap());
        assert_eq!(
            request(&Note { kind: Kind::Gap, ..note })["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
                [0]["eventName"],
            "wardmote.notifications.gap"
        );
    }

    #[test]
    fn levels_are_those_of_syslog_in_the_data_models_numbers_and_rise() {
        let numbers = Severity::ALL.map(severity_number);
        assert_eq!(numbers, [9, 10, 13, 17, 18]);
    }

    #[test]
    fn deep_values_are_told_as_text() {
        let mut deep = json!(1);
        for _ in 0..DEPTH_MAX + 5 {
            deep = json!([deep]);
        }
        let told = any(&deep, 0).to_string();
        assert_eq!(told.matches("arrayValue").count(), DEPTH_MAX);
        assert!(told.contains("[[[[[1]]]]]"), "{told}");
    }

    #[test]
    fn records_that_were_rejected_are_told_and_warnings_are_none() {
        assert_eq!(rejected(b""), None);
        assert_eq!(rejected(b"{}"), None);
        assert_eq!(rejected(br#"{"partialSuccess":{}}"#), None);
        assert_eq!(rejected(br#"{"partialSuccess":{"errorMessage":"slow"}}"#), None);
        for count in ["1", "\"1\""] {
            let body = format!(
                "{{\"partialSuccess\":{{\"rejectedLogRecords\":{count},\"errorMessage\":\"old\"}}}}"
            );
            assert_eq!(rejected(body.as_bytes()).unwrap(), "1 records rejected: old");
        }
    }

    #[test]
    fn headers_are_plain_and_none_is_ours() {
        let good = headers(b"Authorization: Bearer abc\n\nX-Scope_ID: t 1\n").unwrap();
        assert_eq!((good.len(), good[1].1.as_str()), (2, "t 1"));
        let many = |count: usize| headers("a: b\n".repeat(count).as_bytes());
        assert!(many(HEADERS_MAX).is_ok() && many(HEADERS_MAX + 1).is_err());
        for wrong in
            ["no-colon-secret", "a b: secret", "Host: secret", ": secret", "a: se\u{1}cret"]
        {
            let why = headers(wrong.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
