//! With CAP_DAC_READ_SEARCH alone, as the service has it, the links of `/proc/PID/fd` can be listed and not
//! read: whoever looks for the holder of a socket must be told, or every socket would look ownerless.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use parsers::tree::{Tree as _, Why};
use scanner::RootedTree;

/// Set for the test that runs with that capability alone.
const INSIDE: &str = "WARDMOTE_TEST_READS_ALL";

#[test]
fn links_that_may_not_be_read_are_an_error_and_not_an_empty_directory() {
    let tree = RootedTree::open(Path::new("/")).unwrap();
    let links = |path: &str| {
        let mut count = 0;
        let visited = tree.visit_links(Path::new(path), &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        });
        visited.map(|()| count).map_err(|error| error.why)
    };
    if let Ok(roots) = std::env::var(INSIDE) {
        assert!(std::fs::read_dir(&roots).is_ok(), "the names can be listed");
        assert_eq!(links(&roots), Err(Why::Denied));
        assert!(links("/proc/self/fd").unwrap() > 0, "one's own can be read");
        return println!("INSIDE");
    }
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "needs root");
        return eprintln!("SKIPPED: needs root");
    }
    let own = format!("/proc/{}/fd", std::process::id());
    assert!(links(&own).is_ok(), "root reads them");
    let one = "+dac_read_search";
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"])
        .args([format!("--inh-caps=-all,{one}"), format!("--ambient-caps=-all,{one}")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("links_that_may_not_be_read_are_an_error_and_not_an_empty_directory")
        .env(INSIDE, own)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("INSIDE"), "{said}{why}");
}
