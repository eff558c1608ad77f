//! Sealing and opening a file of 256 MiB beside age and rage. All write real files and none asks for them to
//! be on the disk (the program `wardmote` itself does); the peers' processes start in their time.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crypto::seal::Key;
use crypto::seal::files::{Files, open, seal};

use crate::{Way, beside, time};

const BYTES: u64 = 256 << 20;

pub fn seal_and_open() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at = |name: &str| folder.path().join(name);
    let (plain, sealed, opened) = (at("plain"), at("sealed"), at("opened"));
    write_plain(&plain);
    let key = Key::from_file_bytes(&[1; 32]).unwrap();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let rage = std::env::var("WARDMOTE_RAGE").unwrap_or_else(|_| "rage".into());
    let identity = at("identity");
    let made = Command::new("age-keygen").arg("-o").arg(&identity).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("no age-keygen: sealed files are measured without peers");
    }
    let (aged, raged, away) = (at("aged"), at("raged"), at("away"));
    // Each writes a new file: what is overwritten is cheaper.
    let fresh = |path: &Path| drop(std::fs::remove_file(path));
    let peer = |program: &str, words: &[&str], from: &Path, to: &Path| {
        fresh(to);
        let mut command = Command::new(program);
        command.args(words).arg("-i").arg(&identity).arg("-o").arg(to).arg(from);
        let mut worked = false;
        let took = time(|| {
            worked = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        });
        worked.then_some(took)
    };
    let ours = || {
        fresh(&sealed);
        let (input, output) = (File::open(&plain).unwrap(), File::create(&sealed).unwrap());
        let files = Files { input: &input, output: &output, offset: 0, workers };
        time(|| seal(&key, &[2; 24], b"", files, BYTES).unwrap())
    };
    let peers: Vec<Way<'_>> = vec![
        ("age", Box::new(|| peer("age", &["-e"], &plain, &aged))),
        ("rage", Box::new(|| peer(&rage, &["-e"], &plain, &raged))),
    ];
    beside("256 MiB sealed, new file", ours, peers);
    let ours = || {
        fresh(&opened);
        let (input, output) = (File::open(&sealed).unwrap(), File::create(&opened).unwrap());
        let bytes = input.metadata().unwrap().len();
        let files = Files { input: &input, output: &output, offset: 0, workers };
        time(|| assert_eq!(open(&key, b"", files, bytes).unwrap(), BYTES))
    };
    let peers: Vec<Way<'_>> = vec![
        ("age", Box::new(|| peer("age", &["-d"], &aged, &away))),
        ("rage", Box::new(|| peer(&rage, &["-d"], &raged, &away))),
    ];
    beside("256 MiB opened, new file", ours, peers);
}

fn write_plain(path: &Path) {
    let mut file = File::create(path).unwrap();
    let part: Vec<u8> =
        (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    (0..BYTES >> 20).for_each(|_| file.write_all(&part).unwrap());
}
