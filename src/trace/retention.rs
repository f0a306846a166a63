//! What is kept, in the order in which it was sealed, and forgetting it from the oldest end once there is too much.
//!
//! Lanes, awaits, lists of awaits and further wakes are sealed block by block, and each block is one entry here. To forget
//! is to take the oldest entry and drop its block, which costs the same whatever else is kept.

use std::collections::VecDeque;

use super::id::TaskId;
use super::lane::Filed;
use super::resource::Holding;
use super::{Gap, Nanos, Trace};

/// Entries for which a queue keeps room, however few it has.
const ROOM_MIN: usize = 1_024;

/// Whose oldest block was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kept {
    /// The loop's own lane.
    Loop,
    LoopMeasures,
    Awaits,
    Of(TaskId, Part),
}

/// What of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Lane,
    /// Nothing was sealed, but the task is over: all that is left of its lane.
    Ended,
    Measures,
    Awaits,
    Calls,
    Wakes,
}

impl Kept {
    /// Whose it is, where it is a task's.
    pub fn task(self) -> Option<TaskId> {
        if let Self::Of(id, _) = self { Some(id) } else { None }
    }
}

impl Trace {
    /// Takes note of what filing something took.
    #[inline]
    pub(super) fn keep(&mut self, filed: Filed, kept: Kept) {
        if filed == Filed::default() {
            return;
        }
        if filed.is_sealed {
            self.seal(kept);
        }
        self.kept_bytes = self.kept_bytes.saturating_add_signed(filed.bytes);
        self.grow(0);
    }

    pub(super) fn seal(&mut self, kept: Kept) {
        self.sealed.push_back(kept);
        self.sealed_count += 1;
    }

    /// So many bytes more are kept; makes room where that is too much.
    pub(super) fn grow(&mut self, bytes: usize) {
        self.kept_bytes += bytes;
        if self.kept_bytes() > self.budget_bytes {
            self.forget_oldest();
        }
    }

    /// Makes room by forgetting the oldest block of anything. What a lane began with and never filled is kept: it is what
    /// a person looks at first.
    #[cold]
    fn forget_oldest(&mut self) {
        while self.kept_bytes() > self.budget_bytes {
            if self.has_too_many_rows()
                && let Some(id) = self.over.pop_front()
            {
                self.forget_task(id);
                self.pass_over_nobody();
                continue;
            }
            let Some(oldest) = self.sealed.pop_front() else { break };
            self.forget(oldest);
        }
        give_back_room(&mut self.sealed);
        give_back_room(&mut self.over);
    }

    /// Blocks of tasks whose rows are forgotten went with these.
    fn pass_over_nobody(&mut self) {
        while let Some(oldest) = self.sealed.front()
            && oldest.task().is_some_and(|id| self.task(id).is_none())
        {
            self.sealed.pop_front();
        }
    }

    fn forget(&mut self, oldest: Kept) {
        let (freed, until) = match oldest {
            Kept::Loop => (self.loop_lane.drop_oldest(), self.loop_lane.forgotten_until()),
            Kept::LoopMeasures => (self.loop_lane.drop_oldest_measures(), self.loop_lane.forgotten_until()),
            Kept::Awaits => match self.awaits.drop_oldest() {
                Some((freed_bytes, until)) => (Some(freed_bytes), until),
                None => (None, 0),
            },
            Kept::Of(id, part) => {
                let Some(task) = self.tasks.get_mut(id) else { return };
                let freed = match part {
                    Part::Lane => task.lane.drop_oldest(),
                    Part::Ended => task.lane.drop_rest(),
                    Part::Measures => task.lane.drop_oldest_measures(),
                    Part::Awaits => task.awaits.drop_oldest(&self.awaits),
                    Part::Calls => task.rare.as_mut().and_then(|rare| rare.calls.drop_oldest(&self.awaits)),
                    Part::Wakes => task.wakes.as_mut().and_then(|wakes| wakes.drop_oldest()),
                };
                (freed, task.lane.forgotten_until())
            }
        };
        let Some(freed_bytes) = freed else { return };
        self.kept_bytes = self.kept_bytes.saturating_sub(freed_bytes);
        let forgotten = self.resources.forget_before(until);
        self.kept_bytes = self.kept_bytes.saturating_sub(forgotten * size_of::<Holding>());
        self.note_forgotten(until);
    }

    pub(super) fn note_forgotten(&mut self, until: Nanos) {
        match self.gaps.back_mut().filter(|gap| gap.is_forgotten()) {
            Some(gap) => gap.to = gap.to.max(until),
            None => super::push_mark(&mut self.gaps, Gap { from: 0, to: until, dropped: 0, is_unwatched: false }),
        }
    }
}

/// Room that a queue once needed, and needs no more.
fn give_back_room<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 4 * queue.len() + ROOM_MIN {
        queue.shrink_to(2 * queue.len() + ROOM_MIN);
    }
}
