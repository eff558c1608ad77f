//! Makes the built-in rules ready to use: every file of `content/rules` is read here, so that a program
//! that starts decodes a few hundred kilobytes instead of reading YAML, and a rule that is wrong ends
//! the build with its place.
//!
//! The same for `content/fingerprints`: `fingerprints.bin` (without the examples, which only
//! `wardmote fingerprints verify` needs) and `fingerprints.rs`.
//!
//! Writes `rules.bin` (the documents of all files in the order of their names, in postcard's format) and
//! `rules.rs` (the list of the files with their texts and samples, for the rule author's commands).

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parsers::rules::recog::{self, Database};
use parsers::rules::sigma::{Document, parse};

type Done<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Done<()> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let content = manifest.join("../content/rules").canonicalize()?;
    println!("cargo::rerun-if-changed={}", content.display());
    let mut list = String::from("&[\n");
    let mut documents: Vec<Document> = Vec::new();
    for path in files(&content, "yml")? {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("content/rules/{stem}.yml");
        documents.extend(parse(&Arc::from(name.as_str()), &std::fs::read(&path)?)?);
        let samples = content.join("tests").join(format!("{stem}.yml"));
        writeln!(list, "({name:?}, include_str!({path:?}), include_str!({samples:?})),")?;
    }
    list.push(']');
    std::fs::write(out.join("rules.rs"), list)?;
    std::fs::write(out.join("rules.bin"), postcard::to_stdvec(&documents)?)?;
    fingerprints(&manifest, &out)
}

/// The service fingerprints.
fn fingerprints(manifest: &Path, out: &Path) -> Done<()> {
    let content = manifest.join("../content/fingerprints").canonicalize()?;
    println!("cargo::rerun-if-changed={}", content.display());
    let mut list = String::from("&[\n");
    let mut databases: Vec<Database> = Vec::new();
    for path in files(&content, "xml")? {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("content/fingerprints/{stem}.xml");
        let mut database = recog::parse(&Arc::from(name.as_str()), &std::fs::read(&path)?)?;
        database.fingerprints.iter_mut().for_each(|one| one.examples.clear());
        databases.push(database);
        writeln!(list, "({name:?}, include_str!({path:?})),")?;
    }
    list.push(']');
    std::fs::write(out.join("fingerprints.rs"), list)?;
    std::fs::write(out.join("fingerprints.bin"), postcard::to_stdvec(&databases)?)?;
    Ok(())
}

/// The files of a directory that end in one way, by name.
fn files(content: &Path, end: &str) -> Done<Vec<PathBuf>> {
    let entries: std::io::Result<Vec<PathBuf>> =
        std::fs::read_dir(content)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = entries?;
    files.retain(|path| path.extension().is_some_and(|found| found == end));
    files.sort();
    Ok(files)
}
