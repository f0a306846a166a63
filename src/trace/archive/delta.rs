//! Deltas: new tasks, sites and output lines, and ends of tasks and of awaits that outlived their block.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::await_site::AwaitSite;
use super::super::awaits::Await;
use super::super::block_owner::{BlockOwner, TaskBlockKind};
use super::super::id::{AwaitId, TaskId};
use super::super::lane::LaneTail;
use super::super::output::OutputLine;
use super::super::task::Task;
use super::super::task_meta::{TaskMeta, TaskOutcome};
use super::super::time::Nanos;
use super::super::{Trace, pack};
use super::ArchiveCursor;
use super::workers::DeltaExtension;

/// What was added since the last delta.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct ArchiveDelta<'a> {
    /// Number of tasks in earlier deltas.
    pub tasks_before: usize,
    /// Number of sites in earlier deltas.
    pub sites_before: usize,
    pub tasks: Vec<SpawnRecord<'a>>,
    pub sites: Cow<'a, [AwaitSite]>,
    pub output: Vec<Cow<'a, OutputLine>>,
    /// Ended tasks, with the step of their end.
    pub ends: Vec<(TaskId, LaneTail, TaskOutcome, u32)>,
    /// Awaits that ended after their block was sealed.
    pub late_awaits: Vec<(AwaitId, Await)>,
}

/// Spawn of a task.
#[derive(Serialize, Deserialize)]
pub(super) struct SpawnRecord<'a> {
    pub meta: Cow<'a, TaskMeta>,
    pub at: Nanos,
    pub step: u32,
}

impl Trace {
    /// Serializes tasks, sites, workers and output that were added since `cursor`, and advances it. Returns `None` if there are
    /// none.
    ///
    /// Must be written before the blocks that [`Self::encode_blocks`] gives for the same state of the trace.
    pub fn encode_delta(&self, cursor: &mut ArchiveCursor) -> Option<Vec<u8>> {
        let spawn_record = |index: usize| match self.task(TaskId::from_index(index)) {
            Some(task) => {
                SpawnRecord { meta: Cow::Borrowed(&*task.meta), at: task.lane.spawned_at(), step: task.spawn_step }
            }
            // The task was spawned and evicted since the last delta. Ids are dense, so a placeholder takes its id.
            None => SpawnRecord {
                meta: Cow::Owned(TaskMeta::default()),
                at: self.loop_state.now,
                step: self.loop_state.steps,
            },
        };
        let delta = ArchiveDelta {
            tasks_before: cursor.tasks,
            sites_before: cursor.sites,
            tasks: (cursor.tasks..self.history.tasks.len()).map(spawn_record).collect(),
            sites: Cow::Borrowed(self.history.sites.get(cursor.sites..).unwrap_or_default()),
            output: self.history.output.since(cursor.lines).map(Cow::Borrowed).collect(),
            ..ArchiveDelta::default()
        };
        let (workers, chains) = (self.worker_records(cursor.workers), self.site_chains(cursor.sites));
        cursor.workers = self.workers().len();
        cursor.tasks = self.history.tasks.len();
        cursor.sites = self.history.sites.len();
        cursor.lines = self.history.output.total_lines();
        delta.encoded(&DeltaExtension { workers, chains })
    }

    /// Serializes ends of tasks, and of awaits in sealed blocks, since `cursor`, and advances it. Returns `None` if
    /// there are none.
    ///
    /// Must be written after the blocks that [`Self::encode_blocks`] gives for the same state of the trace.
    pub fn encode_ends(&self, cursor: &mut ArchiveCursor) -> Option<Vec<u8>> {
        let ended = self.retention.sealed_since(cursor.ends).filter_map(|owner| match owner {
            BlockOwner::Task(id, TaskBlockKind::LaneTail) => self.task(*id),
            _ => None,
        });
        let end = |task: &Task| {
            Some((task.id, task.lane.tail(), task.outcome.clone()?, task.end_step.unwrap_or(task.spawn_step)))
        };
        let delta = ArchiveDelta {
            tasks_before: cursor.tasks,
            sites_before: cursor.sites,
            ends: ended.filter_map(end).collect(),
            late_awaits: self.history.awaits.late_ends_since(cursor.late).collect(),
            ..ArchiveDelta::default()
        };
        cursor.ends = self.retention.sealed_count();
        cursor.late = self.history.awaits.late_end_count();
        delta.encoded(&DeltaExtension::default())
    }
}

impl ArchiveDelta<'_> {
    /// Encodes the delta and what follows it, or returns `None` if there is nothing.
    fn encoded(&self, extension: &DeltaExtension) -> Option<Vec<u8>> {
        let is_empty = extension.is_empty()
            && self.tasks.is_empty()
            && self.sites.is_empty()
            && self.output.is_empty()
            && self.ends.is_empty()
            && self.late_awaits.is_empty();
        (!is_empty).then(|| {
            let mut bytes = pack::to_postcard(self);
            extension.encode(&mut bytes);
            bytes
        })
    }
}
