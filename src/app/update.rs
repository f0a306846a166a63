//! Action in, state and effects out: what is on top takes the action first, then the screen below it.

use super::action::{Action, Effect, Step};
use super::dashboard::axis_end;
use super::geometry::Geometry;
use super::input::{Input, MouseKind};
use super::keymap;
use super::offers::refusal;
use super::overlay::{Overlay, Prompt, Purpose, Reading};
use super::pages::Page;
use super::palette;
use super::session::{Launch, Session};
use super::{Model, Screen};
use crate::control::{BREAKPOINTS_MAX, ClockKind, Command, Outcome, Phase, Speed, Status, Steering};
use crate::trace::{Axis, Fidelity};
use crate::workload::manifest::Manifest;

/// What an update may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is being watched; `None` on the picker.
    pub session: Option<&'a dyn Session>,
    pub catalog: &'a [Manifest],
    /// Where the panes are on the screen now.
    pub geometry: &'a Geometry,
}

/// Takes what came in. Signals and resizes are the frame loop's own business and change nothing here.
pub fn take(model: &mut Model, input: &Input, context: Context<'_>) -> Vec<Effect> {
    let action = match input {
        Input::Key(key) => keymap::action(model.scope(), *key),
        Input::Mouse(mouse) => Some(Action::Mouse(*mouse)),
        Input::Resize | Input::Signal(_) | Input::Lost(_) => None,
    };
    match action {
        Some(action) => update(model, action, context),
        None => {
            model.notice = None;
            Vec::new()
        }
    }
}

/// Takes one action.
pub fn update(model: &mut Model, action: Action, context: Context<'_>) -> Vec<Effect> {
    model.notice = None;
    let was_leaving = std::mem::take(&mut model.is_leaving);
    let was_copying = std::mem::take(&mut model.is_copying);
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Edit if model.overlay.is_none() && model.screen == Screen::Dashboard => {
            return edit(model, was_copying, context.catalog);
        }
        _ => {}
    }
    match model.overlay.take() {
        Some(Overlay::Prompt(prompt)) => update_prompt(model, prompt, action, context),
        Some(Overlay::Help(mut reading)) => {
            let stays = reading.update(action, context.geometry);
            model.overlay = stays.then_some(Overlay::Help(reading));
            Vec::new()
        }
        Some(Overlay::Message(mut message)) => {
            let stays = message.reading.update(action, context.geometry);
            model.overlay = stays.then_some(Overlay::Message(message));
            Vec::new()
        }
        None => update_screen(model, action, was_leaving, context),
    }
}

fn update_screen(model: &mut Model, action: Action, was_leaving: bool, context: Context<'_>) -> Vec<Effect> {
    match (action, model.screen) {
        (Action::Help, _) => model.overlay = Some(Overlay::Help(Reading::default())),
        (Action::Palette, _) => model.overlay = Some(Overlay::Prompt(Prompt::new(Purpose::Command, ""))),
        (Action::Attach, _) => {
            model.overlay = Some(Overlay::Prompt(Prompt::new(Purpose::Attach, ATTACH_OFFERED)));
        }
        (Action::Save, Screen::Dashboard) => {
            let name = context.session.map_or_else(String::new, |session| session.status().name);
            model.overlay = Some(Overlay::Prompt(Prompt::to_save(&name)));
        }
        (Action::Search, screen) => {
            let filter = match screen {
                Screen::Picker => model.picker.filter.clone(),
                Screen::Dashboard => model.dashboard.rows.filter().to_owned(),
            };
            model.overlay = Some(Overlay::Prompt(Prompt::new(Purpose::Search, &filter)));
        }
        (Action::Back, Screen::Picker) => {
            if model.picker.focus != super::picker::Focus::List {
                model.picker.focus = super::picker::Focus::List;
            } else if !model.picker.filter.is_empty() {
                model.picker.filter.clear();
                model.picker.refresh(context.catalog);
            } else {
                model.notice = Some("this is the first screen; q quits".to_owned());
            }
        }
        (action, Screen::Picker) => return model.picker.update(action, context.catalog, context.geometry),
        (Action::Back, Screen::Dashboard) => return leave(model, was_leaving, context),
        (Action::ShowTab(number), Screen::Dashboard) => return show_tab(model, number.checked_sub(1)),
        (Action::NextTab, Screen::Dashboard) => return show_tab(model, Some(model.tabs.beside(1))),
        (Action::PreviousTab, Screen::Dashboard) => return show_tab(model, Some(model.tabs.beside(-1))),
        (Action::CloseTab, Screen::Dashboard) => return close_tab(model, was_leaving, context),
        (Action::Mouse(mouse), Screen::Dashboard)
            if mouse.kind == MouseKind::Press && context.geometry.tabs.has(mouse.column, mouse.row) =>
        {
            let place = (mouse.column - context.geometry.tabs.x) / context.geometry.tab_columns.max(1);
            return show_tab(model, Some(context.geometry.first_tab + usize::from(place)));
        }
        (action, Screen::Dashboard) => {
            let Some(session) = context.session else { return Vec::new() };
            return update_dashboard(model, action, session, context);
        }
    }
    Vec::new()
}

/// Opens the script of what is watched. A built-in one is copied only if the person means it.
fn edit(model: &mut Model, was_copying: bool, catalog: &[Manifest]) -> Vec<Effect> {
    let Some(Launch { name, .. }) = model.launched.clone() else {
        model.notice = Some("loopscope did not start this run, so there is no script to edit".to_owned());
        return Vec::new();
    };
    let is_built_in = catalog.iter().any(|manifest| manifest.name == name && manifest.path.is_none());
    if is_built_in && !was_copying {
        model.is_copying = true;
        model.notice = Some(format!("{name} is built in; e again copies it to your own workloads, and edits the copy"));
        return Vec::new();
    }
    vec![Effect::Edit(name)]
}

fn update_dashboard(model: &mut Model, action: Action, session: &dyn Session, context: Context<'_>) -> Vec<Effect> {
    let status = session.status();
    if let Action::Break(_) | Action::ForgetBreaks = action {
        return change_breakpoints(model, action, &status);
    }
    if let Some(why) = refusal(action, &status) {
        model.notice = Some(why.to_owned());
        return Vec::new();
    }
    match action {
        Action::TogglePause if status.steering != Steering::Loop => {
            model.dashboard.toggle_freeze(session.trace());
        }
        Action::SwitchAxis
            if session.trace().fidelity() == Fidelity::Sampled && model.dashboard.viewport.axis == Axis::Time =>
        {
            let why = "polls are only sampled here, not all seen: there is no axis that could count them";
            model.notice = Some(why.to_owned());
        }
        Action::RunAgain => match model.launched.clone() {
            Some(launch) => return vec![Effect::Launch(launch)],
            None => model.notice = Some("loopscope did not start this run, so it cannot start it again".to_owned()),
        },
        Action::ShowOutcome => match session.status().outcome {
            None => model.notice = Some("the run has not ended yet".to_owned()),
            Some(Outcome::Completed(value)) => {
                let text = serde_json::to_string_pretty(&value).unwrap_or_else(|error| error.to_string());
                model.show_message("the run completed; main returned", &text);
            }
            Some(Outcome::Failed(error)) => model.show_message("the run failed", &error),
            Some(Outcome::Cancelled) => {
                model.show_message("the run was cancelled", "It was ended before main returned.");
            }
            Some(Outcome::Detached) => {
                model.show_message("the program was only watched", "How it came out is not ours to know.");
            }
        },
        Action::Accept => {
            let gone = model.dashboard.go_there(session, model.findings.as_ref(), context.geometry);
            model.notice = gone.err().map(str::to_owned);
        }
        Action::ShowFindings => {
            model.dashboard.found = None;
            model.dashboard.update(Action::ShowPage(Page::Findings), session, context.geometry);
        }
        action if model.dashboard.page != Page::Timeline && action.is_for_the_timeline() => {
            model.notice = Some("that is for the timeline; esc goes back to it".to_owned());
        }
        action if model.dashboard.update(action, session, context.geometry) => {}
        action => match command(model, action, session) {
            Ok(Some(command)) => return vec![Effect::Command(command)],
            Ok(None) => {}
            Err(notice) => model.notice = Some(notice.to_owned()),
        },
    }
    model.look_for_findings(session);
    Vec::new()
}

/// Sets a breakpoint, or forgets all of them: for this run, and for when it is run again.
fn change_breakpoints(model: &mut Model, action: Action, status: &Status) -> Vec<Effect> {
    let Some(launched) = model.launched.as_mut().filter(|_| status.steering == Steering::Loop) else {
        model.notice = Some("this loop is not ours to stop".to_owned());
        return Vec::new();
    };
    let (command, said) = match action {
        Action::Break(_) if launched.breakpoints.len() >= BREAKPOINTS_MAX => {
            model.notice = Some(format!("there are {BREAKPOINTS_MAX} breakpoints already; `break none` forgets them"));
            return Vec::new();
        }
        Action::Break(breakpoint) => {
            if !launched.breakpoints.contains(&breakpoint) {
                launched.breakpoints.push(breakpoint);
            }
            let all: Vec<String> = launched.breakpoints.iter().map(ToString::to_string).collect();
            (Command::Break(breakpoint), format!("stops at: {}; `break none` forgets that", all.join(", ")))
        }
        _ => {
            launched.breakpoints.clear();
            (Command::ForgetBreaks, "every breakpoint is forgotten".to_owned())
        }
    };
    model.notice = Some(said);
    if status.phase == Phase::Ended { Vec::new() } else { vec![Effect::Command(command)] }
}

fn show_tab(model: &mut Model, index: Option<usize>) -> Vec<Effect> {
    let count = model.tabs.all.len().max(1);
    match index.filter(|index| *index < count) {
        Some(index) if index == model.tabs.shown && count == 1 => {
            model.notice = Some("there is only one tab".to_owned());
        }
        Some(index) if index == model.tabs.shown => {}
        Some(index) => return vec![Effect::ShowTab(index)],
        None => model.notice = Some(format!("there are {count} tabs")),
    }
    Vec::new()
}

/// Closes the tab; what it would end by that asks once more.
fn close_tab(model: &mut Model, was_leaving: bool, context: Context<'_>) -> Vec<Effect> {
    if !model.tabs.has_bar() {
        model.notice = Some("this is the only tab; q quits".to_owned());
        return Vec::new();
    }
    let ends_something = context.session.is_some_and(|session| {
        let status = session.status();
        status.steering != Steering::Nothing && status.phase != Phase::Ended
    });
    if ends_something && !was_leaving {
        model.is_leaving = true;
        model.notice = Some("x again ends what runs in this tab and closes it".to_owned());
        return Vec::new();
    }
    vec![Effect::Leave]
}

/// One step back from the dashboard. A run that goes on is not ended by one key too many.
fn leave(model: &mut Model, was_leaving: bool, context: Context<'_>) -> Vec<Effect> {
    let Some(session) = context.session else { return vec![Effect::Leave] };
    if model.dashboard.back(session, context.geometry) {
        return Vec::new();
    }
    if model.tabs.has_bar() {
        model.notice = Some("x closes this tab; q quits".to_owned());
    } else if context.catalog.is_empty() {
        model.notice = Some("there is no list of workloads to go back to; q quits".to_owned());
    } else if was_leaving || session.status().phase == Phase::Ended {
        return vec![Effect::Leave];
    } else {
        model.is_leaving = true;
        let text = match session.status().steering {
            Steering::Loop => "esc again ends this run and goes back to the list",
            Steering::Process => "esc again ends this process and goes to the list of workloads",
            Steering::Nothing => "esc again leaves this program alone and goes to the list of workloads",
        };
        model.notice = Some(text.to_owned());
    }
    Vec::new()
}

/// The command that an action gives to the loop, or why it makes no sense now.
fn command(model: &Model, action: Action, session: &dyn Session) -> Result<Option<Command>, &'static str> {
    let status = session.status();
    let selected = model.dashboard.selected.ok_or("no task is selected");
    let alive = || {
        let id = selected?;
        let is_over = session.trace().state(id).is_none_or(|state| state.is_over());
        if is_over { Err("the selected task has ended") } else { Ok(id) }
    };
    let speed = |speed: Speed| match status.clock {
        ClockKind::Virtual => Ok(Command::Speed(speed)),
        ClockKind::Real => Err("the real clock has one speed; run again on the virtual clock"),
    };
    let command = match action {
        Action::FreezeProcess => Command::Freeze(status.phase != Phase::Paused),
        Action::Retry => Command::Retry,
        Action::TogglePause if status.phase == Phase::Running => Command::Pause,
        Action::TogglePause => Command::Resume,
        Action::StepPoll => Command::StepPolls(1),
        Action::StepPolls(polls) => Command::StepPolls(polls),
        Action::StepTurn => Command::StepTurn,
        Action::StepTask => Command::StepTo(alive()?),
        Action::ToggleHold => {
            let id = alive()?;
            let is_held = session.trace().task(id).is_some_and(|task| task.is_held());
            if is_held { Command::Release(id) } else { Command::Hold(id) }
        }
        Action::CancelTask => Command::Cancel(alive()?),
        Action::Slower => speed(status.speed.slower())?,
        Action::Faster => speed(status.speed.faster())?,
        Action::SpeedMax => speed(Speed::Max)?,
        Action::SetSpeed(wanted) => speed(wanted)?,
        Action::RunUntil(at) if at <= axis_end(session, Axis::Time) => return Err("loop time is past that already"),
        Action::RunUntil(at) => Command::RunUntil(at),
        _ => return Ok(None),
    };
    Ok(Some(command))
}

/// Where a program listens that was told nothing else.
const ATTACH_OFFERED: &str = "127.0.0.1:6669";

fn update_prompt(model: &mut Model, mut prompt: Prompt, action: Action, context: Context<'_>) -> Vec<Effect> {
    match (action, prompt.purpose) {
        (Action::Back, Purpose::Search) => search(model, "", context),
        (Action::Accept, Purpose::Search) | (Action::Back, Purpose::Command | Purpose::Attach | Purpose::Save) => {}
        (Action::Accept, Purpose::Attach) => return vec![Effect::Attach(prompt.field.text().to_owned())],
        (Action::Accept, Purpose::Save) => return vec![Effect::Save(prompt.field.text().trim().to_owned())],
        (Action::Move(Step::Up | Step::Down), Purpose::Attach | Purpose::Save) => {
            model.overlay = Some(Overlay::Prompt(prompt));
        }
        (Action::Accept, Purpose::Command) => match prompt.choice(model.screen_scope()) {
            Ok(Action::Save) if palette::file_to_save(prompt.field.text()).is_some() => {
                return palette::file_to_save(prompt.field.text())
                    .map(|file| Effect::Save(file.to_owned()))
                    .into_iter()
                    .collect();
            }
            Ok(action) => return update(model, action, context),
            Err(error) => {
                prompt.error = Some(error);
                model.overlay = Some(Overlay::Prompt(prompt));
            }
        },
        (Action::Move(Step::Up), _) => {
            prompt.chosen = prompt.chosen.saturating_sub(1);
            model.overlay = Some(Overlay::Prompt(prompt));
        }
        (Action::Move(Step::Down), _) => {
            let offers = palette::offers(model.screen_scope(), prompt.field.text()).len();
            prompt.chosen = (prompt.chosen + 1).min(offers.saturating_sub(1));
            model.overlay = Some(Overlay::Prompt(prompt));
        }
        (action, purpose) => {
            if prompt.field.edit(action) {
                (prompt.chosen, prompt.error) = (0, None);
            }
            if purpose == Purpose::Search {
                search(model, prompt.field.text(), context);
            }
            model.overlay = Some(Overlay::Prompt(prompt));
        }
    }
    Vec::new()
}

fn search(model: &mut Model, text: &str, context: Context<'_>) {
    match (model.screen, context.session) {
        (Screen::Dashboard, Some(session)) => model.dashboard.search(text, session, context.geometry),
        (Screen::Dashboard, None) => {}
        (Screen::Picker, _) => {
            model.picker.filter = text.to_lowercase();
            model.picker.top = 0;
            model.picker.refresh(context.catalog);
        }
    }
}
