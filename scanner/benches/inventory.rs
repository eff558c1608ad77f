//! The inventory of a host with 1,000 listeners more, beside `ss`.
//!
//! The listeners are real: four child processes of this program hold 250 each, on loopback addresses
//! of their own. `sockets` asks the kernel alone; `owners` walks all of `/proc` as well, which is what
//! `ss -Hltnp` does as a whole process in the same run.

#![allow(clippy::unwrap_used)] // a benchmark may end in a panic

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use parsers::tree::MemoryTree;
use scanner::RootedTree;
use scanner::ports::{inventory, owner};

const CHILDREN: u8 = 4;
const LISTENERS_EACH: usize = 250;
const ROLE: &str = "WARDMOTE_BENCH_LISTEN";

fn main() {
    if let Some(salt) = std::env::var_os(ROLE) {
        return listen(salt.to_str().unwrap().parse().unwrap());
    }
    let children: Vec<Child> = (0..CHILDREN).map(start).collect();
    divan::main();
    for mut child in children {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

/// A child that listens until its standard input ends.
fn start(salt: u8) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(ROLE, salt.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    child
}

fn listen(salt: u8) {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 180 + salt, high, low.max(2));
    let held: Vec<TcpListener> =
        (0..LISTENERS_EACH).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
    println!("ready");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
    drop(held);
}

/// The kernel's dump: TCP and UDP, IPv4 and IPv6.
#[divan::bench]
fn sockets() -> usize {
    let (found, incomplete) = inventory::sockets(&MemoryTree::new());
    assert!(found.len() >= 1_000 && incomplete.is_empty());
    found.len()
}

/// The same with every holder of every socket.
#[divan::bench]
fn owners(bencher: divan::Bencher) {
    let tree = RootedTree::open(Path::new("/")).unwrap();
    bencher.bench(|| {
        let (found, _) = inventory::sockets(&tree);
        let holders = owner::holders(&tree, &found);
        assert!(holders.by_inode.len() >= 1_000);
        holders.by_inode.len()
    });
}

/// The peer, as a whole process: it has to start, and prints.
#[divan::bench(sample_count = 40)]
fn ss_with_owners() -> usize {
    let told = Command::new("ss").arg("-Hltnp").output().expect("ss (iproute2) is installed");
    let lines = told.stdout.iter().filter(|byte| **byte == b'\n').count();
    assert!(lines >= 1_000);
    lines
}
