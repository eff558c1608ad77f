//! The socket, with a real client.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use super::words::{Ask, Form, Question, Reply, VERSION};
use super::*;
use crate::service::record::SharedRecorder;

fn answers(state: &Path) -> Answers {
    let shared = Shared::default();
    shared.write_status(Status { pid: 77, ..Status::default() });
    Answers { state: state.to_path_buf(), shared, recorder: SharedRecorder::new(state) }
}

fn served(test: impl FnOnce(&Path) + Send + 'static) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // A service that was killed leaves its socket behind.
        drop(listen(dir.path()).unwrap());
        let listener = listen(dir.path()).unwrap();
        tokio::spawn(serve(listener, answers(dir.path())));
        let state = dir.path().to_path_buf();
        tokio::task::spawn_blocking(move || test(&state)).await.unwrap();
    });
}

fn ask_raw(state: &Path, bytes: &[u8]) -> String {
    let mut stream = std::os::unix::net::UnixStream::connect(path(state)).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn the_service_says_how_it_is() {
    served(|state| {
        assert_eq!(std::fs::metadata(path(state)).unwrap().permissions().mode() & 0o777, 0o600);
        let status = client::status(state).unwrap().expect("it runs");
        assert_eq!(status.pid, 77);
    });
}

#[test]
fn nobody_there_is_no_error_and_nonsense_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    assert!(client::status(dir.path()).unwrap().is_none());
    drop(std::os::unix::net::UnixListener::bind(path(dir.path())).unwrap());
    assert!(client::status(dir.path()).unwrap().is_none(), "a socket that was left behind");
    served(|state| {
        assert!(ask_raw(state, b"{}\n").contains("no such question"));
        assert!(ask_raw(state, b"\xff\n").contains("no such question"));
        assert_eq!(ask_raw(state, &vec![b'x'; 10_000]), "", "too long");
        assert!(client::status(state).unwrap().is_some(), "it goes on");
    });
}

#[test]
fn many_who_connect_and_say_nothing_do_not_keep_others_out() {
    served(|state| {
        let silent: Vec<_> = (0..ASKING_MAX)
            .map(|_| std::os::unix::net::UnixStream::connect(path(state)).unwrap())
            .collect();
        let status = ask_raw(state, b"{\"ask\":\"status\"}\n");
        assert!(status.contains("\"pid\":77"), "{status}");
        drop(silent);
    });
}

#[test]
fn another_version_is_told_and_an_unknown_finding_is_an_error_with_a_hint() {
    served(|state| {
        let newer = ask_raw(state, b"{\"v\":2,\"ask\":\"status\"}\n");
        assert!(newer.contains("speaks version 1, not 2") && newer.contains("restart"), "{newer}");
        let ask = Ask::Explain { id: "0123456789abcdef".into(), form: Form::Plain };
        let line = serde_json::to_vec(&Question { v: VERSION, who: None, ask }).unwrap();
        let reply: Reply =
            serde_json::from_str(&ask_raw(state, &[&line[..], b"\n"].concat())).unwrap();
        let Reply::Refused { error, hint, exit } = reply else { panic!("{reply:?}") };
        assert!(error.contains("no such finding") && !hint.is_empty(), "{error}");
        assert_eq!(exit, 2);
    });
}

#[test]
fn only_root_the_service_and_operators_whom_the_configuration_names_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let answers = answers(dir.path());
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(answers.peer(0), Peer::Trusted(0));
    assert_eq!(answers.peer(own), Peer::Trusted(own));
    assert_eq!(answers.peer(61_999), Peer::Stranger(61_999));
    let mut settings = Settings::default();
    settings.agent.operators = vec!["61999".into(), "daemon".into()];
    answers.shared.write_settings(settings);
    assert_eq!(answers.peer(61_999), Peer::Operator(61_999));
    assert_eq!(answers.peer(1), Peer::Operator(1), "daemon, by its name");
    assert_eq!(answers.peer(61_998), Peer::Stranger(61_998));
    let said = |peer| {
        let line = answers.line(b"{\"v\":1,\"ask\":\"status\"}", peer);
        String::from_utf8(line).unwrap()
    };
    assert!(said(Peer::Operator(61_999)).contains("\"pid\":77"));
    let stranger = said(Peer::Stranger(61_998));
    assert!(stranger.contains("no operator") && !stranger.contains("77"), "{stranger}");
}
