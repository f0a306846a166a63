//! Who holds what and who waits for what, gathered now and then for the table of resources.

use rustc_hash::FxHashMap;

use crate::trace::{ResourceId, TaskId, Trace};

/// Tasks that are named of each resource; the rest is counted.
const NAMED_MAX: usize = 8;
/// Resources that are gone and still listed, the newest.
const GONE_MAX: usize = 500;
/// Tasks and resources that are gone through for each time that one looks: with more of them this is done less often.
const GATHERED_PER_LOOK: usize = 5_000;

/// A few of them by id, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    pub named: Vec<TaskId>,
    pub count: usize,
}

impl Tasks {
    fn add(&mut self, task: TaskId) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(task);
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Sharing {
    /// Those that are there, oldest first, then those that are gone, newest first.
    pub listed: Vec<ResourceId>,
    /// How many are there.
    pub alive: usize,
    /// Those that are gone and not listed.
    pub unlisted: usize,
    holders: FxHashMap<ResourceId, Tasks>,
    waiters: FxHashMap<ResourceId, Tasks>,
    looks: usize,
    gathered_at: Option<u64>,
}

impl Sharing {
    pub fn holders(&self, id: ResourceId) -> Option<&Tasks> {
        self.holders.get(&id)
    }

    pub fn waiters(&self, id: ResourceId) -> Option<&Tasks> {
        self.waiters.get(&id)
    }

    /// Gathers again, if anything happened and it is time to. Tells whether it did.
    pub fn refresh(&mut self, trace: &Trace) -> bool {
        self.looks += 1;
        let size = trace.tasks().len() + trace.resources().iter().size_hint().0;
        let is_due = self.gathered_at.is_none() || self.looks.saturating_mul(GATHERED_PER_LOOK) >= size;
        let is_new = self.gathered_at != Some(trace.counts().events);
        if is_due && is_new {
            *self = Self::gather(trace);
        }
        is_due && is_new
    }

    fn gather(trace: &Trace) -> Self {
        let mut sharing = Self { gathered_at: Some(trace.counts().events), ..Self::default() };
        let mut gone = Vec::new();
        for (id, known) in trace.resources().iter() {
            match known.to() {
                None => sharing.listed.push(id),
                Some(to) => gone.push((to, id)),
            }
        }
        gone.sort_unstable();
        sharing.alive = sharing.listed.len();
        sharing.unlisted = gone.len().saturating_sub(GONE_MAX);
        sharing.listed.extend(gone.into_iter().rev().take(GONE_MAX).map(|(_, id)| id));
        let mut held: Vec<_> = trace.resources().held().collect();
        held.sort_unstable();
        for (resource, task) in held {
            sharing.holders.entry(resource).or_default().add(task);
        }
        for task in trace.tasks().iter().filter(|task| task.ending.is_none()) {
            let open = task.open_awaits().iter().filter_map(|id| trace.awaits().get(*id)?.resource());
            for resource in open {
                sharing.waiters.entry(resource).or_default().add(task.id);
            }
        }
        sharing
    }
}
