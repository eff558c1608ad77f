//! Sigma's rules over logs as they are written: audit records that are joined, lines of resolvers and
//! devices, and correlations at the edges of their windows.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::collections::BTreeSet;
use std::sync::Arc;

use parsers::rules::sigma::{Document, parse};
use scanner::RootedTree;
use scanner::logs::event::{Event, Form};
use scanner::logs::matcher::Scratch;
use scanner::logs::{RuleSet, SweepOptions, SweepOutcome, source, sweep};

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

fn documents(text: &str) -> Vec<Document> {
    parse(&Arc::from("case.yml"), text.as_bytes()).unwrap_or_else(|p| panic!("{p}\n{text}"))
}

fn rules(text: &str) -> RuleSet {
    RuleSet::new(documents(text)).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

fn run(log: &str, rules: &RuleSet) -> SweepOutcome {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), log).unwrap();
    let tree = RootedTree::open(dir.path()).unwrap();
    sweep(&tree, source::named(&tree, &["/log".into()]), None, rules, &SweepOptions::new(NOW), None)
}

/// The rules that have a story, by name.
fn told(log: &str, rules: &RuleSet) -> BTreeSet<String> {
    let outcome = run(log, rules);
    outcome.detections.into_iter().flat_map(|d| d.also.into_iter().chain([d.rule])).collect()
}

fn rule(name: &str, logsource: &str, detection: &str) -> String {
    format!(
        "title: {name}\nname: {name}\nlogsource: {{{logsource}}}\ndetection: {detection}\n---\n"
    )
}

const AUDIT: &str = "\
type=SYSCALL msg=audit(1767225000.100:1): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=700 auid=4294967295 uid=0 euid=0 ses=4294967295 comm=\"nginx\" exe=\"/usr/sbin/nginx\" key=(null)
type=EXECVE msg=audit(1767225000.100:1): argc=1 a0=\"nginx\"
type=PROCTITLE msg=audit(1767225000.100:1): proctitle=\"nginx\"
type=SYSCALL msg=audit(1767225001.100:2): arch=c000003e syscall=59 success=yes exit=0 ppid=700 pid=701 auid=1000 uid=33 euid=33 ses=3 comm=\"curl\" exe=\"/usr/bin/curl\" key=\"exec\"
type=SYSCALL msg=audit(1767225001.101:3): arch=c000003e syscall=257 success=yes exit=3 ppid=1 pid=702 auid=1000 uid=0 euid=0 ses=3 comm=\"vi\" exe=\"/usr/bin/vi\" key=(null)
type=EXECVE msg=audit(1767225001.100:2): argc=3 a0=\"curl\" a1=\"-A\" a2=6576696C206167656E74
type=CWD msg=audit(1767225001.101:3): cwd=\"/etc/sudoers.d\"
type=CWD msg=audit(1767225001.100:2): cwd=\"/tmp\"
type=PATH msg=audit(1767225001.101:3): item=1 name=\"new\" nametype=CREATE
type=PROCTITLE msg=audit(1767225001.101:3): proctitle=\"vi\"
type=PROCTITLE msg=audit(1767225001.100:2): proctitle=6375726C002D41006576696C206167656E74
type=SYSCALL msg=audit(1767225002.100:4): arch=c000003e syscall=42 success=no exit=-115 ppid=1 pid=703 auid=1000 uid=1000 ses=3 comm=\"bash\" exe=\"/usr/bin/bash\" key=(null)
type=SOCKADDR msg=audit(1767225002.100:4): saddr=0200115CCB0071090000000000000000
type=USER_LOGIN msg=audit(1767225002.200:5): pid=1 uid=0 auid=1000 ses=3 msg='op=login acct=\"bob\" exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.1 terminal=ssh res=success'
";

#[test]
fn audit_records_feed_rules_about_programs_files_and_connections() {
    let process = "product: linux, category: process_creation";
    let file = "product: linux, category: file_event";
    let network = "product: linux, category: network_connection";
    let audit = "product: linux, service: auditd";
    for (logsource, detection, fires) in [
        (
            process,
            "{s: {Image|endswith: /curl, CommandLine|contains: ' -A evil agent'}, condition: s}",
            true,
        ),
        (process, "{s: {Image|endswith: /curl, ParentImage|endswith: /nginx}, condition: s}", true),
        (process, "{s: {ParentCommandLine: nginx, CurrentDirectory: /tmp}, condition: s}", true),
        (process, "{s: {User: root, LogonId: 0, Image|endswith: /nginx}, condition: s}", true),
        (process, "{s: {User: 33}, condition: s}", true),
        (process, "{s: {CommandLine|re: 'evil\\s'}, condition: s}", true),
        (process, "{s: {ProcessId|gte: 701, ParentProcessId: 700}, condition: s}", true),
        (process, "{s: {Image|endswith: /bash}, condition: s}", false),
        (process, "{s: [evil agent], condition: s}", true),
        (file, "{s: {TargetFilename|startswith: /etc/sudoers.d/}, condition: s}", true),
        (file, "{s: {TargetFilename: /etc/sudoers.d/new, Image: /usr/bin/vi}, condition: s}", true),
        (file, "{s: {Image|endswith: /curl}, condition: s}", false),
        (network, "{s: {Initiated: 'true', DestinationPort: [1, 4444]}, condition: s}", true),
        (
            network,
            "{s: {DestinationIp|cidr: 203.0.113.0/24, Image|endswith: /bash}, condition: s}",
            true,
        ),
        (network, "{s: {DestinationIp|cidr: 10.0.0.0/8}, condition: s}", false),
        (audit, "{s: {type: EXECVE, a0: curl, a1: '-A', a2: evil agent}, condition: s}", true),
        (audit, "{s: {type: SYSCALL, SYSCALL: execve, key: exec}, condition: s}", true),
        (audit, "{s: {SYSCALL: [openat, open]}, condition: s}", true),
        (audit, "{s: {type: PATH, nametype: CREATE, name: new}, condition: s}", true),
        (audit, "{s: {type: USER_LOGIN, acct: bob, res: success}, condition: s}", true),
        (audit, "{s: {type: SYSCALL, a2: evil agent}, condition: s}", false),
        (audit, "{s: {Image|endswith: /curl}, condition: s}", false),
    ] {
        let rules = rules(&rule("r", logsource, detection));
        assert_eq!(!told(AUDIT, &rules).is_empty(), fires, "{logsource} {detection}");
    }
}

#[test]
fn a_joined_event_is_one_hit_at_its_last_record() {
    let rules = rules(&rule(
        "r",
        "product: linux, category: process_creation",
        "{s: {Image|endswith: /curl}, condition: s}",
    ));
    let outcome = run(AUDIT, &rules);
    assert_eq!((outcome.summary.hits, outcome.detections.len()), (1, 1));
    let detection = &outcome.detections[0];
    let place = format!("{:?}", detection.samples);
    assert!(place.contains("line: 11"), "{place}");
    assert!(place.contains("curl -A evil agent"), "{place}");
}

#[test]
fn audit_records_are_read_from_dispatchers_and_the_journal() {
    let rule = rule(
        "r",
        "product: linux, category: process_creation",
        "{s: {Image|endswith: /curl, CommandLine|contains: evil}, condition: s}",
    );
    let rules = rules(&rule);
    let sent: String =
        AUDIT.lines().map(|line| format!("Dec 31 23:50:00 web audispd: {line}\n")).collect();
    assert!(!told(&sent, &rules).is_empty());
    let entry = |kind: &str, text: &str| {
        format!(
            "__REALTIME_TIMESTAMP=1767225001100000\n_TRANSPORT=audit\n_AUDIT_TYPE_NAME={kind}\n_AUDIT_ID=2\nMESSAGE={kind} {text}\n\n"
        )
    };
    let export = [
        entry(
            "SYSCALL",
            "arch=c000003e syscall=59 success=yes pid=7 ppid=1 uid=0 exe=\"/usr/bin/curl\"",
        ),
        entry("EXECVE", "argc=2 a0=\"curl\" a1=\"evil\""),
        entry("PROCTITLE", "proctitle=\"curl\""),
    ]
    .concat();
    let dir = tempfile::tempdir().unwrap();
    let tree = RootedTree::open(dir.path()).unwrap();
    let mut reader = export.as_bytes();
    let outcome = sweep(
        &tree,
        source::named(&tree, &[]),
        Some(&mut reader),
        &rules,
        &SweepOptions::new(NOW),
        None,
    );
    assert_eq!(outcome.detections.len(), 1);
}

/// Whether a rule for a log source sees a line.
fn sees(logsource: &str, detection: &str, line: &str) -> bool {
    let rules = rules(&rule("r", logsource, detection));
    let event = Event::read(line.as_bytes(), &mut Form::default());
    let mut hits = 0;
    rules.each_match(&event, &mut Scratch::default(), |_| hits += 1);
    assert_eq!(hits, rules.each_match_plainly(&event).len());
    hits > 0
}

#[test]
fn lines_feed_the_log_sources_that_they_are_of() {
    let zeek_dns = r#"{"_path":"dns","ts":1767225000.1,"uid":"C1","id.orig_h":"192.0.2.1","id.resp_h":"192.0.2.2","id.resp_p":53,"query":"a.burpcollaborator.net","qtype_name":"TXT","answers":["x","IEX y"]}"#;
    let web = r#"{"request_method":"GET","request_uri":"/a?b","status":200,"remote_addr":"192.0.2.1","http_user_agent":"x"}"#;
    let squid = "192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] \"GET http://evil.example/a.exe HTTP/1.1\" 200 5 \"-\" \"curl\"";
    let visit =
        "192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] \"GET /a.exe HTTP/1.1\" 200 5 \"-\" \"curl\"";
    let cisco = "Jan  1 00:00:00 router 7: *Jan 1: %PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging";
    let shell = "Jan  1 00:00:00 web sudo: bob : COMMAND=/bin/echo no logging";
    let forti = "Jan  1 00:00:00 fw date=2026-01-01 time=00:00:00 devname=\"fw\" logid=\"01\" type=\"event\" action=\"Add\" cfgpath=\"system.admin\"";
    let sysmon = "Jan  1 00:00:00 web sysmon: <Event><System><Provider Name=\"Linux-Sysmon\"/><EventID>1</EventID></System><EventData><Data Name=\"Image\">/usr/bin/curl</Data></EventData></Event>";
    let ecs = r#"{"@timestamp":"2026-01-01T00:00:00Z","process":{"executable":"/usr/bin/curl","command_line":"curl x"}}"#;
    let shipped = r#"{"Event":{"EventData":{"Image":"/usr/bin/curl","CommandLine":"curl x"}}}"#;
    let curl = "{s: {Image|endswith: /curl}, condition: s}";
    let process = "product: linux, category: process_creation";
    for (logsource, detection, line, expected) in [
        (
            "product: zeek, service: dns",
            "{s: {query|endswith: .burpcollaborator.net}, condition: s}",
            zeek_dns,
            true,
        ),
        (
            "product: zeek, service: http",
            "{s: {query|contains: burp}, condition: s}",
            zeek_dns,
            false,
        ),
        (
            "category: dns",
            "{s: {query|endswith: .burpcollaborator.net}, condition: s}",
            zeek_dns,
            true,
        ),
        (
            "category: dns",
            "{s: {record_type: TXT, answer|contains: IEX}, condition: s}",
            zeek_dns,
            true,
        ),
        (
            "category: dns",
            "{s: {query: evil.example, record_type: A}, condition: s}",
            "Jan  1 00:00:00 gw dnsmasq[7]: query[A] evil.example from 192.0.2.1",
            true,
        ),
        (
            "category: dns",
            "{s: {query: evil.example}, condition: s}",
            "Jan  1 00:00:00 gw named[7]: client @0x7f 192.0.2.1#53 (evil.example): query: evil.example IN A +E(0)K (192.0.2.9)",
            true,
        ),
        (
            "category: dns",
            "{s: {query: evil.example}, condition: s}",
            "Jan  1 00:00:00 gw cron[7]: query[A] evil.example from 192.0.2.1",
            false,
        ),
        (
            "category: webserver",
            "{s: {cs-method: GET, sc-status: 200, cs-uri-query: '/a?b'}, condition: s}",
            web,
            true,
        ),
        ("category: proxy", "{s: {cs-method: GET}, condition: s}", web, false),
        ("category: proxy", "{s: {c-uri|endswith: .exe}, condition: s}", squid, true),
        ("category: proxy", "{s: {c-uri|endswith: .exe}, condition: s}", visit, false),
        ("category: webserver", "{s: {c-uri|endswith: .exe}, condition: s}", visit, true),
        (
            "category: proxy",
            "{s: {cs-host: evil.example, c-uri|contains: /a}, condition: s}",
            r#"{"cs-host":"evil.example","c-uri":"/a"}"#,
            true,
        ),
        ("product: cisco, service: aaa", "{s: [no logging], condition: s}", cisco, true),
        ("product: cisco, service: aaa", "{s: [no logging], condition: s}", shell, false),
        (
            "product: fortigate, service: event",
            "{s: {action: Add, cfgpath: system.admin}, condition: s}",
            forti,
            true,
        ),
        ("product: linux, service: syslog", "{s: [system.admin], condition: s}", forti, false),
        (
            "category: firewall",
            "{s: {action: block}, condition: s}",
            "Jan  1 00:00:00 web kernel: [1.2] [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 PROTO=TCP SPT=5 DPT=22",
            true,
        ),
        (
            "category: firewall",
            "{s: {dst_port: 23, action: accept}, condition: s}",
            "Jan  1 00:00:00 fw date=2026-01-01 devname=\"fw\" logid=\"01\" dstport=23 action=\"accept\"",
            true,
        ),
        (
            "category: webserver",
            "{s: {timestamp|hour: 0, timestamp|month: 1}, condition: s}",
            visit,
            true,
        ),
        (
            "product: linux, service: syslog",
            "{s: {timestamp|hour|gte: 9}, condition: s}",
            shell,
            false,
        ),
        ("product: linux, service: syslog", "{s: {timestamp|day: 1}, condition: s}", shell, true),
        (process, curl, sysmon, true),
        (
            "product: linux, category: file_event",
            "{s: {Image|endswith: /curl}, condition: s}",
            sysmon,
            false,
        ),
        (process, curl, ecs, true),
        (process, curl, shipped, true),
        (
            "product: linux, service: sshd",
            "{s: [Failed], condition: s}",
            r#"{"__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"sshd-session","MESSAGE":"Failed password"}"#,
            true,
        ),
        (
            "product: linux, service: sshd",
            "{s: [Failed], condition: s}",
            r#"{"__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"sudo","MESSAGE":"Failed password"}"#,
            false,
        ),
    ] {
        assert_eq!(sees(logsource, detection, line), expected, "{logsource} {detection}\n{line}");
    }
}

/// An event of the correlation table: second, which rule it is of, group, value.
type Case = (i64, &'static str, &'static str, &'static str);

fn log(events: &[Case]) -> String {
    let line = |(second, kind, group, value): &Case| {
        let at = NOW - 10_000 + second;
        let group = if group.is_empty() { String::new() } else { format!(",\"g\":\"{group}\"") };
        format!("{{\"time\":{at},\"k\":\"{kind}\",\"v\":\"{value}\",\"w\":\"{value}\"{group}}}\n")
    };
    events.iter().map(line).collect()
}

/// (correlation, events, whether it fires)
const CORRELATIONS: &[(&str, &[Case], bool)] = &[
    // counts: at the edge of the window, one second beyond, equal stamps, out of order
    (COUNT, &[(0, "a", "x", ""), (5, "a", "x", ""), (10, "a", "x", "")], true),
    (COUNT, &[(0, "a", "x", ""), (5, "a", "x", ""), (11, "a", "x", "")], false),
    (COUNT, &[(7, "a", "x", ""), (7, "a", "x", ""), (7, "a", "x", "")], true),
    (COUNT, &[(10, "a", "x", ""), (0, "a", "x", ""), (5, "a", "x", "")], true),
    (COUNT, &[(0, "a", "x", ""), (10, "a", "x", "")], false),
    (COUNT, &[(0, "a", "x", ""), (6, "a", "x", ""), (12, "a", "x", ""), (14, "a", "x", "")], true),
    (COUNT, &[(0, "a", "x", ""), (9, "a", "x", ""), (18, "a", "x", ""), (27, "a", "x", "")], false),
    // groups apart, other rules, a group-by field that is missing
    (COUNT, &[(0, "a", "x", ""), (1, "a", "y", ""), (2, "a", "x", ""), (3, "a", "y", "")], false),
    (COUNT, &[(0, "a", "x", ""), (1, "b", "x", ""), (2, "a", "x", "")], false),
    (COUNT, &[(0, "a", "", ""), (1, "a", "", ""), (2, "a", "", "")], false),
    (COUNT, &[(0, "a", "x", ""), (1, "a", "", ""), (2, "a", "x", ""), (3, "a", "x", "")], true),
    // without group-by everything is one group; gt is one more; two rules count together
    (
        "type: event_count, rules: [a], timespan: 10s, condition: {gte: 2}",
        &[(0, "a", "x", ""), (1, "a", "y", "")],
        true,
    ),
    (
        "type: event_count, rules: [a], timespan: 10s, condition: {gt: 2}",
        &[(0, "a", "x", ""), (1, "a", "y", "")],
        false,
    ),
    (
        "type: event_count, rules: [a, b], timespan: 10s, condition: {gte: 2}",
        &[(0, "a", "x", ""), (1, "b", "y", "")],
        true,
    ),
    (
        "type: event_count, rules: [a], timespan: 1m, condition: {gte: 2}",
        &[(0, "a", "", ""), (60, "a", "", "")],
        true,
    ),
    (
        "type: event_count, rules: [a], timespan: 1m, condition: {gte: 2}",
        &[(0, "a", "", ""), (61, "a", "", "")],
        false,
    ),
    (
        "type: event_count, rules: [a], timespan: 1h, condition: {gte: 2}",
        &[(0, "a", "", ""), (3600, "a", "", "")],
        true,
    ),
    (
        "type: event_count, rules: [a], timespan: 1h, condition: {gte: 2}",
        &[(0, "a", "", ""), (3601, "a", "", "")],
        false,
    ),
    (
        "type: event_count, rules: [a], group-by: [g, v], timespan: 10s, condition: {gte: 2}",
        &[(0, "a", "x", "1"), (1, "a", "x", "2")],
        false,
    ),
    (
        "type: event_count, rules: [a], group-by: [g, v], timespan: 10s, condition: {gte: 2}",
        &[(0, "a", "x", "1"), (1, "a", "x", "1")],
        true,
    ),
    // values
    (VALUES, &[(0, "a", "x", "1"), (1, "a", "x", "2"), (10, "a", "x", "3")], true),
    (VALUES, &[(0, "a", "x", "1"), (1, "a", "x", "2"), (11, "a", "x", "3")], false),
    (VALUES, &[(0, "a", "x", "1"), (1, "a", "x", "2"), (2, "a", "x", "1")], false),
    (VALUES, &[(0, "a", "x", "1"), (1, "a", "y", "2"), (2, "a", "x", "3")], false),
    (
        VALUES,
        &[(0, "a", "x", "1"), (9, "a", "x", "1"), (10, "a", "x", "2"), (19, "a", "x", "3")],
        true,
    ),
    // temporal: all rules, in any order, of one group
    (TEMPORAL, &[(0, "a", "x", ""), (10, "b", "x", "")], true),
    (TEMPORAL, &[(0, "b", "x", ""), (10, "a", "x", "")], true),
    (TEMPORAL, &[(0, "a", "x", ""), (11, "b", "x", "")], false),
    (TEMPORAL, &[(0, "a", "x", ""), (5, "b", "y", "")], false),
    (TEMPORAL, &[(0, "a", "x", ""), (5, "a", "x", "")], false),
    (TEMPORAL, &[(3, "a", "x", ""), (3, "b", "x", "")], true),
    (TEMPORAL, &[(0, "a", "x", ""), (20, "b", "x", ""), (25, "a", "x", "")], true),
    (
        "type: temporal, rules: [a, b], timespan: 10s, condition: {gte: 2}",
        &[(0, "a", "x", ""), (5, "b", "y", "")],
        true,
    ),
    (
        "type: temporal, rules: [a, b], timespan: 10s, condition: a and b",
        &[(0, "a", "x", ""), (5, "b", "y", "")],
        true,
    ),
    (
        "type: temporal, rules: [a, b, c], timespan: 10s",
        &[(0, "a", "x", ""), (5, "b", "y", "")],
        false,
    ),
    (
        "type: temporal, rules: [a, b, c], timespan: 10s",
        &[(0, "c", "x", ""), (5, "b", "y", ""), (10, "a", "", "")],
        true,
    ),
    // ordered
    (ORDERED, &[(0, "a", "x", ""), (10, "b", "x", "")], true),
    (ORDERED, &[(0, "b", "x", ""), (10, "a", "x", "")], false),
    (ORDERED, &[(0, "a", "x", ""), (11, "b", "x", "")], false),
    (ORDERED, &[(0, "a", "x", ""), (5, "b", "y", "")], false),
    (ORDERED, &[(3, "a", "x", ""), (3, "b", "x", "")], true),
    (ORDERED, &[(0, "a", "x", ""), (15, "a", "x", ""), (20, "b", "x", "")], true),
    (
        "type: temporal_ordered, rules: [a, b, c], timespan: 10s",
        &[(0, "a", "", ""), (5, "b", "", ""), (10, "c", "", "")],
        true,
    ),
    (
        "type: temporal_ordered, rules: [a, b, c], timespan: 10s",
        &[(0, "a", "", ""), (5, "c", "", ""), (10, "b", "", "")],
        false,
    ),
    (
        "type: temporal_ordered, rules: [a, b, c], timespan: 10s",
        &[(0, "a", "", ""), (5, "b", "", ""), (11, "c", "", "")],
        false,
    ),
    // aliases: one group by two fields
    (ALIASED, &[(0, "a", "x", "-"), (5, "b", "-", "x")], true),
    (ALIASED, &[(0, "a", "x", "x"), (5, "b", "x", "y")], false),
    (ALIASED, &[(0, "a", "", "x"), (5, "b", "", "x")], false),
];

const COUNT: &str =
    "type: event_count, rules: [a], group-by: [g], timespan: 10s, condition: {gte: 3}";
const VALUES: &str =
    "type: value_count, rules: [a], group-by: [g], timespan: 10s, condition: {gte: 3, field: v}";
const TEMPORAL: &str = "type: temporal, rules: [a, b], group-by: [g], timespan: 10s";
const ORDERED: &str = "type: temporal_ordered, rules: [a, b], group-by: [g], timespan: 10s";
const ALIASED: &str =
    "type: temporal, rules: [a, b], group-by: [who], timespan: 10s, aliases: {who: {a: g, b: w}}";

fn basic_rules() -> String {
    ["a", "b", "c"]
        .map(|name| rule(name, "product: any", &format!("{{s: {{k: {name}}}, condition: s}}")))
        .concat()
}

#[test]
fn correlations_hold_to_their_windows() {
    for (correlation, events, expected) in CORRELATIONS {
        let text =
            format!("{}title: c\nname: many\ncorrelation: {{{correlation}}}\n", basic_rules());
        let told = told(&log(events), &rules(&text));
        assert_eq!(told.contains("many"), *expected, "{correlation} on {events:?}: {told:?}");
    }
}

#[test]
fn correlations_may_be_read_by_others() {
    let text = format!(
        "{}title: many\nname: many\ncorrelation: {{type: event_count, rules: [a], group-by: [g], timespan: 10s, condition: {{gte: 2}}}}\n---\ntitle: then\nname: then\ncorrelation: {{type: temporal_ordered, rules: [many, b], group-by: [g], timespan: 20s}}\n",
        basic_rules()
    );
    let rules = rules(&text);
    let fires = |events: &[Case]| told(&log(events), &rules).contains("then");
    assert!(fires(&[(0, "a", "x", ""), (1, "a", "x", ""), (21, "b", "x", "")]));
    assert!(!fires(&[(0, "a", "x", ""), (1, "a", "x", ""), (22, "b", "x", "")]));
    assert!(!fires(&[(0, "a", "x", ""), (1, "a", "y", ""), (5, "b", "x", "")]));
    assert!(!fires(&[(0, "b", "x", ""), (1, "a", "x", ""), (2, "a", "x", "")]));
}

#[test]
fn repeated_messages_weigh_as_often_as_they_were_said() {
    let text = format!(
        "{}title: c\nname: many\ncorrelation: {{type: event_count, rules: [failed], timespan: 1m, condition: {{gte: 6}}}}\n",
        rule("failed", "product: linux, service: sshd", "{s: [Failed password], condition: s}")
    );
    let rules = rules(&text);
    let line = |message: &str| format!("Dec 31 23:50:00 web sshd[7]: {message}\n");
    let failed = "Failed password for root from 192.0.2.1 port 4 ssh2";
    let repeated = |times: u32| line(&format!("message repeated {times} times: [ {failed}]"));
    assert!(told(&(line(failed) + &repeated(5)), &rules).contains("many"));
    assert!(!told(&(line(failed) + &repeated(4)), &rules).contains("many"));
}

#[test]
fn what_is_generated_is_shown_beside_the_correlation() {
    for generate in [false, true] {
        let text = format!(
            "{}title: c\nname: many\ngenerate: {generate}\ncorrelation: {{type: event_count, rules: [a], timespan: 10s, condition: {{gte: 2}}}}\n",
            basic_rules()
        );
        let told = told(&log(&[(0, "a", "x", ""), (1, "a", "x", "")]), &rules(&text));
        assert_eq!((told.contains("many"), told.contains("a")), (true, generate));
    }
}
