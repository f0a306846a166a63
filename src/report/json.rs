//! The JSON report, schema 1: what scripts and tests may rely on. Fields may be added; one that changes or goes needs
//! a new schema number.
//!
//! A report of a virtual run is the same in every run, to the byte, apart from `feeds.console.updates`: nothing here
//! is held in a map of random order, and every list has a stated order.

mod schema;

pub use schema::Report;

use serde_json::Value;

use schema::{
    AwaitEntry, BrokenEntry, ConsoleEntry, FeedsEntry, FindingEntry, ForgottenEntry, GapEntry, LoopEntry, OutputEntry,
    ProbeEntry, RecordingEntry, SiteEntry, SourceEntry, TaskEntry, WakeEntry,
};

use super::{Input, wakes};
use crate::control::{FeedChoice, Outcome};
use crate::insight::{self, Summary};
use crate::plain::is_unsafe;
use crate::trace::{Await, AwaitId, Counts, Fidelity, Lane, Recorded, Site, State, Task, Trace};
use crate::workload::manifest::ParamValue;

pub const SCHEMA: u32 = 1;

/// Awaits that a report lists unless everything is asked for.
pub const AWAITS_MAX: usize = 1_000;

/// Wakes that a report lists unless everything is asked for.
pub const WAKES_MAX: usize = 1_000;

impl<'a> Report<'a> {
    pub fn new(input: &Input<'a>) -> Self {
        let trace = input.trace;
        let summary = Summary::of(trace);
        let counts = trace.counts();
        let limit = |most| if input.full { usize::MAX } else { most };
        let (awaits, awaits_cut) = awaits(trace, limit(AWAITS_MAX));
        let (wakes, wakes_cut) = wakes(trace, limit(WAKES_MAX));
        let findings = insight::findings(trace, input.thresholds);
        Self {
            schema: SCHEMA,
            loopscope: env!("CARGO_PKG_VERSION"),
            source: source(input),
            outcome: input.outcome.name(),
            error: input.error(),
            fidelity: input.fidelity(),
            elapsed_ns: summary.elapsed_ns,
            r#loop: LoopEntry {
                busy_ns: known(trace, trace.loop_lane(), summary.busy_ns),
                parked_ns: (!trace.is_foreign()).then_some(summary.parked_ns),
                polls: counts.polls,
                wakes: counts.wakes,
                parks: counts.parks,
                turns: counts.turns,
                longest_poll_ns: (trace.fidelity() == Fidelity::Exact).then_some(summary.longest_poll_ns),
                many_threads_ns: trace.many_threads(),
            },
            output: output(trace),
            output_dropped: trace.output().dropped(),
            result: match input.outcome {
                Outcome::Completed(value) => Some(value),
                _ => None,
            },
            tasks: trace.tasks().iter().map(|task| task_entry(trace, task)).collect(),
            forgotten: (trace.forgotten().tasks > 0).then(|| forgotten(input)),
            awaits,
            wakes,
            truncated: awaits_cut || wakes_cut,
            findings: findings.listed.into_iter().map(finding_entry).collect(),
            findings_unlisted: findings.unlisted,
            feeds: feeds(input),
            gaps: trace
                .gaps()
                .map(|gap| GapEntry {
                    from_ns: gap.from,
                    to_ns: gap.to,
                    dropped: gap.dropped,
                    unwatched: gap.is_unwatched,
                })
                .collect(),
        }
    }

    /// Writes the document and ends its last line.
    ///
    /// # Errors
    /// Whatever the writer refuses.
    pub fn write(&self, mut out: impl std::io::Write) -> std::io::Result<()> {
        let document = serde_json::to_string_pretty(self)?;
        // Only strings hold such characters, and there an escape says the same.
        for part in document.split_inclusive(|char| char != '\n' && is_unsafe(char)) {
            match part.chars().next_back().filter(|char| *char != '\n' && is_unsafe(*char)) {
                Some(char) => write!(out, "{}\\u{:04x}", &part[..part.len() - char.len_utf8()], u32::from(char))?,
                None => out.write_all(part.as_bytes())?,
            }
        }
        out.write_all(b"\n")?;
        out.flush()
    }

    /// The document as a value, to be asked.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).expect("numbers, strings and string keys are always JSON")
    }
}

fn source<'a>(input: &Input<'a>) -> SourceEntry<'a> {
    let params = input.source.params.iter().map(|(name, value)| (name.clone(), param_json(value))).collect();
    SourceEntry {
        kind: input.source.kind.name(),
        name: &input.source.name,
        params,
        clock: input.source.clock.name(),
        seed: input.source.seed,
    }
}

/// A parameter as a person would give it with `--set`: whole numbers without a fraction, durations as text.
fn param_json(value: &ParamValue) -> Value {
    /// The largest number up to which every whole number has a float of its own: 2^53.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        ParamValue::Number(number) if number.fract() == 0.0 && number.abs() <= WHOLE_MAX => (*number as i64).into(),
        ParamValue::Number(number) => (*number).into(),
        ParamValue::Duration(_) => value.to_string().into(),
        ParamValue::Boolean(yes) => (*yes).into(),
        ParamValue::Text(text) => text.as_str().into(),
    }
}

fn output(trace: &Trace) -> Vec<OutputEntry<'_>> {
    let lines = trace.output().lines().iter();
    lines.map(|line| OutputEntry { at_ns: line.at, task: line.task.map(|id| id.number()), text: &line.text }).collect()
}

/// A sum of polls' times: `None` where polls were only sampled, for a sum of samples is not the sum. Measures are sums.
fn known(trace: &Trace, lane: &Lane, sum_ns: u64) -> Option<u64> {
    (trace.fidelity() == Fidelity::Exact || lane.is_measured()).then_some(sum_ns)
}

fn task_entry<'a>(trace: &'a Trace, task: &'a Task) -> TaskEntry<'a> {
    let totals = task.lane.totals_at(trace.now());
    let state = trace.state(task.id).unwrap_or(State::Scheduled);
    TaskEntry {
        id: task.id.number(),
        name: task.name(),
        kind: task.spawned.kind.name(),
        parent: task.spawned.parent.map(|id| id.number()),
        state: state.name(),
        location: task.spawned.location.as_ref().map(ToString::to_string),
        spawned_ns: task.lane.spawned(),
        ended_ns: task.lane.ended(),
        polls: task.counts.polls,
        wakes: task.counts.wakes,
        self_wakes: task.counts.self_wakes,
        busy_ns: known(trace, &task.lane, totals.busy_ns),
        scheduled_ns: known(trace, &task.lane, totals.scheduled_ns),
        waiting_ns: known(trace, &task.lane, totals.waiting_total_ns()),
        waiting_on: match state {
            State::Waiting(Some(id), _) => site_of(trace, id).map(site_entry),
            _ => None,
        },
    }
}

/// The place of a kept await.
pub(super) fn site_of(trace: &Trace, id: AwaitId) -> Option<&Site> {
    trace.site(trace.awaits().get(id)?.site)
}

fn site_entry(site: &Site) -> SiteEntry<'_> {
    SiteEntry {
        kind: site.kind.name(),
        source: &site.source,
        location: site.location.as_ref().map(ToString::to_string),
    }
}

/// The first `limit` awaits, and whether there are more.
fn awaits(trace: &Trace, limit: usize) -> (Vec<AwaitEntry<'_>>, bool) {
    let mut ordered: Vec<_> = trace.awaits().iter().collect();
    ordered.sort_by_key(|(id, found)| (found.start, *id));
    let cut = ordered.len() > limit;
    let entry = |found: &Await| {
        Some(AwaitEntry {
            task: found.task.number(),
            site: site_entry(trace.site(found.site)?),
            start_ns: found.start,
            end_ns: found.end(),
            polls: found.polls,
            outcome: found.outcome().name(),
        })
    };
    (ordered.into_iter().take(limit).filter_map(|(_, found)| entry(&found)).collect(), cut)
}

/// The first `limit` wakes, and whether there are more.
fn wakes(trace: &Trace, limit: usize) -> (Vec<WakeEntry>, bool) {
    let mut ordered = wakes::by_time(trace);
    let entry = |wake: wakes::Wake| WakeEntry {
        at_ns: wake.at,
        task: wake.task.number(),
        cause: wake.cause.name(),
        by: wake.cause.by(wake.task).map(|id| id.number()),
    };
    let first = ordered.by_ref().take(limit).map(entry).collect();
    (first, ordered.next().is_some())
}

fn finding_entry(finding: insight::Finding) -> FindingEntry {
    FindingEntry {
        name: finding.name,
        severity: finding.severity.name(),
        task: finding.task.map(|id| id.number()),
        at_ns: finding.at_ns,
        message: finding.message,
        evidence: finding.evidence,
    }
}

fn forgotten(input: &Input) -> ForgottenEntry {
    let forgotten = input.trace.forgotten();
    let Counts { polls, wakes, self_wakes, awaits } = forgotten.counts;
    let [done, cancelled, failed] = forgotten.endings;
    let exact = |sum_ns: u64| (input.trace.fidelity() == Fidelity::Exact).then_some(sum_ns);
    ForgottenEntry {
        tasks: forgotten.tasks,
        done,
        cancelled,
        failed,
        until_ns: forgotten.until,
        polls,
        wakes,
        self_wakes,
        awaits,
        busy_ns: exact(forgotten.busy_ns),
        scheduled_ns: exact(forgotten.scheduled_ns),
        waiting_ns: exact(forgotten.waiting_ns),
        uncompared: if input.feed == FeedChoice::Both { forgotten.uncompared } else { 0 },
    }
}

fn feeds<'a>(input: &Input<'a>) -> FeedsEntry<'a> {
    let (updates, console_dropped) = input.trace.console();
    let (events, mut probe_dropped) = input.trace.probe();
    if input.trace.recorded().is_some() {
        // There is no probe: what was lost, the recording lost.
        probe_dropped = 0;
    }
    let disagreements = input.disagreements();
    FeedsEntry {
        console: ConsoleEntry {
            tasks: input.trace.tasks().iter().filter(|task| task.console().is_some()).count()
                + input.trace.forgotten().told as usize,
            updates,
            dropped: console_dropped,
        },
        probe: ProbeEntry { events, dropped: probe_dropped },
        recording: input.trace.recorded().map(recording),
        agree: disagreements.is_empty(),
        disagreements,
    }
}

fn recording(recorded: &Recorded) -> RecordingEntry<'_> {
    RecordingEntry {
        lines: recorded.lines,
        events: recorded.events,
        unknown: recorded.unknown,
        skipped: recorded.skipped,
        lost: recorded.lost,
        clamped: recorded.clamped,
        unspawned: recorded.unspawned,
        untold_tasks: recorded.untold_tasks,
        cut: recorded.is_cut,
        unfinished: recorded.is_unfinished,
        broken: recorded.broken.iter().map(|broken| BrokenEntry { line: broken.line, why: &broken.why }).collect(),
    }
}
