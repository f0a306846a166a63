//! The end of a program that waits for nothing that can still come: on a virtual clock a loop that parks without a timer
//! parks for ever, for time is all that could have woken it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::trace::{AwaitId, Site, SiteId, TaskId};

/// Waiting tasks named in the message; a thousand may wait in vain.
const TASKS_TOLD_MAX: usize = 5;

thread_local! {
    /// The awaits that are under way on this loop's thread.
    static OPEN: RefCell<FxHashMap<AwaitId, (TaskId, SiteId)>> = RefCell::default();
}

/// The verdict once there is one. Everything here happens on the loop's thread.
#[derive(Debug, Default)]
pub struct Stuck {
    verdict: OnceLock<String>,
}

impl Stuck {
    #[inline]
    pub fn opened(&self, id: AwaitId, task: TaskId, site: SiteId) {
        let _ = OPEN.try_with(|open| open.borrow_mut().insert(id, (task, site)));
    }

    #[inline]
    pub fn closed(&self, id: AwaitId) {
        let _ = OPEN.try_with(|open| open.borrow_mut().remove(&id));
    }

    /// Gives the verdict, with the tasks called by `name` and the places described by `site`.
    pub fn decide(&self, name: impl Fn(TaskId) -> String, site: impl Fn(SiteId) -> Option<Site>) {
        let waits = OPEN.with_borrow(|open| {
            let mut open: Vec<_> = open.iter().collect();
            open.sort_unstable();
            // Awaits nest: the youngest of a task is what it really waits for.
            open.into_iter().map(|(_, wait)| *wait).collect::<BTreeMap<_, _>>()
        });
        let _ = self.verdict.set(tell(&waits, name, site));
    }

    /// What is waited for in vain, once that is certain.
    pub fn verdict(&self) -> Option<&str> {
        self.verdict.get().map(String::as_str)
    }
}

fn tell(
    waits: &BTreeMap<TaskId, SiteId>,
    name: impl Fn(TaskId) -> String,
    site: impl Fn(SiteId) -> Option<Site>,
) -> String {
    let mut text = "nothing can ever happen again".to_owned();
    for (index, (task, on)) in waits.iter().take(TASKS_TOLD_MAX).enumerate() {
        let joint = if index == 0 { ":" } else { "," };
        let Some(site) = site(*on) else { continue };
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
