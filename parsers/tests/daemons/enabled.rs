//! `systemctl --root is-enabled` (systemd 252) is asked about generated trees of units and links; its word
//! is compared with ours.
//!
//! Known difference, kept out of the generator: a link to a file outside of the search path, below `/run`
//! and of the same name as a file in `/etc`, counts as `enabled-runtime` for systemd.

use std::process::Command;

use parsers::config::systemd_unit::{Unit, UnitFiles};

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict, told};

const NAMES: [&str; 4] = ["a.service", "b.service", "c.timer", "d.socket"];
const HOMES: [&str; 3] = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];
const INSTALL: [&str; 7] = [
    "",
    "[Install]\nWantedBy=multi-user.target\n",
    "[Install]\nRequiredBy=x.target y.target\n",
    "[Install]\nAlias=other.service\nAlias=more.service\n",
    "[Install]\nAlso=b.service\n",
    "[Install]\nWantedBy=\n",
    "[Install]\nAlso=a.service\nWantedBy=x.target\n",
];

fn generate(dice: &mut Dice, root: &Directory) {
    let is_there = |path: &str| root.0.join(&path[1..]).symlink_metadata().is_ok();
    for name in NAMES {
        for _ in 0..=dice.below(2) {
            let path = format!("{}/{name}", dice.pick(&HOMES));
            if root.0.join(&path[1..]).is_symlink() {
                continue;
            }
            let head = "[Unit]\nDescription=x\n";
            match dice.below(12) {
                0 => root.link(&path, "/dev/null"),
                1 if !HOMES.iter().any(|home| is_there(&format!("{home}/{name}"))) => {
                    root.write(&format!("/opt/{name}"), format!("{head}{}", dice.pick(&INSTALL)));
                    root.link(&path, &format!("/opt/{name}"));
                    break;
                }
                _ => root.write(&path, format!("{head}{}", dice.pick(&INSTALL))),
            }
        }
        for _ in 0..dice.below(3) {
            let folder =
                dice.pick(&["multi-user.target.wants", "x.target.requires", "x.target.upholds"]);
            let home = dice.pick(&HOMES);
            root.link(
                &format!("{home}/{folder}/{name}"),
                &format!("/usr/lib/systemd/system/{name}"),
            );
        }
    }
    for alias in ["other.service", "more.service"] {
        if dice.one_in(3) {
            let to = dice.pick(&["a.service", "b.service"]);
            root.link(
                &format!("{}/{alias}", dice.pick(&HOMES)),
                &format!("/usr/lib/systemd/system/{to}"),
            );
        }
    }
}

#[test]
fn units_are_enabled_as_systemctl_says() {
    if !peer::has("systemctl") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, _) = peer::agree(peer::seeds(60), |seed| {
        let mut dice = Dice::new(seed);
        let root = Directory(scratch.path().join(seed.to_string()));
        std::fs::create_dir_all(&root.0).unwrap();
        generate(&mut dice, &root);
        let files = UnitFiles::list(&root);
        for name in NAMES {
            let output = Command::new("systemctl")
                .arg(format!("--root={}", root.0.display()))
                .args(["is-enabled", name])
                .output()
                .unwrap();
            let theirs = String::from_utf8_lossy(&output.stdout).trim().to_string();
            let unit = Unit::load(&root, &files, name);
            let ours = serde_json::to_value(files.enabled(name, &unit)).unwrap();
            let ours = ours.as_str().unwrap_or_default().to_string();
            if theirs != ours && !(theirs.is_empty() && ours == "not-found") {
                let tree =
                    Command::new("find").arg(&root.0).args(["-not", "-type", "d", "-ls"]).output();
                let tree = told(&tree.unwrap());
                let text = format!("{:?}", unit.settings.by_key.keys());
                return Err(format!(
                    "{name}: systemd {} ours {ours} {text}\n{tree}",
                    told(&output)
                ));
            }
        }
        Ok(Verdict::Accepted)
    });
    assert!(accepted > 50, "{accepted}");
}
