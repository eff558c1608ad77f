//! The verdict in lines for people.

use super::{COST_OF_MISSING, Weighing};
use crate::likelihood::NAT;
use crate::{Evidence, Opinion, Severity};

/// One line an opinion, the most influential first, then what they add up to. `+` is towards worse.
pub fn reasons(
    evidence: &Evidence,
    weighing: &Weighing,
    opinions: &[Opinion],
    severity: Severity,
    capped: Option<Severity>,
) -> Vec<String> {
    let explanation = weighing.explain(evidence.level);
    let mut parts: Vec<(i64, &Opinion)> = explanation.parts.iter().copied().zip(opinions).collect();
    parts.sort_by_key(|(nats, _)| std::cmp::Reverse(nats.abs()));
    let mut lines = Vec::with_capacity(parts.len() + 2);
    if severity > weighing.decided {
        lines.push(format!("known to be bad: never judged below {severity}"));
    }
    if let Some(decided) = capped {
        lines.push(format!(
            "held at {severity}, though the opinions say {decided}: only inferred, and fewer than three \
             experts from two sources spoke"
        ));
    }
    for (nats, opinion) in parts {
        let mut line = String::with_capacity(opinion.expert.len() + opinion.rationale.len() + 12);
        tenths(nats, &mut line);
        line.push(' ');
        line.push_str(&opinion.expert);
        line.push_str(": ");
        line.push_str(&opinion.rationale);
        lines.push(line);
    }
    lines.push(sum(&explanation));
    lines
}

fn sum(explanation: &super::Explanation) -> String {
    let mut line = String::with_capacity(112);
    tenths(explanation.margin, &mut line);
    line.push_str(" in all for worse than ");
    line.push_str(explanation.worse_than.name());
    line.push_str(", of it ");
    tenths(explanation.prior, &mut line);
    line.push_str(" from the prior and ");
    tenths(explanation.caution, &mut line);
    line.push_str(" because missing costs ");
    line.push(char::from(b'0' + COST_OF_MISSING as u8));
    line.push_str(" times as much");
    line
}

/// Micro-nats as `+1.2`.
fn tenths(nats: i64, line: &mut String) {
    let rounded = (nats.abs() + NAT / 20) / (NAT / 10);
    line.push(if nats < 0 && rounded > 0 { '-' } else { '+' });
    number(rounded / 10, line);
    line.push('.');
    line.push(char::from(b'0' + (rounded % 10) as u8));
}

fn number(value: i64, line: &mut String) {
    if value >= 10 {
        number(value / 10, line);
    }
    line.push(char::from(b'0' + (value % 10) as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_are_told_in_tenths() {
        let told = |nats| {
            let mut line = String::new();
            tenths(nats, &mut line);
            line
        };
        assert_eq!(told(0), "+0.0");
        assert_eq!(told(-49_999), "+0.0");
        assert_eq!(told(-50_000), "-0.1");
        assert_eq!(told(1_250_000), "+1.3");
        assert_eq!(told(-123_456_789), "-123.5");
    }
}
