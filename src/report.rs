//! WHAT OTHERS READ: a finished run as a document, one small file a format. Every format is written from the same
//! [`Input`], and nothing here keeps state or asks the clock.

mod json;
mod table;
mod text;
mod wakes;

pub use crate::plain::{plain, plain_cow};
pub use json::{AWAITS_MAX, Report, SCHEMA, WAKES_MAX};
pub use table::{Lean, lines as table_lines};
pub use text::write_text;

pub use crate::insight::units::{human_ns, human_number, human_share};

use crate::control::{ClockKind, FeedChoice, Outcome, SourceKind};
use crate::insight::{Thresholds, units};
use crate::trace::{Counts, Disagreement, Trace};
use crate::workload::manifest::ParamValue;

/// What was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub kind: SourceKind,
    pub name: String,
    /// In the order of the manifest, defaults included.
    pub params: Vec<(String, ParamValue)>,
    pub clock: ClockKind,
    pub seed: u64,
}

impl Source {
    /// A program of somebody else's, which has no parameters and no seed.
    pub fn foreign(kind: SourceKind, name: String) -> Self {
        Self { kind, name, params: Vec::new(), clock: ClockKind::Real, seed: 0 }
    }
}

/// All that a report says, before it has a format.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub source: &'a Source,
    pub trace: &'a Trace,
    pub outcome: &'a Outcome,
    pub feed: FeedChoice,
    /// From where on something is worth a finding.
    pub thresholds: &'a Thresholds,
    /// Everything, however long: else lists stop at a limit and say so.
    pub full: bool,
}

impl<'a> Input<'a> {
    /// How well the trace knows what happened: the probe sees each poll, the console wire only counts and last times.
    pub fn fidelity(&self) -> &'static str {
        self.trace.fidelity().name()
    }

    /// Who saw each poll, where somebody did.
    pub(crate) fn exact_witness(&self) -> &'static str {
        if self.trace.recorded().is_some() { "recording" } else { "probe" }
    }

    /// What went wrong, where the run failed.
    pub fn error(&self) -> Option<&'a str> {
        match self.outcome {
            Outcome::Failed(error) => Some(error),
            Outcome::Completed(_) | Outcome::Cancelled | Outcome::Detached => None,
        }
    }

    /// Where the two feeds differ, one sentence a task. Empty where only one feed ran: it has nothing to differ from.
    pub fn disagreements(&self) -> Vec<String> {
        if self.feed != FeedChoice::Both {
            return Vec::new();
        }
        let counted = |counts: &Counts| {
            let Counts { polls, wakes, self_wakes, awaits } = *counts;
            let counted = [(polls, "poll"), (wakes, "wake"), (self_wakes, "self-wake"), (awaits, "await")];
            counted.map(|(count, noun)| units::how_many(count, noun)).join(", ")
        };
        let exact = self.exact_witness();
        let sentence = |found: &Disagreement| {
            let name = self.trace.task(found.task).map_or("", |task| &task.spawned.name);
            let whose = format!("task {} {name}", found.task);
            let console = found.console.as_ref().map_or_else(|| "never told of it".to_owned(), counted);
            format!("{}: the {exact} counted {}; the console {console}", whose.trim_end(), counted(&found.probe))
        };
        let unlisted = match self.trace.forgotten().unlisted {
            0 => None,
            unlisted => Some(format!("{} more, of which nothing else is kept", units::how_many(unlisted, "task"))),
        };
        self.trace.disagreements().iter().map(sentence).chain(unlisted).collect()
    }
}
