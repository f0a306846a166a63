//! Log page: connection changes, dropped events and pauses of the session, with their time.

use ratatui::buffer::Buffer;

use super::list::{self, PageLayout};
use crate::app::{LogLevel, time};
use crate::view::scene::SessionScene;
use crate::view::theme::Role;

/// Widths of the cells: time, text.
const WIDTHS: [u16; 2] = [14, 400];

/// Title of the page: number of entries.
pub fn title(scene: SessionScene<'_>) -> String {
    format!("session log {}", scene.model.dashboard.log.entries().len())
}

/// Draws the page.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, areas: &PageLayout) {
    let (theme, state) = (scene.theme, &scene.model.dashboard);
    let titles: Vec<_> = WIDTHS.into_iter().zip(["time", "event"]).collect();
    list::put_titles(buffer, theme, areas.titles, &titles);
    let entries = state.log.entries();
    if entries.is_empty() {
        list::put_empty_state(buffer, theme, areas.rows, "empty: no pauses, dropped events or connection changes yet");
    }
    let chosen = state.current_list().chosen_row(entries.len());
    let top = state.current_list().top(entries.len(), areas.rows.height.into());
    for (row, (index, entry)) in (0..areas.rows.height).zip(entries.iter().enumerate().skip(top)) {
        let role = match entry.level {
            LogLevel::Info => Role::Text,
            LogLevel::Warning => Role::Warning,
            LogLevel::Loss => Role::Error,
        };
        let at = time::instant(entry.at);
        list::put_row(
            buffer,
            theme,
            areas.rows,
            row,
            chosen == Some(index),
            &[(WIDTHS[0], Role::Dim, &at), (WIDTHS[1], role, &entry.text)],
        );
    }
}
