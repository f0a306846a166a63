//! The picker: which workloads match the search, which is chosen, and its form.

use super::action::{Action, Effect, Step};
use super::form::Form;
use super::geometry::Geometry;
use super::input::{Mouse, MouseKind};
use super::rows::matches;
use crate::workload::manifest::Manifest;

/// Which part of the picker the keys go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    #[default]
    List,
    Form,
    Script,
}

impl Focus {
    fn next(self) -> Self {
        match self {
            Self::List => Self::Form,
            Self::Form => Self::Script,
            Self::Script => Self::List,
        }
    }
}

/// What the person is doing in the picker.
#[derive(Clone, Debug, Default)]
pub struct Picker {
    /// What name or title must have in them, in lower case.
    pub filter: String,
    /// The chosen workload's index in the catalog.
    pub chosen: usize,
    /// The first row of the list that is shown.
    pub top: usize,
    pub focus: Focus,
    /// The first line of the script that is shown.
    pub script_top: usize,
    /// One a workload, made when it is first shown and kept, so that looking around loses no typing.
    forms: Vec<Option<Form>>,
}

impl Picker {
    /// The catalog's indices that match the search.
    pub fn matching(&self, catalog: &[Manifest]) -> Vec<usize> {
        let found =
            |manifest: &Manifest| matches(&manifest.name, &self.filter) || matches(&manifest.title, &self.filter);
        (0..catalog.len()).filter(|index| found(&catalog[*index])).collect()
    }

    /// The workload that is shown and would run; `None` where none matches.
    pub fn manifest<'a>(&self, catalog: &'a [Manifest]) -> Option<&'a Manifest> {
        let manifest = catalog.get(self.chosen)?;
        self.matching(catalog).contains(&self.chosen).then_some(manifest)
    }

    /// The form of the chosen workload, once [`Picker::refresh`] made it.
    pub fn form(&self) -> Option<&Form> {
        self.forms.get(self.chosen)?.as_ref()
    }

    /// Chooses something that matches, and has a form for it.
    pub fn refresh(&mut self, catalog: &[Manifest]) {
        let matching = self.matching(catalog);
        if !matching.contains(&self.chosen) {
            self.chosen = matching.first().copied().unwrap_or(self.chosen);
            self.script_top = 0;
        }
        self.forms.resize_with(catalog.len(), || None);
        if let (Some(manifest), Some(form)) = (catalog.get(self.chosen), self.forms.get_mut(self.chosen)) {
            form.get_or_insert_with(|| Form::new(manifest));
        }
    }

    /// Takes one action.
    pub fn update(&mut self, action: Action, catalog: &[Manifest], geometry: &Geometry) -> Vec<Effect> {
        self.refresh(catalog);
        let manifest = self.manifest(catalog);
        match action {
            Action::Accept => {
                let form = self.forms.get_mut(self.chosen).and_then(Option::as_mut);
                let launch = manifest.and_then(|manifest| form?.launch(manifest));
                if launch.is_none() && manifest.is_some() {
                    // Something in the form is wrong: show where.
                    self.focus = Focus::Form;
                }
                return launch.map(Effect::Launch).into_iter().collect();
            }
            Action::NextPane => self.focus = self.focus.next(),
            Action::PreviousPane => self.focus = self.focus.next().next(),
            Action::Mouse(mouse) => self.mouse(mouse, catalog, geometry),
            Action::Move(step) if self.focus == Focus::List => self.step(step, catalog, geometry),
            Action::Move(step) if self.focus == Focus::Script => {
                let page = usize::from(geometry.script.height).max(1);
                let lines = manifest.map_or(0, |manifest| manifest.text.lines().count());
                self.script_top = moved(self.script_top, step, page, lines.saturating_sub(page) + 1);
            }
            action if self.focus == Focus::Form => {
                if let (Some(manifest), Some(Some(form))) = (manifest, self.forms.get_mut(self.chosen)) {
                    form.edit(action, manifest);
                }
            }
            _ => {}
        }
        self.refresh(catalog);
        Vec::new()
    }

    fn step(&mut self, step: Step, catalog: &[Manifest], geometry: &Geometry) {
        let matching = self.matching(catalog);
        let page = usize::from(geometry.list.height).max(1);
        let row = matching.iter().position(|index| *index == self.chosen).unwrap_or(0);
        let row = moved(row, step, page, matching.len());
        self.top = self.top.clamp((row + 1).saturating_sub(page), row);
        if let Some(index) = matching.get(row).filter(|index| **index != self.chosen) {
            (self.chosen, self.script_top) = (*index, 0);
        }
    }

    fn mouse(&mut self, mouse: Mouse, catalog: &[Manifest], geometry: &Geometry) {
        let over_script = geometry.script.has(mouse.column, mouse.row);
        match mouse.kind {
            MouseKind::Press if over_script => self.focus = Focus::Script,
            MouseKind::Press if geometry.form.has(mouse.column, mouse.row) => {
                self.focus = Focus::Form;
                let row = usize::from(mouse.row - geometry.form.y);
                if let Some(form) = self.forms.get_mut(self.chosen).and_then(Option::as_mut) {
                    form.chosen = row.min(form.entries.len() - 1);
                }
            }
            MouseKind::Press if geometry.list.has(mouse.column, mouse.row) => {
                self.focus = Focus::List;
                let row = self.top + usize::from(mouse.row - geometry.list.y);
                if let Some(index) = self.matching(catalog).get(row) {
                    (self.chosen, self.script_top) = (*index, 0);
                }
            }
            MouseKind::WheelUp if over_script => self.script_top = self.script_top.saturating_sub(3),
            MouseKind::WheelDown if over_script => {
                let lines = self.manifest(catalog).map_or(0, |manifest| manifest.text.lines().count());
                let last = lines.saturating_sub(geometry.script.height.into());
                self.script_top = (self.script_top + 3).min(last);
            }
            MouseKind::WheelUp => self.step(Step::Up, catalog, geometry),
            MouseKind::WheelDown => self.step(Step::Down, catalog, geometry),
            _ => {}
        }
    }
}

/// Where `step` leads from `at` in a list of `count`, with `page` of them on the screen.
pub fn moved(at: usize, step: Step, page: usize, count: usize) -> usize {
    let to = match step {
        Step::Up => at.saturating_sub(1),
        Step::Down => at + 1,
        Step::PageUp => at.saturating_sub(page),
        Step::PageDown => at + page,
        Step::First => 0,
        Step::Last => count,
        Step::Left | Step::Right => at,
    };
    to.min(count.saturating_sub(1))
}
