//! The few strokes that every pane is drawn with, clipped to its area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::glyph;
use super::text;
use super::theme::{Role, Theme};

/// A piece of text of one role. Cleans it.
pub fn span(theme: &Theme, role: Role, content: impl AsRef<str>) -> Span<'static> {
    Span::styled(text::clean(content.as_ref()).into_owned(), theme.style(role))
}

/// Puts `line` on the `row`-th row of `area`, if it has that many.
pub fn line(buffer: &mut Buffer, area: Rect, row: u16, line: &Line<'_>) {
    if row < area.height && area.width > 0 {
        buffer.set_line(area.x, area.y + row, line, area.width);
    }
}

/// Puts `text`, cleaned and cut, on the `row`-th row of `area` from its `column` on.
pub fn put(buffer: &mut Buffer, area: Rect, (column, row): (u16, u16), text: &str, style: Style) {
    if row < area.height && column < area.width {
        let width = usize::from(area.width - column);
        buffer.set_stringn(area.x + column, area.y + row, text::cut(text, width), width, style);
    }
}

/// Sets one cell, if it is in `area`.
pub fn mark(buffer: &mut Buffer, area: Rect, (column, row): (u16, u16), mark: char, style: Style) {
    if row < area.height
        && column < area.width
        && let Some(cell) = buffer.cell_mut((area.x + column, area.y + row))
    {
        cell.set_char(mark).set_style(style);
    }
}

/// The line above a pane: its title, a rule, and what is said at its right end.
pub fn rule(buffer: &mut Buffer, theme: &Theme, area: Rect, title: &str, right: &str, focused: bool) {
    if area.height == 0 {
        return;
    }
    let style = theme.style(if focused { Role::RuleFocused } else { Role::Rule });
    for column in 0..area.width {
        mark(buffer, area, (column, 0), glyph::RULE, style);
    }
    let title = text::cut(&format!(" {title} "), usize::from(area.width.saturating_sub(2)));
    put(buffer, area, (1, 0), &title, theme.style(if focused { Role::Key } else { Role::Title }));
    let right = format!(" {right} ");
    let free = usize::from(area.width).saturating_sub(text::width(&title) + 4);
    if right.len() > 2 && text::width(&right) <= free {
        let column = area.width - 1 - u16::try_from(text::width(&right)).unwrap_or(0);
        put(buffer, area, (column, 0), &right, theme.style(Role::Dim));
    }
}

/// A frame around `area`, which is emptied; returns its inside.
pub fn boxed(buffer: &mut Buffer, theme: &Theme, area: Rect, title: &str, foot: &str) -> Rect {
    use ratatui::widgets::{Block, Clear, Widget};
    let width = usize::from(area.width.saturating_sub(4));
    Clear.render(area, buffer);
    let block = Block::bordered()
        .border_style(theme.style(Role::RuleFocused))
        .title(span(theme, Role::Title, format!(" {} ", text::cut(title, width))))
        .title_bottom(span(theme, Role::Dim, format!(" {} ", text::cut(foot, width))));
    let inside = block.inner(area);
    block.render(area, buffer);
    inside
}

/// An editable text with its caret, in `width` columns; scrolls so that the caret is seen.
pub fn field(theme: &Theme, field: &crate::app::Field, width: usize, role: Role, has_caret: bool) -> Line<'static> {
    let text = text::clean(field.text()).into_owned();
    if !has_caret {
        return Line::from(span(theme, role, text::cut(&text, width)));
    }
    let skipped = (field.place() + 1).saturating_sub(width);
    let mut chars = text.chars().skip(skipped);
    let before: String = chars.by_ref().take(field.place() - skipped).collect();
    let at = chars.next().unwrap_or(' ');
    let after: String = chars.take(width.saturating_sub(field.place() - skipped + 1)).collect();
    Line::from(vec![span(theme, role, before), span(theme, Role::Caret, at.to_string()), span(theme, role, after)])
}
