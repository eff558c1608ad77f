//! `nft -j list ruleset` (libnftables-json(5)) as a [`Ruleset`].
//!
//! Expressions that are not known become conditions that are not understood; they are never skipped.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::Value;

use super::{Action, Base, Condition, RULES_MAX, Redirect, Rule, Ruleset, Span, Test};

/// Most elements of one set that are read.
const ELEMENTS_MAX: usize = 500_000;

/// Reads a ruleset; `skip` names tables (family, table) that are read elsewhere.
pub fn read(bytes: &[u8], skip: impl Fn(&str, &str) -> bool) -> Result<Ruleset, String> {
    if bytes.len() > super::RULESET_BYTES_MAX {
        return Err(format!("larger than {} bytes", super::RULESET_BYTES_MAX));
    }
    // serde_json limits the depth to 128.
    let whole: Value = serde_json::from_slice(bytes).map_err(|error| {
        format!("not the JSON of nft (line {}, column {})", error.line(), error.column())
    })?;
    let objects = whole.get("nftables").and_then(Value::as_array);
    let objects = objects.ok_or("not the JSON of nft (no `nftables` list)")?;
    let mut reader = Reader::default();
    for object in objects {
        for name in ["set", "map"] {
            if let Some(set) = object.get(name) {
                reader.keep_set(set);
            }
        }
    }
    for object in objects {
        let skipped = |of: &Value| skip(text(of, "family"), text(of, "table"));
        if let Some(chain) = object.get("chain").filter(|chain| !skipped(chain)) {
            reader.chain(chain);
        }
        if let Some(rule) = object.get("rule").filter(|rule| !skipped(rule)) {
            if reader.count == RULES_MAX {
                return Err(format!("more than {RULES_MAX} rules"));
            }
            reader.count += 1;
            reader.rule(rule);
        }
    }
    Ok(reader.ruleset)
}

#[derive(Default)]
struct Reader<'a> {
    ruleset: Ruleset,
    sets: HashMap<(&'a str, &'a str, &'a str), &'a [Value]>,
    /// Chains that only see what this host itself sends.
    outgoing: Vec<String>,
    count: usize,
}

impl<'a> Reader<'a> {
    fn keep_set(&mut self, set: &'a Value) {
        let key = (text(set, "family"), text(set, "table"), text(set, "name"));
        let elements = set.get("elem").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.sets.insert(key, elements);
    }

    fn chain(&mut self, chain: &Value) {
        let key = key(chain, text(chain, "name"));
        self.ruleset.chains.entry(key.clone()).or_default();
        let sees = match text(chain, "family") {
            "ip" => (true, false),
            "ip6" => (false, true),
            "inet" | "netdev" => (true, true),
            _ => return,
        };
        match (text(chain, "type"), text(chain, "hook")) {
            ("filter", "input" | "prerouting" | "ingress") => {
                let accepts = text(chain, "policy") != "drop";
                self.ruleset.bases.push(Base { chain: key, sees, accepts });
            }
            ("filter", "forward") => {
                let accepts = text(chain, "policy") != "drop";
                self.ruleset.forwarding.push(Base { chain: key, sees, accepts });
            }
            (kind, hook @ ("output" | "postrouting")) => {
                if kind == "filter" && hook == "output" {
                    let accepts = text(chain, "policy") != "drop";
                    let chain = key.clone();
                    self.ruleset.sending.push(Base { chain, sees, accepts });
                }
                self.outgoing.push(key);
            }
            _ => {}
        }
    }

    fn rule(&mut self, rule: &'a Value) {
        let chain = key(rule, text(rule, "chain"));
        let table = (text(rule, "family"), text(rule, "table"));
        let handle = rule.get("handle").and_then(Value::as_u64).unwrap_or(0);
        let comment = rule.get("comment").and_then(Value::as_str).map(crate::redact::line);
        let comment = comment.map(|comment| format!(" \"{comment}\"")).unwrap_or_default();
        let mut label = format!("{chain} rule with handle {handle}{comment}");
        let mut conditions = Vec::new();
        let statements = rule.get("expr").and_then(Value::as_array);
        let mut made = Vec::new();
        for statement in statements.into_iter().flatten() {
            match self.statement(table, statement) {
                Said::Conditions(more) => conditions.extend(more),
                Said::Does(action) => made.push((Vec::new(), action)),
                Said::Maps(choices) => made.extend(choices),
                Said::Redirects(address, port) => {
                    let conditions = match table.0 {
                        "ip" => with_family(&conditions, false),
                        "ip6" => with_family(&conditions, true),
                        _ => conditions.clone(),
                    };
                    let redirect = Redirect { label: label.clone(), conditions, address, port };
                    match self.outgoing.contains(&chain) {
                        true => self.ruleset.sent.push(redirect),
                        false => self.ruleset.redirects.push(redirect),
                    }
                }
                Said::Nothing => {}
            }
        }
        if let [Condition { test: Test::Ports(ports), negated: false }] = &conditions[..]
            && let [(first, last)] = ports[..]
        {
            label.push_str(&format!(" (ports {first}-{last})"));
        }
        let rules = self.ruleset.chains.entry(chain).or_default();
        for (more, action) in made {
            let conditions = conditions.iter().cloned().chain(more).collect();
            rules.push(Rule { label: label.clone(), conditions, action });
        }
    }

    fn statement(&self, table: (&'a str, &'a str), statement: &'a Value) -> Said {
        let Some((name, value)) = statement.as_object().and_then(|object| object.iter().next())
        else {
            // Some verdicts are plain words in some versions.
            return statement.as_str().map_or(Said::Nothing, |word| {
                verdict(word, &Value::Null, table).map_or(Said::Nothing, Said::Does)
            });
        };
        if let Some(action) = verdict(name, value, table) {
            return Said::Does(action);
        }
        match name.as_str() {
            "match" => Said::Conditions(self.condition(table, value)),
            "vmap" => self.verdict_map(table, value),
            "limit" | "meter" | "ct count" => Said::Conditions(vec![Condition::is(Test::AtTimes)]),
            // Updating a set passes the packet on, unless the set is full or its limit is reached.
            "set" => Said::Conditions(match value.get("stmt") {
                Some(_) => vec![Condition::is(Test::AtTimes)],
                None => Vec::new(),
            }),
            "dnat" => {
                let address = value.get("addr").and_then(Value::as_str);
                let port = value.get("port").and_then(number).and_then(|n| n.try_into().ok());
                Said::Redirects(
                    // A map or expression of addresses: elsewhere, but not known where.
                    Some(address.and_then(|text| text.parse().ok()).unwrap_or(UNSPECIFIED)),
                    port,
                )
            }
            "redirect" => {
                let port = value.get("port").and_then(number).and_then(|n| n.try_into().ok());
                Said::Redirects(None, port)
            }
            "counter" | "log" | "mangle" | "notrack" | "ct helper" | "ct timeout"
            | "ct expectation" | "flow" | "dup" | "masquerade" | "snat" => Said::Nothing,
            "xt" if text(value, "type") == "target" => Said::Does(Action::Queue),
            other => Said::Conditions(vec![Condition::is(Test::Other(other.to_string()))]),
        }
    }

    fn condition(&self, table: (&'a str, &'a str), value: &'a Value) -> Vec<Condition> {
        let operator = text(value, "op");
        let (Some(left), Some(right)) = (value.get("left"), value.get("right")) else {
            return vec![Condition::is(Test::Other("a match without sides".into()))];
        };
        let negated = operator == "!=";
        let compared = matches!(operator, "==" | "in" | "!=" | "");
        let (implied, test) = if compared {
            self.test(table, left, right)
        } else {
            (Vec::new(), Test::Other(format!("operator {operator}")))
        };
        let mut conditions: Vec<Condition> = implied.into_iter().map(Condition::is).collect();
        conditions.push(Condition { negated, test });
        conditions
    }

    /// What a key and the values it may have ask, with what the key implies.
    fn test(&self, table: (&'a str, &'a str), left: &Value, right: &'a Value) -> (Vec<Test>, Test) {
        let other = || (Vec::new(), Test::Other(brief(left)));
        let Some(values) = self.values(table, right) else { return other() };
        if let Some(payload) = left.get("payload") {
            return payload_test(payload, &values).unwrap_or_else(other);
        }
        if let Some(meta) = left.get("meta") {
            let test = match text(meta, "key") {
                "iifname" | "iif" => {
                    all(&values, |v| v.as_str().map(str::to_string)).map(Test::Interfaces)
                }
                "l4proto" => all(&values, protocol).map(Test::Protocols),
                "nfproto" | "protocol" => all(&values, family).map(|sixes| match sixes[..] {
                    [one] => Test::Six(one),
                    _ => Test::Always(true),
                }),
                "pkttype" => {
                    let host = values.iter().any(|value| value.as_str() == Some("host"));
                    Some(Test::Always(host))
                }
                _ => None,
            };
            return test.map_or_else(other, |test| (Vec::new(), test));
        }
        if let Some(ct) = left.get("ct") {
            let test = match text(ct, "key") {
                "state" => {
                    let new = values.iter().any(|value| value.as_str() == Some("new"));
                    Some(Test::Always(new))
                }
                "direction" => {
                    let original = values.iter().any(|v| v.as_str() == Some("original"));
                    Some(Test::Always(original))
                }
                // A packet that a redirection has changed: not one that goes to this host's own port.
                "status" => Some(Test::Redirected),
                _ => None,
            };
            return test.map_or_else(other, |test| (Vec::new(), test));
        }
        if let Some(fib) = left.get("fib") {
            return (Vec::new(), fib_test(fib, &values).unwrap_or(Test::Other("fib".into())));
        }
        if let Some([flags, mask]) = left.get("&").and_then(Value::as_array).map(Vec::as_slice) {
            return flags_test(flags, mask, &values)
                .map_or_else(other, |test| (vec![Test::Protocols(vec![6])], test));
        }
        other()
    }

    /// The values of a right side, sets flattened; `None` when it names a set that is not there.
    fn values(&self, table: (&'a str, &'a str), right: &'a Value) -> Option<Vec<&'a Value>> {
        let mut values = Vec::new();
        let mut pending = vec![right];
        while let Some(value) = pending.pop() {
            if values.len() > ELEMENTS_MAX {
                return None;
            }
            if let Some(name) = value.as_str().and_then(|name| name.strip_prefix('@')) {
                values.extend(self.sets.get(&(table.0, table.1, name))?.iter());
            } else if let Some(elements) = value.get("set").unwrap_or(value).as_array() {
                pending.extend(elements);
            } else {
                values.push(value);
            }
        }
        for value in &mut values {
            if let Some(inner) = value.get("elem").and_then(|elem| elem.get("val")) {
                *value = inner;
            }
        }
        Some(values)
    }

    /// A verdict map: one choice per element.
    fn verdict_map(&self, table: (&'a str, &'a str), map: &'a Value) -> Said {
        let unknown = || Said::Does(Action::Queue);
        let (Some(key), Some(data)) = (map.get("key"), map.get("data")) else { return unknown() };
        let elements = match data.as_str().and_then(|name| name.strip_prefix('@')) {
            Some(name) => self.sets.get(&(table.0, table.1, name)).copied(),
            None => data.get("set").and_then(Value::as_array).map(Vec::as_slice),
        };
        let Some(elements) = elements.filter(|elements| elements.len() <= ELEMENTS_MAX) else {
            return unknown();
        };
        let mut choices = Vec::new();
        for element in elements {
            let Some([value, action]) = element.as_array().map(Vec::as_slice) else {
                return unknown();
            };
            let value = value.get("elem").and_then(|elem| elem.get("val")).unwrap_or(value);
            let action = action
                .as_object()
                .and_then(|object| object.iter().next())
                .and_then(|(name, value)| verdict(name, value, table));
            let Some(action) = action else { return unknown() };
            let (implied, test) = self.test(table, key, value);
            let conditions = implied.into_iter().chain([test]).map(Condition::is).collect();
            choices.push((conditions, action));
        }
        Said::Maps(choices)
    }
}

fn with_family(conditions: &[Condition], six: bool) -> Vec<Condition> {
    let family = Condition::is(Test::Six(six));
    [family].into_iter().chain(conditions.iter().cloned()).collect()
}

/// What a statement says.
enum Said {
    Conditions(Vec<Condition>),
    Does(Action),
    Maps(Vec<(Vec<Condition>, Action)>),
    Redirects(Option<IpAddr>, Option<u16>),
    Nothing,
}

const UNSPECIFIED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

fn verdict(name: &str, value: &Value, table: (&str, &str)) -> Option<Action> {
    let target = || format!("nft {} {} {}", table.0, table.1, text(value, "target"));
    Some(match name {
        "accept" => Action::Accept,
        "drop" | "reject" => Action::Drop,
        "return" => Action::Return,
        "continue" => Action::Next,
        "jump" => Action::Jump(target()),
        "goto" => Action::Goto(target()),
        // A proxy or a program decides.
        "queue" | "tproxy" | "synproxy" => Action::Queue,
        _ => return None,
    })
}

/// What a header field asks, with the protocol that it implies.
fn payload_test(payload: &Value, values: &[&Value]) -> Option<(Vec<Test>, Test)> {
    let (protocol_name, field) = (text(payload, "protocol"), text(payload, "field"));
    let implied = match protocol_name {
        "tcp" => Test::Protocols(vec![6]),
        "udp" => Test::Protocols(vec![17]),
        "th" => Test::Always(true),
        "ip" => Test::Six(false),
        "ip6" => Test::Six(true),
        "icmp" | "icmpv6" | "igmp" | "sctp" | "dccp" | "esp" | "ah" | "comp" | "arp" => {
            return Some((Vec::new(), Test::Always(false)));
        }
        _ => return None,
    };
    let test = match (protocol_name, field) {
        ("tcp" | "udp" | "th", "dport") => Test::Ports(all(values, ports)?),
        ("ip" | "ip6", "saddr") => Test::Sources(all(values, span)?),
        ("ip" | "ip6", "daddr") => Test::Destinations(all(values, span)?),
        ("ip", "protocol") | ("ip6", "nexthdr") => Test::Protocols(all(values, protocol)?),
        ("tcp", "flags") => Test::Always(values.iter().any(|v| flag_bits(v) == Some(SYN))),
        _ => return None,
    };
    Some((vec![implied], test))
}

const SYN: u64 = 2;

/// `tcp flags & mask == value` for the first packet of a connection, which has SYN alone.
fn flags_test(flags: &Value, mask: &Value, values: &[&Value]) -> Option<Test> {
    if flags.get("payload").map(|payload| text(payload, "field")) != Some("flags") {
        return None;
    }
    let mask = flag_bits(mask)?;
    let wanted = all(values, flag_bits)?;
    Some(Test::Always(wanted.contains(&(SYN & mask))))
}

fn flag_bits(value: &Value) -> Option<u64> {
    if let Some(parts) = value.get("|").unwrap_or(value).as_array() {
        return parts.iter().try_fold(0, |bits, part| Some(bits | flag_bits(part)?));
    }
    let named = |name: &str| {
        ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"]
            .iter()
            .position(|known| *known == name)
    };
    match value.as_str() {
        Some(name) => named(name).map(|bit| 1 << bit),
        None => value.as_u64(),
    }
}

/// Routing questions: an address of this host, and the reverse path filter (which new, honest packets
/// pass).
fn fib_test(fib: &Value, values: &[&Value]) -> Option<Test> {
    let flags = fib.get("flags")?.as_array()?;
    let of = |name: &str| flags.iter().any(|flag| flag.as_str() == Some(name));
    match text(fib, "result") {
        "type" if of("daddr") => {
            Some(Test::Always(values.iter().any(|value| value.as_str() == Some("local"))))
        }
        "oif" if of("saddr") => {
            let missing = |v: &&Value| v.as_bool() == Some(false) || v.as_u64() == Some(0);
            values.iter().all(missing).then_some(Test::Always(false))
        }
        _ => None,
    }
}

/// Every value read, or `None` if one cannot be.
fn all<T>(values: &[&Value], read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    values.iter().map(|value| read(value)).collect()
}

fn ports(value: &Value) -> Option<(u16, u16)> {
    let port = |value: &Value| number(value).and_then(|number| u16::try_from(number).ok());
    match value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([low, high]) => Some((port(low)?, port(high)?)),
        Some(_) => None,
        None => port(value).map(|port| (port, port)),
    }
}

fn span(value: &Value) -> Option<Span> {
    if let Some(prefix) = value.get("prefix") {
        let length = u8::try_from(prefix.get("len")?.as_u64()?).ok()?;
        return Span::network(text(prefix, "addr").parse().ok()?, length);
    }
    if let Some([low, high]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return Span::between(low.as_str()?.parse().ok()?, high.as_str()?.parse().ok()?);
    }
    value.as_str()?.parse().ok()
}

fn protocol(value: &Value) -> Option<u8> {
    match value.as_str() {
        Some(name) => protocol_number(name),
        None => u8::try_from(value.as_u64()?).ok(),
    }
}

/// Numbers of the protocol names that rules use (protocols(5)).
pub fn protocol_number(name: &str) -> Option<u8> {
    Some(match name {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmpv6" | "ipv6-icmp" => 58,
        "ospf" => 89,
        "vrrp" => 112,
        "sctp" => 132,
        "udplite" => 136,
        other => return other.parse().ok(),
    })
}

fn family(value: &Value) -> Option<bool> {
    match value.as_str()? {
        "ipv4" | "ip" => Some(false),
        "ipv6" | "ip6" => Some(true),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn key(of: &Value, name: &str) -> String {
    format!("nft {} {} {name}", text(of, "family"), text(of, "table"))
}

/// A short form of an expression, for the reader of a report.
fn brief(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Probe};
    use super::*;
    use crate::ports::addresses::Reach;
    use crate::ports::inventory::Transport;

    const RULES: &[u8] = include_bytes!("../../../testdata/ports/nft.json");

    fn probe(from: Reach, transport: Transport, port: u16) -> Probe {
        let to = IpAddr::from([203, 0, 113, 5]);
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
        let rules = read(RULES, |_, _| false).unwrap();
        for (transport, port, from_internet, from_private) in [
            (Transport::Tcp, 1, "blocked", "blocked"),
            (Transport::Tcp, 22, "open", "open"),
            (Transport::Tcp, 25, "open", "open"),
            (Transport::Udp, 25, "blocked", "blocked"),
            (Transport::Tcp, 443, "open", "open"),
            (Transport::Tcp, 8005, "open", "open"),
            (Transport::Tcp, 8011, "blocked", "blocked"),
            (Transport::Tcp, 8450, "open", "open"),
            (Transport::Tcp, 5432, "limited", "blocked"),
            (Transport::Tcp, 6379, "blocked", "open"),
            (Transport::Tcp, 9090, "blocked", "blocked"),
            (Transport::Tcp, 9000, "open", "open"),
            (Transport::Tcp, 9001, "limited", "blocked"),
            (Transport::Udp, 53, "open", "open"),
            (Transport::Udp, 123, "open", "open"),
            (Transport::Tcp, 7777, "unknown", "unknown"),
            (Transport::Tcp, 3306, "blocked", "blocked"),
        ] {
            for (from, expected) in [(Reach::Global, from_internet), (Reach::Private, from_private)]
            {
                let outcome = rules.admits(&probe(from, transport, port));
                assert_eq!(kind(&outcome), expected, "{transport:?} {port} {from:?}: {outcome:?}");
            }
        }
        let wire =
            Probe { interface: Some("wg0".into()), ..probe(Reach::Private, Transport::Tcp, 9090) };
        assert_eq!(kind(&rules.admits(&wire)), "open");
        let six = Probe {
            to: "2001:db8::5".parse().unwrap(),
            ..probe(Reach::Global, Transport::Tcp, 5432)
        };
        assert_eq!(kind(&rules.admits(&six)), "blocked");
        let web = rules.admits(&probe(Reach::Global, Transport::Tcp, 443));
        assert_eq!(web, Outcome::Open("nft inet filter input rule with handle 14 \"web\"".into()));
        let none = rules.admits(&probe(Reach::Global, Transport::Tcp, 1));
        assert_eq!(none, Outcome::Blocked("nft inet filter input policy drop".into()));
    }

    #[test]
    fn redirections_are_kept_with_their_targets() {
        let rules = read(RULES, |_, _| false).unwrap();
        let to = |port| {
            rules
                .redirects(&probe(Reach::Global, Transport::Tcp, port))
                .map(|redirect| (redirect.address, redirect.port))
        };
        assert_eq!(to(8080), Some((Some(IpAddr::from([172, 17, 0, 2])), Some(80))));
        assert_eq!(to(81), Some((None, Some(80))));
        assert_eq!(to(82), None);
    }

    #[test]
    fn rules_that_are_not_understood_are_never_skipped() {
        let with = |expression: &str| {
            let text = format!(
                r#"{{"nftables":[{{"chain":{{"family":"inet","table":"t","name":"i","type":"filter","hook":"input","policy":"drop"}}}},{{"rule":{{"family":"inet","table":"t","chain":"i","handle":1,"expr":[{expression}]}}}}]}}"#
            );
            let rules = read(text.as_bytes(), |_, _| false).unwrap();
            kind(&rules.admits(&probe(Reach::Global, Transport::Tcp, 22)))
        };
        for expression in [
            r#"{"xt":{"type":"match","name":"multiport"}},{"accept":null}"#,
            r#"{"xt":{"type":"target","name":"FOO"}}"#,
            r#"{"future":{}},{"accept":null}"#,
            r#"{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":"@absent"}},{"accept":null}"#,
            r#"{"match":{"op":"<","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":1024}},{"accept":null}"#,
            r#"{"match":{}},{"accept":null}"#,
            r#"{"vmap":{}}"#,
            r#"{"vmap":{"key":{"concat":[]},"data":{"set":[[1,{"accept":null}]]}}}"#,
            r#"{"jump":{"target":"absent"}}"#,
            r#"{"queue":{"num":1}}"#,
        ] {
            assert_eq!(with(expression), "unknown", "{expression}");
        }
        assert_eq!(with(r#"{"accept":null}"#), "open");
        assert_eq!(with(r#""accept""#), "open");
        assert_eq!(with(r#"{"counter":null}"#), "blocked");
    }

    #[test]
    fn hostile_text_is_an_error_and_never_a_panic() {
        let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
        for bytes in
            [&b""[..], b"\0", b"[]", b"{}", b"{\"nftables\":1}", &deep, &vec![b'x'; 10 << 20]]
        {
            assert!(read(bytes, |_, _| false).is_err());
        }
        for end in (0..RULES.len()).step_by(7) {
            assert!(read(&RULES[..end], |_, _| false).is_err());
        }
        assert!(
            read(br#"{"nftables":[1,null,{"rule":1},{"chain":[]},{"set":{"elem":3}}]}"#, |_, _| {
                false
            })
            .is_ok()
        );
    }
}
