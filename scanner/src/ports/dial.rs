//! Connections that are to be spoken on: to loopback from an address of our own (127.77.1.x), so that
//! whoever reads a service's log can tell them from a guest's, and each of them noted in [`ledger`] with
//! its begin and end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::connect::own::SOURCES;
use super::ledger;

/// A connection; it is noted in the ledger of this process when it is dropped.
#[derive(Debug)]
pub struct Dialed {
    stream: TcpStream,
    source: SocketAddr,
    target: SocketAddr,
    began: Instant,
}

impl Deref for Dialed {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for Dialed {
    fn drop(&mut self) {
        ledger::note(self.source, self.target, self.began);
    }
}

/// Connects, waiting no longer than `within`.
pub async fn dial(target: SocketAddr, within: Duration) -> io::Result<Dialed> {
    noted(target, within, connect(target)).await
}

/// Connects from the address that the kernel chooses: Redis without a password answers 127.0.0.1 only,
/// and no other address of the loopback device. It logs no connections.
pub async fn near(target: SocketAddr, within: Duration) -> io::Result<Dialed> {
    noted(target, within, TcpStream::connect(target)).await
}

async fn noted(
    target: SocketAddr,
    within: Duration,
    connecting: impl Future<Output = io::Result<TcpStream>>,
) -> io::Result<Dialed> {
    let began = Instant::now();
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let stream = tokio::time::timeout(within, connecting).await.map_err(|_| late())??;
    let source = stream.local_addr()?;
    Ok(Dialed { stream, source, target, began })
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

impl AsyncRead for Dialed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
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
        drop(stream);
        let noted = ledger::tests::noted();
        assert!(noted.iter().any(|one| (one.source, one.target) == (source, target)));
        let (accepted, _) = listener.accept().await.unwrap();
        drop(accepted);
        assert_ne!(super::source(SOURCES[0].into()), Some(SOURCES[0].into()));
        assert_eq!(super::source("192.0.2.1".parse().unwrap()), None);
        assert_eq!(super::source("::1".parse().unwrap()), None);
    }
}
