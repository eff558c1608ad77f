//! After a scan of this host's own addresses: what the kernel says listens, compared with what answered.

use std::collections::BTreeMap;

use scanner::RootedTree;
use scanner::ports::connect::Request;
use scanner::ports::report::Report;
use scanner::ports::truth::{self, Asked, Cause, Disagreement};

use crate::pipeline::ask;

/// Adds the disagreements to the report. Ports are bound to only where all were asked for (no `-p`):
/// that view costs about as much as the scan itself.
pub(super) fn compare(report: &mut Report, request: &Request, tree: &RootedTree) {
    let mut wanted = truth::Request::default();
    for host in report.hosts.iter().filter(|host| host.own) {
        let ports = match &request.ports {
            Some(ports) => ports.iter().copied().collect(),
            None => (1..=u16::MAX).collect(),
        };
        let open = host.ports.iter().filter(|port| port.state == "open");
        let open = open.map(|port| port.port).collect();
        wanted.asked.insert(host.address, Asked { ports, open });
    }
    if wanted.asked == BTreeMap::new() {
        return;
    }
    if request.ports.is_none() {
        wanted.bind = (1..=u16::MAX).collect();
    }
    let told = truth::look(tree, &wanted, &ask::firewall);
    report.truth = told.disagreements;
    if let Some(ports) = &request.ports {
        // Whoever asks for one port is not told about the others, unless it is grave.
        report.truth.retain(|one| one.cause == Cause::Hidden || ports.contains(&one.port));
    }
    report.unseen = told.unseen;
}

/// What is hidden, which is as grave as a finding can be.
pub(super) fn hidden(report: &Report) -> impl Iterator<Item = &Disagreement> {
    report.truth.iter().filter(|one| one.cause == Cause::Hidden)
}
