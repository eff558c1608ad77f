//! A handshake of TLS 1.2 or 1.3 that takes any certificate and keeps what was presented.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, sign};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;

use super::facts::Shown;
use super::{Stage, TlsError, spoken};
use crate::ports::dial::Dialed;

/// First bytes of an answer that are kept.
const FIRST_BYTES: usize = 16;
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;

/// A stream inside TLS. The other end is **not** authenticated.
pub type Stream = tokio_rustls::client::TlsStream<Watched>;

/// What came of a handshake.
pub(super) enum Outcome {
    /// It was completed.
    Done(Shown, Box<Stream>),
    /// It was not, but the certificate was seen.
    Shown(Shown),
    /// Nothing was seen.
    Failed(TlsError),
}

/// Shakes hands. `name` is for SNI, which only takes DNS names.
pub(super) async fn shake(stream: Dialed, name: Option<&str>, address: IpAddr) -> Outcome {
    let seen = Arc::new(Seen::default());
    let asked = name.and_then(|name| ServerName::try_from(name.to_string()).ok());
    let asked = asked.unwrap_or_else(|| ServerName::IpAddress(address.into()));
    let config = match config(&seen) {
        Ok(config) => config,
        Err(error) => return Outcome::Failed(TlsError::Malformed(error.to_string())),
    };
    let watched = Watched { stream, seen: Arc::clone(&seen) };
    let done = TlsConnector::from(Arc::new(config)).connect(asked, watched).await;
    let mut shown = seen.shown();
    match done {
        Ok(stream) => {
            let state = stream.get_ref().1;
            shown.version = state.protocol_version().map(u16::from);
            shown.suite = state.negotiated_cipher_suite().map(|suite| suite.suite().into());
            Outcome::Done(shown, Box::new(stream))
        }
        Err(_) if !shown.chain.is_empty() => {
            if shown.client_certificate.is_some() {
                shown.client_certificate = Some("required");
            }
            Outcome::Shown(shown)
        }
        Err(error) => Outcome::Failed(failure(&error, &seen.first())),
    }
}

/// Why nothing was seen.
fn failure(error: &io::Error, first: &[u8]) -> TlsError {
    if let Some(what) = spoken(first) {
        return TlsError::NotTls(what);
    }
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match told {
        Some(rustls::Error::AlertReceived(alert)) => TlsError::Alert((*alert).into()),
        Some(other) => TlsError::Malformed(other.to_string()),
        None => TlsError::Closed(Stage::Handshake),
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

fn config(seen: &Arc<Seen>) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(seen) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(Arc::clone(seen) as Arc<dyn ResolvesClientCert>);
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// What one handshake shows while it goes on.
#[derive(Debug, Default)]
struct Seen {
    shown: Mutex<Shown>,
    first: Mutex<Vec<u8>>,
}

impl Seen {
    fn note(&self, note: impl FnOnce(&mut Shown)) {
        note(&mut self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn first(&self) -> Vec<u8> {
        self.first.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// Takes everything: an observer wants to see what is presented, and sends nothing that could be stolen.
impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain = chain.take(parsers::tls::CHAIN_MAX).map(|one| one.to_vec()).collect();
        self.note(|shown| shown.chain = chain);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.note(|shown| shown.version = Some(TLS_1_2));
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.note(|shown| shown.version = Some(TLS_1_3));
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ECDSA_SHA1_Legacy,
            SignatureScheme::RSA_PKCS1_SHA1,
        ]
    }
}

/// Has no certificate to show, and remembers being asked for one.
impl ResolvesClientCert for Seen {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<sign::CertifiedKey>> {
        self.note(|shown| shown.client_certificate = Some("requested"));
        None
    }

    fn has_certs(&self) -> bool {
        // Otherwise it would not be asked at all.
        true
    }
}

/// A stream whose first bytes are remembered: they tell an answer in the clear from TLS.
#[derive(Debug)]
pub struct Watched {
    stream: Dialed,
    seen: Arc<Seen>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = done {
            let mut first =
                self.seen.first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let room = FIRST_BYTES.saturating_sub(first.len());
            first.extend(buffer.filled().iter().skip(before).take(room));
        }
        done
    }
}

impl AsyncWrite for Watched {
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
