//! The picker: workloads at the left; at the right what the chosen one teaches, its parameters and its script.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::layout::{below_rule, bottom, top};
use super::pen::{self, span};
use super::scene::Scene;
use super::theme::Role;
use super::{glyph, lua, text};
use crate::app::{Entry, Focus, Form};
use crate::workload::manifest::Manifest;

/// Narrower than this, only the pane that has the keys is shown.
const BOTH_FROM_COLUMNS: u16 = 72;
/// Columns of a parameter's name and of its value.
const LABEL_COLUMNS: usize = 16;
const VALUE_COLUMNS: usize = 18;

/// Where the picker's parts are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    pub head: Rect,
    pub list: Rect,
    pub lesson: Rect,
    pub form: Rect,
    pub script: Rect,
    pub footer: Rect,
}

/// Lays the picker out.
pub fn layout(scene: Scene<'_>, area: Rect) -> Layout {
    let mut rest = area;
    let footer = bottom(&mut rest, u16::from(area.height > 2));
    let head = top(&mut rest, u16::from(area.height > 4));
    let focus = scene.model.picker.focus;
    let mut places = Layout { head, footer, ..Layout::default() };
    let mut right = rest;
    if area.width >= BOTH_FROM_COLUMNS {
        let width = (area.width / 3).clamp(26, 44);
        places.list = Rect { width, ..rest };
        right = Rect { x: rest.x + width + 1, width: rest.width - width - 1, ..rest };
    } else if focus == Focus::List {
        let lesson_rows = if rest.height >= 7 { 4 } else { 0 };
        places.lesson = bottom(&mut rest, lesson_rows);
        places.list = rest;
        return places;
    }
    let manifest = scene.model.picker.manifest(scene.catalog);
    let lesson =
        manifest.map_or(0, |manifest| text::wrap(&manifest.lesson, usize::from(right.width).saturating_sub(2)).len());
    let lesson_rows = u16::try_from(lesson).unwrap_or(0) + 2;
    if right.height >= 14 {
        let height = lesson_rows.min(right.height / 3);
        places.lesson = top(&mut right, height);
    }
    let entries = scene.model.picker.form().map_or(0, |form| form.entries.len());
    let form_rows = u16::try_from(entries).unwrap_or(u16::MAX).saturating_add(2);
    // The rule, every entry, and what the chosen one may be; the script takes what is left.
    let is_alone = right.height < 12;
    match (is_alone, focus) {
        (true, Focus::Script) => places.script = right,
        (true, _) => places.form = right,
        (false, _) => {
            let height = form_rows.min(right.height * 2 / 3);
            places.form = top(&mut right, height);
            places.script = right;
        }
    }
    places
}

/// Draws the picker.
pub fn render(buffer: &mut Buffer, scene: Scene<'_>, places: &Layout) {
    let theme = scene.theme;
    let head = Line::from_iter([
        span(theme, Role::Strong, " loopscope"),
        span(theme, Role::Dim, "  shows what an async event loop is really doing; choose what to run"),
    ]);
    pen::line(buffer, places.head, 0, &head);
    list(buffer, scene, places.list);
    let Some(manifest) = scene.model.picker.manifest(scene.catalog) else { return };
    lesson(buffer, scene, places.lesson, manifest);
    if let Some(form_state) = scene.model.picker.form() {
        form(buffer, scene, places.form, form_state);
    }
    script(buffer, scene, places.script, manifest);
}

fn list(buffer: &mut Buffer, scene: Scene<'_>, area: Rect) {
    let (theme, picker) = (scene.theme, &scene.model.picker);
    let matching = picker.matching(scene.catalog);
    let title = match picker.filter.as_str() {
        "" => format!("workloads {}", matching.len()),
        filter => format!("{} of {} with `{filter}`", matching.len(), scene.catalog.len()),
    };
    pen::rule(buffer, theme, area, &title, "", picker.focus == Focus::List);
    let rows = below_rule(area);
    if matching.is_empty() {
        let why =
            if scene.catalog.is_empty() { "there are no workloads" } else { "no workload has this; esc shows all" };
        pen::put(buffer, rows, (1, 0), why, theme.style(Role::Warning));
    }
    // The list is drawn around the choice even where the terminal shrank since it was moved.
    let place = matching.iter().position(|index| *index == picker.chosen).unwrap_or(0);
    let first = picker.top.clamp((place + 1).saturating_sub(usize::from(rows.height).max(1)), place);
    for (row, index) in (0..rows.height).zip(matching.iter().skip(first)) {
        let manifest = &scene.catalog[*index];
        let is_chosen = *index == picker.chosen;
        let role = if is_chosen { Role::Selected } else { Role::Text };
        let mark = if is_chosen { glyph::SELECTED } else { ' ' };
        let line = text::fit(&format!("{mark} {}", manifest.name), rows.width.into());
        pen::put(buffer, rows, (0, row), &line, theme.style(role));
    }
}

fn lesson(buffer: &mut Buffer, scene: Scene<'_>, area: Rect, manifest: &Manifest) {
    pen::rule(buffer, scene.theme, area, &manifest.title, &format!("{} clock", manifest.clock.name()), false);
    let rows = below_rule(area);
    let lines = text::wrap(&manifest.lesson, usize::from(rows.width).saturating_sub(2));
    for (row, line) in (0..rows.height).zip(lines) {
        pen::put(buffer, rows, (1, row), &line, scene.theme.style(Role::Text));
    }
}

fn form(buffer: &mut Buffer, scene: Scene<'_>, area: Rect, form: &Form) {
    let has_keys = scene.model.picker.focus == Focus::Form;
    let hint = if has_keys { "type to change" } else { "tab to change" };
    pen::rule(buffer, scene.theme, area, "parameters", hint, has_keys);
    let mut rows = below_rule(area);
    let help_rows = u16::from(rows.height > 1);
    let help = bottom(&mut rows, help_rows);
    let first = (form.chosen + 1).saturating_sub(usize::from(rows.height).max(1));
    for (row, (index, entry)) in (0..rows.height).zip(form.entries.iter().enumerate().skip(first)) {
        let line = field(scene, entry, has_keys && index == form.chosen);
        pen::line(buffer, rows, row, &line);
    }
    if let Some(entry) = form.entries.get(form.chosen) {
        let (role, text) = match &entry.error {
            Some(error) => (Role::Error, error.as_str()),
            None => (Role::Dim, entry.help.as_str()),
        };
        pen::put(buffer, help, (1, 0), text, scene.theme.style(role));
    }
}

fn field(scene: Scene<'_>, entry: &Entry, is_chosen: bool) -> Line<'static> {
    let theme = scene.theme;
    let mark = if is_chosen { glyph::SELECTED } else { ' ' };
    let label = format!("{mark}{} ", text::fit(&entry.label, LABEL_COLUMNS));
    let mut line = Line::from(span(theme, if is_chosen { Role::Strong } else { Role::Text }, label));
    let role = if entry.is_changed() { Role::Strong } else { Role::Text };
    if entry.is_choice() {
        let (open, close) = if is_chosen { ("‹ ", " ›") } else { ("", "") };
        line.push_span(span(theme, Role::Key, open));
        line.push_span(span(theme, role, text::cut(entry.field.text(), VALUE_COLUMNS)));
        line.push_span(span(theme, Role::Key, close));
    } else {
        line.spans.extend(pen::field(theme, &entry.field, VALUE_COLUMNS, role, is_chosen).spans);
    }
    if entry.field.text().is_empty() && !is_chosen {
        line.push_span(span(theme, Role::Dim, "default"));
    }
    if entry.error.is_some() {
        line.push_span(span(theme, Role::Error, format!(" {}", glyph::FAILED)));
    }
    line
}

fn script(buffer: &mut Buffer, scene: Scene<'_>, area: Rect, manifest: &Manifest) {
    let picker = &scene.model.picker;
    let count = manifest.text.lines().count();
    pen::rule(buffer, scene.theme, area, &manifest.file, &format!("{count} lines"), picker.focus == Focus::Script);
    let rows = below_rule(area);
    for (row, (index, line)) in (0..rows.height).zip(manifest.text.lines().enumerate().skip(picker.script_top)) {
        let mut shown = Line::from(span(scene.theme, Role::Dim, format!("{:>4} ", index + 1)));
        shown.spans.extend(lua::spans(scene.theme, line));
        pen::line(buffer, rows, row, &shown);
    }
}
