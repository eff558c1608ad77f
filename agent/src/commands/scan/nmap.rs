//! The scan in two formats of nmap that many tools read: XML (nmap.dtd) and grepable.
//!
//! nmap knows open, closed and filtered; ports that this host could not ask, or did not, are `unknown`.

use scanner::ports::connect::Request;
use scanner::ports::report::{HostReport, PortReport, Report};

/// `nmap -oX`.
pub fn xml(report: &Report, request: &Request) -> String {
    let started = report.started.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second);
    let seconds = report.elapsed_ms / 1e3;
    let finished = started + seconds.round() as i64;
    let count = request.ports.as_ref().map_or(0, Vec::len);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE nmaprun>\n");
    out.push_str(&format!(
        "<nmaprun scanner=\"nmap\" args=\"wardmote scan\" start=\"{started}\" version=\"{}\" \
         xmloutputversion=\"1.05\">\n\
         <scaninfo type=\"connect\" protocol=\"tcp\" numservices=\"{count}\" services=\"{}\"/>\n\
         <verbose level=\"0\"/>\n<debugging level=\"0\"/>\n",
        env!("CARGO_PKG_VERSION"),
        request.ports.as_deref().map(ranges).unwrap_or_default(),
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
            let (method, confidence) =
                if service.confidence < 0.5 { ("table", 3) } else { ("probed", 10) };
            let told = |name: &str, value: &Option<String>| {
                let value = value.as_deref().map(escaped);
                value.map(|value| format!(" {name}=\"{value}\"")).unwrap_or_default()
            };
            out.push_str(&format!(
                "<service name=\"{}\"{}{} method=\"{method}\" conf=\"{confidence}\"/>",
                escaped(&service.name),
                told("product", &service.product),
                told("version", &service.version),
            ));
        }
        out.push_str("</port>\n");
    }
    out.push_str("</ports>\n</host>\n");
}

/// `nmap -oG`.
pub fn grepable(report: &Report) -> String {
    let mut out = format!("# wardmote {} scan {}\n", env!("CARGO_PKG_VERSION"), report.started);
    for host in &report.hosts {
        let place = format!("Host: {} ({})", host.address, host.name.as_deref().unwrap_or(""));
        out.push_str(&format!("{place}\tStatus: {}\n", if is_up(host) { "Up" } else { "Unknown" }));
        let one = |port: &PortReport| {
            let plain = |text: &str| text.replace(['/', ',', '\t'], "|");
            let service = port.service.as_ref();
            let name = service.map_or(String::new(), |service| plain(&service.name));
            let product = service.map_or(String::new(), |service| plain(&service.what()));
            format!("{}/{}/tcp//{name}//{product}/", port.port, nmap_state(port))
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

/// `22,80,8000-8010`.
fn ranges(ports: &[u16]) -> String {
    let mut parts: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match parts.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*port) => *last = *port,
            _ => parts.push((*port, *port)),
        }
    }
    let one = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    parts.iter().map(one).collect::<Vec<_>>().join(",")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
