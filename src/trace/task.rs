//! One task: who it is, its lane, what it awaits now, and how often it was polled and woken.

use serde::{Deserialize, Serialize};

use super::awaits::AwaitIds;
use super::event::{Cause, Counts, Ending, Nanos, Spawned, TaskKind};
use super::id::{AwaitId, TaskId};
use super::lane::Lane;
use super::measure::Histograms;
use super::wakes::{self, Wakes};

/// What a task is doing at the newest end of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Live {
    Running,
    Scheduled,
    Waiting,
    Over,
}

#[derive(Clone, Debug)]
pub struct Task {
    pub id: TaskId,
    pub spawned: Spawned,
    pub lane: Lane,
    pub ending: Option<Ending>,
    /// Counted here, from each poll and wake that was seen.
    pub counts: Counts,
    /// Counted by console-subscriber; `None` until it said so.
    pub console: Option<Counts>,
    /// Times the loop turned back from this task because it was held. console-subscriber counts these as polls.
    pub bounces: u64,
    /// Who woke it last, and when.
    pub last_wake: Option<(Nanos, Cause)>,
    /// Where wakes are only sampled: when the last one came that was told of. By whom, nobody tells.
    pub told_wake: Option<Nanos>,
    /// When the person held it, and let it go again.
    pub holds: Vec<(Nanos, Option<Nanos>)>,
    /// Clones of its waker that were made and dropped; `None` where nobody counts them.
    pub wakers: Option<(u64, u64)>,
    /// How its polls spread, where somebody else keeps count of that.
    pub histograms: Option<Box<Histograms>>,
    /// Polls that the loop had started when this was spawned.
    pub spawn_step: u32,
    /// Polls that the loop had started when this ended.
    pub end_step: Option<u32>,
    /// The same as `holds`, in polls that the loop had started.
    pub(super) hold_steps: Vec<(u32, Option<u32>)>,
    pub(super) live: Live,
    pub(super) open_awaits: Vec<AwaitId>,
    pub(super) awaits: AwaitIds,
    /// Those of its awaits that are blocking calls.
    pub(super) calls: Option<Box<AwaitIds>>,
    /// Wakes beyond the first of each poll.
    pub(super) wakes: Option<Box<Wakes>>,
}

impl Task {
    pub(super) fn new(id: TaskId, spawned: Spawned, at: Nanos, spawn_step: u32) -> Self {
        Self {
            id,
            spawned,
            lane: Lane::new(at),
            ending: None,
            counts: Counts::default(),
            console: None,
            bounces: 0,
            last_wake: None,
            told_wake: None,
            holds: Vec::new(),
            wakers: None,
            histograms: None,
            spawn_step,
            end_step: None,
            hold_steps: Vec::new(),
            live: Live::Scheduled,
            open_awaits: Vec::new(),
            awaits: AwaitIds::default(),
            calls: None,
            wakes: None,
        }
    }

    /// What it is called: its name, or `task N`.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        if self.spawned.name.is_empty() {
            format!("task {}", self.id).into()
        } else {
            std::borrow::Cow::Borrowed(&self.spawned.name)
        }
    }

    pub fn is_held_at(&self, at: Nanos) -> bool {
        self.holds.iter().any(|(from, to)| *from <= at && to.is_none_or(|to| at < to))
    }

    /// Held when the loop's `step`-th poll had begun.
    pub(super) fn is_held_at_step(&self, step: u32) -> bool {
        self.hold_steps.iter().any(|(from, to)| *from <= step && to.is_none_or(|to| step < to))
    }

    /// Held from now on.
    pub(super) fn hold(&mut self, at: Nanos, step: u32) {
        self.holds.push((at, None));
        self.hold_steps.push((step, None));
    }

    /// Held no more, if it was.
    pub(super) fn release(&mut self, at: Nanos, step: u32) {
        if let Some((begin, end)) = self.holds.last_mut() {
            end.get_or_insert(at.max(*begin));
        }
        if let Some((begin, end)) = self.hold_steps.last_mut() {
            end.get_or_insert(step.max(*begin));
        }
    }

    /// Held now, whatever the time: a hold made and released while loop time stood still.
    pub fn is_held(&self) -> bool {
        self.holds.last().is_some_and(|(_, to)| to.is_none())
    }

    /// It keeps a thread of its own and no loop: a closure of the blocking pool, or a runtime's own worker.
    pub fn is_beside_the_loop(&self) -> bool {
        self.spawned.kind == TaskKind::Blocking
    }

    /// The awaits that are open now, outermost first.
    pub fn open_awaits(&self) -> &[AwaitId] {
        &self.open_awaits
    }

    /// Every kept await of this task, oldest first. Some at the front may just have been forgotten: [`super::Awaits::get`]
    /// tells.
    pub fn awaits(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        self.awaits.iter()
    }

    /// How many of the kept wakes came at or before `at`.
    pub fn wakes_until(&self, at: Nanos) -> usize {
        self.lane.wakes_until(at) + self.wakes.as_ref().map_or(0, |wakes| wakes.until(at))
    }

    /// Every kept wake of this task, oldest first.
    pub fn wakes(&self) -> impl DoubleEndedIterator<Item = (Nanos, Cause)> + ExactSizeIterator + '_ {
        wakes::all(&self.lane, self.wakes.as_deref())
    }
}
