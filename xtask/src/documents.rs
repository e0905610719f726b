//! Files that the documents name exist: a `name.rs` between backticks is the end of the path of one of ours.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::stage::Finding;
use crate::workspace::Source;

/// Names in README.md and `docs/` of files that are not there.
pub(crate) fn findings(root: &Path, sources: &[Source]) -> Result<Vec<Finding>> {
    let mut documents = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs")).context("cannot read docs")? {
        documents.push(entry?.path());
    }
    documents.retain(|document| document.extension().is_some_and(|kind| kind == "md"));
    documents.sort();
    let mut findings = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document);
        let text = text.with_context(|| format!("cannot read {}", document.display()))?;
        let path = document.strip_prefix(root).unwrap_or(&document);
        findings.extend(missing(&path.to_string_lossy(), &text, sources));
    }
    Ok(findings)
}

fn missing(document: &str, text: &str, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        // What stands between backticks is every second piece.
        for name in line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| is_file(name))
        {
            let end = format!("/{name}");
            if !sources
                .iter()
                .any(|source| source.path == name || source.path.ends_with(&end))
            {
                let what = format!("there is no {name}: name the file that it is now");
                findings.push(Finding::new(document, number, what));
            }
        }
    }
    findings
}

fn is_file(name: &str) -> bool {
    let letters = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '/' | '.');
    Path::new(name).extension().is_some_and(|kind| kind == "rs") && name.chars().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_is_named_with_its_line() {
        let sources = [Source::of("src/domain/view/time.rs", "")];
        let of = |text| missing("docs/a.md", text, &sources);
        assert!(
            of("| L6 | `view/time.rs`, `src/domain/view/time.rs`, `NAME.rs of it` |").is_empty()
        );
        let text = "first\n`w/time.rs` and `view/gone.rs`";
        let told: Vec<String> = of(text).iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].contains("docs/a.md:2") && told[1].contains("view/gone.rs"));
    }
}
