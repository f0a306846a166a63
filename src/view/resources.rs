//! The page of resources: what tasks share, who has it and who waits for it.

use ratatui::buffer::Buffer;

use super::page::{self, Places};
use super::scene::Watching;
use super::text;
use super::theme::Role;
use crate::app::columns::name_of;
use crate::app::{Tasks, time};
use crate::trace::{Known, ResourceId, Trace};

/// Columns of each cell: kind, name, since when, holders, waiters, place, attributes.
const WIDTHS: [u16; 7] = [9, 18, 11, 16, 16, 22, 200];

pub fn title(scene: Watching<'_>) -> String {
    let sharing = &scene.model.dashboard.sharing;
    let gone = sharing.listed.len() - sharing.alive + sharing.unlisted;
    let unlisted = match sharing.unlisted {
        0 => String::new(),
        unlisted => format!(", {unlisted} of them not listed"),
    };
    format!("resources {} alive, {gone} gone{unlisted}", sharing.alive)
}

pub fn render(buffer: &mut Buffer, scene: Watching<'_>, places: &Places) {
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let titles = ["kind", "name", "since", "held by", "waited for by", "place", "says of itself"];
    let titles: Vec<_> = WIDTHS.into_iter().zip(titles).collect();
    page::titles(buffer, theme, places.titles, &titles);
    let listed = &state.sharing.listed;
    if listed.is_empty() {
        let why = "no resource is known: nothing was told of locks, channels, semaphores or timers that tasks share";
        page::empty(buffer, theme, places.rows, why);
    }
    let top = state.list().top(listed.len(), places.rows.height.into());
    for (row, id) in (0..places.rows.height).zip(listed.iter().skip(top)) {
        let Some(known) = trace.resources().known(*id) else { continue };
        let cells = cells(scene, trace, *id, known);
        let is_the_selected = state.selected.is_some_and(|task| {
            let has = |tasks: Option<&Tasks>| tasks.is_some_and(|tasks| tasks.named.contains(&task));
            has(state.sharing.holders(*id)) || has(state.sharing.waiters(*id))
        });
        let role = match known.to() {
            Some(_) => Role::Dim,
            // What the selected task has or waits for.
            None if is_the_selected => Role::Key,
            None => Role::Text,
        };
        let cells: Vec<_> = WIDTHS.into_iter().zip(&cells).map(|(width, cell)| (width, role, cell.as_str())).collect();
        page::row(buffer, theme, places.rows, row, state.resource() == Some(*id), &cells);
    }
}

fn cells(scene: Watching<'_>, trace: &Trace, id: ResourceId, known: &Known) -> [String; 7] {
    let sharing = &scene.model.dashboard.sharing;
    let resource = &known.resource;
    let since = match known.to() {
        None => time::brief(known.from),
        Some(to) => format!("gone {}", time::brief(to)),
    };
    let attributes = known.attributes().iter().map(|said| format!("{} {}{}", said.name, said.value, said.unit));
    let mut says: Vec<String> = attributes.collect();
    if resource.size > 0 && says.is_empty() {
        says.push(match resource.kind {
            crate::trace::ResourceKind::Interval => format!("period {}", time::duration(resource.size)),
            _ => format!("size {}", resource.size),
        });
    }
    [
        resource.kind.name().to_owned(),
        resource.name.to_string(),
        since,
        tasks(trace, sharing.holders(id)),
        tasks(trace, sharing.waiters(id)),
        resource.location.as_ref().map_or_else(String::new, text::short_location),
        says.join(", "),
    ]
}

/// The first of them by name, and how many more.
fn tasks(trace: &Trace, tasks: Option<&Tasks>) -> String {
    let Some((tasks, first)) = tasks.and_then(|tasks| Some((tasks, *tasks.named.first()?))) else {
        return String::new();
    };
    match tasks.count {
        1 => name_of(trace, first),
        // The count is what must not be cut off.
        count => format!("{count}: {}…", name_of(trace, first)),
    }
}
