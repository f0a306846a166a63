//! The document's fields, in the order in which they are written. This file is the schema: what stands here scripts rely
//! on.

use serde::Serialize;
use serde_json::{Map, Value};

/// One run, ready to be written.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub(super) schema: u32,
    pub(super) loopscope: &'static str,
    pub(super) source: SourceEntry<'a>,
    pub(super) outcome: &'static str,
    pub(super) error: Option<&'a str>,
    pub(super) fidelity: &'static str,
    pub(super) elapsed_ns: u64,
    pub(super) r#loop: LoopEntry,
    pub(super) output: Vec<OutputEntry<'a>>,
    /// Printed lines that the trace no longer keeps; left out while that is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) output_dropped: u64,
    pub(super) result: Option<&'a Value>,
    /// In order of spawning.
    pub(super) tasks: Vec<TaskEntry<'a>>,
    /// Tasks that the trace no longer has a row of, in sum; left out while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) forgotten: Option<ForgottenEntry>,
    /// By start, then in order of creation.
    pub(super) awaits: Vec<AwaitEntry<'a>>,
    /// By time, then by task.
    pub(super) wakes: Vec<WakeEntry>,
    /// `true` where `awaits` or `wakes` was cut short; left out otherwise.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) truncated: bool,
    pub(super) findings: Vec<FindingEntry>,
    /// Findings past the first hundred of their lint; left out while that is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) findings_unlisted: u64,
    pub(super) feeds: FeedsEntry<'a>,
    pub(super) gaps: Vec<GapEntry>,
}

#[derive(Debug, Serialize)]
pub(super) struct SourceEntry<'a> {
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) params: Map<String, Value>,
    pub(super) clock: &'static str,
    pub(super) seed: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct LoopEntry {
    pub(super) busy_ns: Option<u64>,
    pub(super) parked_ns: Option<u64>,
    pub(super) polls: u64,
    pub(super) wakes: u64,
    pub(super) parks: u64,
    pub(super) turns: u64,
    pub(super) longest_poll_ns: Option<u64>,
    /// Since when more than one thread polls, so that who woke whom is a guess; left out where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) many_threads_ns: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct OutputEntry<'a> {
    pub(super) at_ns: u64,
    pub(super) task: Option<u32>,
    pub(super) text: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct ForgottenEntry {
    pub(super) tasks: u64,
    pub(super) done: u32,
    pub(super) cancelled: u32,
    pub(super) failed: u32,
    /// All of them had ended by then.
    pub(super) until_ns: u64,
    pub(super) polls: u64,
    pub(super) wakes: u64,
    pub(super) self_wakes: u64,
    pub(super) awaits: u64,
    pub(super) busy_ns: Option<u64>,
    pub(super) scheduled_ns: Option<u64>,
    pub(super) waiting_ns: Option<u64>,
    /// Forgotten before both feeds had told all of them.
    pub(super) uncompared: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct TaskEntry<'a> {
    pub(super) id: u32,
    pub(super) name: std::borrow::Cow<'a, str>,
    pub(super) kind: &'static str,
    pub(super) parent: Option<u32>,
    pub(super) state: &'static str,
    pub(super) location: Option<String>,
    pub(super) spawned_ns: u64,
    pub(super) ended_ns: Option<u64>,
    pub(super) polls: u64,
    pub(super) wakes: u64,
    pub(super) self_wakes: u64,
    pub(super) busy_ns: Option<u64>,
    pub(super) scheduled_ns: Option<u64>,
    pub(super) waiting_ns: Option<u64>,
    pub(super) waiting_on: Option<SiteEntry<'a>>,
}

/// A place that awaits.
#[derive(Debug, Serialize)]
pub(super) struct SiteEntry<'a> {
    pub(super) kind: &'static str,
    pub(super) source: &'a str,
    pub(super) location: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct AwaitEntry<'a> {
    pub(super) task: u32,
    #[serde(flatten)]
    pub(super) site: SiteEntry<'a>,
    pub(super) start_ns: u64,
    pub(super) end_ns: Option<u64>,
    pub(super) polls: u32,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct WakeEntry {
    pub(super) at_ns: u64,
    pub(super) task: u32,
    pub(super) cause: &'static str,
    pub(super) by: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(super) struct FindingEntry {
    pub(super) name: &'static str,
    pub(super) severity: &'static str,
    pub(super) task: Option<u32>,
    pub(super) at_ns: u64,
    pub(super) message: String,
    pub(super) evidence: String,
}

#[derive(Debug, Serialize)]
pub(super) struct FeedsEntry<'a> {
    pub(super) console: ConsoleEntry,
    pub(super) probe: ProbeEntry,
    /// Only where facts come from a recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recording: Option<RecordingEntry<'a>>,
    /// The two feeds counted the same. Where only one of them ran nothing contradicts it, and this is `true` too.
    pub(super) agree: bool,
    pub(super) disagreements: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ConsoleEntry {
    pub(super) tasks: usize,
    pub(super) updates: u64,
    pub(super) dropped: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ProbeEntry {
    pub(super) events: u64,
    pub(super) dropped: u64,
}

/// A recording of console-subscriber's: how many lines it had, and what came of them.
#[derive(Debug, Serialize)]
pub(super) struct RecordingEntry<'a> {
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) unknown: u64,
    pub(super) skipped: u64,
    pub(super) lost: u64,
    pub(super) clamped: u64,
    pub(super) unspawned: u64,
    /// Left out while that is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) untold_tasks: u64,
    pub(super) cut: bool,
    pub(super) unfinished: bool,
    /// The first of those that were skipped.
    pub(super) broken: Vec<BrokenEntry<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct BrokenEntry<'a> {
    pub(super) line: u64,
    pub(super) why: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct GapEntry {
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    pub(super) dropped: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) unwatched: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(yes: &bool) -> bool {
    !yes
}
