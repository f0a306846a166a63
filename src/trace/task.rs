//! One task: who it is, its lane, what it awaits now, and how often it was polled and woken.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ALLOCATION_BYTES;
use super::awaits::{AwaitIds, OpenAwaits};
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

/// See the module. There may be millions, so what few of them have stands apart.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: TaskId,
    /// One for all tasks that are alike in it.
    pub spawned: Arc<Spawned>,
    pub lane: Lane,
    pub ending: Option<Ending>,
    /// Counted here, from each poll and wake that was seen.
    pub counts: Counts,
    /// Who woke it last, and when.
    pub last_wake: Option<(Nanos, Cause)>,
    /// Polls that the loop had started when this was spawned.
    pub spawn_step: u32,
    /// Polls that the loop had started when this ended.
    pub end_step: Option<u32>,
    pub(super) live: Live,
    pub(super) open_awaits: OpenAwaits,
    pub(super) awaits: AwaitIds,
    /// Wakes beyond the first of each poll.
    pub(super) wakes: Option<Box<Wakes>>,
    pub(super) told: Option<Box<Told>>,
    pub(super) rare: Option<Box<Rare>>,
}

/// What a console tells of a task.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub counts: Option<Counts>,
    pub wake: Option<Nanos>,
    pub wakers: Option<(u64, u64)>,
    pub histograms: Option<Box<Histograms>>,
}

/// What happens to few tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    pub bounces: u64,
    pub holds: Vec<(Nanos, Option<Nanos>)>,
    /// The same as `holds`, in polls that the loop had started.
    pub hold_steps: Vec<(u32, Option<u32>)>,
    /// Those of its awaits that are blocking calls.
    pub calls: AwaitIds,
}

impl Task {
    pub(super) fn new(id: TaskId, spawned: Arc<Spawned>, at: Nanos, spawn_step: u32) -> Self {
        Self {
            id,
            spawned,
            lane: Lane::new(at),
            ending: None,
            counts: Counts::default(),
            last_wake: None,
            spawn_step,
            end_step: None,
            live: Live::Scheduled,
            open_awaits: OpenAwaits::default(),
            awaits: AwaitIds::default(),
            wakes: None,
            told: None,
            rare: None,
        }
    }

    /// One that takes what is read of a task that is forgotten.
    pub(super) fn nobody(id: TaskId) -> Self {
        Self::new(id, Arc::new(Spawned::default()), 0, 0)
    }

    /// Bytes of its row, without what is sealed of it, and without what it shares with others.
    pub(super) fn row_bytes(&self) -> usize {
        let told = self.told.as_ref().map_or(0, |_| size_of::<Told>() + ALLOCATION_BYTES);
        let rare = self.rare.as_ref().map_or(0, |_| size_of::<Rare>() + ALLOCATION_BYTES);
        size_of::<Self>() + ALLOCATION_BYTES + told + rare
    }

    /// Bytes of what was filed of it and is not forgotten.
    pub(super) fn filed_bytes(&self) -> usize {
        let calls = self.rare.as_ref().map_or(0, |rare| rare.calls.kept_bytes());
        let wakes = self.wakes.as_ref().map_or(0, |wakes| wakes.kept_bytes());
        self.lane.kept_bytes() + self.awaits.kept_bytes() + calls + wakes
    }

    /// Counted by console-subscriber; `None` until it said so.
    pub fn console(&self) -> Option<Counts> {
        self.told.as_ref()?.counts
    }

    /// Where wakes are only sampled: when the last one came that was told of. By whom, nobody tells.
    pub fn told_wake(&self) -> Option<Nanos> {
        self.told.as_ref()?.wake
    }

    /// Clones of its waker that were made and dropped; `None` where nobody counts them.
    pub fn wakers(&self) -> Option<(u64, u64)> {
        self.told.as_ref()?.wakers
    }

    /// How its polls spread, where somebody else keeps count of that.
    pub fn histograms(&self) -> Option<&Histograms> {
        self.told.as_ref()?.histograms.as_deref()
    }

    /// Times the loop turned back from this task because it was held. console-subscriber counts these as polls.
    pub fn bounces(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.bounces)
    }

    /// When the person held it, and let it go again.
    pub fn holds(&self) -> &[(Nanos, Option<Nanos>)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.holds)
    }

    pub(super) fn hold_steps(&self) -> &[(u32, Option<u32>)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.hold_steps)
    }

    pub(super) fn calls(&self) -> Option<&AwaitIds> {
        self.rare.as_ref().map(|rare| &rare.calls)
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
        self.holds().iter().any(|(from, to)| *from <= at && to.is_none_or(|to| at < to))
    }

    /// Held when the loop's `step`-th poll had begun.
    pub(super) fn is_held_at_step(&self, step: u32) -> bool {
        self.hold_steps().iter().any(|(from, to)| *from <= step && to.is_none_or(|to| step < to))
    }

    /// Held no more, if it was.
    pub(super) fn release(&mut self, at: Nanos, step: u32) {
        let Some(rare) = &mut self.rare else { return };
        if let Some((begin, end)) = rare.holds.last_mut() {
            end.get_or_insert(at.max(*begin));
        }
        if let Some((begin, end)) = rare.hold_steps.last_mut() {
            end.get_or_insert(step.max(*begin));
        }
    }

    /// Held now, whatever the time: a hold made and released while loop time stood still.
    pub fn is_held(&self) -> bool {
        self.holds().last().is_some_and(|(_, to)| to.is_none())
    }

    /// It keeps a thread of its own and no loop: a closure of the blocking pool, or a runtime's own worker.
    pub fn is_beside_the_loop(&self) -> bool {
        self.spawned.kind == TaskKind::Blocking
    }

    /// The awaits that are open now, outermost first.
    pub fn open_awaits(&self) -> impl DoubleEndedIterator<Item = AwaitId> + '_ {
        self.open_awaits.iter()
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
