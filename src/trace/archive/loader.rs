//! Restores a trace from the pieces of an archive. Input is untrusted: any bytes give an error or a trace that is safe
//! to query, and nothing panics.

use std::borrow::Cow;

use super::super::block_owner::{BlockOwner, TaskBlockKind};
use super::super::evicted_tasks::EvictedTasks;
use super::super::task::{Task, TaskPhase};
use super::super::time::Nanos;
use super::super::{Trace, pack};
use super::blocks::read_owner;
use super::delta::ArchiveDelta;
use super::workers::{DeltaExtension, decode_delta_extension};

/// Error in a piece of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceLoadError {
    /// It does not continue the pieces before it.
    #[error("reference to an undefined task or site")]
    Mismatch,
    /// It cannot be decoded.
    #[error("malformed data")]
    Malformed,
}

/// Restores a trace from the pieces that [`super`] describes.
#[derive(Debug)]
pub struct TraceLoader {
    trace: Trace,
    sanitize: SanitizeFn,
    has_tail: bool,
    last_time: Nanos,
}

/// Function that removes control characters from text.
pub type SanitizeFn = fn(&str) -> Cow<'_, str>;

impl TraceLoader {
    /// Creates a loader for a trace with a memory budget of about `budget_bytes`. Of a larger trace the newest part is
    /// retained.
    pub fn new(budget_bytes: usize, sanitize: SanitizeFn) -> Self {
        Self { trace: Trace::with_budget(budget_bytes), sanitize, has_tail: false, last_time: 0 }
    }

    /// Declares that polls and wakes are sampled. The tail contains this too, but may be missing.
    pub fn set_sampled(&mut self) {
        self.trace.set_sampled();
    }

    /// Declares that the traced program is external. The tail contains this too, but may be missing.
    pub fn set_external(&mut self) {
        self.trace.set_external();
    }

    /// Adds a delta, as [`Trace::encode_delta`] and [`Trace::encode_ends`] write it.
    ///
    /// # Errors
    /// Returns an error if it cannot be decoded or does not continue the deltas before it.
    pub fn add_delta(&mut self, bytes: &[u8]) -> Result<(), TraceLoadError> {
        let (delta, rest): (ArchiveDelta, _) = pack::split_postcard(bytes).ok_or(TraceLoadError::Malformed)?;
        let DeltaExtension { workers, chains } = decode_delta_extension(rest).ok_or(TraceLoadError::Malformed)?;
        let trace = &mut self.trace;
        if delta.tasks_before != trace.history.tasks.len() || delta.sites_before != trace.history.sites.len() {
            return Err(TraceLoadError::Mismatch);
        }
        for record in delta.tasks {
            trace.add_task(record.meta.into_owned(), record.at, record.step);
        }
        trace.add_workers(workers, self.sanitize).ok_or(TraceLoadError::Malformed)?;
        let mut sites = delta.sites.into_owned();
        for (index, chain) in chains {
            sites.get_mut(index).ok_or(TraceLoadError::Malformed)?.chain = Some(chain);
        }
        trace.history.sites.extend(sites);
        for line in delta.output {
            let mut line = line.into_owned();
            line.text = (self.sanitize)(&line.text).into();
            trace.history.output.push(line);
        }
        for (id, lane, outcome, step) in delta.ends {
            let Some(task) = trace.history.tasks.get_mut(id) else { continue };
            let before = (task.row_bytes(), task.history_bytes());
            task.lane.restore_tail(lane);
            self.last_time = self.last_time.max(task.lane.ended_at().unwrap_or(0));
            task.end_step = Some(step);
            // The tail has the exact counts.
            (task.counts.polls, task.counts.wakes) = (task.lane.poll_count(), task.wakes().len() as u64);
            if std::mem::replace(&mut task.phase, TaskPhase::Ended) != TaskPhase::Ended {
                trace.retention.queue_ended_task(id);
            }
            trace.loop_state.count_outcome(&outcome, task.meta.kind);
            // Its outcome may have been doubted later.
            if let Some(replaced) = task.outcome.replace(outcome) {
                trace.loop_state.uncount_outcome(&replaced, task.meta.kind);
            }
            trace.retention.record_changed_task(task, before);
            trace.evict_to_budget();
        }
        delta.late_awaits.into_iter().for_each(|(id, found)| trace.history.awaits.apply_late_end(id, found));
        Ok(())
    }

    /// Adds sealed blocks, as [`Trace::encode_blocks`] writes them.
    ///
    /// # Errors
    /// Returns an error if they cannot be decoded or belong to undefined tasks.
    pub fn add_blocks(&mut self, mut bytes: &[u8]) -> Result<(), TraceLoadError> {
        while !bytes.is_empty() {
            let owner = read_owner(&mut bytes).ok_or(TraceLoadError::Malformed)?;
            let trace = &mut self.trace;
            let rest = &mut bytes;
            // The block of an evicted task is decoded to skip it.
            let mut placeholder = None;
            let delta = match owner {
                BlockOwner::Loop => trace.history.loop_lane.read_block(rest),
                BlockOwner::LoopStats => trace.history.loop_lane.read_stats(rest),
                BlockOwner::Awaits => trace.history.awaits.read_block(rest),
                BlockOwner::Worker(id) => {
                    let worker = trace.history.workers.get_mut(id.index()).ok_or(TraceLoadError::Mismatch)?;
                    let delta = worker.lane.read_block(rest);
                    self.last_time = self.last_time.max(worker.lane.sealed_until());
                    delta
                }
                BlockOwner::Task(id, _) if id.index() >= trace.history.tasks.len() => {
                    return Err(TraceLoadError::Mismatch);
                }
                BlockOwner::Task(id, part) => {
                    let task =
                        trace.history.tasks.get_mut(id).unwrap_or_else(|| placeholder.insert(Task::placeholder(id)));
                    match part {
                        TaskBlockKind::Lane => {
                            let delta = task.lane.read_block(rest);
                            self.last_time = self.last_time.max(task.lane.sealed_until());
                            delta
                        }
                        TaskBlockKind::Stats => task.lane.read_stats(rest),
                        TaskBlockKind::Awaits => task.awaits.read_block(rest),
                        TaskBlockKind::BlockingCalls => {
                            task.cold.get_or_insert_default().blocking_calls.read_block(rest)
                        }
                        TaskBlockKind::Wakes => task.wakes.get_or_insert_default().read_block(rest),
                        TaskBlockKind::LaneTail => None,
                    }
                }
            };
            let delta = delta.ok_or(TraceLoadError::Malformed)?;
            if placeholder.is_none() {
                trace.record_storage(owner, delta);
            }
        }
        Ok(())
    }

    /// Adds the tail, as [`Trace::encode_tail`] writes it, after all deltas and blocks before it.
    ///
    /// # Errors
    /// Returns an error if it cannot be decoded or does not match the pieces before it.
    pub fn add_tail(&mut self, bytes: &[u8]) -> Result<(), TraceLoadError> {
        self.trace.restore_tail(bytes, self.sanitize)?;
        self.has_tail = true;
        Ok(())
    }

    /// Adds the sampled depths of queues, as [`Trace::encode_queue_depths`] writes them.
    ///
    /// # Errors
    /// Returns an error if they are malformed.
    pub fn add_queue_depths(&mut self, bytes: &[u8]) -> Result<(), TraceLoadError> {
        if !self.trace.history.queue_depths.restore(bytes) {
            return Err(TraceLoadError::Malformed);
        }
        self.trace.evict_to_budget();
        Ok(())
    }

    /// Returns the restored trace, and whether it is complete. Without a tail its newest end is missing.
    pub fn finish(self) -> (Trace, bool) {
        let Self { mut trace, has_tail, last_time, .. } = self;
        if !has_tail {
            trace.recompute_totals(last_time);
        }
        trace.queue_ended_lanes();
        (trace, has_tail)
    }
}

impl Trace {
    /// Computes the totals from sealed blocks, where no tail has them. Outcomes were counted as they were read.
    fn recompute_totals(&mut self, last_time: Nanos) {
        self.loop_state.now = last_time.max(self.history.loop_lane.sealed_until());
        for task in self.history.tasks.iter_mut() {
            let totals = task.lane.totals_at(Nanos::MAX);
            task.counts.polls = task.lane.poll_count();
            let wakes = task.wakes().len() as u64;
            task.counts.wakes = wakes;
            if task.phase != TaskPhase::Ended {
                task.phase = TaskPhase::Waiting;
                self.loop_state.count_waiting(task.meta.kind);
            }
            let counts = &mut self.loop_state.counts;
            counts.polls = counts.polls.saturating_add(task.counts.polls);
            counts.wakes = counts.wakes.saturating_add(task.counts.wakes);
            let busy_ns = if task.is_off_loop() { 0 } else { totals.busy_ns };
            counts.busy_ns = counts.busy_ns.saturating_add(busy_ns);
        }
        let counts = &mut self.loop_state.counts;
        let EvictedTasks { counts: evicted, loop_busy_ns, .. } = &self.retention.evicted;
        counts.polls = counts.polls.saturating_add(evicted.polls);
        counts.wakes = counts.wakes.saturating_add(evicted.wakes);
        counts.busy_ns = counts.busy_ns.saturating_add(*loop_busy_ns);
        counts.turns = self.history.loop_lane.poll_count();
        counts.parks = counts.turns;
        let now = self.loop_state.now;
        for worker in &mut self.history.workers {
            worker.recompute_counts();
            counts.parks = counts.parks.saturating_add(worker.parks);
            counts.parked_ns = counts.parked_ns.saturating_add(worker.totals_at(now).parked_ns);
        }
        self.loop_state.steps = u32::try_from(counts.polls).unwrap_or(u32::MAX);
    }

    /// Queues the lanes of ended tasks for eviction, as when the trace was recorded.
    fn queue_ended_lanes(&mut self) {
        let ended = self
            .history
            .tasks
            .iter()
            .filter(|task| task.outcome.is_some())
            .map(|task| BlockOwner::Task(task.id, TaskBlockKind::LaneTail));
        let ended: Vec<BlockOwner> = ended.collect();
        ended.into_iter().for_each(|owner| self.retention.queue_sealed_block(owner));
    }
}
