//! A screen as a picture: a buffer of cells becomes an SVG that needs nothing else to be shown.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// Pixels of one cell, and of the text in it.
const CELL_WIDTH: f32 = 8.4;
const CELL_HEIGHT: f32 = 17.0;
const FONT_SIZE: f32 = 14.0;
const MARGIN: f32 = 10.0;

const PAPER: &str = "#16181d";
const INK: &str = "#d8dce3";

/// The picture of `buffer`, with `title` for those who cannot see it.
pub fn svg(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (f32::from(buffer.area.width), f32::from(buffer.area.height));
    let (width, height) = (columns * CELL_WIDTH + 2.0 * MARGIN, rows * CELL_HEIGHT + 2.0 * MARGIN);
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" role=\"img\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{PAPER}\"/>\n\
         <g font-family=\"'DejaVu Sans Mono','Menlo','Consolas',monospace\" font-size=\"{FONT_SIZE}\" \
         xml:space=\"preserve\">\n",
        escaped(title)
    );
    for row in 0..buffer.area.height {
        let mut column = 0;
        while column < buffer.area.width {
            column += run(&mut out, buffer, column, row);
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Writes the cells from `column` on that look alike as one text; tells how many columns they take.
fn run(out: &mut String, buffer: &Buffer, column: u16, row: u16) -> u16 {
    let cell_at = |column: u16| &buffer[(buffer.area.x + column, buffer.area.y + row)];
    let first = cell_at(column);
    let (ink, paper, modifier) = look(first);
    let mut text = String::new();
    let mut end = column;
    while end < buffer.area.width && look(cell_at(end)) == (ink.clone(), paper.clone(), modifier) {
        let symbol = cell_at(end).symbol();
        text.push_str(symbol);
        // A wide character covers the cell after it.
        end += u16::try_from(symbol.width().max(1)).unwrap_or(1);
    }
    let x = MARGIN + f32::from(column) * CELL_WIDTH;
    let y = MARGIN + f32::from(row) * CELL_HEIGHT;
    let width = f32::from(end - column) * CELL_WIDTH;
    if paper != PAPER {
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{paper}\"/>"
        );
    }
    if !text.trim().is_empty() {
        let bold = if modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
        let underlined = modifier.contains(Modifier::UNDERLINED);
        let underline = if underlined { " text-decoration=\"underline\"" } else { "" };
        let baseline = y + CELL_HEIGHT * 0.76;
        // textLength keeps the grid where the font at hand has other widths.
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{baseline:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
             fill=\"{ink}\"{bold}{underline}>{}</text>",
            escaped(&text)
        );
    }
    end - column
}

/// Ink, paper and the modifiers that change a cell's look.
fn look(cell: &Cell) -> (String, String, Modifier) {
    let (ink, paper) = (colour(cell.fg, INK), colour(cell.bg, PAPER));
    let modifier = cell.modifier & (Modifier::BOLD | Modifier::UNDERLINED);
    if cell.modifier.contains(Modifier::REVERSED) { (paper, ink, modifier) } else { (ink, paper, modifier) }
}

fn colour(colour: Color, default: &str) -> String {
    match colour {
        Color::Black => "#16181d",
        Color::Red | Color::LightRed => "#e86a6a",
        Color::Green | Color::LightGreen => "#6cc66c",
        Color::Yellow | Color::LightYellow => "#e5b54a",
        Color::Blue | Color::LightBlue => "#5f9be6",
        Color::Magenta | Color::LightMagenta => "#c682d9",
        Color::Cyan | Color::LightCyan => "#4fc1c4",
        Color::DarkGray => "#808894",
        Color::Gray => "#b4bac4",
        Color::White => "#ffffff",
        Color::Rgb(red, green, blue) => return format!("#{red:02x}{green:02x}{blue:02x}"),
        Color::Reset | Color::Indexed(_) => default,
    }
    .to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
