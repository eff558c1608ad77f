//! Formats whose files make flat settings, rules or units.

use super::*;

#[test]
fn a_unit_prints_its_lines_and_what_holds_with_its_dropins() {
    let text = "[Service]\nExecStart=/a\nUser=x\nUser=\n";
    let name = "/etc/systemd/system/a.service";
    let alone = json_of(name, text, &["--as", "systemd-unit", "--spans"]);
    assert_eq!(alone["entries"][0], json!({"key": "Service.ExecStart", "value": "/a"}));
    assert_eq!(alone["spans"]["entries"][2]["line"], 4);
    let holds = json_of(name, text, &["--as", "systemd-unit", "--effective"]);
    assert_eq!((&holds["load"], &holds["name"]), (&json!("loaded"), &json!("a.service")));
    assert_eq!(holds["settings"]["Service.User"]["value"], "");
    assert_eq!(holds["settings"]["Service.User"]["overrides"][0]["rule"], "last_wins");
    let more = ["--as", "systemd-unit", "--effective"];
    assert!(parse("/etc/a.conf", b"[Service]\n", &more).0.is_err());
}

#[test]
fn postgres_prints_settings_rules_and_maps() {
    let text = "port = 1\nssl = on\nPort = 2 # c\n";
    let holds = json_of("/d/postgresql.conf", text, &["--as", "postgresql", "--effective"]);
    assert_eq!(holds["settings"]["port"]["value"], "2");
    assert_eq!(holds["settings"]["port"]["overrides"][0]["line"], 1);
    let lines = json_of("/d/postgresql.conf", text, &["--as", "postgresql"]);
    assert_eq!(lines["entries"][2], json!({"key": "port", "value": "2"}));
    let rules = "host \"all\" all 10.0.0.0/8 ldap ldapprefix=x ldapbindpasswd=CANARY42\n";
    let rules = parse("/d/pg_hba.conf", rules.as_bytes(), &["--as", "pg-hba", "--spans"]);
    assert_eq!(rules.0.unwrap(), Exit::Incomplete, "a prefix and a search");
    let rules = "host \"all\" all 10.0.0.0/8 ldap ldapprefix=x\nlocal all all peer map=m\n";
    let rules = json_of("/d/pg_hba.conf", rules, &["--as", "pg-hba", "--spans"]);
    assert_eq!(rules["rules"][0]["address"]["network"]["mask"], "255.0.0.0");
    assert_eq!(rules["rules"][1]["options"], json!([["map", "m"]]));
    assert_eq!(rules["spans"]["rules"][1]["line"], 2);
    let maps = json_of("/d/pg_ident.conf", "m a b\n", &["--as", "pg-ident"]);
    assert_eq!(maps["mappings"][0]["map"], "m");
}

#[test]
fn secrets_of_daemons_are_not_printed() {
    let text = "requirepass \"CANARY42 CANARY43\"\nuser bob on >CANARY44 +ping\nport 0\n";
    for more in [&["--as", "redis"][..], &["--as", "redis", "--effective"]] {
        let shown = json_of("/etc/redis.conf", text, more).to_string();
        assert!(!shown.contains("CANARY") && shown.contains("+ping"), "{shown}");
    }
    let text = "[client]\npassword = 'CANARY42 # x'\n[mysqld]\nskip-log-bin\nport=1\n";
    let shown = json_of("/etc/my.cnf", text, &["--as", "my.cnf"]);
    assert!(!shown.to_string().contains("CANARY"), "{shown}");
    let holds = json_of("/etc/my.cnf", text, &["--as", "my.cnf", "--effective"]);
    assert_eq!(holds["settings"]["log_bin"]["value"], "0");
    assert!(holds["settings"].get("password").is_none());
}

#[test]
fn logrotate_prints_its_blocks() {
    let text = "rotate 4\n/var/log/a {\n  daily\n}\n";
    let shown = json_of("/etc/logrotate.conf", text, &["--as", "logrotate"]);
    assert_eq!(shown["blocks"][0]["logs"], json!(["/var/log/a"]));
    assert_eq!(shown["blocks"][0]["settings"]["rotate"]["value"], "4");
    assert_eq!(shown["blocks"][0]["settings"]["criterion"]["line"], 3);
}

#[test]
fn sources_and_limits_print_their_lines() {
    let text = "deb [trusted=yes] http://u:CANARY42@x/ s main\n";
    let shown = json_of("/etc/apt/sources.list", text, &["--as", "apt-sources", "--spans"]);
    assert_eq!(shown["sources"][0]["options"], json!([["trusted", "yes"]]));
    assert_eq!(shown["spans"]["sources"][0]["line"], 1);
    assert!(!shown.to_string().contains("CANARY"), "{shown}");
    let shown = json_of("/etc/security/limits.conf", "* - core 0\n", &["--as", "limits"]);
    let entry = json!({"domain": "*", "type": "-", "item": "core", "value": "0"});
    assert_eq!(shown["entries"], json!([entry]));
}

#[test]
fn apt_conf_prints_a_file_and_what_all_of_them_say() {
    let name = "/etc/apt/apt.conf.d/10x";
    let text = "APT { L { \"a\"; }; };\nAcquire::http::Proxy \"http://u:CANARY42@p/\";\n";
    let shown = json_of(name, text, &["--as", "apt.conf", "--spans"]);
    assert_eq!(shown["entries"][0], json!({"key": "APT::L", "value": "a"}));
    assert_eq!(shown["spans"]["entries"][0]["line"], 1);
    let holds = json_of(name, text, &["--as", "apt.conf", "--effective"]);
    assert_eq!(holds["settings"]["APT::L"]["value"], "a");
    assert!(!(shown.to_string() + &holds.to_string()).contains("CANARY"));
}

#[test]
fn hostile_files_of_daemons_end_bounded() {
    let (big, line) = (vec![b'a'; 10 << 20], vec![b'['; 2 << 20]);
    for kind in [
        "systemd-unit",
        "postgresql",
        "pg-hba",
        "pg-ident",
        "my.cnf",
        "redis",
        "logrotate",
        "apt-sources",
        "apt.conf",
        "limits",
    ] {
        assert!(parse("/etc/x.service", &big, &["--as", kind]).0.is_err(), "{kind}");
        let ended = parse("/etc/x.service", &line, &["--as", kind]).0;
        assert!(ended.is_ok_and(|exit| exit == Exit::Incomplete), "{kind}");
    }
}

#[test]
fn account_policies_have_an_effective_view() {
    let text = "* soft core 10\n* - core 0\nbob - core 5 # c\n";
    let more = ["--as", "auto", "--effective"];
    let limits = json_of("/etc/security/limits.conf", text, &more);
    let core = &limits["settings"]["* soft core"];
    assert_eq!((&core["value"], &core["line"]), (&json!("0"), &json!(2)));
    assert_eq!(core["overrides"][0]["rule"], "last_wins");
    assert_eq!(limits["settings"]["bob hard core"]["value"], "5");
    let drop_in = "/etc/security/pwquality.conf.d/50.conf";
    let quality = json_of(drop_in, "minlen = 14\nMINLEN = 9\n", &more);
    assert_eq!(quality["settings"]["minlen"]["value"], "9");
    assert_eq!(quality["settings"]["minlen"]["file"], drop_in);
    assert_eq!(quality["settings"]["minlen"]["overrides"][0]["value"], "14");
    let lock = json_of("/etc/security/faillock.conf", "deny = 3\ndeny = 5\naudit\n", &more);
    assert_eq!(lock["settings"]["deny"]["overrides"][0]["line"], 1);
    let plain = json_of("/etc/security/faillock.conf", "deny = 3\n", &["--as", "auto"]);
    assert_eq!(plain["entries"][0]["value"], "3");
    let (exit, _) = parse("/etc/security/faillock.conf", b"deny = x\n", &more);
    assert_eq!(exit.unwrap(), Exit::Incomplete);
}

#[test]
fn overridden_values_that_are_not_listed_are_told() {
    let max = parsers::config::settings::OVERRIDES_MAX;
    let text = |count: usize| "port 1\n".repeat(count);
    let as_redis = ["--as", "redis"];
    let all = json_of("/etc/redis/redis.conf", &text(max + 1), &as_redis);
    assert_eq!(all["entries"].as_array().map(Vec::len), Some(max + 1));
    let (exit, out) = parse("/etc/redis/redis.conf", text(max + 2).as_bytes(), &as_redis);
    assert_eq!(exit.unwrap(), Exit::Incomplete);
    let some: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(some["entries"].as_array().map(Vec::len), Some(max + 1));
}
