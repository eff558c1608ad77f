//! Targets that CI does not run: long benchmarks, peers, fuzzing.

fn main() -> anyhow::Result<()> {
    anyhow::bail!("usage: cargo xtask bench|fuzz")
}
