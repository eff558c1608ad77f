//! Documents as each loader reads them, and what their daemons make of several files: places lie
//! inside of their files, and merging stays within time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parsers::config::cloud_init::{CLOUD_CFG, CloudInit};
use parsers::config::compose::Compose;
use parsers::config::document::{Documents, Schema};
use parsers::config::kubernetes::kubelet::{CONFIG_DIR, Kubelet};
use parsers::config::kubernetes::manifests::Manifests;
use parsers::config::netplan::Netplan;
use wardmote_fuzz::{Files, timed};

const PATHS: [&str; 8] = [
    CLOUD_CFG,
    "/etc/cloud/cloud.cfg.d/1.cfg",
    "/etc/netplan/1.yaml",
    "/run/netplan/2.yaml",
    "/srv/compose.yaml",
    "/srv/compose.override.yaml",
    "/var/lib/kubelet/config.yaml",
    "/etc/kubernetes/kubelet.conf.d/1.conf",
];

fuzz_target!(|data: &[u8]| {
    let files = Files::new(data, &PATHS);
    timed(|| {
        for schema in [Schema::PyYaml, Schema::GoYaml2, Schema::GoYaml3, Schema::Words] {
            let read = Documents::read(&"/x".into(), data, schema);
            read.all.iter().for_each(|node| drop((node.to_json(), node.to_places())));
        }
        let _ = Compose::parse("/x", data).to_json();
        let _ = Compose::read(files.tree(), PATHS[4]).map(|read| read.to_json());
        let _ = Manifests::parse("/x", data).to_json();
        let _ = Kubelet::read(files.tree(), PATHS[6], CONFIG_DIR).map(|read| read.to_json());
        let _ = CloudInit::read(files.tree(), CLOUD_CFG).to_json();
        let _ = Netplan::read(files.tree()).to_json();
    });
});
