//! Plain tables for people: columns as wide as their widest cell.

use std::io::{self, Write as _};

/// Prints a heading and rows.
pub(crate) fn print(heading: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for line in lines(heading, rows) {
        writeln!(stdout, "{line}")?;
    }
    Ok(())
}

fn lines(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heading: Vec<String> = heading.iter().map(|cell| (*cell).to_owned()).collect();
    let mut widths = vec![0; heading.len()];
    for row in std::iter::once(&heading).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    std::iter::once(&heading).chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_blanks_at_their_end() {
        let rows = [
            vec!["a".to_owned(), String::new()],
            vec!["long".to_owned(), "b".to_owned()],
        ];
        assert_eq!(lines(&["x", "y"], &rows), ["x     y", "a", "long  b"]);
    }
}
