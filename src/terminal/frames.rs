//! The frame loop, in named phases: take what came in, take in what happened, draw if anything changed, sleep.
//!
//! It knows neither which terminal it draws on nor where its inputs come from, so tests run this very loop.

mod watched;

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use ratatui::Terminal;
use ratatui::backend::Backend;
use signal_hook::consts::{SIGCONT, SIGTSTP};

use super::errand::Errand;
use crate::app::{Context, Effect, Input, Launch, Launcher, Model, Purpose, Session, take};
use crate::control::Command;
use crate::insight::Thresholds;
use crate::view::{self, Scene, Theme};
use watched::Sessions;

/// The time between two frames, at least: sixty a second.
const FRAME: Duration = Duration::from_micros(16_667);
/// How long taking in what happened may keep a key waiting.
const PUMP_BUDGET: Duration = Duration::from_millis(8);
/// The longest sleep when nothing changes.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// Inputs that are taken before the next frame.
const INPUTS_MAX: usize = 512;
/// How long taking them may keep the next frame waiting.
const INPUTS_BUDGET: Duration = Duration::from_millis(8);

/// Why the loop is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    Quit,
    Signal(i32),
    Lost(String),
}

/// The loop and all that it holds.
pub struct Frames<'a, B: Backend> {
    terminal: Terminal<B>,
    inputs: Receiver<Input>,
    launcher: &'a mut dyn Launcher,
    sessions: Sessions,
    model: Model,
    theme: Theme,
    /// Something changed since the last frame.
    is_stale: bool,
    /// There was more to take in than the budget allowed.
    has_backlog: bool,
    drawn_at: Option<Instant>,
    /// Frames drawn so far.
    drawn: u64,
    /// Turns in a row in which nothing changed.
    quiet_turns: u32,
    /// The input that ended the last sleep.
    first: Option<Input>,
    /// What the terminal must be given back for.
    errand: Option<Errand>,
    finish: Option<Finish>,
}

/// How long to sleep: until the next frame is due if there is something to draw, longer and longer if not.
pub fn patience(is_stale: bool, since_frame: Duration, quiet_turns: u32) -> Duration {
    if is_stale {
        return FRAME.saturating_sub(since_frame);
    }
    (FRAME * quiet_turns.saturating_sub(10).clamp(1, 8)).min(SLEEP_MAX)
}

impl<'a, B: Backend> Frames<'a, B> {
    /// A loop that begins with the picker.
    pub fn new(terminal: Terminal<B>, inputs: Receiver<Input>, launcher: &'a mut dyn Launcher, theme: Theme) -> Self {
        Self {
            terminal,
            inputs,
            launcher,
            sessions: Sessions::default(),
            model: Model::default(),
            theme,
            is_stale: true,
            has_backlog: false,
            drawn_at: None,
            drawn: 0,
            quiet_turns: 0,
            first: None,
            errand: None,
            finish: None,
        }
    }

    /// What the findings of runs are measured by.
    pub fn judge_by(&mut self, thresholds: Thresholds) {
        self.model.thresholds = thresholds;
    }

    /// Watches `session`, which `launched` started, in the place of what is on the screen; `None` for one that cannot be
    /// run again.
    pub fn watch(&mut self, session: Box<dyn Session>, launched: Option<Launch>) {
        self.sessions.replace(&mut self.model, session, launched);
        self.is_stale = true;
    }

    /// Watches `session` too, in a tab of its own behind the others.
    pub fn open(&mut self, session: Box<dyn Session>) {
        self.sessions.open(&mut self.model, session);
        self.is_stale = true;
    }

    /// One turn: inputs, facts, frame. Tells when, and why, it was the last.
    ///
    /// # Errors
    /// When the terminal cannot be drawn on.
    pub fn turn(&mut self, now: Instant) -> Result<Option<Finish>, B::Error> {
        self.take_inputs();
        if self.finish.is_none() {
            self.pump();
            self.draw(now)?;
        }
        Ok(self.finish.clone())
    }

    /// Sleeps until something comes in or it is time to look again.
    pub fn wait(&mut self, now: Instant) {
        let since_frame = self.drawn_at.map_or(FRAME, |drawn| now.saturating_duration_since(drawn));
        let sleep =
            if self.has_backlog { Duration::ZERO } else { patience(self.is_stale, since_frame, self.quiet_turns) };
        match self.inputs.recv_timeout(sleep) {
            Ok(input) => self.first = Some(input),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.end_without_inputs(),
        }
    }

    /// What the terminal is to be given back for, once.
    pub fn take_errand(&mut self) -> Option<Errand> {
        self.errand.take()
    }

    /// Does something that stops the whole program. Loop time stands still meanwhile, where the loop is ours.
    pub fn stop_time(&mut self, stop: impl FnOnce()) {
        self.sessions.stop_time(stop);
    }

    /// Takes in what happens while somebody else has the terminal, so that a run goes on as if it were watched.
    pub fn keep_up(&mut self) {
        self.pump();
    }

    /// The terminal is ours again, and nothing of what it shows is.
    ///
    /// # Errors
    /// When the terminal cannot be drawn on.
    pub fn back(&mut self) -> Result<(), B::Error> {
        // Not `Terminal::clear`, which asks the terminal for its cursor and would have to read the answer.
        self.terminal.backend_mut().clear()?;
        self.terminal.swap_buffers();
        self.terminal.swap_buffers();
        (self.is_stale, self.quiet_turns) = (true, 0);
        Ok(())
    }

    /// The person edited the script of this name, or could not.
    pub fn edited(&mut self, name: &str, edited: Result<(), String>) {
        match edited.map(|()| self.launcher.edited(name)) {
            Ok(Ok(())) => self.model.notice = Some("r runs the script as it is now".to_owned()),
            Ok(Err(why)) => self.model.show_message(&format!("{name} would not run as it is now"), &why),
            Err(why) => self.model.show_message(&format!("{name} was not edited"), &why),
        }
    }

    /// Says a line on the screen.
    pub fn say(&mut self, line: &str) {
        self.model.notice = Some(line.to_owned());
        self.is_stale = true;
    }

    /// The screen as it is drawn on, for tests and pictures.
    pub fn terminal(&self) -> &Terminal<B> {
        &self.terminal
    }

    /// Frames drawn so far.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// The signal that ended the loop, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.finish {
            Some(Finish::Signal(signal)) => Some(signal),
            _ => None,
        }
    }

    /// What was on the screen last.
    pub fn into_session(mut self) -> Option<Box<dyn Session>> {
        if self.terminal.show_cursor().is_err() {
            // The terminal is gone, and ratatui's own would complain of it to a standard error that is gone as well:
            // a panic. There is nothing left to restore.
            std::mem::forget(self.terminal);
        }
        self.sessions.into_shown()
    }

    fn take_inputs(&mut self) {
        let begun = Instant::now();
        for _ in 0..INPUTS_MAX {
            if self.finish.is_some() || begun.elapsed() >= INPUTS_BUDGET {
                return;
            }
            if self.errand.is_some() {
                return;
            }
            let input = match self.first.take().map_or_else(|| self.inputs.try_recv(), Ok) {
                Ok(input) => input,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.end_without_inputs(),
            };
            (self.is_stale, self.quiet_turns) = (true, 0);
            match input {
                Input::Signal(SIGTSTP) => self.errand = Some(Errand::Suspend),
                Input::Signal(SIGCONT) => self.errand = Some(Errand::Return),
                Input::Signal(signal) => self.finish = Some(Finish::Signal(signal)),
                Input::Lost(why) => self.finish = Some(Finish::Lost(why)),
                input => self.take(&input),
            }
        }
    }

    fn end_without_inputs(&mut self) {
        self.finish.get_or_insert(Finish::Lost("nothing can come in from it any more".to_owned()));
    }

    /// Lets the model take one input against the screen as it is now, and does what follows.
    fn take(&mut self, input: &Input) {
        self.sessions.note_shown(&mut self.model);
        let session = self.sessions.shown();
        let catalog = self.launcher.catalog();
        self.model.refresh(session, catalog);
        let area = self.terminal.get_frame().area();
        let geometry = view::geometry(Scene { model: &self.model, session, catalog, theme: &self.theme }, area);
        let effects = take(&mut self.model, input, Context { session, catalog, geometry: &geometry });
        for effect in effects {
            self.carry_out(effect);
        }
        self.sessions.select(self.model.dashboard.selected);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Quit => self.finish = Some(Finish::Quit),
            Effect::Command(command) => self.sessions.command(command),
            Effect::Suspend => self.errand = Some(Errand::Suspend),
            Effect::Edit(name) => match self.launcher.to_edit(&name) {
                Ok(path) => self.errand = Some(Errand::Edit { name, path }),
                Err(why) => self.model.show_message(&format!("{name} cannot be edited"), &why),
            },
            Effect::Attach(address) => match self.launcher.attach(&address) {
                Ok(session) => self.sessions.open_and_show(&mut self.model, session),
                Err(why) => self.model.ask_again(Purpose::Attach, &address, why),
            },
            Effect::Save(file) => {
                let Some(session) = self.sessions.shown() else { return };
                match self.launcher.save(&file, session, self.model.launched.as_ref()) {
                    Ok(said) => self.model.notice = Some(said),
                    Err(why) => self.model.ask_again(Purpose::Save, &file, why),
                }
            }
            Effect::ShowTab(index) => self.sessions.show(&mut self.model, index),
            Effect::Leave => {
                if !self.sessions.close(&mut self.model) {
                    self.model.leave();
                }
            }
            Effect::Launch(launch) => {
                // The run before goes only once there is one to take its place.
                match self.launcher.launch(&launch) {
                    Ok(session) => {
                        self.sessions.command(Command::Quit);
                        self.watch(session, Some(launch));
                    }
                    Err(why) => self.model.show_message(&format!("{} cannot run", launch.name), &why),
                }
            }
        }
    }

    fn pump(&mut self) {
        let pumped = self.sessions.pump(&mut self.model, PUMP_BUDGET);
        self.has_backlog = pumped.has_backlog;
        self.is_stale |= pumped.is_stale;
        let is_quiet = !pumped.is_stale && !pumped.has_moved;
        self.quiet_turns = if is_quiet { self.quiet_turns.saturating_add(1) } else { 0 };
    }

    fn draw(&mut self, now: Instant) -> Result<(), B::Error> {
        let is_due = self.drawn_at.is_none_or(|drawn| now.saturating_duration_since(drawn) >= FRAME);
        if !self.is_stale || !is_due {
            return Ok(());
        }
        self.sessions.note_shown(&mut self.model);
        let session = self.sessions.shown();
        let catalog = self.launcher.catalog();
        self.model.refresh(session, catalog);
        let scene = Scene { model: &self.model, session, catalog, theme: &self.theme };
        self.terminal.draw(|frame| {
            let area = frame.area();
            view::render(frame.buffer_mut(), scene, area);
        })?;
        // What is selected may have come only now.
        self.sessions.select(self.model.dashboard.selected);
        (self.is_stale, self.drawn_at) = (self.model.is_behind(self.sessions.shown()), Some(now));
        self.drawn += 1;
        Ok(())
    }
}
