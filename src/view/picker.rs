//! Picker: the list of workloads, and the description, parameters and script of the chosen one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::canvas::{self, span};
use super::layout::{below_rule, take_bottom, take_top};
use super::scene::Scene;
use super::theme::Role;
use super::{glyph, lua_highlight, text};
use crate::app::{FormField, LaunchForm, PickerFocus};
use crate::workload::manifest::Manifest;

/// Minimum width at which all panes are shown; below it, only the focused one.
const BOTH_FROM_COLUMNS: u16 = 72;
/// Width of a parameter's name.
const LABEL_COLUMNS: usize = 16;
/// Width of a parameter's value.
const VALUE_COLUMNS: usize = 18;

/// Areas of the picker. An area without space is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct PickerLayout {
    /// Title line.
    pub head: Rect,
    /// List of workloads.
    pub list: Rect,
    /// Description of the chosen workload.
    pub lesson: Rect,
    /// Parameters of the chosen workload.
    pub form: Rect,
    /// Script of the chosen workload.
    pub script: Rect,
    /// Key hints or prompt.
    pub footer: Rect,
}

/// Computes the layout of the picker.
pub fn layout(scene: Scene<'_>, area: Rect) -> PickerLayout {
    let mut rest = area;
    let footer = take_bottom(&mut rest, u16::from(area.height > 2));
    let head = take_top(&mut rest, u16::from(area.height > 4));
    let focus = scene.model.picker.focus;
    let mut areas = PickerLayout { head, footer, ..PickerLayout::default() };
    let mut right = rest;
    if area.width >= BOTH_FROM_COLUMNS {
        let width = (area.width / 3).clamp(26, 44);
        areas.list = Rect { width, ..rest };
        right = Rect { x: rest.x + width + 1, width: rest.width - width - 1, ..rest };
    } else if focus == PickerFocus::List {
        let lesson_rows = if rest.height >= 7 { 4 } else { 0 };
        areas.lesson = take_bottom(&mut rest, lesson_rows);
        areas.list = rest;
        return areas;
    }
    let manifest = scene.model.picker.chosen_manifest(scene.catalog);
    let lesson =
        manifest.map_or(0, |manifest| text::wrap(&manifest.lesson, usize::from(right.width).saturating_sub(2)).len());
    let lesson_rows = u16::try_from(lesson).unwrap_or(0) + 2;
    if right.height >= 14 {
        let height = lesson_rows.min(right.height / 3);
        areas.lesson = take_top(&mut right, height);
    }
    let entries = scene.model.picker.form().map_or(0, |form| form.fields.len());
    let form_rows = u16::try_from(entries).unwrap_or(u16::MAX).saturating_add(2);
    // The form takes a rule, its entries and a help line; the script takes the rest.
    let shows_one_pane = right.height < 12;
    match (shows_one_pane, focus) {
        (true, PickerFocus::Script) => areas.script = right,
        (true, _) => areas.form = right,
        (false, _) => {
            let height = form_rows.min(right.height * 2 / 3);
            areas.form = take_top(&mut right, height);
            areas.script = right;
        }
    }
    areas
}

/// Draws the picker.
pub fn render(buffer: &mut Buffer, scene: Scene<'_>, areas: &PickerLayout) {
    let theme = scene.theme;
    let head = Line::from_iter([
        span(theme, Role::Strong, " loopscope"),
        span(theme, Role::Dim, "  async event-loop inspector: choose a workload"),
    ]);
    canvas::put_line(buffer, areas.head, 0, &head);
    list(buffer, scene, areas.list);
    let Some(manifest) = scene.model.picker.chosen_manifest(scene.catalog) else { return };
    lesson(buffer, scene, areas.lesson, manifest);
    if let Some(form_state) = scene.model.picker.form() {
        form(buffer, scene, areas.form, form_state);
    }
    script(buffer, scene, areas.script, manifest);
}

fn list(buffer: &mut Buffer, scene: Scene<'_>, area: Rect) {
    let (theme, picker) = (scene.theme, &scene.model.picker);
    let matching = picker.matching(scene.catalog);
    let title = match picker.filter.as_str() {
        "" => format!("workloads {}", matching.len()),
        filter => format!("{} of {} matching `{filter}`", matching.len(), scene.catalog.len()),
    };
    canvas::put_rule(buffer, theme, area, &title, "", picker.focus == PickerFocus::List);
    let rows = below_rule(area);
    if matching.is_empty() {
        let why = if scene.catalog.is_empty() { "no workloads" } else { "no matching workload (esc: show all)" };
        canvas::put_text(buffer, rows, (1, 0), why, theme.style(Role::Warning));
    }
    // Keep the chosen row visible even if the terminal has shrunk.
    let chosen_row = matching.iter().position(|index| *index == picker.chosen).unwrap_or(0);
    let first = picker.top.clamp((chosen_row + 1).saturating_sub(usize::from(rows.height).max(1)), chosen_row);
    for (row, index) in (0..rows.height).zip(matching.iter().skip(first)) {
        let manifest = &scene.catalog[*index];
        let is_chosen = *index == picker.chosen;
        let role = if is_chosen { Role::Selected } else { Role::Text };
        let mark = if is_chosen { glyph::SELECTED } else { ' ' };
        let line = text::fit(&format!("{mark} {}", manifest.name), rows.width.into());
        canvas::put_text(buffer, rows, (0, row), &line, theme.style(role));
    }
}

fn lesson(buffer: &mut Buffer, scene: Scene<'_>, area: Rect, manifest: &Manifest) {
    canvas::put_rule(buffer, scene.theme, area, &manifest.title, &format!("{} clock", manifest.clock.name()), false);
    let rows = below_rule(area);
    let lines = text::wrap(&manifest.lesson, usize::from(rows.width).saturating_sub(2));
    for (row, line) in (0..rows.height).zip(lines) {
        canvas::put_text(buffer, rows, (1, row), &line, scene.theme.style(Role::Text));
    }
}

fn form(buffer: &mut Buffer, scene: Scene<'_>, area: Rect, form: &LaunchForm) {
    let has_keys = scene.model.picker.focus == PickerFocus::Form;
    let hint = if has_keys { "type to edit" } else { "tab: edit" };
    canvas::put_rule(buffer, scene.theme, area, "parameters", hint, has_keys);
    let mut rows = below_rule(area);
    let help_rows = u16::from(rows.height > 1);
    let help = take_bottom(&mut rows, help_rows);
    let first = (form.focused + 1).saturating_sub(usize::from(rows.height).max(1));
    for (row, (index, entry)) in (0..rows.height).zip(form.fields.iter().enumerate().skip(first)) {
        let line = field(scene, entry, has_keys && index == form.focused);
        canvas::put_line(buffer, rows, row, &line);
    }
    if let Some(entry) = form.fields.get(form.focused) {
        let (role, text) = match &entry.error {
            Some(error) => (Role::Error, error.as_str()),
            None => (Role::Dim, entry.help.as_str()),
        };
        canvas::put_text(buffer, help, (1, 0), text, scene.theme.style(role));
    }
}

fn field(scene: Scene<'_>, entry: &FormField, is_chosen: bool) -> Line<'static> {
    let theme = scene.theme;
    let mark = if is_chosen { glyph::SELECTED } else { ' ' };
    let label = format!("{mark}{} ", text::fit(&entry.label, LABEL_COLUMNS));
    let mut line = Line::from(span(theme, if is_chosen { Role::Strong } else { Role::Text }, label));
    let role = if entry.is_changed() { Role::Strong } else { Role::Text };
    if entry.is_choice() {
        let (open, close) = if is_chosen { ("‹ ", " ›") } else { ("", "") };
        line.push_span(span(theme, Role::Key, open));
        line.push_span(span(theme, role, text::truncate(entry.input.text(), VALUE_COLUMNS)));
        line.push_span(span(theme, Role::Key, close));
    } else {
        line.spans.extend(canvas::input_line(theme, &entry.input, VALUE_COLUMNS, role, is_chosen).spans);
    }
    if entry.input.text().is_empty() && !is_chosen {
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
    canvas::put_rule(
        buffer,
        scene.theme,
        area,
        &manifest.file,
        &format!("{count} lines"),
        picker.focus == PickerFocus::Script,
    );
    let rows = below_rule(area);
    for (row, (index, line)) in (0..rows.height).zip(manifest.text.lines().enumerate().skip(picker.script_top)) {
        let mut shown = Line::from(span(scene.theme, Role::Dim, format!("{:>4} ", index + 1)));
        shown.spans.extend(lua_highlight::highlight(scene.theme, line));
        canvas::put_line(buffer, rows, row, &shown);
    }
}
