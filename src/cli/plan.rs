//! The plan of a run: a validated request to run a workload.

use crate::control::{Breakpoint, ClockKind, FeedChoice, SourceKind, Speed};
use crate::insight::Thresholds;
use crate::lab::LoopOptions;
use crate::report::RunSource;
use crate::trace::Nanos;
use crate::workload::Permissions;
use crate::workload::manifest::{Manifest, ParamValue};

/// A validated request to run a workload.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The workload.
    pub manifest: Manifest,
    /// Parameters in the order of the manifest, including defaults.
    pub params: Vec<(String, ParamValue)>,
    /// Random seed.
    pub seed: u64,
    /// Clock of the loop.
    pub clock: ClockKind,
    /// Initial speed of a virtual clock; ignored by a real clock.
    pub speed: Speed,
    /// Feeds that record the loop.
    pub feed: FeedChoice,
    /// Start paused, before the first poll.
    pub paused: bool,
    /// Loop time at which the run is cancelled, in nanoseconds.
    pub until: Option<Nanos>,
    /// Breakpoints that are active from the start.
    pub breakpoints: Vec<Breakpoint>,
    /// Access of the script to network and files.
    pub permissions: Permissions,
    /// Memory budget of the trace in bytes.
    pub memory_bytes: usize,
    /// Thresholds for findings.
    pub thresholds: Thresholds,
}

impl RunPlan {
    /// Returns the options for the loop.
    pub fn options(&self) -> LoopOptions {
        LoopOptions {
            clock: self.clock,
            speed: self.speed,
            feed: self.feed,
            start_paused: self.paused,
            seed: self.seed,
            stop_at: self.until,
        }
    }

    /// Returns the source of reports about this run.
    pub fn source(&self) -> RunSource {
        RunSource {
            kind: SourceKind::Workload,
            name: self.manifest.name.clone(),
            params: self.params.clone(),
            clock: self.clock,
            seed: self.seed,
        }
    }
}
