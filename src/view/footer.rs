//! The last row: the keys that work here, or the line that is being typed, or what was just answered.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::layout;
use super::pen::{self, span};
use super::scene::Scene;
use super::text;
use super::theme::{Role, Theme};
use crate::app::keymap;
use crate::app::{Action, Model, Overlay, Prompt, Purpose, Screen, Session, is_offered, palette};
use crate::control::{Phase, Status, Steering};

/// Commands that the palette lists at once.
const OFFERS_MAX: u16 = 10;

/// Draws the row, and the palette's offers above it.
pub fn render(buffer: &mut Buffer, scene: Scene<'_>, screen: Rect, area: Rect) {
    let theme = scene.theme;
    match (&scene.model.overlay, &scene.model.notice) {
        (Some(Overlay::Prompt(prompt)), _) => {
            if prompt.purpose == Purpose::Command {
                offers(buffer, theme, scene.model, prompt, Rect { height: area.y - screen.y, ..screen });
            }
            typed(buffer, theme, prompt, area);
        }
        (_, Some(notice)) => pen::put(buffer, area, (1, 0), notice, theme.style(Role::Warning)),
        (_, None) => pen::line(buffer, area, 0, &keys(scene, area.width)),
    }
}

/// Keys and what they do, as many as fit; the way to all the others is always among them.
fn keys(scene: Scene<'_>, width: u16) -> Line<'static> {
    let (theme, scope) = (scene.theme, scene.model.scope());
    let session = scene.session.filter(|_| scene.model.screen == Screen::Dashboard);
    let status = session.map(Session::status);
    let makes_sense = |action: Action| is_offered(action, session, scene.model);
    let shown = |line: &&keymap::Binding| !line.footer.is_empty() && makes_sense(line.action);
    let is_paused = |status: &Status| matches!(status.phase, Phase::Paused | Phase::Pausing);
    let label = |line: &keymap::Binding| match (line.action, &status) {
        (Action::TogglePause, Some(status)) if status.steering != Steering::Loop => {
            if scene.model.dashboard.frozen.is_some() { "go on" } else { "freeze picture" }
        }
        (Action::TogglePause, Some(status)) if is_paused(status) => "resume",
        (Action::FreezeProcess, Some(status)) if is_paused(status) => "let process go on",
        _ => line.footer,
    };
    let piece = |line: &keymap::Binding| {
        let key = match line.action {
            Action::ShowTab(_) => format!(" 1-{}", scene.model.tabs.all.len().min(9)),
            _ => format!(" {}", line.keys[0]),
        };
        [span(theme, Role::Key, key), span(theme, Role::Dim, format!(" {} ", label(line)))]
    };
    let is_last = |line: &keymap::Binding| matches!(line.action, Action::Help | Action::Quit);
    let (last, first): (Vec<_>, Vec<_>) = keymap::lines(scope).filter(shown).partition(|line| is_last(line));
    let last: Vec<Span<'_>> = last.into_iter().flat_map(piece).collect();
    let mut line = Line::default();
    let kept: usize = last.iter().map(Span::width).sum();
    for binding in first {
        let piece = piece(binding);
        if line.width() + kept + piece.iter().map(Span::width).sum::<usize>() > usize::from(width) {
            break;
        }
        line.spans.extend(piece);
    }
    line.spans.extend(last);
    line
}

fn typed(buffer: &mut Buffer, theme: &Theme, prompt: &Prompt, area: Rect) {
    let lead = match prompt.purpose {
        Purpose::Search => "/",
        Purpose::Command => ":",
        Purpose::Attach => "attach to ",
        Purpose::Save => "save to ",
    };
    let mut line = Line::from(span(theme, Role::Key, format!(" {lead}")));
    let hint = match (&prompt.error, prompt.purpose) {
        (Some(error), _) => (Role::Error, format!("  {error}")),
        (None, Purpose::Search) => (Role::Dim, "  enter keeps it, esc clears it".to_owned()),
        (None, Purpose::Attach) => (Role::Dim, "  HOST:PORT or unix:PATH; enter attaches, esc leaves".to_owned()),
        (None, Purpose::Save) => (Role::Dim, "  enter saves what was seen so far, esc leaves".to_owned()),
        (None, Purpose::Command) => (Role::Dim, "  enter does it, esc leaves".to_owned()),
    };
    let room = usize::from(area.width).saturating_sub(3 + lead.len()).clamp(1, 40);
    line.spans.extend(pen::field(theme, &prompt.field, room, Role::Strong, true).spans);
    line.push_span(span(theme, hint.0, hint.1));
    pen::line(buffer, area, 0, &line);
}

/// The commands that fit what is typed, right above it.
fn offers(buffer: &mut Buffer, theme: &Theme, model: &Model, prompt: &Prompt, mut above: Rect) {
    let offers = palette::offers(model.screen_scope(), prompt.field.text());
    let first_word = prompt.field.text().split_whitespace().next().unwrap_or_default();
    let verbs: Vec<_> = palette::VERBS.iter().filter(|verb| verb.name.starts_with(first_word)).collect();
    let verb_rows = u16::try_from(verbs.len()).unwrap_or(0);
    let offer_rows = u16::try_from(offers.len()).unwrap_or(u16::MAX).min(OFFERS_MAX);
    let wanted = (verb_rows + offer_rows).clamp(1, above.height.saturating_sub(2).max(1));
    if above.height < 3 {
        return;
    }
    let area = layout::bottom(&mut above, wanted + 2);
    let inside = pen::boxed(buffer, theme, Rect { width: area.width.min(76), ..area }, "commands", "");
    let offer_rows = inside.height.saturating_sub(verb_rows).max(1);
    let first = (prompt.chosen + 1).saturating_sub(offer_rows.into());
    for (row, (index, offer)) in (0..offer_rows).zip(offers.iter().enumerate().skip(first)) {
        let role = if index == prompt.chosen { Role::Selected } else { Role::Text };
        let key = offer.keys[0].to_string();
        let line = format!(" {:>9}  {}", key, offer.name);
        pen::put(buffer, inside, (0, row), &text::fit(&line, inside.width.into()), theme.style(role));
    }
    let after = offer_rows.min(u16::try_from(offers.len()).unwrap_or(u16::MAX));
    if offers.is_empty() && verbs.is_empty() {
        pen::put(buffer, inside, (1, 0), "no command has this in its name", theme.style(Role::Dim));
    }
    for (row, verb) in (after..).zip(verbs) {
        let line = format!("            {} {}   {}", verb.name, verb.word, verb.does);
        pen::put(buffer, inside, (0, row), &line, theme.style(Role::Dim));
    }
}
