//! The archive: what is written is read again, to the byte of its report, and whatever a file holds, reading it ends well.

use loopscope::control::{ClockKind, FeedChoice, Outcome, SourceKind};
use loopscope::feed::archive::{Head, Opened, Problem, Writer, beginning, read};
use loopscope::insight::Thresholds;
use loopscope::report::{Input, Report, Source};
use loopscope::trace::{Axis, Ending, Event, Measured, PauseCause, Spawned, TaskId, TaskKind, Trace};
use proptest::prelude::*;
use serde_json::Value;

use crate::cli::loopscope;
use crate::fuzzed::{ask, mend};
use crate::outside::{Folder, until};
use crate::synthetic::{Synthetic, Telling};
use crate::trace as storm;

/// Polls in two files that were written when the format was made.
const POLLS_OF_WHOLE: u64 = 114;
const POLLS_OF_POLLS: u64 = 98;

/// Bytes before a chunk's payload: kind, length, checksum.
const CHUNK_HEAD_BYTES: usize = 9;

/// A report without what may differ.
fn comparable(report: &str) -> Value {
    let mut report: Value = serde_json::from_str(report).expect("a report is JSON");
    report["source"]["kind"] = Value::Null;
    report["feeds"]["console"]["updates"] = Value::Null;
    report
}

#[test]
fn the_report_of_an_archive_is_the_report_of_the_run() {
    let folder = Folder::new("archived-reports");
    for name in ["countasync", "chess-async", "producer-consumer", "mutex-convoy", "blocked-loop", "deadlock", "leak"] {
        let file = folder.file(&format!("{name}.loop")).display().to_string();
        let words = ["--headless", "--json", "--full"];
        let ran = loopscope(&[&["run", name, "--record", &file][..], &words].concat());
        let opened = loopscope(&[&["open", &file][..], &words].concat());
        assert_eq!((opened.code, opened.err.is_empty()), (ran.code, ran.err.is_empty()), "{name}: {}", opened.err);
        let kind = |report: &str| serde_json::from_str::<Value>(report).expect("JSON")["source"]["kind"].clone();
        assert_eq!((kind(&ran.out), kind(&opened.out)), ("workload".into(), "archive".into()));
        assert_eq!(comparable(&opened.out), comparable(&ran.out), "{name}");
    }
}

/// These were written when the version was made, as seeds for the fuzzers: a change that no longer reads them needs
/// another version.
#[test]
fn an_archive_of_this_version_is_still_read() {
    let seed = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/archive").join(name);
        read(std::fs::File::open(path).expect("it is part of the repository"), usize::MAX).expect("it opens")
    };
    for (name, polls) in [("whole", POLLS_OF_WHOLE), ("polls", POLLS_OF_POLLS)] {
        let opened = seed(name);
        assert_eq!((opened.notes, opened.outcome), (Vec::<String>::new(), Some(Outcome::Cancelled)));
        assert_eq!((opened.head.name.as_str(), opened.trace.counts().polls), ("seed", polls), "{name}");
        ask(&opened.trace);
    }
    let opened = seed("forgotten");
    assert_eq!((opened.notes, opened.outcome), (Vec::<String>::new(), Some(Outcome::Cancelled)));
    let (forgotten, kept) = (opened.trace.forgotten(), opened.trace.tasks().kept() as u64);
    assert_eq!((forgotten.tasks + kept, forgotten.counts.polls + kept), (60, 60));
    assert!(forgotten.tasks > 30 && opened.trace.tasks().first().is_some_and(|task| task.ending.is_none()));
    ask(&opened.trace);
    let opened = seed("foreign");
    assert_eq!((opened.notes, opened.outcome), (Vec::<String>::new(), Some(Outcome::Detached)));
    assert_eq!((opened.note.as_str(), &*opened.sources[0].0), ("seed", "src/seed.rs"));
    let trace = opened.trace;
    let gaps: Vec<_> = trace.gaps().map(|gap| (gap.from, gap.dropped, gap.is_unwatched)).collect();
    assert_eq!(gaps, [(2_000_000, 0, true), (4_000_000, 7, false)]);
    assert_eq!(trace.recorded().map(|recorded| (recorded.lines, recorded.untold_tasks)), Some((9, 2)));
    let first = trace.tasks().first().expect("it is told");
    assert_eq!((first.counts.polls, trace.awaits().len(), trace.is_foreign()), (5, 5, true));
    assert!(first.told_wake().is_some());
}

/// Why it was paused, in order.
fn causes(trace: &Trace) -> Vec<PauseCause> {
    trace.pauses_since(0).0.map(|pause| pause.cause.clone()).collect()
}

#[test]
fn why_it_was_paused_is_kept() {
    let told = |at, cause| Event::Pause { at, cause };
    let breakpoint = PauseCause::Breakpoint("poll \u{1b}[2Jmain".into());
    let mut trace = Trace::default();
    for (at, cause) in [(0, PauseCause::Person), (0, PauseCause::Step), (7, breakpoint), (9, PauseCause::Suspended)] {
        trace.apply(told(at, cause));
    }
    let mut bytes = beginning(&Head::default());
    bytes.extend(Writer::default().rest(&trace, None, "").expect("it is short"));
    let cleaned = PauseCause::Breakpoint("poll \u{fffd}[2Jmain".into());
    let expected = [PauseCause::Person, PauseCause::Step, cleaned, PauseCause::Suspended];
    let opened = read(&bytes[..], usize::MAX).expect("it opens");
    assert_eq!(causes(&opened.trace), expected);
    assert!(opened.trace.pauses().eq([0, 0, 7, 9]));
}

#[test]
fn what_is_no_archive_is_not_overwritten_and_a_newer_one_is_not_guessed_at() {
    let folder = Folder::new("no-archive");
    let file = folder.file("notes.txt");
    std::fs::write(&file, "mine").expect("the folder is ours");
    let ran = loopscope(&["run", "countasync", "--headless", "--record", &file.display().to_string()]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("no archive of loopscope"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(&file).expect("it is still there"), "mine");
    std::fs::write(&file, b"loopscope\0\x09\0whatever").expect("the folder is ours");
    let ran = loopscope(&["open", &file.display().to_string(), "--headless"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("version 9"), "{}", ran.err);
    std::fs::write(&file, b"loopscope\0\x01\0whatever").expect("the folder is ours");
    let ran = loopscope(&["open", &file.display().to_string(), "--headless"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("version 1, which"), "{}", ran.err);
    std::fs::write(&file, b"loopscope\0\x02\0").expect("the folder is ours");
    let ran = loopscope(&["open", &file.display().to_string(), "--headless"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert_eq!(ran.err.matches("nothing can be saved").count(), 1, "said once: {}", ran.err);
    assert_eq!(read(&b"{}"[..], 1 << 20).expect_err("that is JSON"), Problem::NoArchive);
}

#[test]
fn a_killed_run_leaves_an_archive_that_opens() {
    let folder = Folder::new("killed");
    let file = folder.file("killed.loop");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["run", "busy-yield", "--clock", "real", "--set", "journey=1m", "--headless", "--record"])
        .arg(&file)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    let opened = || std::fs::read(&file).ok().and_then(|bytes| read(&bytes[..], usize::MAX).ok());
    until("something was written", || {
        child.try_wait().is_ok_and(|ended| ended.is_some()) || opened().is_some_and(|opened| opened.trace.steps() > 0)
    });
    child.kill().expect("it runs");
    child.wait().expect("it was killed");
    let Opened { trace, outcome, notes, .. } = opened().expect("it opens");
    assert!(trace.counts().polls > 0 && !trace.tasks().is_empty());
    if outcome.is_none() {
        assert!(!notes.is_empty(), "that it is not whole is said");
    }
}

/// A service that spawns a task for each request, recorded with little memory: what is read again has the rows that were
/// kept and the sums of the others, however much memory there is for it.
#[test]
fn forgotten_rows_are_in_the_sums_of_an_archive_too() {
    let (mut trace, mut awaits) = (Trace::with_budget(1 << 20), 0);
    storm::site(&mut trace);
    let mut bytes = beginning(&Head { name: "storm".into(), ..Head::default() });
    let mut writer = Writer::default();
    for _ in 0..100 {
        storm::storm(&mut trace, 200, &mut awaits, true);
        writer.new_chunks(&trace, &mut bytes).expect("memory takes it");
    }
    writer.flush(&mut bytes).expect("memory takes it");
    let without_rest = bytes.len();
    bytes.extend(writer.rest(&trace, Some(&Outcome::Cancelled), "").expect("it is short"));
    assert_eq!(writer.lost_blocks(), 0);
    assert!(trace.forgotten().tasks > 10_000, "{} are forgotten", trace.forgotten().tasks);
    let ids = |trace: &Trace| trace.tasks().iter().map(|task| task.id).collect::<Vec<_>>();
    for budget_bytes in [usize::MAX, 1 << 20] {
        let opened = read(&bytes[..], budget_bytes).expect("it opens");
        assert!(opened.notes.is_empty(), "{:?}", opened.notes);
        assert_eq!(opened.trace.counts(), trace.counts());
        let kept = ids(&opened.trace);
        let told = ids(&trace);
        assert!(
            told.ends_with(&kept) && (budget_bytes < usize::MAX || kept == told),
            "{} of {}",
            kept.len(),
            told.len()
        );
        let forgotten = opened.trace.forgotten();
        let polls: u64 = opened.trace.tasks().iter().map(|task| task.counts.polls).sum();
        assert_eq!(forgotten.counts.polls + polls, trace.counts().polls);
        assert_eq!(forgotten.tasks + kept.len() as u64, 20_000);
        if budget_bytes == usize::MAX {
            assert_eq!(forgotten, trace.forgotten());
            assert_eq!(report(&opened.trace).contains("\"forgotten\""), report(&trace).contains("\"forgotten\""));
        }
        ask(&opened.trace);
    }
    // A program that died while this was written: all that was told is there, and sums are what blocks tell.
    let opened = read(&bytes[..without_rest], usize::MAX).expect("it opens");
    assert_eq!((opened.trace.tasks().kept(), opened.trace.forgotten().tasks, opened.notes.len()), (20_000, 0, 1));
    let opened = read(&bytes[..without_rest], 1 << 20).expect("it opens");
    assert_eq!(opened.trace.forgotten().tasks + opened.trace.tasks().kept() as u64, 20_000);
    assert_eq!(opened.trace.counts().polls, 40_000);
    assert!(opened.trace.kept_bytes() < (1 << 20) + 40_000, "{} bytes", opened.trace.kept_bytes());
}

/// What the blocking pool does keeps no loop, also where sums are what blocks tell.
#[test]
fn of_a_file_that_was_cut_off_the_loop_was_busy_with_its_own_tasks() {
    let mut bytes = beginning(&Head::default());
    let (mut trace, mut writer) = (Trace::default(), Writer::default());
    for index in 0..200 {
        let (task, at) = (TaskId::from_index(index), trace.now());
        let kind = if index % 2 == 0 { TaskKind::Task } else { TaskKind::Blocking };
        trace.apply(Event::Spawn { task, at, spawned: Box::new(Spawned { kind, ..Spawned::default() }) });
        trace.apply(Event::PollStart { task, at });
        trace.apply(Event::PollEnd { task, at: at + 7 });
        trace.apply(Event::End { task, at: at + 7, outcome: Ending::Done });
    }
    writer.new_chunks(&trace, &mut bytes).expect("memory takes it");
    for (budget_bytes, is_forgotten) in [(usize::MAX, false), (50_000, true)] {
        let opened = read(&bytes[..], budget_bytes).expect("it opens").trace;
        assert_eq!((opened.counts().busy_ns, trace.counts().busy_ns), (700, 700));
        assert_eq!(opened.forgotten().tasks > 0, is_forgotten);
    }
}

/// A trace as a file, written in so many goes.
fn written(trace: &mut Trace, told: Synthetic, events: usize, goes: usize) -> Vec<u8> {
    let mut bytes = beginning(&Head { name: "synthetic".into(), ..Head::default() });
    let (mut writer, mut told) = (Writer::default(), told);
    for _ in 0..goes {
        told.by_ref().take(events / goes).for_each(|event| trace.apply(event));
        writer.new_chunks(trace, &mut bytes).expect("memory takes it");
    }
    writer.flush(&mut bytes).expect("memory takes it");
    bytes.extend(writer.rest(trace, Some(&Outcome::Cancelled), "").expect("it is short"));
    assert_eq!(writer.lost_blocks(), 0);
    bytes
}

/// A trace as a file that is written at once.
fn saved(trace: &Trace) -> Vec<u8> {
    let mut bytes = beginning(&Head::default());
    let mut writer = Writer::default();
    writer.new_chunks(trace, &mut bytes).expect("memory takes it");
    writer.flush(&mut bytes).expect("memory takes it");
    bytes.extend(writer.rest(trace, Some(&Outcome::Cancelled), "").expect("it is short"));
    bytes
}

fn report(trace: &Trace) -> String {
    let source = Source {
        kind: SourceKind::Archive,
        name: "synthetic".into(),
        params: Vec::new(),
        clock: ClockKind::Real,
        seed: 0,
    };
    let thresholds = Thresholds::default();
    let (outcome, feed) = (Outcome::Cancelled, FeedChoice::Probe);
    let input = Input { source: &source, trace, outcome: &outcome, feed, thresholds: &thresholds, full: true };
    let mut report = Vec::new();
    Report::new(&input).write(&mut report).expect("memory takes it");
    String::from_utf8(report).expect("JSON is text")
}

#[test]
fn a_trace_comes_back_as_it_was_from_five_bytes_an_event() {
    const EVENTS: usize = 300_000;
    for telling in [Telling::Whole, Telling::Polls] {
        let mut trace = Trace::default();
        let bytes = written(&mut trace, Synthetic::new(100, telling, 3), EVENTS, 30);
        let each = bytes.len() as f64 / EVENTS as f64;
        assert!(each <= 5.0, "{telling:?}: {each:.2} bytes an event");
        let opened = read(&bytes[..], usize::MAX).expect("it was written just now");
        assert_eq!((opened.notes, opened.outcome), (Vec::<String>::new(), Some(Outcome::Cancelled)));
        assert!(report(&opened.trace) == report(&trace), "{telling:?}: the reports differ");
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
fn a_trace_that_forgets_is_written_whole_before_it_does() {
    const EVENTS: usize = 200_000;
    let (mut small, mut large) = (Trace::with_budget(1_000_000), Trace::default());
    let bytes = written(&mut small, Synthetic::new(50, Telling::Whole, 5), EVENTS, 100);
    written(&mut large, Synthetic::new(50, Telling::Whole, 5), EVENTS, 1);
    assert!(small.gaps().count() > 0, "it forgot");
    let opened = read(&bytes[..], usize::MAX).expect("it was written just now");
    assert!(report(&opened.trace) == report(&large), "the archive has what memory had not");
}

/// What was forgotten before anybody wrote it is not there, and all that is left is as it was, with the sums of everything.
#[test]
fn a_trace_that_has_forgotten_is_saved_as_it_is() {
    for telling in [Telling::Whole, Telling::Polls] {
        let mut trace = Trace::with_budget(400_000);
        Synthetic::new(50, telling, 5).take(200_000).for_each(|event| trace.apply(event));
        assert!(trace.gaps().count() > 0, "it forgot");
        let opened = read(&saved(&trace)[..], usize::MAX).expect("it was written just now");
        assert_eq!(opened.notes, Vec::<String>::new());
        assert!(report(&opened.trace) == report(&trace), "{telling:?}: the reports differ");
    }
}

#[test]
fn sums_of_which_the_oldest_are_forgotten_are_saved_as_they_are() {
    let id = |index| TaskId::from_index(index);
    let mut trace = Trace::with_budget(60_000);
    trace.set_sampled();
    trace.set_foreign();
    for index in 0..20 {
        let kind = TaskKind::Task;
        let spawned = Spawned { kind, ..Spawned::default() };
        trace.apply(Event::Spawn { task: id(index), at: 0, spawned: Box::new(spawned) });
    }
    for update in 1..2_000_u64 {
        for index in 0..20 {
            let at = update * 1_000_000;
            let measured = Measured { polls: update * 3, busy_ns: update * 70_001, ..Measured::default() };
            trace.apply(Event::Measured { task: id(index), at, measured: Box::new(measured) });
        }
        trace.apply(Event::LoopMeasured { at: update * 1_000_000 });
    }
    assert!(trace.gaps().count() > 0, "it forgot");
    let opened = read(&saved(&trace)[..], usize::MAX).expect("it was written just now").trace;
    assert!(report(&opened) == report(&trace), "the reports differ");
    for index in 0..20 {
        let window = |trace: &Trace| trace.window(id(index), Axis::Time, 0, trace.now(), 100);
        assert_eq!(window(&opened), window(&trace));
    }
}

#[test]
fn an_archive_larger_than_memory_opens_with_its_newest() {
    const BUDGET_BYTES: usize = 1 << 20;
    let mut trace = Trace::default();
    let bytes = written(&mut trace, Synthetic::new(50, Telling::Whole, 5), 600_000, 60);
    assert!(bytes.len() > 2 * BUDGET_BYTES);
    let mut opened = None;
    let allocated = allocation_counter::measure(|| opened = read(&bytes[..], BUDGET_BYTES).ok());
    // One chunk, and how many were ready when, which has a limit of its own, come on top.
    assert!(allocated.bytes_max < 5 * BUDGET_BYTES as u64, "{} bytes", allocated.bytes_max);
    let opened = opened.expect("it was written just now").trace;
    assert!(opened.gaps().count() > 0, "that the oldest is forgotten is said");
    assert_eq!((opened.counts(), opened.now()), (trace.counts(), trace.now()));
    let (id, last) = (TaskId::from_index(7), trace.now() - trace.now() / 50);
    let window = |trace: &Trace| trace.window(id, Axis::Time, last, trace.now(), 40);
    assert_eq!(window(&opened), window(&trace), "the newest is all there");
}

fn sample() -> &'static [u8] {
    static SAMPLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| written(&mut Trace::default(), Synthetic::new(8, Telling::Whole, 9), 6_000, 4))
}

/// Where each chunk begins.
fn chunks(bytes: &[u8]) -> Vec<usize> {
    let mut at = 12;
    let mut found = vec![];
    while at + CHUNK_HEAD_BYTES <= bytes.len() {
        found.push(at);
        let length = bytes[at + 1..at + 5].try_into().map(u32::from_le_bytes).expect("four bytes");
        at += CHUNK_HEAD_BYTES + length as usize;
    }
    found
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_good_up_to_there() {
    let whole = sample();
    let mut polls = 0;
    for length in (0..whole.len()).step_by(97).chain(chunks(whole)) {
        match read(&whole[..length], usize::MAX) {
            Ok(opened) => {
                assert!(!opened.notes.is_empty(), "that it is cut is said");
                ask(&opened.trace);
                polls = polls.max(opened.trace.counts().polls);
            }
            Err(problem) => assert!(length < 200, "{length} bytes: {problem}"),
        }
    }
    let all = read(whole, usize::MAX).expect("it is whole").trace.counts().polls;
    assert!(polls * 10 > all * 7, "{polls} of {all} polls are in sealed blocks");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_byte_is_found_by_its_checksum(at in 12..sample().len(), flip in 1..=255_u8) {
        let mut bytes = sample().to_vec();
        bytes[at] ^= flip;
        match read(&bytes[..], usize::MAX) {
            Ok(opened) => {
                prop_assert!(!opened.notes.is_empty());
                ask(&opened.trace);
            }
            Err(problem) => prop_assert_eq!(problem, Problem::NoHead),
        }
    }

    #[test]
    fn a_file_that_lies_does_no_harm(
        changes in prop::collection::vec((12..sample().len(), any::<u8>()), 1..24),
        budget_bytes in prop_oneof![Just(usize::MAX), Just(60_000)],
    ) {
        let mut bytes = sample().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        mend(&mut bytes);
        if let Ok(opened) = read(&bytes[..], budget_bytes) {
            ask(&opened.trace);
        }
    }

    #[test]
    fn noise_is_no_archive(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut bytes = sample()[..chunks(sample())[1]].to_vec();
        bytes.extend(noise);
        let allocated = allocation_counter::measure(|| {
            if let Ok(opened) = read(&bytes[..], usize::MAX) {
                ask(&opened.trace);
            }
        });
        prop_assert!(allocated.bytes_max < 8 << 20, "{} bytes for a file of {}", allocated.bytes_max, bytes.len());
    }
}
