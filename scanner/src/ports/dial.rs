//! Connections that are to be spoken on: to loopback from an address of our own (127.77.1.x), so that
//! whoever reads a service's log can tell them from a guest's, and each of them noted in [`ledger`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};

use super::connect::own::SOURCES;
use super::ledger;

/// Connects, waiting no longer than `within`. The connection is in the ledger of this process when this
/// returns; call [`ledger::note`] again when it ends, if that is seconds later.
pub async fn dial(target: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let began = Instant::now();
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let stream = tokio::time::timeout(within, connect(target)).await.map_err(|_| late())??;
    ledger::note(stream.local_addr()?, target, began);
    Ok(stream)
}

async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    if let Some(source) = source(target.ip()) {
        let socket = TcpSocket::new_v4()?;
        // A host without the whole of 127/8 on its loopback device is asked from any address.
        if socket.bind(SocketAddr::new(source, 0)).is_ok() {
            return socket.connect(target).await;
        }
    }
    TcpStream::connect(target).await
}

/// The address of ours that a loopback target is asked from.
fn source(target: IpAddr) -> Option<IpAddr> {
    let IpAddr::V4(address) = target else { return None };
    let other = SOURCES.into_iter().find(|source| *source != address);
    other.filter(|_| address.is_loopback()).map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_is_asked_from_our_address_and_noted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let stream = dial(target, Duration::from_secs(5)).await.unwrap();
        let source = stream.local_addr().unwrap();
        assert!(SOURCES.map(IpAddr::V4).contains(&source.ip()), "{source}");
        assert!(ledger::noted().iter().any(|one| (one.source, one.target) == (source, target)));
        let (accepted, _) = listener.accept().await.unwrap();
        drop(accepted);
        assert_ne!(super::source(SOURCES[0].into()), Some(SOURCES[0].into()));
        assert_eq!(super::source("192.0.2.1".parse().unwrap()), None);
        assert_eq!(super::source("::1".parse().unwrap()), None);
    }
}
