//! `wardmote helper block`: serves the socket that systemd listens on and hands over as stdin
//! (`StandardInput=socket`, `Accept=no`), and ends when nobody has asked for a while.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use parsers::config::accounts;
use parsers::tree::Tree as _;
use scanner::RootedTree;

use crate::exit::{Exit, hinted};
use crate::govern::actions::blocker::serve::{Peers, serve};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The user that is answered beside root
    #[arg(long, value_name = "USER", default_value = "wardmote")]
    user: String,
    /// Seconds without a question until it ends
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    idle: u64,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let stdin = std::io::stdin();
    let listens = rustix::net::sockopt::socket_acceptconn(&stdin);
    if !listens.is_ok_and(|listens| listens) {
        let hint =
            "it is started by wardmote-block.socket: systemctl enable --now wardmote-block.socket";
        return Err(hinted("stdin is no listening socket", hint));
    }
    let listener = UnixListener::from(stdin.as_fd().try_clone_to_owned()?);
    let peers = Peers { service: uid(&args.user)? };
    serve(&listener, peers, Duration::from_secs(args.idle)).context("the socket")?;
    Ok(Exit::Clean)
}

/// The number of a local account.
fn uid(user: &str) -> anyhow::Result<u32> {
    let file = "/etc/passwd";
    let tree = RootedTree::open(Path::new("/"))?;
    let bytes = tree.read_config(file).with_context(|| file.to_string())?;
    let users = accounts::passwd(file, &bytes).entries;
    let found = users.iter().find(|one| one.name == user);
    found.map(|one| one.uid).ok_or_else(|| {
        hinted(
            format!("{file}: no user {user}"),
            "systemd-sysusers makes it (sysusers.d/wardmote.conf)",
        )
    })
}
