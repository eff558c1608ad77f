//! FTP servers: vsftpd, ProFTPD and Pure-FTPd.

use super::address::{address, bracketed};
use super::sought::sought;
use super::{Ended, Extracted};

/// `[bob] FAIL LOGIN: Client "192.0.2.1"`, `CONNECT: Client "192.0.2.1"`. The client comes last.
pub(super) fn vsftpd(text: &str) -> Extracted<'_> {
    let text = match text.strip_prefix("[pid ").and_then(|rest| sought!("] ").split(rest)) {
        Some((_, rest)) => rest,
        None => text,
    };
    let Some((before, client)) = sought!("Client \"").rsplit(text) else {
        return Extracted::default();
    };
    let ip = client.split(['"', ',']).next().and_then(address);
    for (words, ended) in [("] FAIL LOGIN: ", Ended::Failure), ("] OK LOGIN: ", Ended::Success)] {
        if let Some(user) = before.strip_suffix(words).and_then(|user| user.strip_prefix('[')) {
            return Extracted {
                user: Some(user),
                typed: ended == Ended::Failure,
                ip,
                ended: Some(ended),
                ..Extracted::default()
            };
        }
    }
    Extracted { ip, ..Extracted::default() }
}

/// `host (name[192.0.2.1]) - USER bob (Login failed): Incorrect password`. The client comes first.
pub(super) fn proftpd(text: &str) -> Extracted<'_> {
    let ip = bracketed(text);
    let Some((_, rest)) = sought!("USER ").split(text) else {
        return Extracted { ip, ..Extracted::default() };
    };
    for (words, ended) in [
        (": Login successful", Ended::Success),
        (" (Login failed): ", Ended::Failure),
        (": no such user found from ", Ended::Failure),
    ] {
        if let Some((user, _)) = rest.rsplit_once(words) {
            return Extracted {
                user: Some(user),
                typed: ended == Ended::Failure,
                ip,
                ended: Some(ended),
                ..Extracted::default()
            };
        }
    }
    Extracted { ip, ..Extracted::default() }
}

/// `(?@192.0.2.1) [WARNING] Authentication failed for user [bob]`, `(?@192.0.2.1) [INFO] bob is now
/// logged in`.
pub(super) fn pure_ftpd(text: &str) -> Extracted<'_> {
    let Some((client, rest)) = sought!(") [").split(text) else { return Extracted::default() };
    let ip = client.rsplit_once('@').and_then(|(_, client)| address(client));
    let said = sought!("] ").split(rest).map_or(rest, |(_, said)| said);
    if let Some(user) = said.strip_prefix("Authentication failed for user [") {
        return Extracted {
            user: Some(user.strip_suffix(']').unwrap_or(user)),
            typed: true,
            ip,
            ended: Some(Ended::Failure),
            ..Extracted::default()
        };
    }
    if let Some(user) = said.strip_suffix(" is now logged in") {
        let ended = Some(Ended::Success);
        return Extracted { user: Some(user), ip, ended, ..Extracted::default() };
    }
    Extracted { ip, ..Extracted::default() }
}
