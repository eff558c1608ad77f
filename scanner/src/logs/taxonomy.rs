//! Sigma's names for what logs name otherwise: keys of JSON lines, pairs of network devices, the queries
//! of resolvers, the verdict of a packet filter, the events of Sysmon for Linux.
//!
//! Sigma's rules are written for names of its taxonomy; a log keeps those of the program that wrote it. A
//! name is looked for as it is first, so that a log that has the name already is never misread.

use parsers::log::SyslogRecord;

/// Most pairs of one line that are kept.
pub const PAIRS_MAX: usize = 256;

/// From where a line with named fields comes, as far as its fields tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Not known: the fields may be Sigma's own.
    Unknown,
    /// Zeek; the log is told by `_path`, where it is written.
    Zeek,
    /// Sysmon for Linux: a process was started.
    SysmonProcess,
    /// Sysmon for Linux: a connection.
    SysmonNetwork,
    /// Sysmon for Linux: a file.
    SysmonFile,
    /// Sysmon for Linux: something else.
    SysmonOther,
    /// A FortiGate.
    Fortigate,
    /// A web server's or proxy's request.
    Web,
    /// An entry of the journal.
    Journal,
}

/// Names that stand for one of Sigma's in JSON of other makers, most trusted first: Elastic's common
/// schema, Zeek, Suricata, Laurel, nginx and Caddy.
pub fn names(field: &str) -> &'static [&'static str] {
    match field {
        "Image" => &["process.executable", "exe", "proc.exepath", "SYSCALL.exe"],
        "CommandLine" => {
            &["process.command_line", "cmdline", "proc.cmdline", "PROCTITLE.ARGV", "EXECVE.ARGV"]
        }
        "CurrentDirectory" => &["process.working_directory", "cwd", "proc.cwd", "CWD.cwd"],
        "User" => &["user.name", "SYSCALL.UID"],
        "LogonId" => &["SYSCALL.uid"],
        "ProcessId" => &["process.pid", "SYSCALL.pid"],
        "ParentProcessId" => &["process.parent.pid", "SYSCALL.ppid"],
        "ParentImage" => &["process.parent.executable", "proc.pexepath", "PARENT_INFO.exe"],
        "ParentCommandLine" => {
            &["process.parent.command_line", "proc.pcmdline", "PARENT_INFO.ARGV"]
        }
        "TargetFilename" => &["file.path", "PATH.name"],
        "DestinationIp" => &["destination.ip", "dest_ip", "id.resp_h"],
        "DestinationPort" => &["destination.port", "dest_port", "id.resp_p"],
        "DestinationHostname" => &["destination.domain"],
        "SourceIp" => &["source.ip", "src_ip", "id.orig_h"],
        "SourcePort" => &["source.port", "src_port", "id.orig_p"],
        "query" => &["dns.question.name", "dns.rrname", "QueryName"],
        "record_type" => &["qtype_name", "dns.question.type", "dns.rrtype"],
        "answer" => &["answers", "dns.answers.data", "dns.answers.rdata", "dns.rdata"],
        "src_ip" | "c-ip" => {
            &["source.ip", "client_ip", "remote_addr", "request.remote_ip", "id.orig_h"]
        }
        "dst_ip" => &["destination.ip", "dest_ip", "dstip", "id.resp_h"],
        "dst_port" => &["destination.port", "dest_port", "dstport", "id.resp_p"],
        "c-uri" | "cs-uri" | "cs-uri-query" => {
            &["url.original", "request_uri", "http.url", "request.uri", "uri"]
        }
        "cs-host" => &["url.domain", "http.hostname", "request.host", "host"],
        "cs-method" => &["http.request.method", "request_method", "http.http_method", "method"],
        "c-useragent" | "cs-user-agent" => {
            &["user_agent.original", "http_user_agent", "http.http_user_agent", "user_agent"]
        }
        "cs-referer" => &["http.request.referrer", "http_referer", "http.http_refer", "referrer"],
        "sc-status" => &["http.response.status_code", "http.status", "status_code", "status"],
        _ => &[],
    }
}

/// Whether `key` is the field below the envelope of a shipper: `Event.EventData.Image` is `Image`. Only
/// for Sigma's own spelling: `name` and `user` stand for too much.
pub fn is_below(key: &str, field: &str) -> bool {
    field.starts_with(|first: char| first.is_ascii_uppercase())
        && key.strip_suffix(field).is_some_and(|front| front.ends_with('.'))
}

/// Where an object comes from, by fields that only one maker writes.
pub fn origin<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Origin {
    let mut origin = Origin::Unknown;
    let (mut sysmon, mut event_id, mut zeek, mut web) = (false, "", 0, 0);
    for (key, value) in fields {
        match key {
            "_path" => return Origin::Zeek,
            "uid" | "id.orig_h" | "id.resp_p" => zeek += 1,
            "__REALTIME_TIMESTAMP" => origin = Origin::Journal,
            "request_method" | "request_uri" | "http.request.method" | "request.method" => web += 1,
            _ if value == "Linux-Sysmon" => sysmon = true,
            _ if key == "EventID" || key.ends_with(".EventID") => event_id = value,
            _ => {}
        }
    }
    match (sysmon, event_id) {
        (true, "1") => Origin::SysmonProcess,
        (true, "3") => Origin::SysmonNetwork,
        (true, "11") => Origin::SysmonFile,
        (true, _) => Origin::SysmonOther,
        _ if zeek == 3 => Origin::Zeek,
        _ if web > 0 && origin == Origin::Unknown => Origin::Web,
        _ => origin,
    }
}

/// `date=2024-05-01 devname="FGT" logid="…" action="Add"`: what a FortiGate sends to syslog.
pub fn fortigate(message: &[u8]) -> Option<Vec<(&str, &str)>> {
    if !message.starts_with(b"date=") {
        return None;
    }
    let mut text = std::str::from_utf8(message).ok()?;
    let mut pairs = Vec::new();
    while let Some((key, rest)) = text.split_once('=') {
        if pairs.len() == PAIRS_MAX {
            break;
        }
        let (value, rest) = match rest.strip_prefix('"') {
            Some(inner) => inner.split_once('"').unwrap_or((inner, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        pairs.push((key.trim_start(), value));
        text = rest;
    }
    let known = |name| pairs.iter().any(|(key, _)| *key == name);
    (known("logid") || known("devname")).then_some(pairs)
}

/// `<Event>…<Data Name="Image">/bin/ls</Data>…</Event>`: what Sysmon for Linux sends to syslog.
pub fn sysmon(message: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(message).ok()?.strip_prefix("<Event>")?;
    let mut fields = vec![("Provider".to_string(), "Linux-Sysmon".to_string())];
    let between = |text: &str, before: &str, after: &str| {
        let (_, rest) = text.split_once(before)?;
        rest.split_once(after).map(|(inner, _)| inner.to_string())
    };
    fields.push(("EventID".into(), between(text, "<EventID>", "</EventID>")?));
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("<Data Name=\"") {
        if fields.len() == PAIRS_MAX {
            break;
        }
        let Some((name, after)) = after.split_once("\">") else { break };
        let Some((value, after)) = after.split_once("</Data>") else { break };
        fields.push((name.to_string(), unescaped(value)));
        rest = after;
    }
    Some(fields)
}

/// The five entities of XML.
fn unescaped(text: &str) -> String {
    if !text.contains('&') {
        return text.to_string();
    }
    let each = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    each.iter().fold(text.to_string(), |text, (entity, character)| text.replace(entity, character))
}

/// What Sigma's categories `dns` and `firewall` ask of a syslog line.
pub fn syslog_field<'a>(record: &SyslogRecord<'a>, name: &str) -> Option<&'a [u8]> {
    let text = std::str::from_utf8(record.message).ok()?;
    let value = match (record.program, name) {
        (b"kernel", "action") => packet_action(text)?,
        (b"dnsmasq", "query" | "record_type" | "answer" | "src_ip") => dnsmasq(text, name)?,
        (b"named", "query" | "record_type") => named(text, name)?,
        (b"unbound", "query" | "record_type" | "src_ip") => unbound(text, name)?,
        _ => return None,
    };
    Some(value.as_bytes())
}

/// `[UFW BLOCK] IN=…`, or the prefix of an administrator's own rule: the word that says what was done.
fn packet_action(text: &str) -> Option<&'static str> {
    let (prefix, _) = text.split_once("IN=")?;
    let says = |words: &[&str]| {
        let mut each = prefix.split(|c: char| !c.is_ascii_alphabetic());
        each.any(|word| words.iter().any(|one| word.eq_ignore_ascii_case(one)))
    };
    if says(&["BLOCK", "DROP", "DROPPED", "DENY", "DENIED", "REJECT"]) {
        Some("block")
    } else if says(&["ALLOW", "ACCEPT", "ACCEPTED", "PASS"]) {
        Some("accept")
    } else {
        None
    }
}

/// `query[A] example.com from 192.0.2.1`, `reply example.com is 192.0.2.2`; with a number and the
/// client in front where `log-queries=extra` is set.
fn dnsmasq<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut words = text.split(' ').skip_while(|word| {
        !word.starts_with("query[") && !matches!(*word, "reply" | "cached" | "config")
    });
    let verb = words.next()?;
    let question = words.next()?;
    let kind = verb.strip_prefix("query[").and_then(|kind| kind.strip_suffix(']'));
    match (name, kind) {
        ("query", _) => Some(question),
        ("record_type", kind) => kind,
        ("src_ip", Some(_)) => words.nth(1),
        ("answer", None) => words.nth(1),
        _ => None,
    }
}

/// `client @0x7f 192.0.2.1#53 (example.com): query: example.com IN A +E(0)K (192.0.2.9)`.
fn named<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, asked) = text.split_once(": query: ")?;
    let mut words = asked.split(' ');
    let question = words.next()?;
    match name {
        "query" => Some(question),
        _ => words.nth(1),
    }
}

/// `[7:0] info: 192.0.2.1 example.com. A IN`.
fn unbound<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, asked) = text.split_once("info: ")?;
    let words: Vec<&str> = asked.split(' ').collect();
    let [client, question, kind, "IN", ..] = words.as_slice() else { return None };
    match name {
        "query" => Some(question.strip_suffix('.').unwrap_or(question)),
        "record_type" => Some(kind),
        _ => Some(client),
    }
}

/// Whether a message is one of Cisco's, Huawei's or another maker's: `%FACILITY-SEVERITY-MNEMONIC`.
pub fn has_mnemonic(message: &[u8]) -> bool {
    memchr::memchr_iter(b'%', message).any(|at| {
        let rest = &message[at + 1..];
        let word = |byte: &u8| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'/')
        };
        let name = &rest[..rest.iter().take(64).take_while(|byte| word(byte)).count()];
        name.len() > 5 && name.windows(3).any(|three| matches!(three, [b'-', b'0'..=b'7', b'-']))
    })
}

/// Whether a message tells of a command that somebody gave to a Cisco device.
pub fn is_command_record(message: &[u8]) -> bool {
    let holds = |text: &[u8]| memchr::memmem::find(message, text).is_some();
    holds(b"LOGGEDCMD") || holds(b"%AAA") || holds(b"cmd=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(program: &'a str, message: &'a str) -> SyslogRecord<'a> {
        SyslogRecord {
            stamp: parsers::time::Stamp::Exact(0),
            host: b"",
            program: program.as_bytes(),
            pid: None,
            message: message.as_bytes(),
            weight: 1,
        }
    }

    #[test]
    fn queries_and_packets_have_sigmas_names() {
        for (program, message, name, expected) in [
            ("dnsmasq", "query[TXT] a.example from 192.0.2.1", "query", Some("a.example")),
            ("dnsmasq", "query[TXT] a.example from 192.0.2.1", "record_type", Some("TXT")),
            (
                "dnsmasq",
                "7 192.0.2.1/5 query[A] a.example from 192.0.2.1",
                "src_ip",
                Some("192.0.2.1"),
            ),
            ("dnsmasq", "reply a.example is 192.0.2.7", "answer", Some("192.0.2.7")),
            ("dnsmasq", "reply a.example is 192.0.2.7", "record_type", None),
            ("dnsmasq", "started", "query", None),
            (
                "named",
                "client @0x7f 192.0.2.1#53 (a.example): query: a.example IN MX +E(0)K (::1)",
                "query",
                Some("a.example"),
            ),
            (
                "named",
                "client @0x7f 192.0.2.1#53 (a.example): query: a.example IN MX +E(0)K (::1)",
                "record_type",
                Some("MX"),
            ),
            ("unbound", "[7:0] info: 192.0.2.1 a.example. AAAA IN", "query", Some("a.example")),
            ("unbound", "[7:0] info: start of service", "query", None),
            ("kernel", "[1.2] [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1", "action", Some("block")),
            ("kernel", "[UFW ALLOW] IN=eth0 OUT= SRC=192.0.2.1", "action", Some("accept")),
            ("kernel", "FW-DROP: IN=eth0 OUT=", "action", Some("block")),
            ("kernel", "blocked for more than 120 seconds", "action", None),
            ("sshd", "[UFW BLOCK] IN=eth0", "action", None),
        ] {
            let record = record(program, message);
            let found =
                syslog_field(&record, name).map(|v| String::from_utf8_lossy(v).into_owned());
            assert_eq!(found.as_deref(), expected, "{message} {name}");
        }
    }

    #[test]
    fn devices_are_told_by_their_forms() {
        let pairs = fortigate(b"date=2024-05-01 time=10:00:00 devname=\"F G\" logid=7 action=\"Add\" cfgpath=\"system.admin\"").unwrap();
        assert!(pairs.contains(&("devname", "F G")) && pairs.contains(&("action", "Add")));
        assert_eq!(fortigate(b"date=2024-05-01 is no pair of a FortiGate"), None);
        assert_eq!(fortigate(b"x=1"), None);
        let many = format!("date=1 logid=1 {}", "a=b ".repeat(PAIRS_MAX));
        assert_eq!(fortigate(many.as_bytes()).unwrap().len(), PAIRS_MAX);
        assert!(has_mnemonic(b"%PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging"));
        assert!(has_mnemonic(b"7: *Mar 1: %TCP-6-BADAUTH: No MD5 digest"));
        assert!(!has_mnemonic(b"50% done - 3-4 %d %s"));
        assert!(!has_mnemonic(b"%-5-"));
    }

    #[test]
    fn sysmon_events_are_read_from_their_xml() {
        let text = "<Event><System><Provider Name=\"Linux-Sysmon\"/><EventID>1</EventID></System><EventData><Data Name=\"Image\">/bin/sh</Data><Data Name=\"CommandLine\">sh -c &quot;a &amp;&lt; b&quot;</Data></EventData></Event>";
        let fields = sysmon(text.as_bytes()).unwrap();
        let field =
            |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
        assert_eq!(field("Image"), Some("/bin/sh"));
        assert_eq!(field("CommandLine"), Some("sh -c \"a &< b\""));
        let pairs = fields.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        assert_eq!(origin(pairs), Origin::SysmonProcess);
        assert_eq!(sysmon(b"<Event>broken"), None);
        let open = "<Event><EventID>1</EventID><Data Name=\"x";
        assert_eq!(sysmon(open.as_bytes()).map(|fields| fields.len()), Some(2));
    }

    #[test]
    fn objects_tell_where_they_come_from() {
        for (fields, expected) in [
            (&[("_path", "dns")][..], Origin::Zeek),
            (&[("uid", "C1"), ("id.orig_h", "192.0.2.1"), ("id.resp_p", "53")], Origin::Zeek),
            (&[("uid", "0")], Origin::Unknown),
            (
                &[("Event.System.Provider", "Linux-Sysmon"), ("Event.System.EventID", "3")],
                Origin::SysmonNetwork,
            ),
            (&[("EventID", "1")], Origin::Unknown),
            (&[("request_method", "GET")], Origin::Web),
            (&[("__REALTIME_TIMESTAMP", "1")], Origin::Journal),
        ] {
            assert_eq!(origin(fields.iter().copied()), expected, "{fields:?}");
        }
        assert!(is_below("Event.EventData.Image", "Image"));
        assert!(!is_below("ParentImage", "Image") && !is_below("a.name", "name"));
    }
}
