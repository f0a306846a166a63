//! The event loop: handle input, process events of the sessions, draw if anything changed, sleep.
//!
//! It is independent of the terminal backend and of the input source, so tests run this very loop.

mod session_tabs;

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use ratatui::Terminal;
use ratatui::backend::Backend;
use signal_hook::consts::{SIGCONT, SIGTSTP};

use super::handover::TerminalHandover;
use crate::app::{Effect, InputEvent, Model, PromptKind, Screen, UpdateContext, handle_input};
use crate::control::SessionCommand;
use crate::insight::Thresholds;
use crate::session::interface::{LaunchRequest, Launcher, Session};
use crate::view::{self, Scene, Theme};
use session_tabs::SessionTabs;

/// Minimum interval between two frames: 60 frames a second.
const FRAME_INTERVAL: Duration = Duration::from_micros(16_667);
/// Maximum time that processing session events may delay input.
const PUMP_BUDGET: Duration = Duration::from_millis(8);
/// Maximum sleep while nothing changes.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// Maximum number of inputs handled before the next frame.
const INPUTS_MAX: usize = 512;
/// Maximum time that handling inputs may delay the next frame.
const INPUTS_BUDGET: Duration = Duration::from_millis(8);

/// Why the event loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// The user quit.
    Quit,
    /// A signal arrived, with its number.
    Signal(i32),
    /// The terminal was lost, with the reason.
    Lost(String),
}

/// The event loop with its terminal, sessions and UI state.
pub struct EventLoop<'a, B: Backend> {
    terminal: Terminal<B>,
    inputs: Receiver<InputEvent>,
    launcher: &'a mut dyn Launcher,
    sessions: SessionTabs,
    model: Model,
    theme: Theme,
    /// Something changed since the last frame.
    needs_redraw: bool,
    /// Sessions had more events than the budget allowed.
    has_backlog: bool,
    last_frame_at: Option<Instant>,
    /// Number of frames drawn.
    frames_drawn: u64,
    /// Consecutive iterations without a change.
    idle_iterations: u32,
    /// The input that ended the last sleep.
    pending_input: Option<InputEvent>,
    /// A pending handover of the terminal.
    handover: Option<TerminalHandover>,
    exit_reason: Option<ExitReason>,
}

/// Returns how long to sleep: until the next frame is due if something changed, otherwise up to 100 ms, increasing
/// while idle.
pub fn sleep_duration(needs_redraw: bool, since_frame: Duration, idle_iterations: u32) -> Duration {
    if needs_redraw {
        return FRAME_INTERVAL.saturating_sub(since_frame);
    }
    (FRAME_INTERVAL * idle_iterations.saturating_sub(10).clamp(1, 8)).min(SLEEP_MAX)
}

impl<'a, B: Backend> EventLoop<'a, B> {
    /// Creates an event loop that shows the picker.
    pub fn new(
        terminal: Terminal<B>,
        inputs: Receiver<InputEvent>,
        launcher: &'a mut dyn Launcher,
        theme: Theme,
    ) -> Self {
        Self {
            terminal,
            inputs,
            launcher,
            sessions: SessionTabs::default(),
            model: Model::default(),
            theme,
            needs_redraw: true,
            has_backlog: false,
            last_frame_at: None,
            frames_drawn: 0,
            idle_iterations: 0,
            pending_input: None,
            handover: None,
            exit_reason: None,
        }
    }

    /// Sets the thresholds of the lints.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.model.thresholds = thresholds;
    }

    /// Shows `session`, which `launched` started, in place of the current one. With `None` it cannot be run again.
    pub fn watch(&mut self, session: Box<dyn Session>, launched: Option<LaunchRequest>) {
        self.sessions.replace(&mut self.model, session, launched);
        self.needs_redraw = true;
    }

    /// Opens `session` in a new last tab.
    pub fn open(&mut self, session: Box<dyn Session>) {
        self.sessions.open(&mut self.model, session);
        self.needs_redraw = true;
    }

    /// Makes the list of running apps the first screen, and shows it.
    pub fn show_app_picker(&mut self) {
        self.model.show_app_picker();
        self.needs_redraw = true;
    }

    /// Runs one iteration: inputs, session events, frame. Returns the exit reason once the loop is finished.
    ///
    /// # Errors
    /// Fails if the terminal cannot be drawn on.
    pub fn run_once(&mut self, now: Instant) -> Result<Option<ExitReason>, B::Error> {
        self.handle_inputs();
        if self.exit_reason.is_none() {
            self.pump();
            self.draw(now)?;
        }
        Ok(self.exit_reason.clone())
    }

    /// Sleeps until an input arrives or the next iteration is due.
    pub fn wait(&mut self, now: Instant) {
        let since_frame = self.last_frame_at.map_or(FRAME_INTERVAL, |drawn| now.saturating_duration_since(drawn));
        let sleep = if self.has_backlog {
            Duration::ZERO
        } else {
            sleep_duration(self.needs_redraw, since_frame, self.idle_iterations)
        };
        match self.inputs.recv_timeout(sleep) {
            Ok(input) => self.pending_input = Some(input),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.end_without_inputs(),
        }
    }

    /// Takes the pending handover of the terminal, if any.
    pub fn take_handover(&mut self) -> Option<TerminalHandover> {
        self.handover.take()
    }

    /// Runs `stop`, which stops the whole program, with all controllable loops and started processes suspended.
    pub fn with_sessions_suspended(&mut self, stop: impl FnOnce()) {
        self.sessions.with_sessions_suspended(stop);
    }

    /// Processes events while another program has the terminal, so that sessions proceed as usual.
    pub fn process_sessions(&mut self) {
        self.pump();
    }

    /// Redraws everything after the terminal was taken back.
    ///
    /// # Errors
    /// Fails if the terminal cannot be drawn on.
    pub fn redraw_all(&mut self) -> Result<(), B::Error> {
        // Not `Terminal::clear`, which queries the cursor position and would have to read the answer.
        self.terminal.backend_mut().clear()?;
        self.terminal.swap_buffers();
        self.terminal.swap_buffers();
        (self.needs_redraw, self.idle_iterations) = (true, 0);
        Ok(())
    }

    /// Reloads a script after it was edited, or shows why it was not.
    pub fn finish_edit(&mut self, name: &str, edited: Result<(), String>) {
        match edited.map(|()| self.launcher.reload(name)) {
            Ok(Ok(())) => self.model.notice = Some("r runs the edited script".to_owned()),
            Ok(Err(reason)) => self.model.show_message(&format!("`{name}` is invalid"), &reason),
            Err(reason) => self.model.show_message(&format!("`{name}` was not edited"), &reason),
        }
    }

    /// Shows a one-line notice.
    pub fn show_notice(&mut self, line: &str) {
        self.model.notice = Some(line.to_owned());
        self.needs_redraw = true;
    }

    /// Returns the terminal, for tests and screenshots.
    pub fn terminal(&self) -> &Terminal<B> {
        &self.terminal
    }

    /// Returns the number of frames drawn, so that tests can check that an idle loop draws none.
    pub fn frames_drawn(&self) -> u64 {
        self.frames_drawn
    }

    /// Returns the signal that ended the loop, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.exit_reason {
            Some(ExitReason::Signal(signal)) => Some(signal),
            _ => None,
        }
    }

    /// Consumes the loop and returns the session that was shown last.
    pub fn into_session(mut self) -> Option<Box<dyn Session>> {
        if self.terminal.show_cursor().is_err() {
            // The terminal is gone. Dropping ratatui's terminal would report that to standard error, which may be gone
            // as well, and panic. Nothing is left to restore.
            std::mem::forget(self.terminal);
        }
        self.sessions.into_shown_session()
    }

    fn handle_inputs(&mut self) {
        let begun = Instant::now();
        for _ in 0..INPUTS_MAX {
            if self.exit_reason.is_some() || begun.elapsed() >= INPUTS_BUDGET {
                return;
            }
            if self.handover.is_some() {
                return;
            }
            let input = match self.pending_input.take().map_or_else(|| self.inputs.try_recv(), Ok) {
                Ok(input) => input,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.end_without_inputs(),
            };
            (self.needs_redraw, self.idle_iterations) = (true, 0);
            match input {
                InputEvent::Signal(SIGTSTP) => self.handover = Some(TerminalHandover::Suspend),
                InputEvent::Signal(SIGCONT) => self.handover = Some(TerminalHandover::Resume),
                InputEvent::Signal(signal) => self.exit_reason = Some(ExitReason::Signal(signal)),
                InputEvent::TerminalLost(reason) => self.exit_reason = Some(ExitReason::Lost(reason)),
                input => self.handle_input(&input),
            }
        }
    }

    fn end_without_inputs(&mut self) {
        self.exit_reason.get_or_insert(ExitReason::Lost("its input was closed".to_owned()));
    }

    /// Applies one input to the model, with the current layout of the screen, and carries out its effects.
    fn handle_input(&mut self, input: &InputEvent) {
        self.sessions.remember_shown(&mut self.model);
        let session = self.sessions.shown();
        let catalog = self.launcher.catalog();
        self.model.refresh(session, catalog);
        let area = self.terminal.get_frame().area();
        let geometry = view::geometry(Scene { model: &self.model, session, catalog, theme: &self.theme }, area);
        let effects = handle_input(&mut self.model, input, UpdateContext { session, catalog, geometry: &geometry });
        for effect in effects {
            self.apply_effect(effect);
        }
        self.sessions.select(self.model.dashboard.selected);
    }

    fn apply_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Quit => self.exit_reason = Some(ExitReason::Quit),
            Effect::Command(command) => self.sessions.command(command),
            Effect::Suspend => self.handover = Some(TerminalHandover::Suspend),
            Effect::Edit(name) => match self.launcher.editable_script(&name) {
                Ok(path) => self.handover = Some(TerminalHandover::Edit { name, path }),
                Err(reason) => self.model.show_message(&format!("cannot edit `{name}`"), &reason),
            },
            Effect::Attach(address) => match self.launcher.attach(&address) {
                Ok(session) => self.sessions.open_and_show(&mut self.model, session),
                Err(reason) if self.model.screen == Screen::Apps => {
                    self.model.show_message(&format!("cannot attach to {address}"), &reason);
                }
                Err(reason) => self.model.reopen_prompt(PromptKind::Attach, &address, reason),
            },
            Effect::Save(file) => {
                let Some(session) = self.sessions.shown() else { return };
                match self.launcher.save(&file, session, self.model.launched.as_ref()) {
                    Ok(text) => self.model.notice = Some(text),
                    Err(reason) => self.model.reopen_prompt(PromptKind::Save, &file, reason),
                }
            }
            Effect::ShowTab(index) => self.sessions.show(&mut self.model, index),
            Effect::CloseSession => {
                if !self.sessions.close(&mut self.model) {
                    self.model.show_picker();
                }
            }
            Effect::Launch(launch) => {
                // The previous run ends only once its replacement has started.
                match self.launcher.launch(&launch) {
                    Ok(session) => {
                        self.sessions.command(SessionCommand::Quit);
                        self.watch(session, Some(launch));
                    }
                    Err(reason) => self.model.show_message(&format!("cannot run `{}`", launch.name), &reason),
                }
            }
        }
    }

    fn pump(&mut self) {
        if self.model.screen == Screen::Apps
            && let Some(apps) = self.launcher.running_apps()
        {
            self.model.set_running_apps(apps);
            self.needs_redraw = true;
        }
        let pumped = self.sessions.pump(&mut self.model, PUMP_BUDGET);
        self.has_backlog = pumped.has_backlog;
        self.needs_redraw |= pumped.needs_redraw;
        let is_idle = !pumped.needs_redraw && !pumped.has_changed;
        self.idle_iterations = if is_idle { self.idle_iterations.saturating_add(1) } else { 0 };
    }

    fn draw(&mut self, now: Instant) -> Result<(), B::Error> {
        let is_due = self.last_frame_at.is_none_or(|drawn| now.saturating_duration_since(drawn) >= FRAME_INTERVAL);
        if !self.needs_redraw || !is_due {
            return Ok(());
        }
        self.sessions.remember_shown(&mut self.model);
        let session = self.sessions.shown();
        let catalog = self.launcher.catalog();
        self.model.refresh(session, catalog);
        let scene = Scene { model: &self.model, session, catalog, theme: &self.theme };
        self.terminal.draw(|frame| {
            let area = frame.area();
            view::render(frame.buffer_mut(), scene, area);
        })?;
        // The selected task may have appeared in this frame.
        self.sessions.select(self.model.dashboard.selected);
        (self.needs_redraw, self.last_frame_at) = (self.model.has_pending_work(self.sessions.shown()), Some(now));
        self.frames_drawn += 1;
        Ok(())
    }
}
