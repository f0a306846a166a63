//! The pages that replace the timeline: a rule, column titles, rows, and a foot. One file for each page.

mod findings;
pub(super) mod list;
mod log;
mod resources;
mod tasks;
mod wakes;

pub use list::PageLayout;
pub use tasks::title as task_rows_title;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas;
use super::layout::{take_bottom, take_top};
use super::scene::SessionScene;
use crate::app::{DashboardPage, Pane};

/// Maximum height of the foot.
const FOOT_ROWS_MAX: u16 = 9;
/// Minimum height of a page that has a foot.
const FOOT_FROM_ROWS: u16 = 10;

/// How a page is drawn.
struct PageView {
    /// Returns the title of the page.
    title: fn(SessionScene<'_>) -> String,
    /// Draws column titles, rows and foot.
    render: fn(&mut Buffer, SessionScene<'_>, &PageLayout),
    /// Whether the page has a foot.
    has_foot: bool,
    /// Returns the part of the column titles that sorts the rows when clicked.
    sort_titles: fn(&PageLayout) -> Rect,
}

/// A page whose column titles do not sort, without a foot.
const fn plain_page(
    title: fn(SessionScene<'_>) -> String,
    render: fn(&mut Buffer, SessionScene<'_>, &PageLayout),
) -> PageView {
    PageView { title, render, has_foot: false, sort_titles: |_| Rect { x: 0, y: 0, width: 0, height: 0 } }
}

/// Returns how `page` is drawn; `None` for the timeline. The one place in `view` where a new page is registered.
fn page_view(page: DashboardPage) -> Option<PageView> {
    Some(match page {
        DashboardPage::Timeline => return None,
        DashboardPage::Tasks => PageView { sort_titles: tasks::sort_titles, ..plain_page(tasks::title, tasks::render) },
        DashboardPage::Resources => plain_page(resources::title, resources::render),
        DashboardPage::Wakes => PageView { has_foot: true, ..plain_page(wakes::title, wakes::render) },
        DashboardPage::Findings => PageView { has_foot: true, ..plain_page(findings::title, findings::render) },
        DashboardPage::Log => plain_page(log::title, log::render),
    })
}

/// Divides `area` into the areas of `page`.
pub fn page_layout(page: DashboardPage, mut area: Rect) -> PageLayout {
    let has_rule = area.height >= 5;
    let rule = take_top(&mut area, has_rule.into());
    let titles = take_top(&mut area, 1);
    let has_foot = page_view(page).is_some_and(|view| view.has_foot) && area.height >= FOOT_FROM_ROWS;
    let foot_rows = if has_foot { FOOT_ROWS_MAX.min(area.height / 2) } else { 0 };
    let foot = take_bottom(&mut area, foot_rows);
    PageLayout { rule, titles, rows: area, foot }
}

/// Returns the column titles of `page` that sort the rows when clicked; empty if there are none.
pub fn sort_titles(page: DashboardPage, areas: &PageLayout) -> Rect {
    page_view(page).map_or_else(Rect::default, |view| (view.sort_titles)(areas))
}

/// Draws the current page; nothing if it is the timeline.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect) {
    let page = scene.model.dashboard.page;
    let Some(view) = page_view(page).filter(|_| area.height > 0) else { return };
    let areas = page_layout(page, area);
    let focused = scene.model.dashboard.focus == Pane::Timeline;
    canvas::put_rule(buffer, scene.theme, areas.rule, &(view.title)(scene), &page_names(page), focused);
    (view.render)(buffer, scene, &areas);
}

/// Returns the names of all pages, the current one in brackets.
fn page_names(page: DashboardPage) -> String {
    let name =
        |other: DashboardPage| if other == page { format!("[{}]", page.name()) } else { other.name().to_owned() };
    DashboardPage::ALL.map(name).join(" ")
}
