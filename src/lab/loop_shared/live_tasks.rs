//! The tasks of a loop that have not ended.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::task_control::TaskControl;
use crate::control::TaskPattern;
use crate::lab::gate::{GatedTask, LongWait};
use crate::trace::{Nanos, TaskId};

/// The tasks that have not ended.
#[derive(Debug, Default)]
pub struct LiveTasks {
    /// The tasks by tokio's id.
    by_tokio_id: FxHashMap<tokio::task::Id, Arc<TaskControl>>,
    /// The tasks by their trace id, with tokio's id.
    by_id: FxHashMap<TaskId, (tokio::task::Id, Arc<TaskControl>)>,
}

impl LiveTasks {
    /// Adds a task that was spawned.
    pub fn insert(&mut self, tokio_id: tokio::task::Id, control: Arc<TaskControl>) {
        self.by_tokio_id.insert(tokio_id, control.clone());
        self.by_id.insert(control.id(), (tokio_id, control));
    }

    /// Removes a task that ended.
    pub fn remove(&mut self, id: TaskId) {
        if let Some((tokio_id, _)) = self.by_id.remove(&id) {
            self.by_tokio_id.remove(&tokio_id);
        }
    }

    /// Returns the task with this id.
    pub fn find(&self, id: TaskId) -> Option<&Arc<TaskControl>> {
        self.by_id.get(&id).map(|(_, control)| control)
    }

    /// Returns the task with this tokio id.
    pub fn find_by_tokio_id(&self, id: tokio::task::Id) -> Option<&Arc<TaskControl>> {
        self.by_tokio_id.get(&id)
    }

    /// Returns all tasks in the order of their creation.
    pub fn all(&self) -> Vec<Arc<TaskControl>> {
        let mut tasks: Vec<_> = self.by_id.values().map(|(_, control)| control.clone()).collect();
        tasks.sort_unstable_by_key(|task| task.id());
        tasks
    }

    /// Returns whether the user holds a task.
    pub fn is_any_held(&self) -> bool {
        self.by_id.values().any(|(_, control)| control.is_held())
    }

    /// Returns the waits that will exceed one of `limits` unless they end before, earliest first. A limit has a
    /// pattern for task names and nanoseconds.
    pub fn long_waits(&self, limits: &[(TaskPattern, Nanos)]) -> Vec<LongWait<TaskControl>> {
        let waiting = self.by_id.values().filter(|(_, control)| !control.is_held());
        let long_waits = waiting.filter_map(|(_, control)| {
            let since = control.waiting_since()?;
            let limit = limits
                .iter()
                .filter(|(pattern, _)| pattern.matches(control.name()))
                .map(|(_, limit_ns)| *limit_ns)
                .min()?;
            Some(LongWait { task: control.clone(), since, at: since.saturating_add(limit) })
        });
        let mut long_waits: Vec<_> = long_waits.collect();
        long_waits.sort_unstable_by_key(|wait| (wait.at, wait.task.id()));
        long_waits
    }
}
