//! State transitions: an action changes the model and yields effects. An overlay handles the action first, then the
//! screen.

use super::action::{Action, Effect};
use super::availability::unavailable_reason;
use super::breakpoints::change_breakpoints;
use super::dashboard::axis_end;
use super::geometry::ScreenGeometry;
use super::input::{InputEvent, MouseKind};
use super::keymap;
use super::model::{Model, Screen};
use super::motion::Motion;
use super::overlay::{Overlay, Prompt, PromptKind, ScrollPosition};
use super::page::DashboardPage;
use super::palette;
use crate::control::{ClockKind, ControlLevel, RunOutcome, RunPhase, SessionCommand, SourceKind, Speed};
use crate::insight::units::pluralize;
use crate::session::interface::{LaunchRequest, Session};
use crate::trace::{Axis, Fidelity};
use crate::workload::manifest::Manifest;

/// Read-only context of an update.
#[derive(Clone, Copy)]
pub struct UpdateContext<'a> {
    /// The session that is shown; `None` on the picker.
    pub session: Option<&'a dyn Session>,
    /// The workloads that can be run.
    pub catalog: &'a [Manifest],
    /// The current layout of the screen.
    pub geometry: &'a ScreenGeometry,
}

/// Handles an input event. Signals and resizes are handled by the event loop and change nothing here.
pub fn handle_input(model: &mut Model, input: &InputEvent, context: UpdateContext<'_>) -> Vec<Effect> {
    let action = match input {
        InputEvent::Key(key) => keymap::action_for(model.scope(), *key),
        InputEvent::Mouse(mouse) => Some(Action::Mouse(*mouse)),
        InputEvent::Resize | InputEvent::Signal(_) | InputEvent::TerminalLost(_) => None,
    };
    match action {
        Some(action) => apply_action(model, action, context),
        None => {
            model.notice = None;
            Vec::new()
        }
    }
}

/// Applies an action to the model and returns its effects.
pub fn apply_action(model: &mut Model, action: Action, context: UpdateContext<'_>) -> Vec<Effect> {
    model.notice = None;
    let is_leave_confirmed = std::mem::take(&mut model.is_leave_pending);
    let is_copy_confirmed = std::mem::take(&mut model.is_copy_pending);
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Edit if model.overlay.is_none() && model.screen == Screen::Dashboard => {
            return edit_script(model, is_copy_confirmed, context.catalog);
        }
        _ => {}
    }
    match model.overlay.take() {
        Some(Overlay::Prompt(prompt)) => apply_to_prompt(model, prompt, action, context),
        Some(Overlay::Help(mut scroll)) => {
            let stays = scroll.update(action, context.geometry);
            model.overlay = stays.then_some(Overlay::Help(scroll));
            Vec::new()
        }
        Some(Overlay::Message(mut message)) => {
            let stays = message.scroll.update(action, context.geometry);
            match context.session.filter(|_| action == Action::Accept && message.follows_row) {
                Some(session) => model.follow_row(session, context.geometry),
                None => model.overlay = stays.then_some(Overlay::Message(message)),
            }
            Vec::new()
        }
        None => apply_to_screen(model, action, is_leave_confirmed, context),
    }
}

fn apply_to_screen(
    model: &mut Model,
    action: Action,
    is_leave_confirmed: bool,
    context: UpdateContext<'_>,
) -> Vec<Effect> {
    match (action, model.screen) {
        (Action::Help, _) => model.overlay = Some(Overlay::Help(ScrollPosition::default())),
        (Action::Palette, _) => model.overlay = Some(Overlay::Prompt(Prompt::new(PromptKind::Command, ""))),
        (Action::Attach, _) => {
            model.overlay = Some(Overlay::Prompt(Prompt::new(PromptKind::Attach, DEFAULT_ATTACH_ADDRESS)));
        }
        (Action::Save, Screen::Dashboard) => {
            let name = context.session.map_or_else(String::new, |session| session.status().name);
            model.overlay = Some(Overlay::Prompt(Prompt::for_save(&name)));
        }
        (Action::Search, screen) => {
            let filter = match screen {
                Screen::Apps => return Vec::new(),
                Screen::Picker => model.picker.filter.clone(),
                Screen::Dashboard => model.dashboard.rows.filter().to_owned(),
            };
            model.overlay = Some(Overlay::Prompt(Prompt::new(PromptKind::Search, &filter)));
        }
        (Action::Back, Screen::Picker) => {
            if model.picker.focus != super::picker::PickerFocus::List {
                model.picker.focus = super::picker::PickerFocus::List;
            } else if !model.picker.filter.is_empty() {
                model.picker.filter.clear();
                model.picker.refresh(context.catalog);
            } else {
                model.notice = Some("this is the first screen; q quits".to_owned());
            }
        }
        (Action::Back, Screen::Apps) => return vec![Effect::Quit],
        (action, Screen::Apps) => {
            return model.app_picker.as_mut().map_or_else(Vec::new, |picker| picker.update(action, context.geometry));
        }
        (action, Screen::Picker) => return model.picker.update(action, context.catalog, context.geometry),
        (Action::Back, Screen::Dashboard) => return go_back(model, is_leave_confirmed, context),
        (Action::ShowTab(number), Screen::Dashboard) => return show_tab(model, number.checked_sub(1)),
        (Action::NextTab, Screen::Dashboard) => return show_tab(model, Some(model.tabs.neighbour(1))),
        (Action::PreviousTab, Screen::Dashboard) => return show_tab(model, Some(model.tabs.neighbour(-1))),
        (Action::CloseTab, Screen::Dashboard) => return close_tab(model, is_leave_confirmed, context),
        (Action::Mouse(mouse), Screen::Dashboard)
            if mouse.kind == MouseKind::Press && context.geometry.tabs.contains(mouse.column, mouse.row) =>
        {
            let index = (mouse.column - context.geometry.tabs.x) / context.geometry.tab_width.max(1);
            return show_tab(model, Some(context.geometry.first_tab + usize::from(index)));
        }
        (action, Screen::Dashboard) => {
            let Some(session) = context.session else { return Vec::new() };
            return apply_to_dashboard(model, action, session, context);
        }
    }
    Vec::new()
}

/// Opens the script of the session that is shown. Copying a built-in script needs a confirmation.
fn edit_script(model: &mut Model, is_copy_confirmed: bool, catalog: &[Manifest]) -> Vec<Effect> {
    let Some(LaunchRequest { name, .. }) = model.launched.clone() else {
        model.notice = Some("this session has no script to edit".to_owned());
        return Vec::new();
    };
    let is_built_in = catalog.iter().any(|manifest| manifest.name == name && manifest.path.is_none());
    if is_built_in && !is_copy_confirmed {
        model.is_copy_pending = true;
        model.notice =
            Some(format!("`{name}` is built in; press e again to copy it to your workloads and edit the copy"));
        return Vec::new();
    }
    vec![Effect::Edit(name)]
}

fn apply_to_dashboard(
    model: &mut Model,
    action: Action,
    session: &dyn Session,
    context: UpdateContext<'_>,
) -> Vec<Effect> {
    let status = session.status();
    if let Action::AddBreakpoint(_) | Action::ClearBreakpoints = action {
        return change_breakpoints(model, action, &status);
    }
    if let Some(reason) = unavailable_reason(action, &status) {
        model.notice = Some(reason.to_owned());
        return Vec::new();
    }
    match action {
        Action::TogglePause if status.control_level != ControlLevel::Loop => {
            model.dashboard.toggle_freeze(session.trace());
        }
        Action::SwitchAxis
            if session.trace().fidelity() == Fidelity::Sampled && model.dashboard.viewport.axis == Axis::Time =>
        {
            let reason = "polls are only sampled, so the axis can show only time";
            model.notice = Some(reason.to_owned());
        }
        Action::RunAgain => match model.launched.clone() {
            Some(launch) => return vec![Effect::Launch(launch)],
            None => model.notice = Some("only workloads can be run again here".to_owned()),
        },
        Action::ShowOutcome => match session.status().outcome {
            None => model.notice = Some("the run has not ended yet".to_owned()),
            Some(RunOutcome::Completed(value)) => {
                let text = serde_json::to_string_pretty(&value).unwrap_or_else(|error| error.to_string());
                model.show_message("the run completed; main returned", &text);
            }
            Some(RunOutcome::Failed(error)) => model.show_message("the run failed", &error),
            Some(RunOutcome::Cancelled) => {
                model.show_message("the run was cancelled", "it was ended before main returned");
            }
            Some(RunOutcome::Detached) => {
                model.show_message("outcome unknown", "loopscope only observed this app, so its outcome is unknown");
            }
        },
        Action::Accept => match model.dashboard.chosen_finding(session.trace(), model.findings.as_ref()).cloned() {
            Some(finding) => model.show_finding(&finding),
            None => model.follow_row(session, context.geometry),
        },
        Action::ShowFindings => {
            model.dashboard.interim_findings = None;
            model.dashboard.update(Action::ShowPage(DashboardPage::Findings), session, context.geometry);
        }
        action if model.dashboard.page != DashboardPage::Timeline && action.is_timeline_only() => {
            model.notice = Some("only available on the timeline; esc goes back to it".to_owned());
        }
        action if model.dashboard.update(action, session, context.geometry) => {}
        action => match loop_command(model, action, session) {
            Ok(Some(command)) => return vec![Effect::Command(command)],
            Ok(None) => {}
            Err(notice) => model.notice = Some(notice.to_owned()),
        },
    }
    model.advance_findings_search(session);
    Vec::new()
}

fn show_tab(model: &mut Model, index: Option<usize>) -> Vec<Effect> {
    let count = model.tabs.all.len().max(1);
    match index.filter(|index| *index < count) {
        Some(index) if index == model.tabs.shown && count == 1 => {
            model.notice = Some("there is only one tab".to_owned());
        }
        Some(index) if index == model.tabs.shown => {}
        Some(index) => return vec![Effect::ShowTab(index)],
        None => model.notice = Some(format!("no such tab: {} open", pluralize(count as u64, "tab"))),
    }
    Vec::new()
}

/// Closes the tab. Needs a confirmation if that ends a run or process.
fn close_tab(model: &mut Model, is_leave_confirmed: bool, context: UpdateContext<'_>) -> Vec<Effect> {
    if !model.tabs.is_bar_visible() {
        model.notice = Some("this is the only tab; q quits".to_owned());
        return Vec::new();
    }
    let ends_run = context.session.is_some_and(|session| {
        let status = session.status();
        status.control_level != ControlLevel::ReadOnly && status.phase != RunPhase::Ended
    });
    if ends_run && !is_leave_confirmed {
        model.is_leave_pending = true;
        model.notice = Some("press x again to end this session and close the tab".to_owned());
        return Vec::new();
    }
    vec![Effect::CloseSession]
}

/// Steps back from the dashboard. Leaving a running session needs a confirmation.
fn go_back(model: &mut Model, is_leave_confirmed: bool, context: UpdateContext<'_>) -> Vec<Effect> {
    let Some(session) = context.session else { return vec![Effect::CloseSession] };
    if model.dashboard.back(session, context.geometry) {
        return Vec::new();
    }
    if model.tabs.is_bar_visible() {
        model.notice = Some("x closes this tab; q quits".to_owned());
    } else if context.catalog.is_empty() && model.app_picker.is_none() {
        model.notice = Some("there is no workload picker to go back to; q quits".to_owned());
    } else if is_leave_confirmed || session.status().phase == RunPhase::Ended {
        return vec![Effect::CloseSession];
    } else {
        model.is_leave_pending = true;
        let status = session.status();
        let ends = match status.control_level {
            ControlLevel::Loop if status.source == SourceKind::Attach => "detach from this app",
            ControlLevel::Loop => "end this run",
            ControlLevel::Process => "end this process",
            ControlLevel::ReadOnly => "detach from this app",
        };
        let first_screen = if model.app_picker.is_some() { "list of apps" } else { "workload picker" };
        let text = format!("press esc again to {ends} and go to the {first_screen}");
        model.notice = Some(text);
    }
    Vec::new()
}

/// Returns the loop command of an action, or why it does not apply now.
fn loop_command(model: &Model, action: Action, session: &dyn Session) -> Result<Option<SessionCommand>, &'static str> {
    let status = session.status();
    let selected = model.dashboard.selected.ok_or("no task is selected");
    let alive = || {
        let id = selected?;
        let has_ended = session.trace().state(id).is_none_or(|state| state.is_ended());
        if has_ended { Err("the selected task has ended") } else { Ok(id) }
    };
    let speed = |speed: Speed| match status.clock {
        ClockKind::Virtual => Ok(SessionCommand::SetSpeed(speed)),
        ClockKind::Real => Err("only a virtual clock has a speed; this run uses the real clock"),
    };
    let command = match action {
        Action::ToggleProcessFreeze => SessionCommand::FreezeProcess(status.phase != RunPhase::Paused),
        Action::Reconnect => SessionCommand::Reconnect,
        Action::TogglePause if status.phase == RunPhase::Running => SessionCommand::Pause,
        Action::TogglePause => SessionCommand::Resume,
        Action::StepPoll => SessionCommand::StepPolls(1),
        Action::StepPolls(polls) => SessionCommand::StepPolls(polls),
        Action::StepTurn => SessionCommand::StepTurn,
        Action::StepTask => SessionCommand::StepToTask(alive()?),
        Action::ToggleHold => {
            let id = alive()?;
            let is_held = session.trace().task(id).is_some_and(|task| task.is_held());
            if is_held { SessionCommand::Release(id) } else { SessionCommand::Hold(id) }
        }
        Action::CancelTask => SessionCommand::Cancel(alive()?),
        Action::Slower => speed(status.speed.slower())?,
        Action::Faster => speed(status.speed.faster())?,
        Action::SpeedMax => speed(Speed::Max)?,
        Action::SetSpeed(wanted) => speed(wanted)?,
        Action::RunUntil(at) if at <= axis_end(session, Axis::Time) => return Err("loop time is already past that"),
        Action::RunUntil(at) => SessionCommand::RunUntil(at),
        _ => return Ok(None),
    };
    Ok(Some(command))
}

/// The default address of console-subscriber.
const DEFAULT_ATTACH_ADDRESS: &str = "127.0.0.1:6669";

fn apply_to_prompt(model: &mut Model, mut prompt: Prompt, action: Action, context: UpdateContext<'_>) -> Vec<Effect> {
    match (action, prompt.kind) {
        (Action::Back, PromptKind::Search) => set_filter(model, "", context),
        (Action::Accept, PromptKind::Search)
        | (Action::Back, PromptKind::Command | PromptKind::Attach | PromptKind::Save) => {}
        (Action::Accept, PromptKind::Attach) => return vec![Effect::Attach(prompt.field.text().to_owned())],
        (Action::Accept, PromptKind::Save) => return vec![Effect::Save(prompt.field.text().trim().to_owned())],
        (Action::Move(Motion::Up | Motion::Down), PromptKind::Attach | PromptKind::Save) => {
            model.overlay = Some(Overlay::Prompt(prompt));
        }
        (Action::Accept, PromptKind::Command) => {
            match palette::chosen_action(prompt.field.text(), prompt.chosen, model, context.session) {
                Ok(Action::Save) if palette::save_argument(prompt.field.text()).is_some() => {
                    return palette::save_argument(prompt.field.text())
                        .map(|file| Effect::Save(file.to_owned()))
                        .into_iter()
                        .collect();
                }
                Ok(action) => return apply_action(model, action, context),
                Err(error) => {
                    prompt.error = Some(error);
                    model.overlay = Some(Overlay::Prompt(prompt));
                }
            }
        }
        (Action::Move(Motion::Up), _) => {
            prompt.chosen = prompt.chosen.saturating_sub(1);
            model.overlay = Some(Overlay::Prompt(prompt));
        }
        (Action::Move(Motion::Down), _) => {
            let count = palette::matching_bindings(prompt.field.text(), model, context.session).len();
            prompt.chosen = (prompt.chosen + 1).min(count.saturating_sub(1));
            model.overlay = Some(Overlay::Prompt(prompt));
        }
        (action, kind) => {
            if prompt.field.edit(action) {
                (prompt.chosen, prompt.error) = (0, None);
            }
            if kind == PromptKind::Search {
                set_filter(model, prompt.field.text(), context);
            }
            model.overlay = Some(Overlay::Prompt(prompt));
        }
    }
    Vec::new()
}

fn set_filter(model: &mut Model, text: &str, context: UpdateContext<'_>) {
    match (model.screen, context.session) {
        (Screen::Dashboard, Some(session)) => model.dashboard.search(text, session, context.geometry),
        (Screen::Dashboard, None) | (Screen::Apps, _) => {}
        (Screen::Picker, _) => {
            model.picker.filter = text.to_lowercase();
            model.picker.top = 0;
            model.picker.refresh(context.catalog);
        }
    }
}
