//! `cargo xtask deb`: the Debian package. Builds the program, lets it write its own manual pages, completions
//! and example configuration into `target/packaging`, and calls cargo-deb (`cargo install cargo-deb`). The
//! package ends up in `target/debian`; `systemd/package-test.sh` installs it under a real systemd.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Makes the package; prints where it is.
pub fn make() -> Result<()> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    run(Command::new("cargo")
        .args(["build", "--release", "--locked", "-p", "agent"])
        .current_dir(root))?;
    let program = root.join("target/release/wardmote");
    let place = root.join("target/packaging");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(place.join("man"))?;
    pages(&program, &place.join("man"))?;
    for (shell, name) in
        [("bash", "wardmote.bash"), ("zsh", "_wardmote"), ("fish", "wardmote.fish")]
    {
        std::fs::write(place.join(name), said(&program, &["completions", shell])?)?;
    }
    std::fs::write(place.join("wardmote.yaml"), example(&program)?)?;
    let mut deb = Command::new("cargo");
    run(deb.args(["deb", "-p", "agent", "--no-build", "--locked"]).current_dir(root))
        .context("is cargo-deb installed? cargo install cargo-deb")
}

/// A manual page for the program and for each command.
fn pages(program: &Path, place: &Path) -> Result<()> {
    let help = said(program, &["--help"])?;
    let commands = help.lines().filter_map(|line| line.strip_prefix("  ")).filter_map(|line| {
        let name = line.split(' ').next()?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
        is_name.then_some(name)
    });
    let mut made = 0;
    for name in commands.filter(|name| *name != "help") {
        write_page(&place.join(format!("wardmote-{name}.8")), &said(program, &["man", name])?)?;
        made += 1;
    }
    ensure!(made > 20, "`wardmote --help` names only {made} commands");
    write_page(&place.join("wardmote.8"), &said(program, &["man"])?)
}

/// Compressed, as Debian wants them.
fn write_page(path: &PathBuf, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    run(Command::new("gzip").args(["--best", "--no-name", "--force"]).arg(path))
}

/// Every setting with its default, as comments.
fn example(program: &Path) -> Result<String> {
    let empty = empty_file()?;
    let shown = Command::new(program)
        .args(["config", "show", "--config"])
        .arg(&empty)
        .output()
        .context("wardmote config show")?;
    ensure!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    std::fs::remove_file(&empty)?;
    let mut text = "# Every setting of wardmote with its default. Copy to /etc/wardmote/wardmote.yaml and take the comment\n# signs off what you change; `wardmote config check` says whether it holds.\n#\n".to_string();
    for line in String::from_utf8(shown.stdout)?.lines() {
        text.push_str(&format!("#{line}\n"));
    }
    Ok(text)
}

/// An empty configuration file.
fn empty_file() -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("wardmote-empty-{}.yaml", std::process::id()));
    std::fs::write(&path, "")?;
    Ok(path)
}

fn said(program: &Path, words: &[&str]) -> Result<String> {
    let output = Command::new(program).args(words).output()?;
    ensure!(output.status.success(), "wardmote {}: {}", words.join(" "), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
