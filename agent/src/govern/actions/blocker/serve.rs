//! The side that may: answers one connection after the other until nobody has asked for a while.
//!
//! Only root and the service's user are answered. A list that holds anything that must never be blocked
//! (loopback and other special networks, wider than a /16 or a /32, this host's own addresses and gateways) is
//! refused whole; so is everything while those cannot be looked at. What is blocked outlives this process:
//! it stands in the kernel, with its timeout.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use scanner::RootedTree;

use super::super::{BLOCKS_MAX, Blocked, Failed, direct};
use super::{Answer, Entry, LINE_BYTES_MAX, Question, SECONDS_MAX, WIDEST};
use crate::govern::harm::never;
use crate::govern::live;

/// Longest time for which whoever asks is listened to, or may take to read the answer.
const ASK_TIME: Duration = Duration::from_secs(2);

/// Who is answered.
#[derive(Clone, Copy, Debug)]
pub struct Peers {
    /// The service's user, beside root.
    pub service: u32,
}

/// Answers until nobody has asked for `idle`.
///
/// # Errors
/// The listener is none, or cannot be waited for.
pub fn serve(listener: &UnixListener, peers: Peers, idle: Duration) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    // Only for its way to a peer's credentials, which takes peers of other pid namespaces as well.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    let patience = Timespec::try_from(idle).map_err(std::io::Error::other)?;
    loop {
        let mut asked = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
        match poll(&mut asked, Some(&patience)) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match listener.accept() {
            // Whoever goes away, or does not read, has no answer.
            Ok((stream, _)) => {
                let _ = talk(stream, peers);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn talk(mut stream: UnixStream, peers: Peers) -> std::io::Result<()> {
    stream.set_nonblocking(true)?;
    let peer = tokio::net::UnixStream::from_std(stream.try_clone()?)?.peer_cred()?.uid();
    if peer != 0 && peer != peers.service {
        say!("wardmote: uid {peer} may not block");
        return Ok(());
    }
    stream.set_nonblocking(false)?;
    let until = Instant::now() + ASK_TIME;
    let answer = match question(&mut stream, until)? {
        Some(line) => match serde_json::from_slice(&line) {
            Ok(question) => answer(question),
            Err(error) => Answer::Refused(format!("no question: {error}")),
        },
        None => Answer::Refused(format!("a question has at most {LINE_BYTES_MAX} bytes")),
    };
    if let Answer::Refused(why) | Answer::Failed(why) | Answer::Unknown(why) = &answer {
        say!("wardmote: for uid {peer}: {why}");
    }
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.set_write_timeout(Some(ASK_TIME))?;
    stream.write_all(&line)
}

/// One line; `None` where it is too long.
fn question(stream: &mut UnixStream, until: Instant) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut block = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let read = stream.read(&mut block)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(&block[..read]);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Ok((line.len() <= LINE_BYTES_MAX).then_some(line));
        }
        if line.len() > LINE_BYTES_MAX {
            return Ok(None);
        }
    }
}

fn answer(question: Question) -> Answer {
    let failed = |failed| match failed {
        Failed::Nothing(why) => Answer::Failed(why),
        Failed::Halfway(why) => Answer::Unknown(why),
    };
    match question {
        Question::Only { blocks } => match refusal(&blocks) {
            Some(why) => Answer::Refused(why),
            None => direct::block_only(&blocked(blocks)).map_or_else(failed, |()| Answer::Done),
        },
        Question::Stand { blocks } if blocks.len() > BLOCKS_MAX => Answer::Refused(too_many()),
        Question::Stand { blocks } => {
            direct::blocks_stand(&blocked(blocks)).map_or_else(Answer::Failed, Answer::Stand)
        }
        Question::List => match direct::blocks() {
            Ok(blocks) => Answer::Blocks(blocks.into_iter().map(Entry::from).collect()),
            Err(why) => Answer::Failed(why),
        },
    }
}

fn blocked(entries: Vec<Entry>) -> Vec<Blocked> {
    entries.into_iter().map(Blocked::from).collect()
}

fn too_many() -> String {
    format!("at most {BLOCKS_MAX} networks are blocked")
}

/// Why this list is never made the one that holds.
fn refusal(blocks: &[Entry]) -> Option<String> {
    if blocks.is_empty() {
        return None;
    }
    if blocks.len() > BLOCKS_MAX {
        return Some(too_many());
    }
    if let Some(block) = blocks.iter().find(|block| !(1..=SECONDS_MAX).contains(&block.seconds)) {
        let Entry { network, seconds } = block;
        return Some(format!("{network}: {seconds} s is not 1 to {SECONDS_MAX} s"));
    }
    let own = RootedTree::open(Path::new("/"))
        .map_err(|error| error.to_string())
        .and_then(|tree| live::own_addresses(&tree));
    let gateways = live::gateways();
    blocks.iter().find_map(|block| {
        let danger = never(&block.network, WIDEST, &own, &gateways).into_iter().next()?;
        Some(format!("{} is never blocked: {danger}", block.network))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::super::super::namespace;
    use super::super::client::{self, ask};
    use super::*;

    fn entry(network: &str, seconds: u64) -> Entry {
        Entry { network: network.parse().unwrap(), seconds }
    }

    /// Asks a server of its own; `work` gets the socket's path. The server must end by itself.
    fn served(service: u32, work: impl FnOnce(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("block.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            serve(&listener, Peers { service }, Duration::from_millis(300))
        });
        work(&path);
        server.join().unwrap().unwrap();
    }

    #[test]
    fn what_must_never_be_blocked_is_refused_at_its_edges() {
        let own = Ok(vec!["10.99.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
        let gateways = Ok(vec!["10.99.0.254".parse().unwrap()]);
        let refused =
            |network: &str| !never(&network.parse().unwrap(), WIDEST, &own, &gateways).is_empty();
        for network in [
            "0.0.0.0/0",
            "::/0",
            "127.0.0.1",
            "::1",
            "127.0.0.0/8",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "ff02::1",
            "198.50.0.0/15",
            "2001:da8::/31",
            "10.99.0.1",
            "10.99.0.0/24",
            "10.99.0.254",
            "2001:db8::/32",
        ] {
            assert!(refused(network), "{network}");
        }
        for network in ["198.51.0.0/16", "2001:da8::/32", "10.99.0.2", "192.0.2.7", "1.1.1.1"] {
            assert!(!refused(network), "{network}");
        }
        let blind = Err("no netlink".to_string());
        assert!(!never(&"192.0.2.7".parse().unwrap(), WIDEST, &blind, &gateways).is_empty());
        assert!(!never(&"192.0.2.7".parse().unwrap(), WIDEST, &own, &blind).is_empty());
    }

    #[test]
    fn times_and_numbers_are_bounded() {
        let why = |seconds| refusal(&[entry("192.0.2.7", seconds)]);
        assert_eq!((why(1), why(SECONDS_MAX)), (None, None));
        assert!(why(0).is_some() && why(SECONDS_MAX + 1).is_some());
        let many = |count| vec![entry("192.0.2.7", 60); count];
        assert_eq!(refusal(&many(BLOCKS_MAX)), None);
        assert!(refusal(&many(BLOCKS_MAX + 1)).unwrap().contains("at most"));
        assert_eq!(refusal(&[]), None, "taking everything back is always possible");
        // The largest question that is taken fits its line.
        let network = "2001:db8:ffff:ffff:ffff:ffff:ffff:ff00/120";
        let blocks = vec![entry(network, SECONDS_MAX); BLOCKS_MAX];
        let line = serde_json::to_vec(&Question::Only { blocks }).unwrap();
        assert!(line.len() <= LINE_BYTES_MAX, "{}", line.len());
    }

    #[test]
    fn nonsense_and_silence_get_no_further_and_the_server_goes_on() {
        served(rustix::process::geteuid().as_raw(), |path| {
            let talk = |bytes: &[u8]| {
                let mut stream = UnixStream::connect(path).unwrap();
                let _ = stream.write_all(bytes);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let mut said = String::new();
                let _ = stream.read_to_string(&mut said);
                said
            };
            for nonsense in [
                "{}\n",
                "\u{0}\n",
                r#"{"ask":"flush"}"#,
                "{\"ask\":\"only\",\"blocks\":[{\"network\":\"192.0.2.7\",\"seconds\":60,\"x\":1}]}\n",
                "{\"ask\":\"only\",\"blocks\":[{\"network\":\"192.0.2.7 ; flush ruleset\",\"seconds\":1}]}\n",
                "{\"ask\":\"only\",\"blocks\":[{\"network\":\"0.0.0.0/0\",\"seconds\":60}]}\n",
            ] {
                let said = talk(nonsense.as_bytes());
                let refused = said.starts_with("{\"refused\":");
                assert_eq!(refused, nonsense.ends_with('\n'), "{nonsense}: {said}");
            }
            let long = vec![b'x'; LINE_BYTES_MAX + 4096];
            let said = talk(&long);
            assert!(said.is_empty() || said.contains("at most"), "{said}");
        });
    }

    #[test]
    fn somebody_else_is_not_answered() {
        if !rustix::process::geteuid().is_root() {
            return namespace::skip("only root can be somebody else");
        }
        // The user that it answers beside root is 12345; whoever asks here is nobody.
        served(12_345, |path| {
            use std::os::unix::fs::PermissionsExt as _;
            let open = std::fs::Permissions::from_mode;
            std::fs::set_permissions(path, open(0o777)).unwrap();
            std::fs::set_permissions(path.parent().unwrap(), open(0o755)).unwrap();
            for (user, answered) in [("65534", false), ("12345", true)] {
                let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX);s.settimeout(5)\n\
                              s.connect(sys.argv[1])\ns.sendall(b'{}\\n')\nprint(len(s.recv(99)))";
                let said = std::process::Command::new("setpriv")
                    .args(["--reuid", user, "--clear-groups", "/usr/bin/python3", "-c", script])
                    .arg(path)
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&said.stdout).into_owned();
                assert_eq!(said.trim().parse::<u32>().is_ok_and(|n| n > 0), answered, "{said}");
            }
        });
    }

    /// In a network namespace of its own: the host's rules are never touched.
    #[test]
    fn through_the_socket_blocks_are_made_found_listed_and_taken_back() {
        let name = "govern::actions::blocker::serve::tests::\
                    through_the_socket_blocks_are_made_found_listed_and_taken_back";
        if !namespace::inside(name) {
            return;
        }
        served(0, |path| {
            let block = |network: &str| Blocked { network: network.parse().unwrap(), seconds: 600 };
            let blocks = [block("192.0.2.7"), block("2001:db8:1::/48")];
            assert_eq!(client::stand(path, &blocks), Some(Ok(false)));
            assert_eq!(client::only(path, &blocks), Some(Ok(())));
            assert_eq!(client::stand(path, &blocks), Some(Ok(true)));
            let Some(Ok(Answer::Blocks(listed))) = ask(path, &Question::List) else {
                panic!("no list")
            };
            let networks: Vec<String> =
                listed.iter().map(|entry| entry.network.to_string()).collect();
            assert_eq!(networks, ["192.0.2.7", "2001:db8:1::/48"]);
            assert!(listed.iter().all(|entry| (590..=600).contains(&entry.seconds)), "{listed:?}");
            // One that is refused changes nothing of what stands.
            let refused = client::only(path, &[block("192.0.2.8"), block("127.0.0.1")]);
            assert!(
                matches!(&refused, Some(Err(Failed::Nothing(why))) if why.contains("loopback"))
            );
            assert_eq!(client::stand(path, &blocks), Some(Ok(true)));
            assert_eq!(client::only(path, &[]), Some(Ok(())));
            assert_eq!(client::stand(path, &[]), Some(Ok(true)));
            assert_eq!(ask(path, &Question::List), Some(Ok(Answer::Blocks(Vec::new()))));
        });
        let nowhere = Path::new("/nonexistent/block.sock");
        assert_eq!(client::only(nowhere, &[]), None, "then nft is asked directly");
    }
}
