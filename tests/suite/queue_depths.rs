//! Sampled depths of the runtime's queues: from a real program through the socket to report and archive, and from streams
//! that are written by hand.

use loopscope::control::{FeedChoice, RunOutcome, SourceKind};
use loopscope::feed::archive::{ArchiveHeader, ArchiveWriter, encode_beginning, read_archive};
use loopscope::insight::Findings;
use loopscope::report::{JsonReport, ReportInput, RunSource, write_text};
use loopscope::session::Session;
use loopscope::trace::{Event, Nanos, QueueSample, TaskKind, TaskOutcome, Trace, WorkerId};
use loopscope_probe::record::RecordKind::{self, *};
use serde_json::{Value, json};

use crate::probe_stream::ProbeStreamBuilder;
use crate::probed_apps::ConnectedApp;
use crate::report_docs::schema_errors;

const NONE: &[u64] = &[];

fn worker(index: usize) -> Option<WorkerId> {
    Some(WorkerId::from_index(index))
}

/// Returns the JSON report and the text report of a trace.
fn reports(trace: &Trace) -> (Value, String) {
    let source = RunSource::external(SourceKind::Attach, "app".to_owned());
    let (outcome, findings) = (RunOutcome::Detached, Findings::default());
    let input = ReportInput {
        source: &source,
        trace,
        outcome: &outcome,
        feed: FeedChoice::Probe,
        findings: &findings,
        full: false,
    };
    let mut text = Vec::new();
    write_text(&input, &mut text).expect("writing to memory cannot fail");
    let report = JsonReport::new(&input).value();
    assert_eq!(schema_errors(&report), [""; 0]);
    (report, String::from_utf8(text).expect("UTF-8"))
}

/// Returns the bytes of an archive, and the length of what precedes the tail.
fn archive(trace: &Trace) -> (Vec<u8>, usize) {
    let mut file = encode_beginning(&ArchiveHeader { source: "attach".to_owned(), ..ArchiveHeader::default() });
    let mut writer = ArchiveWriter::default();
    writer.write_new_chunks(trace, &mut file).expect("writing to memory cannot fail");
    writer.flush(&mut file).expect("writing to memory cannot fail");
    let length = file.len();
    file.extend(writer.encode_tail(trace, None, "").expect("it fits into one chunk"));
    (file, length)
}

/// Returns the last depths of the global queue and of the queue of the only worker, each with its maximum.
fn depths(trace: &Trace) -> [Option<(u32, u32)>; 2] {
    let of = |worker| Some((trace.queue_depth_at(worker, Nanos::MAX)?, trace.max_queue_depth(worker)?));
    [of(None), of(worker(0))]
}

/// The worker of a multi-threaded runtime keeps the task that was spawned last beside its queue, to run it next.
fn check_queues(workers: &str, hooks: &str, local: u32) {
    let mut app = ConnectedApp::start(&["queues", workers, hooks]);
    let full = [Some((7, 7)), Some((local, local))];
    app.until("full queues", |session| depths(session.trace()) == full);
    let trace = app.session.trace();
    let (report, text) = reports(trace);
    let queue = |depth: u32, max_depth: u32| json!({ "depth": depth, "max_depth": max_depth });
    assert_eq!(report["workers"][0]["queue"], queue(local, local));
    assert_eq!(report["loop"]["global_queue"], queue(7, 7));
    assert!(text.contains("global queue 7 (max 7); queue depths are samples, not exact"), "{text}");
    let row = text.lines().skip_while(|line| *line != "workers (1)").nth(2).expect("the worker");
    let last: Vec<&str> = row.split_whitespace().rev().take(2).collect();
    assert_eq!(last, [local.to_string(), local.to_string()], "{text}");
    let opened = read_archive(&archive(trace).0[..], usize::MAX).expect("the archive opens");
    assert_eq!(depths(&opened.trace), full);

    app.write_line("go on");
    if workers == "0" {
        // `main` blocks the worker until the end, so that these are never polled.
        app.until("the queue at the end", |session| depths(session.trace())[1] == Some((5, local)));
    }
    app.write_line("end");
    app.run_to_end();
    let trace = app.session.trace();
    assert_eq!(depths(trace), [Some((0, 7)), Some((0, local))], "the queues are empty or gone");
    if workers == "0" {
        let main = trace.tasks().iter().find(|task| task.meta.kind == TaskKind::BlockOn).expect("`main`");
        assert_eq!((main.counts.polls, &main.outcome), (2, &Some(TaskOutcome::Completed)));
        let note = app.session.status().connection.expect("a connection").note;
        assert!(!note.contains("doubtful"), "{note}");
    }
    let blocked_at = trace.tasks().iter().find(|task| task.name() == "blocker").expect("the task").lane.spawned_at();
    let before = [None, worker(0)].map(|queue| trace.queue_depth_at(queue, blocked_at).unwrap_or(0));
    assert_eq!(before, [0, 0], "at an earlier time");
}

#[test]
fn queues_of_a_worker_are_counted() {
    check_queues("1", "hooks", 19);
}

#[test]
fn queues_are_counted_without_hooks() {
    check_queues("1", "spans", 19);
}

#[test]
fn queues_of_a_current_thread_runtime_are_counted() {
    check_queues("0", "hooks", 20);
}

/// A record: kind, time, subject and arguments.
type QueueRecord<'a> = (RecordKind, u64, u64, &'a [u64]);

/// A stream of a program whose thread 1 is worker 0 of runtime 1, and whose thread 2 samples.
fn stream(worker: &[QueueRecord<'_>], samples: &[QueueRecord<'_>]) -> Trace {
    let stream = ProbeStreamBuilder::new().site(1, "task", "").thread(1, Some(0)).thread(2, None);
    stream.records(1, worker).records(2, samples).round(100).decode().trace
}

#[test]
fn samples_wait_for_their_worker() {
    let polls = [(Spawn, 20, 1, &[1][..]), (PollStart, 30, 1, NONE), (PollEnd, 40, 1, NONE)];
    let trace = stream(&polls, &[(LocalQueueDepth, 10, 1, &[0, 5]), (LocalQueueDepth, 50, 1, &[0, 2])]);
    assert_eq!(trace.workers().len(), 1);
    let at = |at: Nanos| trace.queue_depth_at(worker(0), at);
    assert_eq!([at(29), at(30), at(100)], [None, Some(2), Some(2)], "changes within 0.1 ms share an entry");
    assert_eq!(trace.max_queue_depth(worker(0)), Some(5));
    let unseen = stream(&[], &[(LocalQueueDepth, 10, 1, &[3, 5])]);
    assert!(unseen.workers().is_empty(), "a sample alone does not show a worker");
}

#[test]
fn global_queues_of_runtimes_add_up() {
    let samples = [
        (GlobalQueueDepth, 10, 1, &[5][..]),
        (GlobalQueueDepth, 20, 2, &[3]),
        (GlobalQueueDepth, 30, 1, &[0]),
        (GlobalQueueDepth, 40, u64::MAX, &[9]),
    ];
    let trace = stream(&[], &samples);
    assert_eq!((trace.queue_depth_at(None, 100), trace.max_queue_depth(None)), (Some(3), Some(8)));
    let huge = stream(&[], &[(GlobalQueueDepth, 10, 1, &[u64::MAX]), (GlobalQueueDepth, 20, 2, &[u64::MAX])]);
    assert_eq!(huge.queue_depth_at(None, 100), Some(u32::MAX));
}

/// A program whose queues are not sampled has a trace, an archive and a report as before.
#[test]
fn unknown_queues_are_left_out() {
    let polls = [(Spawn, 20, 1, &[1][..]), (PollStart, 30, 1, NONE), (PollEnd, 40, 1, NONE)];
    let trace = stream(&polls, &[]);
    let (report, text) = reports(&trace);
    assert_eq!((report["workers"][0].get("queue"), report["loop"].get("global_queue")), (None, None));
    assert!(!text.contains("queue"), "{text}");
    assert_eq!(trace.encode_queue_depths(), None);
    let opened = read_archive(&archive(&trace).0[..], usize::MAX).expect("the archive opens");
    assert_eq!(depths(&opened.trace), [None, None]);
}

/// The depths stand in a chunk after the tail. A file that is cut within it lacks nothing else.
#[test]
fn archive_keeps_its_tail_without_depths() {
    let mut trace = stream(&[(Spawn, 20, 1, &[1])], &[]);
    for sample in 0..100 {
        trace.apply(Event::QueueDepth(QueueSample { worker: None, at: sample * 10_000_000, depth: sample as u32 }));
    }
    let (file, _) = archive(&trace);
    let depths_length = 9 + trace.encode_queue_depths().expect("there are depths").len();
    let whole = read_archive(&file[..], usize::MAX).expect("the archive opens");
    assert_eq!(whole.trace.queue_depth_at(None, 555_000_000), Some(55));
    for length in [file.len() - depths_length, file.len() - 1] {
        let cut = read_archive(&file[..length], usize::MAX).expect("the archive opens");
        assert_eq!((cut.trace.now(), cut.trace.tasks().len()), (trace.now(), 1));
        assert_eq!(cut.trace.max_queue_depth(None), None);
    }
}
