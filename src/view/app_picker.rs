//! App picker: the list of running apps to attach to.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::canvas::{self, span};
use super::layout::{below_rule, take_bottom, take_top};
use super::page::list::{put_empty_state, put_row, put_titles};
use super::scene::Scene;
use super::theme::Role;
use crate::insight::units::human_ns;
use crate::session::interface::RunningApp;

/// Width of the process id.
const PID_COLUMNS: u16 = 8;
/// Width of the time since the start.
const AGE_COLUMNS: u16 = 12;
/// Widest name.
const NAME_COLUMNS_MAX: u16 = 48;
/// Columns before the cells and between them.
const SPACES: u16 = 5;

/// Areas of the app picker. An area without space is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppPickerLayout {
    /// Title line.
    pub head: Rect,
    /// The rule with the number of apps.
    pub rule: Rect,
    /// The column titles.
    pub titles: Rect,
    /// The apps.
    pub rows: Rect,
    /// Key hints or prompt.
    pub footer: Rect,
}

/// Computes the layout of the app picker.
pub fn layout(area: Rect) -> AppPickerLayout {
    let mut rest = area;
    let footer = take_bottom(&mut rest, u16::from(area.height > 2));
    let head = take_top(&mut rest, u16::from(area.height > 5));
    let mut titles = if area.height > 3 { below_rule(rest) } else { rest };
    let rule = Rect { height: titles.y - rest.y, ..rest };
    let mut rows = titles;
    titles = take_top(&mut rows, u16::from(area.height > 4));
    AppPickerLayout { head, rule, titles, rows, footer }
}

/// Draws the app picker.
pub fn render(buffer: &mut Buffer, scene: Scene<'_>, areas: &AppPickerLayout) {
    let (theme, Some(picker)) = (scene.theme, scene.model.app_picker.as_ref()) else { return };
    let head = Line::from_iter([
        span(theme, Role::Strong, " loopscope"),
        span(theme, Role::Dim, "  async event-loop inspector: choose an app to attach to"),
    ]);
    canvas::put_line(buffer, areas.head, 0, &head);
    canvas::put_rule(buffer, theme, areas.rule, &format!("running apps {}", picker.apps().len()), "", true);
    if picker.apps().is_empty() {
        let why = "no running app has the probe; the list shows it as soon as it starts";
        return put_empty_state(buffer, theme, areas.rows, why);
    }
    // The tasks get the other half, because they may be a reason instead of a number.
    let rest = areas.rows.width.saturating_sub(PID_COLUMNS + AGE_COLUMNS + SPACES);
    let name_columns = (rest / 2).clamp(1, NAME_COLUMNS_MAX);
    let titles = [(PID_COLUMNS, "pid"), (name_columns, "name"), (AGE_COLUMNS, "running for"), (u16::MAX, "tasks")];
    put_titles(buffer, theme, areas.titles, &titles);
    let (first, chosen) = (picker.top(areas.rows.height), picker.chosen_row());
    for (row, (index, app)) in (0..areas.rows.height).zip(picker.apps().iter().enumerate().skip(first)) {
        let cells = cells(app);
        let widths = [PID_COLUMNS, name_columns, AGE_COLUMNS, u16::MAX];
        let cells: Vec<_> = widths.iter().zip(&cells).map(|(width, (role, text))| (*width, *role, &**text)).collect();
        put_row(buffer, theme, areas.rows, row, index == chosen, &cells);
    }
}

fn cells(app: &RunningApp) -> [(Role, String); 4] {
    let age = app.age.map(|age| human_ns(whole_units(age.as_secs()).saturating_mul(1_000_000_000)));
    let tasks = match &app.tasks {
        Ok(tasks) => (Role::Text, tasks.to_string()),
        Err(reason) => (Role::Warning, reason.clone()),
    };
    [
        (Role::Text, app.pid.to_string()),
        (Role::Strong, app.name.clone()),
        (Role::Text, age.unwrap_or_else(|| "unknown".to_owned())),
        tasks,
    ]
}

/// Rounds seconds down to minutes from an hour on.
fn whole_units(seconds: u64) -> u64 {
    if seconds < 3_600 { seconds } else { seconds / 60 * 60 }
}
