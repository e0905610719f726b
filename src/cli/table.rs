//! Plain tables for people: columns as wide as their widest cell.

use std::io::{self, IsTerminal as _};

use super::print::{read_enough, say_once};

/// Prints a heading and rows.
pub(crate) fn print(heading: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let in_colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for line in lines(heading, rows, in_colour) {
        read_enough(say_once(&line))?;
    }
    Ok(())
}

/// The colour of a word that says how something is.
fn colour(cell: &str) -> Option<u8> {
    match cell {
        "ok" | "up" | "held" => Some(32),
        "suspect" | "leaving" | "unmet" | "over" => Some(33),
        "failed" | "down" | "no answer" | "fenced" => Some(31),
        _ => None,
    }
}

fn lines(heading: &[&str], rows: &[Vec<String>], in_colour: bool) -> Vec<String> {
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
            .map(|(cell, width)| {
                let padded = format!("{cell:width$}");
                match colour(cell).filter(|_| in_colour) {
                    Some(colour) => padded.replacen(
                        cell.as_str(),
                        &format!("\u{1b}[{colour}m{cell}\u{1b}[0m"),
                        1,
                    ),
                    None => padded,
                }
            })
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
        let plain = lines(&["x", "y"], &rows, false);
        assert_eq!(plain, ["x     y", "a", "long  b"]);
    }

    #[test]
    fn colours_move_no_column_and_are_left_out_where_nobody_looks() {
        let rows = [vec!["up".to_owned(), "b".to_owned()]];
        let heading = ["state", "y"];
        let coloured = lines(&heading, &rows, true);
        assert_eq!(coloured, ["state  y", "\u{1b}[32mup\u{1b}[0m     b"]);
        assert_eq!(lines(&heading, &rows, false), ["state  y", "up     b"]);
    }
}
