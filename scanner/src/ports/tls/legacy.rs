//! One hello made by hand, for servers that know nothing newer than TLS 1.1 or only old ciphers. Their
//! certificate comes in the clear; nothing is negotiated to its end.

use std::hash::{BuildHasher, Hasher, RandomState};

use parsers::tls::{Flight, Progress, TlsParseError, client_hello};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::facts::Shown;
use super::{Stage, TlsError, spoken};
use crate::ports::dial::Dialed;

/// Alert close_notify, as a warning.
const GOODBYE: [u8; 7] = [21, 3, 1, 0, 2, 1, 0];

/// Sends the hello and reads the server's part.
pub(super) async fn ask(mut stream: Dialed, name: Option<&str>) -> Result<Shown, TlsError> {
    let closed = |_| TlsError::Closed(Stage::Handshake);
    stream.write_all(&client_hello(name, &random())).await.map_err(closed)?;
    let mut flight = Flight::default();
    let mut buffer = [0; 4096];
    let mut first = Vec::new();
    loop {
        let count = stream.read(&mut buffer).await.map_err(closed)?;
        if count == 0 {
            return Err(TlsError::Closed(Stage::Handshake));
        }
        first.extend(buffer[..count].iter().take(16_usize.saturating_sub(first.len())));
        match flight.feed(&buffer[..count]) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => break,
            Err(TlsParseError::Alert(description)) => return Err(TlsError::Alert(description)),
            Err(TlsParseError::NotTls) => {
                return Err(TlsError::NotTls(spoken(&first).unwrap_or("another binary protocol")));
            }
            Err(TlsParseError::Malformed(why)) => return Err(TlsError::Malformed(why.into())),
        }
    }
    let _ = stream.write_all(&GOODBYE).await;
    let asks = flight.asks_certificate;
    Ok(Shown {
        version: flight.version,
        suite: flight.suite,
        chain: flight.chain,
        client_certificate: asks.then_some("requested"),
    })
}

/// Bytes that differ from one hello to the next; they protect nothing.
fn random() -> [u8; 32] {
    let mut random = [0; 32];
    for part in random.chunks_exact_mut(8) {
        part.copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
    }
    random
}
