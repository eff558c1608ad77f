//! The scan in a process that may open few files: alone in its binary, since the limit is the
//! process's.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::net::{IpAddr, Ipv4Addr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use scanner::ports::connect::{Limits, State, own, remote};

fn is_told(state: &State) -> bool {
    matches!(state, State::Open(_) | State::Closed)
}

#[test]
fn few_descriptors_make_it_slower_and_never_wrong() {
    let address = IpAddr::V4(Ipv4Addr::new(127, 120, 7, 7));
    let made: Vec<TcpListener> = (0..5).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
    let mut ports: Vec<u16> = made.iter().map(|one| one.local_addr().unwrap().port()).collect();
    ports.extend(20_000..20_600);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
    let hard = getrlimit(Resource::Nofile).maximum;
    let limit = |current| setrlimit(Resource::Nofile, Rlimit { current, maximum: hard }).unwrap();
    let limits = Limits { rate: 100_000, ..Limits::default() };

    limit(Some(used + 3));
    let near = own::scan(address, &ports, &limits);
    let far = runtime.block_on(remote::scan(&[address], &ports, &limits));
    limit(Some(3));
    // None left: every port is an error of this host, none is closed.
    let none = own::scan(address, &ports[..20], &limits);
    limit(hard);

    for states in [&near, &far[0]] {
        assert!(states[..5].iter().all(|state| matches!(state, State::Open(_))), "{states:?}");
        assert!(states.iter().all(is_told), "{states:?}");
    }
    assert!(none.iter().all(|state| matches!(state, State::LocalError(_))), "{none:?}");
}
