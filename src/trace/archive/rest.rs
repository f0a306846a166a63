//! Everything that still changes: sums, what no block has yet, rows of tasks, resources.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::awaits::{AwaitsRest, OpenAwaits};
use super::super::event::{Cause, Counts, Ending, Location, Nanos};
use super::super::id::{AwaitId, TaskId};
use super::super::lane::{Lane, LaneRest};
use super::super::measure::Histograms;
use super::super::pause::Pauses;
use super::super::ready::Ready;
use super::super::resource::Resources;
use super::super::task::{Live, Task, Told};
use super::super::wakes::Wake;
use super::super::{Fidelity, Forgotten, Gap, LoopCounts, Recorded, Trace, pack, push_mark};
use super::load::Clean;
use super::{Cursor, Damage};

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
    /// The sums of tasks whose rows are forgotten.
    pub forgotten: Cow<'a, Forgotten>,
    /// Of every other task, in order of spawning.
    pub rows: Vec<Row<'a>>,
}

/// One task but for what told it and what is sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Row<'a> {
    pub id: TaskId,
    pub spawned: Nanos,
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
        let calls = task.calls();
        Self {
            id: task.id,
            spawned: task.lane.spawned(),
            lane: task.lane.rest(),
            ending: Cow::Borrowed(&task.ending),
            location: Cow::Borrowed(&task.spawned.location),
            counts: task.counts,
            console: task.console(),
            bounces: task.bounces(),
            last_wake: task.last_wake,
            told_wake: task.told_wake(),
            holds: Cow::Borrowed(task.holds()),
            hold_steps: Cow::Borrowed(task.hold_steps()),
            wakers: task.wakers(),
            histograms: Cow::Owned(task.histograms().cloned().map(Box::new)),
            end_step: task.end_step,
            live: task.live,
            open_awaits: task.open_awaits().collect(),
            awaits: (Cow::Borrowed(task.awaits.unpacked()), task.awaits.outlived().to_vec()),
            calls: calls
                .map_or_else(Default::default, |calls| (Cow::Borrowed(calls.unpacked()), calls.outlived().to_vec())),
            wakes: Cow::Borrowed(task.wakes.as_ref().map_or(&[], |wakes| wakes.unpacked())),
        }
    }

    /// Fills in all but where it was spawned, which this gives.
    fn fill(self, task: &mut Task) -> Option<Location> {
        task.lane.set_rest(self.lane);
        task.ending = self.ending.into_owned();
        task.counts = self.counts;
        task.last_wake = self.last_wake;
        task.end_step = self.end_step;
        task.live = self.live;
        task.open_awaits = OpenAwaits::of(&self.open_awaits);
        task.awaits.set_unpacked(&self.awaits.0, self.awaits.1);
        let histograms = self.histograms.into_owned();
        let (counts, wake, wakers) = (self.console, self.told_wake, self.wakers);
        if counts.is_some() || wake.is_some() || wakers.is_some() || histograms.is_some() {
            task.told = Some(Box::new(Told { counts, wake, wakers, histograms }));
        }
        if self.bounces > 0 || !self.holds.is_empty() || !self.calls.0.is_empty() || !self.calls.1.is_empty() {
            let rare = task.rare.get_or_insert_default();
            (rare.bounces, rare.holds) = (self.bounces, self.holds.into_owned());
            rare.hold_steps = self.hold_steps.into_owned();
            rare.calls.set_unpacked(&self.calls.0, self.calls.1);
        }
        if !self.wakes.is_empty() {
            task.wakes.get_or_insert_default().set_unpacked(self.wakes.into_owned());
        }
        self.location.into_owned()
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
            forgotten: Cow::Borrowed(&self.forgotten),
            rows: self.tasks.iter().map(Row::of).collect(),
        })
    }

    /// Takes the rest of a trace of which everything else is here.
    ///
    /// # Errors
    /// When it is something else, or does not fit.
    pub(super) fn set_rest(&mut self, bytes: &[u8], clean: Clean) -> Result<(), Damage> {
        let mut rest: Rest = pack::deserialized(bytes).ok_or(Damage::Malformed)?;
        rest.pauses.to_mut().clean(clean);
        let is_in_order = rest.rows.is_sorted_by(|a, b| a.id < b.id);
        let is_known = rest.rows.last().is_none_or(|last| last.id.index() < self.tasks.len());
        // Each task has a row or is forgotten.
        let is_every = rest.forgotten.tasks.checked_add(rest.rows.len() as u64) == Some(self.tasks.len() as u64);
        let fits = is_in_order && is_known && is_every;
        if !fits || !rest.resources.is_sane() {
            return Err(Damage::Unknown);
        }
        let freed_bytes = self.awaits.set_rest(rest.awaits).ok_or(Damage::Unknown)?;
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
        // What was forgotten while it was recorded is in the file all the same, but for what was so before it could be,
        // and for rows of tasks.
        let lost = rest.lost.map(|(from, to)| Gap { from, to, dropped: 0, is_unwatched: false });
        let gaps = rest.gaps.iter().filter(|gap| !gap.is_forgotten()).copied().chain(lost);
        gaps.for_each(|gap| push_mark(&mut self.gaps, gap));
        self.ready = rest.ready.into_owned();
        self.resources = rest.resources.into_owned();
        self.loop_lane.set_rest(rest.loop_lane);
        self.set_rows(rest.rows, rest.forgotten.into_owned());
        Ok(())
    }

    /// Takes rows of all tasks but those that were forgotten where this was recorded.
    fn set_rows(&mut self, rows: Vec<Row>, forgotten: Forgotten) {
        if forgotten.tasks > 0 {
            let is_gone = |id: &TaskId| rows.binary_search_by_key(id, |row| row.id).is_err();
            let every = (0..self.tasks.len()).map(TaskId::from_index);
            for id in every.filter(is_gone) {
                if let Some(task) = self.unfile(id) {
                    self.give_up(*task);
                }
            }
            self.note_forgotten(forgotten.until);
        }
        // What was forgotten here while this was read had no sums yet: they are in its row.
        self.forgotten = forgotten;
        for row in rows {
            let id = row.id;
            if let Some(task) = self.tasks.get_mut(id) {
                let (bytes, filed_bytes, was_over) = (task.row_bytes(), task.filed_bytes(), task.live == Live::Over);
                let location = row.fill(task);
                self.rows_bytes = (self.rows_bytes + task.row_bytes()).saturating_sub(bytes);
                self.kept_bytes = (self.kept_bytes + task.filed_bytes()).saturating_sub(filed_bytes);
                if task.live == Live::Over && !was_over {
                    self.over.push_back(id);
                }
                self.locate(id, location);
            } else {
                let mut nobody = Task { lane: Lane::new(row.spawned), ..Task::nobody(id) };
                row.fill(&mut nobody);
                let verdict = self.verdict(&nobody);
                self.forgotten.note(&nobody, verdict);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::MARKS_MAX;
    use super::super::super::event::{Event, Spawned};
    use super::super::Loader;
    use super::*;

    #[test]
    fn a_rest_that_leaves_a_task_out_is_refused() {
        let mut told = Trace::default();
        (0..2).for_each(|_| told.spawn(Spawned::default(), 0, 0));
        let reads = |told: &Trace| {
            let mut read = Trace::default();
            (0..2).for_each(|_| read.spawn(Spawned::default(), 0, 0));
            read.set_rest(&told.rest(&Cursor::default()), |text| text.into())
        };
        assert!(reads(&told).is_ok());
        for tasks in [1, u64::MAX] {
            told.forgotten.tasks = tasks;
            assert_eq!(reads(&told), Err(Damage::Unknown), "none is forgotten");
        }
        told.forgotten.tasks = 1;
        assert!(told.unfile(TaskId::from_index(0)).is_some());
        assert!(reads(&told).is_ok());
    }

    /// Many tasks that all have names of their own, as connections do: those that are forgotten take nothing.
    #[test]
    fn names_of_rows_that_were_forgotten_are_not_counted_as_kept() {
        const BUDGET_BYTES: usize = 200_000;
        let (mut told, mut loader) = (Trace::with_budget(BUDGET_BYTES), Loader::new(usize::MAX, |text| text.into()));
        let mut cursor = Cursor::default();
        for index in 0..5_000 {
            let (task, at) = (TaskId::from_index(index), index as u64);
            let spawned = Box::new(Spawned { name: format!("{index:0300}").into(), ..Spawned::default() });
            told.apply(Event::Spawn { task, at, spawned });
            told.apply(Event::End { task, at, outcome: Ending::Done });
            let pieces = [told.told_since(&mut cursor), told.ended_since(&mut cursor)];
            pieces.into_iter().flatten().for_each(|piece| loader.told(&piece).expect("it was just written"));
        }
        loader.rest(&told.rest(&cursor)).expect("it was just written");
        let (read, is_whole) = loader.finish();
        assert!(is_whole && read.forgotten() == told.forgotten() && told.forgotten().tasks > 4_000);
        // The newest names are held against in any case, and what the pages take is little.
        let names_bytes = 1_024 * 500;
        assert!(read.kept_bytes() < told.kept_bytes() + names_bytes, "{} bytes", read.kept_bytes());
    }

    #[test]
    fn what_is_forgotten_while_it_is_read_has_its_sums_from_its_spawn_on() {
        let (mut told, mut loader) = (Trace::default(), Loader::new(50_000, |text| text.into()));
        for index in 0..2_000 {
            let (task, at) = (TaskId::from_index(index), 1_000 * index as u64);
            told.apply(Event::Spawn { task, at, spawned: Box::default() });
            told.apply(Event::End { task, at: at + 5, outcome: Ending::Cancelled });
        }
        let mut cursor = Cursor::default();
        let pieces = [told.told_since(&mut cursor), told.ended_since(&mut cursor)];
        pieces.into_iter().flatten().for_each(|piece| loader.told(&piece).expect("it was just written"));
        loader.rest(&told.rest(&cursor)).expect("it was just written");
        let (read, _) = loader.finish();
        let forgotten = read.forgotten();
        assert!(forgotten.tasks > 1_000 && forgotten.scheduled_ns == 5 * forgotten.tasks, "{forgotten:?}");
    }

    #[test]
    fn of_a_file_with_too_many_gaps_the_newest_are_kept() {
        let mut told = Trace::default();
        let gap = |from| Gap { from, to: from + 1, dropped: 1, is_unwatched: false };
        let count = MARKS_MAX as u64 + 7;
        told.gaps.extend((0..count).map(gap));
        let mut read = Trace::default();
        read.set_rest(&told.rest(&Cursor::default()), |text| text.into()).expect("it was just written");
        assert!(read.gaps().copied().eq((7..count).map(gap)));
    }
}
