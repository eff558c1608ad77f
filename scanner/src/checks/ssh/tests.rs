use consensus::{Exposure, Severity};
use parsers::tree::MemoryTree;

use super::super::{CheckResult, Outcome};
use super::CHECKS;
use crate::facts::{Facts, Spoken};
use crate::ports::{Inventory, Listener, Owner};
use crate::vantage::Vantage;

const MAIN: &str = "/etc/ssh/sshd_config";

fn look(id: &str, tree: &MemoryTree, inventory: Option<&Inventory>) -> Outcome {
    let check = CHECKS.iter().find(|check| check.id == id).unwrap();
    let (vantage, spoken) = (Vantage::default(), Spoken::default());
    let live = inventory.is_some();
    (check.run)(&Facts::new(tree, live, &vantage, inventory, &spoken, 0))
}

fn config(text: &str) -> MemoryTree {
    MemoryTree::new().file(MAIN, text).file(
        "/var/lib/dpkg/status",
        "Package: openssh-server\nStatus: install ok installed\nVersion: 1:9.2p1-2+deb12u3\n\n",
    )
}

/// File, line, column and level of each observation's first line.
fn places(outcome: &Outcome) -> Vec<(String, u32, u32)> {
    outcome
        .observations
        .iter()
        .map(|seen| (seen.lines[0].file.clone(), seen.lines[0].line, seen.lines[0].column))
        .collect()
}

fn running(pid: u32) -> Inventory {
    let owner = Owner {
        pid,
        exe: Some("/usr/sbin/sshd".into()),
        deleted: false,
        unit: Some("ssh.service".into()),
        container: None,
        package: None,
        uid: 0,
    };
    let listener = Listener {
        protocol: "tcp".into(),
        address: "0.0.0.0".parse().unwrap(),
        port: 22,
        dual_stack: false,
        uid: 0,
        inode: 1,
        cookie: None,
        mark: None,
        queue: (0, 128),
        owners: vec![owner],
        owner_unknown: None,
        service: "ssh".into(),
        exposure: Exposure::World,
        because: String::new(),
        namespace: None,
    };
    Inventory { listeners: vec![listener], ..Inventory::default() }
}

#[test]
fn every_setting_is_found_at_its_place_and_passes_when_it_is_right() {
    for (id, wrong, column, right) in [
        ("ssh-permit-root-login", "  PermitRootLogin yes", 3, "PermitRootLogin prohibit-password"),
        (
            "ssh-password-authentication",
            "PasswordAuthentication yes",
            1,
            "PasswordAuthentication no",
        ),
        ("ssh-empty-passwords", "permitemptypasswords=YES", 1, "PermitEmptyPasswords no"),
        (
            "ssh-keyboard-interactive",
            "ChallengeResponseAuthentication yes",
            1,
            "KbdInteractiveAuthentication no",
        ),
        ("ssh-x11-forwarding", "\tX11Forwarding \"yes\" # why not", 2, "X11Forwarding no"),
        ("ssh-max-auth-tries", "MaxAuthTries 10", 1, "MaxAuthTries 4"),
        ("ssh-login-grace-time", "LoginGraceTime 10m", 1, "LoginGraceTime 1m"),
        (
            "ssh-host-based-authentication",
            "HostbasedAuthentication yes",
            1,
            "HostbasedAuthentication no",
        ),
        ("ssh-ignore-rhosts", "IgnoreRhosts no", 1, "IgnoreRhosts yes"),
        ("ssh-permit-user-environment", "PermitUserEnvironment yes", 1, "PermitUserEnvironment no"),
        ("ssh-weak-ciphers", "Ciphers +3des-cbc", 1, "Ciphers aes256-ctr"),
        ("ssh-weak-macs", "MACs hmac-md5,hmac-sha2-256", 1, "MACs hmac-sha2-512"),
        (
            "ssh-weak-key-exchange",
            "KexAlgorithms +diffie-hellman-group14-sha1",
            1,
            "KexAlgorithms curve25519-sha256",
        ),
        (
            "ssh-weak-signatures",
            "PubkeyAcceptedKeyTypes +ssh-rsa",
            1,
            "PubkeyAcceptedAlgorithms ssh-ed25519",
        ),
        ("ssh-strict-modes", "StrictModes no", 1, "StrictModes yes"),
        ("ssh-log-level", "LogLevel QUIET", 1, "LogLevel VERBOSE"),
        ("ssh-tcp-forwarding", "AllowTcpForwarding local", 1, "DisableForwarding yes"),
        ("ssh-gateway-ports", "GatewayPorts yes", 1, "GatewayPorts no"),
        ("ssh-permit-tunnel", "PermitTunnel ethernet", 1, "PermitTunnel no"),
        ("ssh-idle-timeout", "ClientAliveInterval 0", 1, "ClientAliveInterval 5m"),
        ("ssh-max-startups", "MaxStartups 500", 1, "MaxStartups 10:30:60"),
    ] {
        let outcome = look(id, &config(&format!("# first\n\n{wrong}\n")), None);
        assert_eq!(outcome.result, CheckResult::Failed, "{id}");
        assert_eq!(places(&outcome), [(MAIN.to_string(), 3, column)], "{id}");
        let text = &outcome.observations[0].lines[0].text;
        assert_eq!(text.trim(), wrong.trim(), "{id}");
        let outcome = look(id, &config(&format!("{right}\n")), None);
        assert_eq!(outcome.result, CheckResult::Passed, "{id}: {outcome:?}");
        assert!(!outcome.reason.is_empty(), "{id}");
    }
}

#[test]
fn the_line_that_wins_is_named_and_so_are_those_that_lost() {
    let tree = config("Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\n")
        .file("/etc/ssh/sshd_config.d/50-cloud-init.conf", "PermitRootLogin yes\n");
    let outcome = look("ssh-permit-root-login", &tree, None);
    let seen = &outcome.observations[0];
    assert_eq!(places(&outcome), [("/etc/ssh/sshd_config.d/50-cloud-init.conf".to_string(), 1, 1)]);
    assert_eq!(seen.facts["wins_over"], "/etc/ssh/sshd_config:2:1 because the first value wins");
    assert!(
        seen.snippet.as_ref().unwrap().starts_with("# /etc/ssh/sshd_config.d/00-wardmote.conf\n")
    );
}

#[test]
fn a_block_that_loosens_a_setting_is_a_finding_that_names_the_block() {
    let text = "PasswordAuthentication no\nMatch User backup\n  PasswordAuthentication yes\n";
    let outcome = look("ssh-password-authentication", &config(text), None);
    let seen = &outcome.observations[0];
    assert_eq!(places(&outcome), [(MAIN.to_string(), 3, 3)]);
    assert_eq!((seen.lines[1].line, seen.lines[1].text.as_str()), (2, "Match User backup"));
    assert!(seen.title.as_ref().unwrap().ends_with("for User backup"));
    assert!(seen.snippet.as_ref().unwrap().contains("change line 3"));
}

#[test]
fn a_default_has_no_line_and_says_whose_default_it_is() {
    let outcome = look("ssh-password-authentication", &config("\n"), None);
    let line = &outcome.observations[0].lines[0];
    assert_eq!((line.file.as_str(), line.line, line.column), (MAIN, 0, 0));
    assert_eq!(line.text, "(default of OpenSSH 9.2) passwordauthentication yes");
    // Without an include of drop-ins one would be ignored.
    assert!(outcome.observations[0].snippet.as_ref().unwrap().contains("as the first line"));
    let old = MemoryTree::new().file(MAIN, "").file(
        "/var/lib/dpkg/status",
        "Package: openssh-server\nStatus: install ok installed\nVersion: 1:6.7p1-5\n",
    );
    assert_eq!(look("ssh-permit-root-login", &old, None).result, CheckResult::Failed);
}

#[test]
fn root_with_keys_only_is_judged_milder() {
    let keys = "PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n";
    let outcome = look("ssh-permit-root-login", &config(keys), None);
    assert_eq!(outcome.observations[0].level, Some(Severity::Low));
    let passwords = look("ssh-permit-root-login", &config("PermitRootLogin yes\n"), None);
    assert_eq!(passwords.observations[0].level, None);
    let empty = look("ssh-empty-passwords", &config("PermitEmptyPasswords yes\n"), None);
    assert_eq!(empty.observations[0].floor, Some(Severity::High));
}

#[test]
fn a_password_that_is_only_a_second_factor_is_no_finding() {
    let both = "AuthenticationMethods publickey,password publickey,keyboard-interactive\n";
    for (text, result) in [
        (both.to_string(), CheckResult::Passed),
        ("AuthenticationMethods publickey password\n".to_string(), CheckResult::Failed),
        (format!("{both}Match User x\nAuthenticationMethods any\n"), CheckResult::Failed),
    ] {
        for id in ["ssh-password-authentication", "ssh-keyboard-interactive"] {
            assert_eq!(look(id, &config(&text), None).result, result, "{id} {text}");
        }
    }
}

#[test]
fn a_hardened_configuration_passes_everywhere() {
    let text = "PermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
        AllowTcpForwarding no\nClientAliveInterval 300\nX11Forwarding no\nMaxAuthTries 4\n";
    let tree = config(text).file_with("/etc/ssh/ssh_host_ed25519_key", "", 0o600, 0, 0);
    for check in CHECKS {
        let outcome = look(check.id, &tree, None);
        assert_ne!(outcome.result, CheckResult::Failed, "{}: {outcome:?}", check.id);
        assert_ne!(outcome.result, CheckResult::NotRun, "{}: {outcome:?}", check.id);
    }
}

#[test]
fn a_line_that_sshd_refuses_is_a_finding_without_its_words() {
    let outcome = look("ssh-config-refused", &config("Port 22\n  PermitRootLogin hunter2\n"), None);
    assert_eq!(places(&outcome), [(MAIN.to_string(), 2, 3)]);
    assert!(!format!("{outcome:?}").contains("hunter2"));
    assert_eq!(look("ssh-config-refused", &config("Port 22\n"), None).result, CheckResult::Passed);
}

#[test]
fn what_cannot_be_read_is_said_and_no_sshd_is_not_applicable() {
    for check in CHECKS {
        let outcome = look(check.id, &MemoryTree::new(), None);
        assert_eq!(outcome.result, CheckResult::NotApplicable, "{}", check.id);
    }
    let denied = MemoryTree::new().denied(MAIN);
    assert_eq!(look("ssh-permit-root-login", &denied, None).result, CheckResult::NotRun);
    let part = config("Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\n")
        .denied("/etc/ssh/sshd_config.d/10-secret.conf");
    let outcome = look("ssh-permit-root-login", &part, None);
    assert_eq!(outcome.unseen, ["/etc/ssh/sshd_config.d/10-secret.conf: permission denied"]);
}

#[test]
fn the_running_daemons_command_line_beats_the_file() {
    let tree = config("PermitRootLogin no\n")
        .file("/proc/7/cmdline", "/usr/sbin/sshd\0-D\0-o\0PermitRootLogin=yes\0");
    let inventory = running(7);
    let outcome = look("ssh-permit-root-login", &tree, Some(&inventory));
    assert_eq!(places(&outcome), [("/proc/7/cmdline".to_string(), 0, 0)]);
    assert!(outcome.observations[0].facts["wins_over"].contains("command line comes first"));
    let said = look("ssh-command-line", &tree, Some(&inventory));
    assert!(said.observations[0].title.as_ref().unwrap().contains("PermitRootLogin=yes"));

    let other =
        config("PermitRootLogin no\n").file("/srv/sshd.conf", "PermitRootLogin yes\n").file(
            "/proc/7/cmdline",
            "sshd: /usr/sbin/sshd -f /srv/sshd.conf [listener] 0 of 10-100 startups\0",
        );
    let outcome = look("ssh-permit-root-login", &other, Some(&inventory));
    assert_eq!(places(&outcome), [("/srv/sshd.conf".to_string(), 1, 1)]);
    let mut unknown = running(7);
    unknown.listeners[0].owners.clear();
    unknown.listeners[0].owner_unknown = Some("needs CAP_SYS_PTRACE".into());
    for id in ["ssh-command-line", "ssh-config-unapplied"] {
        assert_eq!(look(id, &config(""), Some(&unknown)).result, CheckResult::NotRun, "{id}");
    }
    let plain = config("").file("/proc/7/cmdline", "/usr/sbin/sshd\0-D\0");
    assert_eq!(look("ssh-command-line", &plain, Some(&inventory)).result, CheckResult::Passed);
}

#[test]
fn a_configuration_newer_than_the_daemon_is_said() {
    let inventory = running(7);
    let stat = "7 (sshd) x) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 500 1 2\n";
    // Files of this tree were written at 0.
    let tree = |boot: &str| {
        config("Port 22\n")
            .file("/proc/7/cmdline", "/usr/sbin/sshd\0-D\0")
            .file("/proc/7/stat", stat)
            .file("/proc/stat", format!("cpu 1 2\nbtime {boot}\n"))
    };
    let outcome = look("ssh-config-unapplied", &tree("-100"), Some(&inventory));
    assert_eq!(places(&outcome), [(MAIN.to_string(), 0, 0)]);
    assert_eq!(outcome.observations[0].facts["seconds_behind"], "95");
    let outcome = look("ssh-config-unapplied", &tree("100"), Some(&inventory));
    assert_eq!(outcome.result, CheckResult::Passed);
    assert_eq!(look("ssh-config-unapplied", &tree("0"), None).result, CheckResult::NotApplicable);
}

#[test]
fn an_enabled_socket_unit_beats_the_port_of_the_file() {
    let tree = |listen: &str| {
        config("# x\nPort 2222\n")
            .file("/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\n")
            .link(
                "/etc/systemd/system/sockets.target.wants/ssh.socket",
                "/lib/systemd/system/ssh.socket",
            )
            .file(
                "/etc/systemd/system/ssh.socket.d/l.conf",
                format!("[Socket]\nListenStream=\nListenStream={listen}\n"),
            )
    };
    let outcome = look("ssh-socket-unit", &tree("0.0.0.0:8022"), None);
    assert_eq!(places(&outcome), [(MAIN.to_string(), 2, 1)]);
    let by = &outcome.observations[0].lines[1];
    assert_eq!((by.file.as_str(), by.line), ("/etc/systemd/system/ssh.socket.d/l.conf", 3));
    assert_eq!(look("ssh-socket-unit", &tree("[::]:2222"), None).result, CheckResult::Passed);
    assert_eq!(look("ssh-socket-unit", &config(""), None).result, CheckResult::NotApplicable);
}

#[test]
fn keys_and_files_of_sshd_belong_to_root_alone() {
    let key = "/etc/ssh/ssh_host_ed25519_key";
    let open = config("").file_with(key, "", 0o644, 0, 0);
    let outcome = look("ssh-host-key-modes", &open, None);
    assert_eq!(places(&outcome), [(key.to_string(), 0, 0)]);
    assert_eq!(outcome.observations[0].floor, Some(Severity::High));
    let red_hat =
        config("").file_with(key, "", 0o640, 0, 998).file("/etc/group", "ssh_keys:x:998:\n");
    assert_eq!(look("ssh-host-key-modes", &red_hat, None).result, CheckResult::Passed);
    let group = config("").file_with(key, "", 0o640, 0, 50);
    assert_eq!(
        look("ssh-host-key-modes", &group, None).observations[0].level,
        Some(Severity::Medium)
    );

    let writable = config("").file_with(MAIN, "", 0o664, 0, 100);
    let outcome = look("ssh-config-modes", &writable, None);
    assert_eq!(places(&outcome), [(MAIN.to_string(), 0, 0)]);
    assert_eq!(look("ssh-config-modes", &config(""), None).result, CheckResult::Passed);
}
