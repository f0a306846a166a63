//! Incremental serialization of a trace: sealed blocks once and in order, mutable state as often as needed.
//!
//! An archive consists of these pieces, each self-contained:
//!
//! - `Trace::encode_delta` defines new tasks, sites, workers and output lines, before anything refers to them.
//! - `Trace::encode_blocks` has newly sealed blocks, packed as they are in memory.
//! - `Trace::encode_ends` lists tasks and awaits that ended.
//! - `Trace::encode_tail` has everything that still changes: unsealed history, task rows and totals.
//! - `Trace::encode_queue_depths` has what was sampled of the runtime's queues. It stands beside the tail, because earlier
//!   versions do not know it.
//!
//! All pieces in order, with the last tail, restore the same trace: see [`TraceLoader`]. Without a tail the newest end
//! is missing. Nothing here does I/O.

mod blocks;
mod delta;
mod loader;
mod tail;
mod workers;

pub use loader::{TraceLoadError, TraceLoader};

use super::time::Nanos;

/// Position in a trace up to which it has been serialized.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArchiveCursor {
    tasks: usize,
    sites: usize,
    workers: usize,
    lines: u64,
    blocks: u64,
    late: u64,
    ends: u64,
    /// Number of blocks that were evicted before they were serialized.
    pub lost_blocks: u64,
    /// Interval of loop time that these blocks covered.
    lost_interval: Option<(Nanos, Nanos)>,
    /// Loop time when blocks were last serialized.
    until: Nanos,
}
