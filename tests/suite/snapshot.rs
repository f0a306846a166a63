//! Screen snapshots as text files with styles: the text, and below it the styled ranges of each row.
//! `UPDATE_SNAPSHOTS=1 cargo test` rewrites them.

use std::fmt::Write;
use std::path::PathBuf;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

/// Returns the text of a buffer, one line for each row, without trailing spaces.
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for row in 0..buffer.area.height {
        let mut line = String::new();
        let mut covered = 0;
        for column in 0..buffer.area.width {
            let symbol = buffer[(column, row)].symbol();
            if covered == 0 {
                line.push_str(symbol);
                covered = unicode_width::UnicodeWidthStr::width(symbol).max(1);
            }
            covered -= 1;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn style_name(style: Style) -> String {
    let mut name = String::new();
    if let Some(ink) = style.fg.filter(|ink| *ink != Color::Reset) {
        let _ = write!(name, "{ink}");
    }
    if let Some(paper) = style.bg.filter(|paper| *paper != Color::Reset) {
        let _ = write!(name, "/{paper}");
    }
    for (modifier, mark) in [(Modifier::BOLD, "+b"), (Modifier::REVERSED, "+r"), (Modifier::UNDERLINED, "+u")] {
        if style.add_modifier.contains(modifier) {
            name.push_str(mark);
        }
    }
    name
}

/// Returns text and styles of a buffer.
pub fn styled(buffer: &Buffer) -> String {
    let mut out = text(buffer);
    out.push_str("--- styles: row: columns style\n");
    for row in 0..buffer.area.height {
        let mut ranges: Vec<(u16, u16, String)> = Vec::new();
        for column in 0..buffer.area.width {
            let name = style_name(buffer[(column, row)].style());
            match ranges.last_mut().filter(|(_, _, last)| *last == name) {
                Some((_, end, _)) => *end = column,
                None => ranges.push((column, column, name)),
            }
        }
        let styled = ranges.iter().filter(|(_, _, name)| !name.is_empty());
        let line = styled.map(|(from, to, name)| format!("{from}-{to} {name}")).collect::<Vec<_>>().join(", ");
        if !line.is_empty() {
            let _ = writeln!(out, "{row}: {line}");
        }
    }
    out
}

/// Asserts that `buffer` equals the snapshot `name`.
pub fn assert_snapshot(name: &str, buffer: &Buffer) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/suite/snapshots", &format!("{name}.txt")].iter().collect();
    let now = styled(buffer);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, now).expect("the snapshot folder is part of the repository");
        return;
    }
    let then = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(then == now, "{name} differs from {}:\n{now}\nit was:\n{then}", path.display());
}
