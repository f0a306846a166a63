//! From bytes back to a trace. What they say is not believed: every look-up answers whatever they are, and none panics.

use std::borrow::Cow;

use super::super::event::Nanos;
use super::super::retention::{Kept, Part};
use super::super::task::{Live, Task};
use super::super::{Forgotten, Trace, pack};
use super::blocks::take_owner;
use super::told::Told;

/// What is wrong with a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it names what was never told of")]
    Unknown,
    #[error("it is not what its kind of piece should be")]
    Malformed,
}

/// A trace in the making; see [`super`].
#[derive(Debug)]
pub struct Loader {
    trace: Trace,
    clean: Clean,
    has_rest: bool,
    last: Nanos,
}

/// Makes text safe to show, as the feeds do.
pub type Clean = fn(&str) -> Cow<'_, str>;

impl Loader {
    /// For a trace that keeps at most about `budget_bytes`: of one that is longer, the newest.
    pub fn new(budget_bytes: usize, clean: Clean) -> Self {
        Self { trace: Trace::with_budget(budget_bytes), clean, has_rest: false, last: 0 }
    }

    /// Polls and wakes are sampled, also where the rest does not come to say so.
    pub fn set_sampled(&mut self) {
        self.trace.set_sampled();
    }

    /// It is of somebody else's program, likewise.
    pub fn set_foreign(&mut self) {
        self.trace.set_foreign();
    }

    /// Takes what [`Trace::told_since`] gave.
    ///
    /// # Errors
    /// When it does not continue what was taken before, or is something else.
    pub fn told(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        let told: Told = pack::deserialized(bytes).ok_or(Damage::Malformed)?;
        let trace = &mut self.trace;
        if told.tasks_before != trace.tasks.len() || told.sites_before != trace.sites.len() {
            return Err(Damage::Unknown);
        }
        for born in told.tasks {
            trace.spawn(born.spawned.into_owned(), born.at, born.step);
        }
        trace.sites.extend(told.sites.into_owned());
        for line in told.output {
            let mut line = line.into_owned();
            line.text = (self.clean)(&line.text).into();
            trace.output.push(line);
        }
        for (id, lane, ending, step) in told.ends {
            let Some(task) = trace.tasks.get_mut(id) else { continue };
            let filed_bytes = task.filed_bytes();
            task.lane.set_rest(lane);
            self.last = self.last.max(task.lane.ended().unwrap_or(0));
            task.ending = Some(ending);
            task.end_step = Some(step);
            // Until the rest says more.
            (task.counts.polls, task.counts.wakes) = (task.lane.number(), task.wakes().len() as u64);
            if std::mem::replace(&mut task.live, Live::Over) != Live::Over {
                trace.over.push_back(id);
            }
            trace.kept_bytes = (trace.kept_bytes + task.filed_bytes()).saturating_sub(filed_bytes);
            trace.grow(0);
        }
        told.late.into_iter().for_each(|(id, found)| trace.awaits.amend(id, found));
        Ok(())
    }

    /// Takes what [`Trace::sealed_since`] gave.
    ///
    /// # Errors
    /// When it is something else, or of tasks that were not told of.
    pub fn sealed(&mut self, mut bytes: &[u8]) -> Result<(), Damage> {
        while !bytes.is_empty() {
            let kept = take_owner(&mut bytes).ok_or(Damage::Malformed)?;
            let trace = &mut self.trace;
            let rest = &mut bytes;
            // Of one whose row is forgotten already it is read all the same, and let go.
            let mut nobody = None;
            let filed = match kept {
                Kept::Loop => trace.loop_lane.read_block(rest),
                Kept::LoopMeasures => trace.loop_lane.read_measures(rest),
                Kept::Awaits => trace.awaits.read_block(rest),
                Kept::Of(id, _) if id.index() >= trace.tasks.len() => return Err(Damage::Unknown),
                Kept::Of(id, part) => {
                    let task = trace.tasks.get_mut(id).unwrap_or_else(|| nobody.insert(Task::nobody(id)));
                    match part {
                        Part::Lane => {
                            let filed = task.lane.read_block(rest);
                            self.last = self.last.max(task.lane.sealed_until());
                            filed
                        }
                        Part::Measures => task.lane.read_measures(rest),
                        Part::Awaits => task.awaits.read_block(rest),
                        Part::Calls => task.rare.get_or_insert_default().calls.read_block(rest),
                        Part::Wakes => task.wakes.get_or_insert_default().read_block(rest),
                        Part::Ended => None,
                    }
                }
            };
            let filed = filed.ok_or(Damage::Malformed)?;
            if nobody.is_none() {
                trace.keep(filed, kept);
            }
        }
        Ok(())
    }

    /// Takes what [`Trace::rest`] gave, after everything that was told and sealed before that.
    ///
    /// # Errors
    /// When it is something else, or does not fit what was taken before.
    pub fn rest(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        self.trace.set_rest(bytes, self.clean)?;
        self.has_rest = true;
        Ok(())
    }

    /// The trace as far as it was told. Tells too whether it is whole; where it is not, its newest end is missing.
    pub fn finish(self) -> (Trace, bool) {
        let Self { mut trace, has_rest, last, .. } = self;
        if !has_rest {
            trace.recount(last);
        }
        trace.sealed_ends();
        (trace, has_rest)
    }
}

impl Trace {
    /// Sums as far as sealed blocks tell them, where nothing else does.
    fn recount(&mut self, last: Nanos) {
        self.now = last.max(self.loop_lane.sealed_until());
        for task in self.tasks.iter_mut() {
            let totals = task.lane.totals_at(Nanos::MAX);
            task.counts.polls = task.lane.number();
            let wakes = task.wakes().len() as u64;
            task.counts.wakes = wakes;
            if task.live != Live::Over {
                task.live = Live::Waiting;
            }
            self.counts.polls = self.counts.polls.saturating_add(task.counts.polls);
            self.counts.wakes = self.counts.wakes.saturating_add(task.counts.wakes);
            let busy_ns = if task.is_beside_the_loop() { 0 } else { totals.busy_ns };
            self.counts.busy_ns = self.counts.busy_ns.saturating_add(busy_ns);
            let count = match (&task.ending, task.live) {
                (Some(super::super::Ending::Done), _) => &mut self.counts.done,
                (Some(super::super::Ending::Cancelled), _) => &mut self.counts.cancelled,
                (Some(super::super::Ending::Failed(_)), _) => &mut self.counts.failed,
                (None, _) => &mut self.counts.waiting,
            };
            *count += 1;
        }
        let Forgotten { counts, loop_busy_ns, endings: [done, cancelled, failed], .. } = &self.forgotten;
        self.counts.polls = self.counts.polls.saturating_add(counts.polls);
        self.counts.wakes = self.counts.wakes.saturating_add(counts.wakes);
        self.counts.busy_ns = self.counts.busy_ns.saturating_add(*loop_busy_ns);
        self.counts.done = self.counts.done.saturating_add(*done);
        self.counts.cancelled = self.counts.cancelled.saturating_add(*cancelled);
        self.counts.failed = self.counts.failed.saturating_add(*failed);
        self.steps = u32::try_from(self.counts.polls).unwrap_or(u32::MAX);
        self.counts.turns = self.loop_lane.number();
        self.counts.parks = self.counts.turns;
    }

    /// Lanes that are over may be forgotten whole, as where they were lived.
    fn sealed_ends(&mut self) {
        let over = self.tasks.iter().filter(|task| task.ending.is_some()).map(|task| Kept::Of(task.id, Part::Ended));
        let over: Vec<Kept> = over.collect();
        over.into_iter().for_each(|kept| self.seal(kept));
    }
}
