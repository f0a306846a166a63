//! Serialization of workers, and of what a program with the probe reports. Version 3 of the archive has none of it: it
//! follows the delta and the tail, which are as before.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::id::WorkerId;
use super::super::lane::LaneTail;
use super::super::reported_facts::ReportedFacts;
use super::super::time::Nanos;
use super::super::worker::WORKERS_MAX;
use super::super::{Trace, pack};

/// A new worker, after a delta.
#[derive(Serialize, Deserialize)]
pub(super) struct WorkerRecord<'a> {
    pub name: Cow<'a, str>,
    pub at: Nanos,
}

/// A worker without its name and its sealed history, after the tail.
#[derive(Serialize, Deserialize)]
pub(super) struct WorkerRow {
    lane: LaneTail,
    polls: u64,
    parks: u64,
}

/// Decodes what follows the tail: the workers, and what the program reports. `None` if it is malformed.
pub(super) fn decode_tail_extension(bytes: &[u8]) -> Option<(Vec<WorkerRow>, Option<ReportedFacts>)> {
    if bytes.is_empty() { Some(Default::default()) } else { pack::from_postcard_pair(bytes) }
}

impl Trace {
    /// Returns the workers after the first `count`.
    pub(super) fn worker_records(&self, count: usize) -> Vec<WorkerRecord<'_>> {
        let workers = self.workers().get(count..).unwrap_or_default().iter();
        workers.map(|worker| WorkerRecord { name: (&*worker.name).into(), at: worker.known_since() }).collect()
    }

    /// Adds the workers of a delta, with names from which `sanitize` has removed control characters. `None` if there are
    /// too many.
    pub(super) fn add_workers(&mut self, records: Vec<WorkerRecord>, sanitize: fn(&str) -> Cow<'_, str>) -> Option<()> {
        if records.len() > WORKERS_MAX.saturating_sub(self.workers().len()) {
            return None;
        }
        for record in records {
            let id = WorkerId::from_index(self.workers().len());
            self.add_worker(id, record.at, sanitize(&record.name).into());
        }
        Some(())
    }

    /// Serializes what follows the tail: what still changes of the workers, and what the program reports. Empty if there
    /// is nothing.
    pub(super) fn encode_tail_extension(&self) -> Vec<u8> {
        let rows = self.workers().iter();
        let rows = rows.map(|worker| WorkerRow { lane: worker.lane.tail(), polls: worker.polls, parks: worker.parks });
        let rows: Vec<WorkerRow> = rows.collect();
        match self.reported_facts() {
            None if rows.is_empty() => Vec::new(),
            None => pack::to_postcard(&rows),
            facts => pack::to_postcard(&(rows, facts)),
        }
    }

    /// Restores the rows of all workers.
    pub(super) fn restore_workers(&mut self, rows: Vec<WorkerRow>) {
        for (worker, row) in self.history.workers.iter_mut().zip(rows) {
            let before = worker.lane.retained_bytes();
            worker.lane.restore_tail(row.lane);
            (worker.polls, worker.parks) = (row.polls, row.parks);
            self.retention.add_history_bytes(worker.lane.retained_bytes().saturating_sub(before));
        }
    }
}
