//! Reports of a finished run, as JSON and as text.
//!
//! All formats are produced from the same [`ReportInput`]. Reports are pure functions of it: no state and no clock.
//!
//! ```
//! use loopscope::control::{FeedChoice, RunOutcome, SourceKind};
//! use loopscope::insight::{Thresholds, run_lints};
//! use loopscope::report::{JsonReport, ReportInput, RunSource, write_text};
//! use loopscope::trace::Trace;
//!
//! let trace = Trace::default();
//! let input = ReportInput {
//!     source: &RunSource::external(SourceKind::Recording, "app.jsonl".to_owned()),
//!     trace: &trace,
//!     outcome: &RunOutcome::Detached,
//!     feed: FeedChoice::Console,
//!     findings: &run_lints(&trace, &Thresholds::default()),
//!     full: false,
//! };
//! assert_eq!(JsonReport::new(&input).value()["schema"], 1);
//!
//! let mut text = Vec::new();
//! write_text(&input, &mut text)?;
//! assert!(String::from_utf8(text).unwrap().contains("app.jsonl"));
//! # Ok::<(), std::io::Error>(())
//! ```

mod format;
mod json;
mod table;
mod text;
mod wakes;

pub use format::ReportFormat;
pub use json::{AWAITS_MAX, JsonReport, RESOURCES_MAX, SCHEMA_VERSION, WAKES_MAX};
pub use table::{ColumnAlign, lines as table_lines};
pub use text::write_text;

use crate::control::{ClockKind, FeedChoice, RunOutcome, SourceKind};
use crate::insight::{Findings, units};
use crate::trace::{FeedDisagreement, TaskCounts, Trace};
use crate::workload::manifest::ParamValue;

/// The source of a run: a workload or an external app.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSource {
    /// Kind of the source.
    pub kind: SourceKind,
    /// Name of the workload, or the address, command or file of an external app.
    pub name: String,
    /// Parameters in the order of the manifest, including defaults.
    pub params: Vec<(String, ParamValue)>,
    /// Clock of the loop.
    pub clock: ClockKind,
    /// Random seed; 0 for external apps.
    pub seed: u64,
}

impl RunSource {
    /// Creates the source for an external app, which has no parameters and no seed.
    pub fn external(kind: SourceKind, name: String) -> Self {
        Self { kind, name, params: Vec::new(), clock: ClockKind::Real, seed: 0 }
    }
}

/// The data of a report, independent of its format.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// The source of the run.
    pub source: &'a RunSource,
    /// The events of the run.
    pub trace: &'a Trace,
    /// The outcome of the run.
    pub outcome: &'a RunOutcome,
    /// The feeds that were enabled.
    pub feed: FeedChoice,
    /// The findings of the trace.
    pub findings: &'a Findings,
    /// Include everything. Otherwise lists are truncated, which the report indicates.
    pub full: bool,
}

impl<'a> ReportInput<'a> {
    /// Returns the fidelity of the trace: `exact` if each poll was recorded, `sampled` if only sums are known.
    pub fn fidelity(&self) -> &'static str {
        self.trace.fidelity().name()
    }

    /// Returns the name of the feed that records each poll.
    pub(crate) fn exact_feed_name(&self) -> &'static str {
        if self.trace.recording_stats().is_some() { "recording" } else { "probe" }
    }

    /// Returns the error message of a failed run.
    pub fn error(&self) -> Option<&'a str> {
        match self.outcome {
            RunOutcome::Failed(error) => Some(error),
            RunOutcome::Completed(_) | RunOutcome::Cancelled | RunOutcome::Detached => None,
        }
    }

    /// Returns the differences between the two feeds, one sentence per task. With a single feed there are none.
    pub fn disagreements(&self) -> Vec<String> {
        if self.feed != FeedChoice::Both {
            return Vec::new();
        }
        let counted = |counts: &TaskCounts| {
            let TaskCounts { polls, wakes, self_wakes, awaits } = *counts;
            let counted = [(polls, "poll"), (wakes, "wake"), (self_wakes, "self-wake"), (awaits, "await")];
            counted.map(|(count, noun)| units::pluralize(count, noun)).join(", ")
        };
        let exact = self.exact_feed_name();
        let describe = |found: &FeedDisagreement| {
            let name = self.trace.task(found.task).map_or("", |task| &task.meta.name);
            let task_label = format!("task {} {name}", found.task);
            let console = found.console.as_ref().map_or_else(|| "never reported it".to_owned(), counted);
            format!("{}: the {exact} counted {}; the console {console}", task_label.trim_end(), counted(&found.probe))
        };
        let not_listed = match self.trace.evicted().unlisted_disagreements {
            0 => None,
            not_listed => Some(format!("{} more, evicted without details", units::pluralize(not_listed, "task"))),
        };
        self.trace.disagreements().iter().map(describe).chain(not_listed).collect()
    }
}
