//! `wardmote scan` as a user runs it: formats, counts, exit codes.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process::{Command, Output};

use serde_json::Value;

fn wardmote(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wardmote")).arg("scan").args(args).output().unwrap()
}

/// A listener on a loopback address of this test's own, with its address and port as text.
fn listener(last: u8) -> (TcpListener, String, String) {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(127, 160 + (high & 15), low, last));
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, address.to_string(), port)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn json_has_the_contracts_keys_and_names_the_owner() {
    let (_held, address, port) = listener(3);
    let output = wardmote(&[&address, "-p", &format!("{port},1"), "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = json(&output);
    assert_eq!(report["schema"], "wardmote.scan/1");
    let counts: u64 =
        report["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counts, 2);
    let ports = report["hosts"][0]["ports"].as_array().unwrap();
    assert_eq!(ports.len(), 1, "only the open one");
    assert_eq!((&ports[0]["state"], &ports[0]["source"]), (&"open".into(), &"probe".into()));
    assert_eq!(ports[0]["owner"]["pid"], std::process::id());
    assert!(report["incomplete"].as_array().unwrap().is_empty());
    assert!(!String::from_utf8_lossy(&output.stdout).contains("null"), "absent, never null");
    let started = report["started"].as_str().unwrap();
    assert!(started.parse::<jiff::Timestamp>().is_ok(), "{started}");
}

#[test]
fn jsonl_grepable_and_text_tell_the_same() {
    let (_held, address, port) = listener(4);
    let range = format!("{port},1-3");
    let lines = wardmote(&[&address, "-p", &range, "--all", "--format", "jsonl"]).stdout;
    let lines: Vec<Value> = String::from_utf8(lines)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3]["port"].to_string(), port);
    assert_eq!(lines[3]["address"], address);
    let text = wardmote(&[&address, "-p", &range]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("answers") && !text.contains("reachable from the internet"), "{text}");
    assert!(text.contains("1 open, 3 closed"), "{text}");
    let grepable = wardmote(&[&address, "-p", &range, "--format", "grepable"]).stdout;
    let grepable = String::from_utf8(grepable).unwrap();
    assert!(grepable.contains(&format!("Ports: {port}/open/tcp//")), "{grepable}");
    assert!(grepable.contains("Ignored State: closed (3)"), "{grepable}");
}

#[test]
fn the_xml_is_valid_by_nmaps_own_dtd() {
    let (_held, address, port) = listener(5);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.xml");
    let file = file.to_str().unwrap();
    let all = format!("{port},1-3");
    wardmote(&[
        &address,
        "localhost",
        "-p",
        &all,
        "--all",
        "--format",
        "nmap-xml",
        "--output",
        file,
    ]);
    let dtd = "/usr/share/nmap/nmap.dtd";
    let asked = Command::new("xmllint").args(["--noout", "--dtdvalid", dtd, file]).output();
    match asked {
        Ok(told) if std::path::Path::new(dtd).exists() => {
            assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        }
        _ => {
            assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "no xmllint or nmap.dtd");
            eprintln!("SKIPPED: xmllint or nmap.dtd is not installed");
        }
    }
}

#[test]
fn exclusions_and_files_choose_what_is_asked() {
    let (_held, address, port) = listener(6);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("targets");
    std::fs::write(&file, format!("# ours\n{address} 127.0.0.1\n")).unwrap();
    let from = format!("@{}", file.display());
    let args = [&*from, "-p", &port, "--exclude", "127.0.0.0/24", "--format", "json"];
    let report = json(&wardmote(&args));
    let hosts = report["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0]["address"], address);
    assert_eq!(report["counts"]["open"], 1);
}

#[test]
fn exit_codes_tell_bad_usage_from_what_could_not_be_examined() {
    for (args, code) in [
        (vec![], 2),
        (vec!["1.2.3.400"], 2),
        (vec!["127.0.0.1", "-p", "0"], 2),
        (vec!["127.0.0.1", "-p", "1", "--timeout", "never"], 2),
        (vec!["127.0.0.1", "-p", "1", "--no-such-flag"], 2),
        (vec!["@/"], 2),
        (vec!["@/dev/null"], 2),
        (vec!["10.0.0.0/8"], 2),
        (vec!["127.0.0.1", "--exclude", "127.0.0.1"], 2),
        (vec!["127.0.0.1", "-p", "1", "--exclude", "name.invalid"], 2),
        (vec!["name.invalid"], 2),
        (vec!["127.0.0.1", "name.invalid", "-p", "1"], 3),
        (vec!["127.0.0.1", "-p", "1"], 0),
    ] {
        let output = wardmote(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        if code == 2 {
            assert!(output.stdout.is_empty(), "{args:?}");
            assert!(!output.stderr.is_empty(), "{args:?}");
        }
    }
}

#[test]
fn a_link_local_target_needs_its_interface() {
    for (target, said) in [
        ("fe80::1", "write the interface too: fe80::1%eth0"),
        ("fe80::1%nosuchif0", "interface `nosuchif0`"),
        ("2001:db8::1%lo", "is no address"),
    ] {
        let output = wardmote(&[target, "-p", "1"]);
        assert_eq!(output.status.code(), Some(2), "{target}: {output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(said), "{target}: {told}");
    }
}

#[test]
fn hosts_are_told_in_the_order_of_their_addresses_each_once() {
    let (_held, address, port) = listener(9);
    let mapped = format!("::ffff:{address}");
    let args = [&*address, "127.0.0.3", "127.0.0.1-2", &mapped, "-p", &port, "--format", "json"];
    let report = json(&wardmote(&args));
    let hosts: Vec<&str> = report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["address"].as_str().unwrap())
        .collect();
    assert_eq!(hosts, ["127.0.0.1", "127.0.0.2", "127.0.0.3", &*address]);
    assert!(report.get("seed").is_none(), "no order matters for this host");
}
