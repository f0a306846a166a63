//! Who holds what and who waits for what, gathered now and then for the table of resources: a piece for each look at it,
//! while what was gathered before is shown.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use crate::trace::{Nanos, ResourceId, TaskId, Trace};

/// Tasks that are named of each resource; the rest is counted.
const NAMED_MAX: usize = 8;
/// Resources that are gone and still listed, the newest.
const GONE_MAX: usize = 500;
/// Resources, tasks and what they hold that are gone through for each look.
const GATHERED_PER_LOOK: usize = 5_000;
/// The same while there is nothing to show yet.
const GATHERED_AT_FIRST: usize = 20_000;

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
    /// What the trace knew when this was begun.
    gathered_at: Option<u64>,
    next: Option<Box<Gathering>>,
}

/// The next one, in the making.
#[derive(Clone, Debug, Default)]
struct Gathering {
    into: Sharing,
    stage: Stage,
    /// The newest that are gone, the oldest of them on top, and how many are gone in all.
    gone: BinaryHeap<Reverse<(Nanos, ResourceId)>>,
    gone_count: usize,
}

/// How far it is, each with where to go on.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Resources(usize),
    Held(Option<(ResourceId, TaskId)>),
    Tasks(usize),
    Done,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Resources(0)
    }
}

impl Sharing {
    pub fn holders(&self, id: ResourceId) -> Option<&Tasks> {
        self.holders.get(&id)
    }

    pub fn waiters(&self, id: ResourceId) -> Option<&Tasks> {
        self.waiters.get(&id)
    }

    /// There is something left to gather, though nothing more should happen.
    pub fn is_behind(&self, trace: &Trace) -> bool {
        self.next.is_some() || self.is_old(trace)
    }

    fn is_old(&self, trace: &Trace) -> bool {
        self.gathered_at != Some(trace.counts().events)
    }

    /// Goes on with gathering, if anything happened since that was begun last. Tells whether there is anything new.
    pub fn go_on(&mut self, trace: &Trace) -> bool {
        if self.next.is_none() && self.is_old(trace) {
            self.next = Some(Box::default());
            let events = Some(trace.counts().events);
            self.next.iter_mut().for_each(|next| next.into.gathered_at = events);
        }
        let Some(next) = &mut self.next else { return false };
        let budget = if self.gathered_at.is_none() { GATHERED_AT_FIRST } else { GATHERED_PER_LOOK };
        let is_done = next.go_on(trace, budget);
        if let Some(next) = self.next.take_if(|_| is_done) {
            *self = next.into;
        }
        is_done
    }
}

impl Gathering {
    /// Goes on by about `budget` things. Tells whether it is done.
    fn go_on(&mut self, trace: &Trace, mut budget: usize) -> bool {
        while budget > 0 {
            self.stage = match self.stage {
                Stage::Resources(from) => self.resources(from, trace, &mut budget),
                Stage::Held(last) => self.held(last, trace, &mut budget),
                Stage::Tasks(from) => self.tasks(from, trace, &mut budget),
                Stage::Done => return true,
            };
        }
        false
    }

    fn resources(&mut self, from: usize, trace: &Trace, budget: &mut usize) -> Stage {
        for (id, known) in trace.resources().from(from) {
            if *budget == 0 {
                return Stage::Resources(id.index());
            }
            *budget -= 1;
            let Some(to) = known.to() else {
                self.into.listed.push(id);
                continue;
            };
            self.gone_count += 1;
            self.gone.push(Reverse((to, id)));
            if self.gone.len() > GONE_MAX {
                self.gone.pop();
            }
        }
        self.into.alive = self.into.listed.len();
        self.into.unlisted = self.gone_count.saturating_sub(GONE_MAX);
        // From the greatest time to the least.
        let gone = std::mem::take(&mut self.gone).into_sorted_vec();
        self.into.listed.extend(gone.into_iter().map(|Reverse((_, id))| id));
        Stage::Held(None)
    }

    fn held(&mut self, last: Option<(ResourceId, TaskId)>, trace: &Trace, budget: &mut usize) -> Stage {
        let mut last = last;
        for (resource, task) in trace.resources().held(last) {
            if *budget == 0 {
                return Stage::Held(last);
            }
            *budget -= 1;
            last = Some((resource, task));
            self.into.holders.entry(resource).or_default().add(task);
        }
        Stage::Tasks(0)
    }

    fn tasks(&mut self, from: usize, trace: &Trace, budget: &mut usize) -> Stage {
        for task in trace.tasks().from(from) {
            if *budget == 0 {
                return Stage::Tasks(task.id.index());
            }
            *budget -= 1;
            for open in task.open_awaits().filter(|_| task.ending.is_none()) {
                // Most have one. Somebody who has a hundred thousand costs this look what they cost.
                *budget = budget.saturating_sub(1);
                if let Some(resource) = trace.awaits().get(open).and_then(|found| found.resource()) {
                    self.into.waiters.entry(resource).or_default().add(task.id);
                }
            }
        }
        Stage::Done
    }
}
