//! WHAT THEY SEE: one file a pane, each a free function from the state to cells.
//!
//! ```text
//! tabs        one a session, where there are several
//! header      chess-async   PAUSED   12m 30s   virtual clock ×3600
//! banner      how the run came out, once it did
//! timeline    tasks ──────────────────────┬ details: the selected task,
//!             labels │ lanes on one axis  │ what it awaits and where,
//! loop strip  awake and ready             │ who woke it, its numbers
//! page        in the place of both: tasks, resources, wakes, findings, log
//! output      what the program printed
//! footer      the keys that work here
//! ```

mod axis;
mod banner;
mod details;
mod findings;
mod footer;
pub mod glyph;
mod header;
mod histogram;
mod lane;
mod layout;
mod legend;
mod link;
mod log;
mod loop_strip;
mod lua;
mod output;
mod overlay;
mod page;
mod pen;
mod picker;
pub mod picture;
mod resources;
mod scene;
mod table;
mod tabs;
mod text;
pub mod theme;
mod timeline;
mod wakes;

pub use scene::Scene;
pub use text::clean;
pub use theme::{Palette, Theme};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{Geometry, Model, Page, Screen, Session};
use crate::control::Status;
use scene::Watching;
use theme::Role;

/// Where everything is on a screen of `area`: what clicks and pages are counted against.
pub fn geometry(scene: Scene<'_>, area: Rect) -> Geometry {
    let place = layout::place;
    let overlay = overlay::inside(scene, area);
    let overlay_lines = overlay::lines(scene, overlay.width).len();
    let mut geometry = Geometry { overlay: place(overlay), overlay_lines, ..Geometry::default() };
    match (scene.model.screen, scene.session) {
        (Screen::Picker, _) => {
            let places = picker::layout(scene, area);
            geometry.list = place(layout::below_rule(places.list));
            geometry.form = place(layout::below_rule(places.form));
            geometry.script = place(layout::below_rule(places.script));
        }
        (Screen::Dashboard, Some(session)) => {
            let status = session.status();
            let watching = Watching { model: scene.model, session, status: &status, theme: scene.theme };
            let places = layout::dashboard(area, &scene.model.dashboard, content(scene.model, session, &status, area));
            geometry.tabs = place(places.tabs);
            let tabs = tabs::shown(&scene.model.tabs, places.tabs.width);
            (geometry.first_tab, geometry.tab_columns) = (tabs.first, tabs.columns);
            geometry.rows = place(places.timeline.rows);
            if places.page.height > 0 {
                let page = page::places(scene.model.dashboard.page, places.page);
                geometry.rows = place(page.rows);
                if scene.model.dashboard.page == Page::Tasks {
                    geometry.titles = place(table::inside(page.titles));
                }
            }
            geometry.list_rows = scene.model.dashboard.list_count(session.trace(), scene.model.findings.as_ref());
            geometry.lanes = place(places.timeline.lanes(places.timeline.rows));
            geometry.minimap = place(places.timeline.lanes(places.timeline.minimap));
            geometry.output = place(layout::below_rule(places.output));
            geometry.details = place(layout::below_rule(places.details));
            if geometry.details.height > 0 {
                geometry.details_lines = details::lines(watching, geometry.details.width).len();
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
            dashboard(buffer, scene, session, &status, area);
        }
        (Screen::Picker, _) | (Screen::Dashboard, None) => {
            let places = picker::layout(scene, area);
            picker::render(buffer, scene, &places);
            footer::render(buffer, scene, area, places.footer);
        }
    }
    overlay::render(buffer, scene, area);
    if scene.theme.ascii {
        glyph::make_ascii(buffer);
    }
}

fn content(model: &Model, session: &dyn Session, status: &Status, area: Rect) -> layout::Content {
    let trace = session.trace();
    layout::Content {
        tasks: trace.tasks().len(),
        output_lines: trace.output().lines().len(),
        banner_rows: banner::rows(session, status, area.height),
        has_tabs: model.tabs.has_bar(),
    }
}

fn dashboard(buffer: &mut Buffer, scene: Scene<'_>, session: &dyn Session, status: &Status, area: Rect) {
    let watching = Watching { model: scene.model, session, status, theme: scene.theme };
    if layout::is_tiny(area) {
        tiny(buffer, watching, area);
        return;
    }
    let places = layout::dashboard(area, &scene.model.dashboard, content(scene.model, session, status, area));
    tabs::render(buffer, scene.theme, &scene.model.tabs, places.tabs);
    header::render(buffer, watching, places.header);
    banner::render(buffer, watching, places.banner);
    timeline::render(buffer, watching, &places.timeline);
    page::render(buffer, watching, places.page);
    loop_strip::render(buffer, watching, places.loop_strip, &places.timeline);
    details::render(buffer, watching, places.details);
    output::render(buffer, watching, places.output);
    footer::render(buffer, scene, area, places.footer);
}

/// What can be said in a few cells.
fn tiny(buffer: &mut Buffer, scene: Watching<'_>, area: Rect) {
    let now = scene.status.now.max(scene.session.trace().now());
    let counts = scene.session.trace().counts();
    let phase = match (&scene.status.outcome, &scene.status.link) {
        (Some(outcome), _) => outcome.name().to_uppercase(),
        (None, Some(link)) => link::chip(link).1.to_owned(),
        (None, None) => scene.status.phase.name().to_uppercase(),
    };
    let lines = [
        (Role::Strong, scene.status.name.clone()),
        (Role::Strong, phase),
        (Role::Text, crate::app::time::duration(now)),
        (Role::Text, format!("{} tasks", scene.session.trace().tasks().len())),
        (Role::Text, format!("{} polls", counts.polls)),
    ];
    for (row, (role, text)) in (0..area.height).zip(lines) {
        pen::put(buffer, area, (0, row), &text, scene.theme.style(role));
    }
}
