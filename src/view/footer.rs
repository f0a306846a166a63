//! Footer: key hints, the prompt while the user types, or a notice.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::canvas::{self, span};
use super::layout;
use super::scene::Scene;
use super::text;
use super::theme::{Role, Theme};
use crate::app::keymap;
use crate::app::{Action, Overlay, Prompt, PromptKind, Screen, is_in_footer, palette};
use crate::control::{ControlLevel, RunPhase, SessionStatus};
use crate::session::interface::Session;

/// Maximum number of commands listed in the palette.
const PALETTE_ROWS_MAX: u16 = 10;
/// Width of a command with its argument in the palette.
const USAGE_COLUMNS: usize = 22;

/// Draws the footer, and the palette's commands above it.
pub fn render(buffer: &mut Buffer, scene: Scene<'_>, screen: Rect, area: Rect) {
    let theme = scene.theme;
    match (&scene.model.overlay, &scene.model.notice) {
        (Some(Overlay::Prompt(prompt)), _) => {
            if prompt.kind == PromptKind::Command {
                render_palette(buffer, scene, prompt, Rect { height: area.y - screen.y, ..screen });
            }
            render_prompt(buffer, theme, prompt, area);
        }
        (_, Some(notice)) => canvas::put_text(buffer, area, (1, 0), notice, theme.style(Role::Warning)),
        (_, None) => canvas::put_line(buffer, area, 0, &key_hints(scene, area.width)),
    }
}

/// Returns the session that is shown; `None` on the picker.
fn dashboard_session(scene: Scene<'_>) -> Option<&dyn Session> {
    scene.session.filter(|_| scene.model.screen == Screen::Dashboard)
}

/// Returns as many key hints as fit; help and quit are always included.
fn key_hints(scene: Scene<'_>, width: u16) -> Line<'static> {
    let (theme, scope) = (scene.theme, scene.model.scope());
    let session = dashboard_session(scene);
    let status = session.map(Session::status);
    let is_action_available = |action: Action| is_in_footer(action, session, scene.model);
    let shown = |line: &&keymap::KeyBinding| !line.footer_label.is_empty() && is_action_available(line.action);
    let is_paused = |status: &SessionStatus| matches!(status.phase, RunPhase::Paused | RunPhase::Pausing);
    let label = |line: &keymap::KeyBinding| match (line.action, &status) {
        (Action::TogglePause, Some(status)) if status.control_level != ControlLevel::Loop => {
            if scene.model.dashboard.frozen.is_some() { "resume" } else { "freeze view" }
        }
        (Action::TogglePause, Some(status)) if is_paused(status) => "resume",
        (Action::ToggleProcessFreeze, Some(status)) if is_paused(status) => "continue process",
        (Action::ToggleEnded, _) if scene.model.dashboard.rows.hides_ended() => "show ended",
        _ => line.footer_label,
    };
    let piece = |line: &keymap::KeyBinding| {
        let keys = match line.action {
            // One key for each tab.
            Action::ShowTab(_) => &line.keys[..scene.model.tabs.all.len().min(line.keys.len())],
            _ => &line.keys[..1],
        };
        [
            span(theme, Role::Key, format!(" {}", keymap::format_keys(keys))),
            span(theme, Role::Dim, format!(" {} ", label(line))),
        ]
    };
    let is_last = |line: &keymap::KeyBinding| matches!(line.action, Action::Help | Action::Quit);
    let (last, first): (Vec<_>, Vec<_>) = keymap::bindings_for(scope).filter(shown).partition(|line| is_last(line));
    let last: Vec<Span<'_>> = last.into_iter().flat_map(piece).collect();
    let mut line = Line::default();
    let reserved: usize = last.iter().map(Span::width).sum();
    for binding in first {
        let piece = piece(binding);
        if line.width() + reserved + piece.iter().map(Span::width).sum::<usize>() > usize::from(width) {
            break;
        }
        line.spans.extend(piece);
    }
    line.spans.extend(last);
    line
}

fn render_prompt(buffer: &mut Buffer, theme: &Theme, prompt: &Prompt, area: Rect) {
    let lead = match prompt.kind {
        PromptKind::Search => "/",
        PromptKind::Command => ":",
        PromptKind::Attach => "attach to ",
        PromptKind::Save => "save to ",
    };
    let mut line = Line::from(span(theme, Role::Key, format!(" {lead}")));
    let hint = match (&prompt.error, prompt.kind) {
        (Some(error), _) => (Role::Error, format!("  {error}")),
        (None, PromptKind::Search) => (Role::Dim, "  enter: keep, esc: clear".to_owned()),
        (None, PromptKind::Attach) => {
            (Role::Dim, "  HOST:PORT, unix:PATH, pid:PID or probe://HOST:PORT; enter: attach".to_owned())
        }
        (None, PromptKind::Save) => (Role::Dim, "  enter: save the trace so far, esc: cancel".to_owned()),
        (None, PromptKind::Command) => (Role::Dim, "  enter: run, esc: cancel".to_owned()),
    };
    let field_width = usize::from(area.width).saturating_sub(3 + lead.len()).clamp(1, 40);
    line.spans.extend(canvas::input_line(theme, &prompt.field, field_width, Role::Strong, true).spans);
    line.push_span(span(theme, hint.0, hint.1));
    canvas::put_line(buffer, area, 0, &line);
}

/// Draws the palette: the commands that match what was typed, right above the prompt.
fn render_palette(buffer: &mut Buffer, scene: Scene<'_>, prompt: &Prompt, mut above: Rect) {
    let (theme, model, session) = (scene.theme, scene.model, dashboard_session(scene));
    let commands = palette::matching_bindings(prompt.field.text(), model, session);
    let first_word = prompt.field.text().split_whitespace().next().unwrap_or_default();
    let verbs = palette::matching_commands(first_word, model, session);
    let verb_rows = u16::try_from(verbs.len()).unwrap_or(0);
    let command_rows = u16::try_from(commands.len()).unwrap_or(u16::MAX).min(PALETTE_ROWS_MAX);
    let wanted = (verb_rows + command_rows).clamp(1, above.height.saturating_sub(2).max(1));
    if above.height < 3 {
        return;
    }
    let area = layout::take_bottom(&mut above, wanted + 2);
    let inside = canvas::put_box(buffer, theme, Rect { width: area.width.min(76), ..area }, "commands", "");
    let command_rows = inside.height.saturating_sub(verb_rows).max(1);
    let first = (prompt.chosen + 1).saturating_sub(command_rows.into());
    for (row, (index, command)) in (0..command_rows).zip(commands.iter().enumerate().skip(first)) {
        let role = if index == prompt.chosen { Role::Selected } else { Role::Text };
        let key = command.keys[0].to_string();
        let line = format!(" {:>9}  {}", key, command.description);
        canvas::put_text(buffer, inside, (0, row), &text::fit(&line, inside.width.into()), theme.style(role));
    }
    let after = command_rows.min(u16::try_from(commands.len()).unwrap_or(u16::MAX));
    if commands.is_empty() && verbs.is_empty() {
        canvas::put_text(buffer, inside, (1, 0), "no matching command", theme.style(Role::Dim));
    }
    for (row, verb) in (after..).zip(verbs) {
        let usage = format!("{} {}", verb.name, verb.argument);
        let line = format!("            {usage:<USAGE_COLUMNS$}  {}", verb.description);
        canvas::put_text(buffer, inside, (0, row), &line, theme.style(Role::Dim));
    }
}
