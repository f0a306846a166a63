//! The sessions that are watched: one of them on the screen, all of them taken in from.

use std::time::{Duration, Instant};

use crate::app::{Kept, Launch, Model, Session, Standing, TABS_MAX, Tab, Tabs};
use crate::control::{Command, Link, LinkState, Phase, SourceKind, Status, Steering};
use crate::trace::TaskId;

/// What each session gets at least of the time for taking in, whatever the others have.
const TURN_MIN: Duration = Duration::from_micros(300);

/// How long the whole program's stop waits for the processes that stop with it: twice what each may take.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// One session, and what was done to it while it was shown.
struct Watched {
    session: Box<dyn Session>,
    /// As it was left; for the one that is shown, the model has it.
    kept: Kept,
    /// The task that it was told is looked at.
    selected: Option<TaskId>,
    /// What of its status the last frame showed, if it was the one that is shown.
    shown: Option<Shown>,
    is_new: bool,
}

/// The part of a status that moves by itself.
#[derive(PartialEq)]
struct Shown(u64, Phase, Option<u64>, String, bool, Option<Link>);

impl Shown {
    fn of(status: &Status) -> Self {
        let link = status.link.clone().map(|mut link| {
            if let LinkState::Retrying { wait_ms, .. } = &mut link.state {
                // The screen counts in seconds.
                *wait_ms = wait_ms.div_ceil(1_000);
            }
            link
        });
        let speed = status.speed.to_string();
        Self(status.now, status.phase, status.next_timer, speed, status.outcome.is_some(), link)
    }
}

/// What taking in came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pumped {
    /// Something on the screen is no longer true.
    pub is_stale: bool,
    /// Something happened, whether it shows or not.
    pub has_moved: bool,
    /// There was more than the budget allowed.
    pub has_backlog: bool,
}

/// All of them; see the module.
#[derive(Default)]
pub struct Sessions {
    all: Vec<Watched>,
    shown: usize,
    /// The bar as it was drawn last.
    drawn: Tabs,
}

impl Sessions {
    /// The session on the screen.
    pub fn shown(&self) -> Option<&dyn Session> {
        self.all.get(self.shown).map(|watched| watched.session.as_ref())
    }

    pub fn into_shown(mut self) -> Option<Box<dyn Session>> {
        (self.shown < self.all.len()).then(|| self.all.swap_remove(self.shown).session)
    }

    /// Puts `session` in the place of the one on the screen.
    pub fn replace(&mut self, model: &mut Model, session: Box<dyn Session>, launched: Option<Launch>) {
        let watched = Watched { session, kept: Kept::default(), selected: None, shown: None, is_new: false };
        match self.all.get_mut(self.shown) {
            Some(place) => *place = watched,
            None => self.all.push(watched),
        }
        model.watch(launched);
    }

    /// Adds a tab behind the others. The first one that is added is shown.
    pub fn open(&mut self, model: &mut Model, session: Box<dyn Session>) {
        if self.all.is_empty() {
            return self.replace(model, session, None);
        }
        self.insert(self.all.len(), session, false);
    }

    /// Adds a tab behind the others and shows it.
    pub fn open_and_show(&mut self, model: &mut Model, session: Box<dyn Session>) {
        self.open(model, session);
        self.show(model, self.all.len() - 1);
    }

    fn insert(&mut self, index: usize, session: Box<dyn Session>, is_new: bool) {
        let watched = Watched { session, kept: Kept::default(), selected: None, shown: None, is_new };
        self.all.insert(index, watched);
        self.shown += usize::from(index <= self.shown);
    }

    /// Shows another one.
    pub fn show(&mut self, model: &mut Model, index: usize) {
        if index == self.shown || index >= self.all.len() {
            return;
        }
        // Whether the details are wanted is about the screen, not about what is on it.
        let details = model.dashboard.details;
        let mut kept = std::mem::take(&mut self.all[index].kept);
        kept.dashboard.details = details;
        self.all[self.shown].kept = model.exchange(kept);
        (self.all[index].shown, self.all[index].is_new) = (None, false);
        self.shown = index;
    }

    /// Ends the one on the screen and shows its neighbour; false if there is none.
    pub fn close(&mut self, model: &mut Model) -> bool {
        self.command(Command::Quit);
        if self.all.len() < 2 {
            self.all.clear();
            self.shown = 0;
            return false;
        }
        let closed = self.shown;
        self.show(model, if closed + 1 < self.all.len() { closed + 1 } else { closed - 1 });
        self.remove(closed);
        true
    }

    fn remove(&mut self, index: usize) {
        self.all.remove(index);
        self.shown -= usize::from(index < self.shown);
    }

    /// Tells the session on the screen.
    pub fn command(&mut self, command: Command) {
        if let Some(watched) = self.all.get_mut(self.shown) {
            watched.session.command(command);
        }
    }

    /// Does something that stops the whole program. Loops of ours stand still meanwhile, in their own time too, and so do
    /// apps that we started: nobody would read what they record, and they would wait for that.
    pub fn stop_time(&mut self, stop: impl FnOnce()) {
        self.all.iter_mut().for_each(|watched| watched.session.command(Command::Suspend(true)));
        self.await_processes();
        stop();
        self.all.iter_mut().for_each(|watched| watched.session.command(Command::Suspend(false)));
    }

    /// Waits until every process that is to stop does, for so long as that may take.
    fn await_processes(&mut self) {
        let deadline = Instant::now() + STOP_PATIENCE;
        for watched in &mut self.all {
            let stops = |status: Status| status.steering == Steering::Process && status.phase == Phase::Pausing;
            while stops(watched.session.status()) && Instant::now() < deadline {
                if !watched.session.pump(TURN_MIN) {
                    watched.session.wait(TURN_MIN);
                }
            }
        }
    }

    /// Tells the session on the screen which task is looked at, where it tells more of that one.
    pub fn select(&mut self, selected: Option<TaskId>) {
        let Some(watched) = self.all.get_mut(self.shown).filter(|watched| watched.selected != selected) else { return };
        watched.selected = selected;
        if let (Some(id), SourceKind::Attach | SourceKind::Exec) = (selected, watched.session.status().source) {
            watched.session.command(Command::Select(id));
        }
    }

    /// Takes in what happened for about `budget`: the one on the screen first, then all the others.
    pub fn pump(&mut self, model: &mut Model, budget: Duration) -> Pumped {
        let begun = Instant::now();
        let mut pumped = Pumped::default();
        let count = self.all.len();
        for place in 0..count {
            let index = (self.shown + place) % count;
            let left = budget.saturating_sub(begun.elapsed());
            // What one does not need is there for those after it.
            let turn = match (place, count - place) {
                (_, 1) => left,
                (0, _) => left / 2,
                (_, others) => left / u32::try_from(others).unwrap_or(u32::MAX),
            };
            let (turn, start) = (turn.max(TURN_MIN), Instant::now());
            let watched = &mut self.all[index];
            let changed = watched.session.pump(turn);
            pumped.has_backlog |= changed && start.elapsed() >= turn / 2;
            pumped.has_moved |= changed;
            if index == self.shown {
                let moved = watched.shown.as_ref() != Some(&Shown::of(&watched.session.status()));
                pumped.is_stale |= changed || moved;
            } else {
                let status = watched.session.status();
                watched.kept.dashboard.log.observe(watched.session.trace(), &status);
            }
        }
        pumped.is_stale |= self.follow_successors(model);
        if count > 1 {
            pumped.is_stale |= self.tabs() != self.drawn;
        }
        pumped
    }

    /// Opens a tab beside each session that has a successor.
    fn follow_successors(&mut self, model: &mut Model) -> bool {
        let mut found = false;
        let mut index = 0;
        while index < self.all.len() {
            let Some(next) = self.all[index].session.successor() else {
                index += 1;
                continue;
            };
            found = true;
            let was_shown = index == self.shown;
            self.insert(index + 1, next, true);
            // Whoever looks elsewhere is not torn away.
            if was_shown {
                self.show(model, index + 1);
                model.notice = Some("there is a new process at this address: this is its tab".to_owned());
            }
            let closed = if self.all.len() > TABS_MAX { self.make_room() } else { None };
            index += usize::from(closed.is_none_or(|closed| closed > index));
        }
        found
    }

    /// Closes the first tab that is over and not on the screen, and tells which.
    fn make_room(&mut self) -> Option<usize> {
        let is_over = |watched: &Watched| Standing::of(&watched.session.status()).is_over();
        let over = (0..self.all.len()).find(|index| *index != self.shown && is_over(&self.all[*index]));
        over.inspect(|index| self.remove(*index))
    }

    fn tabs(&self) -> Tabs {
        let tab = |watched: &Watched| {
            let status = watched.session.status();
            Tab { standing: Standing::of(&status), name: status.name, is_new: watched.is_new }
        };
        Tabs { all: self.all.iter().map(tab).collect(), shown: self.shown }
    }

    /// Takes note of what the next frame will show.
    pub fn note_shown(&mut self, model: &mut Model) {
        self.drawn = self.tabs();
        model.tabs = self.drawn.clone();
        if let Some(watched) = self.all.get_mut(self.shown) {
            watched.shown = Some(Shown::of(&watched.session.status()));
        }
    }
}
