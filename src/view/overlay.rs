//! Overlays: the help, and messages in full length.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::canvas::{self, span};
use super::glyph;
use super::legend::{self, LegendKind};
use super::scene::Scene;
use super::text;
use super::theme::{Role, Theme};
use crate::app::keymap::{self, KeyScope};
use crate::app::{Overlay, Screen, has_effect, palette};
use crate::control::{ClockKind, ControlLevel};
use crate::session::interface::Session;

/// Maximum width of an overlay.
const COLUMNS_MAX: u16 = 92;
/// Minimum width of the keys in the help.
const KEY_COLUMNS_MIN: usize = 10;

/// Returns the inside of the overlay on a screen of `area`; empty if there is no overlay.
pub fn inside(scene: Scene<'_>, area: Rect) -> Rect {
    let frame = frame(scene, area);
    Rect {
        x: frame.x + 1,
        y: frame.y + 1,
        width: frame.width.saturating_sub(2),
        height: frame.height.saturating_sub(2),
    }
}

fn frame(scene: Scene<'_>, area: Rect) -> Rect {
    let width = area.width.min(COLUMNS_MAX);
    let lines = u16::try_from(lines(scene, width.saturating_sub(2)).len()).unwrap_or(u16::MAX);
    let height = lines.saturating_add(2).min(area.height);
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// Draws the overlay, if there is one.
pub fn render(buffer: &mut Buffer, scene: Scene<'_>, area: Rect) {
    let (title, top) = match &scene.model.overlay {
        Some(Overlay::Help(reading)) => ("help", reading.top),
        Some(Overlay::Message(message)) => (message.title.as_str(), message.scroll.top),
        Some(Overlay::Prompt(_)) | None => return,
    };
    let lines = lines(scene, inside(scene, area).width);
    let frame = frame(scene, area);
    let below = lines.len().saturating_sub(top + usize::from(frame.height.saturating_sub(2)));
    let foot = if below > 0 { format!("{below} more lines (down) · esc: close") } else { "esc: close".to_owned() };
    let inside = canvas::put_box(buffer, scene.theme, frame, title, &foot);
    for (row, line) in (0..inside.height).zip(lines.iter().skip(top)) {
        canvas::put_line(buffer, inside, row, line);
    }
}

/// Returns the text of the overlay, wrapped to `width` columns.
pub fn lines(scene: Scene<'_>, width: u16) -> Vec<Line<'static>> {
    match &scene.model.overlay {
        Some(Overlay::Help(_)) => help_lines(scene, width.into()),
        Some(Overlay::Message(message)) => message
            .lines
            .iter()
            .flat_map(|line| if line.is_empty() { vec![String::new()] } else { text::wrap(line, width.into()) })
            .map(|line| Line::from(span(scene.theme, Role::Text, line)))
            .collect(),
        Some(Overlay::Prompt(_)) | None => Vec::new(),
    }
}

/// Returns the help: the keys that do something on the current screen, its commands and the marks of its timeline.
fn help_lines(scene: Scene<'_>, width: usize) -> Vec<Line<'static>> {
    let (theme, model) = (scene.theme, scene.model);
    let session = scene.session.filter(|_| model.screen == Screen::Dashboard);
    let [first, rest @ ..] = &*model.screen_scope().help_scopes() else { return Vec::new() };
    let keys = |scope: KeyScope| {
        let bindings = keymap::BINDINGS.iter().filter(move |binding| binding.scope == scope);
        let bindings = bindings.filter(|binding| has_effect(binding.action, session, model));
        let keys = bindings.map(|binding| (keymap::format_keys(binding.keys), binding.description));
        let mouse = keymap::MOUSE_BINDINGS.iter().filter(move |binding| binding.scope == scope);
        let mouse = mouse.map(|binding| (binding.gesture.to_owned(), binding.description));
        section(theme, scope.title(), keys.chain(mouse).collect(), width)
    };
    let commands = palette::matching_commands("", model, session);
    let commands =
        commands.into_iter().map(|command| (format!(":{} {}", command.name, command.argument), command.description));
    let mut sections = vec![keys(*first), section(theme, "commands with an argument", commands.collect(), width)];
    let shows_marks = !model.dashboard.page.has_list();
    sections.extend(session.filter(|_| shows_marks).map(|session| marks(theme, session, width)));
    sections.extend(rest.iter().map(|scope| keys(*scope)));
    sections.retain(|section| !section.is_empty());
    sections.join(&Line::default())
}

/// Returns the marks of the timeline of `session`, and what they mean.
fn marks(theme: &Theme, session: &dyn Session, width: usize) -> Vec<Line<'static>> {
    let status = session.status();
    let mut lines = vec![title(theme, "timeline marks")];
    for mut line in legend::lines(theme, LegendKind::of(session.trace()), width.saturating_sub(3)) {
        line.spans.insert(0, span(theme, Role::Text, "  "));
        lines.push(line);
    }
    let others = [
        (glyph::PAUSE, "on the axis: paused here"),
        (glyph::CURSOR, "time cursor"),
        (glyph::GAP, "gap: events dropped or evicted"),
    ];
    for (mark, meaning) in others {
        lines.extend(entry(theme, &mark.to_string(), meaning, width, 1));
    }
    if status.control_level == ControlLevel::Loop && status.clock == ClockKind::Virtual {
        let note = "virtual clock: a poll takes no loop time unless it blocks; time passes while the loop is parked";
        lines.extend(entry(theme, "", note, width, 1));
    }
    lines
}

fn title(theme: &Theme, text: &str) -> Line<'static> {
    Line::from(span(theme, Role::Title, format!(" {text}")))
}

/// Returns a titled list of keys or commands with their descriptions, aligned; nothing if it is empty.
fn section(theme: &Theme, heading: &str, rows: Vec<(String, &str)>, width: usize) -> Vec<Line<'static>> {
    if rows.is_empty() {
        return Vec::new();
    }
    let longest = rows.iter().map(|(key, _)| text::width(key)).max().unwrap_or(0);
    let key_columns = longest.max(KEY_COLUMNS_MIN);
    let entries = rows.iter().flat_map(|(key, description)| entry(theme, key, description, width, key_columns));
    std::iter::once(title(theme, heading)).chain(entries).collect()
}

/// Returns the lines of an entry: the key, padded to `key_columns`, and its description, wrapped beside it.
fn entry(theme: &Theme, key: &str, description: &str, width: usize, key_columns: usize) -> Vec<Line<'static>> {
    let indent = key_columns + 4;
    let wrapped = text::wrap(description, width.saturating_sub(indent + 1));
    let lead = |row: usize| text::fit(&format!("  {}", if row == 0 { key } else { "" }), indent);
    let line = |(row, text): (usize, String)| {
        Line::from_iter([span(theme, Role::Key, lead(row)), span(theme, Role::Text, text)])
    };
    wrapped.into_iter().enumerate().map(line).collect()
}
