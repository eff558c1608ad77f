use parsers::tree::MemoryTree;

use super::*;

fn record(user: &str, host: &str, pid: u32) -> Vec<u8> {
    let mut record = vec![0; RECORD_BYTES];
    record[0] = 7;
    record[4..8].copy_from_slice(&pid.to_ne_bytes());
    record[44..44 + user.len()].copy_from_slice(user.as_bytes());
    record[76..76 + host.len()].copy_from_slice(host.as_bytes());
    record
}

fn told(sessions: Seen<Vec<Session>>) -> Vec<String> {
    let from = |one: Session| one.from.map_or("here".to_string(), |from| from.to_string());
    sessions.unwrap().into_iter().map(|one| format!("{} {}", one.who.clone(), from(one))).collect()
}

#[test]
fn sessions_of_terminals_have_a_place_and_a_process() {
    let utmp = [
        record("ann", "192.0.2.7", 10),
        record("bob", "::ffff:192.0.2.8", 10),
        record("carl", "", 10),
        record("dora", ":0", 10),
        record("emil", "192.0.2.9:S.0", 10),
        record("frida", "tmux(77).%0", 10),
        record("gone", "192.0.2.10", 11),
    ];
    let tree = MemoryTree::new().file(UTMP, utmp.concat()).file("/proc/10/comm", "bash\n");
    assert_eq!(
        told(terminals(&tree)),
        [
            "ann 192.0.2.7",
            "bob 192.0.2.8",
            "carl here",
            "dora here",
            "emil 192.0.2.9",
            "frida here"
        ]
    );
    assert_eq!(terminals(&MemoryTree::new()), Ok(Vec::new()));
    assert!(terminals(&MemoryTree::new().denied(UTMP)).is_err());
    let nowhere = MemoryTree::new()
        .file(UTMP, record("ann", "gate.example.org", 10))
        .file("/proc/10/comm", "bash\n");
    assert!(terminals(&nowhere).unwrap_err().contains("ann is logged in from nobody knows where"));
}

#[test]
fn sessions_of_logind_are_those_that_are_not_ending() {
    let session = |user: &str, more: &str| format!("UID=7\nUSER={user}\n{more}\n");
    let tree = MemoryTree::new()
        .file("/run/systemd/sessions/1", session("ann", "REMOTE=1\nREMOTE_HOST=192.0.2.7"))
        .file("/run/systemd/sessions/2", session("bob", "REMOTE=0\nSTATE=active"))
        .file(
            "/run/systemd/sessions/3",
            session("carl", "REMOTE=1\nREMOTE_HOST=192.0.2.8\nSTATE=closing"),
        )
        .special("/run/systemd/sessions/1.ref", parsers::tree::FileKind::Fifo);
    assert_eq!(told(seats(&tree)), ["ann 192.0.2.7", "bob here"]);
    assert_eq!(seats(&MemoryTree::new()), Ok(Vec::new()));
    let named = MemoryTree::new()
        .file("/run/systemd/sessions/1", session("ann", "REMOTE=1\nREMOTE_HOST=gate"));
    assert!(seats(&named).is_err());
}

fn process(tree: MemoryTree, pid: u32, name: &str, uid: u32, inode: u32) -> MemoryTree {
    tree.file(&format!("/proc/{pid}/comm"), format!("{name}\n"))
        .file(&format!("/proc/{pid}/status"), format!("Name:\tx\nUid:\t0\t{uid}\t0\t0\n"))
        .link(&format!("/proc/{pid}/fd/4"), &format!("socket:[{inode}]"))
        .link(&format!("/proc/{pid}/fd/1"), "/dev/null")
}

fn connection(peer: &str, port: u16, inode: u32) -> Connection {
    Connection { port, peer: peer.parse().unwrap(), inode }
}

#[test]
fn whoever_has_not_logged_in_yet_is_no_session() {
    let tree = MemoryTree::new().file("/etc/passwd", "sshd:x:106:65534::/run/sshd:/bin/false\n");
    // Guessing passwords: the monitor is root's, its child is the separated account's.
    let tree = process(tree, 20, "sshd", 0, 100);
    let tree = process(tree, 21, "sshd", 106, 100);
    // Logged in as somebody, and as root.
    let tree = process(tree, 30, "sshd-session", 0, 200);
    let tree = process(tree, 31, "sshd-session", 1_000, 200);
    let tree = process(tree, 40, "sshd", 0, 300);
    // Of 9.8 and later, before a login.
    let tree = process(tree, 50, "sshd-session", 0, 400);
    let tree = process(tree, 51, "sshd-auth", 0, 400);
    let tree = process(tree, 60, "nginx", 33, 500);
    let all = [
        connection("192.0.2.1", 22, 100),
        connection("192.0.2.2", 22, 200),
        connection("192.0.2.3", 2_222, 300),
        connection("192.0.2.4", 22, 400),
        connection("192.0.2.5", 443, 500),
        connection("192.0.2.6", 22, 600),
    ];
    let found: Vec<String> =
        to_sshd(&tree, &all).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["192.0.2.2", "192.0.2.3"]);
}

#[test]
fn where_descriptors_cannot_be_seen_every_connection_to_sshd_counts() {
    let tree = MemoryTree::new()
        .file("/proc/20/comm", "sshd\n")
        .denied("/proc/20/fd")
        .file("/etc/ssh/sshd_config", "Port 2222\nListenAddress 192.0.2.9:2200\n");
    let all = [
        connection("192.0.2.1", 22, 1),
        connection("192.0.2.2", 2_222, 2),
        connection("192.0.2.3", 2_200, 3),
        connection("192.0.2.4", 443, 4),
    ];
    let found: Vec<String> =
        to_sshd(&tree, &all).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

#[test]
fn connections_are_decoded_and_cut_ones_are_not() {
    let mut message = vec![0; INET_DIAG_MSG_BYTES];
    message[0] = AF_INET;
    message[1] = TCP_ESTABLISHED;
    message[4..6].copy_from_slice(&22_u16.to_be_bytes());
    message[24..28].copy_from_slice(&[192, 0, 2, 7]);
    message[68..72].copy_from_slice(&77_u32.to_ne_bytes());
    assert_eq!(decode(&message), Some(connection("192.0.2.7", 22, 77)));
    message[0] = AF_INET6;
    message[24..40].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 8]);
    assert_eq!(decode(&message), Some(connection("192.0.2.8", 22, 77)), "mapped");
    assert_eq!(decode(&message[..INET_DIAG_MSG_BYTES - 1]), None);
}

#[test]
fn an_established_connection_of_this_host_is_seen() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let all = connections().unwrap();
    assert!(all.iter().any(|one| one.port == port && one.peer.is_loopback()), "{all:?}");
}

#[test]
fn kept_logins_come_from_both_files() {
    let tree = MemoryTree::new()
        .file("/var/log/wtmp", record("ann", "192.0.2.7", 1))
        .file("/var/log/wtmp.1", record("bob", "192.0.2.8", 1));
    let who: Vec<String> =
        past_logins(&tree).unwrap().into_iter().map(|login| login.user).collect();
    assert_eq!(who, ["ann", "bob"]);
    assert_eq!(past_logins(&MemoryTree::new()), Ok(Vec::new()));
    assert!(past_logins(&MemoryTree::new().denied("/var/log/wtmp")).is_err());
}
