//! What the child may not do.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use super::*;
use crate::settings::{SandboxSetting, Settings};

#[test]
fn a_child_holds_no_capability_and_filters_its_calls() {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    append(root.path(), &failures(0, 20, "192.0.2.7"));
    let mut look = proxy(root.path(), state.path());
    look.sweep(&Settings::default()).unwrap();
    // In this program a test runs in a thread beside the main one; the real child has no thread before.
    let child = look.child().unwrap();
    let threads = std::fs::read_dir(format!("/proc/{child}/task")).unwrap();
    let mut threads = threads.map(|thread| thread.unwrap().path());
    let closed = threads.find(|path| !path.ends_with(child.to_string())).unwrap();
    let status = std::fs::read_to_string(closed.join("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_string()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    // Emptying the bounding set takes a capability that only root has here.
    if rustix::process::geteuid().is_root() {
        assert_eq!(field("CapBnd:"), "0000000000000000");
    }
    assert_eq!((field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()), ("1", "2"));
    assert!(look.level().is_whole(), "{}", look.level());
}

/// Runs [`attempts`] in a process of its own: what it printed, and the signal that ended it.
fn attempt(what: &str) -> (String, Option<i32>) {
    let (_socket, other) = wire::Socket::pair().unwrap();
    let mut command = entry("rights::attempts");
    command.env("ATTEMPT", what).stdin(Stdio::from(other)).stderr(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("said ")).map(|(_, said)| said).collect();
    (said.join("\n"), output.status.signal())
}

/// Gives up its rights, then tries what the environment says.
#[test]
#[ignore = "runs as the child of other tests"]
fn attempts() {
    let Ok(what) = std::env::var("ATTEMPT") else { return };
    let parent = rustix::process::getppid().unwrap();
    if what == "landlock alone" {
        println!("said {}", close::landlock().is_ok());
        println!("said {:?}", std::fs::read("/etc/passwd").unwrap_err().raw_os_error());
        println!("said {:?}", std::fs::read_dir("/").map(drop).unwrap_err().raw_os_error());
        let tcp = std::net::TcpStream::connect("127.0.0.1:9").unwrap_err();
        println!("said {:?}", tcp.raw_os_error());
        std::process::exit(0);
    }
    let stdin_kept = std::io::stdin();
    let level = close::close();
    assert!(level.is_whole(), "{level}");
    let said = |result: std::io::Result<()>| {
        println!("said {:?}", result.err().and_then(|e| e.raw_os_error()))
    };
    match what.as_str() {
        "refused" => {
            use rustix::net::{AddressFamily, SocketType};
            said(std::fs::File::open("/etc/passwd").map(drop));
            said(std::fs::File::create("/tmp/wardmote-attempt").map(drop));
            said(std::fs::read_dir("/").map(drop));
            said(std::fs::metadata("/etc/passwd").map(drop));
            said(std::fs::read_link("/proc/self/exe").map(drop));
            said(std::fs::remove_file("/etc/passwd"));
            for family in [AddressFamily::INET, AddressFamily::UNIX, AddressFamily::NETLINK] {
                said(
                    rustix::net::socket(family, SocketType::DGRAM, None)
                        .map(drop)
                        .map_err(Into::into),
                );
            }
            let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let stdin = std::io::stdin();
            said(rustix::net::bind(&stdin, &any).map_err(Into::into));
            said(rustix::net::connect(&stdin, &any).map_err(Into::into));
            let signal = rustix::process::Signal::CONT;
            said(rustix::process::kill_process(parent, signal).map_err(Into::into));
            said(rustix::process::test_kill_process(parent).map_err(Into::into));
            let none = rustix::process::PidfdFlags::empty();
            said(rustix::process::pidfd_open(parent, none).map(drop).map_err(Into::into));
            said(rustix::process::chdir("/tmp").map_err(Into::into));
        }
        "allowed" => {
            // What a look needs all the same.
            let sum = std::thread::spawn(|| (0..1000_u64).sum::<u64>()).join().unwrap();
            println!("said {sum}");
            let mut random = [0; 8];
            println!("said {}", getrandom::fill(&mut random).is_ok());
            println!(
                "said {}",
                vec![1_u8; 64 << 20].iter().map(|byte| u64::from(*byte)).sum::<u64>()
            );
        }
        "memory" => {
            let mut all = Vec::new();
            for _ in 0..2_048 {
                let mut more: Vec<u8> = Vec::new();
                let room = more.try_reserve_exact(1 << 20);
                if room.is_err() {
                    println!("said out of memory");
                    std::process::exit(0);
                }
                more.resize(1 << 20, 1);
                all.push(more);
            }
            println!("said {}", all.len());
        }
        "exec" => drop(std::process::Command::new("/bin/true").status()),
        "deadly exec" => {
            use std::os::unix::process::CommandExt as _;
            drop(std::process::Command::new("/bin/true").exec());
        }
        "setns" => {
            let none = std::os::fd::AsFd::as_fd(&stdin_kept);
            let _ = rustix::thread::move_into_link_name_space(none, None);
        }
        "chroot" => drop(rustix::process::chroot("/").map_err(std::io::Error::from)),
        other => panic!("{other}"),
    }
    std::process::exit(0);
}

#[test]
fn files_sockets_and_other_processes_are_out_of_reach() {
    let (said, signal) = attempt("refused");
    let told: Vec<&str> = said.lines().collect();
    assert_eq!((told.len(), signal), (15, None), "{said}");
    assert!(told.iter().all(|one| *one == "Some(1)"), "all of it is EPERM: {told:?}");
    assert_eq!(attempt("allowed"), ("499500\ntrue\n67108864".into(), None));
    assert_eq!(attempt("memory"), ("out of memory".into(), None));
}

#[test]
fn who_tries_to_break_out_is_killed() {
    const SIGSYS: i32 = 31;
    for what in ["deadly exec", "setns", "chroot"] {
        assert_eq!(attempt(what), (String::new(), Some(SIGSYS)), "{what}");
    }
    // Where a process would be made first, there is none.
    assert_eq!(attempt("exec"), (String::new(), None));
}

#[test]
fn landlock_holds_without_the_filter() {
    let (said, signal) = attempt("landlock alone");
    assert_eq!(signal, None);
    let told: Vec<&str> = said.lines().collect();
    assert_eq!(told, ["true", "Some(13)", "Some(13)", "Some(13)"]);
}

#[test]
fn without_landlock_required_refuses_and_auto_says_so() {
    let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // A filter on the thread that starts the child, which inherits it: no landlock in "this kernel".
    let look =
        Proxy::open(root.path().into(), state.path(), NOW, program("rights::without_landlock"));
    let mut look = look.unwrap();
    assert_eq!(look.level().landlock_abi, None);
    let told = look.level().to_string();
    assert!(told.starts_with("seccomp, no capabilities; missing: landlock ("), "{told}");
    assert!(look.level().meets(SandboxSetting::Required).is_err());
    assert_eq!(look.level().meets(SandboxSetting::Auto), Ok(()));
    append(root.path(), &failures(0, 20, "192.0.2.7"));
    assert!(!look.sweep(&Settings::default()).unwrap().seen.is_empty());
}

/// A child in a kernel without landlock: its calls are "not there".
#[test]
#[ignore = "runs as the child of other tests"]
fn without_landlock() {
    if !is_child() {
        return;
    }
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let rules = [(libc::SYS_landlock_create_ruleset, Vec::new())].into();
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, arch).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
    super::child();
}
