//! `configuration`: `docs/configuration.md`, made of what stands above each setting in `src/config`.
//!
//! A setting's doc comment begins with its key and its default, as in "`log.format`, default `auto`: …". `check` compares
//! the page with what would be made of them now.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::stage::Finding;

const PAGE: &str = "docs/configuration.md";
/// Which file has which section, in the page's order.
const SECTIONS: [&str; 10] = [
    "node",
    "listen",
    "cluster",
    "database",
    "management",
    "gateway",
    "oauth2",
    "traffic_manager",
    "usage",
    "log",
];
const HEAD: &str = "# Configuration

Made by `cargo xtask configuration` of the comments in `src/config`; change them there.

One TOML file (`--config`); over it the environment (`HEADGATE__SECTION__KEY`, such as `HEADGATE__LISTEN__PORT_OFFSET=10`); over both the
flags. An unknown key is an error that names the line, and the key that was meant where one is like it. A variable of ours that is no UTF-8
is an error, others are not looked at. `headgate check` prints every value and where it comes from; `headgate reload` reads them once more, and
says which of them wait for the next start.
";

/// One setting.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    key: String,
    default: String,
    meaning: String,
}

/// Writes the page.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn write(root: &Path) -> Result<()> {
    let page = page(root)?;
    fs::write(root.join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))
}

/// Whether the page is of now.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn findings(root: &Path) -> Result<Vec<Finding>> {
    let is = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    let stale = is != page(root)?;
    let what = "is not what the comments in src/config say, run cargo xtask configuration";
    Ok(stale
        .then(|| Finding::new(PAGE, 0, what))
        .into_iter()
        .collect())
}

fn page(root: &Path) -> Result<String> {
    let mut page = HEAD.to_owned();
    for section in SECTIONS {
        let path = format!("src/config/{section}.rs");
        let source = fs::read_to_string(root.join(&path));
        let source = source.with_context(|| format!("cannot read {path}"))?;
        page.push_str(&format!(
            "\n## {section}\n\n| key | default | meaning |\n|---|---|---|\n"
        ));
        for Setting {
            key,
            default,
            meaning,
        } in settings(&source)
        {
            page.push_str(&format!("| `{key}` | {default} | {meaning} |\n"));
        }
    }
    Ok(page)
}

/// The settings of a file, in its order.
fn settings(source: &str) -> Vec<Setting> {
    let (mut all, mut comment) = (Vec::new(), String::new());
    for line in source.lines() {
        match line.trim_start().strip_prefix("///") {
            Some(text) => {
                comment.push_str(text);
            }
            None => {
                all.extend(setting(comment.trim()));
                comment.clear();
            }
        }
    }
    all
}

fn setting(comment: &str) -> Option<Setting> {
    let (key, rest) = comment.strip_prefix('`')?.split_once("`, default ")?;
    let (default, meaning) = rest.split_once(": ")?;
    Some(Setting {
        key: key.to_owned(),
        default: default.to_owned(),
        meaning: meaning.trim_end_matches('.').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_what_its_comment_says_and_other_comments_are_none() {
        let source = "/// `[log]`\nstruct Log {\n    /// `log.format`, default `auto`: `json`, or\n    /// `text`: as it is.\n    \
                      format: u8,\n    /// Another one.\n    other: u8,\n}\n";
        let found = settings(source);
        let wanted = Setting {
            key: "log.format".to_owned(),
            default: "`auto`".to_owned(),
            meaning: "`json`, or `text`: as it is".to_owned(),
        };
        assert_eq!(found, [wanted]);
    }
}
