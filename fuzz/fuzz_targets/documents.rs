//! Documents as each loader reads them, and what netplan and cloud-init make of several files: places lie
//! inside of their files, and merging stays within time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::cloud_init::{CLOUD_CFG, CloudInit};
use parsers::config::document::{Documents, Schema};
use parsers::config::netplan::Netplan;
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 4] = [
    CLOUD_CFG,
    "/etc/cloud/cloud.cfg.d/1.cfg",
    "/etc/netplan/1.yaml",
    "/run/netplan/2.yaml",
];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        for schema in [Schema::PyYaml, Schema::GoYaml2, Schema::GoYaml3, Schema::Words] {
            let read = Documents::read(&"/x".into(), data, schema);
            read.all.iter().for_each(|node| drop((node.to_json(), node.to_places())));
        }
        let _ = CloudInit::read(files.tree(), CLOUD_CFG).to_json();
        let _ = Netplan::read(files.tree()).to_json();
    });
});
