//! Rendering of a screen as a self-contained SVG.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// Width of a cell, in pixels.
const CELL_WIDTH: f32 = 8.4;
/// Height of a cell, in pixels.
const CELL_HEIGHT: f32 = 17.0;
/// Font size, in pixels.
const FONT_SIZE: f32 = 14.0;
/// Margin around the cells, in pixels.
const MARGIN: f32 = 10.0;

/// Default background colour.
const BACKGROUND: &str = "#16181d";
/// Default text colour.
const FOREGROUND: &str = "#d8dce3";

/// Renders `buffer` as an SVG, with `title` as its accessible name.
pub fn render(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (f32::from(buffer.area.width), f32::from(buffer.area.height));
    let (width, height) = (columns * CELL_WIDTH + 2.0 * MARGIN, rows * CELL_HEIGHT + 2.0 * MARGIN);
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" role=\"img\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"'DejaVu Sans Mono','Menlo','Consolas',monospace\" font-size=\"{FONT_SIZE}\" \
         xml:space=\"preserve\">\n",
        escaped(title)
    );
    for row in 0..buffer.area.height {
        let mut column = 0;
        while column < buffer.area.width {
            column += write_run(&mut out, buffer, column, row);
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Writes the cells from `column` on that have the same style as one text; returns the number of columns written.
fn write_run(out: &mut String, buffer: &Buffer, column: u16, row: u16) -> u16 {
    let cell_at = |column: u16| &buffer[(buffer.area.x + column, buffer.area.y + row)];
    let first = cell_at(column);
    let (foreground, background, modifier) = style_of(first);
    let mut text = String::new();
    let mut end = column;
    while end < buffer.area.width && style_of(cell_at(end)) == (foreground.clone(), background.clone(), modifier) {
        let symbol = cell_at(end).symbol();
        text.push_str(symbol);
        // A wide character covers the cell after it.
        end += u16::try_from(symbol.width().max(1)).unwrap_or(1);
    }
    let x = MARGIN + f32::from(column) * CELL_WIDTH;
    let y = MARGIN + f32::from(row) * CELL_HEIGHT;
    let width = f32::from(end - column) * CELL_WIDTH;
    if background != BACKGROUND {
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{background}\"/>"
        );
    }
    if !text.trim().is_empty() {
        let bold = if modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
        let underlined = modifier.contains(Modifier::UNDERLINED);
        let underline = if underlined { " text-decoration=\"underline\"" } else { "" };
        let baseline = y + CELL_HEIGHT * 0.76;
        // textLength keeps the grid even if the viewer's font has other widths.
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{baseline:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
             fill=\"{foreground}\"{bold}{underline}>{}</text>",
            escaped(&text)
        );
    }
    end - column
}

/// Text colour, background colour and modifiers of a cell.
fn style_of(cell: &Cell) -> (String, String, Modifier) {
    let (foreground, background) = (hex_colour(cell.fg, FOREGROUND), hex_colour(cell.bg, BACKGROUND));
    let modifier = cell.modifier & (Modifier::BOLD | Modifier::UNDERLINED);
    if cell.modifier.contains(Modifier::REVERSED) {
        (background, foreground, modifier)
    } else {
        (foreground, background, modifier)
    }
}

fn hex_colour(colour: Color, default: &str) -> String {
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
