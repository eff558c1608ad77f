//! `iptables-save` and `ip6tables-save` (iptables-save(8)) as a [`Ruleset`].
//!
//! Options that are not known become conditions that are not understood; they are never skipped.

use parsers::config::lines;

use super::nft::protocol_number;
use super::{Action, Base, Condition, RULES_MAX, Redirect, Rule, Ruleset, Span, Test};

/// Which program said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `iptables-save`: IPv4.
    Four,
    /// `ip6tables-save`: IPv6.
    Six,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Four => "iptables",
            Self::Six => "ip6tables",
        }
    }
}

/// Names of the tables that a text holds whole. iptables over nftables says of a table that `nft` has
/// changed that it is incompatible, and then lists chains of its own without rules.
pub fn tables(bytes: &[u8]) -> Vec<String> {
    let foreign: Vec<String> = lines::numbered(bytes)
        .filter_map(|line| {
            let text = line.text();
            let (name, rest) = text.strip_prefix("# Table `")?.split_once('\'')?;
            rest.contains("incompatible").then(|| name.to_string())
        })
        .collect();
    lines::numbered(bytes)
        .filter_map(|line| line.text().strip_prefix('*').map(|name| name.trim().to_string()))
        .filter(|name| !foreign.contains(name))
        .collect()
}

/// Reads what the program printed; the second value counts lines that were not understood.
pub fn read(program: Program, bytes: &[u8]) -> Result<(Ruleset, usize), String> {
    if bytes.len() > super::RULESET_BYTES_MAX {
        return Err(format!("larger than {} bytes", super::RULESET_BYTES_MAX));
    }
    let mut ruleset = Ruleset::default();
    let (mut malformed, mut count) = (0, 0);
    let mut table = String::new();
    for line in lines::numbered(bytes) {
        let text = line.text();
        let text = text.trim();
        if let Some(name) = text.strip_prefix('*') {
            table = name.to_string();
        } else if let Some(chain) = text.strip_prefix(':') {
            declare(program, &table, chain, &mut ruleset);
        } else if text.is_empty() || text.starts_with('#') || text == "COMMIT" {
        } else if let Some(rule) = rule_text(text) {
            count += 1;
            if count > RULES_MAX {
                return Err(format!("more than {RULES_MAX} rules"));
            }
            rule_of(program, &table, rule, &mut ruleset);
        } else {
            malformed += 1;
        }
    }
    Ok((ruleset, malformed))
}

/// The rule without the counters that `-c` puts in front.
fn rule_text(text: &str) -> Option<&str> {
    let text = match text.strip_prefix('[') {
        Some(counted) => counted.split_once("] ")?.1,
        None => text,
    };
    text.starts_with("-A ").then_some(text)
}

/// `INPUT DROP [0:0]`: a chain and, for a built-in one, its policy.
fn declare(program: Program, table: &str, text: &str, ruleset: &mut Ruleset) {
    let mut words = text.split_ascii_whitespace();
    let (name, policy) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let key = key(program, table, name);
    ruleset.chains.entry(key.clone()).or_default();
    let on_the_way_in = matches!(
        (table, name),
        ("raw" | "mangle", "PREROUTING") | ("mangle" | "filter" | "security", "INPUT")
    );
    if on_the_way_in {
        let sees = (program == Program::Four, program == Program::Six);
        ruleset.bases.push(Base { chain: key, sees, accepts: policy != "DROP" });
    } else if matches!((table, name), ("mangle" | "filter" | "security", "FORWARD")) {
        let sees = (program == Program::Four, program == Program::Six);
        ruleset.forwarding.push(Base { chain: key, sees, accepts: policy != "DROP" });
    } else if matches!((table, name), ("mangle" | "filter" | "security", "OUTPUT")) {
        let sees = (program == Program::Four, program == Program::Six);
        ruleset.sending.push(Base { chain: key, sees, accepts: policy != "DROP" });
    }
}

fn rule_of(program: Program, table: &str, text: &str, ruleset: &mut Ruleset) {
    let words = words(text);
    let mut words = words.iter().map(String::as_str).peekable();
    words.next();
    let chain = words.next().unwrap_or_default().to_string();
    let label = format!("{} {table}: {}", program.name(), crate::redact::line(text));
    let mut rule = Reading::default();
    while let Some(word) = words.next() {
        if word == "!" {
            rule.negated = true;
            continue;
        }
        let takes = rule.option(word, &mut words);
        let negated = std::mem::take(&mut rule.negated);
        if let Some(test) = takes {
            rule.conditions.push(Condition { negated, test });
        }
    }
    let action = rule.action(program, table);
    if action != Action::Drop {
        // A list that lets in may hold the whole internet.
        for condition in &mut rule.conditions {
            if let Test::Listed(list) = &condition.test {
                condition.test = Test::Other(format!("sources of {list}"));
            }
        }
    }
    let redirects = matches!(rule.jump.as_deref(), Some("DNAT" | "REDIRECT"));
    if let Some((address, port)) = rule.destination.filter(|_| redirects) {
        let mut conditions = rule.conditions.clone();
        conditions.push(Condition::is(Test::Six(program == Program::Six)));
        let redirect = Redirect { label: label.clone(), conditions, address, port };
        match chain == "OUTPUT" {
            true => ruleset.sent.push(redirect),
            false => ruleset.redirects.push(redirect),
        }
    }
    let conditions = rule.conditions;
    let rules = ruleset.chains.entry(key(program, table, &chain)).or_default();
    rules.push(Rule { label, conditions, action });
}

#[derive(Default)]
struct Reading {
    negated: bool,
    conditions: Vec<Condition>,
    jump: Option<String>,
    goto: bool,
    destination: Option<(Option<std::net::IpAddr>, Option<u16>)>,
}

impl Reading {
    /// Reads one option with its arguments; a condition if it is one.
    fn option<'w>(
        &mut self,
        word: &str,
        words: &mut std::iter::Peekable<impl Iterator<Item = &'w str>>,
    ) -> Option<Test> {
        if !word.starts_with('-') {
            // A further argument of an option that has been judged already.
            return None;
        }
        if word == "--syn" {
            return Some(Test::Always(true));
        }
        if ["--rcheck", "--update", "--remove"].contains(&word) {
            return Some(Test::AtTimes);
        }
        if ["--set", "--rsource", "--rdest", "--rttl", "--reap", "--validmark"].contains(&word) {
            return None;
        }
        let argument =
            |next: &&str| word == "--comment" || !(next.starts_with('-') || *next == "!");
        let value = words.next_if(argument).unwrap_or_default();
        match word {
            "-j" | "--jump" => self.jump = Some(value.to_string()),
            "-g" | "--goto" => (self.jump, self.goto) = (Some(value.to_string()), true),
            "--to-destination" => self.destination = Some(destination(value)),
            "--to-ports" => self.destination = Some((None, first_port(value))),
            refines if REFINES.contains(&refines) => {}
            _ => return Some(condition(word, value, words)),
        }
        None
    }

    fn action(&self, program: Program, table: &str) -> Action {
        match self.jump.as_deref() {
            Some("ACCEPT") => Action::Accept,
            Some("DROP" | "REJECT") => Action::Drop,
            Some("RETURN") => Action::Return,
            Some("NFQUEUE" | "QUEUE" | "TPROXY" | "SYNPROXY") => Action::Queue,
            None => Action::Next,
            Some(
                "LOG" | "NFLOG" | "ULOG" | "MARK" | "CONNMARK" | "CT" | "NOTRACK" | "SET"
                | "TCPMSS" | "TTL" | "HL" | "DSCP" | "TOS" | "CLASSIFY" | "TRACE" | "AUDIT"
                | "SECMARK" | "CONNSECMARK" | "CHECKSUM" | "DNAT" | "REDIRECT" | "MASQUERADE"
                | "SNAT" | "NETMAP" | "TEE" | "RATEEST" | "LED" | "IDLETIMER",
            ) => Action::Next,
            Some(chain) if self.goto => Action::Goto(key(program, table, chain)),
            Some(chain) => Action::Jump(key(program, table, chain)),
        }
    }
}

/// Options that only refine a condition that has been read, or say what a target does.
const REFINES: &[&str] = &[
    "-m",
    "--match",
    "--comment",
    "--limit-burst",
    "--log-prefix",
    "--log-level",
    "--reject-with",
    "--name",
    "--seconds",
    "--hitcount",
    "--mask",
    "--connlimit-mask",
    "--hashlimit-mode",
    "--hashlimit-burst",
    "--hashlimit-name",
    "--hashlimit-srcmask",
    "--hashlimit-htable-expire",
    "--to-source",
    "--set-mark",
    "--set-xmark",
    "--zone",
    "--helper",
    "--nflog-prefix",
    "--nflog-group",
    "--queue-num",
    "--set-mss",
    "--or-mark",
    "--and-mark",
];

/// The condition that an option with its value asks; `words` holds what follows.
fn condition<'w>(word: &str, value: &str, words: &mut impl Iterator<Item = &'w str>) -> Test {
    let other = || Test::Other(crate::redact::line(&format!("{word} {value}")));
    let list = || value.split(',');
    match word {
        "-p" | "--protocol" if value == "all" => Test::Always(true),
        "-p" | "--protocol" => {
            protocol_number(value).map_or_else(other, |number| Test::Protocols(vec![number]))
        }
        "-i" | "--in-interface" => {
            let pattern = match value.strip_suffix('+') {
                Some(start) => format!("{start}*"),
                None => value.to_string(),
            };
            Test::Interfaces(vec![pattern])
        }
        "-s" | "--source" => spans(list()).map_or_else(other, Test::Sources),
        "-d" | "--destination" => spans(list()).map_or_else(other, Test::Destinations),
        "--src-range" => spans(list()).map_or_else(other, Test::Sources),
        "--dst-range" => spans(list()).map_or_else(other, Test::Destinations),
        "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
            list().map(ports).collect::<Option<_>>().map_or_else(other, Test::Ports)
        }
        "--ctstate" | "--state" => {
            // A redirected packet (DNAT) is judged where it is redirected.
            match list().any(|state| state == "DNAT") && !list().any(|state| state == "NEW") {
                true => Test::Redirected,
                false => Test::Always(list().any(|state| state == "NEW")),
            }
        }
        "--tcp-flags" => {
            let wanted = words.next().unwrap_or_default();
            syn_passes(value, wanted).map_or_else(other, Test::Always)
        }
        "--dst-type" => Test::Always(list().any(|kind| kind == "LOCAL")),
        "--pkt-type" => Test::Always(value == "unicast"),
        "--icmp-type" | "--icmpv6-type" => Test::Always(false),
        // Of one moment or of one source among many.
        "--limit" | "--connlimit-above" | "--connlimit-upto" | "--hashlimit-above"
        | "--hashlimit-upto" => Test::AtTimes,
        "--mac-source" => Test::Listed(value.to_string()),
        "--match-set" if words.next() == Some("src") => Test::Listed(value.to_string()),
        _ => other(),
    }
}

fn key(program: Program, table: &str, chain: &str) -> String {
    format!("{} {table} {chain}", program.name())
}

fn spans<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Vec<Span>> {
    texts.map(|text| text.parse().ok()).collect()
}

/// `22` or `1000:2000`.
fn ports(text: &str) -> Option<(u16, u16)> {
    match text.split_once(':') {
        Some((low, high)) => Some((low.parse().ok()?, high.parse().ok()?)),
        None => text.parse().ok().map(|port| (port, port)),
    }
}

/// The first of the ports of `80` or `80-90`.
fn first_port(text: &str) -> Option<u16> {
    text.split(['-', '/']).next()?.parse().ok()
}

/// `172.17.0.2:80`, `[fd00::2]:80` or an address alone.
fn destination(text: &str) -> (Option<std::net::IpAddr>, Option<u16>) {
    if let Ok(address) = text.parse() {
        return (Some(address), None);
    }
    let (address, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let address = address.trim_matches(['[', ']']).split('-').next().unwrap_or_default();
    let unspecified = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let port = first_port(port);
    (if address.is_empty() { None } else { Some(address.parse().unwrap_or(unspecified)) }, port)
}

/// Whether a packet with SYN alone has exactly the wanted ones of the masked flags.
fn syn_passes(mask: &str, wanted: &str) -> Option<bool> {
    let bits = |text: &str| {
        text.split(',').try_fold(0_u8, |bits, name| {
            Some(match name {
                "FIN" => bits | 1,
                "SYN" => bits | 2,
                "RST" => bits | 4,
                "PSH" => bits | 8,
                "ACK" => bits | 16,
                "URG" => bits | 32,
                "ALL" => 63,
                "NONE" => 0,
                _ => return None,
            })
        })
    };
    Some(2 & bits(mask)? == bits(wanted)?)
}

/// Words of a line; double quotes group, a backslash inside them quotes the next character.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut any) = (false, false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => (quoted, any) = (!quoted, true),
            '\\' if quoted => word.extend(characters.next()),
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            other => word.push(other),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Probe};
    use super::*;
    use crate::ports::addresses::Reach;
    use crate::ports::inventory::Transport;

    const RULES: &[u8] = include_bytes!("../../../testdata/ports/iptables.txt");

    fn probe(from: Reach, transport: Transport, port: u16) -> Probe {
        let to = [203, 0, 113, 5].into();
        Probe { from, to, interface: Some("eth0".into()), transport, port }
    }

    fn kind(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Blocked(_) => "blocked",
            Outcome::Limited(_) => "limited",
            Outcome::Unknown(_) => "unknown",
            Outcome::Open(_) => "open",
        }
    }

    #[test]
    fn a_real_ruleset_admits_exactly_what_it_says() {
        let (rules, malformed) = read(Program::Four, RULES).unwrap();
        assert_eq!(malformed, 0);
        for (transport, port, from_internet, from_private) in [
            (Transport::Tcp, 1, "blocked", "blocked"),
            (Transport::Tcp, 22, "open", "open"),
            (Transport::Tcp, 443, "open", "open"),
            (Transport::Tcp, 8010, "open", "open"),
            (Transport::Tcp, 8011, "blocked", "blocked"),
            (Transport::Tcp, 6379, "blocked", "limited"),
            (Transport::Tcp, 5432, "limited", "blocked"),
            (Transport::Tcp, 9090, "blocked", "blocked"),
            (Transport::Tcp, 7777, "unknown", "unknown"),
            (Transport::Tcp, 4444, "unknown", "unknown"),
            (Transport::Udp, 53, "open", "open"),
            (Transport::Udp, 22, "blocked", "blocked"),
        ] {
            for (from, expected) in [(Reach::Global, from_internet), (Reach::Private, from_private)]
            {
                let outcome = rules.admits(&probe(from, transport, port));
                assert_eq!(kind(&outcome), expected, "{transport:?} {port} {from:?}: {outcome:?}");
            }
        }
        let Outcome::Open(label) = rules.admits(&probe(Reach::Global, Transport::Tcp, 22)) else {
            panic!("22 is open");
        };
        assert!(label.starts_with("iptables filter: -A INPUT -p tcp -m tcp --dport 22"), "{label}");
    }

    #[test]
    fn published_ports_are_redirections_and_outgoing_ones_are_not() {
        let (rules, _) = read(Program::Four, RULES).unwrap();
        let to = |port| rules.redirects(&probe(Reach::Global, Transport::Tcp, port));
        let published = to(8080).unwrap();
        assert_eq!(published.address, Some([172, 17, 0, 2].into()));
        assert_eq!(published.port, Some(80));
        assert_eq!(to(8081), None, "published on loopback only");
        assert_eq!(to(7070), None, "only what this host sends");
    }

    #[test]
    fn tables_that_nft_has_changed_are_left_to_nft() {
        let text =
            b"# Table `nat' contains incompatible base-chains, use 'nft' tool to list them.\n\
            *nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n*filter\nCOMMIT\n";
        assert_eq!(tables(text), ["filter"]);
    }

    #[test]
    fn source_translation_redirects_nothing() {
        let text = b"*nat\n-A POSTROUTING -p tcp -j MASQUERADE --to-ports 1024-65535\nCOMMIT\n";
        assert!(read(Program::Four, text).unwrap().0.redirects.is_empty());
    }

    #[test]
    fn hostile_text_is_counted_and_never_a_panic() {
        for bytes in [
            &b""[..],
            b"\0\0",
            b"-A",
            b"-A \n-A INPUT\n",
            b"*\n:\n:INPUT",
            b"-A INPUT -p",
            &vec![b'x'; 10 << 20],
            b"\xff\xfe",
        ] {
            assert!(read(Program::Six, bytes).is_ok());
        }
        for end in 0..RULES.len() {
            assert!(read(Program::Four, &RULES[..end]).is_ok());
        }
        let (_, malformed) = read(Program::Four, b"*filter\nrubbish\n").unwrap();
        assert_eq!(malformed, 1);
        let quoted = words(r#"-A INPUT -m comment --comment "a \"b\" -j DROP" -j ACCEPT"#);
        assert_eq!(quoted[5], r#"a "b" -j DROP"#);
        let odd = b"*filter\n:INPUT DROP [0:0]\n-A INPUT --future -j ACCEPT\n";
        let (rules, _) = read(Program::Four, odd).unwrap();
        assert_eq!(kind(&rules.admits(&probe(Reach::Global, Transport::Tcp, 22))), "unknown");
    }
}
