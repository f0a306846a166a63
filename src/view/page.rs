//! The pages that can be shown in the timeline's place: a rule, titles over the columns, and rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::layout::{bottom, top};
use super::pen::{self, mark, put};
use super::scene::Watching;
use super::text;
use super::theme::{Role, Theme};
use super::{findings, glyph, log, resources, table, wakes};
use crate::app::{Page, Pane};

/// The parts of a page.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    pub rule: Rect,
    pub titles: Rect,
    pub rows: Rect,
    /// What there is to say beside the rows: of the chosen one, or of all of them.
    pub foot: Rect,
}

/// Rows below a list that needs them, and how many there must be to share.
const FOOT_ROWS_MAX: u16 = 9;
const FOOT_FROM_ROWS: u16 = 10;

/// Where the parts of `page` go in `area`.
pub fn places(page: Page, mut area: Rect) -> Places {
    let has_rule = area.height >= 5;
    let rule = top(&mut area, has_rule.into());
    let titles = top(&mut area, 1);
    let has_foot = matches!(page, Page::Findings | Page::Wakes) && area.height >= FOOT_FROM_ROWS;
    let foot_rows = if has_foot { FOOT_ROWS_MAX.min(area.height / 2) } else { 0 };
    let foot = bottom(&mut area, foot_rows);
    Places { rule, titles, rows: area, foot }
}

/// Draws the page that is shown.
pub fn render(buffer: &mut Buffer, scene: Watching<'_>, area: Rect) {
    let page = scene.model.dashboard.page;
    if area.height == 0 || page == Page::Timeline {
        return;
    }
    let places = places(page, area);
    let title = match page {
        Page::Timeline => String::new(),
        Page::Tasks => table::title(scene),
        Page::Resources => resources::title(scene),
        Page::Wakes => wakes::title(scene),
        Page::Findings => findings::title(scene),
        Page::Log => format!("log of this session: {}", scene.model.dashboard.log.notes().len()),
    };
    let focused = scene.model.dashboard.focus == Pane::Timeline;
    pen::rule(buffer, scene.theme, places.rule, &title, &strip(page), focused);
    match page {
        Page::Timeline => {}
        Page::Tasks => table::render(buffer, scene, &places),
        Page::Resources => resources::render(buffer, scene, &places),
        Page::Wakes => wakes::render(buffer, scene, &places),
        Page::Findings => findings::render(buffer, scene, &places),
        Page::Log => log::render(buffer, scene, &places),
    }
}

/// All pages by name, this one in brackets.
fn strip(page: Page) -> String {
    let name = |other: Page| if other == page { format!("[{}]", page.name()) } else { other.name().to_owned() };
    Page::ALL.map(name).join(" ")
}

/// One row of a list: its mark if it is the chosen one, and its cells, each of its width, a column apart.
pub fn row(buffer: &mut Buffer, theme: &Theme, area: Rect, at: u16, is_chosen: bool, cells: &[(u16, Role, &str)]) {
    if at >= area.height {
        return;
    }
    let selected = theme.style(Role::Selected);
    if is_chosen {
        put(buffer, area, (0, at), &" ".repeat(area.width.into()), selected);
        mark(buffer, area, (0, at), glyph::SELECTED, selected);
    }
    let mut column = 2;
    for (width, role, cell) in cells {
        let style = if is_chosen { selected } else { theme.style(*role) };
        put(
            buffer,
            area,
            (column, at),
            &text::cut(cell, (*width).min(area.width.saturating_sub(column)).into()),
            style,
        );
        column = column.saturating_add(*width).saturating_add(1);
    }
}

/// The titles over the cells of [`row`].
pub fn titles(buffer: &mut Buffer, theme: &Theme, area: Rect, cells: &[(u16, &str)]) {
    let cells: Vec<_> = cells.iter().map(|(width, title)| (*width, Role::Dim, *title)).collect();
    row(buffer, theme, area, 0, false, &cells);
}

/// What is said where there is no row, in as many lines as it takes.
pub fn empty(buffer: &mut Buffer, theme: &Theme, area: Rect, why: &str) {
    let lines = text::wrap(why, usize::from(area.width.saturating_sub(2)));
    for (at, line) in (0..area.height).zip(&lines) {
        put(buffer, area, (1, at), line, theme.style(Role::Dim));
    }
}
