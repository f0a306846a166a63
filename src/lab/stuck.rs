//! The end of a program that waits for nothing that can still come: on a virtual clock a loop that parks without a timer
//! parks for ever, for time is all that could have woken it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::trace::{AwaitId, Site, TaskId};

/// Waiting tasks named in the message; a thousand may wait in vain.
const TASKS_TOLD_MAX: usize = 5;

/// The awaits that are under way, and the verdict once there is one.
#[derive(Debug, Default)]
pub struct Stuck {
    open: Mutex<BTreeMap<AwaitId, (TaskId, Site)>>,
    verdict: OnceLock<String>,
}

impl Stuck {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AwaitId, (TaskId, Site)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn opened(&self, id: AwaitId, task: TaskId, site: &Site) {
        self.lock().insert(id, (task, site.clone()));
    }

    pub fn closed(&self, id: AwaitId) {
        self.lock().remove(&id);
    }

    /// Gives the verdict, with the tasks called by `name`.
    pub fn decide(&self, name: impl Fn(TaskId) -> String) {
        let _ = self.verdict.set(tell(&self.lock(), name));
    }

    /// What is waited for in vain, once that is certain.
    pub fn verdict(&self) -> Option<&str> {
        self.verdict.get().map(String::as_str)
    }
}

fn tell(open: &BTreeMap<AwaitId, (TaskId, Site)>, name: impl Fn(TaskId) -> String) -> String {
    // Awaits nest: the youngest of a task is what it really waits for.
    let waits: BTreeMap<TaskId, &Site> = open.values().map(|(task, site)| (*task, site)).collect();
    let mut text = "nothing can ever happen again".to_owned();
    for (index, (task, site)) in waits.iter().take(TASKS_TOLD_MAX).enumerate() {
        let joint = if index == 0 { ":" } else { "," };
        let _ = write!(text, "{joint} {} waits on {}", name(*task), site.source);
        if let Some(location) = &site.location {
            let _ = write!(text, " at {location}");
        }
    }
    if let Some(rest) = waits.len().checked_sub(TASKS_TOLD_MAX).filter(|rest| *rest > 0) {
        let _ = write!(text, ", and {rest} more wait");
    }
    text
}
