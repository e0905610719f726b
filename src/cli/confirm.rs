//! Asks whoever sits at the terminal before something is done that cannot be taken back.

use std::io::IsTerminal as _;

use anyhow::bail;

use super::print::prompt;

/// Asks `question`; without a yes nothing is done, which `not_done` says.
///
/// # Errors
/// Without a yes, and where nobody is there to be asked.
pub(super) fn confirm(question: &str, not_done: &str) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!("{question}\nnobody is there to be asked: say --yes");
    }
    prompt(&format!("{question}\ngo on? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("{not_done}"),
    }
}
