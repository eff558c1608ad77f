//! The scan in two formats of nmap that many tools read: XML (nmap.dtd) and grepable.
//!
//! nmap knows open, closed and filtered; ports that this host could not ask, or did not, are `unknown`.

use scanner::ports::connect::resume::ranges;
use scanner::ports::connect::{self, Request};
use scanner::ports::report::{HostReport, PortReport, Report, ServiceReport, TlsReport};

/// `nmap -oX`.
pub fn xml(report: &Report, request: &Request) -> String {
    let started = report.started.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second);
    let seconds = report.elapsed_ms / 1e3;
    let finished = started + seconds.round() as i64;
    let asked = asked(report, request);
    let count = asked.len();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE nmaprun>\n");
    out.push_str(&format!(
        "<nmaprun scanner=\"nmap\" args=\"wardmote scan\" start=\"{started}\" version=\"{}\" \
         xmloutputversion=\"1.05\">\n\
         <scaninfo type=\"connect\" protocol=\"tcp\" numservices=\"{count}\" services=\"{}\"/>\n\
         <verbose level=\"0\"/>\n<debugging level=\"0\"/>\n",
        env!("CARGO_PKG_VERSION"),
        ranges(&asked),
    ));
    for host in &report.hosts {
        xml_host(&mut out, host);
    }
    let (up, total) = (report.hosts.iter().filter(|host| is_up(host)).count(), report.hosts.len());
    out.push_str(&format!(
        "<runstats><finished time=\"{finished}\" elapsed=\"{seconds:.2}\" exit=\"success\"/>\
         <hosts up=\"{up}\" down=\"{}\" total=\"{total}\"/></runstats>\n</nmaprun>\n",
        total - up
    ));
    out
}

/// The ports that some host was asked for.
fn asked(report: &Report, request: &Request) -> Vec<u16> {
    let of = |own: bool| match report.hosts.iter().any(|host| host.own == own) {
        true => connect::ports(request, own),
        false => Vec::new(),
    };
    // All ports are more than the common ones.
    Some(of(true)).filter(|own| !own.is_empty()).unwrap_or_else(|| of(false))
}

fn xml_host(out: &mut String, host: &HostReport) {
    let family = if host.address.is_ipv4() { "ipv4" } else { "ipv6" };
    let (state, reason) = if is_up(host) { ("up", "user-set") } else { ("unknown", "no-response") };
    out.push_str(&format!(
        "<host><status state=\"{state}\" reason=\"{reason}\" reason_ttl=\"0\"/>\
         <address addr=\"{}\" addrtype=\"{family}\"/>\n",
        host.address
    ));
    if let Some(name) = &host.name {
        let name = escaped(name);
        out.push_str(&format!(
            "<hostnames><hostname name=\"{name}\" type=\"user\"/></hostnames>\n"
        ));
    }
    out.push_str("<ports>");
    for (state, count) in ignored(host) {
        out.push_str(&format!("<extraports state=\"{state}\" count=\"{count}\"/>\n"));
    }
    for port in &host.ports {
        out.push_str(&format!(
            "<port protocol=\"tcp\" portid=\"{}\"><state state=\"{}\" reason=\"{}\" reason_ttl=\"0\"/>",
            port.port,
            nmap_state(port),
            escaped(reason_word(port)),
        ));
        if let Some(service) = &port.service {
            out.push_str(&xml_service(service, port.tls.as_ref()));
        }
        if let Some(tls) = &port.tls {
            out.push_str(&xml_certificate(tls));
        }
        out.push_str("</port>\n");
    }
    out.push_str("</ports>\n</host>\n");
}

fn xml_service(service: &ServiceReport, tls: Option<&TlsReport>) -> String {
    let (method, confidence) = if service.confidence < 0.5 { ("table", 3) } else { ("probed", 10) };
    let mut out = format!("<service name=\"{}\"", escaped(&service.name));
    for (key, value) in [("product", &service.product), ("version", &service.version)] {
        if let Some(value) = value {
            out.push_str(&format!(" {key}=\"{}\"", escaped(value)));
        }
    }
    if tls.is_some_and(|tls| tls.starttls.is_none()) {
        out.push_str(" tunnel=\"ssl\"");
    }
    out.push_str(&format!(" method=\"{method}\" conf=\"{confidence}\"/>"));
    out
}

/// In the shape of nmap's script of that name, so far as one handshake tells it.
fn xml_certificate(tls: &TlsReport) -> String {
    let mut lines = Vec::new();
    for (what, value) in [
        ("Subject", &tls.subject),
        ("Issuer", &tls.issuer),
        ("Public Key type", &tls.key),
        ("Signature Algorithm", &tls.signature),
        ("Not valid before", &tls.not_before),
        ("Not valid after", &tls.not_after),
        ("SHA-256", &tls.sha256),
    ] {
        if let Some(value) = value {
            lines.push(format!("{what}: {value}"));
        }
    }
    if !tls.names.is_empty() {
        lines.push(format!("Subject Alternative Name: {}", tls.names.join(", ")));
    }
    format!("<script id=\"ssl-cert\" output=\"{}\"/>", escaped(&lines.join("\n")))
}

/// `nmap -oG`.
pub fn grepable(report: &Report) -> String {
    let mut out = format!("# wardmote {} scan {}\n", env!("CARGO_PKG_VERSION"), report.started);
    for host in &report.hosts {
        let place = format!("Host: {} ({})", host.address, host.name.as_deref().unwrap_or(""));
        out.push_str(&format!("{place}\tStatus: {}\n", if is_up(host) { "Up" } else { "Unknown" }));
        let one = |port: &PortReport| {
            let service = port.service.as_ref().map_or("", |service| &service.name);
            let service = grepable_text(service);
            format!("{}/{}/tcp//{service}//{}/", port.port, nmap_state(port), version(port))
        };
        let ports: Vec<String> = host.ports.iter().map(one).collect();
        let rest: Vec<String> =
            ignored(host).iter().map(|(state, count)| format!("{state} ({count})")).collect();
        out.push_str(&format!("{place}\tPorts: {}", ports.join(", ")));
        if !rest.is_empty() {
            out.push_str(&format!("\tIgnored State: {}", rest.join(", ")));
        }
        out.push('\n');
    }
    out.push_str(&format!("# done in {:.0} ms\n", report.elapsed_ms));
    out
}

/// Product and version, as nmap's seventh field has them.
fn version(port: &PortReport) -> String {
    let Some(service) = &port.service else { return String::new() };
    let parts = [service.product.as_deref(), service.version.as_deref()];
    grepable_text(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// Text without what separates fields and lines.
fn grepable_text(text: &str) -> String {
    text.replace(['/', ','], "|").replace(|c: char| c.is_control(), " ")
}

fn is_up(host: &HostReport) -> bool {
    host.own || host.counts.open + host.counts.closed > 0
}

/// How many ports of each state are not listed.
fn ignored(host: &HostReport) -> Vec<(&'static str, u64)> {
    let listed = |state: &str| host.ports.iter().filter(|port| nmap_state(port) == state).count();
    let counts = &host.counts;
    [
        ("closed", counts.closed),
        ("filtered", counts.filtered),
        ("unknown", counts.local_error + counts.not_probed),
    ]
    .into_iter()
    .map(|(state, count)| (state, count.saturating_sub(listed(state) as u64)))
    .filter(|(_, count)| *count > 0)
    .collect()
}

fn nmap_state(port: &PortReport) -> &str {
    match port.state.as_str() {
        "local_error" | "not_probed" => "unknown",
        state => state,
    }
}

fn reason_word(port: &PortReport) -> &str {
    match (port.state.as_str(), &port.reason) {
        ("open", _) => "syn-ack",
        ("closed", _) => "conn-refused",
        (_, Some(reason)) => reason,
        _ => "no-response",
    }
}

/// Text for an attribute. What XML 1.0 has no way to write (control characters that a banner may hold)
/// becomes a question mark; line ends stay line ends.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(c))),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('?'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanner::ports::connect::Limits;
    use scanner::ports::report::Counts;

    /// A report with everything in it that identification and TLS may add, hostile text included.
    fn full() -> (Report, Request) {
        let hostile = "a<b>&\"c\"\u{1}\n\t'\u{fffe}é".to_string();
        let service = ServiceReport {
            name: "https".to_string(),
            product: Some(hostile.clone()),
            version: Some("1.22.1".to_string()),
            banner: Some(hostile.clone()),
            confidence: 0.98,
            ..ServiceReport::default()
        };
        let tls = TlsReport {
            version: "1.3".to_string(),
            subject: Some(hostile.clone()),
            names: vec!["a.example".to_string(), hostile.clone()],
            not_after: Some("2027-01-01T00:00:00Z".to_string()),
            ..TlsReport::default()
        };
        let port = |port: u16, state: &str| PortReport {
            port,
            state: state.to_string(),
            reason: (state != "open").then(|| hostile.clone()),
            rtt_us: None,
            source: "probe".to_string(),
            age_s: 0,
            unidentified: None,
            service: (state == "open").then(|| service.clone()),
            tls: (state == "open").then(|| tls.clone()),
            owner: None,
        };
        let counts = Counts { open: 1, filtered: 1, not_probed: 1, ..Counts::default() };
        let host = HostReport {
            address: "192.0.2.1".parse().unwrap(),
            name: Some(hostile.clone()),
            own: false,
            ports: vec![port(443, "open"), port(444, "filtered"), port(445, "not_probed")],
            counts,
        };
        let request = Request {
            addresses: vec![(host.address, None)],
            ports: Some(vec![443, 444, 445]),
            all: true,
            limits: Limits::default(),
        };
        let report = Report {
            schema: "wardmote.scan/1".to_string(),
            started: "2026-11-21T20:00:00Z".to_string(),
            elapsed_ms: 1.5,
            hosts: vec![host],
            counts,
            seed: None,
            incomplete: Vec::new(),
            truth: Vec::new(),
            unseen: Vec::new(),
            drift: None,
        };
        (report, request)
    }

    #[test]
    fn the_usual_ports_are_told_where_none_were_named() {
        let (mut report, mut request) = full();
        request.ports = None;
        let told = |report: &Report, request: &Request| {
            let text = xml(report, request);
            let (_, rest) = text.split_once("numservices=\"").unwrap();
            rest.split('"').next().unwrap().parse::<usize>().unwrap()
        };
        assert_eq!(told(&report, &request), scanner::ports::targets::common().len());
        report.hosts[0].own = true;
        assert_eq!(told(&report, &request), 65_535);
        assert!(xml(&report, &request).contains("services=\"1-65535\""));
    }

    #[test]
    fn services_certificates_and_hostile_text_are_valid_by_nmaps_dtd() {
        let (report, request) = full();
        let text = xml(&report, &request);
        assert!(text.contains("version=\"1.22.1\" tunnel=\"ssl\" method=\"probed\""), "{text}");
        assert!(
            text.contains("<script id=\"ssl-cert\" output=\"Subject: a&lt;b&gt;&amp;"),
            "{text}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let dtd = "/usr/share/nmap/nmap.dtd";
        let asked = std::process::Command::new("xmllint")
            .args(["--noout", "--dtdvalid", dtd])
            .arg(file.path())
            .output();
        match asked {
            Ok(told) if std::path::Path::new(dtd).exists() => {
                assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
            }
            _ => {
                assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "no xmllint or DTD");
                eprintln!("SKIPPED: xmllint or nmap.dtd is not installed");
            }
        }
    }
}
