//! Log page: connection changes, dropped events and pauses of the session, with their time.

use ratatui::buffer::Buffer;

use super::page::{self, PageLayout};
use super::scene::SessionScene;
use super::theme::Role;
use crate::app::{LogLevel, time};

/// Widths of the cells: time, text.
const WIDTHS: [u16; 2] = [14, 400];

/// Draws the page.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, areas: &PageLayout) {
    let (theme, state) = (scene.theme, &scene.model.dashboard);
    let titles: Vec<_> = WIDTHS.into_iter().zip(["at", "what"]).collect();
    page::put_titles(buffer, theme, areas.titles, &titles);
    let entries = state.log.entries();
    if entries.is_empty() {
        page::put_empty_state(buffer, theme, areas.rows, "empty: no pauses, dropped events or connection changes yet");
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
        page::put_row(
            buffer,
            theme,
            areas.rows,
            row,
            chosen == Some(index),
            &[(WIDTHS[0], Role::Dim, &at), (WIDTHS[1], role, &entry.text)],
        );
    }
}
