//! A thundering herd: many tasks are woken at once for what only few of them can have.
//!
//! *Sees* tasks that one task wakes at one time, of which some go on and most are back at the same await, or in the
//! queue of a lock, without having done anything: no time spent, nothing printed, nothing else awaited. Where all of
//! them go on, or none does, everybody was told something that concerned everybody.
//! *Bad*, because each wake costs a poll, and the more tasks wait the more is spent on finding nothing.
//! *To do*: wake one (`notify_one`, a semaphore with a permit for each), not all.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::units::{how_many, human_ns, human_number};
use super::{Case, Lint, Looking, Severity, Sighting};
use crate::trace::{AwaitId, AwaitKind, Cause, Cycle, Nanos, SiteId, Task, TaskId};

pub const LINT: Lint = Lint {
    name: "thundering-herd",
    severity: Severity::Warn,
    advice: "wake as many as can go on, and leave the others asleep",
    look: || Box::new(Herds::default()),
};

#[derive(Default)]
struct Herd {
    woken: u64,
    in_vain: u64,
    example: Option<AwaitId>,
}

/// By who woke them, and when.
#[derive(Default)]
struct Herds {
    all: FxHashMap<(TaskId, Nanos), Herd>,
    printed: FxHashSet<(TaskId, Nanos)>,
    acquired: FxHashMap<TaskId, Vec<Nanos>>,
    /// When these two were gathered: what came of wakes after that is not known.
    until: Nanos,
}

impl Looking for Herds {
    fn begin(&mut self, case: &Case) {
        self.until = case.trace.now();
        self.printed = case.trace.output().lines().iter().filter_map(|line| Some((line.task?, line.at))).collect();
        for holding in case.trace.resources().holdings() {
            self.acquired.entry(holding.task).or_default().push(holding.from);
        }
    }

    fn task(&mut self, case: &Case, task: &Task) {
        let wakes = wakes_by_tasks(case, task);
        let awaits: Vec<AwaitId> = if wakes.is_empty() { Vec::new() } else { task.awaits().collect() };
        let acquired = self.acquired.get(&task.id).map_or(&[][..], Vec::as_slice);
        let life = Life { case, task, awaits: &awaits, acquired };
        for (waker, at, before, after) in wakes {
            if after.end().unwrap_or(after.start) > self.until {
                continue;
            }
            let herd = self.all.entry((waker, at)).or_default();
            herd.woken += 1;
            if life.is_back(&before, &after) && !self.printed.contains(&(task.id, after.start)) {
                herd.in_vain += 1;
                herd.example = herd.example.or(before.waiting_on().0);
            }
        }
    }

    fn last_word(&mut self, case: &Case) -> Vec<Sighting> {
        sightings(case, std::mem::take(&mut self.all))
    }
}

fn sightings(case: &Case, herds: FxHashMap<(TaskId, Nanos), Herd>) -> Vec<Sighting> {
    let limits = case.limits;
    let is_herd = |herd: &Herd| {
        let went_on = herd.woken - herd.in_vain;
        herd.woken >= limits.thundering_herd_tasks
            && went_on > 0
            && went_on * 100 <= herd.woken * limits.thundering_herd_percent
    };
    // One finding for each task that wakes: its worst, and how often.
    let mut by_waker: BTreeMap<TaskId, (Nanos, Nanos, Herd, u64, u64)> = BTreeMap::new();
    let mut herds: Vec<_> = herds.into_iter().filter(|(_, herd)| is_herd(herd)).collect();
    herds.sort_unstable_by_key(|(key, _)| *key);
    for ((waker, at), herd) in herds {
        let entry = by_waker.entry(waker).or_insert((at, at, Herd::default(), 0, 0));
        entry.3 += 1;
        entry.4 += herd.in_vain;
        if herd.woken > entry.2.woken {
            (entry.1, entry.2) = (at, herd);
        }
    }
    by_waker
        .into_iter()
        .map(|(waker, (first, at, worst, times, in_vain))| {
            let example = worst.example.and_then(|id| case.trace.awaits().get(id));
            let place = example.map_or_else(String::new, |found| format!(": {}", case.place(&found)));
            Sighting {
                task: Some(waker),
                at_ns: first,
                seen: format!(
                    "{} woke {} at once, and {} of them woke in vain",
                    case.name(waker),
                    how_many(worst.woken, "task"),
                    human_number(worst.in_vain),
                ),
                evidence: format!(
                    "{} like this, {} in vain in all; the largest at {}{place}",
                    how_many(times, "time"),
                    how_many(in_vain, "wake"),
                    human_ns(at),
                ),
            }
        })
        .collect()
}

/// Each wake of `task` by another one that ended a wait: who, when, the poll before it and the poll after it.
fn wakes_by_tasks(case: &Case, task: &Task) -> Vec<(TaskId, Nanos, Cycle, Cycle)> {
    let mut found = Vec::new();
    let mut wakes = task.wakes().peekable();
    let mut cycles = task.lane.cycles().peekable();
    while let Some(before) = cycles.next() {
        let (Some(after), Some(end), Some(woken)) = (cycles.peek(), before.end(), before.woken()) else { continue };
        while wakes.peek().is_some_and(|(at, _)| *at < woken.max(end)) {
            wakes.next();
        }
        if let Some((at, cause)) = wakes.next_if(|(at, _)| *at <= after.start)
            && let Cause::Task(waker) = cause
            && case.trace.task(waker).is_some()
        {
            found.push((waker, at, before, *after));
        }
    }
    found
}

/// What is asked of one task, again and again.
struct Life<'a> {
    case: &'a Case<'a>,
    task: &'a Task,
    /// Its awaits, and when it acquired something, both in order.
    awaits: &'a [AwaitId],
    acquired: &'a [Nanos],
}

impl Life<'_> {
    /// Whether the poll `after` a wake led nowhere: the task waits where it waited `before`, or in a lock's queue.
    fn is_back(&self, before: &Cycle, after: &Cycle) -> bool {
        let ((Some(old), old_kind), (Some(new), kind)) = (before.waiting_on(), after.waiting_on()) else {
            return false;
        };
        // One place is of one kind; to look an await up takes longer than all else here.
        if old_kind != kind && kind != AwaitKind::Sync {
            return false;
        }
        let is_last = self.task.lane.last().is_some_and(|last| last.step == after.step);
        let ended = is_last && self.task.lane.ended().is_some_and(|ended| Some(ended) == after.end());
        let spent_ns = after.end().map_or(u64::MAX, |end| end - after.start);
        if ended || spent_ns > self.case.limits.busy_yield_poll_ns {
            return false;
        }
        let site = |id| self.case.trace.awaits().site_of(id);
        let (Some(old_site), Some(new_site)) = (site(old), site(new)) else { return false };
        if old_site == new_site {
            old == new || !self.awaited_else(old_site, old, new)
        } else {
            kind == AwaitKind::Sync && !self.acquired_in(after)
        }
    }

    /// Something of another place than `here` was awaited between these two.
    fn awaited_else(&self, here: SiteId, old: AwaitId, new: AwaitId) -> bool {
        let later = self.awaits.get(self.awaits.partition_point(|id| *id <= old)..).unwrap_or_default();
        let mut between = later.iter().take_while(|id| **id < new);
        between.any(|id| self.case.trace.awaits().site_of(*id) != Some(here))
    }

    fn acquired_in(&self, poll: &Cycle) -> bool {
        let first = self.acquired.partition_point(|at| *at < poll.start);
        self.acquired.get(first).is_some_and(|at| poll.end().is_none_or(|end| *at <= end))
    }
}
