//! A ClientHello for what a modern TLS stack cannot reach.
//!
//! It offers TLS 1.2 and below with every suite that servers of the last twenty years have had, strong
//! and weak, because it asks what a server *would* do. It stays below 256 bytes where the name allows:
//! some old load balancers hang on more (RFC 7685, 1).

use super::suites::OFFERED;

/// Groups: x25519, x448, P-256, P-384, P-521, secp256k1, P-224, P-192.
const GROUPS: [u16; 8] = [29, 30, 23, 24, 25, 22, 21, 19];
/// Signatures: PSS, then PKCS#1, ECDSA and DSA with SHA-2, SHA-1 and MD5, then EdDSA.
const SIGNATURES: [u16; 16] = [
    0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0403, 0x0503, 0x0603, 0x0301, 0x0201, 0x0203,
    0x0202, 0x0101, 0x0807, 0x0808,
];
/// Longest name (RFC 1035).
const NAME_BYTES_MAX: usize = 253;

/// The record with the message. `name` is a DNS name for SNI; what is not one is left out. `random` need
/// not be secret: nothing is ever encrypted with what comes of it.
pub fn client_hello(name: Option<&str>, random: &[u8; 32]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(random);
    body.push(0);
    body.extend(prefixed_2(OFFERED.iter().flat_map(|(suite, _)| suite.to_be_bytes()).collect()));
    body.extend([1, 0]);
    body.extend(prefixed_2(extensions(name)));
    let mut message = vec![1, 0];
    message.extend(prefixed_2(body));
    // The record says TLS 1.0, as RFC 5246 (E.1) has it for servers that know nothing newer.
    let mut record = vec![22, 3, 1];
    record.extend(prefixed_2(message));
    record
}

fn extensions(name: Option<&str>) -> Vec<u8> {
    let mut all = Vec::new();
    let is_dns = |name: &&str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(letters)
            && name.parse::<std::net::IpAddr>().is_err()
    };
    if let Some(name) = name.filter(is_dns) {
        let mut entry = vec![0];
        entry.extend(prefixed_2(name.as_bytes().to_vec()));
        all.extend(extension(0, prefixed_2(entry)));
    }
    let numbers = |list: &[u16]| list.iter().flat_map(|one| one.to_be_bytes()).collect();
    all.extend(extension(10, prefixed_2(numbers(&GROUPS))));
    all.extend(extension(11, vec![1, 0]));
    all.extend(extension(13, prefixed_2(numbers(&SIGNATURES))));
    all
}

fn extension(kind: u16, body: Vec<u8>) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), prefixed_2(body)].concat()
}

/// With its length in two bytes before it.
fn prefixed_2(body: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a hello is some hundred bytes");
    [length.to_be_bytes().to_vec(), body].concat()
}
