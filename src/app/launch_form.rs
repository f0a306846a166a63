//! The picker's form: one field for each parameter, then speed, clock and whether to start paused.

use super::action::Action;
use super::motion::Motion;
use super::text_field::TextField;
use crate::control::{ClockKind, Speed};
use crate::session::interface::LaunchRequest;
use crate::workload::manifest::{Manifest, Param, ParamKind, ParamValue};

/// What a field of the form sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FormFieldKind {
    /// The parameter at this index of the manifest.
    Param(usize),
    Speed,
    Clock,
    Paused,
}

/// One field of the form.
#[derive(Clone, Debug)]
pub struct FormField {
    kind: FormFieldKind,
    /// Name of the parameter, or of the option.
    pub label: String,
    /// Explanation, with the allowed values.
    pub help: String,
    /// The text that is being edited.
    pub input: TextField,
    /// Why the text is invalid, if it is.
    pub error: Option<String>,
    /// The allowed values of a choice; empty for free text.
    choices: Vec<String>,
    default: String,
}

impl FormField {
    /// Whether the text differs from the default.
    pub fn is_changed(&self) -> bool {
        self.input.text() != self.default
    }

    /// Whether the value is one of a fixed set of choices.
    pub fn is_choice(&self) -> bool {
        !self.choices.is_empty()
    }
}

/// The launch form of one workload.
#[derive(Clone, Debug)]
pub struct LaunchForm {
    /// The fields, from top to bottom.
    pub fields: Vec<FormField>,
    /// Index of the focused field.
    pub focused: usize,
}

impl LaunchForm {
    /// Creates the form with every field at its default.
    pub fn new(manifest: &Manifest) -> Self {
        let param = |(index, param): (usize, &Param)| {
            let choices = match &param.kind {
                ParamKind::Boolean => owned_strings(&["true", "false"]),
                ParamKind::Choice(choices) => choices.clone(),
                _ => Vec::new(),
            };
            let allowed = param.allowed_values();
            let help = match (param.help.as_str(), allowed.as_str()) {
                (help, "") => help.to_owned(),
                ("", allowed) => allowed.to_owned(),
                (help, allowed) => format!("{help} · {allowed}"),
            };
            form_field(FormFieldKind::Param(index), &param.name, help, &param.default.to_string(), choices)
        };
        let speed_help =
            format!("virtual clock only · {} to {}, max, or empty for the default", Speed::MIN, Speed::MAX);
        let clocks = owned_strings(&[ClockKind::Virtual.name(), ClockKind::Real.name()]);
        let clock_help = "virtual: exact, with adjustable speed; real: the clock of the machine".to_owned();
        let paused_help = "paused: pause before the first poll, to step from there".to_owned();
        let mut fields: Vec<FormField> = manifest.params.iter().enumerate().map(param).collect();
        fields.push(form_field(FormFieldKind::Speed, "speed", speed_help, "", Vec::new()));
        fields.push(form_field(FormFieldKind::Clock, "clock", clock_help, manifest.clock.name(), clocks));
        fields.push(form_field(
            FormFieldKind::Paused,
            "start",
            paused_help,
            "running",
            owned_strings(&["running", "paused"]),
        ));
        Self { fields, focused: 0 }
    }

    /// Moves the focus, or applies an editing action to the focused field.
    pub fn edit(&mut self, action: Action, manifest: &Manifest) {
        let last = self.fields.len() - 1;
        match action {
            Action::Move(Motion::Up) => self.focused = self.focused.saturating_sub(1),
            Action::Move(Motion::Down) => self.focused = (self.focused + 1).min(last),
            _ => {
                let field = &mut self.fields[self.focused];
                if field.choices.is_empty() {
                    field.input.edit(action);
                } else {
                    cycle_choice(field, action);
                }
                field.error = validate(field, manifest).err();
            }
        }
    }

    /// Returns the launch that the form describes. If a field is invalid, focuses it and returns `None`.
    pub fn launch(&mut self, manifest: &Manifest) -> Option<LaunchRequest> {
        let is_real =
            self.fields.iter().any(|e| e.kind == FormFieldKind::Clock && e.input.text() == ClockKind::Real.name());
        let mut launch = LaunchRequest::with_defaults(&manifest.name);
        for (index, field) in self.fields.iter_mut().enumerate() {
            let sets_real_speed = is_real && field.kind == FormFieldKind::Speed && field.is_changed();
            let value = match validate(field, manifest) {
                Ok(_) if sets_real_speed => {
                    field.error = Some(
                        "speed applies to the virtual clock only: leave it empty or choose the virtual clock".into(),
                    );
                    self.focused = index;
                    return None;
                }
                Ok(value) => value,
                Err(error) => {
                    field.error = Some(error);
                    self.focused = index;
                    return None;
                }
            };
            if !field.is_changed() {
                continue;
            }
            match (field.kind, value) {
                (FormFieldKind::Param(_), Some(value)) => launch.params.push((field.label.clone(), value)),
                (FormFieldKind::Param(_), None) => {}
                (FormFieldKind::Speed, _) => launch.speed = field.input.text().trim().parse().ok(),
                (FormFieldKind::Clock, _) if field.input.text() == ClockKind::Real.name() => {
                    launch.clock = Some(ClockKind::Real);
                }
                (FormFieldKind::Clock, _) => launch.clock = Some(ClockKind::Virtual),
                (FormFieldKind::Paused, _) => launch.start_paused = true,
            }
        }
        Some(launch)
    }
}

fn form_field(kind: FormFieldKind, label: &str, help: String, default: &str, choices: Vec<String>) -> FormField {
    let (label, default) = (label.to_owned(), default.to_owned());
    FormField { kind, label, help, input: TextField::new(&default), error: None, choices, default }
}

fn owned_strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Changes a choice: left and right step, space selects the next, a letter the next choice that begins with it.
fn cycle_choice(field: &mut FormField, action: Action) {
    let count = field.choices.len();
    let at = field.choices.iter().position(|choice| choice == field.input.text()).unwrap_or(0);
    let next = match action {
        Action::Move(Motion::Left) => (at + count - 1) % count,
        Action::Move(Motion::Right) | Action::InsertChar(' ') => (at + 1) % count,
        Action::InsertChar(char) => {
            let begins = |index: &usize| field.choices[*index].starts_with(char);
            (1..=count).map(|step| (at + step) % count).find(begins).unwrap_or(at)
        }
        _ => at,
    };
    field.input = TextField::new(&field.choices[next]);
}

fn validate(field: &FormField, manifest: &Manifest) -> Result<Option<ParamValue>, String> {
    let text = field.input.text();
    match field.kind {
        FormFieldKind::Param(index) => manifest.params.get(index).map(|param| param.parse(text)).transpose(),
        FormFieldKind::Speed if !text.trim().is_empty() => text.trim().parse::<Speed>().map(|_| None),
        FormFieldKind::Speed | FormFieldKind::Clock | FormFieldKind::Paused => Ok(None),
    }
}
