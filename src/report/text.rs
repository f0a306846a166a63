//! The report for people: what ran, how it came out, where the time went, and what each task did.

use std::io::{self, Write};

use super::Input;
use super::json::site_of;
use super::table::{self, Lean};
use crate::control::{FeedChoice, Outcome, SourceKind};
use crate::insight::units::{how_many, human_ns, human_number, human_share};
use crate::insight::{self, Summary};
use crate::plain::{plain, plain_cow};
use crate::trace::{Fidelity, Recorded, State, Task, TaskId, Trace};

/// Lines of output that are shown unless everything is asked for.
const OUTPUT_LINES_SHOWN: usize = 100;

/// Tasks that are shown unless everything is asked for.
const TASKS_SHOWN: usize = 40;

/// Disagreements of the feeds that are shown unless everything is asked for.
const DISAGREEMENTS_SHOWN: usize = 10;

/// Terminal columns that a task's name or what it waits on may take.
const NAME_COLUMNS: usize = 32;

/// Writes the report.
///
/// # Errors
/// Whatever the writer refuses.
pub fn write_text(input: &Input, mut out: impl Write) -> io::Result<()> {
    headline(input, &mut out)?;
    output(input, &mut out)?;
    tasks(input, &mut out)?;
    findings(input, &mut out)?;
    witnesses(input, &mut out)?;
    ending(input.outcome, &mut out)?;
    out.flush()
}

fn headline(input: &Input, out: &mut impl Write) -> io::Result<()> {
    let source = input.source;
    let summary = Summary::of(input.trace);
    let counts = input.trace.counts();
    let outcome = input.outcome.name();
    let elapsed = human_ns(summary.elapsed_ns);
    let preposition = if matches!(input.outcome, Outcome::Completed(_)) { "in" } else { "after" };
    let clock = source.clock.name();
    let seed = if source.kind == SourceKind::Workload { format!(", seed {}", source.seed) } else { String::new() };
    writeln!(out, "{}: {outcome} {preposition} {elapsed} ({clock} clock{seed})", plain(&source.name))?;
    let params: Vec<String> = source.params.iter().map(|(name, value)| plain(&format!("{name}={value}"))).collect();
    if !params.is_empty() {
        writeln!(out, "  {}", params.join("  "))?;
    }
    let parked = format!("parked {} ({})", human_ns(summary.parked_ns), human_share(summary.parked_share()));
    if input.trace.is_foreign() {
        // Nobody tells when somebody else's loop parks, or on how many threads it runs.
        let (busy, share) = (human_ns(summary.busy_ns), human_share(summary.busy_share()));
        let longest = match input.trace.fidelity() {
            Fidelity::Exact => format!("longest poll {}", human_ns(summary.longest_poll_ns)),
            Fidelity::Sampled => "single polls are not known: only their sums are told".to_owned(),
        };
        writeln!(out, "\nloop\n  busy {busy} ({share})\n  {longest}")?;
        let counted = [(counts.polls, "poll"), (counts.wakes, "wake")];
        writeln!(out, "  {}", counted.map(|(count, noun)| how_many(count, noun)).join(", "))?;
        return match input.trace.many_threads() {
            None => Ok(()),
            Some(at) => {
                writeln!(out, "  several threads, since {} at the latest: who woke whom is a guess", human_ns(at))
            }
        };
    }
    if input.trace.fidelity() == Fidelity::Sampled {
        writeln!(out, "\nloop\n  {parked}; how long polls took is not known: they were only sampled")?;
    } else {
        writeln!(
            out,
            "\nloop\n  busy {} ({}), {parked}, in between {} ({})\n  longest poll {}",
            human_ns(summary.busy_ns),
            human_share(summary.busy_share()),
            human_ns(summary.overhead_ns),
            human_share(summary.overhead_share()),
            human_ns(summary.longest_poll_ns),
        )?;
    }
    let counted = [(counts.polls, "poll"), (counts.wakes, "wake"), (counts.turns, "turn"), (counts.parks, "park")];
    writeln!(out, "  {}", counted.map(|(count, noun)| how_many(count, noun)).join(", "))
}

fn output(input: &Input, out: &mut impl Write) -> io::Result<()> {
    let printed = input.trace.output();
    let lines = printed.lines();
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\noutput")?;
    let shown = if input.full { lines.len() } else { OUTPUT_LINES_SHOWN };
    let row = |line: &crate::trace::Line| {
        let by = line.task.map_or_else(String::new, |id| task_name(input.trace, id));
        vec![human_ns(line.at), by, plain(&line.text)]
    };
    let rows: Vec<_> = lines.iter().take(shown).map(row).collect();
    write_table(out, &[Lean::Right, Lean::Left, Lean::Left], &rows)?;
    more(out, lines.len().saturating_sub(shown), "line")?;
    match printed.dropped() {
        0 => Ok(()),
        dropped => writeln!(out, "  {} before these are no longer kept", how_many(dropped, "line")),
    }
}

fn tasks(input: &Input, out: &mut impl Write) -> io::Result<()> {
    let trace = input.trace;
    if trace.tasks().is_empty() {
        return writeln!(out, "\nno task was spawned");
    }
    // Of those that are forgotten nobody knows how busy each kept the loop.
    let kept = trace.tasks().kept();
    let chosen: Vec<TaskId> = if input.full || kept <= TASKS_SHOWN {
        writeln!(out, "\ntasks ({})", human_number(kept as u64))?;
        trace.tasks().iter().map(|task| task.id).collect()
    } else {
        writeln!(out, "\ntasks (the {TASKS_SHOWN} that kept the loop busiest, of {})", human_number(kept as u64))?;
        insight::busiest(trace, TASKS_SHOWN)
    };
    let heading = ["id", "name", "state", "polls", "wakes", "busy", "scheduled", "waiting", "waiting on"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(chosen.iter().filter_map(|id| trace.task(*id)).map(|task| task_row(trace, task)));
    let (left, right) = (Lean::Left, Lean::Right);
    write_table(out, &[right, left, left, right, right, right, right, right, left], &rows)?;
    let forgotten = trace.forgotten();
    more(out, kept - chosen.len(), "task")?;
    if forgotten.tasks == 0 {
        return Ok(());
    }
    let known = if trace.fidelity() == Fidelity::Exact { human_ns(forgotten.busy_ns) } else { "?".to_owned() };
    writeln!(
        out,
        "  and {} that ended by {} and are forgotten, for the memory budget was reached: {}, {}, busy {known}",
        how_many(forgotten.tasks, "task"),
        human_ns(forgotten.until),
        how_many(forgotten.counts.polls, "poll"),
        how_many(forgotten.counts.wakes, "wake"),
    )
}

fn task_row(trace: &Trace, task: &Task) -> Vec<String> {
    let totals = task.lane.totals_at(trace.now());
    let state = trace.state(task.id).unwrap_or(State::Scheduled);
    let waiting_on = match state {
        State::Waiting(Some(id), _) => site_of(trace, id).map_or_else(String::new, |site| match &site.location {
            Some(location) => plain(&format!("{} at {location}", site.source)),
            None => plain(&site.source),
        }),
        _ => String::new(),
    };
    // A sum of samples is not the sum.
    let is_exact = trace.fidelity() == Fidelity::Exact;
    let known = |sum_ns| if is_exact { human_ns(sum_ns) } else { "?".to_owned() };
    vec![
        task.id.to_string(),
        task_name(trace, task.id),
        state.name().to_owned(),
        human_number(task.counts.polls),
        human_number(task.counts.wakes),
        known(totals.busy_ns),
        known(totals.scheduled_ns),
        known(totals.waiting_total_ns()),
        waiting_on,
    ]
}

fn findings(input: &Input, out: &mut impl Write) -> io::Result<()> {
    let found = insight::findings(input.trace, input.thresholds);
    if found.listed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nfindings")?;
    for finding in found.listed {
        let whose = finding.task.map_or_else(String::new, |id| format!(" {}", task_name(input.trace, id)));
        let (severity, name, at) = (finding.severity.name(), finding.name, human_ns(finding.at_ns));
        writeln!(out, "  {severity} {name}{whose} at {at}: {}", plain(&finding.message))?;
        writeln!(out, "    {}", plain(&finding.evidence))?;
    }
    match found.unlisted {
        0 => Ok(()),
        unlisted => writeln!(out, "  and {} like these", how_many(unlisted, "finding")),
    }
}

/// What the facts rest on: which feeds watched, whether they agree, and what was lost.
fn witnesses(input: &Input, out: &mut impl Write) -> io::Result<()> {
    let (_, console_dropped) = input.trace.console();
    let (_, probe_dropped) = input.trace.probe();
    writeln!(out, "\nfeeds")?;
    let disagreements = input.disagreements();
    let exact = input.exact_witness();
    let forgotten = input.trace.forgotten();
    let is_told = forgotten.told > 0 || input.trace.tasks().iter().any(|task| task.console().is_some());
    match (input.feed, disagreements.len()) {
        (FeedChoice::Both, 0) if input.trace.is_foreign() && !is_told => {
            writeln!(out, "  {exact} only: the console told of no task, so nothing confirms it")?;
        }
        (FeedChoice::Both, 0) if forgotten.uncompared > 0 => {
            writeln!(out, "  {exact} and console agree on every task that was compared")?;
        }
        (FeedChoice::Both, 0) => writeln!(out, "  {exact} and console agree on every task")?,
        (FeedChoice::Both, count) => {
            writeln!(out, "  {exact} and console differ on {}", how_many(count as u64, "task"))?;
        }
        (FeedChoice::Probe, _) => writeln!(out, "  {exact} only: nothing confirms it")?,
        (FeedChoice::Console, _) => writeln!(out, "  console only: times are sampled, and nothing confirms them")?,
    }
    let shown = if input.full { disagreements.len() } else { DISAGREEMENTS_SHOWN };
    for sentence in disagreements.iter().take(shown) {
        writeln!(out, "  {}", plain_cow(sentence))?;
    }
    more(out, disagreements.len().saturating_sub(shown), "task")?;
    if input.feed == FeedChoice::Both && forgotten.uncompared > 0 {
        let tasks = how_many(forgotten.uncompared, "task");
        writeln!(out, "  {tasks} not compared: forgotten before the console had told everything")?;
    }
    for (feed, dropped) in [(exact, probe_dropped), ("console", console_dropped)] {
        if dropped > 0 {
            writeln!(out, "  the {feed} dropped {}", how_many(dropped, "event"))?;
        }
    }
    if let Some(recorded) = input.trace.recorded() {
        recording(recorded, out)?;
    }
    for gap in input.trace.gaps() {
        let what = if gap.is_unwatched {
            "nobody listened".to_owned()
        } else if gap.is_forgotten() {
            "forgotten, for the memory budget was reached".to_owned()
        } else {
            format!("{} lost", how_many(gap.dropped, "event"))
        };
        writeln!(out, "  gap from {} to {}: {what}", human_ns(gap.from), human_ns(gap.to))?;
    }
    Ok(())
}

/// What could not be read of a recording.
fn recording(recorded: &Recorded, out: &mut impl Write) -> io::Result<()> {
    let counted = [
        (recorded.skipped, "skipped: they are broken"),
        (recorded.unknown, "of a kind that is not known"),
        (recorded.lost, "lost: they came faster than they could be read"),
        (recorded.clamped, "with a time before that of the line before"),
    ];
    for (count, what) in counted.iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "  {} {what}", how_many(*count, "line"))?;
    }
    for broken in &recorded.broken {
        writeln!(out, "    line {}: {}", broken.line, plain_cow(&broken.why))?;
    }
    if recorded.untold_tasks > 0 {
        writeln!(out, "  {} more than can be shown", how_many(recorded.untold_tasks, "task"))?;
    }
    if recorded.unspawned > 0 {
        writeln!(out, "  {} of whose spawn nothing was told", how_many(recorded.unspawned, "task"))?;
    }
    if recorded.is_cut {
        writeln!(out, "  the last line of the recording is cut off")?;
    }
    if recorded.is_unfinished {
        writeln!(out, "  the last moments may be missing: the app ended before what it recorded was written")?;
    }
    Ok(())
}

fn ending(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    match outcome {
        Outcome::Completed(serde_json::Value::Null) | Outcome::Cancelled | Outcome::Detached => Ok(()),
        Outcome::Completed(value) => writeln!(out, "\nresult\n  {}", plain(&value.to_string())),
        Outcome::Failed(error) => {
            writeln!(out, "\nerror")?;
            error.lines().try_for_each(|line| writeln!(out, "  {}", plain_cow(line)))
        }
    }
}

fn task_name(trace: &Trace, id: TaskId) -> String {
    trace.task(id).map_or_else(|| format!("task {id}"), |task| table::shorten(&plain(&task.name()), NAME_COLUMNS))
}

fn write_table(out: &mut impl Write, leanings: &[Lean], rows: &[Vec<String>]) -> io::Result<()> {
    table::lines(leanings, rows).iter().try_for_each(|line| writeln!(out, "  {line}"))
}

/// Says how many are not shown, where some are not.
fn more(out: &mut impl Write, count: usize, noun: &str) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    writeln!(out, "  and {} more: --full shows all", how_many(count as u64, noun))
}
