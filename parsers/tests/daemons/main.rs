//! Asks the daemons' own parsers about generated configurations and compares what both read.
//!
//! A test without its peer skips loudly, and fails where `WARDMOTE_REQUIRE_PEERS=1`. More seeds by
//! hand: `WARDMOTE_DAEMON_SEEDS=200..5000 cargo test -p parsers --test daemons`.

#![allow(clippy::unwrap_used)] // a test's helpers, too, should stop at the first surprise

mod apt;
mod apt_conf;
mod cloud_init;
#[path = "../differential/dice.rs"]
mod dice;
mod directory;
mod enabled;
mod fail2ban;
mod folders;
mod logrotate;
mod my_cnf;
mod netplan;
mod pam;
mod peer;
mod postgres;
mod redis;
mod rsyslog;
mod systemd;
mod tables;
