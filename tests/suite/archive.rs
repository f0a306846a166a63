//! Archives: a written trace is read back with an identical report, and damaged or hostile files are handled safely.

use loopscope::control::{ClockKind, FeedChoice, RunOutcome, SourceKind};
use loopscope::feed::archive::{
    ArchiveError, ArchiveHeader, ArchiveWriter, OpenedArchive, encode_beginning, read_archive,
};
use loopscope::insight::{Thresholds, run_lints};
use loopscope::report::{JsonReport, ReportInput, RunSource};
use loopscope::trace::{
    AwaitKind, Axis, Event, PauseReason, ResourceAttribute, ResourceKind, TaskId, TaskKind, TaskMeta, TaskOutcome,
    TaskStats, Trace,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::cli::loopscope;
use crate::example_app::{TempFolder, wait_until};
use crate::fuzz_targets::{query_everything, repair_checksums};
use crate::synthetic::{EventMix, SyntheticLoop};
use crate::trace as storm;
use crate::trace_builder::TraceBuilder;

/// Number of polls in two seed files, which were written when the format version was introduced.
const POLLS_IN_COMPLETE_SEED: u64 = 114;
const POLLS_IN_POLLS_SEED: u64 = 98;

/// Size of a chunk header in bytes: kind, length and checksum.
const CHUNK_HEADER_BYTES: usize = 9;

/// Parses a report and clears the fields that may differ.
fn comparable(report: &str) -> Value {
    let mut report: Value = serde_json::from_str(report).expect("a report is JSON");
    report["source"]["kind"] = Value::Null;
    report["feeds"]["console"]["updates"] = Value::Null;
    report
}

#[test]
fn archive_gives_the_report_of_its_run() {
    let folder = TempFolder::new("archived-reports");
    for name in ["countasync", "chess-async", "producer-consumer", "mutex-convoy", "blocked-loop", "deadlock", "leak"] {
        let file = folder.path_of(&format!("{name}.loop")).display().to_string();
        let words = ["--headless", "--json", "--full"];
        let ran = loopscope(&[&["run", name, "--record", &file][..], &words].concat());
        let opened = loopscope(&[&["open", &file][..], &words].concat());
        assert_eq!(
            (opened.exit_code, opened.stderr.is_empty()),
            (ran.exit_code, ran.stderr.is_empty()),
            "{name}: {}",
            opened.stderr
        );
        let kind = |report: &str| serde_json::from_str::<Value>(report).expect("JSON")["source"]["kind"].clone();
        assert_eq!((kind(&ran.stdout), kind(&opened.stdout)), ("workload".into(), "archive".into()));
        assert_eq!(comparable(&opened.stdout), comparable(&ran.stdout), "{name}");
    }
}

/// Opens one of the fuzzer seeds.
fn open_seed(name: &str) -> OpenedArchive {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/seeds/archive").join(name);
    let file = std::fs::File::open(path).expect("the seed is in the repository");
    read_archive(file, usize::MAX).expect("the seed opens")
}

#[test]
fn reads_archives_of_version_3() {
    reads_seeds("version3-");
    assert!(open_seed("version3-complete").trace.workers().is_empty());
}

/// The fuzzer seeds were written when the format version was introduced. A change that cannot read them needs a new
/// version number.
#[test]
fn reads_archives_of_this_version() {
    reads_seeds("");
    let opened = open_seed("workers");
    assert_eq!((opened.notes, opened.outcome), (Vec::<String>::new(), Some(RunOutcome::Detached)));
    let workers: Vec<_> = opened.trace.workers().iter().map(|worker| (&*worker.name, worker.parks())).collect();
    assert_eq!(workers, [("tokio-rt-worker", 60); 2]);
    let totals = opened.trace.workers()[1].totals_at(opened.trace.now());
    assert_eq!((totals.busy_ns, totals.polls), (180, 60));
    query_everything(&opened.trace);
}

/// Checks the seeds whose names start with `prefix`.
fn reads_seeds(prefix: &str) {
    let seed = |name: &str| open_seed(&format!("{prefix}{name}"));
    for (name, polls) in [("complete", POLLS_IN_COMPLETE_SEED), ("polls", POLLS_IN_POLLS_SEED)] {
        let opened = seed(name);
        assert_eq!((opened.notes, opened.outcome), (Vec::<String>::new(), Some(RunOutcome::Cancelled)));
        assert_eq!((opened.header.name.as_str(), opened.trace.counts().polls), ("seed", polls), "{name}");
        query_everything(&opened.trace);
    }
    let opened = seed("evicted-tasks");
    assert_eq!((opened.notes, opened.outcome), (Vec::<String>::new(), Some(RunOutcome::Cancelled)));
    let (evicted, retained) = (opened.trace.evicted(), opened.trace.tasks().retained() as u64);
    assert_eq!((evicted.count + retained, evicted.counts.polls + retained), (60, 60));
    assert!(evicted.count > 30 && opened.trace.tasks().first().is_some_and(|task| task.outcome.is_none()));
    query_everything(&opened.trace);
    let opened = seed("attached");
    assert_eq!((opened.notes, opened.outcome), (Vec::<String>::new(), Some(RunOutcome::Detached)));
    assert_eq!((opened.note.as_str(), &*opened.sources[0].0), ("seed", "src/seed.rs"));
    let trace = opened.trace;
    let gaps: Vec<_> = trace.gaps().map(|gap| (gap.from, gap.dropped, gap.is_disconnected)).collect();
    assert_eq!(gaps, [(2_000_000, 0, true), (4_000_000, 7, false)]);
    assert_eq!(trace.recording_stats().map(|stats| (stats.lines, stats.omitted_tasks)), Some((9, 2)));
    let first = trace.tasks().first().expect("the seed has a task");
    assert_eq!((first.counts.polls, trace.awaits().len(), trace.is_external()), (5, 5, true));
    assert!(first.sampled_wake().is_some());
    assert_eq!((trace.is_console_late(), trace.outside_input()), (true, Some(false)));
    assert_eq!(trace.processor_wait_ns(0, 105_000_000), 30_000_000, "20 ms, 5 ms and the last 5 ms");
}

/// Returns the reasons of all pauses, in order.
fn pause_reasons(trace: &Trace) -> Vec<PauseReason> {
    trace.pauses_since(0).0.map(|pause| pause.reason.clone()).collect()
}

#[test]
fn keeps_pause_reasons() {
    let pause = |at, cause| Event::Pause { at, reason: cause };
    let breakpoint = PauseReason::Breakpoint("poll \u{1b}[2Jmain".into());
    let mut trace = Trace::default();
    for (at, cause) in [(0, PauseReason::User), (0, PauseReason::Step), (7, breakpoint), (9, PauseReason::Suspended)] {
        trace.apply(pause(at, cause));
    }
    let mut bytes = encode_beginning(&ArchiveHeader::default());
    bytes.extend(ArchiveWriter::default().encode_tail(&trace, None, "").expect("the tail fits a chunk"));
    let sanitized = PauseReason::Breakpoint("poll \u{fffd}[2Jmain".into());
    let expected = [PauseReason::User, PauseReason::Step, sanitized, PauseReason::Suspended];
    let opened = read_archive(&bytes[..], usize::MAX).expect("the archive opens");
    assert_eq!(pause_reasons(&opened.trace), expected);
    assert!(opened.trace.pauses().eq([0, 0, 7, 9]));
}

#[test]
fn rejects_other_files_and_versions() {
    let folder = TempFolder::new("no-archive");
    let file = folder.path_of("notes.txt");
    std::fs::write(&file, "mine").expect("the folder is writable");
    let ran = loopscope(&["run", "countasync", "--headless", "--record", &file.display().to_string()]);
    assert_eq!(ran.exit_code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("not a loopscope archive"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&file).expect("the file still exists"), "mine");
    std::fs::write(&file, b"loopscope\0\x09\0whatever").expect("the folder is writable");
    let ran = loopscope(&["open", &file.display().to_string(), "--headless"]);
    assert_eq!(ran.exit_code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("version 9"), "{}", ran.stderr);
    std::fs::write(&file, b"loopscope\0\x01\0whatever").expect("the folder is writable");
    let ran = loopscope(&["open", &file.display().to_string(), "--headless"]);
    assert_eq!(ran.exit_code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("version 1 is no longer supported"), "{}", ran.stderr);
    std::fs::write(&file, b"loopscope\0\x03\0").expect("the folder is writable");
    let ran = loopscope(&["open", &file.display().to_string(), "--headless"]);
    assert_eq!(ran.exit_code, Some(2), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("nothing can be recovered").count(), 1, "reported once: {}", ran.stderr);
    assert_eq!(read_archive(&b"{}"[..], 1 << 20).expect_err("JSON is not an archive"), ArchiveError::NotAnArchive);
}

#[test]
fn killed_run_leaves_readable_archive() {
    let folder = TempFolder::new("killed");
    let file = folder.path_of("killed.loop");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["run", "busy-yield", "--clock", "real", "--set", "journey=1m", "--headless", "--record"])
        .arg(&file)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    let opened = || std::fs::read(&file).ok().and_then(|bytes| read_archive(&bytes[..], usize::MAX).ok());
    wait_until("something was written", || {
        child.try_wait().is_ok_and(|ended| ended.is_some()) || opened().is_some_and(|opened| opened.trace.steps() > 0)
    });
    child.kill().expect("the child runs");
    child.wait().expect("the child was killed");
    let OpenedArchive { trace, outcome, notes, .. } = opened().expect("the archive opens");
    assert!(trace.counts().polls > 0 && !trace.tasks().is_empty());
    if outcome.is_none() {
        assert!(!notes.is_empty(), "a note says that the archive is incomplete");
    }
}

/// A service that spawns a task for each request, recorded with a small budget. The archive has the rows of retained
/// tasks and the totals of evicted ones, whatever the budget of the reader.
#[test]
fn archive_has_totals_of_evicted_tasks() {
    let (mut trace, mut awaits) = (Trace::with_budget(1 << 20), 0);
    storm::declare_site(&mut trace);
    let mut bytes = encode_beginning(&ArchiveHeader { name: "storm".into(), ..ArchiveHeader::default() });
    let mut writer = ArchiveWriter::default();
    for _ in 0..100 {
        storm::run_short_tasks(&mut trace, 200, &mut awaits, true);
        writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
    }
    writer.flush(&mut bytes).expect("writing to memory cannot fail");
    let length_without_tail = bytes.len();
    bytes.extend(writer.encode_tail(&trace, Some(&RunOutcome::Cancelled), "").expect("the tail fits a chunk"));
    assert_eq!(writer.lost_blocks(), 0);
    assert!(trace.evicted().count > 10_000, "{} tasks were evicted", trace.evicted().count);
    let ids = |trace: &Trace| trace.tasks().iter().map(|task| task.id).collect::<Vec<_>>();
    for budget_bytes in [usize::MAX, 1 << 20] {
        let opened = read_archive(&bytes[..], budget_bytes).expect("the archive opens");
        assert!(opened.notes.is_empty(), "{:?}", opened.notes);
        assert_eq!(opened.trace.counts(), trace.counts());
        let loaded = ids(&opened.trace);
        let written = ids(&trace);
        assert!(
            written.ends_with(&loaded) && (budget_bytes < usize::MAX || loaded == written),
            "{} of {} tasks",
            loaded.len(),
            written.len()
        );
        let evicted = opened.trace.evicted();
        let polls: u64 = opened.trace.tasks().iter().map(|task| task.counts.polls).sum();
        assert_eq!(evicted.counts.polls + polls, trace.counts().polls);
        assert_eq!(evicted.count + loaded.len() as u64, 20_000);
        if budget_bytes == usize::MAX {
            assert_eq!(evicted, trace.evicted());
            assert_eq!(report(&opened.trace).contains("\"forgotten\""), report(&trace).contains("\"forgotten\""));
        }
        query_everything(&opened.trace);
    }
    // Without a tail, as after a crash: everything written is there, and totals are computed from blocks.
    let opened = read_archive(&bytes[..length_without_tail], usize::MAX).expect("the archive opens");
    assert_eq!((opened.trace.tasks().retained(), opened.trace.evicted().count, opened.notes.len()), (20_000, 0, 1));
    let opened = read_archive(&bytes[..length_without_tail], 1 << 20).expect("the archive opens");
    assert_eq!(opened.trace.evicted().count + opened.trace.tasks().retained() as u64, 20_000);
    assert_eq!(opened.trace.counts().polls, 40_000);
    assert!(opened.trace.retained_bytes() < (1 << 20) + 40_000, "{} bytes", opened.trace.retained_bytes());
}

/// Closures on the blocking pool do not count as busy time of the loop, even if totals are computed from blocks.
#[test]
fn recomputed_busy_time_excludes_blocking_pool() {
    let mut bytes = encode_beginning(&ArchiveHeader::default());
    let (mut trace, mut writer) = (Trace::default(), ArchiveWriter::default());
    for index in 0..200 {
        let (task, at) = (TaskId::from_index(index), trace.now());
        let kind = if index % 2 == 0 { TaskKind::Task } else { TaskKind::Blocking };
        trace.apply(Event::Spawn { task, at, meta: Box::new(TaskMeta { kind, ..TaskMeta::default() }) });
        trace.apply(Event::PollStart { task, at });
        trace.apply(Event::PollEnd { task, at: at + 7 });
        trace.apply(Event::TaskEnd { task, at: at + 7, outcome: TaskOutcome::Completed });
    }
    writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
    for (budget_bytes, is_evicted) in [(usize::MAX, false), (50_000, true)] {
        let opened = read_archive(&bytes[..], budget_bytes).expect("the archive opens").trace;
        assert_eq!((opened.counts().busy_ns, trace.counts().busy_ns), (700, 700));
        assert_eq!(opened.evicted().count > 0, is_evicted);
    }
}

/// The numbers of tasks in the header leave out blocking closures and `block_on` futures, evicted ones too.
#[test]
fn archive_keeps_roles_of_evicted_tasks() {
    const TASKS: usize = 3_000;
    let mut bytes = encode_beginning(&ArchiveHeader::default());
    let (mut trace, mut writer) = (Trace::with_budget(200_000), ArchiveWriter::default());
    for index in 0..TASKS {
        let (task, at) = (TaskId::from_index(index), trace.now() + 1);
        let kind = [TaskKind::Task, TaskKind::Blocking, TaskKind::BlockOn][index % 3];
        trace.apply(Event::Spawn { task, at, meta: Box::new(TaskMeta { kind, ..TaskMeta::default() }) });
        trace.apply(Event::PollStart { task, at });
        trace.apply(Event::PollEnd { task, at: at + 7 });
        if index + 6 < TASKS {
            trace.apply(Event::TaskEnd { task, at: at + 7, outcome: TaskOutcome::Completed });
        }
        // Tasks that are evicted before they are written have a row in no archive.
        if index % 700 == 0 {
            writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
        }
    }
    writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
    writer.flush(&mut bytes).expect("writing to memory cannot fail");
    let held = TaskId::from_index(TASKS - 3);
    trace.apply(Event::Hold { task: held, at: trace.now() });
    bytes.extend(writer.encode_tail(&trace, None, "").expect("the tail fits a chunk"));
    let live = trace.task_counts();
    assert_eq!((live.spawned, live.completed), (TASKS as u64 / 3, TASKS as u32 / 3 - 2));
    assert_eq!((live.waiting, live.held), (1, 1));
    for budget_bytes in [usize::MAX, 200_000, 50_000] {
        let opened = read_archive(&bytes[..], budget_bytes).expect("the archive opens").trace;
        assert!(opened.evicted().count > 1_000, "{} tasks were evicted", opened.evicted().count);
        assert_eq!(opened.task_counts(), live, "with {budget_bytes} bytes");
    }
}

/// tokio reports no owners of locks: an archive keeps those that were inferred.
#[test]
fn archive_keeps_inferred_owners_of_locks() {
    let mut builder = TraceBuilder::default();
    builder.trace.set_external();
    let task = builder.spawn("owner");
    let lock = builder.new_resource(ResourceKind::Lock, "Mutex", 1);
    let call = builder.start_await(task, AwaitKind::Sync, "Mutex::lock", Some(lock));
    builder.end_await_ready(call);
    let attribute = ResourceAttribute { name: "locked".into(), value: "true".into(), unit: "".into() };
    builder.apply(Event::ResourceAttribute { resource: lock, attribute: Box::new(attribute) });
    assert_eq!(builder.trace.lock_owner(lock), Some(task));
    let bytes = write_at_once(&builder.trace);
    assert_eq!(read_archive(&bytes[..], usize::MAX).expect("the archive opens").trace.lock_owner(lock), Some(task));
}

/// Without a tail, as after a crash, the numbers of tasks come from what is there, whatever the budget of the reader.
#[test]
fn recomputed_counts_leave_out_other_roles() {
    let mut bytes = encode_beginning(&ArchiveHeader::default());
    let (mut trace, mut writer) = (Trace::default(), ArchiveWriter::default());
    for index in 0..600 {
        let (task, at) = (TaskId::from_index(index), trace.now() + 1);
        let kind = [TaskKind::Task, TaskKind::Blocking, TaskKind::BlockOn][index % 3];
        trace.apply(Event::Spawn { task, at, meta: Box::new(TaskMeta { kind, ..TaskMeta::default() }) });
        trace.apply(Event::PollStart { task, at });
        trace.apply(Event::PollEnd { task, at: at + 7 });
        if index >= 6 {
            trace.apply(Event::TaskEnd { task, at: at + 7, outcome: TaskOutcome::Completed });
        }
    }
    writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
    for (budget_bytes, is_evicted) in [(usize::MAX, false), (50_000, true)] {
        let opened = read_archive(&bytes[..], budget_bytes).expect("the archive opens").trace;
        assert_eq!((opened.task_counts().completed, opened.task_counts().waiting), (198, 2));
        assert_eq!(opened.task_counts().spawned, 200);
        assert_eq!((opened.counts().completed, opened.counts().waiting), (594, 6));
        assert_eq!(opened.evicted().count > 0, is_evicted);
    }
}

/// Applies `events` events to a trace and writes it as an archive, in `steps` steps.
fn write_incrementally(trace: &mut Trace, source: SyntheticLoop, events: usize, steps: usize) -> Vec<u8> {
    let mut bytes = encode_beginning(&ArchiveHeader { name: "synthetic".into(), ..ArchiveHeader::default() });
    let (mut writer, mut source) = (ArchiveWriter::default(), source);
    for _ in 0..steps {
        source.by_ref().take(events / steps).for_each(|event| trace.apply(event));
        writer.write_new_chunks(trace, &mut bytes).expect("writing to memory cannot fail");
    }
    writer.flush(&mut bytes).expect("writing to memory cannot fail");
    bytes.extend(writer.encode_tail(trace, Some(&RunOutcome::Cancelled), "").expect("the tail fits a chunk"));
    assert_eq!(writer.lost_blocks(), 0);
    bytes
}

/// Writes a trace as an archive in one step.
pub fn write_at_once(trace: &Trace) -> Vec<u8> {
    let mut bytes = encode_beginning(&ArchiveHeader::default());
    let mut writer = ArchiveWriter::default();
    writer.write_new_chunks(trace, &mut bytes).expect("writing to memory cannot fail");
    writer.flush(&mut bytes).expect("writing to memory cannot fail");
    bytes.extend(writer.encode_tail(trace, Some(&RunOutcome::Cancelled), "").expect("the tail fits a chunk"));
    bytes
}

/// Returns the JSON report of a trace.
fn report(trace: &Trace) -> String {
    let source = RunSource {
        kind: SourceKind::Archive,
        name: "synthetic".into(),
        params: Vec::new(),
        clock: ClockKind::Real,
        seed: 0,
    };
    let thresholds = Thresholds::default();
    let (outcome, feed) = (RunOutcome::Cancelled, FeedChoice::Probe);
    let input = ReportInput {
        source: &source,
        trace,
        outcome: &outcome,
        feed,
        findings: &run_lints(trace, &thresholds),
        full: true,
    };
    let mut report = Vec::new();
    JsonReport::new(&input).write(&mut report).expect("writing to memory cannot fail");
    String::from_utf8(report).expect("JSON is text")
}

#[test]
fn restores_trace_from_five_bytes_per_event() {
    const EVENTS: usize = 300_000;
    for mix in [EventMix::Full, EventMix::PollsOnly] {
        let mut trace = Trace::default();
        let bytes = write_incrementally(&mut trace, SyntheticLoop::new(100, mix, 3), EVENTS, 30);
        let bytes_per_event = bytes.len() as f64 / EVENTS as f64;
        assert!(bytes_per_event <= 5.0, "{mix:?}: {bytes_per_event:.2} bytes per event");
        let opened = read_archive(&bytes[..], usize::MAX).expect("the archive is valid");
        assert_eq!((opened.notes, opened.outcome), (Vec::<String>::new(), Some(RunOutcome::Cancelled)));
        assert!(report(&opened.trace) == report(&trace), "{mix:?}: the reports differ");
        for id in trace.tasks().iter().map(|task| task.id) {
            for axis in [Axis::Time, Axis::Steps] {
                let end = if axis == Axis::Time { trace.now() } else { trace.steps().into() };
                let window = |trace: &Trace| trace.window(id, axis, 0, end, 100);
                assert_eq!(window(&opened.trace), window(&trace), "{id}");
            }
        }
    }
}

#[test]
fn writes_blocks_before_they_are_evicted() {
    const EVENTS: usize = 200_000;
    let (mut small, mut large) = (Trace::with_budget(1_000_000), Trace::default());
    let bytes = write_incrementally(&mut small, SyntheticLoop::new(50, EventMix::Full, 5), EVENTS, 100);
    write_incrementally(&mut large, SyntheticLoop::new(50, EventMix::Full, 5), EVENTS, 1);
    assert!(small.gaps().count() > 0, "blocks were evicted");
    let opened = read_archive(&bytes[..], usize::MAX).expect("the archive is valid");
    assert!(report(&opened.trace) == report(&large), "the archive also has what was evicted from memory");
}

/// Data that was evicted before the trace was saved is missing. All other data, and all totals, are unchanged.
#[test]
fn saves_trace_with_evicted_blocks() {
    for mix in [EventMix::Full, EventMix::PollsOnly] {
        let mut trace = Trace::with_budget(400_000);
        SyntheticLoop::new(50, mix, 5).take(200_000).for_each(|event| trace.apply(event));
        assert!(trace.gaps().count() > 0, "blocks were evicted");
        let opened = read_archive(&write_at_once(&trace)[..], usize::MAX).expect("the archive is valid");
        assert_eq!(opened.notes, Vec::<String>::new());
        assert!(report(&opened.trace) == report(&trace), "{mix:?}: the reports differ");
    }
}

#[test]
fn saves_stats_with_evicted_blocks() {
    let id = |index| TaskId::from_index(index);
    let mut trace = Trace::with_budget(60_000);
    trace.set_sampled();
    trace.set_external();
    for index in 0..20 {
        let kind = TaskKind::Task;
        let spawned = TaskMeta { kind, ..TaskMeta::default() };
        trace.apply(Event::Spawn { task: id(index), at: 0, meta: Box::new(spawned) });
    }
    for update in 1..2_000_u64 {
        for index in 0..20 {
            let at = update * 1_000_000;
            let measured = TaskStats { polls: update * 3, busy_ns: update * 70_001, ..TaskStats::default() };
            trace.apply(Event::TaskStats { task: id(index), at, stats: Box::new(measured) });
        }
        trace.apply(Event::StatsComplete { at: update * 1_000_000 });
    }
    assert!(trace.gaps().count() > 0, "blocks were evicted");
    let opened = read_archive(&write_at_once(&trace)[..], usize::MAX).expect("the archive is valid").trace;
    assert!(report(&opened) == report(&trace), "the reports differ");
    for index in 0..20 {
        let window = |trace: &Trace| trace.window(id(index), Axis::Time, 0, trace.now(), 100);
        assert_eq!(window(&opened), window(&trace));
    }
}

#[test]
fn budget_keeps_newest_of_large_archive() {
    const BUDGET_BYTES: usize = 1 << 20;
    let mut trace = Trace::default();
    let bytes = write_incrementally(&mut trace, SyntheticLoop::new(50, EventMix::Full, 5), 600_000, 60);
    assert!(bytes.len() > 2 * BUDGET_BYTES);
    let mut opened = None;
    let allocated = allocation_counter::measure(|| opened = read_archive(&bytes[..], BUDGET_BYTES).ok());
    // One chunk and the ready-queue history, which has its own limit, come on top of the budget.
    assert!(allocated.bytes_max < 5 * BUDGET_BYTES as u64, "{} bytes", allocated.bytes_max);
    let opened = opened.expect("the archive is valid").trace;
    assert!(opened.gaps().count() > 0, "a gap marks the evicted data");
    assert_eq!((opened.counts(), opened.now()), (trace.counts(), trace.now()));
    let (id, last) = (TaskId::from_index(7), trace.now() - trace.now() / 50);
    let window = |trace: &Trace| trace.window(id, Axis::Time, last, trace.now(), 40);
    assert_eq!(window(&opened), window(&trace), "the newest data is complete");
}

/// Returns a small valid archive.
fn sample() -> &'static [u8] {
    static SAMPLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let source = || SyntheticLoop::new(8, EventMix::Full, 9);
    SAMPLE.get_or_init(|| write_incrementally(&mut Trace::default(), source(), 6_000, 4))
}

/// Returns the offset of each chunk.
fn chunk_offsets(bytes: &[u8]) -> Vec<usize> {
    let mut at = 12;
    let mut found = vec![];
    while at + CHUNK_HEADER_BYTES <= bytes.len() {
        found.push(at);
        let length = bytes[at + 1..at + 5].try_into().map(u32::from_le_bytes).expect("four bytes");
        at += CHUNK_HEADER_BYTES + length as usize;
    }
    found
}

#[test]
fn reads_truncated_file_up_to_the_cut() {
    let complete = sample();
    let mut polls = 0;
    for length in (0..complete.len()).step_by(97).chain(chunk_offsets(complete)) {
        match read_archive(&complete[..length], usize::MAX) {
            Ok(opened) => {
                assert!(!opened.notes.is_empty(), "a note says that the file is truncated");
                query_everything(&opened.trace);
                polls = polls.max(opened.trace.counts().polls);
            }
            Err(problem) => assert!(length < 200, "{length} bytes: {problem}"),
        }
    }
    let all = read_archive(complete, usize::MAX).expect("the archive is complete").trace.counts().polls;
    assert!(polls * 10 > all * 7, "{polls} of {all} polls are in sealed blocks");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn checksum_detects_damaged_byte(at in 12..sample().len(), flip in 1..=255_u8) {
        let mut bytes = sample().to_vec();
        bytes[at] ^= flip;
        match read_archive(&bytes[..], usize::MAX) {
            Ok(opened) => {
                prop_assert!(!opened.notes.is_empty());
                query_everything(&opened.trace);
            }
            Err(problem) => prop_assert_eq!(problem, ArchiveError::NoHeader),
        }
    }

    #[test]
    fn hostile_file_is_harmless(
        changes in prop::collection::vec((12..sample().len(), any::<u8>()), 1..24),
        budget_bytes in prop_oneof![Just(usize::MAX), Just(60_000)],
    ) {
        let mut bytes = sample().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        repair_checksums(&mut bytes);
        if let Ok(opened) = read_archive(&bytes[..], budget_bytes) {
            query_everything(&opened.trace);
        }
    }

    #[test]
    fn noise_is_harmless(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut bytes = sample()[..chunk_offsets(sample())[1]].to_vec();
        bytes.extend(noise);
        let allocated = allocation_counter::measure(|| {
            if let Ok(opened) = read_archive(&bytes[..], usize::MAX) {
                query_everything(&opened.trace);
            }
        });
        prop_assert!(allocated.bytes_max < 8 << 20, "{} bytes for a file of {}", allocated.bytes_max, bytes.len());
    }
}
