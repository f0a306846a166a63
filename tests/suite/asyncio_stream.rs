//! Streams of Python programs with asyncio, written by hand: awaits and wakes that the program states, with their chains.

use loopscope::control::{FeedChoice, RunOutcome, SourceKind};
use loopscope::feed::app_probe::AppProbeDecoder;
use loopscope::feed::archive::read_archive;
use loopscope::insight::{Thresholds, run_lints};
use loopscope::report::{JsonReport, ReportInput, RunSource};
use loopscope::trace::{
    AwaitKind, AwaitOutcome, Event, ResourceKind, TaskId, TaskKind, TaskOutcome, TaskState, Trace, WakeSource,
};
use loopscope_probe::protocol::{Definition, FrameKind, Notice, Output, Site, StackFrame};
use loopscope_probe::record::RecordKind::{self, *};

use crate::probe_stream::{Decoded, ProbeStreamBuilder, asyncio_hello, frames};

const NONE: &[u64] = &[];

const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"app.py\", line 3, in work\nValueError: no\n";

fn task(number: usize) -> TaskId {
    TaskId::from_index(number - 1)
}

/// Returns a stream with a thread, the site of tasks (1), and two sites of awaits: a sleep (2) and a queue (3).
fn python() -> ProbeStreamBuilder {
    ProbeStreamBuilder::of(&asyncio_hello())
        .end_snapshot()
        .thread(1, Some(0))
        .python_site(1, ("task", "main"), &[("main", 1)])
        .python_site(2, ("timer", "sleep"), &[("main", 12), ("nap", 7)])
        .python_site(3, ("channel", "Queue.get"), &[("main", 14)])
}

/// Returns the awaits of the trace: source, start, end, polls and outcome.
fn awaits(trace: &Trace) -> Vec<(&str, u64, Option<u64>, u32, AwaitOutcome)> {
    let describe = |(_, found): (_, loopscope::trace::Await)| {
        let site = trace.site(found.site).expect("a site");
        (site.source.as_ref(), found.start, found.end(), found.polls, found.outcome())
    };
    trace.awaits().iter().map(describe).collect()
}

/// Returns the notice that nothing retrieved the exception of task 1.
fn unretrieved_exception(ticks: u64) -> Notice {
    let (kind, text) = ("never_retrieved".to_owned(), TRACEBACK.to_owned());
    Notice { ticks, task: 1, kind, text, ..Notice::default() }
}

type ThreadRecords<'a> = &'a [(RecordKind, u64, u64, &'a [u64])];

fn decode(records: ThreadRecords) -> Decoded {
    python().records(1, records).round(1_000).decode()
}

#[test]
fn stated_wakes_have_their_sources() {
    let decoded = decode(&[
        (Spawn, 10, 1, &[1]),
        (Spawn, 11, 2, &[1]),
        (PollStart, 20, 1, NONE),
        (WokenBy, 21, 2, &[0, 0]),
        (WokenBy, 22, 2, &[1, 0]),
        (WokenBy, 23, 2, &[2, 1]),
        (WokenBy, 24, 2, &[2, 2]),
        (WokenBy, 25, 2, &[2, 9]),
        (WokenBy, 26, 2, &[3, 0]),
        (WokenBy, 27, 2, &[77, 1]),
        (PollEnd, 30, 1, NONE),
    ]);
    let sources = decoded.events.iter().filter_map(|event| match event {
        Event::Wake { at, source, .. } => Some((*at, *source)),
        _ => None,
    });
    let expected = [
        (21, WakeSource::Driver),
        (22, WakeSource::Thread),
        (23, WakeSource::Task(task(1))),
        (24, WakeSource::SelfWake),
        (25, WakeSource::Unknown),
        (26, WakeSource::Unknown),
        (27, WakeSource::Unknown),
    ];
    assert_eq!(sources.collect::<Vec<_>>(), expected);
    assert_eq!(decoded.decoder.caveats(), "");
}

/// A poll on one thread waits for a stated wake on another one that has the later time.
#[test]
fn poll_waits_for_a_stated_wake() {
    let first = [(Spawn, 10, 1, &[1][..]), (PollStart, 20, 1, NONE), (PollEnd, 30, 1, NONE)];
    let decoded = python()
        .records(1, &first)
        .records(1, &[(PollStart, 40, 1, NONE), (PollEnd, 60, 1, NONE)])
        .records(2, &[(WokenBy, 50, 1, &[1, 0])])
        .round(1_000)
        .decode();
    assert_eq!(decoded.decoder.caveats(), "");
    let at = |is: fn(&Event) -> bool| decoded.events.iter().rposition(is).expect("an event");
    assert!(at(|event| matches!(event, Event::Wake { .. })) < at(|event| matches!(event, Event::PollStart { .. })));
}

#[test]
fn await_lasts_until_the_poll_after_it() {
    let decoded = decode(&[
        (Spawn, 10, 1, &[1]),
        (PollStart, 20, 1, NONE),
        (Suspended, 28, 1, &[2, 0, 1]),
        (PollEnd, 30, 1, NONE),
        // The same await again.
        (WokenBy, 40, 1, &[0, 0]),
        (PollStart, 50, 1, NONE),
        (Suspended, 52, 1, &[2, 0, 1]),
        (PollEnd, 53, 1, NONE),
        // Another one.
        (WokenBy, 60, 1, &[0, 0]),
        (PollStart, 70, 1, NONE),
        (Suspended, 80, 1, &[3, 0, 2]),
        (PollEnd, 81, 1, NONE),
        (WokenBy, 90, 1, &[0, 0]),
        (PollStart, 100, 1, NONE),
        (TaskEnded, 110, 1, &[0]),
        (PollEnd, 111, 1, NONE),
    ]);
    let trace = &decoded.trace;
    let expected =
        [("sleep", 28, Some(70), 3, AwaitOutcome::Ready), ("Queue.get", 80, Some(100), 2, AwaitOutcome::Ready)];
    assert_eq!(awaits(trace), expected);
    assert!(matches!(trace.state_at(task(1), 45), Some(TaskState::Scheduled)));
    assert!(matches!(trace.state_at(task(1), 35), Some(TaskState::Waiting(Some(_), AwaitKind::Timer))));
    assert!(matches!(trace.state_at(task(1), 85), Some(TaskState::Waiting(Some(_), AwaitKind::Channel))));
    let site = trace.site(trace.awaits().iter().next().expect("an await").1.site).expect("a site");
    let chain: Vec<String> = site.chain.iter().flat_map(|chain| chain.iter()).map(ToString::to_string).collect();
    assert_eq!(chain, ["main (app.py:12)", "nap (app.py:7)"]);
    assert_eq!(site.location.as_ref().map(|location| location.line), Some(7), "the innermost function");
    assert_eq!(decoded.decoder.caveats(), "");
}

/// How the await of a task ended, by what follows its suspension from 20 to 30.
#[test]
fn awaits_end_as_the_program_states() {
    let cases: &[(&str, ThreadRecords, Option<u64>, AwaitOutcome)] = &[
        ("nothing", &[], None, AwaitOutcome::Pending),
        ("a poll under way", &[(PollStart, 50, 1, NONE)], None, AwaitOutcome::Pending),
        (
            "cancelled before the poll",
            &[(AwaitEnded, 45, 1, &[1]), (PollStart, 50, 1, NONE), (Suspended, 60, 1, &[3, 0, 2])],
            Some(50),
            AwaitOutcome::Cancelled,
        ),
        (
            "an exception in the poll",
            &[(PollStart, 50, 1, NONE), (AwaitEnded, 55, 1, &[2]), (Suspended, 60, 1, &[3, 0, 2])],
            Some(50),
            AwaitOutcome::Ready,
        ),
        (
            "the task completed",
            &[(PollStart, 50, 1, NONE), (TaskEnded, 60, 1, &[0]), (PollEnd, 61, 1, NONE)],
            Some(50),
            AwaitOutcome::Ready,
        ),
        (
            "the task was cancelled",
            &[(PollStart, 50, 1, NONE), (TaskEnded, 60, 1, &[1]), (PollEnd, 61, 1, NONE)],
            Some(50),
            AwaitOutcome::Cancelled,
        ),
        ("the loop was closed", &[(TaskClosed, 60, 1, NONE)], Some(60), AwaitOutcome::Cancelled),
        (
            "events were dropped",
            &[(Dropped, 41, 3, &[45]), (PollStart, 50, 1, NONE), (Suspended, 60, 1, &[3, 0, 2])],
            Some(50),
            AwaitOutcome::Unknown,
        ),
    ];
    for (case, after, end, outcome) in cases {
        let mut records = vec![
            (Spawn, 10, 1, &[1][..]),
            (PollStart, 20, 1, NONE),
            (Suspended, 28, 1, &[2, 0, 1]),
            (PollEnd, 30, 1, NONE),
            (WokenBy, 40, 1, &[0, 0]),
        ];
        records.extend_from_slice(after);
        let decoded = decode(&records);
        let found = awaits(&decoded.trace)[0];
        assert_eq!((found.1, found.2, found.4), (28, *end, *outcome), "{case}");
    }
}

#[test]
fn resources_have_the_stated_kinds() {
    let records: ThreadRecords = &[
        (Spawn, 10, 1, &[1]),
        (ResourceCreated, 11, 100, &[4, 0]),
        (ResourceCreated, 12, 101, &[5, 0]),
        (ResourceCreated, 13, 102, &[6, 0]),
        (PollStart, 20, 1, NONE),
        (ResourceAttribute, 21, 100, &[1, 1]),
        (ResourceAttribute, 22, 101, &[2, 3]),
        (ResourceAttribute, 23, 102, &[3, 1]),
        (Suspended, 24, 1, &[3, 101, 1]),
        (PollEnd, 30, 1, NONE),
    ];
    let decoded = python()
        .python_site(4, ("lock", "Lock"), &[])
        .python_site(5, ("channel", "Queue"), &[])
        .python_site(6, ("signal", "Event"), &[])
        .attribute_name(1, "locked")
        .attribute_name(2, "length")
        .attribute_name(3, "is_set")
        .records(1, records)
        .round(1_000)
        .decode();
    let resources = decoded.trace.resources();
    let entries: Vec<_> =
        (0..3).map(|index| resources.entry(loopscope::trace::ResourceId::from_index(index))).collect();
    let kinds: Vec<_> = entries.iter().flatten().map(|entry| (entry.resource.kind, &*entry.resource.name)).collect();
    let expected = [(ResourceKind::Lock, "Lock"), (ResourceKind::Channel, "Queue"), (ResourceKind::Signal, "Event")];
    assert_eq!(kinds, expected);
    let values: Vec<_> = entries.iter().flatten().map(|entry| &*entry.attributes()[0].value).collect();
    assert_eq!(values, ["true", "3", "true"]);
    let owned = decoded
        .events
        .iter()
        .any(|event| matches!(event, Event::ResourceAcquire { task: owner, at: 21, .. } if *owner == task(1)));
    assert!(owned, "the polled task owns the lock");
    let found = decoded.trace.awaits().iter().next().expect("an await").1;
    assert_eq!(found.resource().map(|id| id.index()), Some(1));
}

#[test]
fn callbacks_are_no_task() {
    let decoded = python()
        .python_site(4, ("callback", "callbacks"), &[])
        .records(1, &[(Spawn, 10, 9, &[4]), (PollStart, 20, 9, NONE), (PollEnd, 30, 9, NONE)])
        .records(1, &[(PollStart, 40, 9, NONE), (PollEnd, 50, 9, NONE)])
        .round(1_000)
        .decode();
    let callbacks = decoded.trace.task(task(1)).expect("a task");
    assert_eq!((callbacks.meta.kind, callbacks.counts.polls), (TaskKind::Callback, 2));
    assert_eq!((callbacks.meta.kind.role(), decoded.trace.task_counts().spawned), ("callback", 0));
    assert_eq!(decoded.trace.counts().busy_ns, 20, "they occupy the loop");
    assert_eq!(decoded.decoder.caveats(), "", "they need no wakes");
}

#[test]
fn exceptions_are_the_outcomes_of_tasks() {
    let ended: ThreadRecords = &[
        (Spawn, 10, 1, &[1]),
        (Spawn, 11, 2, &[1]),
        (PollStart, 20, 1, NONE),
        (TaskEnded, 21, 1, &[2]),
        (PollEnd, 22, 1, NONE),
        (PollStart, 30, 2, NONE),
        (TaskEnded, 31, 2, &[2]),
        (PollEnd, 32, 2, NONE),
    ];
    let decoded = python()
        .define(&Definition::TaskError { task: 1, text: TRACEBACK.to_owned() })
        .records(1, ended)
        .round(1_000)
        .decode();
    let outcome = |number| decoded.trace.task(task(number)).and_then(|task| task.outcome.clone());
    let Some(TaskOutcome::Failed(error)) = outcome(1) else { panic!("it failed") };
    assert_eq!(error.lines().next(), Some("exception: ValueError: no"));
    assert!(error.contains("line 3, in work"), "{error}");
    assert_eq!(outcome(2), Some(TaskOutcome::Failed("exception: unknown".into())));
}

/// Messages arrive apart from the records: before the spawn of their task, or after its end.
#[test]
fn messages_find_their_tasks() {
    let notice = |ticks, kind: &str, name: &str, text: &str| {
        let (kind, name, text) = (kind.to_owned(), name.to_owned(), text.to_owned());
        let file = "/home/me/app.py".to_owned();
        Definition::Notice(Notice { ticks, task: 1, kind, name, file, line: 8, text })
    };
    let output = |ticks, task, is_error, text: &str| Output { ticks, task, is_error, text: text.to_owned() };
    let decoded = python()
        .json(FrameKind::Output, &output(22, 1, false, "\u{1b}[31m one\u{1b}[0m"))
        .json(FrameKind::Output, &output(60, 9, true, "two"))
        .define(&notice(23, "never_awaited", "work", ""))
        .define(&notice(70, "never_retrieved", "", TRACEBACK))
        .define(&notice(71, "something_else", "", ""))
        .records(1, &[(Spawn, 10, 1, &[1]), (PollStart, 20, 1, NONE), (TaskEnded, 30, 1, &[2]), (PollEnd, 31, 1, NONE)])
        .round(1_000)
        .decode();
    let trace = &decoded.trace;
    let lines: Vec<_> = trace.output().lines().iter().map(|line| (line.at, line.task, &*line.text)).collect();
    assert_eq!(lines, [(22, Some(task(1)), " one"), (60, None, "! two")]);
    let (by, at, coroutine) = &trace.resources().unawaited_coroutines()[0];
    assert_eq!((*by, *at, &*coroutine.name), (Some(task(1)), 23, "work"));
    assert_eq!(coroutine.location.as_ref().map(ToString::to_string).as_deref(), Some("/home/me/app.py:8"));
    let unretrieved = trace.notices().unretrieved();
    assert_eq!(unretrieved.len(), 1);
    assert_eq!((unretrieved[0].task, unretrieved[0].at, &*unretrieved[0].error), (Some(task(1)), 70, "ValueError: no"));
}

#[test]
fn last_sample_of_a_poll_counts() {
    let decoded = python()
        .python_site(4, ("", ""), &[("main", 30), ("parse", 31)])
        .python_site(5, ("", ""), &[("main", 30), ("parse", 32)])
        .records(1, &[(Sampled, 5, 1, &[4]), (Spawn, 10, 1, &[1]), (PollStart, 20, 1, NONE), (Sampled, 25, 1, &[4])])
        .records(1, &[(Sampled, 28, 1, &[5]), (Sampled, 29, 1, &[99]), (PollEnd, 30, 1, NONE), (Sampled, 35, 1, &[4])])
        .round(1_000)
        .decode();
    let notices = decoded.trace.notices();
    let sample = notices.sample(task(1), 20, 30).expect("a sample");
    assert_eq!((sample.at, sample.frame.to_string().as_str()), (28, "parse (app.py:32)"));
    assert_eq!(notices.sample(task(1), 29, 100), None);
}

/// A call that blocked its thread lies inside the poll, which goes on afterwards. Its start comes from the program.
#[test]
fn blocking_calls_are_awaits_inside_a_poll() {
    let decoded = python()
        .python_site(4, ("block", "time.sleep"), &[("main", 30), ("rest", 31)])
        .records(
            1,
            &[(Blocked, 5, 1, &[4, 1]), (Spawn, 10, 1, &[1]), (Blocked, 15, 1, &[4, 12]), (PollStart, 20, 1, NONE)],
        )
        .records(1, &[(Blocked, 28, 1, &[4, 22]), (Blocked, 30, 1, &[4, 0]), (Blocked, 33, 1, &[4, 99])])
        .records(1, &[(Suspended, 40, 1, &[99, 0, 1]), (PollEnd, 40, 1, NONE), (Blocked, 45, 1, &[4, 41])])
        .round(1_000)
        .decode();
    let calls = awaits(&decoded.trace).into_iter().filter(|found| found.0 == "time.sleep").collect::<Vec<_>>();
    let call = |start, end| ("time.sleep", start, Some(end), 1, AwaitOutcome::Ready);
    // A start that cannot be is that of what is known before.
    assert_eq!(calls, [call(22, 28), call(28, 30), call(33, 33)]);
    let site = decoded.trace.awaits().iter().find_map(|(_, found)| decoded.trace.site(found.site));
    let site = site.expect("a site");
    assert_eq!(site.kind, AwaitKind::BlockingCall);
    assert_eq!(site.location.as_ref().map(ToString::to_string).as_deref(), Some("/home/me/app.py:31"));
}

/// Frames, texts and the numbers of awaits come from the program and are bounded.
#[test]
fn chains_are_bounded() {
    let frame = StackFrame { function: "\u{1b}f".repeat(300), file: "x".repeat(2_000), line: 1 };
    let site = Site { id: 4, kind: "io".to_owned(), frames: vec![frame; 70], ..Site::default() };
    let decoded = python()
        .define(&Definition::Site(site))
        .records(1, &[(Spawn, 10, 1, &[1]), (PollStart, 20, 1, NONE), (Suspended, 21, 1, &[4, 0, u64::MAX])])
        .records(1, &[(Suspended, 22, 1, &[99, 99, 0]), (Suspended, 23, 7, &[4, 0, 1]), (AwaitEnded, 24, 7, &[9])])
        .round(1_000)
        .decode();
    let sites = decoded.events.iter().filter_map(|event| match event {
        Event::NewAwaitSite { site, .. } => Some(site),
        _ => None,
    });
    let sites: Vec<_> = sites.collect();
    let chain = sites[0].chain.as_ref().expect("a chain");
    assert_eq!((chain.len(), sites[0].kind), (64, AwaitKind::Io));
    let function = &chain[0].function;
    assert!(function.len() <= 256 && !function.contains('\u{1b}'), "{function:?}");
    assert!(chain[0].location.as_ref().expect("a location").file.len() <= 1_024);
    assert_eq!(sites[1].chain, None, "an unknown site");
}

/// Old descriptions and sites have none of the new fields.
#[test]
fn new_fields_may_be_absent() {
    let hello = serde_json::to_value(asyncio_hello()).expect("JSON");
    let mut hello = hello.as_object().expect("an object").clone();
    hello.remove("runtime_version");
    let site = Definition::Site(Site { id: 1, frames: frames(&[]), ..Site::default() });
    assert!(!serde_json::to_string(&site).expect("JSON").contains("frames"));
    let stream = ProbeStreamBuilder::default().json(FrameKind::Hello, &hello).define(&site).end_snapshot();
    let decoded = Decoded::of(AppProbeDecoder::of_connection(), stream.bytes()).expect("a stream");
    assert_eq!(decoded.decoder.hello().map(|hello| hello.runtime_version.as_str()), Some(""));
    assert_eq!(decoded.decoder.caveats(), "");
}

#[test]
fn archive_keeps_chains_and_notices() {
    let notice = unretrieved_exception(70);
    let records: ThreadRecords = &[
        (Spawn, 10, 1, &[1]),
        (Spawn, 11, 2, &[4]),
        (PollStart, 20, 1, NONE),
        (Sampled, 25, 1, &[2]),
        (Suspended, 28, 1, &[3, 0, 1]),
        (Suspended, 29, 1, &[2, 0, 2]),
        (PollEnd, 30, 1, NONE),
    ];
    let decoded = python()
        .python_site(4, ("callback", "callbacks"), &[])
        .define(&Definition::Notice(notice))
        .records(1, records)
        .round(1_000)
        .decode();
    let written = crate::archive::write_at_once(&decoded.trace);
    // A seed for fuzzing, which later versions must read. `UPDATE_SNAPSHOTS=1` writes it if it is missing.
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/seeds/archive/await-chains");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() && !path.exists() {
        std::fs::write(&path, &written).expect("a writable file");
    }
    let seed = std::fs::read(&path).expect("the seed is in the repository");
    let opened = [written, seed].map(|bytes| read_archive(&bytes[..], usize::MAX).expect("an archive"));
    assert!(opened.iter().all(|opened| opened.notes.is_empty()));
    for (number, trace) in [&decoded.trace, &opened[0].trace, &opened[1].trace].into_iter().enumerate() {
        let sites: Vec<_> = trace.awaits().iter().filter_map(|(_, found)| trace.site(found.site)).collect();
        let lengths: Vec<_> = sites.iter().map(|site| site.chain.as_ref().map(|chain| chain.len())).collect();
        assert_eq!(lengths, [Some(1), Some(2)], "trace {number}");
        assert_eq!(trace.notices(), decoded.trace.notices());
        assert!(trace.notices().sample(task(1), 20, 30).is_some() && trace.notices().unretrieved().len() == 1);
        assert_eq!(trace.task(task(2)).map(|task| task.meta.kind), Some(TaskKind::Callback));
    }
}

/// Returns the findings of a stream by lint: message and evidence.
fn findings(decoded: &Decoded) -> Vec<(&'static str, String)> {
    let found = run_lints(&decoded.trace, &Thresholds::default()).listed;
    found.into_iter().map(|found| (found.name, format!("{}; {}", found.message, found.evidence))).collect()
}

/// A task blocks the loop while another one is woken, and ends with an exception that nothing retrieves.
#[test]
fn findings_name_what_python_reports() {
    const LONG: u64 = 300_000_000;
    let unretrieved = unretrieved_exception(LONG + 50);
    let records: ThreadRecords = &[
        (Spawn, 10, 1, &[1]),
        (Spawn, 11, 2, &[1]),
        (PollStart, 20, 1, NONE),
        (Sampled, LONG / 2, 1, &[2]),
        (TaskEnded, LONG, 1, &[2]),
        (PollEnd, LONG + 1, 1, NONE),
        (PollStart, LONG + 10, 2, NONE),
        (TaskEnded, LONG + 20, 2, &[0]),
        (PollEnd, LONG + 21, 2, NONE),
    ];
    let decoded = python()
        .define(&Definition::TaskName { task: 1, name: "parser".to_owned() })
        .define(&Definition::TaskError { task: 1, text: TRACEBACK.to_owned() })
        .define(&Definition::Notice(unretrieved))
        .records(1, records)
        .round(2 * LONG)
        .decode();
    let found = findings(&decoded);
    let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["blocked-loop", "failed-task", "never-retrieved"], "{found:?}");
    let text = |name: &str| found.iter().find(|(found, _)| *found == name).map_or("", |(_, text)| text.as_str());
    assert!(text("blocked-loop").contains("sampled at /home/me/app.py:7 in nap"), "{found:?}");
    assert!(text("failed-task").contains("parser ended with an exception"), "{found:?}");
    assert!(text("failed-task").contains("ValueError: no"), "{found:?}");
    assert!(text("never-retrieved").contains("the exception of parser was never retrieved"), "{found:?}");
}

/// One task stands for all callbacks. It blocks the loop like others, but it neither leaks nor spins.
#[test]
fn callbacks_only_block_the_loop() {
    const LONG: u64 = 300_000_000;
    let mut stream = python().python_site(4, ("callback", "callbacks"), &[]).records(1, &[(Spawn, 10, 9, &[4])]);
    for number in 0..20_000 {
        let at = 100 + 20 * number;
        stream = stream.records(1, &[(PollStart, at, 9, NONE), (PollEnd, at + 10, 9, NONE)]);
    }
    let decoded = stream
        .records(1, &[(PollStart, LONG, 9, NONE), (Sampled, LONG + 5, 9, &[2]), (PollEnd, 2 * LONG, 9, NONE)])
        .round(3 * LONG)
        .decode();
    let found = findings(&decoded);
    assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["blocked-loop"], "{found:?}");
}

/// The chain of the current wait, or of the last one.
#[test]
fn report_has_the_await_chain() {
    let decoded = python()
        .records(1, &[(Spawn, 10, 1, &[1]), (Spawn, 11, 2, &[1]), (Spawn, 12, 3, &[1])])
        .records(1, &[(PollStart, 20, 1, NONE), (Suspended, 21, 1, &[2, 0, 1]), (PollEnd, 22, 1, NONE)])
        .records(1, &[(PollStart, 30, 2, NONE), (Suspended, 31, 2, &[3, 0, 2]), (PollEnd, 32, 2, NONE)])
        .records(1, &[(WokenBy, 40, 2, &[0, 0]), (PollStart, 41, 2, NONE), (TaskEnded, 42, 2, &[0])])
        .records(1, &[(PollEnd, 43, 2, NONE)])
        .round(1_000)
        .decode();
    let source = RunSource::external(SourceKind::Attach, "app".to_owned());
    let found = run_lints(&decoded.trace, &Thresholds::default());
    let input = ReportInput {
        source: &source,
        trace: &decoded.trace,
        outcome: &RunOutcome::Detached,
        feed: FeedChoice::Probe,
        findings: &found,
        full: true,
    };
    let report = JsonReport::new(&input).value();
    assert_eq!(crate::report_docs::schema_errors(&report), [""; 0]);
    let chain = |index: usize| report["tasks"][index]["await_chain"].clone();
    assert_eq!(chain(0), serde_json::json!(["main (app.py:12)", "nap (app.py:7)"]));
    assert_eq!(chain(1), serde_json::json!(["main (app.py:14)"]), "its last wait");
    assert_eq!(chain(2), serde_json::json!([]));
}
