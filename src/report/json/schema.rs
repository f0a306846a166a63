//! The schema of the JSON report: all fields, in the order in which they are written.
//!
//! Scripts depend on names, types and values of these fields.

use serde::Serialize;
use serde_json::{Map, Value};

use super::queues::QueueJson;
use super::resources::ResourceJson;

/// The JSON report of one run.
#[derive(Debug, Serialize)]
pub struct JsonReport<'a> {
    /// Version of the schema.
    pub(super) schema: u32,
    /// Version of loopscope.
    pub(super) loopscope: &'static str,
    /// The source of the run.
    pub(super) source: SourceJson<'a>,
    /// `completed`, `failed`, `cancelled` or `detached`.
    pub(super) outcome: &'static str,
    /// The error message of a failed run.
    pub(super) error: Option<&'a str>,
    /// `exact` or `sampled`.
    pub(super) fidelity: &'static str,
    /// `exact` or `sampled` for each kind of fact.
    pub(super) fidelity_by: FidelityJson,
    /// Numbers of observations that could not be attributed.
    pub(super) unknown: UnknownJson,
    /// Length of the run in loop time.
    pub(super) elapsed_ns: u64,
    /// Totals of the loop: the sums over its workers where they are known.
    pub(super) r#loop: LoopJson,
    /// Threads of the runtime that poll tasks, in order. Our own loop is one; those of an external app may be unknown.
    pub(super) workers: Vec<WorkerJson>,
    /// Printed lines in order of time.
    pub(super) output: Vec<OutputLineJson<'a>>,
    /// Number of evicted output lines. Omitted if 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) output_dropped: u64,
    /// The value that a completed workload returned.
    pub(super) result: Option<&'a Value>,
    /// Tasks in order of spawning.
    pub(super) tasks: Vec<TaskJson<'a>>,
    /// Totals of evicted tasks. Omitted if there are none.
    #[serde(rename = "forgotten", skip_serializing_if = "Option::is_none")]
    pub(super) evicted_tasks: Option<EvictedTasksJson>,
    /// Awaits by start time, then in order of creation.
    pub(super) awaits: Vec<AwaitJson<'a>>,
    /// Wakes by time, then by task.
    pub(super) wakes: Vec<WakeJson>,
    /// Resources at the end of the run: existing ones in order of creation, then dropped ones, latest first.
    pub(super) resources: Vec<ResourceJson<'a>>,
    /// `true` if `awaits`, `wakes` or `resources` is truncated. Omitted otherwise.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) truncated: bool,
    /// Findings by time, then by task and lint.
    pub(super) findings: Vec<FindingJson<'a>>,
    /// Number of findings beyond the first 100 of each lint. Omitted if 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) findings_unlisted: u64,
    /// The feeds of the trace.
    pub(super) feeds: FeedsJson<'a>,
    /// Intervals without data.
    pub(super) gaps: Vec<GapJson>,
}

/// Fidelity by kind of fact: `exact` if every one was recorded and nothing contradicts it, otherwise `sampled`.
#[derive(Debug, Serialize)]
pub(super) struct FidelityJson {
    /// Polls of tasks.
    pub(super) polls: &'static str,
    /// Wakes of tasks.
    pub(super) wakes: &'static str,
    /// Awaits and the tasks that make them.
    pub(super) awaits: &'static str,
    /// Sources of wakes.
    pub(super) wakers: &'static str,
}

/// Numbers of observations that could not be attributed.
#[derive(Debug, Serialize)]
pub(super) struct UnknownJson {
    /// Awaits whose task is not known. They are not listed.
    pub(super) awaits: u64,
    /// Tasks and awaits that ended, and it is not known how.
    pub(super) outcomes: u64,
    /// Wakes whose source is not known.
    pub(super) wakers: u64,
}

/// The source of the run.
#[derive(Debug, Serialize)]
pub(super) struct SourceJson<'a> {
    /// Kind of the source, such as `workload` or `attach`.
    pub(super) kind: &'static str,
    /// Name of the workload, or the address, command or file.
    pub(super) name: &'a str,
    /// Parameters in the order of the manifest.
    pub(super) params: Map<String, Value>,
    /// `virtual` or `real`.
    pub(super) clock: &'static str,
    /// Random seed.
    pub(super) seed: u64,
}

/// Totals of the loop.
#[derive(Debug, Serialize)]
pub(super) struct LoopJson {
    /// Time in polls. `null` if polls were only sampled.
    pub(super) busy_ns: Option<u64>,
    /// Time parked. `null` for external apps whose workers are unknown.
    pub(super) parked_ns: Option<u64>,
    /// Number of polls.
    pub(super) polls: u64,
    /// Number of wakes.
    pub(super) wakes: u64,
    /// Number of parks.
    pub(super) parks: u64,
    /// Number of turns: active periods between parks.
    pub(super) turns: u64,
    /// Length of the longest poll. `null` if polls were only sampled.
    pub(super) longest_poll_ns: Option<u64>,
    /// Time since when several threads poll, so that some wake sources are unknown. Omitted if no such time is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) many_threads_ns: Option<u64>,
    /// The global queue of the runtime. Omitted if it was not sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) global_queue: Option<QueueJson>,
}

/// A worker: a thread of the runtime that polls tasks.
#[derive(Debug, Serialize)]
pub(super) struct WorkerJson {
    /// Id of the worker, from 0.
    pub(super) id: usize,
    /// Name of its thread.
    pub(super) name: String,
    /// Time in polls. `null` if polls were only sampled.
    pub(super) busy_ns: Option<u64>,
    /// Time parked.
    pub(super) parked_ns: u64,
    /// Number of polls.
    pub(super) polls: u64,
    /// Its local queue. Omitted if it was not sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<QueueJson>,
}

/// A printed line.
#[derive(Debug, Serialize)]
pub(super) struct OutputLineJson<'a> {
    /// Time of the line.
    pub(super) at_ns: u64,
    /// The task that printed it, if known.
    pub(super) task: Option<u32>,
    /// The line.
    pub(super) text: &'a str,
}

/// Totals of the evicted tasks.
#[derive(Debug, Serialize)]
pub(super) struct EvictedTasksJson {
    /// Number of evicted tasks.
    pub(super) tasks: u64,
    /// Number of these that completed.
    pub(super) done: u32,
    /// Number of these that were cancelled.
    pub(super) cancelled: u32,
    /// Number of these that failed.
    pub(super) failed: u32,
    /// Latest end time of these tasks.
    pub(super) until_ns: u64,
    /// Number of their polls.
    pub(super) polls: u64,
    /// Number of their wakes.
    pub(super) wakes: u64,
    /// Number of their self-wakes.
    pub(super) self_wakes: u64,
    /// Number of their awaits.
    pub(super) awaits: u64,
    /// Total time running. `null` if polls were only sampled.
    pub(super) busy_ns: Option<u64>,
    /// Total time scheduled. `null` if polls were only sampled.
    pub(super) scheduled_ns: Option<u64>,
    /// Total time waiting. `null` if polls were only sampled.
    pub(super) waiting_ns: Option<u64>,
    /// Tasks that were evicted before the counts of both feeds were complete.
    pub(super) uncompared: u64,
}

/// A task.
#[derive(Debug, Serialize)]
pub(super) struct TaskJson<'a> {
    /// Task id, starting at 1.
    pub(super) id: u32,
    /// Name, or `task` and the id.
    pub(super) name: std::borrow::Cow<'a, str>,
    /// Kind, such as `task` or `blocking`.
    pub(super) kind: &'static str,
    /// `task`, or the role of what is not a task of the program: `worker`, `block_on` or `blocking`.
    pub(super) role: &'static str,
    /// Id of the task that spawned it, if known.
    pub(super) parent: Option<u32>,
    /// State at the end of the run.
    pub(super) state: &'static str,
    /// Spawn location.
    pub(super) location: Option<String>,
    /// Spawn time.
    pub(super) spawned_ns: u64,
    /// End time. `null` if it has not ended.
    pub(super) ended_ns: Option<u64>,
    /// Number of polls.
    pub(super) polls: u64,
    /// Number of wakes.
    pub(super) wakes: u64,
    /// Number of wakes by the task itself.
    pub(super) self_wakes: u64,
    /// Time running. `null` if unknown.
    pub(super) busy_ns: Option<u64>,
    /// Time scheduled. `null` if unknown.
    pub(super) scheduled_ns: Option<u64>,
    /// Time waiting. `null` if unknown.
    pub(super) waiting_ns: Option<u64>,
    /// Time held by the user. Omitted if 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) held_ns: u64,
    /// The await site at which the task waits at the end.
    pub(super) waiting_on: Option<SiteJson<'a>>,
    /// All await sites at which the task waits at the end, `waiting_on` first.
    pub(super) open_awaits: Vec<SiteJson<'a>>,
    /// The functions that await each other in the current or last wait, from the outermost one.
    pub(super) await_chain: Vec<String>,
}

/// What is awaited, and where.
#[derive(Debug, Serialize)]
pub(super) struct SiteJson<'a> {
    /// Kind of await, such as `timer` or `sync`.
    pub(super) kind: &'static str,
    /// What is awaited, such as `Mutex::lock`.
    pub(super) source: &'a str,
    /// Location of the await.
    pub(super) location: Option<String>,
    /// Id of the awaited resource. Omitted if there is none, or if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource: Option<u32>,
}

/// An await.
#[derive(Debug, Serialize)]
pub(super) struct AwaitJson<'a> {
    /// The awaiting task.
    pub(super) task: u32,
    /// The await site.
    #[serde(flatten)]
    pub(super) site: SiteJson<'a>,
    /// Start time.
    pub(super) start_ns: u64,
    /// End time. `null` if it has not ended.
    pub(super) end_ns: Option<u64>,
    /// Number of polls.
    pub(super) polls: u32,
    /// Outcome of the await.
    pub(super) outcome: &'static str,
}

/// A wake of a task.
#[derive(Debug, Serialize)]
pub(super) struct WakeJson {
    /// Time of the wake.
    pub(super) at_ns: u64,
    /// The woken task.
    pub(super) task: u32,
    /// Wake source.
    pub(super) cause: &'static str,
    /// The waking task, if the source is a task.
    pub(super) by: Option<u32>,
}

/// A finding of a lint.
#[derive(Debug, Serialize)]
pub(super) struct FindingJson<'a> {
    /// Name of the lint.
    pub(super) name: &'static str,
    /// Severity.
    pub(super) severity: &'static str,
    /// The affected task, if any; of several, the one with the most serious occurrence.
    pub(super) task: Option<u32>,
    /// Where to look: the location of the call or await, or else of the task's spawn.
    pub(super) location: Option<String>,
    /// Number of occurrences with this cause.
    pub(super) count: u64,
    /// Whether the trace proves the finding. `false` if a part was inferred, or if events are missing.
    pub(super) certain: bool,
    /// Time of the finding.
    pub(super) at_ns: u64,
    /// Description.
    pub(super) message: &'a str,
    /// Evidence on the timeline.
    pub(super) evidence: &'a str,
}

/// The feeds of the trace and whether their counts agree.
#[derive(Debug, Serialize)]
pub(super) struct FeedsJson<'a> {
    /// The console feed.
    pub(super) console: ConsoleJson,
    /// The probe feed.
    pub(super) probe: ProbeJson,
    /// Omitted unless the events come from a recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recording: Option<RecordingJson<'a>>,
    /// Whether both feeds counted the same; `true` with a single feed.
    pub(super) agree: bool,
    /// One sentence per task with different counts.
    pub(super) disagreements: Vec<String>,
}

/// The console feed.
#[derive(Debug, Serialize)]
pub(super) struct ConsoleJson {
    /// Number of tasks reported.
    pub(super) tasks: usize,
    /// Number of updates received.
    pub(super) updates: u64,
    /// Number of events dropped.
    pub(super) dropped: u64,
}

/// The probe feed.
#[derive(Debug, Serialize)]
pub(super) struct ProbeJson {
    /// Number of events received.
    pub(super) events: u64,
    /// Number of events dropped.
    pub(super) dropped: u64,
}

/// A console-subscriber recording: numbers of lines by result.
#[derive(Debug, Serialize)]
pub(super) struct RecordingJson<'a> {
    /// Number of complete lines, including the header and lines that were not parsed.
    pub(super) lines: u64,
    /// Number of lines parsed to events.
    pub(super) events: u64,
    /// Number of lines of unknown kind.
    pub(super) unknown: u64,
    /// Number of malformed lines.
    pub(super) skipped: u64,
    /// Number of lines dropped because they were recorded faster than they could be read.
    pub(super) lost: u64,
    /// Number of lines with a time before that of an earlier line.
    pub(super) clamped: u64,
    /// Number of tasks without a recorded spawn.
    pub(super) unspawned: u64,
    /// Omitted if 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) untold_tasks: u64,
    /// Whether the last line is truncated.
    pub(super) cut: bool,
    /// Whether the last events may be missing.
    pub(super) unfinished: bool,
    /// The first skipped lines.
    pub(super) broken: Vec<SkippedLineJson<'a>>,
}

/// A skipped line of the recording.
#[derive(Debug, Serialize)]
pub(super) struct SkippedLineJson<'a> {
    /// Line number, starting at 1.
    pub(super) line: u64,
    /// Why the line was skipped.
    #[serde(rename = "why")]
    pub(super) reason: &'a str,
}

/// An interval without data.
#[derive(Debug, Serialize)]
pub(super) struct GapJson {
    /// Start time.
    pub(super) from_ns: u64,
    /// End time.
    pub(super) to_ns: u64,
    /// Number of dropped events.
    pub(super) dropped: u64,
    /// `true` if no data arrived: there was no connection, or the app was stopped. Omitted otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) unwatched: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(yes: &bool) -> bool {
    !yes
}
