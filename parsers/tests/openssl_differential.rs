//! Asks the real openssl about certificates and keys that it makes: subject, names, dates, key, signature.

#![allow(clippy::unwrap_used)] // a test's helpers, too, should stop at the first surprise

mod differential;

use std::path::Path;
use std::process::Command;

use differential::{Dice, run, skip};
use parsers::config::certificates::Certificates;

const COUNT: u64 = 50;

#[test]
fn fifty_certificates_agree_with_openssl() {
    if Command::new("openssl").arg("version").output().is_err() {
        return skip("no openssl here");
    }
    let scratch = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let place = scratch.path().join(half.to_string());
            std::fs::create_dir(&place).unwrap();
            scope.spawn(move || (half..COUNT).step_by(2).for_each(|seed| agree(seed, &place)));
        }
    });
}

fn agree(seed: u64, scratch: &Path) {
    let mut dice = Dice::new(seed);
    let case = Case::new(&mut dice);
    let (certificate, key) = (scratch.join("c.pem"), scratch.join("k.pem"));
    case.make(&certificate, &key);
    let pem = std::fs::read(&certificate).unwrap();
    let read = Certificates::parse("/c.pem", &pem);
    assert!(read.problems.is_empty(), "{seed}: {:?}", read.problems);
    let ours = &read.certificates[0];
    let say = |what: &[&str]| {
        let mut command = Command::new("openssl");
        let output = run(command.args(["x509", "-noout", "-in"]).arg(&certificate).args(what));
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    };
    let after = |text: String| text.split_once('=').unwrap().1.trim().to_string();
    let options = ["-nameopt", "RFC2253,utf8,-esc_msb"];
    assert_eq!(ours.subject, after(say(&["-subject", options[0], options[1]])), "{seed}");
    assert_eq!(ours.issuer, after(say(&["-issuer", options[0], options[1]])), "{seed}");
    let serial = after(say(&["-serial"])).to_lowercase();
    assert_eq!(ours.serial, serial, "{seed}");
    let dates = say(&["-dates", "-dateopt", "iso_8601"]);
    let iso = |text: &str| text.split_once('=').unwrap().1.replace(' ', "T");
    let dates: Vec<String> = dates.lines().map(iso).collect();
    assert_eq!([&ours.not_before, &ours.not_after], [&dates[0], &dates[1]], "{seed}");
    let lasts = ours.not_after_unix - ours.not_before_unix;
    assert_eq!(lasts, case.days * 86_400, "{seed}");
    let text = say(&["-text"]);
    assert!(text.contains(&format!("Signature Algorithm: {}", ours.signature)), "{seed}: {text}");
    let bits = text.split("Public-Key: (").nth(1).and_then(|rest| rest.split(' ').next());
    if let Some(bits) = bits {
        assert_eq!(ours.key.bits, bits.parse().ok(), "{seed}");
    }
    assert_eq!(ours.key.curve.as_deref(), case.curve(), "{seed}");
    assert_eq!(ours.names, case.names, "{seed}");
    assert_eq!(ours.is_authority, text.contains("CA:TRUE"), "{seed}");
    assert!(ours.self_signed, "{seed}");
    // The key's own file, and the certificate in DER.
    let keys = Certificates::parse("/k.pem", &std::fs::read(&key).unwrap());
    assert_eq!(keys.keys[0].key.as_ref(), Some(&ours.key), "{seed}: {:?}", keys.problems);
    let der = scratch.join("c.der");
    run(Command::new("openssl")
        .args(["x509", "-outform", "der", "-in"])
        .arg(&certificate)
        .arg("-out")
        .arg(&der));
    let mut again = Certificates::parse("/c.pem", &std::fs::read(&der).unwrap()).certificates;
    again[0].place = ours.place.clone();
    assert_eq!(&again[0], ours, "{seed}");
}

struct Case {
    key: &'static [&'static str],
    digest: &'static str,
    subject: String,
    names: Vec<String>,
    days: u64,
    authority: bool,
}

const KEYS: &[&[&str]] = &[
    &["rsa:1024"],
    &["rsa:2048"],
    &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    &["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
    &["ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
    &["ed25519"],
    &["ed448"],
];

impl Case {
    fn new(dice: &mut Dice) -> Self {
        let key = KEYS[dice.below(KEYS.len())];
        let mut subject = format!("/CN=host{}.example", dice.below(100));
        for part in ["/O=An, Org", "/C=DE", "/L=K\\+y <x>", "/OU=\"q\"; y", "/ST=ü ß"] {
            if dice.one_in(3) {
                subject.push_str(part);
            }
        }
        let all = [
            "dns:a.example",
            "dns:*.b.example",
            "ip:192.0.2.1",
            "ip:2001:db8::1",
            "email:a@b",
            "uri:https://x/y",
        ];
        let names = all.iter().filter(|_| dice.one_in(2)).map(|name| (*name).to_string()).collect();
        Self {
            key,
            digest: ["-sha256", "-sha384", "-sha512", "-sha1"][dice.below(4)],
            subject,
            names,
            days: [1, 30, 365, 9_000][dice.below(4)],
            authority: dice.one_in(2),
        }
    }

    fn curve(&self) -> Option<&'static str> {
        self.key.last().and_then(|last| last.strip_prefix("ec_paramgen_curve:"))
    }

    fn make(&self, certificate: &Path, key: &Path) {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-utf8", "-config", "/dev/null", "-newkey"]);
        command.args(self.key).arg(self.digest).args(["-subj", &self.subject, "-days"]);
        command.arg(self.days.to_string()).arg("-keyout").arg(key).arg("-out").arg(certificate);
        let authority = if self.authority { "TRUE" } else { "FALSE" };
        command.arg("-addext").arg(format!("basicConstraints=critical,CA:{authority}"));
        if !self.names.is_empty() {
            let names: Vec<String> = self
                .names
                .iter()
                .map(|name| {
                    let (kind, value) = name.split_once(':').unwrap();
                    let kind = match kind {
                        "dns" => "DNS",
                        "ip" => "IP",
                        "uri" => "URI",
                        other => other,
                    };
                    format!("{kind}:{value}")
                })
                .collect();
            command.arg("-addext").arg(format!("subjectAltName={}", names.join(",")));
        }
        let output = run(&mut command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
