//! The text report: outcome, time of the loop, output, tasks, findings and feeds.

use std::io::{self, Write};

use super::ReportInput;
use super::json::{site_of, sum_if_exact};
use super::table::{self, ColumnAlign};
use crate::control::{FeedChoice, RunOutcome, SourceKind};
use crate::insight::units::{human_ns, human_number, human_share, pluralize};
use crate::insight::{self, QueueSummary, RunSummary, WorkerSummary};
use crate::sanitize::{sanitize, sanitize_cow, shorten_middle};
use crate::trace::{Fidelity, RecordingStats, Task, TaskId, TaskState, Trace, Worker};

/// Maximum number of output lines in a report that is not full.
const OUTPUT_LINES_SHOWN: usize = 100;

/// Maximum number of tasks in a report that is not full.
const TASKS_SHOWN: usize = 40;

/// Maximum number of workers in a report that is not full.
const WORKERS_SHOWN: usize = 16;

/// Maximum number of disagreements of the feeds in a report that is not full.
const DISAGREEMENTS_SHOWN: usize = 10;

/// Maximum width of a task name in terminal columns.
const NAME_COLUMNS: usize = 32;

/// Writes the report.
///
/// # Errors
/// Returns errors of the writer.
pub fn write_text(input: &ReportInput, mut out: impl Write) -> io::Result<()> {
    write_summary(input, &mut out)?;
    write_output(input, &mut out)?;
    write_tasks(input, &mut out)?;
    write_findings(input, &mut out)?;
    write_feeds(input, &mut out)?;
    write_outcome(input.outcome, &mut out)?;
    out.flush()
}

/// Writes the outcome, the parameters and the totals of the loop.
fn write_summary(input: &ReportInput, out: &mut impl Write) -> io::Result<()> {
    let source = input.source;
    let summary = RunSummary::of(input.trace);
    let counts = input.trace.counts();
    let outcome = input.outcome.name();
    let elapsed = human_ns(summary.elapsed_ns);
    let preposition = if matches!(input.outcome, RunOutcome::Completed(_)) { "in" } else { "after" };
    let clock = source.clock.name();
    let seed = if source.kind == SourceKind::Workload { format!(", seed {}", source.seed) } else { String::new() };
    writeln!(out, "{}: {outcome} {preposition} {elapsed} ({clock} clock{seed})", sanitize(&source.name))?;
    let params: Vec<String> = source.params.iter().map(|(name, value)| sanitize(&format!("{name}={value}"))).collect();
    if !params.is_empty() {
        writeln!(out, "  {}", params.join("  "))?;
    }
    let parked = format!("parked {} ({})", human_ns(summary.parked_ns), human_share(summary.parked_share()));
    if !input.trace.workers().is_empty() {
        return write_workers(&summary, input, out);
    }
    if input.trace.is_external() {
        // Parks and the number of threads of an external app are not reported.
        let (busy, share) = (human_ns(summary.busy_ns), human_share(summary.busy_share()));
        let longest = match input.trace.fidelity() {
            Fidelity::Exact => format!("longest poll {}", human_ns(summary.longest_poll_ns)),
            Fidelity::Sampled => "lengths of single polls unknown: only sums are reported".to_owned(),
        };
        writeln!(out, "\nloop\n  busy {busy} ({share})\n  {longest}")?;
        let counted = [(counts.polls, "poll"), (counts.wakes, "wake")];
        writeln!(out, "  {}", counted.map(|(count, noun)| pluralize(count, noun)).join(", "))?;
        return match input.trace.multi_threaded_since() {
            None => Ok(()),
            Some(at) => {
                writeln!(
                    out,
                    "  multi-threaded from {} or earlier: wake sources are unknown while several tasks run",
                    human_ns(at)
                )
            }
        };
    }
    if input.trace.fidelity() == Fidelity::Sampled {
        writeln!(out, "\nloop\n  {parked}; poll times unknown: polls were only sampled")?;
    } else {
        writeln!(
            out,
            "\nloop\n  busy {} ({}), {parked}, overhead {} ({})\n  longest poll {}",
            human_ns(summary.busy_ns),
            human_share(summary.busy_share()),
            human_ns(summary.overhead_ns),
            human_share(summary.overhead_share()),
            human_ns(summary.longest_poll_ns),
        )?;
    }
    let counted = [(counts.polls, "poll"), (counts.wakes, "wake"), (counts.turns, "turn"), (counts.parks, "park")];
    writeln!(out, "  {}", counted.map(|(count, noun)| pluralize(count, noun)).join(", "))
}

/// Writes the totals of the loop and of each worker.
fn write_workers(summary: &RunSummary, input: &ReportInput, out: &mut impl Write) -> io::Result<()> {
    let workers = WorkerSummary::all(input.trace);
    let share = |ns: u64, of_ns: u64| human_share(ns as f64 / of_ns.max(1) as f64);
    let time = |ns: u64| format!("{} ({})", human_ns(ns), human_share(summary.share(ns)));
    let (busy, parked, overhead) = (time(summary.busy_ns), time(summary.parked_ns), time(summary.overhead_ns));
    let longest = human_ns(summary.longest_poll_ns);
    writeln!(out, "\nloop\n  busy {busy}, parked {parked}, overhead {overhead}\n  longest poll {longest}")?;
    let counts = input.trace.counts();
    let counted = [(summary.polls, "poll"), (counts.wakes, "wake"), (counts.turns, "turn"), (counts.parks, "park")];
    writeln!(out, "  {}", counted.map(|(count, noun)| pluralize(count, noun)).join(", "))?;
    writeln!(out, "\nworkers ({})", human_number(workers.len() as u64))?;
    let mut rows = vec![["id", "name", "busy", "", "parked", "", "polls"].map(str::to_owned).to_vec()];
    let global = QueueSummary::of(input.trace, None);
    let has_queues = global.is_some() || workers.iter().any(|worker| worker.queue.is_some());
    if has_queues {
        rows[0].extend(["queue", "max"].map(str::to_owned));
    }
    let shown = if input.full { workers.len() } else { WORKERS_SHOWN };
    let elapsed = |index: usize| {
        let since = input.trace.workers().get(index).map_or(0, Worker::known_since);
        summary.elapsed_ns.saturating_sub(since)
    };
    rows.extend(workers.iter().take(shown).map(|worker| {
        let mut row = vec![
            worker.index.to_string(),
            shorten_middle(&sanitize(&worker.name), NAME_COLUMNS),
            human_ns(worker.busy_ns),
            share(worker.busy_ns, elapsed(worker.index)),
            human_ns(worker.parked_ns),
            share(worker.parked_ns, elapsed(worker.index)),
            human_number(worker.polls),
        ];
        if has_queues {
            let depths = worker.queue.map(|queue| [queue.depth, queue.max_depth].map(|depth| depth.to_string()));
            row.extend(depths.unwrap_or_else(|| ["?", "?"].map(str::to_owned)));
        }
        row
    }));
    let (left, right) = (ColumnAlign::Left, ColumnAlign::Right);
    write_table(out, &[right, left, right, right, right, right, right, right, right][..rows[0].len()], &rows)?;
    write_more(out, workers.len().saturating_sub(shown), "worker")?;
    if has_queues {
        let text = |QueueSummary { depth, max_depth }| format!("global queue {depth} (max {max_depth}); ");
        let global = global.map_or_else(String::new, text);
        writeln!(out, "  {global}queue depths are samples, not exact")?;
    }
    Ok(())
}

/// Writes the lines that the program printed.
fn write_output(input: &ReportInput, out: &mut impl Write) -> io::Result<()> {
    let printed = input.trace.output();
    let lines = printed.lines();
    if lines.is_empty() && printed.pending().next().is_none() {
        return Ok(());
    }
    writeln!(out, "\noutput")?;
    let shown = if input.full { lines.len() } else { OUTPUT_LINES_SHOWN };
    let row = |line: &crate::trace::OutputLine| {
        let by = line.task.map_or_else(String::new, |id| task_name(input.trace, id));
        vec![human_ns(line.at), by, sanitize(&line.text)]
    };
    let rows: Vec<_> = lines.iter().take(shown).chain(printed.pending()).map(row).collect();
    write_table(out, &[ColumnAlign::Right, ColumnAlign::Left, ColumnAlign::Left], &rows)?;
    write_more(out, lines.len().saturating_sub(shown), "line")?;
    match printed.dropped() {
        0 => Ok(()),
        dropped => writeln!(out, "  {} dropped", pluralize(dropped, "older line")),
    }
}

/// Writes the task table and the totals of evicted tasks.
fn write_tasks(input: &ReportInput, out: &mut impl Write) -> io::Result<()> {
    let trace = input.trace;
    if trace.tasks().is_empty() {
        return writeln!(out, "\nno tasks");
    }
    // Evicted tasks are not ranked: their individual times are unknown.
    let in_memory = trace.tasks().retained();
    let shown_tasks: Vec<TaskId> = if input.full || in_memory <= TASKS_SHOWN {
        writeln!(out, "\ntasks ({})", human_number(in_memory as u64))?;
        trace.tasks().iter().map(|task| task.id).collect()
    } else {
        writeln!(out, "\ntasks (the {TASKS_SHOWN} busiest of {})", human_number(in_memory as u64))?;
        insight::busiest_tasks(trace, TASKS_SHOWN)
    };
    let heading = ["id", "name", "state", "polls", "wakes", "busy", "scheduled", "waiting", "waiting on"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(shown_tasks.iter().filter_map(|id| trace.task(*id)).map(|task| task_row(trace, task)));
    let (left, right) = (ColumnAlign::Left, ColumnAlign::Right);
    write_table(out, &[right, left, left, right, right, right, right, right, left], &rows)?;
    let evicted = trace.evicted();
    write_more(out, in_memory - shown_tasks.len(), "task")?;
    if evicted.count == 0 {
        return Ok(());
    }
    let shown_busy = if trace.fidelity() == Fidelity::Exact { human_ns(evicted.busy_ns) } else { "?".to_owned() };
    writeln!(
        out,
        "  plus {} evicted (memory budget), the last of which ended at {}: {}, {}, busy {shown_busy}",
        pluralize(evicted.count, "task"),
        human_ns(evicted.ended_until),
        pluralize(evicted.counts.polls, "poll"),
        pluralize(evicted.counts.wakes, "wake"),
    )
}

/// Returns the table row of a task.
fn task_row(trace: &Trace, task: &Task) -> Vec<String> {
    let (totals, _) = task.totals_at(trace.now());
    let state = trace.state(task.id).unwrap_or(TaskState::Scheduled);
    let waiting_on = match state {
        TaskState::Waiting(Some(id), _) => site_of(trace, id).map_or_else(String::new, |site| match &site.location {
            Some(location) => sanitize(&format!("{} at {location}", site.source)),
            None => sanitize(&site.source),
        }),
        _ => String::new(),
    };
    let shown_sum = |sum_ns| sum_if_exact(trace, &task.lane, sum_ns).map_or_else(|| "?".to_owned(), human_ns);
    vec![
        task.id.to_string(),
        task_name(trace, task.id),
        state.name().to_owned(),
        human_number(task.counts.polls),
        human_number(task.counts.wakes),
        shown_sum(totals.busy_ns),
        shown_sum(totals.scheduled_ns),
        shown_sum(totals.waiting_total_ns()),
        waiting_on,
    ]
}

/// Writes the findings with their evidence.
fn write_findings(input: &ReportInput, out: &mut impl Write) -> io::Result<()> {
    let findings = input.findings;
    if findings.listed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nfindings")?;
    for finding in &findings.listed {
        let task_label = finding.task.map_or_else(String::new, |id| format!(" {}", task_name(input.trace, id)));
        let (severity, name, at) = (finding.severity.name(), finding.name, human_ns(finding.at_ns));
        let count = if finding.count > 1 { format!(" ×{}", human_number(finding.count)) } else { String::new() };
        let doubt = if finding.is_certain { "" } else { " (not certain)" };
        writeln!(out, "  {severity} {name}{count}{task_label} at {at}{doubt}: {}", sanitize(&finding.message))?;
        let location = finding.location.as_ref().map_or_else(String::new, |location| format!("{location}: "));
        writeln!(out, "    {}", sanitize(&format!("{location}{}", finding.evidence)))?;
    }
    match findings.unlisted {
        0 => Ok(()),
        unlisted => writeln!(
            out,
            "  {} not listed: each lint lists at most {}",
            pluralize(unlisted, "finding"),
            insight::FINDINGS_MAX
        ),
    }
}

/// Writes which feeds were enabled, whether they agree, and what was dropped.
fn write_feeds(input: &ReportInput, out: &mut impl Write) -> io::Result<()> {
    let (_, console_dropped) = input.trace.console_feed_counts();
    let (_, probe_dropped) = input.trace.probe_feed_counts();
    writeln!(out, "\nfeeds")?;
    let disagreements = input.disagreements();
    let exact_feed = input.exact_feed_name();
    let evicted = input.trace.evicted();
    let has_console_tasks =
        evicted.console_reported > 0 || input.trace.tasks().iter().any(|task| task.console_counts().is_some());
    match (input.feed, disagreements.len()) {
        (FeedChoice::Both, 0) if input.trace.is_external() && !has_console_tasks => {
            writeln!(out, "  {exact_feed} only: the console reported no tasks, so counts are not cross-checked")?;
        }
        (FeedChoice::Both, 0) if evicted.not_compared > 0 => {
            writeln!(out, "  {exact_feed} and console agree on every task that was compared")?;
        }
        (FeedChoice::Both, 0) => writeln!(out, "  {exact_feed} and console agree on every task")?,
        (FeedChoice::Both, count) => {
            writeln!(out, "  {exact_feed} and console differ on {}", pluralize(count as u64, "task"))?;
        }
        (FeedChoice::Probe, _) => writeln!(out, "  {exact_feed} only: counts are not cross-checked")?,
        (FeedChoice::Console, _) => {
            writeln!(out, "  console only: times are sampled, and counts are not cross-checked")?;
            writeln!(out, "  findings that need every poll or wake are unknown")?;
        }
    }
    let shown = if input.full { disagreements.len() } else { DISAGREEMENTS_SHOWN };
    for sentence in disagreements.iter().take(shown) {
        writeln!(out, "  {}", sanitize_cow(sentence))?;
    }
    write_more(out, disagreements.len().saturating_sub(shown), "task")?;
    if input.feed == FeedChoice::Both && evicted.not_compared > 0 {
        let tasks = pluralize(evicted.not_compared, "task");
        writeln!(out, "  {tasks} not compared: evicted before the console's counts were complete")?;
    }
    for (feed, dropped) in [(exact_feed, probe_dropped), ("console", console_dropped)] {
        if dropped > 0 {
            writeln!(out, "  the {feed} dropped {}", pluralize(dropped, "event"))?;
        }
    }
    if let Some(stats) = input.trace.recording_stats() {
        write_recording_problems(stats, out)?;
    }
    for gap in input.trace.gaps() {
        let what = if gap.is_disconnected {
            "no updates (not connected, or the app was stopped)".to_owned()
        } else if gap.is_evicted() {
            "evicted (memory budget)".to_owned()
        } else {
            format!("{} dropped", pluralize(gap.dropped, "event"))
        };
        writeln!(out, "  gap from {} to {}: {what}", human_ns(gap.from), human_ns(gap.to))?;
    }
    Ok(())
}

/// Writes which lines of a recording could not be read.
fn write_recording_problems(stats: &RecordingStats, out: &mut impl Write) -> io::Result<()> {
    let counted = [
        (stats.skipped_lines, "skipped: not parseable"),
        (stats.unknown_lines, "of unknown kind"),
        (stats.lost_lines, "dropped: recorded faster than they could be read"),
        (stats.clamped_lines, "with a time before that of an earlier line"),
    ];
    for (count, what) in counted.iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "  {} {what}", pluralize(*count, "line"))?;
    }
    for line in &stats.malformed {
        writeln!(out, "    line {}: {}", line.line, sanitize_cow(&line.reason))?;
    }
    if stats.omitted_tasks > 0 {
        writeln!(out, "  {} not shown: limit reached", pluralize(stats.omitted_tasks, "task"))?;
    }
    if stats.tasks_without_spawn > 0 {
        writeln!(out, "  {} without a recorded spawn", pluralize(stats.tasks_without_spawn, "task"))?;
    }
    if stats.is_truncated {
        writeln!(out, "  the last line of the recording is truncated")?;
    }
    if stats.is_unfinished {
        writeln!(out, "  the last events may be missing: the app ended before its recording was written")?;
    }
    Ok(())
}

/// Writes the result or the error of the run.
fn write_outcome(outcome: &RunOutcome, out: &mut impl Write) -> io::Result<()> {
    match outcome {
        RunOutcome::Completed(serde_json::Value::Null) | RunOutcome::Cancelled | RunOutcome::Detached => Ok(()),
        RunOutcome::Completed(value) => writeln!(out, "\nresult\n  {}", sanitize(&value.to_string())),
        RunOutcome::Failed(error) => {
            writeln!(out, "\nerror")?;
            error.lines().try_for_each(|line| writeln!(out, "  {}", sanitize_cow(line)))
        }
    }
}

/// Returns the sanitized name of a task, shortened to [`NAME_COLUMNS`].
fn task_name(trace: &Trace, id: TaskId) -> String {
    trace.task(id).map_or_else(|| format!("task {id}"), |task| shorten_middle(&sanitize(&task.name()), NAME_COLUMNS))
}

/// Writes an indented table.
fn write_table(out: &mut impl Write, alignments: &[ColumnAlign], rows: &[Vec<String>]) -> io::Result<()> {
    table::lines(alignments, rows).iter().try_for_each(|line| writeln!(out, "  {line}"))
}

/// Writes how many entries are not shown, if any.
fn write_more(out: &mut impl Write, count: usize, noun: &str) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    writeln!(out, "  {} not shown: --full shows all", pluralize(count as u64, noun))
}
