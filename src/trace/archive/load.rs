//! From bytes back to a trace. What they say is not believed: every look-up answers whatever they are, and none panics.

use std::borrow::Cow;

use super::super::event::Nanos;
use super::super::id::TaskId;
use super::super::retention::Kept;
use super::super::task::{Live, Task};
use super::super::{Trace, pack};
use super::blocks::take_owner;
use super::rest::Rest;
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
            let id = TaskId::from_index(trace.tasks.len());
            let bytes = size_of::<Task>() + born.spawned.name.len() + 2 * super::super::ALLOCATION_BYTES;
            trace.tasks.push(Task::new(id, born.spawned.into_owned(), born.at, born.step));
            trace.grow(bytes);
        }
        trace.sites.extend(told.sites.into_owned());
        for line in told.output {
            let mut line = line.into_owned();
            line.text = (self.clean)(&line.text).into();
            trace.output.push(line);
        }
        for (id, lane, ending, step) in told.ends {
            if let Some(task) = trace.tasks.get_mut(id.index()) {
                task.lane.set_rest(lane);
                self.last = self.last.max(task.lane.ended().unwrap_or(0));
                task.ending = Some(ending);
                task.end_step = Some(step);
                task.live = Live::Over;
            }
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
            let tasks = &mut trace.tasks;
            let rest = &mut bytes;
            let filed = match kept {
                Kept::Loop => trace.loop_lane.read_block(rest),
                Kept::LoopMeasures => trace.loop_lane.read_measures(rest),
                Kept::Awaits => trace.awaits.read_block(rest),
                Kept::Lane(id) => {
                    let lane = &mut task(tasks, id)?.lane;
                    let filed = lane.read_block(rest);
                    self.last = self.last.max(lane.sealed_until());
                    filed
                }
                Kept::Measures(id) => task(tasks, id)?.lane.read_measures(rest),
                Kept::AwaitsOf(id) => task(tasks, id)?.awaits.read_block(rest),
                Kept::CallsOf(id) => task(tasks, id)?.calls.get_or_insert_default().read_block(rest),
                Kept::WakesOf(id) => task(tasks, id)?.wakes.get_or_insert_default().read_block(rest),
                Kept::Ended(_) => None,
            };
            trace.keep(filed.ok_or(Damage::Malformed)?, kept);
        }
        Ok(())
    }

    /// Takes what [`Trace::rest`] gave, after everything that was told and sealed before that.
    ///
    /// # Errors
    /// When it is something else, or does not fit what was taken before.
    pub fn rest(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        let mut rest: Rest = pack::deserialized(bytes).ok_or(Damage::Malformed)?;
        rest.pauses.to_mut().clean(self.clean);
        if !self.trace.set_rest(rest) {
            return Err(Damage::Unknown);
        }
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

fn task(tasks: &mut [Task], id: TaskId) -> Result<&mut Task, Damage> {
    tasks.get_mut(id.index()).ok_or(Damage::Unknown)
}

impl Trace {
    /// Sums as far as sealed blocks tell them, where nothing else does.
    fn recount(&mut self, last: Nanos) {
        self.now = last.max(self.loop_lane.sealed_until());
        for task in &mut self.tasks {
            let totals = task.lane.totals_at(Nanos::MAX);
            task.counts.polls = task.lane.number();
            let wakes = task.wakes().len() as u64;
            task.counts.wakes = wakes;
            if task.live != Live::Over {
                task.live = Live::Waiting;
            }
            self.counts.polls = self.counts.polls.saturating_add(task.counts.polls);
            self.counts.wakes = self.counts.wakes.saturating_add(task.counts.wakes);
            self.counts.busy_ns = self.counts.busy_ns.saturating_add(totals.busy_ns);
            let count = match (&task.ending, task.live) {
                (Some(super::super::Ending::Done), _) => &mut self.counts.done,
                (Some(super::super::Ending::Cancelled), _) => &mut self.counts.cancelled,
                (Some(super::super::Ending::Failed(_)), _) => &mut self.counts.failed,
                (None, _) => &mut self.counts.waiting,
            };
            *count += 1;
        }
        self.steps = u32::try_from(self.counts.polls).unwrap_or(u32::MAX);
        self.counts.turns = self.loop_lane.number();
        self.counts.parks = self.counts.turns;
    }

    /// Lanes that are over may be forgotten whole, as where they were lived.
    fn sealed_ends(&mut self) {
        let over = self.tasks.iter().filter(|task| task.ending.is_some()).map(|task| Kept::Ended(task.id));
        let over: Vec<Kept> = over.collect();
        over.into_iter().for_each(|kept| self.seal(kept));
    }
}
