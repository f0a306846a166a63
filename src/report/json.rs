//! The JSON report, schema 1, a stable interface for scripts.
//!
//! Fields may be added; changing or removing one needs a new schema number. Reports of the same virtual run are
//! identical to the byte, except for `feeds.console.updates`: every list has a defined order, and no map is unordered.

mod queues;
mod resources;
mod schema;

pub use schema::JsonReport;

use serde_json::Value;

use schema::{
    AwaitJson, ConsoleJson, EvictedTasksJson, FeedsJson, FidelityJson, FindingJson, GapJson, LoopJson, OutputLineJson,
    ProbeJson, RecordingJson, SiteJson, SkippedLineJson, SourceJson, TaskJson, UnknownJson, WakeJson, WorkerJson,
};

use resources::resources_json;

use super::{ReportInput, wakes};
use crate::control::{FeedChoice, RunOutcome};
use crate::insight::{Finding, OutsideWake, QueueSummary, RunSummary, WorkerSummary};
use crate::sanitize::is_unsafe_char;
use crate::trace::{
    Await, AwaitId, AwaitOutcome, AwaitSite, Fidelity, Lane, RecordingStats, ReportedFacts, Task, TaskCounts,
    TaskOutcome, TaskState, Trace, UnknownCounts,
};
use crate::workload::manifest::ParamValue;

/// Version of the schema.
pub const SCHEMA_VERSION: u32 = 1;

/// Maximum number of awaits in a report that is not full.
pub const AWAITS_MAX: usize = 1_000;

/// Maximum number of wakes in a report that is not full.
pub const WAKES_MAX: usize = 1_000;

/// Maximum number of resources, and of owners and waiters of each, in a report that is not full.
pub const RESOURCES_MAX: usize = 1_000;

impl<'a> JsonReport<'a> {
    /// Builds the report.
    pub fn new(input: &ReportInput<'a>) -> Self {
        let trace = input.trace;
        let summary = RunSummary::of(trace);
        let counts = trace.counts();
        let limit = |most| if input.full { usize::MAX } else { most };
        let (awaits, awaits_cut) = awaits_json(trace, limit(AWAITS_MAX));
        let (wakes, wakes_cut) = wakes_json(trace, limit(WAKES_MAX));
        let (resources, resources_cut) = resources_json(trace, limit(RESOURCES_MAX));
        Self {
            schema: SCHEMA_VERSION,
            loopscope: env!("CARGO_PKG_VERSION"),
            source: source_json(input),
            outcome: input.outcome.name(),
            error: input.error(),
            fidelity: input.fidelity(),
            fidelity_by: fidelity_json(input),
            unknown: unknown_json(trace),
            elapsed_ns: summary.elapsed_ns,
            r#loop: LoopJson {
                busy_ns: sum_if_exact(trace, trace.loop_lane(), summary.busy_ns),
                parked_ns: (!trace.is_external() || !trace.workers().is_empty()).then_some(summary.parked_ns),
                polls: summary.polls,
                wakes: counts.wakes,
                parks: counts.parks,
                turns: counts.turns,
                longest_poll_ns: (trace.fidelity() == Fidelity::Exact).then_some(summary.longest_poll_ns),
                many_threads_ns: trace.multi_threaded_since(),
                global_queue: QueueSummary::of(trace, None).map(Into::into),
            },
            workers: WorkerSummary::all(trace).into_iter().map(|worker| worker_json(trace, worker)).collect(),
            output: output_json(trace),
            output_dropped: trace.output().dropped(),
            result: match input.outcome {
                RunOutcome::Completed(value) => Some(value),
                _ => None,
            },
            tasks: trace.tasks().iter().map(|task| task_json(trace, task)).collect(),
            evicted_tasks: (trace.evicted().count > 0).then(|| evicted_tasks_json(input)),
            awaits,
            wakes,
            resources,
            truncated: awaits_cut || wakes_cut || resources_cut,
            findings: input.findings.listed.iter().map(finding_json).collect(),
            findings_unlisted: input.findings.unlisted,
            feeds: feeds_json(input),
            gaps: trace
                .gaps()
                .map(|gap| GapJson {
                    from_ns: gap.from,
                    to_ns: gap.to,
                    dropped: gap.dropped,
                    unwatched: gap.is_disconnected,
                })
                .collect(),
        }
    }

    /// Writes the document, followed by a newline.
    ///
    /// Control characters in strings are written as escapes, so that the document is safe to show in a terminal.
    ///
    /// # Errors
    /// Returns errors of the writer.
    pub fn write(&self, mut out: impl std::io::Write) -> std::io::Result<()> {
        let document = serde_json::to_string_pretty(self)?;
        // Such characters occur only inside strings, where an escape is equivalent.
        for part in document.split_inclusive(|char| char != '\n' && is_unsafe_char(char)) {
            match part.chars().next_back().filter(|char| *char != '\n' && is_unsafe_char(*char)) {
                Some(char) => write!(out, "{}\\u{:04x}", &part[..part.len() - char.len_utf8()], u32::from(char))?,
                None => out.write_all(part.as_bytes())?,
            }
        }
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Returns the document as a JSON value.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).expect("the report has only JSON types and string keys")
    }
}

fn worker_json(trace: &Trace, worker: WorkerSummary) -> WorkerJson {
    let WorkerSummary { index, name, busy_ns, parked_ns, polls, queue } = worker;
    let (busy_ns, queue) = (sum_if_exact(trace, trace.loop_lane(), busy_ns), queue.map(Into::into));
    WorkerJson { id: index, name, busy_ns, parked_ns, polls, queue }
}

fn source_json<'a>(input: &ReportInput<'a>) -> SourceJson<'a> {
    let params = input.source.params.iter().map(|(name, value)| (name.clone(), param_json(value))).collect();
    SourceJson {
        kind: input.source.kind.name(),
        name: &input.source.name,
        params,
        clock: input.source.clock.name(),
        seed: input.source.seed,
    }
}

/// Converts a parameter to the notation of `--set`: integers without a fraction, durations as text.
fn param_json(value: &ParamValue) -> Value {
    /// 2^53: up to this number, `f64` represents every integer exactly.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        ParamValue::Number(number) if number.fract() == 0.0 && number.abs() <= WHOLE_MAX => (*number as i64).into(),
        ParamValue::Number(number) => (*number).into(),
        ParamValue::Duration(_) => value.to_string().into(),
        ParamValue::Boolean(yes) => (*yes).into(),
        ParamValue::Text(text) => text.as_str().into(),
    }
}

fn fidelity_json(input: &ReportInput) -> FidelityJson {
    let (trace, unknown) = (input.trace, input.trace.unknown_counts());
    let name = |is_exact: bool| if is_exact { Fidelity::Exact.name() } else { Fidelity::Sampled.name() };
    let are_polls_exact = trace.fidelity() == Fidelity::Exact
        && input.disagreements().is_empty()
        && trace.gaps().all(|gap| gap.dropped == 0);
    // A recording alone names no awaits.
    let has_console = !trace.is_external() || trace.console_feed_counts().0 > 0;
    let facts = trace.reported_facts().unwrap_or(ReportedFacts { polls: true, wakes: true, awaits: has_console });
    let (_, console_dropped) = trace.console_feed_counts();
    let are_awaits_exact = facts.awaits && unknown.awaits == 0 && (!trace.is_external() || console_dropped == 0);
    FidelityJson {
        polls: name(are_polls_exact && facts.polls),
        wakes: name(are_polls_exact && facts.wakes),
        awaits: name(are_polls_exact && are_awaits_exact),
        wakers: name(are_polls_exact && facts.wakes && unknown.wakers == 0),
    }
}

fn unknown_json(trace: &Trace) -> UnknownJson {
    let tasks = trace.tasks().iter().filter(|task| task.outcome == Some(TaskOutcome::Unknown)).count();
    let awaits = trace.awaits().iter().filter(|(_, found)| found.outcome() == AwaitOutcome::Unknown).count();
    let UnknownCounts { awaits: unattributed, wakers } = trace.unknown_counts();
    UnknownJson { awaits: unattributed, outcomes: (tasks + awaits) as u64, wakers }
}

fn output_json(trace: &Trace) -> Vec<OutputLineJson<'_>> {
    let lines = trace.output().lines().iter().chain(trace.output().pending());
    lines
        .map(|line| OutputLineJson { at_ns: line.at, task: line.task.map(|id| id.number()), text: &line.text })
        .collect()
}

/// Returns `sum_ns`, or `None` if the polls of the lane were only sampled and the console did not measure their sum.
pub(super) fn sum_if_exact(trace: &Trace, lane: &Lane, sum_ns: u64) -> Option<u64> {
    (trace.fidelity() == Fidelity::Exact || lane.is_sampled()).then_some(sum_ns)
}

fn task_json<'a>(trace: &'a Trace, task: &'a Task) -> TaskJson<'a> {
    let (totals, held_ns) = task.totals_at(trace.now());
    let state = trace.state(task.id).unwrap_or(TaskState::Scheduled);
    TaskJson {
        id: task.id.number(),
        name: task.given_name(),
        kind: task.meta.kind.name(),
        role: task.meta.kind.role(),
        parent: task.meta.parent.map(|id| id.number()),
        state: state.name(),
        location: task.meta.location.as_ref().map(ToString::to_string),
        spawned_ns: task.lane.spawned_at(),
        ended_ns: task.lane.ended_at(),
        polls: task.counts.polls,
        wakes: task.counts.wakes,
        self_wakes: task.counts.self_wakes,
        busy_ns: sum_if_exact(trace, &task.lane, totals.busy_ns),
        scheduled_ns: sum_if_exact(trace, &task.lane, totals.scheduled_ns),
        waiting_ns: sum_if_exact(trace, &task.lane, totals.waiting_total_ns()),
        held_ns,
        waiting_on: match state {
            TaskState::Waiting(Some(id), _) => open_await_json(trace, id),
            _ => None,
        },
        open_awaits: open_awaits_json(trace, task, state),
        await_chain: trace.await_chain(task.id).iter().map(ToString::to_string).collect(),
    }
}

/// Returns the sites of the awaits on which a task waits, the one that its state names first.
fn open_awaits_json<'a>(trace: &'a Trace, task: &Task, state: TaskState) -> Vec<SiteJson<'a>> {
    let TaskState::Waiting(first, _) = state else { return Vec::new() };
    let others = task.open_awaits().rev().filter(|id| Some(*id) != first);
    first.into_iter().chain(others).filter_map(|id| open_await_json(trace, id)).collect()
}

/// Returns an await's site and resource, or `None` if the await was evicted.
fn open_await_json(trace: &Trace, id: AwaitId) -> Option<SiteJson<'_>> {
    site_json(trace, &trace.awaits().get(id)?)
}

/// Returns the site of an await, or `None` if the await was evicted.
pub(super) fn site_of(trace: &Trace, id: AwaitId) -> Option<&AwaitSite> {
    trace.site(trace.awaits().get(id)?.site)
}

fn site_json<'a>(trace: &'a Trace, found: &Await) -> Option<SiteJson<'a>> {
    let site = trace.site(found.site)?;
    Some(SiteJson {
        kind: site.kind.name(),
        source: &site.source,
        location: site.location.as_ref().map(ToString::to_string),
        resource: found.resource().map(|id| id.number()),
    })
}

/// Returns the first `limit` awaits, and whether there are more.
fn awaits_json(trace: &Trace, limit: usize) -> (Vec<AwaitJson<'_>>, bool) {
    let mut ordered: Vec<_> = trace.awaits().iter().collect();
    ordered.sort_by_key(|(id, found)| (found.start, *id));
    let cut = ordered.len() > limit;
    let entry = |found: &Await| {
        Some(AwaitJson {
            task: found.task.number(),
            site: site_json(trace, found)?,
            start_ns: found.start,
            end_ns: found.end(),
            polls: found.polls,
            outcome: found.outcome().name(),
        })
    };
    (ordered.into_iter().take(limit).filter_map(|(_, found)| entry(&found)).collect(), cut)
}

/// Returns the first `limit` wakes, and whether there are more.
fn wakes_json(trace: &Trace, limit: usize) -> (Vec<WakeJson>, bool) {
    let mut ordered = wakes::merge_by_time(trace);
    let entry = |wake: wakes::TimedWake| WakeJson {
        at_ns: wake.at,
        task: wake.task.number(),
        cause: wake.outside.map_or_else(|| wake.cause.name(), OutsideWake::name),
        by: wake.cause.waking_task(wake.task).map(|id| id.number()),
    };
    let first = ordered.by_ref().take(limit).map(entry).collect();
    (first, ordered.next().is_some())
}

fn finding_json(finding: &Finding) -> FindingJson<'_> {
    FindingJson {
        name: finding.name,
        severity: finding.severity.name(),
        task: finding.task.map(|id| id.number()),
        location: finding.location.as_ref().map(ToString::to_string),
        count: finding.count,
        certain: finding.is_certain,
        at_ns: finding.at_ns,
        message: &finding.message,
        evidence: &finding.evidence,
    }
}

fn evicted_tasks_json(input: &ReportInput) -> EvictedTasksJson {
    let evicted = input.trace.evicted();
    let TaskCounts { polls, wakes, self_wakes, awaits } = evicted.counts;
    let [done, cancelled, failed] = evicted.outcomes;
    let exact = |sum_ns: u64| (input.trace.fidelity() == Fidelity::Exact).then_some(sum_ns);
    EvictedTasksJson {
        tasks: evicted.count,
        done,
        cancelled,
        failed,
        until_ns: evicted.ended_until,
        polls,
        wakes,
        self_wakes,
        awaits,
        busy_ns: exact(evicted.busy_ns),
        scheduled_ns: exact(evicted.scheduled_ns),
        waiting_ns: exact(evicted.waiting_ns),
        uncompared: if input.feed == FeedChoice::Both { evicted.not_compared } else { 0 },
    }
}

fn feeds_json<'a>(input: &ReportInput<'a>) -> FeedsJson<'a> {
    let (updates, console_dropped) = input.trace.console_feed_counts();
    let (events, mut probe_dropped) = input.trace.probe_feed_counts();
    if input.trace.recording_stats().is_some() {
        // A recorded app has no probe. Its lost lines are counted in `feeds.recording`.
        probe_dropped = 0;
    }
    let disagreements = input.disagreements();
    FeedsJson {
        console: ConsoleJson {
            tasks: input.trace.tasks().iter().filter(|task| task.console_counts().is_some()).count()
                + input.trace.evicted().console_reported as usize,
            updates,
            dropped: console_dropped,
        },
        probe: ProbeJson { events, dropped: probe_dropped },
        recording: input.trace.recording_stats().map(recording_json),
        agree: disagreements.is_empty(),
        disagreements,
    }
}

fn recording_json(recorded: &RecordingStats) -> RecordingJson<'_> {
    RecordingJson {
        lines: recorded.lines,
        events: recorded.events,
        unknown: recorded.unknown_lines,
        skipped: recorded.skipped_lines,
        lost: recorded.lost_lines,
        clamped: recorded.clamped_lines,
        unspawned: recorded.tasks_without_spawn,
        untold_tasks: recorded.omitted_tasks,
        cut: recorded.is_truncated,
        unfinished: recorded.is_unfinished,
        broken: recorded
            .malformed
            .iter()
            .map(|skipped| SkippedLineJson { line: skipped.line, reason: &skipped.reason })
            .collect(),
    }
}
