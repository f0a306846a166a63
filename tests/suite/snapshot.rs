//! Screens as plain text files that keep their styles: the text as it is, and below it the styled stretches of each
//! row. `UPDATE_SNAPSHOTS=1 cargo test` writes them anew.

use std::fmt::Write;
use std::path::PathBuf;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

/// The text of a buffer, a line a row, without what trails.
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

fn named(style: Style) -> String {
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

/// Text and styles.
pub fn styled(buffer: &Buffer) -> String {
    let mut out = text(buffer);
    out.push_str("--- styles: row: columns style\n");
    for row in 0..buffer.area.height {
        let mut stretches: Vec<(u16, u16, String)> = Vec::new();
        for column in 0..buffer.area.width {
            let name = named(buffer[(column, row)].style());
            match stretches.last_mut().filter(|(_, _, last)| *last == name) {
                Some((_, end, _)) => *end = column,
                None => stretches.push((column, column, name)),
            }
        }
        let said = stretches.iter().filter(|(_, _, name)| !name.is_empty());
        let line = said.map(|(from, to, name)| format!("{from}-{to} {name}")).collect::<Vec<_>>().join(", ");
        if !line.is_empty() {
            let _ = writeln!(out, "{row}: {line}");
        }
    }
    out
}

/// Holds `buffer` to the file called `name`.
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
