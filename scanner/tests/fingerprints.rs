//! Fingerprints do what their examples say: our own, and recog's.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use parsers::rules::recog::{self, Database};
use scanner::ports::identify::fingerprints::{FILES, Fingerprints};
use scanner::ports::identify::verify::{Outcome, verify};

fn outcome(databases: Vec<Database>) -> Outcome {
    let all = Fingerprints::default().with(databases);
    let mut outcome = Outcome::default();
    for ready in all.databases() {
        outcome.add(verify(ready, |name| Err(format!("{name}: no files beside"))));
    }
    outcome
}

fn told(outcome: &Outcome) -> String {
    outcome.failures.iter().map(|failure| format!("{failure}\n")).collect()
}

#[test]
fn every_example_of_our_own_holds_and_every_fingerprint_has_one() {
    let read = FILES.iter().map(|(name, text)| {
        recog::parse(&Arc::from(*name), text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    });
    let databases: Vec<Database> = read.collect();
    let fingerprints: usize = databases.iter().map(|database| database.fingerprints.len()).sum();
    assert!(fingerprints >= 120, "{fingerprints}");
    for database in &databases {
        for fingerprint in &database.fingerprints {
            let named = |name: &str| fingerprint.params.iter().any(|param| param.name == name);
            assert!(named("service.product"), "{}:{}", database.file, fingerprint.line);
        }
    }
    let outcome = outcome(databases);
    assert!(outcome.failures.is_empty(), "{}", told(&outcome));
    assert_eq!(outcome.untested, 0);
    assert!(outcome.passed >= fingerprints);
    let built_in: BTreeSet<String> =
        Fingerprints::built_in().databases().map(|one| one.database.file.to_string()).collect();
    assert_eq!(built_in.len(), FILES.len(), "what is embedded is what is listed");
}

#[test]
fn every_example_of_recog_holds() {
    let Some(corpora) = std::env::var_os("WARDMOTE_CORPORA") else {
        assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "no WARDMOTE_CORPORA");
        println!("skipped: no WARDMOTE_CORPORA");
        return;
    };
    let directory = PathBuf::from(corpora).join("recog");
    let mut databases = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "xml") {
            let name: Arc<str> = path.to_string_lossy().into();
            databases.push(recog::parse(&name, &std::fs::read(&path).unwrap()).unwrap());
        }
    }
    assert!(databases.len() >= 7, "{}", databases.len());
    let outcome = outcome(databases);
    assert!(outcome.failures.is_empty(), "{}", told(&outcome));
    assert!(outcome.passed >= 1_979, "{}", outcome.passed);
}

#[test]
fn what_recog_gets_wrong_is_named_rightly_even_beside_it() {
    let mut all = Fingerprints::built_in().clone();
    if let Some(corpora) = std::env::var_os("WARDMOTE_CORPORA") {
        for name in ["http_servers.xml", "mysql_banners.xml", "ssh_banners.xml"] {
            let path = PathBuf::from(&corpora).join("recog").join(name);
            all =
                all.with(vec![recog::parse(&name.into(), &std::fs::read(path).unwrap()).unwrap()]);
        }
    }
    for (kind, text, product, version) in [
        ("http_header.server", "MiniServ/2.105", "Webmin", Some("2.105")),
        ("mysql.banners", "5.5.5-10.11.6-MariaDB-0+deb12u1", "MariaDB", Some("10.11.6")),
        ("ssh.banner", "Go", "Go x/crypto/ssh", None),
        ("ssh.banner", "AsyncSSH_2.13.2", "AsyncSSH", Some("2.13.2")),
        ("imap4.banner", "[CAPABILITY IMAP4rev1 IDLE] Dovecot (Debian) ready.", "Dovecot", None),
        ("http_header.server", "Docker/24.0.5 (linux)", "Docker Engine", Some("24.0.5")),
        ("http_header.server", "waitress", "Waitress", None),
        ("html_title", "Grafana", "Grafana", None),
        ("html_title", "Traefik", "Traefik", None),
        (
            "etcd.version",
            r#"{"etcdserver":"3.4.30","etcdcluster":"3.4.0"}"#,
            "etcd",
            Some("3.4.30"),
        ),
    ] {
        let facts = all.name(kind, text.as_bytes()).unwrap_or_else(|| panic!("{kind} {text}"));
        assert_eq!(facts["service.product"], product, "{text}");
        assert_eq!(facts.get("service.version").map(String::as_str), version, "{text}");
        assert!(!facts.keys().any(|name| name.starts_with("os.")), "{text}");
    }
}
