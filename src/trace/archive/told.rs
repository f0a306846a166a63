//! What later facts refer to, and what happens rarely: tasks, sites, lines of output, ends, awaits that ended late.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::awaits::Await;
use super::super::event::{Ending, Nanos, Site, Spawned};
use super::super::id::{AwaitId, TaskId};
use super::super::lane::LaneRest;
use super::super::output::Line;
use super::super::retention::{Kept, Part};
use super::super::task::Task;
use super::super::{Trace, pack};
use super::Cursor;

/// See the module.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Told<'a> {
    /// How many tasks and sites came before these.
    pub tasks_before: usize,
    pub sites_before: usize,
    pub tasks: Vec<Born<'a>>,
    pub sites: Cow<'a, [Site]>,
    pub output: Vec<Cow<'a, Line>>,
    pub ends: Vec<(TaskId, LaneRest, Ending, u32)>,
    pub late: Vec<(AwaitId, Await)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Born<'a> {
    pub spawned: Cow<'a, Spawned>,
    pub at: Nanos,
    pub step: u32,
}

impl Trace {
    /// Tasks, sites and output that came since `cursor`, which it moves on; `None` where nothing did. To be written before
    /// the blocks of the same moment.
    pub fn told_since(&self, cursor: &mut Cursor) -> Option<Vec<u8>> {
        let born = |index: usize| match self.task(TaskId::from_index(index)) {
            Some(task) => {
                Born { spawned: Cow::Borrowed(&*task.spawned), at: task.lane.spawned(), step: task.spawn_step }
            }
            // It came and went since the last time, and its row with it. Ids are dense, so somebody takes its place.
            None => Born { spawned: Cow::Owned(Spawned::default()), at: self.now, step: self.steps },
        };
        let told = Told {
            tasks_before: cursor.tasks,
            sites_before: cursor.sites,
            tasks: (cursor.tasks..self.tasks.len()).map(born).collect(),
            sites: Cow::Borrowed(self.sites.get(cursor.sites..).unwrap_or_default()),
            output: self.output.since(cursor.lines).map(Cow::Borrowed).collect(),
            ..Told::default()
        };
        cursor.tasks = self.tasks.len();
        cursor.sites = self.sites.len();
        cursor.lines = self.output.count();
        told.serialized()
    }

    /// Tasks that ended, and awaits that ended after they were packed, since `cursor`, which it moves on; `None` where
    /// nothing did. To be written after the blocks of the same moment.
    pub fn ended_since(&self, cursor: &mut Cursor) -> Option<Vec<u8>> {
        let first = self.sealed_count - self.sealed.len() as u64;
        let from = cursor.ends.saturating_sub(first) as usize;
        let ended = self.sealed.range(from.min(self.sealed.len())..).filter_map(|kept| match kept {
            Kept::Of(id, Part::Ended) => self.task(*id),
            _ => None,
        });
        let end = |task: &Task| {
            Some((task.id, task.lane.rest(), task.ending.clone()?, task.end_step.unwrap_or(task.spawn_step)))
        };
        let told = Told {
            tasks_before: cursor.tasks,
            sites_before: cursor.sites,
            ends: ended.filter_map(end).collect(),
            late: self.awaits.ended_late_since(cursor.late).collect(),
            ..Told::default()
        };
        cursor.ends = self.sealed_count;
        cursor.late = self.awaits.ended_late_count();
        told.serialized()
    }
}

impl Told<'_> {
    fn serialized(&self) -> Option<Vec<u8>> {
        let is_empty = self.tasks.is_empty()
            && self.sites.is_empty()
            && self.output.is_empty()
            && self.ends.is_empty()
            && self.late.is_empty();
        (!is_empty).then(|| pack::serialized(self))
    }
}
