//! Resources page: shared resources with their owners and waiters.

use ratatui::buffer::Buffer;

use super::list::{self, PageLayout};
use crate::app::task_names::task_name;
use crate::app::{data_notes, time};
use crate::insight::TaskSample;
use crate::trace::{ResourceEntry, ResourceId, Trace};
use crate::view::scene::SessionScene;
use crate::view::text;
use crate::view::theme::Role;

/// Widths of the cells: kind, name, creation or drop, owners, waiters, location, attributes.
const WIDTHS: [u16; 7] = [9, 18, 11, 16, 16, 22, 200];

/// Title of the page: number of resources.
pub fn title(scene: SessionScene<'_>) -> String {
    let resource_usage = &scene.model.dashboard.resource_usage;
    let dropped = resource_usage.listed.len() - resource_usage.alive + resource_usage.unlisted;
    let unlisted = match resource_usage.unlisted {
        0 => String::new(),
        unlisted => format!(" ({unlisted} not listed)"),
    };
    format!("resources {} alive, {dropped} dropped{unlisted}", resource_usage.alive)
}

/// Draws the page.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, areas: &PageLayout) {
    let (theme, state, trace) = (scene.theme, &scene.model.dashboard, scene.session.trace());
    let titles = ["kind", "name", "since/until", "owners", "waiters", "location", "attributes"];
    let titles: Vec<_> = WIDTHS.into_iter().zip(titles).collect();
    list::put_titles(buffer, theme, areas.titles, &titles);
    let listed = &state.resource_usage.listed;
    if listed.is_empty() {
        let why = "no resources reported (locks, channels, semaphores, timers)";
        list::put_empty_state(buffer, theme, areas.rows, why);
    }
    let top = state.current_list().top(listed.len(), areas.rows.height.into());
    for (row, id) in (0..areas.rows.height).zip(listed.iter().skip(top)) {
        let Some(entry) = trace.resources().entry(*id) else { continue };
        let cells = cells(scene, trace, *id, entry);
        let is_of_selected_task = state.selected.is_some_and(|task| {
            let has = |tasks: Option<&TaskSample>| tasks.is_some_and(|tasks| tasks.first.contains(&task));
            has(state.resource_usage.holders(*id)) || has(state.resource_usage.waiters(*id))
        });
        let role = match entry.dropped_at() {
            Some(_) => Role::Dim,
            // Held or awaited by the selected task.
            None if is_of_selected_task => Role::Key,
            None => Role::Text,
        };
        let cells: Vec<_> = WIDTHS.into_iter().zip(&cells).map(|(width, cell)| (width, role, cell.as_str())).collect();
        list::put_row(buffer, theme, areas.rows, row, state.chosen_resource() == Some(*id), &cells);
    }
}

fn cells(scene: SessionScene<'_>, trace: &Trace, id: ResourceId, entry: &ResourceEntry) -> [String; 7] {
    let resource_usage = &scene.model.dashboard.resource_usage;
    let resource = &entry.resource;
    let since = match entry.dropped_at() {
        None => time::compact(entry.created_at),
        Some(to) => format!("until {}", time::compact(to)),
    };
    let attributes =
        entry.attributes().iter().map(|attribute| match data_notes::attribute_hint(trace, resource, attribute) {
            Some(hint) => format!("{} {}{} ({hint})", attribute.name, attribute.value, attribute.unit),
            None => format!("{} {}{}", attribute.name, attribute.value, attribute.unit),
        });
    let mut attributes: Vec<String> = attributes.collect();
    if resource.size > 0 && attributes.is_empty() {
        attributes.push(match resource.kind {
            crate::trace::ResourceKind::Interval => format!("period {}", time::duration(resource.size)),
            _ => format!("size {}", resource.size),
        });
    }
    [
        resource.kind.name().to_owned(),
        match resource_usage.number(id) {
            Some(number) => format!("{} #{number}", resource.name),
            None => resource.name.to_string(),
        },
        since,
        match format_tasks(trace, resource_usage.holders(id)) {
            owners if owners.is_empty() || trace.are_owners_reported() => owners,
            // Inferred from the lock calls.
            owner => format!("likely {owner}"),
        },
        format_tasks(trace, resource_usage.waiters(id)),
        resource.location.as_ref().map_or_else(String::new, text::short_location),
        attributes.join(", "),
    ]
}

/// Formats a set of tasks: the first by name, and the count.
fn format_tasks(trace: &Trace, tasks: Option<&TaskSample>) -> String {
    let Some((tasks, first)) = tasks.and_then(|tasks| Some((tasks, *tasks.first.first()?))) else {
        return String::new();
    };
    match tasks.count {
        1 => task_name(trace, first),
        // The count comes first, so that it is never truncated.
        count => format!("{count}: {}…", task_name(trace, first)),
    }
}
