//! A thousand real listeners, and what is known of each of them from a warm cache: the look-ups alone,
//! with the fresh dump of the kernel before them, and reading and writing the cache.

// A benchmark is a test of speed.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::sync::OnceLock;

use parsers::tree::MemoryTree;
use scanner::ports::Owner;
use scanner::ports::cache::live::{Processes, epoch};
use scanner::ports::cache::{Cache, Key};
use scanner::ports::inventory::{self, Socket, Transport};
use scanner::ports::report::ServiceReport;

const LISTENERS: usize = 1_000;
const NOW: i64 = 1_795_000_000;

static HELD: OnceLock<Vec<TcpListener>> = OnceLock::new();

fn main() {
    let made = (0..LISTENERS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    HELD.set(made).unwrap();
    divan::main();
}

fn dump() -> Vec<Socket> {
    let (sockets, incomplete) = inventory::sockets(&MemoryTree::new());
    assert!(incomplete.is_empty(), "{incomplete:?}");
    sockets
}

/// A cache that knows every listener of this process.
fn warm() -> Cache {
    let mut cache = Cache::new(epoch([0; 32]).unwrap());
    let pid = std::process::id();
    let holders = Processes::default().holders([pid]).unwrap();
    let owner = format!(
        r#"{{"pid":{pid},"exe":"/usr/sbin/nginx","unit":"nginx.service","package":"nginx 1.22.1-9","uid":0}}"#
    );
    let owners: Vec<Owner> = vec![serde_json::from_str(&owner).unwrap()];
    let report = ServiceReport {
        name: "http".into(),
        product: Some("nginx".into()),
        version: Some("1.22.1".into()),
        banner: Some("HTTP/1.1 200 OK Server: nginx/1.22.1".into()),
        confidence: 0.98,
        ..ServiceReport::default()
    };
    let own: Vec<u16> =
        HELD.get().unwrap().iter().map(|one| one.local_addr().unwrap().port()).collect();
    for socket in dump().iter().filter(|one| one.transport == Transport::Tcp) {
        if !own.contains(&socket.port) {
            continue;
        }
        let cookie = socket.cookie.unwrap();
        let place = std::net::SocketAddr::new(socket.address, socket.port);
        cache.keep_owners((cookie, socket.inode), &holders, &owners, NOW);
        cache.keep_service(&Key { place, cookie, holders: &holders }, &report, NOW);
    }
    cache
}

fn found(cache: &Cache, sockets: &[Socket]) -> usize {
    let known = cache.join(sockets, NOW, i64::MAX, &mut Processes::default());
    known.iter().flatten().filter(|known| known.service.is_some()).count()
}

#[divan::bench]
fn look_ups(bencher: divan::Bencher) {
    let (cache, sockets) = (warm(), dump());
    bencher.bench(|| assert_eq!(found(&cache, &sockets), LISTENERS));
}

#[divan::bench]
fn dump_and_look_ups(bencher: divan::Bencher) {
    let cache = warm();
    bencher.bench(|| assert_eq!(found(&cache, &dump()), LISTENERS));
}

#[divan::bench]
fn read(bencher: divan::Bencher) {
    let bytes = warm().to_bytes().unwrap();
    bencher.bench(|| Cache::from_bytes(&bytes).unwrap());
}

#[divan::bench]
fn write(bencher: divan::Bencher) {
    let cache = warm();
    bencher.bench(|| cache.to_bytes().unwrap());
}
