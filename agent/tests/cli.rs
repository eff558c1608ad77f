//! Golden scripts: what a command prints, on which stream, with which exit code.

#[test]
fn golden_scripts() {
    trycmd::TestCases::new().case("tests/cli/*.trycmd");
}
