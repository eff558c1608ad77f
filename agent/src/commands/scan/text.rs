//! The scan for people.

use scanner::ports::report::{Counts, HostReport, PortReport, Report};
use scanner::ports::truth::Disagreement;

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    for host in &report.hosts {
        render_host(&mut out, host);
    }
    if report.hosts.iter().any(|host| host.own && host.counts.open > 0) {
        out.push_str(
            "note: a probe from this host passes no firewall: what answers here may not be reachable \
             from elsewhere (see `wardmote audit`)\n",
        );
    }
    for one in &report.truth {
        out.push_str(&format!("{}\n", disagreement(one)));
    }
    for line in &report.unseen {
        out.push_str(&format!("not compared: {line}\n"));
    }
    for drift in report.drift.iter().flatten() {
        out.push_str(&format!("{}\n", super::expect::line(drift)));
    }
    for line in &report.incomplete {
        out.push_str(&format!("incomplete: {line}\n"));
    }
    out.push_str(&format!("{} in {:.0} ms\n", counts(&report.counts), report.elapsed_ms));
    out
}

/// One disagreement of the views in a line.
pub(super) fn disagreement(one: &Disagreement) -> String {
    let place = std::net::SocketAddr::new(one.address, one.port);
    format!("views disagree: {} {place}: {}: {}", one.protocol, one.cause.name(), one.because)
}

fn render_host(out: &mut String, host: &HostReport) {
    out.push_str(&host.address.to_string());
    if let Some(name) = &host.name {
        out.push_str(&format!(" ({name})"));
    }
    out.push_str(&format!(
        "{}: {}\n",
        if host.own { " (this host)" } else { "" },
        counts(&host.counts)
    ));
    for port in &host.ports {
        out.push_str(line(port, host.own).trim_end());
        out.push('\n');
    }
}

fn line(port: &PortReport, own: bool) -> String {
    let state = match (port.state.as_str(), own) {
        ("open", true) => "answers",
        (state, _) => state,
    };
    let service = match &port.service {
        // Only the number speaks for it.
        Some(service) if service.confidence < 0.5 => format!("{}?", service.name),
        Some(service) => service.name.clone(),
        None => String::new(),
    };
    let mut details: Vec<String> = Vec::new();
    if let Some(service) = &port.service {
        let known = [service.product.as_deref(), service.version.as_deref()];
        let known = known.into_iter().flatten().collect::<Vec<_>>().join(" ");
        details.extend(Some(known).filter(|known| !known.is_empty()));
        details.extend(service.disagreement.clone());
    }
    if let Some(tls) = &port.tls {
        let until = tls.not_after.as_ref().map(|end| format!(", certificate until {end}"));
        details.push(format!("TLS {}{}", tls.version, until.unwrap_or_default()));
        details.extend(tls.faults.iter().cloned());
    }
    if let Some(owner) = &port.owner {
        let name = owner.exe.as_deref().and_then(|exe| exe.rsplit('/').next()).unwrap_or("?");
        details.push(format!("{name} pid {}", owner.pid));
        details.extend(owner.unit.clone());
        details.extend(owner.package.clone());
    }
    details.extend(port.unidentified.as_ref().map(|why| format!("not identified: {why}")));
    details.extend(port.reason.clone());
    format!("  {:<6}{state:<12}{service:<16}{}", port.port, details.join(", "))
}

fn counts(counts: &Counts) -> String {
    let mut parts = vec![format!("{} open", counts.open), format!("{} closed", counts.closed)];
    for (count, what) in [
        (counts.filtered, "filtered"),
        (counts.local_error, "not asked (errors of this host)"),
        (counts.not_probed, "not probed"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.join(", ")
}
