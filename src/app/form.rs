//! The picker's form: one field a parameter, then speed, clock and how to start.

use super::action::{Action, Step};
use super::field::Field;
use super::session::Launch;
use crate::control::{ClockKind, Speed};
use crate::workload::manifest::{Manifest, Param, ParamKind, ParamValue};

/// What a line of the form is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The parameter at this index of the manifest.
    Param(usize),
    Speed,
    Clock,
    Paused,
}

/// One line of the form.
#[derive(Clone, Debug)]
pub struct Entry {
    purpose: Purpose,
    pub label: String,
    /// What it is for, and what it may be.
    pub help: String,
    pub field: Field,
    /// What is wrong with the text, if anything is.
    pub error: Option<String>,
    /// Where the text can only be one of these.
    choices: Vec<String>,
    default: String,
}

impl Entry {
    /// The person changed it.
    pub fn is_changed(&self) -> bool {
        self.field.text() != self.default
    }

    /// The text can only be one of a few.
    pub fn is_choice(&self) -> bool {
        !self.choices.is_empty()
    }
}

/// The form of one workload.
#[derive(Clone, Debug)]
pub struct Form {
    pub entries: Vec<Entry>,
    /// The entry that is being edited.
    pub chosen: usize,
}

impl Form {
    /// Everything at its default.
    pub fn new(manifest: &Manifest) -> Self {
        let param = |(index, param): (usize, &Param)| {
            let choices = match &param.kind {
                ParamKind::Boolean => words(&["true", "false"]),
                ParamKind::Choice(choices) => choices.clone(),
                _ => Vec::new(),
            };
            let allowed = param.allowed();
            let help = match (param.help.as_str(), allowed.as_str()) {
                (help, "") => help.to_owned(),
                ("", allowed) => allowed.to_owned(),
                (help, allowed) => format!("{help} · {allowed}"),
            };
            entry(Purpose::Param(index), &param.name, help, &param.default.to_string(), choices)
        };
        let speed_help =
            format!("virtual clock only · {} to {}, max, or empty for the default", Speed::MIN, Speed::MAX);
        let clocks = words(&[ClockKind::Virtual.name(), ClockKind::Real.name()]);
        let clock_help = "virtual is exact and can be sped up; real is the machine's own".to_owned();
        let paused_help = "paused stops before the first poll, to step from there".to_owned();
        let mut entries: Vec<Entry> = manifest.params.iter().enumerate().map(param).collect();
        entries.push(entry(Purpose::Speed, "speed", speed_help, "", Vec::new()));
        entries.push(entry(Purpose::Clock, "clock", clock_help, manifest.clock.name(), clocks));
        entries.push(entry(Purpose::Paused, "start", paused_help, "running", words(&["running", "paused"])));
        Self { entries, chosen: 0 }
    }

    /// Takes an editing action for the chosen entry.
    pub fn edit(&mut self, action: Action, manifest: &Manifest) {
        let last = self.entries.len() - 1;
        match action {
            Action::Move(Step::Up) => self.chosen = self.chosen.saturating_sub(1),
            Action::Move(Step::Down) => self.chosen = (self.chosen + 1).min(last),
            _ => {
                let entry = &mut self.entries[self.chosen];
                if entry.choices.is_empty() {
                    entry.field.edit(action);
                } else {
                    choose(entry, action);
                }
                entry.error = check(entry, manifest).err();
            }
        }
    }

    /// The run that the form describes; `None` while something in it is wrong, which is then the chosen entry.
    pub fn launch(&mut self, manifest: &Manifest) -> Option<Launch> {
        let is_real =
            self.entries.iter().any(|e| e.purpose == Purpose::Clock && e.field.text() == ClockKind::Real.name());
        let mut launch = Launch::of(&manifest.name);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let has_one_speed = is_real && entry.purpose == Purpose::Speed && entry.is_changed();
            let value = match check(entry, manifest) {
                Ok(_) if has_one_speed => {
                    entry.error =
                        Some("the real clock has one speed: leave this empty, or take the virtual clock".into());
                    self.chosen = index;
                    return None;
                }
                Ok(value) => value,
                Err(error) => {
                    entry.error = Some(error);
                    self.chosen = index;
                    return None;
                }
            };
            if !entry.is_changed() {
                continue;
            }
            match (entry.purpose, value) {
                (Purpose::Param(_), Some(value)) => launch.values.push((entry.label.clone(), value)),
                (Purpose::Param(_), None) => {}
                (Purpose::Speed, _) => launch.speed = entry.field.text().trim().parse().ok(),
                (Purpose::Clock, _) if entry.field.text() == ClockKind::Real.name() => {
                    launch.clock = Some(ClockKind::Real);
                }
                (Purpose::Clock, _) => launch.clock = Some(ClockKind::Virtual),
                (Purpose::Paused, _) => launch.paused = true,
            }
        }
        Some(launch)
    }
}

fn entry(purpose: Purpose, label: &str, help: String, default: &str, choices: Vec<String>) -> Entry {
    let (label, default) = (label.to_owned(), default.to_owned());
    Entry { purpose, label, help, field: Field::new(&default), error: None, choices, default }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Moves a choice on: left and right step, space goes to the next, a letter to the next choice that begins with it.
fn choose(entry: &mut Entry, action: Action) {
    let count = entry.choices.len();
    let at = entry.choices.iter().position(|choice| choice == entry.field.text()).unwrap_or(0);
    let next = match action {
        Action::Move(Step::Left) => (at + count - 1) % count,
        Action::Move(Step::Right) | Action::Type(' ') => (at + 1) % count,
        Action::Type(char) => {
            let begins = |index: &usize| entry.choices[*index].starts_with(char);
            (1..=count).map(|step| (at + step) % count).find(begins).unwrap_or(at)
        }
        _ => at,
    };
    entry.field = Field::new(&entry.choices[next]);
}

fn check(entry: &Entry, manifest: &Manifest) -> Result<Option<ParamValue>, String> {
    let text = entry.field.text();
    match entry.purpose {
        Purpose::Param(index) => manifest.params.get(index).map(|param| param.parse(text)).transpose(),
        Purpose::Speed if !text.trim().is_empty() => text.trim().parse::<Speed>().map(|_| None),
        Purpose::Speed | Purpose::Clock | Purpose::Paused => Ok(None),
    }
}
