//! What the lints look at: the trace and the thresholds, with the few look-ups that several of them need made once.

use rustc_hash::FxHashMap;

use super::thresholds::Thresholds;
use super::units::human_ns;
use crate::trace::{
    Await, AwaitId, Cycle, Ending, Location, Nanos, Outcome, ResourceId, ResourceKind, Site, Task, TaskId, Trace,
};

/// See the module.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub trace: &'a Trace,
    pub limits: &'a Thresholds,
    pub known: &'a Known,
}

/// The look-ups.
#[derive(Default)]
pub struct Known {
    /// Calls that kept the loop, by the task that made them, in order of time.
    calls: FxHashMap<TaskId, Vec<Await>>,
    /// Awaits of something known by identity, by what it is, in order of their start.
    pub awaited: FxHashMap<ResourceId, Vec<Await>>,
    /// Of these, which were open, and where they are.
    open: Vec<(ResourceId, usize, AwaitId)>,
    /// Polls that compute and give no turn away, in order of time.
    pub greedy: Vec<Greedy>,
}

impl Known {
    /// Takes an await; they come in order of their creation.
    pub fn note(&mut self, trace: &Trace, id: AwaitId, found: Await) {
        if trace.site(found.site).is_some_and(|site| site.is_blocking() || site.is_computing()) {
            self.calls.entry(found.task).or_default().push(found);
        }
        if let Some(resource) = found.resource() {
            let awaited = self.awaited.entry(resource).or_default();
            if found.end().is_none() {
                self.open.push((resource, awaited.len(), id));
            }
            awaited.push(found);
        }
    }

    /// What was open when it was taken is as it is now. One that is forgotten meanwhile had ended, nobody knows how.
    pub fn look_again(&mut self, trace: &Trace) {
        let awaited = &mut self.awaited;
        self.open.retain(|(resource, index, id)| {
            let place = awaited.get_mut(resource).and_then(|awaits| awaits.get_mut(*index));
            let (Some(place), Some(now)) = (place, trace.awaits().get(*id)) else { return false };
            *place = now;
            now.end().is_none()
        });
    }

    /// `task` made calls that kept the loop.
    pub fn has_called(&self, task: TaskId) -> bool {
        self.calls.contains_key(&task)
    }
}

/// One poll that does not yield.
#[derive(Clone, Copy, Debug)]
pub struct Greedy {
    pub task: TaskId,
    pub from: Nanos,
    pub to: Nanos,
}

/// One poll that took long, and what it did.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub from: Nanos,
    pub to: Nanos,
    /// Its own computing, as far as the program says so.
    pub computing_ns: u64,
    pub pieces: u64,
    /// Calls that block, and the longest of them.
    pub blocking: u64,
    pub longest: Option<Await>,
}

impl Stretch {
    pub fn ns(&self) -> u64 {
        self.to - self.from
    }

    /// What is not computing: blocking calls, and whatever else took so long.
    pub fn blocked_ns(&self) -> u64 {
        self.ns().saturating_sub(self.computing_ns)
    }
}

impl<'a> Case<'a> {
    /// The polls of a task that compute and give no turn away.
    pub fn greedy_polls(&self, task: &'a Task) -> Vec<Greedy> {
        let limits = self.limits;
        let is_greedy = |stretch: &Stretch| {
            stretch.computing_ns > limits.never_yields_ns
                || (stretch.pieces >= limits.never_yields_pieces && stretch.computing_ns > limits.blocked_loop_ns)
        };
        let polls = self.long_polls(task).filter(is_greedy);
        polls.map(|poll| Greedy { task: task.id, from: poll.from, to: poll.to }).collect()
    }

    /// The polls of a task that took longer than the limit of a blocked loop. What is under way counts up to now.
    pub fn long_polls(&self, task: &'a Task) -> impl Iterator<Item = Stretch> + use<'a, '_> {
        let (now, limit_ns) = (self.trace.now(), self.limits.blocked_loop_ns);
        let calls = self.known.calls.get(&task.id).map_or(&[][..], Vec::as_slice);
        // A task that was never busy so long in all was not so in one poll.
        // One that keeps no loop may take as long as it likes.
        let busy = !task.is_beside_the_loop() && task.lane.totals_at(now).busy_ns > limit_ns;
        let until = task.lane.ended().unwrap_or(now);
        let polls = task.lane.cycles().filter(move |_| busy).map(move |cycle| (cycle.start, poll_end(&cycle, until)));
        polls
            .filter(move |(from, to)| to.saturating_sub(*from) > limit_ns)
            .map(move |(from, to)| self.stretch(calls, from, to))
    }

    fn stretch(&self, calls: &[Await], from: Nanos, to: Nanos) -> Stretch {
        let first = calls.partition_point(|call| call.end().is_some_and(|end| end <= from));
        let mut stretch = Stretch { from, to, computing_ns: 0, pieces: 0, blocking: 0, longest: None };
        for call in calls[first..].iter().take_while(|call| call.start < to) {
            let end = call.end().unwrap_or(to).min(to);
            if self.site(call).is_some_and(Site::is_computing) {
                let computing_ns = end.saturating_sub(call.start.max(from));
                stretch.computing_ns = stretch.computing_ns.saturating_add(computing_ns);
                stretch.pieces += 1;
                continue;
            }
            stretch.blocking += 1;
            if stretch.longest.is_none_or(|longest| self.length_ns(call) > self.length_ns(&longest)) {
                stretch.longest = Some(*call);
            }
        }
        stretch
    }

    pub fn site(&self, found: &Await) -> Option<&'a Site> {
        self.trace.site(found.site)
    }

    /// How long an await took, up to now where it is under way.
    pub fn length_ns(&self, found: &Await) -> u64 {
        self.end(found).saturating_sub(found.start)
    }

    pub fn end(&self, found: &Await) -> Nanos {
        found.end().unwrap_or(self.trace.now())
    }

    /// Awaits by what they are for, where that is of `kind`, in order of the resources.
    pub fn awaits_of(&self, kind: ResourceKind) -> Vec<(ResourceId, &[Await])> {
        let of_kind = |id: &ResourceId| self.trace.resources().get(*id).is_some_and(|found| found.kind == kind);
        let mut found: Vec<_> = self
            .known
            .awaited
            .iter()
            .filter(|(id, _)| of_kind(id))
            .map(|(id, awaits)| (*id, awaits.as_slice()))
            .collect();
        found.sort_unstable_by_key(|(id, _)| *id);
        found
    }

    /// The time at which what was left of the run was given up: main's end, or now.
    pub fn run_end(&self) -> Nanos {
        self.trace.task(TaskId::from_index(0)).and_then(|main| main.lane.ended()).unwrap_or(self.trace.now())
    }

    /// The task was there for as long as the run was: it did not end, or only because the run did.
    pub fn never_ended(&self, task: &Task) -> bool {
        match &task.ending {
            None => true,
            Some(Ending::Cancelled) => task.lane.ended().is_some_and(|ended| ended >= self.run_end()),
            Some(_) => false,
        }
    }

    /// A task as a message names it.
    pub fn name(&self, id: TaskId) -> String {
        self.trace.task(id).map_or_else(|| format!("task {id}"), |task| task.name().into_owned())
    }

    /// A resource as a message names it.
    pub fn resource_name(&self, id: ResourceId) -> String {
        self.trace.resources().get(id).map_or_else(|| format!("resource {id}"), |found| found.name.to_string())
    }

    /// `sleep at workloads/countasync.lua:3`.
    pub fn place(&self, found: &Await) -> String {
        self.site(found).map_or_else(String::new, |site| at_place(&site.source, site.location.as_ref()))
    }
}

/// What was called, and where.
pub fn at_place(what: &str, location: Option<&Location>) -> String {
    match location {
        Some(location) => format!("{what} at {location}"),
        None => what.to_owned(),
    }
}

/// `from 1 s to 3 s`.
pub fn from_to(from: Nanos, to: Nanos) -> String {
    format!("from {} to {}", human_ns(from), human_ns(to))
}

pub fn poll_end(cycle: &Cycle, now: Nanos) -> Nanos {
    cycle.end().unwrap_or(now).max(cycle.start)
}

/// It came to nothing: it was dropped, or is still open.
pub fn is_unmet(found: &Await) -> bool {
    !matches!(found.outcome(), Outcome::Ready | Outcome::Unknown)
}
