//! Parts that the pages share: their areas, column titles, rows, and the text in place of an empty list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::view::canvas::{put_mark, put_text};
use crate::view::glyph;
use crate::view::text;
use crate::view::theme::{Role, Theme};

/// Areas of a page. An area without space is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageLayout {
    /// The rule with the page's title.
    pub rule: Rect,
    /// The column titles.
    pub titles: Rect,
    /// The rows of the list.
    pub rows: Rect,
    /// Details of the chosen row, or totals of all rows.
    pub foot: Rect,
}

/// Draws a row of a list, marked if it is chosen. Each cell is width, role and text.
pub fn put_row(buffer: &mut Buffer, theme: &Theme, area: Rect, at: u16, is_chosen: bool, cells: &[(u16, Role, &str)]) {
    if at >= area.height {
        return;
    }
    let selected = theme.style(Role::Selected);
    if is_chosen {
        put_text(buffer, area, (0, at), &" ".repeat(area.width.into()), selected);
        put_mark(buffer, area, (0, at), glyph::SELECTED, selected);
    }
    let mut column = 2;
    for (width, role, cell) in cells {
        let style = if is_chosen { selected } else { theme.style(*role) };
        put_text(
            buffer,
            area,
            (column, at),
            &text::truncate(cell, (*width).min(area.width.saturating_sub(column)).into()),
            style,
        );
        column = column.saturating_add(*width).saturating_add(1);
    }
}

/// Draws the column titles of a list; widths are those of [`put_row`].
pub fn put_titles(buffer: &mut Buffer, theme: &Theme, area: Rect, cells: &[(u16, &str)]) {
    let cells: Vec<_> = cells.iter().map(|(width, title)| (*width, Role::Dim, *title)).collect();
    put_row(buffer, theme, area, 0, false, &cells);
}

/// Draws the text shown in place of an empty list, wrapped.
pub fn put_empty_state(buffer: &mut Buffer, theme: &Theme, area: Rect, why: &str) {
    let lines = text::wrap(why, usize::from(area.width.saturating_sub(2)));
    for (at, line) in (0..area.height).zip(&lines) {
        put_text(buffer, area, (1, at), line, theme.style(Role::Dim));
    }
}
