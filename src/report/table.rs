//! Text tables with aligned columns. Widths are in terminal columns.
//!
//! ```
//! use loopscope::report::{ColumnAlign, table_lines};
//!
//! let row = |task: &str, polls: &str| vec![task.to_owned(), polls.to_owned()];
//! let lines = table_lines(&[ColumnAlign::Left, ColumnAlign::Right], &[row("task", "polls"), row("main", "2")]);
//! assert_eq!(lines, ["task  polls", "main      2"]);
//! ```

use unicode_width::UnicodeWidthStr;

/// Alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnAlign {
    /// Left-aligned.
    Left,
    /// Right-aligned.
    Right,
}

/// Formats rows as lines, with two spaces between columns and no trailing spaces.
///
/// Each row has one cell per entry of `alignments`. The first row may be a heading.
pub fn lines(alignments: &[ColumnAlign], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..alignments.len()).map(width).collect();
    rows.iter().map(|row| line(alignments, &widths, row)).collect()
}

/// Formats one row.
fn line(alignments: &[ColumnAlign], widths: &[usize], row: &[String]) -> String {
    let mut line = String::new();
    for ((cell, align), width) in row.iter().zip(alignments).zip(widths) {
        let space = " ".repeat(width - cell.width());
        match align {
            ColumnAlign::Left => line.extend([cell.as_str(), &space, "  "]),
            ColumnAlign::Right => line.extend([&space, cell.as_str(), "  "]),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_with_wide_characters() {
        let rows = [["id", "name", "polls"], ["1", "將軍", "12"], ["10", "a", "3"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        let lines = lines(&[ColumnAlign::Right, ColumnAlign::Left, ColumnAlign::Right], &rows);
        assert_eq!(lines, ["id  name  polls", " 1  將軍     12", "10  a         3"]);
    }
}
