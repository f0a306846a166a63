//! Drawing primitives that all panes use, clipped to an area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::glyph;
use super::text;
use super::theme::{Role, Theme};

/// Creates a span of sanitized text in the style of `role`.
pub fn span(theme: &Theme, role: Role, content: impl AsRef<str>) -> Span<'static> {
    Span::styled(text::sanitize(content.as_ref()).into_owned(), theme.style(role))
}

/// Draws `line` in row `row` of `area`; nothing if the row is outside.
pub fn put_line(buffer: &mut Buffer, area: Rect, row: u16, line: &Line<'_>) {
    if row < area.height && area.width > 0 {
        buffer.set_line(area.x, area.y + row, line, area.width);
    }
}

/// Draws `text`, sanitized and truncated, at `column` and `row` of `area`.
pub fn put_text(buffer: &mut Buffer, area: Rect, (column, row): (u16, u16), text: &str, style: Style) {
    if row < area.height && column < area.width {
        let width = usize::from(area.width - column);
        buffer.set_stringn(area.x + column, area.y + row, text::truncate(text, width), width, style);
    }
}

/// Draws one character at `column` and `row` of `area`; nothing if the cell is outside.
pub fn put_mark(buffer: &mut Buffer, area: Rect, (column, row): (u16, u16), mark: char, style: Style) {
    if row < area.height
        && column < area.width
        && let Some(cell) = buffer.cell_mut((area.x + column, area.y + row))
    {
        cell.set_char(mark).set_style(style);
    }
}

/// Draws the rule above a pane, with a title at the left and a note at the right end.
pub fn put_rule(buffer: &mut Buffer, theme: &Theme, area: Rect, title: &str, right: &str, focused: bool) {
    if area.height == 0 {
        return;
    }
    let style = theme.style(if focused { Role::RuleFocused } else { Role::Rule });
    for column in 0..area.width {
        put_mark(buffer, area, (column, 0), glyph::RULE, style);
    }
    let title = text::truncate(&format!(" {title} "), usize::from(area.width.saturating_sub(2)));
    put_text(buffer, area, (1, 0), &title, theme.style(if focused { Role::Key } else { Role::Title }));
    let right = format!(" {right} ");
    let free = usize::from(area.width).saturating_sub(text::width(&title) + 4);
    if right.len() > 2 && text::width(&right) <= free {
        let column = area.width - 1 - u16::try_from(text::width(&right)).unwrap_or(0);
        put_text(buffer, area, (column, 0), &right, theme.style(Role::Dim));
    }
}

/// Clears `area`, draws a border around it, and returns the inside.
pub fn put_box(buffer: &mut Buffer, theme: &Theme, area: Rect, title: &str, foot: &str) -> Rect {
    use ratatui::widgets::{Block, Clear, Widget};
    let width = usize::from(area.width.saturating_sub(4));
    Clear.render(area, buffer);
    let mut block = Block::bordered().border_style(theme.style(Role::RuleFocused)).title(span(
        theme,
        Role::Title,
        format!(" {} ", text::truncate(title, width)),
    ));
    if !foot.is_empty() {
        block = block.title_bottom(span(theme, Role::Dim, format!(" {} ", text::truncate(foot, width))));
    }
    let inside = block.inner(area);
    block.render(area, buffer);
    inside
}

/// Returns an input field in `width` columns, scrolled so that the caret is visible.
pub fn input_line(
    theme: &Theme,
    field: &crate::app::TextField,
    width: usize,
    role: Role,
    has_caret: bool,
) -> Line<'static> {
    let text = text::sanitize(field.text()).into_owned();
    if !has_caret {
        return Line::from(span(theme, role, text::truncate(&text, width)));
    }
    let skipped = (field.cursor() + 1).saturating_sub(width);
    let mut chars = text.chars().skip(skipped);
    let before: String = chars.by_ref().take(field.cursor() - skipped).collect();
    let at = chars.next().unwrap_or(' ');
    let after: String = chars.take(width.saturating_sub(field.cursor() - skipped + 1)).collect();
    Line::from(vec![span(theme, role, before), span(theme, Role::Caret, at.to_string()), span(theme, role, after)])
}
