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
