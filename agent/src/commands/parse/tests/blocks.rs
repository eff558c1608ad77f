//! Formats made of directives and blocks.

use super::*;

#[test]
fn nginx_prints_its_tree_and_what_holds_in_every_block() {
    let text =
        "events {}\nhttp {\n root /a;\n server { server_name x; location / { root /b; } }\n}\n";
    let tree = json_of("/etc/nginx/nginx.conf", text, &["--as", "nginx", "--spans"]);
    let server = &tree["directives"][1]["block"][1];
    assert_eq!(server["block"][0]["arguments"], json!(["x"]));
    let spans = &tree["spans"]["directives"][1]["block"][1]["block"][0];
    assert_eq!((&spans["line"], &spans["arguments"][0]["column"]), (&json!(4), &json!(23)));
    let more = ["--as", "nginx", "--effective"];
    let holds = json_of("/etc/nginx/nginx.conf", text, &more);
    let location = holds["blocks"].as_array().unwrap().last().unwrap();
    assert_eq!(location["block"], json!(["http", "server x", "location /"]));
    let root = &location["settings"]["root/alias"];
    assert_eq!((&root["value"], &root["line"]), (&json!("root /b"), &json!(4)));
    assert_eq!(root["overrides"][0]["rule"], "more_specific");
    let (exit, _) = parse("/etc/nginx/nginx.conf", b"events {}\n}\n", &["--as", "nginx"]);
    assert_eq!(exit.unwrap(), Exit::Incomplete);
}

#[test]
fn apache_prints_its_tree_and_what_holds_for_a_request() {
    let text = "Options Indexes\n<VirtualHost *:80>\nServerName x\n<Location /a>\nOptions None\n</Location>\n</VirtualHost>\n";
    let name = "/etc/apache2/sites-enabled/a.conf";
    let tree = json_of(name, text, &["--as", "apache", "--spans"]);
    let location = &tree["directives"][1]["block"][1];
    assert_eq!((&location["name"], &location["arguments"]), (&json!("Location"), &json!(["/a"])));
    let span = &tree["spans"]["directives"][1]["block"][1]["arguments"][0];
    assert_eq!((&span["line"], &span["column"]), (&json!(4), &json!(11)));
    let more = ["--as", "apache", "--effective", "--for", "host=x,path=/a/b"];
    let holds = json_of(name, text, &more);
    assert_eq!(holds["settings"]["Options"]["value"], "None");
    assert_eq!(holds["settings"]["Options"]["overrides"][0]["line"], 1);
    let more = ["--as", "apache", "--effective", "--for", "colour=red"];
    assert!(parse(name, text.as_bytes(), &more).0.is_err());
    let (exit, _) = parse(name, b"<Directory /x>\n", &["--as", "apache"]);
    assert_eq!(exit.unwrap(), Exit::Incomplete);
}

#[test]
fn packet_filters_and_the_docker_daemon_print_their_places() {
    let saved = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";
    let rules = json_of("/rules", saved, &["--as", "iptables", "--spans"]);
    assert_eq!(
        (&rules["chains"][0]["policy"], &rules["rules"][0]["target"]),
        (&json!("DROP"), &json!("ACCEPT"))
    );
    assert_eq!(rules["rules"][0]["words"], json!(["-i", "lo", "-j", "ACCEPT"]));
    assert_eq!(rules["spans"]["rules"][0]["words"][1]["column"], 13);
    let text = r#"{"nftables": [{"table": {"family": "ip", "name": "t"}},
{"chain": {"family": "ip", "table": "t", "name": "c", "hook": "input", "policy": "drop"}}]}"#;
    let rules = json_of("/rules.json", text, &["--as", "nftables", "--spans"]);
    assert_eq!(rules["chains"][0]["policy"], "drop");
    assert_eq!(rules["spans"]["chains"][0]["line"], 2);
    let (exit, out) = parse("/d.json", b"{\"icc\": true,\n\"icc\": false}", &["--as", "docker"]);
    assert_eq!(exit.unwrap(), Exit::Incomplete);
    let read: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(read["settings"]["icc"]["value"], "false");
    assert_eq!(read["settings"]["icc"]["overrides"][0]["line"], 1);
}

#[test]
fn nothing_of_a_private_key_is_printed() {
    let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIENBTkFSWUNBTkFSWUNBTkFSWUNBTkFSWUNBTkFSWUNB\n-----END PRIVATE KEY-----\n";
    let (_, out) = parse("/k.pem", text.as_bytes(), &["--as", "certificate"]);
    let read: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(read["keys"][0]["key"]["kind"], "Ed25519", "{out}");
    assert!(!out.contains("CANARY") && !out.contains("MC4C"), "{out}");
}

#[test]
fn rsyslog_prints_its_statements() {
    let text = "module(load=\"ommysql\")\n*.* :omusrmsg:*\nif $msg contains 'x' then action(type=\"ommysql\" pwd=\"CANARY42\")\n";
    let shown = json_of("/etc/rsyslog.conf", text, &["--as", "rsyslog", "--spans"]);
    assert_eq!(shown["statements"][0]["parameters"], json!([["load", ["ommysql"]]]));
    assert_eq!(shown["statements"][1]["block"][0]["text"], ":omusrmsg:*");
    assert_eq!(shown["spans"]["statements"][2]["block"][0]["line"], 3);
    assert!(!shown.to_string().contains("CANARY"), "{shown}");
    let big = vec![b'a'; 10 << 20];
    assert!(parse("/x", &big, &["--as", "rsyslog"]).0.is_err());
}
