//! What is laid over a screen to be read: the help, and messages with all their lines.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::legend;
use super::pen::{self, span};
use super::scene::Scene;
use super::text;
use super::theme::{Role, Theme};
use crate::app::keymap::{self, Scope};
use crate::app::{Key, Overlay, palette};

/// Columns of a text that reads well.
const COLUMNS_MAX: u16 = 92;
/// Columns of the keys in the help.
const KEY_COLUMNS: usize = 14;

/// The inside of the overlay on a screen of `area`; empty where there is nothing to read.
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

/// Draws what is to be read, if anything is.
pub fn render(buffer: &mut Buffer, scene: Scene<'_>, area: Rect) {
    let (title, top) = match &scene.model.overlay {
        Some(Overlay::Help(reading)) => ("help", reading.top),
        Some(Overlay::Message(message)) => (message.title.as_str(), message.reading.top),
        Some(Overlay::Prompt(_)) | None => return,
    };
    let lines = lines(scene, inside(scene, area).width);
    let frame = frame(scene, area);
    let below = lines.len().saturating_sub(top + usize::from(frame.height.saturating_sub(2)));
    let foot = if below > 0 { format!("{below} lines more: down · close: esc") } else { "close: esc".to_owned() };
    let inside = pen::boxed(buffer, scene.theme, frame, title, &foot);
    for (row, line) in (0..inside.height).zip(lines.iter().skip(top)) {
        pen::line(buffer, inside, row, line);
    }
}

/// The text to read, in lines of `width` columns.
pub fn lines(scene: Scene<'_>, width: u16) -> Vec<Line<'static>> {
    match &scene.model.overlay {
        Some(Overlay::Help(_)) => help(scene.theme, scene.model.screen_scope(), width.into()),
        Some(Overlay::Message(message)) => message
            .lines
            .iter()
            .flat_map(|line| if line.is_empty() { vec![String::new()] } else { text::wrap(line, width.into()) })
            .map(|line| Line::from(span(scene.theme, Role::Text, line)))
            .collect(),
        Some(Overlay::Prompt(_)) | None => Vec::new(),
    }
}

/// The marks, then the keys of where the person is, then all others.
fn help(theme: &Theme, here: Scope, width: usize) -> Vec<Line<'static>> {
    let title = |text: &str| Line::from(span(theme, Role::Title, format!(" {text}")));
    let marks = |told| legend::lines(theme, told, width.saturating_sub(3));
    let mut lines = vec![title("the marks of the timeline")];
    let indented = |mut line: Line<'static>| {
        line.spans.insert(0, span(theme, Role::Text, "  "));
        line
    };
    lines.extend(marks(legend::Told::Own).into_iter().map(indented));
    lines.push(title("the marks where the polls of somebody else's program are told in sums only"));
    lines.extend(marks(legend::Told::Sampled).into_iter().map(indented));
    let marks = [
        "‖ on the axis: you paused there; ▼ is the time cursor; ╳ is where facts were lost.",
        "On a virtual clock a poll takes no loop time unless it blocks: time passes while the loop is parked.",
    ];
    for mark in marks {
        lines.extend(entry(theme, "", mark.trim_start_matches(""), width, 2));
    }
    let scopes = std::iter::once(here).chain(Scope::ALL.into_iter().filter(|scope| *scope != here));
    for scope in scopes {
        lines.push(Line::default());
        lines.push(title(scope.title()));
        for binding in keymap::BINDINGS.iter().filter(|line| line.scope == scope) {
            let keys = binding.keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" ");
            lines.extend(entry(theme, &keys, binding.name, width, KEY_COLUMNS));
        }
        if scope == Scope::Dashboard {
            lines.extend(entry(
                theme,
                "click",
                "select a task; on its lane: look back to that time",
                width,
                KEY_COLUMNS,
            ));
            lines.extend(entry(theme, "wheel", "scroll; with ctrl or shift: zoom at the pointer", width, KEY_COLUMNS));
        }
    }
    lines.push(Line::default());
    lines.push(title("commands with a word after them"));
    for verb in palette::VERBS {
        lines.extend(entry(theme, &format!(":{} {}", verb.name, verb.word), verb.does, width, KEY_COLUMNS + 4));
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
