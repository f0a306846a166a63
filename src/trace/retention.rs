//! What is kept, in the order in which it was sealed, and forgetting it from the oldest end once there is too much.
//!
//! Lanes, awaits, lists of awaits and further wakes are sealed block by block, and each block is one entry here. To forget
//! is to take the oldest entry and drop its block, which costs the same whatever else is kept.

use super::id::TaskId;
use super::lane::Filed;
use super::resource::Holding;
use super::{Gap, Nanos, Trace};

/// Whose oldest block was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kept {
    /// The loop's own lane.
    Loop,
    /// A task's lane.
    Lane(TaskId),
    /// Nothing was sealed, but the task is over: all that is left of its lane.
    Ended(TaskId),
    LoopMeasures,
    Measures(TaskId),
    Awaits,
    AwaitsOf(TaskId),
    CallsOf(TaskId),
    WakesOf(TaskId),
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
            let Some(oldest) = self.sealed.pop_front() else { return };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, oldest: Kept) {
        let (freed, until) = match oldest {
            Kept::Loop | Kept::LoopMeasures => {
                let lane = &mut self.loop_lane;
                let freed = if oldest == Kept::Loop { lane.drop_oldest() } else { lane.drop_oldest_measures() };
                (freed, lane.forgotten_until())
            }
            Kept::Awaits => match self.awaits.drop_oldest() {
                Some((freed_bytes, until)) => (Some(freed_bytes), until),
                None => (None, 0),
            },
            Kept::Lane(id)
            | Kept::Ended(id)
            | Kept::Measures(id)
            | Kept::AwaitsOf(id)
            | Kept::CallsOf(id)
            | Kept::WakesOf(id) => {
                let Some(task) = self.tasks.get_mut(id.index()) else { return };
                let freed = match oldest {
                    Kept::Ended(_) => task.lane.drop_rest(),
                    Kept::Measures(_) => task.lane.drop_oldest_measures(),
                    Kept::AwaitsOf(_) => task.awaits.drop_oldest(&self.awaits),
                    Kept::CallsOf(_) => task.calls.as_mut().and_then(|calls| calls.drop_oldest(&self.awaits)),
                    Kept::WakesOf(_) => task.wakes.as_mut().and_then(|wakes| wakes.drop_oldest()),
                    _ => task.lane.drop_oldest(),
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

    fn note_forgotten(&mut self, until: Nanos) {
        match self.gaps.back_mut().filter(|gap| gap.is_forgotten()) {
            Some(gap) => gap.to = gap.to.max(until),
            None => super::push_mark(&mut self.gaps, Gap { from: 0, to: until, dropped: 0, is_unwatched: false }),
        }
    }
}
