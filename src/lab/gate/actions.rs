//! Actions that the user requests for a task and the loop thread runs at the gate.

use std::sync::MutexGuard;

use super::{Gate, GateHandler, GateState};
use crate::trace::TaskId;

/// An action on a task that the loop thread must run, because the feeds observe no other thread.
#[derive(Clone, Copy, Debug)]
pub enum TaskAction {
    /// Delivers the deferred wake of a task that was released.
    Wake(TaskId),
    /// Cancels the task.
    Cancel(TaskId),
}

impl Gate {
    /// Queues the action that `decide` returns for the loop thread.
    ///
    /// The action counts as pending while `decide` runs. Otherwise a loop that parks meanwhile could report a deadlock:
    /// a task that is released is no longer held and not yet woken.
    pub fn queue_action(&self, decide: impl FnOnce() -> Option<TaskAction>) {
        self.lock().announced_actions += 1;
        let action = decide();
        let mut state = self.lock();
        state.announced_actions -= 1;
        state.pending_actions.extend(action);
        self.notify_change(&mut state);
    }

    /// Returns whether no requested action is pending.
    pub fn has_no_pending_actions(&self) -> bool {
        let state = self.lock();
        state.announced_actions == 0 && state.pending_actions.is_empty()
    }

    /// Runs the pending actions. Call it on the loop thread.
    pub fn run_actions(&self, handler: &impl GateHandler) {
        drop(self.run_pending_actions(self.lock(), handler));
    }

    /// Runs the pending actions, with the lock released meanwhile.
    pub(super) fn run_pending_actions<'a>(
        &'a self,
        mut state: MutexGuard<'a, GateState>,
        handler: &impl GateHandler,
    ) -> MutexGuard<'a, GateState> {
        while let Some(action) = state.pending_actions.pop_front() {
            state.completed_actions += 1;
            // Waking runs the program's code, which must not find this lock taken.
            drop(state);
            handler.run_action(action);
            state = self.lock();
            self.notify_change(&mut state);
        }
        state
    }
}
