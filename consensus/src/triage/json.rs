//! Alerts of other tools as JSON lines: Wazuh, Suricata's EVE log, and OCSF findings.
//!
//! Of each line only what tells time, host and rule is read; texts are borrowed from the line where they
//! hold no escapes. An event that is no alert (a flow, a DNS answer, an archived log line) is said to be
//! none; a line that should be an alert and cannot be read says why, and quotes nothing of itself.
//!
//! What the tools themselves think of the severity is not read: measured as a ranking it says next to
//! nothing (see the test of the four scenarios).

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Deserialize;

use super::{Alert, time};

/// Longest line that is read.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Whose lines these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `alerts.json` of Wazuh 4.
    Wazuh,
    /// `eve.json` of Suricata.
    Suricata,
    /// OCSF 1.x Detection Finding (2004) and Security Finding (2001).
    Ocsf,
}

/// One alert, still holding its texts.
#[derive(Debug)]
pub struct Read<'a> {
    time: i64,
    host: Cow<'a, str>,
    name: String,
    title: Cow<'a, str>,
}

impl Read<'_> {
    /// The alert itself.
    pub fn alert(&self) -> Alert<'_> {
        Alert { time: self.time, host: &self.host, name: &self.name, title: &self.title }
    }
}

/// Reads one line; `None` when it tells of something that is no alert.
pub fn read(format: Format, line: &str) -> Result<Option<Read<'_>>, &'static str> {
    if line.len() > MAX_LINE_BYTES {
        return Err("an over-long line");
    }
    match format {
        Format::Wazuh => wazuh(line),
        Format::Suricata => suricata(line),
        Format::Ocsf => ocsf(line),
    }
}

/// A text that is borrowed where it can be; `Option<Cow<str>>` alone would always be copied.
#[derive(Debug, Default, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Whole numbers that some tools write as texts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number<'a> {
    Number(i64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

impl std::fmt::Display for Number<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(to),
            Self::Text(text) => text.fmt(to),
        }
    }
}

/// The first text that says something.
fn first<'a, const N: usize>(texts: [Option<Text<'a>>; N]) -> Option<Cow<'a, str>> {
    texts.into_iter().flatten().map(|text| text.0).find(|text| !text.is_empty())
}

fn parsed<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, &'static str> {
    serde_json::from_str(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => "JSON, but not of this tool",
        _ => "not one JSON object on a line",
    })
}

#[derive(Deserialize)]
struct Wazuh<'a> {
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    rule: Option<WazuhRule<'a>>,
    #[serde(borrow)]
    agent: Option<Agent<'a>>,
    #[serde(borrow)]
    manager: Option<Agent<'a>>,
}

#[derive(Deserialize)]
struct WazuhRule<'a> {
    #[serde(borrow)]
    id: Option<Number<'a>>,
    #[serde(borrow)]
    description: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Agent<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    ip: Option<Text<'a>>,
}

/// The host is `agent.name`, else `agent.ip`, else `manager.name`; the rule is `rule.id`, called by its
/// description, which may hold values of the one event.
fn wazuh(line: &str) -> Result<Option<Read<'_>>, &'static str> {
    let event: Wazuh = parsed(line)?;
    let Some(rule) = event.rule else { return Ok(None) };
    let (agent, ip) = event.agent.map_or((None, None), |agent| (agent.name, agent.ip));
    let manager = event.manager.and_then(|manager| manager.name);
    let title = first([rule.description]);
    let name = match (rule.id, &title) {
        (Some(id), _) => format!("Wazuh: {id}"),
        (None, Some(title)) => format!("Wazuh: {title}"),
        (None, None) => return Err("no rule.id and no rule.description"),
    };
    let time = event.timestamp.ok_or("no timestamp")?;
    Ok(Some(Read {
        time: time::rfc3339(&time.0).ok_or("the timestamp is no time with an offset")?,
        host: first([agent, ip, manager]).ok_or("no agent.name, agent.ip or manager.name")?,
        title: title.map_or_else(|| name.clone().into(), |title| format!("Wazuh: {title}").into()),
        name,
    }))
}

#[derive(Deserialize)]
struct Suricata<'a> {
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    event_type: Option<Text<'a>>,
    #[serde(borrow)]
    src_ip: Option<Text<'a>>,
    #[serde(borrow)]
    dest_ip: Option<Text<'a>>,
    #[serde(borrow)]
    alert: Option<Signature<'a>>,
}

#[derive(Deserialize)]
struct Signature<'a> {
    gid: Option<i64>,
    signature_id: Option<i64>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
}

/// The host is the address on our side: of `src_ip` and `dest_ip` the private one, else `dest_ip`. EVE's
/// `host` is the sensor and says nothing of whom an alert concerns.
fn suricata(line: &str) -> Result<Option<Read<'_>>, &'static str> {
    let event: Suricata = parsed(line)?;
    let kind = event.event_type.ok_or("no event_type")?;
    if kind.0 != "alert" {
        return Ok(None);
    }
    let signature = event.alert.ok_or("an alert without its signature")?;
    let title = first([signature.signature]);
    let name = match (signature.signature_id, &title) {
        (Some(id), _) => format!("Suricata: {}:{id}", signature.gid.unwrap_or(1)),
        (None, Some(title)) => format!("Suricata: {title}"),
        (None, None) => return Err("no alert.signature_id and no alert.signature"),
    };
    let time = event.timestamp.ok_or("no timestamp")?;
    let (from, to) = (first([event.src_ip]), first([event.dest_ip]));
    let from_us = from.as_deref().is_some_and(private) && !to.as_deref().is_some_and(private);
    let host = if from_us { from } else { to.or(from) };
    Ok(Some(Read {
        time: time::rfc3339(&time.0).ok_or("the timestamp is no time with an offset")?,
        host: host.ok_or("no dest_ip and no src_ip")?,
        title: title
            .map_or_else(|| name.clone().into(), |title| format!("Suricata: {title}").into()),
        name,
    }))
}

/// Addresses of RFC 1918 and RFC 4193, loopback and link-local.
fn private(address: &str) -> bool {
    match address.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local()
        }
        Err(_) => false,
    }
}

/// Security Finding (until OCSF 1.0), Detection Finding (since 1.1).
const FINDINGS: [i64; 2] = [2001, 2004];

#[derive(Deserialize)]
struct Ocsf<'a> {
    class_uid: Option<i64>,
    #[serde(borrow)]
    time: Option<Number<'a>>,
    #[serde(borrow)]
    finding_info: Option<Finding<'a>>,
    #[serde(borrow)]
    finding: Option<Finding<'a>>,
    #[serde(borrow)]
    device: Option<Device<'a>>,
    #[serde(borrow, default)]
    resources: Option<Vec<Device<'a>>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Finding<'a> {
    #[serde(borrow)]
    title: Option<Text<'a>>,
    #[serde(borrow)]
    analytic: Option<Analytic<'a>>,
}

#[derive(Deserialize)]
struct Analytic<'a> {
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Device<'a> {
    #[serde(borrow)]
    hostname: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    ip: Option<Text<'a>>,
    #[serde(borrow)]
    uid: Option<Text<'a>>,
}

impl<'a> Device<'a> {
    fn called(self) -> Option<Text<'a>> {
        first([self.hostname, self.name, self.ip, self.uid]).map(Text)
    }
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    product: Option<Product<'a>>,
}

#[derive(Deserialize)]
struct Product<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

/// The host is the device's hostname, name, ip or uid, else the first resource's; the rule is the
/// analytic's uid or name, else the finding's title. Times are milliseconds since the epoch.
fn ocsf(line: &str) -> Result<Option<Read<'_>>, &'static str> {
    let event: Ocsf = parsed(line)?;
    if !FINDINGS.contains(&event.class_uid.ok_or("no class_uid")?) {
        return Ok(None);
    }
    let finding = event.finding_info.or(event.finding).ok_or("no finding_info and no finding")?;
    let product = event.metadata.and_then(|metadata| metadata.product?.name);
    let product = product.map_or("OCSF".into(), |product| product.0);
    let (uid, analytic) =
        finding.analytic.map_or((None, None), |analytic| (analytic.uid, analytic.name));
    let title = first([finding.title]);
    let rule = first([uid, analytic]).or_else(|| title.clone());
    let rule = rule.ok_or("no title and no analytic in the finding")?;
    let resource = event.resources.and_then(|resources| resources.into_iter().next());
    let host = first([event.device.and_then(Device::called), resource.and_then(Device::called)]);
    Ok(Some(Read {
        time: milliseconds(&event.time.ok_or("no time")?)
            .ok_or("the time is not in milliseconds")?,
        host: host.ok_or("no name of a device or resource")?,
        title: format!("{product}: {}", title.as_ref().unwrap_or(&rule)).into(),
        name: format!("{product}: {rule}"),
    }))
}

fn milliseconds(time: &Number<'_>) -> Option<i64> {
    let milliseconds: i64 = match time {
        Number::Number(number) => *number,
        Number::Text(text) => text.parse().ok()?,
    };
    Some(milliseconds.div_euclid(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(format: Format, line: &str) -> (i64, String, String, String) {
        let read = read(format, line).unwrap().unwrap();
        let Alert { time, host, name, title } = read.alert();
        (time, host.into(), name.into(), title.into())
    }

    fn expected(host: &str, name: &str, title: &str) -> (i64, String, String, String) {
        (1_642_213_800, host.into(), name.into(), title.into())
    }

    #[test]
    fn wazuh_alerts_are_read() {
        let line = r#"{"timestamp":"2022-01-15T02:30:00.123+0000","rule":{"level":5,
            "description":"sshd: \"odd\" login.","id":"5710","groups":["sshd"]},"agent":{"id":"001",
            "name":"web-1","ip":"10.0.0.5"},"manager":{"name":"boss"},"data":{"srcip":"192.0.2.7"},
            "location":"/var/log/auth.log"}"#;
        let title = "Wazuh: sshd: \"odd\" login.";
        assert_eq!(alert(Format::Wazuh, line), expected("web-1", "Wazuh: 5710", title));
        let bare =
            r#"{"timestamp":"2022-01-15T02:30:00Z","rule":{"id":7},"manager":{"name":"boss"}}"#;
        assert_eq!(alert(Format::Wazuh, bare), expected("boss", "Wazuh: 7", "Wazuh: 7"));
        let archived =
            r#"{"timestamp":"2022-01-15T02:30:00Z","agent":{"name":"web-1"},"full_log":"x"}"#;
        assert!(read(Format::Wazuh, archived).unwrap().is_none());
    }

    #[test]
    fn suricata_alerts_concern_the_private_address() {
        let line = |from: &str, to: &str| {
            format!(
                r#"{{"timestamp":"2022-01-15T03:30:00.000001+0100","event_type":"alert","src_ip":"{from}",
                "dest_ip":"{to}","host":"sensor","alert":{{"gid":1,"signature_id":2018358,
                "signature":"ET ODD","severity":2}}}}"#
            )
        };
        for (from, to, host) in [
            ("192.0.2.7", "10.0.0.5", "10.0.0.5"),
            ("10.0.0.5", "192.0.2.7", "10.0.0.5"),
            ("10.0.0.5", "10.0.0.6", "10.0.0.6"),
            ("fd00::5", "2001:db8::1", "fd00::5"),
            ("192.0.2.7", "198.51.100.1", "198.51.100.1"),
        ] {
            let expected = expected(host, "Suricata: 1:2018358", "Suricata: ET ODD");
            assert_eq!(alert(Format::Suricata, &line(from, to)), expected);
        }
        let flow =
            r#"{"timestamp":"2022-01-15T02:30:00Z","event_type":"flow","src_ip":"10.0.0.5"}"#;
        assert!(read(Format::Suricata, flow).unwrap().is_none());
    }

    #[test]
    fn ocsf_findings_of_both_classes_are_read() {
        let detection = r#"{"class_uid":2004,"time":1642213800999,"severity_id":4,
            "finding_info":{"title":"Odd login","uid":"f-1","analytic":{"type_id":1,"uid":"r-7"}},
            "device":{"hostname":"web-1","ip":"10.0.0.5"},"metadata":{"product":{"name":"EDR"}}}"#;
        assert_eq!(alert(Format::Ocsf, detection), expected("web-1", "EDR: r-7", "EDR: Odd login"));
        let security = r#"{"class_uid":2001,"time":"1642213800000","finding":{"title":"Odd login"},
            "resources":[{"uid":"i-1","name":"web-2"},{"name":"other"}]}"#;
        let title = "OCSF: Odd login";
        assert_eq!(alert(Format::Ocsf, security), expected("web-2", title, title));
        assert!(read(Format::Ocsf, r#"{"class_uid":4003,"time":1}"#).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let wazuh = |middle: &str| format!(r#"{{"rule":{{"id":1}},{middle}}}"#);
        for (format, line) in [
            (Format::Wazuh, "rubbish".to_string()),
            (Format::Wazuh, "[]".to_string()),
            (Format::Wazuh, r#"{"rule":7}"#.to_string()),
            (Format::Wazuh, wazuh(r#""timestamp":"now","agent":{"name":"a"}"#)),
            (Format::Wazuh, wazuh(r#""timestamp":"2022-01-15T02:30:00Z""#)),
            (Format::Suricata, "{}".to_string()),
            (Format::Suricata, r#"{"event_type":"alert"}"#.to_string()),
            (Format::Ocsf, "{}".to_string()),
            (Format::Ocsf, r#"{"class_uid":2004,"time":1}"#.to_string()),
            (Format::Ocsf, "[".repeat(10_000)),
        ] {
            assert!(read(format, &line).is_err(), "{line:.80}");
        }
    }

    #[test]
    fn lines_have_a_limit() {
        let line = |length: usize| {
            let event = r#"{"class_uid":1,"x":""}"#;
            event.replace("\"\"", &format!("\"{}\"", "x".repeat(length - event.len())))
        };
        assert!(read(Format::Ocsf, &line(MAX_LINE_BYTES)).is_ok());
        assert!(read(Format::Ocsf, &line(MAX_LINE_BYTES + 1)).is_err());
    }
}
