//! Owners and waiters of every resource. The screen collects them incrementally over several frames, while the previous
//! result stays visible; a report collects them at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::trace::{Nanos, ResourceId, TaskId, Trace};

/// Resources, holdings and tasks that one frame examines.
const GATHERED_PER_FRAME: usize = 5_000;
/// The budget of one frame before the first result is complete.
const GATHERED_PER_FRAME_AT_FIRST: usize = 20_000;

/// How many resources and tasks are listed; further ones are only counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageLimits {
    /// Maximum number of owners and of waiters of each resource.
    pub tasks: usize,
    /// Maximum number of dropped resources, newest first.
    pub dropped: usize,
}

impl UsageLimits {
    /// The limits of the screen.
    pub const SCREEN: Self = Self { tasks: 8, dropped: 500 };
}

/// Some tasks by id, and their total number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSample {
    /// The first tasks.
    pub first: Vec<TaskId>,
    /// Number of all tasks.
    pub count: usize,
    /// The task that was added last.
    last: Option<TaskId>,
}

impl TaskSample {
    /// Adds a task, unless it is the one that was added last.
    fn add(&mut self, task: TaskId, limit: usize) {
        if self.last.replace(task) == Some(task) {
            return;
        }
        self.count += 1;
        if self.first.len() < limit {
            self.first.push(task);
        }
    }
}

/// Owners and waiters of all resources, as of the last complete pass.
#[derive(Clone, Debug, Default)]
pub struct ResourceUsage {
    /// Live resources, oldest first, then dropped ones, newest first.
    pub listed: Vec<ResourceId>,
    /// Number of live resources.
    pub alive: usize,
    /// Number of dropped resources that are not listed.
    pub unlisted: usize,
    /// Of an external app: the number of each resource among those of its name, from 1.
    numbers: FxHashMap<ResourceId, u32>,
    holders: FxHashMap<ResourceId, TaskSample>,
    waiters: FxHashMap<ResourceId, TaskSample>,
    /// The trace's event count when this pass began; `None` before the first pass.
    gathered_at: Option<u64>,
    next: Option<Box<UsageBuilder>>,
}

/// A pass in progress.
#[derive(Clone, Debug)]
struct UsageBuilder {
    limits: UsageLimits,
    into: ResourceUsage,
    /// Number of resources of each name so far.
    names: FxHashMap<Arc<str>, u32>,
    stage: UsageStage,
    /// The newest dropped resources (the oldest of them on top), and the number of all dropped ones.
    dropped: BinaryHeap<Reverse<(Nanos, ResourceId)>>,
    dropped_count: usize,
}

/// The next step of a pass, with the position at which it continues.
#[derive(Clone, Copy, Debug)]
enum UsageStage {
    Resources(usize),
    Held(Option<(ResourceId, TaskId)>),
    Tasks(usize),
    Done,
}

impl ResourceUsage {
    /// Collects owners and waiters of all resources of a trace.
    pub fn of(trace: &Trace, limits: UsageLimits) -> Self {
        let mut builder = UsageBuilder::new(limits);
        while !builder.advance(trace, usize::MAX) {}
        builder.into
    }

    /// Returns the number of the resource among those of its name, from 1, in an external app.
    pub fn number(&self, id: ResourceId) -> Option<u32> {
        self.numbers.get(&id).copied()
    }

    /// Returns the owners of a resource.
    pub fn holders(&self, id: ResourceId) -> Option<&TaskSample> {
        self.holders.get(&id)
    }

    /// Returns the tasks that wait for a resource.
    pub fn waiters(&self, id: ResourceId) -> Option<&TaskSample> {
        self.waiters.get(&id)
    }

    /// Whether incremental work is left, even if no further events arrive.
    pub fn has_pending_work(&self, trace: &Trace) -> bool {
        self.next.is_some() || self.is_outdated(trace)
    }

    fn is_outdated(&self, trace: &Trace) -> bool {
        self.gathered_at != Some(trace.counts().events)
    }

    /// Continues the current pass, or starts one if there are new events. Returns whether a pass was completed.
    pub fn advance(&mut self, trace: &Trace) -> bool {
        if self.next.is_none() && self.is_outdated(trace) {
            self.next = Some(Box::new(UsageBuilder::new(UsageLimits::SCREEN)));
            let events = Some(trace.counts().events);
            self.next.iter_mut().for_each(|next| next.into.gathered_at = events);
        }
        let Some(next) = &mut self.next else { return false };
        let budget = if self.gathered_at.is_none() { GATHERED_PER_FRAME_AT_FIRST } else { GATHERED_PER_FRAME };
        let is_done = next.advance(trace, budget);
        if let Some(next) = self.next.take_if(|_| is_done) {
            *self = next.into;
        }
        is_done
    }
}

impl UsageBuilder {
    fn new(limits: UsageLimits) -> Self {
        Self {
            limits,
            into: ResourceUsage::default(),
            names: FxHashMap::default(),
            stage: UsageStage::Resources(0),
            dropped: BinaryHeap::new(),
            dropped_count: 0,
        }
    }

    /// Continues for about `budget` items. Returns whether the pass is complete.
    fn advance(&mut self, trace: &Trace, mut budget: usize) -> bool {
        while budget > 0 {
            self.stage = match self.stage {
                UsageStage::Resources(from) => self.resources(from, trace, &mut budget),
                UsageStage::Held(last) => self.held(last, trace, &mut budget),
                UsageStage::Tasks(from) => self.tasks(from, trace, &mut budget),
                UsageStage::Done => return true,
            };
        }
        false
    }

    fn resources(&mut self, from: usize, trace: &Trace, budget: &mut usize) -> UsageStage {
        for (id, resource) in trace.resources().iter_from(from) {
            if *budget == 0 {
                return UsageStage::Resources(id.index());
            }
            *budget -= 1;
            // Resources of an external app have only the name of their type.
            if trace.is_external() {
                let number = self.names.entry(Arc::clone(&resource.resource.name)).or_default();
                *number += 1;
                self.into.numbers.insert(id, *number);
                if let Some(owner) = trace.lock_owner(id) {
                    self.into.holders.entry(id).or_default().add(owner, self.limits.tasks);
                }
            }
            let Some(to) = resource.dropped_at() else {
                self.into.listed.push(id);
                continue;
            };
            self.dropped_count += 1;
            self.dropped.push(Reverse((to, id)));
            if self.dropped.len() > self.limits.dropped {
                self.dropped.pop();
            }
        }
        self.into.alive = self.into.listed.len();
        self.into.unlisted = self.dropped_count.saturating_sub(self.limits.dropped);
        // Sorted from the latest time to the earliest.
        let dropped = std::mem::take(&mut self.dropped).into_sorted_vec();
        self.into.listed.extend(dropped.into_iter().map(|Reverse((_, id))| id));
        UsageStage::Held(None)
    }

    fn held(&mut self, last: Option<(ResourceId, TaskId)>, trace: &Trace, budget: &mut usize) -> UsageStage {
        let mut last = last;
        for (resource, task) in trace.resources().open_acquisitions(last) {
            if *budget == 0 {
                return UsageStage::Held(last);
            }
            *budget -= 1;
            last = Some((resource, task));
            self.into.holders.entry(resource).or_default().add(task, self.limits.tasks);
        }
        UsageStage::Tasks(0)
    }

    fn tasks(&mut self, from: usize, trace: &Trace, budget: &mut usize) -> UsageStage {
        for task in trace.tasks().iter_from(from) {
            if *budget == 0 {
                return UsageStage::Tasks(task.id.index());
            }
            *budget -= 1;
            for open in task.open_awaits().filter(|_| task.outcome.is_none()) {
                // Most tasks have one. A task with 100,000 open awaits is charged for all of them.
                *budget = budget.saturating_sub(1);
                if let Some(resource) = trace.awaits().get(open).and_then(|found| found.resource()) {
                    self.into.waiters.entry(resource).or_default().add(task.id, self.limits.tasks);
                }
            }
        }
        UsageStage::Done
    }
}
