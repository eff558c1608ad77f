//! Golden scripts: what a command prints, on which stream, with which exit code.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

#[test]
fn golden_scripts() {
    trycmd::TestCases::new().case("tests/cli/*.trycmd");
}
