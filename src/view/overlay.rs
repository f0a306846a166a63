//! Overlays: the help, and messages in full length.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::canvas::{self, span};
use super::legend;
use super::scene::Scene;
use super::text;
use super::theme::{Role, Theme};
use crate::app::keymap::{self, KeyScope};
use crate::app::{KeyPress, Overlay, palette};

/// Maximum width of an overlay.
const COLUMNS_MAX: u16 = 92;
/// Width of the key column in the help.
const KEY_COLUMNS: usize = 14;

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
        Some(Overlay::Help(_)) => help_lines(scene.theme, scene.model.screen_scope(), width.into()),
        Some(Overlay::Message(message)) => message
            .lines
            .iter()
            .flat_map(|line| if line.is_empty() { vec![String::new()] } else { text::wrap(line, width.into()) })
            .map(|line| Line::from(span(scene.theme, Role::Text, line)))
            .collect(),
        Some(Overlay::Prompt(_)) | None => Vec::new(),
    }
}

/// Returns the help: the legend, the keys of the current scope, then the other scopes and the commands.
fn help_lines(theme: &Theme, here: KeyScope, width: usize) -> Vec<Line<'static>> {
    let title = |text: &str| Line::from(span(theme, Role::Title, format!(" {text}")));
    let legend_lines = |kind| legend::lines(theme, kind, width.saturating_sub(3));
    let mut lines = vec![title("timeline marks")];
    let indented = |mut line: Line<'static>| {
        line.spans.insert(0, span(theme, Role::Text, "  "));
        line
    };
    lines.extend(legend_lines(legend::LegendKind::OwnLoop).into_iter().map(indented));
    lines.push(title("timeline marks of sampled programs"));
    lines.extend(legend_lines(legend::LegendKind::Sampled).into_iter().map(indented));
    let notes = [
        "‖ on the axis: paused here; ▼: time cursor; ╳: gap, events dropped or evicted",
        "virtual clock: a poll takes no loop time unless it blocks; time passes while the loop is parked",
    ];
    for note in notes {
        lines.extend(entry(theme, "", note, width, 2));
    }
    let scopes = std::iter::once(here).chain(KeyScope::ALL.into_iter().filter(|scope| *scope != here));
    for scope in scopes {
        lines.push(Line::default());
        lines.push(title(scope.title()));
        for binding in keymap::BINDINGS.iter().filter(|line| line.scope == scope) {
            let keys = binding.keys.iter().map(KeyPress::to_string).collect::<Vec<_>>().join(" ");
            lines.extend(entry(theme, &keys, binding.description, width, KEY_COLUMNS));
        }
        if scope == KeyScope::Dashboard {
            lines.extend(entry(theme, "click", "select a task; on its lane: set the time cursor", width, KEY_COLUMNS));
            lines.extend(entry(theme, "wheel", "scroll; with ctrl or shift: zoom at the pointer", width, KEY_COLUMNS));
        }
    }
    lines.push(Line::default());
    lines.push(title("commands with an argument"));
    for verb in palette::PALETTE_COMMANDS {
        lines.extend(entry(
            theme,
            &format!(":{} {}", verb.name, verb.argument),
            verb.description,
            width,
            KEY_COLUMNS + 4,
        ));
    }
    lines
}

fn entry(theme: &Theme, key: &str, text: &str, width: usize, key_columns: usize) -> Vec<Line<'static>> {
    let wrapped = text::wrap(text, width.saturating_sub(key_columns + 2));
    let lead = |row: usize| if row == 0 { format!("  {key:<key_columns$}") } else { " ".repeat(key_columns + 2) };
    let line = |(row, text): (usize, String)| {
        Line::from_iter([span(theme, Role::Key, lead(row)), span(theme, Role::Text, text)])
    };
    wrapped.into_iter().enumerate().map(line).collect()
}
