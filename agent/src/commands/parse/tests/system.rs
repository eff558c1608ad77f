use super::*;

#[test]
fn mounts_are_listed_with_their_places() {
    let fstab = "/dev/a / ext4 ro,nodev 0 1\n";
    let read = json_of("/etc/fstab", fstab, &["--as", "fstab", "--spans"]);
    assert_eq!(read["entries"][0]["options"], json!(["ro", "nodev"]));
    let line = "1 0 8:1 / /mnt rw,nosuid - ext4 /dev/b rw\n";
    let read = json_of("/proc/self/mountinfo", line, &["--as", "mountinfo"]);
    assert_eq!(read["mounts"][0]["fs_type"], "ext4");
    let (exit, _) = parse("/etc/fstab", b"/dev/a /\n", &["--as", "fstab"]);
    assert_eq!(exit.unwrap(), Exit::Incomplete);
}

#[test]
fn a_program_of_systemd_is_read_alone_or_with_its_drop_ins() {
    let text = "[Journal]\nStorage=auto\nStorage=none\n";
    let name = "/etc/systemd/journald.conf.d/a.conf";
    let read = json_of(name, text, &["--as", "systemd-conf"]);
    assert_eq!(read["entries"].as_array().map(Vec::len), Some(2));
    let read = json_of(name, text, &["--as", "systemd-conf", "--effective"]);
    let storage = &read["settings"]["Journal.Storage"];
    assert_eq!((&storage["value"], &storage["line"]), (&json!("none"), &json!(3)));
    assert_eq!(storage["overrides"][0]["rule"], "last_wins");
    assert_eq!(read["dropins"], json!([name]));
    let (exit, _) = parse("/srv/a.conf", b"", &["--as", "systemd-conf", "--effective"]);
    assert!(exit.is_err());
}

#[test]
fn jails_show_what_holds_and_what_was_overridden() {
    let text = "[DEFAULT]\nbantime = 10m\n[sshd]\nenabled = true\nbantime = %(known/x)s\nx = 1\n";
    let (exit, out) = parse("/etc/fail2ban/jail.conf", text.as_bytes(), &["--as", "jails"]);
    assert_eq!(exit.unwrap(), Exit::Incomplete, "a reference to nothing is told");
    let read: Value = serde_json::from_str(&out).unwrap();
    let sshd = &read["jails"]["sshd"];
    assert_eq!(sshd["enabled"], true);
    assert_eq!(sshd["settings"]["bantime"]["overrides"][0]["value"], "10m");
    let (exit, _) = parse("/etc/fail2ban/jail.conf", b"nothing\n", &["--as", "fail2ban"]);
    assert!(exit.is_err());
}
