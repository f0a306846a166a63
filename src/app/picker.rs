//! The workload picker: the filtered list, the chosen workload and its launch form.

use super::action::{Action, Effect};
use super::geometry::ScreenGeometry;
use super::input::{MouseInput, MouseKind};
use super::launch_form::LaunchForm;
use super::motion::{Motion, apply_motion};
use super::text_match::contains_ignoring_case;
use crate::workload::manifest::Manifest;

/// The pane of the picker that has the focus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PickerFocus {
    #[default]
    /// The list of workloads.
    List,
    /// The launch form.
    Form,
    /// The script.
    Script,
}

impl PickerFocus {
    fn next(self) -> Self {
        match self {
            Self::List => Self::Form,
            Self::Form => Self::Script,
            Self::Script => Self::List,
        }
    }
}

/// State of the picker.
#[derive(Clone, Debug, Default)]
pub struct Picker {
    /// Text that name or title must contain, in lower case.
    pub filter: String,
    /// Index of the chosen workload in the catalog.
    pub chosen: usize,
    /// The first visible row of the list.
    pub top: usize,
    /// The focused pane.
    pub focus: PickerFocus,
    /// The first visible line of the script.
    pub script_top: usize,
    /// One form for each workload, created on first display and kept, so that browsing loses no input.
    forms: Vec<Option<LaunchForm>>,
}

impl Picker {
    /// Returns the catalog indices that match the filter.
    pub fn matching(&self, catalog: &[Manifest]) -> Vec<usize> {
        let found = |manifest: &Manifest| {
            contains_ignoring_case(&manifest.name, &self.filter)
                || contains_ignoring_case(&manifest.title, &self.filter)
        };
        (0..catalog.len()).filter(|index| found(&catalog[*index])).collect()
    }

    /// Returns the chosen workload; `None` if none matches the filter.
    pub fn chosen_manifest<'a>(&self, catalog: &'a [Manifest]) -> Option<&'a Manifest> {
        let manifest = catalog.get(self.chosen)?;
        self.matching(catalog).contains(&self.chosen).then_some(manifest)
    }

    /// Returns the form of the chosen workload, once [`Picker::refresh`] has created it.
    pub fn form(&self) -> Option<&LaunchForm> {
        self.forms.get(self.chosen)?.as_ref()
    }

    /// Ensures that the chosen workload matches the filter and has a form.
    pub fn refresh(&mut self, catalog: &[Manifest]) {
        let matching = self.matching(catalog);
        if !matching.contains(&self.chosen) {
            self.chosen = matching.first().copied().unwrap_or(self.chosen);
            self.script_top = 0;
        }
        self.forms.resize_with(catalog.len(), || None);
        if let (Some(manifest), Some(form)) = (catalog.get(self.chosen), self.forms.get_mut(self.chosen)) {
            form.get_or_insert_with(|| LaunchForm::new(manifest));
        }
    }

    /// Applies an action.
    pub fn update(&mut self, action: Action, catalog: &[Manifest], geometry: &ScreenGeometry) -> Vec<Effect> {
        self.refresh(catalog);
        let manifest = self.chosen_manifest(catalog);
        match action {
            Action::Accept => {
                let form = self.forms.get_mut(self.chosen).and_then(Option::as_mut);
                let launch = manifest.and_then(|manifest| form?.launch(manifest));
                if launch.is_none() && manifest.is_some() {
                    // A field is invalid: focus it.
                    self.focus = PickerFocus::Form;
                }
                return launch.map(Effect::Launch).into_iter().collect();
            }
            Action::NextPane => self.focus = self.focus.next(),
            Action::PreviousPane => self.focus = self.focus.next().next(),
            Action::Mouse(mouse) => self.mouse(mouse, catalog, geometry),
            Action::Move(motion) if self.focus == PickerFocus::List => self.move_chosen(motion, catalog, geometry),
            Action::Move(motion) if self.focus == PickerFocus::Script => {
                let page = usize::from(geometry.script.height).max(1);
                let lines = manifest.map_or(0, |manifest| manifest.text.lines().count());
                self.script_top = apply_motion(self.script_top, motion, page, lines.saturating_sub(page) + 1);
            }
            action if self.focus == PickerFocus::Form => {
                if let (Some(manifest), Some(Some(form))) = (manifest, self.forms.get_mut(self.chosen)) {
                    form.edit(action, manifest);
                }
            }
            _ => {}
        }
        self.refresh(catalog);
        Vec::new()
    }

    fn move_chosen(&mut self, motion: Motion, catalog: &[Manifest], geometry: &ScreenGeometry) {
        let matching = self.matching(catalog);
        let page = usize::from(geometry.list.height).max(1);
        let row = matching.iter().position(|index| *index == self.chosen).unwrap_or(0);
        let row = apply_motion(row, motion, page, matching.len());
        self.top = self.top.clamp((row + 1).saturating_sub(page), row);
        if let Some(index) = matching.get(row).filter(|index| **index != self.chosen) {
            (self.chosen, self.script_top) = (*index, 0);
        }
    }

    fn mouse(&mut self, mouse: MouseInput, catalog: &[Manifest], geometry: &ScreenGeometry) {
        let over_script = geometry.script.contains(mouse.column, mouse.row);
        match mouse.kind {
            MouseKind::Press if over_script => self.focus = PickerFocus::Script,
            MouseKind::Press if geometry.form.contains(mouse.column, mouse.row) => {
                self.focus = PickerFocus::Form;
                let row = usize::from(mouse.row - geometry.form.y);
                if let Some(form) = self.forms.get_mut(self.chosen).and_then(Option::as_mut) {
                    form.focused = row.min(form.fields.len() - 1);
                }
            }
            MouseKind::Press if geometry.list.contains(mouse.column, mouse.row) => {
                self.focus = PickerFocus::List;
                let row = self.top + usize::from(mouse.row - geometry.list.y);
                if let Some(index) = self.matching(catalog).get(row) {
                    (self.chosen, self.script_top) = (*index, 0);
                }
            }
            MouseKind::WheelUp if over_script => self.script_top = self.script_top.saturating_sub(3),
            MouseKind::WheelDown if over_script => {
                let lines = self.chosen_manifest(catalog).map_or(0, |manifest| manifest.text.lines().count());
                let last = lines.saturating_sub(geometry.script.height.into());
                self.script_top = (self.script_top + 3).min(last);
            }
            MouseKind::WheelUp => self.move_chosen(Motion::Up, catalog, geometry),
            MouseKind::WheelDown => self.move_chosen(Motion::Down, catalog, geometry),
            _ => {}
        }
    }
}
