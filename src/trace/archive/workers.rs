//! Serialization of what only programs with the probe have: workers, chains of awaits, and what the program reports.
//! Version 3 of the archive has none of it: it follows the delta and the tail, which are as before.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::id::WorkerId;
use super::super::lane::LaneTail;
use super::super::notices::Notices;
use super::super::reported_facts::ReportedFacts;
use super::super::stack_frame::StackFrame;
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

/// What follows the tail: the workers, what the program can report, and what it has noticed.
pub(super) type TailExtension = (Vec<WorkerRow>, Option<ReportedFacts>, Notices);

/// Decodes what follows the tail. `None` if it is malformed.
pub(super) fn decode_tail_extension(bytes: &[u8]) -> Option<TailExtension> {
    let (rows, rest) = pack::take_optional(bytes)?;
    let (facts, rest) = pack::take_optional(rest)?;
    let (notices, rest) = pack::take_optional::<Notices>(rest)?;
    (rest.is_empty() && notices.is_valid()).then_some((rows, facts, notices))
}

/// Chains of awaits of sites: the position of each among the sites of its delta, and the functions.
pub(super) type SiteChains = Vec<(usize, Arc<[StackFrame]>)>;

/// What follows a delta.
#[derive(Default)]
pub(super) struct DeltaExtension<'a> {
    pub workers: Vec<WorkerRecord<'a>>,
    pub chains: SiteChains,
}

impl DeltaExtension<'_> {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty() && self.chains.is_empty()
    }

    /// Appends it to an encoded delta.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        if !self.is_empty() {
            bytes.extend(pack::to_postcard(&self.workers));
        }
        if !self.chains.is_empty() {
            bytes.extend(pack::to_postcard(&self.chains));
        }
    }
}

/// Decodes what follows a delta. `None` if it is malformed.
pub(super) fn decode_delta_extension(bytes: &[u8]) -> Option<DeltaExtension<'_>> {
    let (workers, rest) = pack::take_optional(bytes)?;
    let (chains, rest) = pack::take_optional(rest)?;
    rest.is_empty().then_some(DeltaExtension { workers, chains })
}

impl Trace {
    /// Returns the chains of the sites after the first `count`.
    pub(super) fn site_chains(&self, count: usize) -> SiteChains {
        let sites = self.history.sites.get(count..).unwrap_or_default().iter().enumerate();
        sites.filter_map(|(index, site)| Some((index, site.chain.clone()?))).collect()
    }

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
        let facts = self.reported_facts();
        match &self.history.notices {
            notices if !notices.is_empty() => pack::to_postcard(&(rows, facts, notices)),
            _ if facts.is_some() => pack::to_postcard(&(rows, facts)),
            _ if rows.is_empty() => Vec::new(),
            _ => pack::to_postcard(&rows),
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
