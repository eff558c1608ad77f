//! What to do about what the logs show: by what was tried and whether it worked.

use scanner::logs::Detection;

use crate::pipeline::judge::Judged;
use crate::report::Remediation;

/// A detection as something to judge, with advice.
pub fn judged(detection: &Detection) -> Judged {
    let mut why = detection.description.trim().to_string();
    if !detection.falsepositives.is_empty() {
        let reasons = detection.falsepositives.join("; ");
        why = format!("{why} Harmless when: {}.", reasons.trim_end_matches('.'));
    }
    Judged {
        evidence: detection.evidence(),
        why: scanner::redact::line(&why),
        remediation: advice(detection),
        references: detection.tags.clone(),
    }
}

/// Advice in the order of urgency: somebody got in; somebody tries; something was done here.
fn advice(detection: &Detection) -> Remediation {
    let has = |tag: &str| detection.tags.iter().any(|known| known.starts_with(tag));
    let (text, snippet) = if detection.succeeded {
        (
            "Treat the account as taken until its owner confirms the login: end its sessions, change its \
             credentials and keys, and look at what it did since.",
            "last -i | head; ss -tnp; journalctl --since -24h _COMM=sudo",
        )
    } else if has("attack.t1110") && detection.service == "ssh" {
        (
            "Allow keys only, or limit from where SSH can be reached; a ban after some failures keeps the \
             logs readable.",
            "sshd -T | grep -E 'passwordauthentication|permitrootlogin|maxauthtries'",
        )
    } else if has("attack.t1110") {
        ("Limit from where the service can be reached, and ban after some failures.", "ss -lntup")
    } else if has("attack.t1190") || has("attack.t1595") || detection.service == "http" {
        (
            "Probes reach every public web server: see that the paths asked for do not exist or were \
             answered with 4xx, and that the software behind them is up to date.",
            "",
        )
    } else if has("attack.t1136") || has("attack.t1098") || has("attack.t1078") {
        (
            "Ask who made the change. If nobody did, remove the account or right and look for how it came.",
            "getent group sudo wheel; awk -F: '$3==0' /etc/passwd",
        )
    } else if has("attack.t1070") || has("attack.t1562") || has("attack.defense_evasion") {
        (
            "Ask who stopped or emptied the log. Compare with copies kept elsewhere, and send logs off this \
             host from now on.",
            "journalctl --verify; ls -la --time-style=full-iso /var/log",
        )
    } else {
        ("Find out who did this and whether it was meant.", "")
    };
    Remediation { text: text.into(), snippet: snippet.into() }
}
