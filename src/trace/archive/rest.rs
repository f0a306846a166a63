//! Everything that still changes: sums, what no block has yet, rows of tasks, resources.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::awaits::AwaitsRest;
use super::super::event::{Cause, Counts, Ending, Location, Nanos};
use super::super::id::AwaitId;
use super::super::lane::LaneRest;
use super::super::measure::Histograms;
use super::super::pause::Pauses;
use super::super::ready::Ready;
use super::super::resource::Resources;
use super::super::task::{Live, Task};
use super::super::wakes::Wake;
use super::super::{Fidelity, Gap, LoopCounts, Recorded, Trace, pack};
use super::Cursor;

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Rest<'a> {
    pub counts: LoopCounts,
    pub steps: u32,
    pub now: Nanos,
    pub parked: bool,
    pub console: (u64, u64),
    pub probe: (u64, u64),
    pub fidelity: Fidelity,
    pub is_foreign: bool,
    pub running_beside: u32,
    pub many_threads: Option<Nanos>,
    pub recorded: Option<Recorded>,
    pub compared_until: Nanos,
    pub pauses: Cow<'a, Pauses>,
    pub gaps: Cow<'a, VecDeque<Gap>>,
    /// What was forgotten before it could be told: from when to when it happened.
    pub lost: Option<(Nanos, Nanos)>,
    pub ready: Cow<'a, Ready>,
    pub resources: Cow<'a, Resources>,
    pub awaits: AwaitsRest,
    pub loop_lane: LaneRest,
    pub rows: Vec<Row<'a>>,
}

/// One task but for what told it and what is sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Row<'a> {
    pub lane: LaneRest,
    pub ending: Cow<'a, Option<Ending>>,
    pub location: Cow<'a, Option<Location>>,
    pub counts: Counts,
    pub console: Option<Counts>,
    pub bounces: u64,
    pub last_wake: Option<(Nanos, Cause)>,
    pub told_wake: Option<Nanos>,
    pub holds: Cow<'a, [(Nanos, Option<Nanos>)]>,
    pub hold_steps: Cow<'a, [(u32, Option<u32>)]>,
    pub wakers: Option<(u64, u64)>,
    pub histograms: Cow<'a, Option<Box<Histograms>>>,
    pub end_step: Option<u32>,
    pub live: Live,
    pub open_awaits: Cow<'a, [AwaitId]>,
    /// Awaits and blocking calls that no block has, the oldest first, and those that outlived theirs.
    pub awaits: (Cow<'a, [AwaitId]>, Vec<AwaitId>),
    pub calls: (Cow<'a, [AwaitId]>, Vec<AwaitId>),
    pub wakes: Cow<'a, [Wake]>,
}

impl<'a> Row<'a> {
    fn of(task: &'a Task) -> Self {
        let calls = task.calls.as_ref();
        Self {
            lane: task.lane.rest(),
            ending: Cow::Borrowed(&task.ending),
            location: Cow::Borrowed(&task.spawned.location),
            counts: task.counts,
            console: task.console,
            bounces: task.bounces,
            last_wake: task.last_wake,
            told_wake: task.told_wake,
            holds: Cow::Borrowed(&task.holds),
            hold_steps: Cow::Borrowed(&task.hold_steps),
            wakers: task.wakers,
            histograms: Cow::Borrowed(&task.histograms),
            end_step: task.end_step,
            live: task.live,
            open_awaits: Cow::Borrowed(&task.open_awaits),
            awaits: (Cow::Borrowed(task.awaits.unpacked()), task.awaits.outlived().to_vec()),
            calls: calls
                .map_or_else(Default::default, |calls| (Cow::Borrowed(calls.unpacked()), calls.outlived().to_vec())),
            wakes: Cow::Borrowed(task.wakes.as_ref().map_or(&[], |wakes| wakes.unpacked())),
        }
    }

    fn fill(self, task: &mut Task) {
        task.lane.set_rest(self.lane);
        task.ending = self.ending.into_owned();
        task.spawned.location = self.location.into_owned();
        task.counts = self.counts;
        task.console = self.console;
        task.bounces = self.bounces;
        task.last_wake = self.last_wake;
        task.told_wake = self.told_wake;
        task.holds = self.holds.into_owned();
        task.hold_steps = self.hold_steps.into_owned();
        task.wakers = self.wakers;
        task.histograms = self.histograms.into_owned();
        task.end_step = self.end_step;
        task.live = self.live;
        task.open_awaits = self.open_awaits.into_owned();
        task.awaits.set_unpacked(&self.awaits.0, self.awaits.1);
        if !self.calls.0.is_empty() || !self.calls.1.is_empty() {
            task.calls.get_or_insert_default().set_unpacked(&self.calls.0, self.calls.1);
        }
        if !self.wakes.is_empty() {
            task.wakes.get_or_insert_default().set_unpacked(self.wakes.into_owned());
        }
    }
}

impl Trace {
    /// Everything that still changes, as it is now; all the rest is told up to `cursor`.
    pub fn rest(&self, cursor: &Cursor) -> Vec<u8> {
        pack::serialized(&Rest {
            counts: self.counts,
            steps: self.steps,
            now: self.now,
            parked: self.parked,
            console: self.console(),
            probe: self.probe(),
            fidelity: self.fidelity,
            is_foreign: self.is_foreign,
            running_beside: self.running_beside,
            many_threads: self.many_threads,
            recorded: self.recorded.clone(),
            compared_until: self.compared_until,
            pauses: Cow::Borrowed(&self.pauses),
            gaps: Cow::Borrowed(&self.gaps),
            lost: cursor.lost,
            ready: Cow::Borrowed(&self.ready),
            resources: Cow::Borrowed(&self.resources),
            awaits: self.awaits.rest(),
            loop_lane: self.loop_lane.rest(),
            rows: self.tasks.iter().map(Row::of).collect(),
        })
    }

    /// Takes the rest of a trace of which everything else is here. Tells whether it fits.
    pub(super) fn set_rest(&mut self, rest: Rest) -> bool {
        if rest.rows.len() != self.tasks.len() || !rest.resources.is_sane() {
            return false;
        }
        let Some(freed_bytes) = self.awaits.set_rest(rest.awaits) else { return false };
        self.kept_bytes = self.kept_bytes.saturating_sub(freed_bytes);
        self.counts = rest.counts;
        self.steps = rest.steps;
        self.now = rest.now;
        self.parked = rest.parked;
        (self.console_updates, self.console_dropped) = rest.console;
        (self.probe_events, self.probe_dropped) = rest.probe;
        self.fidelity = rest.fidelity;
        self.is_foreign = rest.is_foreign;
        self.running_beside = rest.running_beside;
        self.many_threads = rest.many_threads;
        self.recorded = rest.recorded;
        self.compared_until = rest.compared_until;
        self.pauses = rest.pauses.into_owned();
        // What was forgotten while it was recorded is in the file all the same, but for what was so before it could be.
        let lost = rest.lost.map(|(from, to)| Gap { from, to, dropped: 0, is_unwatched: false });
        self.gaps.extend(rest.gaps.iter().filter(|gap| !gap.is_forgotten()).copied().chain(lost));
        self.ready = rest.ready.into_owned();
        self.resources = rest.resources.into_owned();
        self.loop_lane.set_rest(rest.loop_lane);
        for (row, task) in rest.rows.into_iter().zip(&mut self.tasks) {
            row.fill(task);
        }
        true
    }
}
