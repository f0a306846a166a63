//! Rendering: one file per pane, each a set of free functions that draw the state into a buffer of cells.
//!
//! ```text
//! tabs        one per session, if there are several
//! header      chess-async   PAUSED   12m 30s   virtual clock ×3600
//! banner      connection problems, breakpoint hit, outcome of the run
//! workers     what each worker does, if that is known
//! timeline    tasks ──────────────────────┬ details: the selected task,
//!             labels │ lanes on one axis  │ its await and location,
//! loop strip  busy and ready queue        │ its last waker, its counts
//! page        instead of the two above: tasks, resources, wakes, findings, log
//! output      lines that the workload printed
//! footer      key hints
//! ```

mod app_picker;
mod axis;
mod banner;
mod canvas;
mod connection_status;
mod details;
mod footer;
mod glyph;
mod header;
mod histogram;
mod layout;
mod legend;
mod loop_strip;
mod lua_highlight;
mod output;
mod overlay;
mod page;
mod picker;
mod scene;
pub mod svg;
mod tabs;
mod text;
mod theme;
mod timeline;
mod worker_strip;

pub use scene::Scene;
pub use theme::{Palette, Theme};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{Model, Screen, ScreenGeometry};
use crate::control::SessionStatus;
use crate::session::interface::Session;
use layout::to_screen_rect;
use scene::SessionScene;
use theme::Role;

/// Returns the location of every pane on a screen of `area`, for mouse input and paging.
pub fn geometry(scene: Scene<'_>, area: Rect) -> ScreenGeometry {
    let overlay = overlay::inside(scene, area);
    let overlay_lines = overlay::lines(scene, overlay.width).len();
    let mut geometry = ScreenGeometry { overlay: to_screen_rect(overlay), overlay_lines, ..ScreenGeometry::default() };
    match (scene.model.screen, scene.session) {
        (Screen::Picker, _) => {
            let areas = picker::layout(scene, area);
            geometry.list = to_screen_rect(layout::below_rule(areas.list));
            geometry.form = to_screen_rect(layout::below_rule(areas.form));
            geometry.script = to_screen_rect(layout::below_rule(areas.script));
        }
        (Screen::Apps, _) => {
            geometry.list = to_screen_rect(app_picker::layout(area).rows);
        }
        (Screen::Dashboard, Some(session)) => {
            let status = session.status();
            let session_scene = SessionScene { model: scene.model, session, status: &status, theme: scene.theme };
            let content = dashboard_content(scene.model, session, &status, area);
            let areas = layout::dashboard_layout(area, &scene.model.dashboard, content);
            geometry.tabs = to_screen_rect(areas.tabs);
            let tabs = tabs::visible_tabs(&scene.model.tabs, areas.tabs.width);
            (geometry.first_tab, geometry.tab_width) = (tabs.first, tabs.columns);
            geometry.rows = to_screen_rect(areas.timeline.rows);
            if areas.page.height > 0 {
                let page_areas = page::page_layout(scene.model.dashboard.page, areas.page);
                geometry.rows = to_screen_rect(page_areas.rows);
                geometry.titles = to_screen_rect(page::sort_titles(scene.model.dashboard.page, &page_areas));
            }
            geometry.page_row_count = scene.model.dashboard.list_count(session.trace(), scene.model.findings.as_ref());
            geometry.lanes = to_screen_rect(areas.timeline.lanes(areas.timeline.rows));
            geometry.workers = to_screen_rect(worker_strip::worker_rows(areas.workers, session.trace()));
            geometry.minimap = to_screen_rect(areas.timeline.lanes(areas.timeline.minimap));
            geometry.output = to_screen_rect(layout::below_rule(areas.output));
            geometry.details = to_screen_rect(layout::below_rule(areas.details));
            if geometry.details.height > 0 {
                geometry.details_lines = details::lines(session_scene, geometry.details.width).len();
            }
        }
        (Screen::Dashboard, None) => {}
    }
    geometry
}

/// Draws one frame.
pub fn render(buffer: &mut Buffer, scene: Scene<'_>, area: Rect) {
    match (scene.model.screen, scene.session) {
        (Screen::Dashboard, Some(session)) => {
            let status = session.status();
            render_dashboard(buffer, scene, session, &status, area);
        }
        (Screen::Apps, _) => {
            let areas = app_picker::layout(area);
            app_picker::render(buffer, scene, &areas);
            footer::render(buffer, scene, area, areas.footer);
        }
        (Screen::Picker, _) | (Screen::Dashboard, None) => {
            let areas = picker::layout(scene, area);
            picker::render(buffer, scene, &areas);
            footer::render(buffer, scene, area, areas.footer);
        }
    }
    overlay::render(buffer, scene, area);
    if scene.theme.ascii {
        glyph::replace_non_ascii(buffer);
    }
}

fn dashboard_content(
    model: &Model,
    session: &dyn Session,
    status: &SessionStatus,
    area: Rect,
) -> layout::DashboardContent {
    let trace = session.trace();
    layout::DashboardContent {
        tasks: trace.tasks().len(),
        workers: trace.workers().len(),
        output_lines: trace.output().lines().len(),
        banner_rows: banner::row_count(session, status, area.height),
        has_tabs: model.tabs.is_bar_visible(),
    }
}

fn render_dashboard(buffer: &mut Buffer, scene: Scene<'_>, session: &dyn Session, status: &SessionStatus, area: Rect) {
    let session_scene = SessionScene { model: scene.model, session, status, theme: scene.theme };
    if layout::is_tiny(area) {
        render_tiny(buffer, session_scene, area);
        return;
    }
    let content = dashboard_content(scene.model, session, status, area);
    let areas = layout::dashboard_layout(area, &scene.model.dashboard, content);
    tabs::render(buffer, scene.theme, &scene.model.tabs, areas.tabs);
    header::render(buffer, session_scene, areas.header);
    banner::render(buffer, session_scene, areas.banner);
    worker_strip::render(buffer, session_scene, areas.workers, &areas.timeline);
    timeline::render(buffer, session_scene, &areas.timeline);
    page::render(buffer, session_scene, areas.page);
    loop_strip::render(buffer, session_scene, areas.loop_strip, &areas.timeline);
    details::render(buffer, session_scene, areas.details);
    output::render(buffer, session_scene, areas.output);
    footer::render(buffer, scene, area, areas.footer);
}

/// Draws name, phase, time and counts on a screen too small for panes.
fn render_tiny(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect) {
    let now = scene.status.now.max(scene.session.trace().now());
    let counts = scene.session.trace().counts();
    let phase = match (&scene.status.outcome, &scene.status.connection) {
        (Some(outcome), _) => outcome.name().to_uppercase(),
        (None, Some(connection)) => connection_status::chip(connection).1.to_owned(),
        (None, None) => scene.status.phase.name().to_uppercase(),
    };
    let lines = [
        (Role::Strong, scene.status.name.clone()),
        (Role::Strong, phase),
        (Role::Text, crate::app::time::duration(now)),
        (Role::Text, format!("{} tasks", scene.session.trace().task_counts().spawned)),
        (Role::Text, format!("{} polls", counts.polls)),
    ];
    for (row, (role, text)) in (0..area.height).zip(lines) {
        canvas::put_text(buffer, area, (0, row), &text, scene.theme.style(role));
    }
}
