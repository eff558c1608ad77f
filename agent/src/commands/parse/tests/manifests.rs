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
fn compose_prints_ports_in_one_form_and_no_secret() {
    let text = "services:\n  db:\n    ports: ['127.0.0.1:5432:5432']\n    environment:\n      POSTGRES_PASSWORD: CANARY42\n      OTHER: ${DB_PASSWORD:-CANARY42}\n  b:\n    environment: [API_TOKEN=CANARY42, MODE=x]\n";
    for more in [&["--as", "compose"][..], &["--as", "compose", "--effective"]] {
        let shown = json_of("/srv/compose.yaml", text, more);
        assert_eq!(shown["ports"][0]["host_ip"], "127.0.0.1");
        assert!(!shown.to_string().contains("CANARY"), "{shown}");
    }
    let shown = json_of("/srv/compose.yaml", text, &["--as", "compose", "--spans"]);
    assert_eq!(shown["spans"]["document"]["services"]["db"]["ports"][0]["line"], 3);
}

#[test]
fn kubernetes_prints_containers_and_no_secret() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c\n    env: [{name: DB_PASSWORD, value: CANARY42}]\n    securityContext: {privileged: yes}\n---\napiVersion: v1\nkind: Secret\nstringData: {k: CANARY42}\n";
    let shown = json_of("/m.yaml", text, &["--as", "kubernetes", "--spans"]);
    assert_eq!(shown["containers"][0]["privileged"], true);
    assert_eq!(shown["containers"][0]["place"]["line"], 6);
    assert_eq!(shown["spans"]["documents"][1]["kind"]["line"], 11);
    assert_eq!(shown["notes"][0]["place"]["line"], 8);
    assert!(!shown.to_string().contains("CANARY"), "{shown}");
    let (exit, out) =
        parse("/m.yaml", text.as_bytes(), &["--as", "kubernetes", "--format", "jsonl"]);
    assert_eq!((exit.unwrap(), out.lines().count()), (Exit::Clean, 2));
}

#[test]
fn the_kubelets_drop_ins_hold() {
    let text = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nport: 1\n";
    let name = "/etc/kubernetes/kubelet.conf.d/1.conf";
    let shown = json_of(name, text, &["--as", "kubelet", "--effective"]);
    assert_eq!(shown["settings"]["port"]["value"], "1");
    let shown = json_of(name, text, &["--as", "kubelet"]);
    assert_eq!(shown["document"]["port"], 1);
}

#[test]
fn hostile_manifests_end_bounded() {
    let (big, line) = (vec![b'a'; 10 << 20], vec![b'['; 2 << 20]);
    for kind in ["netplan", "cloud-init", "compose", "kubelet", "kubernetes"] {
        assert!(parse("/etc/x.yaml", &big, &["--as", kind]).0.is_err(), "{kind}");
        let ended = parse("/etc/x.yaml", &line, &["--as", kind]).0;
        assert!(ended.is_ok_and(|exit| exit == Exit::Incomplete), "{kind}");
    }
}
