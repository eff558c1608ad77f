//! Blocks, made by `nft` itself; for whoever has CAP_NET_ADMIN.

use std::time::Duration;

use super::{Blocked, Failed, block, run};

/// How long `nft` may take.
const NFT_WITHIN: Duration = Duration::from_secs(5);

/// Makes exactly these networks the blocked ones, at once or not at all.
pub fn block_only(blocks: &[Blocked]) -> Result<(), Failed> {
    let nft = run::find("nft").ok_or_else(|| Failed::Nothing("nft is not installed".into()))?;
    let words = [nft, "-f".into(), "-".into()];
    let rules = block::rules(blocks);
    let mut command = run::plain(&words);
    let said = run::run(&mut command, rules.as_bytes(), NFT_WITHIN)?;
    // A transaction of nft happens whole or not at all.
    if said.success { Ok(()) } else { Err(Failed::Nothing(format!("nft: {}", said.line()))) }
}

/// Whether exactly these are blocked, as far as can be seen.
pub fn blocks_stand(blocks: &[Blocked]) -> Result<bool, String> {
    Ok(match table()? {
        Some(json) => block::stands(&json, blocks),
        None => blocks.is_empty(),
    })
}

/// What is blocked, and for how long still.
pub fn blocks() -> Result<Vec<Blocked>, String> {
    match table()? {
        Some(json) => block::listed(&json).ok_or_else(|| "nft: no list of blocks".to_string()),
        None => Ok(Vec::new()),
    }
}

/// Our table as nft's JSON; `None` where there is none.
fn table() -> Result<Option<Vec<u8>>, String> {
    let nft = run::find("nft").ok_or("nft is not installed")?;
    let words = ["-j", "list", "table", "inet", block::TABLE].map(Into::into);
    let words: Vec<_> = std::iter::once(nft).chain(words).collect();
    let said = run::run(&mut run::plain(&words), b"", NFT_WITHIN);
    let said = said.map_err(|failed| failed.why().to_string())?;
    match said.success {
        true => Ok(Some(said.stdout)),
        false if said.line().contains("No such file or directory") => Ok(None),
        false => Err(format!("nft: {}", said.line())),
    }
}
