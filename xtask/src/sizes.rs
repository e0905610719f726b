//! `sizes`: a file is at most 500 lines, tests and benches too, and the median of the others is below 200.

use anyhow::Result;

use crate::stage::{Finding, report};
use crate::workspace::Workspace;

/// Lines a file may have.
const LIMIT: usize = 500;
/// Lines the median non-test file must stay below.
const MEDIAN_LIMIT: usize = 200;

/// Prints the median and the files above the limit.
///
/// # Errors
/// When a file or the median is too long.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let sources = workspace.sources()?;
    let all: Vec<(&str, usize)> = sources
        .iter()
        .map(|source| (source.path.as_str(), source.lines))
        .collect();
    let plain = sources
        .iter()
        .filter(|source| !source.is_test())
        .map(|source| source.lines)
        .collect();
    let median = median(plain);
    println!(
        "{} files, median of the non-test files {median} lines",
        sources.len()
    );
    report(&findings(&all, median))
}

fn findings(files: &[(&str, usize)], median: usize) -> Vec<Finding> {
    let long = files.iter().filter(|(_, lines)| *lines > LIMIT);
    let mut findings: Vec<Finding> = long
        .map(|(path, lines)| {
            Finding::new(path, 0, format!("{lines} lines, at most {LIMIT}: split it"))
        })
        .collect();
    if median >= MEDIAN_LIMIT {
        let what =
            format!("median of the non-test files is {median} lines, must be below {MEDIAN_LIMIT}");
        findings.push(Finding::new("workspace", 0, what));
    }
    findings
}

/// The upper middle; 0 for none.
fn median(mut lines: Vec<usize>) -> usize {
    lines.sort_unstable();
    lines.get(lines.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_501_lines_is_refused_and_one_of_500_is_not() {
        let found = findings(&[("tests/a.rs", 500), ("tests/b.rs", 501)], 199);
        assert_eq!(
            found
                .iter()
                .map(|finding| finding.path.as_str())
                .collect::<Vec<_>>(),
            ["tests/b.rs"]
        );
    }

    #[test]
    fn a_median_of_200_is_refused() {
        assert_eq!(findings(&[], 200).len(), 1);
        assert_eq!(median(vec![400, 10, 200]), 200);
        assert_eq!(median(vec![1, 2, 3, 4]), 3);
        assert_eq!(median(Vec::new()), 0);
    }
}
