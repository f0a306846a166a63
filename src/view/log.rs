//! The page of the session's log: links, losses and pauses, with their time.

use ratatui::buffer::Buffer;

use super::page::{self, Places};
use super::scene::Watching;
use super::theme::Role;
use crate::app::{Weight, time};

/// Columns of each cell: when, what.
const WIDTHS: [u16; 2] = [14, 400];

pub fn render(buffer: &mut Buffer, scene: Watching<'_>, places: &Places) {
    let (theme, state) = (scene.theme, &scene.model.dashboard);
    let titles: Vec<_> = WIDTHS.into_iter().zip(["at", "what"]).collect();
    page::titles(buffer, theme, places.titles, &titles);
    let notes = state.log.notes();
    if notes.is_empty() {
        page::empty(buffer, theme, places.rows, "nothing yet: no pause, no loss, no change of the link");
    }
    let chosen = state.list().chosen(notes.len());
    let top = state.list().top(notes.len(), places.rows.height.into());
    for (row, (index, note)) in (0..places.rows.height).zip(notes.iter().enumerate().skip(top)) {
        let role = match note.weight {
            Weight::Plain => Role::Text,
            Weight::Warning => Role::Warning,
            Weight::Loss => Role::Error,
        };
        let at = time::instant(note.at);
        page::row(
            buffer,
            theme,
            places.rows,
            row,
            chosen == Some(index),
            &[(WIDTHS[0], Role::Dim, &at), (WIDTHS[1], role, &note.text)],
        );
    }
}
