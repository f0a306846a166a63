//! Frame of the pages that replace the timeline: a rule, column titles, rows, and a foot.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::{self, put_mark, put_text};
use super::layout::{take_bottom, take_top};
use super::scene::SessionScene;
use super::text;
use super::theme::{Role, Theme};
use super::{findings, glyph, log, resources, tasks, wakes};
use crate::app::{DashboardPage, Pane};

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

/// Maximum height of the foot.
const FOOT_ROWS_MAX: u16 = 9;
/// Minimum height of a page that has a foot.
const FOOT_FROM_ROWS: u16 = 10;

/// Divides `area` into the areas of `page`.
pub fn page_layout(page: DashboardPage, mut area: Rect) -> PageLayout {
    let has_rule = area.height >= 5;
    let rule = take_top(&mut area, has_rule.into());
    let titles = take_top(&mut area, 1);
    let has_foot = matches!(page, DashboardPage::Findings | DashboardPage::Wakes) && area.height >= FOOT_FROM_ROWS;
    let foot_rows = if has_foot { FOOT_ROWS_MAX.min(area.height / 2) } else { 0 };
    let foot = take_bottom(&mut area, foot_rows);
    PageLayout { rule, titles, rows: area, foot }
}

/// Draws the current page; nothing if it is the timeline.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect) {
    let page = scene.model.dashboard.page;
    if area.height == 0 || page == DashboardPage::Timeline {
        return;
    }
    let areas = page_layout(page, area);
    let title = match page {
        DashboardPage::Timeline => String::new(),
        DashboardPage::Tasks => tasks::title(scene),
        DashboardPage::Resources => resources::title(scene),
        DashboardPage::Wakes => wakes::title(scene),
        DashboardPage::Findings => findings::title(scene),
        DashboardPage::Log => format!("session log {}", scene.model.dashboard.log.entries().len()),
    };
    let focused = scene.model.dashboard.focus == Pane::Timeline;
    canvas::put_rule(buffer, scene.theme, areas.rule, &title, &page_names(page), focused);
    match page {
        DashboardPage::Timeline => {}
        DashboardPage::Tasks => tasks::render(buffer, scene, &areas),
        DashboardPage::Resources => resources::render(buffer, scene, &areas),
        DashboardPage::Wakes => wakes::render(buffer, scene, &areas),
        DashboardPage::Findings => findings::render(buffer, scene, &areas),
        DashboardPage::Log => log::render(buffer, scene, &areas),
    }
}

/// Returns the names of all pages, the current one in brackets.
fn page_names(page: DashboardPage) -> String {
    let name =
        |other: DashboardPage| if other == page { format!("[{}]", page.name()) } else { other.name().to_owned() };
    DashboardPage::ALL.map(name).join(" ")
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
