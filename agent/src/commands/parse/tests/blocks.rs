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
