//! Formats written in YAML.

use super::*;

#[test]
fn netplan_prints_a_file_and_what_all_of_them_say() {
    let text = "network:\n  ethernets:\n    eth0.1: {dhcp4: y}\n  wifis:\n    w:\n      access-points:\n        n: {password: CANARY42}\n";
    let name = "/etc/netplan/01.yaml";
    let one = json_of(name, text, &["--as", "netplan", "--spans"]);
    assert_eq!(one["document"]["network"]["ethernets"]["eth0.1"]["dhcp4"], true);
    let place = json!({"file": name, "line": 3, "column": 21});
    assert_eq!(one["spans"]["document"]["network"]["ethernets"]["eth0.1"]["dhcp4"], place);
    assert_eq!(one["notes"][0]["place"], place);
    let all = json_of(name, text, &["--as", "netplan", "--effective"]);
    assert_eq!(all["settings"]["network.ethernets.eth0\\.1.dhcp4"]["value"], "true");
    assert!(!one.to_string().contains("CANARY") && !all.to_string().contains("CANARY"));
}

#[test]
fn cloud_init_prints_no_password() {
    let text = "#cloud-config\nssh_pwauth: yes\npassword: CANARY42\nchpasswd: {list: \"a:CANARY42\"}\nruncmd:\n- curl -u bob:CANARY42 https://bob:CANARY42@x/\n- mysql --password=CANARY42\n";
    let name = "/etc/cloud/cloud.cfg.d/99.cfg";
    let one = json_of(name, text, &["--as", "cloud-init", "--spans"]);
    assert_eq!(one["document"]["ssh_pwauth"], true);
    assert_eq!(one["spans"]["document"]["runcmd"][1]["line"], 7);
    let (exit, all) = parse(name, text.as_bytes(), &["--as", "cloud-init", "--effective"]);
    assert_eq!(exit.unwrap(), Exit::Incomplete, "the main file is not there");
    assert!(all.contains("\"ssh_pwauth\""), "{all}");
    let hidden = one.to_string().matches("CANARY").count();
    // What stands after `-u` is the program's own grammar.
    assert!(hidden <= 1 && all.matches("CANARY").count() <= 2, "{one}");
}

#[test]
fn hostile_manifests_end_bounded() {
    let (big, line) = (vec![b'a'; 10 << 20], vec![b'['; 2 << 20]);
    for kind in ["netplan", "cloud-init"] {
        assert!(parse("/etc/x.yaml", &big, &["--as", kind]).0.is_err(), "{kind}");
        let ended = parse("/etc/x.yaml", &line, &["--as", kind]).0;
        assert!(ended.is_ok_and(|exit| exit == Exit::Incomplete), "{kind}");
    }
}
