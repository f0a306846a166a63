//! Columns of text that line up: each as wide as its widest cell, measured in terminal columns.

use unicode_width::UnicodeWidthStr;

/// Which side of a column its cells lean to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lean {
    Left,
    Right,
}

/// The rows as lines with two spaces between columns and none at the end. The first row may be a heading; each row
/// has as many cells as there are leanings.
pub fn lines(leanings: &[Lean], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..leanings.len()).map(width).collect();
    rows.iter().map(|row| line(leanings, &widths, row)).collect()
}

fn line(leanings: &[Lean], widths: &[usize], row: &[String]) -> String {
    let mut line = String::new();
    for ((cell, lean), width) in row.iter().zip(leanings).zip(widths) {
        let space = " ".repeat(width - cell.width());
        match lean {
            Lean::Left => line.extend([cell.as_str(), &space, "  "]),
            Lean::Right => line.extend([&space, cell.as_str(), "  "]),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// `text`, or as much of it as fits into `columns` with an ellipsis.
pub(super) fn shorten(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        short.push(character);
        if short.width() >= columns {
            short.pop();
            break;
        }
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_wide() {
        let rows = [["id", "name", "polls"], ["1", "將軍", "12"], ["10", "a", "3"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        let lines = lines(&[Lean::Right, Lean::Left, Lean::Right], &rows);
        assert_eq!(lines, ["id  name  polls", " 1  將軍     12", "10  a         3"]);
    }

    #[test]
    fn what_is_too_long_says_so() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdef", 4), "abc…");
        assert_eq!(shorten("將軍將軍", 4), "將…");
    }
}
