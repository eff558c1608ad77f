//! Children that say what makes no sense: the look fails, and nothing else happens.

use std::io::Write as _;
use std::os::fd::AsFd;

use super::message::{Ask, Done, FromChild, Gave};
use super::wire::Socket;
use super::*;
use crate::powers::StateFile;
use crate::settings::Settings;

fn socket() -> Socket {
    Socket::of(std::io::stdin().as_fd().try_clone_to_owned().unwrap())
}

/// Begins like a child, then answers each order with these bytes.
fn answering(bytes: &[u8]) -> ! {
    let socket = socket();
    socket.send(&Done::Closed(Level::default()).to_bytes().unwrap(), &[]).unwrap();
    let begin = socket.receive(1 << 20, None).unwrap();
    assert!(begin.is_some());
    socket.send(&Done::Yes.to_bytes().unwrap(), &[]).unwrap();
    while let Ok(Some(_)) = socket.receive(1 << 20, None) {
        if socket.send(bytes, &[]).is_err() {
            break;
        }
    }
    std::process::exit(0);
}

macro_rules! children {
    ($($name:ident: $run:expr;)*) => { $(
        #[test]
        #[ignore = "runs as the child of other tests"]
        fn $name() {
            if is_child() {
                $run
            }
        }
    )* };
}

children! {
    silent: std::process::exit(0);
    babbling: answering(b"\xff\xfe\0\0\0babble");
    unasked: answering(&Done::Yes.to_bytes().unwrap());
    nested: answering(&[b"!".as_slice(), &vec![b'['; 1 << 20]].concat());
    inventing: {
        let mut gave = Gave::default();
        gave.looked.merged = vec![u64::MAX];
        answering(&Done::Gave(Box::new(gave)).to_bytes().unwrap())
    };
    hanging: {
        socket().send(&Done::Closed(Level::default()).to_bytes().unwrap(), &[]).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
    };
    writing: answering(&Ask::Replace(StateFile::Place, b"{}").to_bytes().unwrap());
    flooding: {
        let socket = socket();
        let mut raw = std::fs::File::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
        socket.send(&Done::Closed(Level::default()).to_bytes().unwrap(), &[]).unwrap();
        // A record that says it begins a message of all the memory there is.
        let _ = raw.write_all(&u64::MAX.to_le_bytes());
        std::thread::sleep(std::time::Duration::from_secs(30));
    };
}

#[test]
fn a_broken_child_makes_its_look_fail_and_the_next_one_works() {
    for (name, said) in [
        ("broken::babbling", "makes no sense"),
        ("broken::unasked", "was not asked"),
        ("broken::nested", "makes no sense"),
        ("broken::inventing", "a number that nobody gave"),
        ("broken::writing", "too much done"),
        ("broken::flooding", "longer than its limit"),
    ] {
        let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        append(root.path(), &failures(0, 20, "192.0.2.7"));
        let mut look = Proxy::open(root.path().into(), state.path(), NOW, program(name)).unwrap();
        let error = format!("{:#}", look.sweep(&Settings::default()).unwrap_err());
        assert!(error.contains(said), "{name}: {error}");
        assert_eq!(look.child(), None, "{name}");
        assert!(!state.path().join("agent-logs.json").exists(), "{name}");
        look.forget_failures();
        look.use_program(program("child"));
        assert!(!look.sweep(&Settings::default()).unwrap().seen.is_empty(), "{name}");
    }
}

#[test]
fn a_child_that_takes_too_long_is_ended() {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    append(root.path(), &failures(0, 20, "192.0.2.7"));
    let open = Proxy::open(root.path().into(), state.path(), NOW, program("broken::hanging"));
    let mut look = open.unwrap().within(Some(std::time::Duration::from_millis(200)));
    let error = format!("{:#}", look.sweep(&Settings::default()).unwrap_err());
    assert!(error.contains("it took too long"), "{error}");
    assert_eq!(look.child(), None);
}

#[test]
fn a_child_that_does_not_even_begin_is_an_error() {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["broken::silent", "there::is::no::such::test"] {
        let opened = Proxy::open(root.path().into(), state.path(), NOW, program(name));
        assert!(opened.is_err(), "{name}");
    }
}

#[test]
fn what_a_child_may_have_done_is_bounded_and_listed() {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut broker = broker::Broker::new(root.path(), state.path()).unwrap();
    broker.begin(false);
    let told = |reply: broker::Reply| postcard::from_bytes::<Result<(), String>>(&reply.0).unwrap();
    for file in [StateFile::Place, StateFile::JournalPlace] {
        assert!(told(broker.answer(Ask::Replace(file, b"x"), &[]).unwrap()).is_err());
    }
    use crate::store::cases::By;
    assert!(told(broker.answer(Ask::Keep(By::Audit, b"x"), &[]).unwrap()).is_err());
    assert!(told(broker.answer(Ask::Keep(By::Watch, b"x"), &[]).unwrap()).is_ok());
    assert!(told(broker.answer(Ask::Expert(0), &[]).unwrap()).is_err(), "there is none");
    assert!(told(broker.answer(Ask::Replace(StateFile::Past, b"{}"), &[]).unwrap()).is_ok());
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 2, "the folder of runs, the past");
    let end = (0..1_000).find(|_| broker.answer(Ask::Feedback, &[]).is_err());
    assert!(end.is_some_and(|asked| asked < 64), "{end:?}");
    broker.begin(false);
    assert!(broker.answer(Ask::Feedback, &[]).is_ok(), "an order later it may go on");
}

#[test]
fn hostile_bytes_are_never_more_than_an_error() {
    let good = [
        Ask::Tree(scanner::gate::Question::Stat(b"/etc/passwd", true)).to_bytes().unwrap(),
        Ask::Keep(crate::store::cases::By::Watch, b"run").to_bytes().unwrap(),
        Ask::Expert(u32::MAX).to_bytes().unwrap(),
        Done::Closed(Level::default()).to_bytes().unwrap(),
        Done::Gave(Box::default()).to_bytes().unwrap(),
    ];
    let mut random = 1_u64;
    for bytes in &good {
        assert!(FromChild::of(bytes).is_some());
        for end in 0..bytes.len() {
            assert!(FromChild::of(&bytes[..end]).is_none(), "{end} of {bytes:?}");
        }
        for _ in 0..2_000 {
            let mut bytes = bytes.clone();
            for _ in 0..3 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let place = (random >> 33) as usize % bytes.len();
                bytes[place] = (random >> 20) as u8;
            }
            let _ = FromChild::of(&bytes);
        }
    }
    let long = vec![b'a'; scanner::gate::PATH_BYTES_MAX + 1];
    let ask = Ask::Tree(scanner::gate::Question::Open(&long)).to_bytes().unwrap();
    assert!(FromChild::of(&ask).is_none());
}
