//! Streams of programs with the probe, written by hand: order between threads, awaits, owners, gaps, and malicious input.

use loopscope::feed::app_probe::{AppProbeDecoder, ProbeError, is_probe_file};
use loopscope::trace::{
    AwaitKind, AwaitOutcome, Event, PauseReason, ResourceKind, TaskId, TaskOutcome, TaskState, WakeSource,
};
use loopscope_probe::protocol::{FILE_MAGIC, Facts, FrameKind, Hello, Output};
use loopscope_probe::record::RecordKind::{self, *};

use crate::probe_stream::{Decoded, ProbeStreamBuilder, hello};

const NONE: &[u64] = &[];

fn task(number: usize) -> TaskId {
    TaskId::from_index(number - 1)
}

/// Returns the events of one task as text: kind, time and wake source.
fn story(decoded: &Decoded, of: TaskId) -> Vec<String> {
    let describe = |event: &Event| match event {
        Event::Spawn { task, at, meta } if *task == of => {
            Some(format!("{at} spawn by {}", meta.parent.map_or(0, TaskId::number)))
        }
        Event::PollStart { task, at } if *task == of => Some(format!("{at} poll")),
        Event::PollEnd { task, at } if *task == of => Some(format!("{at} return")),
        Event::Wake { task, at, source } if *task == of => Some(match source {
            WakeSource::Task(waker) => format!("{at} woken by {waker}"),
            source => format!("{at} woken by {}", source.name()),
        }),
        Event::TaskEnd { task, at, outcome } if *task == of => Some(format!("{at} {outcome:?}")),
        _ => None,
    };
    decoded.events.iter().filter_map(describe).collect()
}

fn caveats(decoded: &Decoded) -> String {
    decoded.decoder.caveats()
}

#[test]
fn wakes_have_their_sources() {
    let decoded = ProbeStreamBuilder::new()
        .site(1, "task", "")
        .thread(1, Some(0))
        .thread(2, None)
        .records(
            1,
            &[
                (Spawn, 10, 1, &[1]),
                (PollStart, 20, 1, NONE),
                (Spawn, 21, 2, &[1]),
                (Wake, 22, 1, NONE),
                (PollEnd, 30, 1, NONE),
                (PollStart, 31, 2, NONE),
                (Wake, 32, 1, NONE),
                (PollEnd, 40, 2, NONE),
                (Wake, 50, 2, NONE),
                (WakeDeferred, 51, 1, NONE),
            ],
        )
        .records(2, &[(Wake, 60, 2, NONE)])
        .round(100)
        .decode();
    assert_eq!(
        story(&decoded, task(1)),
        ["10 spawn by 0", "20 poll", "22 woken by self", "30 return", "32 woken by 2", "51 woken by self"]
    );
    assert_eq!(
        story(&decoded, task(2)),
        ["21 spawn by 1", "31 poll", "40 return", "50 woken by driver", "60 woken by thread"]
    );
    assert_eq!(caveats(&decoded), "");
}

/// Each rule of `docs/protocol.md`: the record of thread 2 has the earlier time, but depends on one of thread 1.
#[test]
fn records_wait_for_what_they_depend_on() {
    type Records<'a> = &'a [(RecordKind, u64, u64, &'a [u64])];
    let cases: &[(&str, Records, Records, &[&str])] = &[
        (
            "spawn before anything else",
            &[(Spawn, 50, 1, &[1])],
            &[(PollStart, 40, 1, NONE), (PollEnd, 60, 1, NONE)],
            &["50 spawn by 0", "50 poll", "60 return"],
        ),
        (
            "one poll at a time",
            &[(Spawn, 10, 1, &[1]), (PollStart, 20, 1, NONE), (Wake, 25, 1, NONE), (PollEnd, 50, 1, NONE)],
            &[(PollStart, 40, 1, NONE), (PollEnd, 60, 1, NONE)],
            &["10 spawn by 0", "20 poll", "25 woken by self", "50 return", "50 poll", "60 return"],
        ),
        (
            "a wake before the poll",
            &[(Spawn, 10, 1, &[1]), (PollStart, 20, 1, NONE), (PollEnd, 30, 1, NONE), (Wake, 50, 1, NONE)],
            &[(PollStart, 40, 1, NONE), (PollEnd, 60, 1, NONE)],
            &["10 spawn by 0", "20 poll", "30 return", "50 woken by driver", "50 poll", "60 return"],
        ),
        (
            "nothing after the end",
            &[(Spawn, 10, 1, &[1]), (PollStart, 20, 1, NONE), (PollEnd, 50, 1, NONE)],
            &[(TaskEnded, 40, 1, &[0]), (TaskClosed, 41, 1, NONE), (Wake, 60, 1, NONE)],
            &["10 spawn by 0", "20 poll", "50 return", "50 Completed"],
        ),
    ];
    for (rule, first, second, expected) in cases {
        let stream = || ProbeStreamBuilder::new().site(1, "task", "").thread(1, Some(0)).thread(2, Some(1));
        let orders = [
            stream().records(1, first).records(2, second).round(100),
            // The records of thread 1 come a round later.
            stream().records(2, second).round(100).records(1, first).round(200),
        ];
        for (index, stream) in orders.into_iter().enumerate() {
            let decoded = stream.decode();
            assert_eq!(story(&decoded, task(1)), *expected, "{rule}, order {index}");
            assert_eq!(caveats(&decoded), "", "{rule}");
        }
    }
}

#[test]
fn missing_dependencies_are_doubtful() {
    let decoded = ProbeStreamBuilder::new()
        .site(1, "task", "")
        .thread(1, Some(0))
        .records(
            1,
            &[
                (Spawn, 10, 1, &[1]),
                (PollStart, 20, 1, NONE),
                (PollEnd, 30, 1, NONE),
                (PollStart, 40, 1, NONE),
                (PollEnd, 50, 1, NONE),
            ],
        )
        .round(100)
        .round(200)
        .round(300)
        .decode();
    assert_eq!(story(&decoded, task(1)), ["10 spawn by 0", "20 poll", "30 return", "40 poll", "50 return"]);
    assert_eq!(caveats(&decoded), "1 records in doubtful order");
    assert_eq!(decoded.events.iter().filter(|event| matches!(event, Event::OrderDoubtful)).count(), 1);
    // A poll after the end of its task is not shown.
    let ended = [(Spawn, 10, 1, &[1][..]), (PollStart, 20, 1, NONE), (PollEnd, 30, 1, NONE), (TaskEnded, 31, 1, &[0])];
    let late = [(PollStart, 40, 1, NONE), (PollEnd, 50, 1, NONE)];
    let stream = ProbeStreamBuilder::new().site(1, "task", "").thread(1, Some(0)).thread(2, Some(1));
    let decoded = stream.records(1, &ended).records(2, &late).round(100).round(200).decode();
    assert_eq!(story(&decoded, task(1)), ["10 spawn by 0", "20 poll", "30 return", "31 Completed"]);
    assert_eq!(caveats(&decoded), "1 records in doubtful order");
}

/// A task that is aborted while it waits is polled without a wake. With hooks, the program says that it did not run.
#[test]
fn aborted_tasks_are_not_polled() {
    let start = || ProbeStreamBuilder::new().site(1, "task", "").thread(1, Some(0));
    let polled = [(Spawn, 10, 1, &[1][..]), (PollStart, 20, 1, NONE), (PollEnd, 30, 1, NONE)];
    let hooked = [
        polled.as_slice(),
        &[(PollStart, 40, 1, NONE), (PollSkipped, 50, 1, NONE), (TaskEnded, 51, 1, &[1]), (TaskClosed, 52, 1, NONE)],
    ];
    let decoded = start().records(1, &hooked.concat()).round(100).decode();
    assert_eq!(story(&decoded, task(1)), ["10 spawn by 0", "20 poll", "30 return", "40 Cancelled"]);
    let entered = [(Spawn, 10, 1, &[1][..]), (Enter, 20, 1, NONE), (Exit, 30, 1, NONE)];
    let dropped = [(Enter, 40, 1, NONE), (Exit, 50, 1, NONE), (TaskClosed, 52, 1, NONE)];
    let decoded =
        start().records(1, &[entered.as_slice(), &[(Park, 31, 0, NONE)], &dropped].concat()).round(100).decode();
    assert_eq!(story(&decoded, task(1)), ["10 spawn by 0", "20 poll", "30 return", "40 Cancelled"]);
    let decoded = start().records(1, &[entered.as_slice(), &dropped].concat()).round(100).decode();
    assert_eq!(story(&decoded, task(1)), ["10 spawn by 0", "20 poll", "30 return", "40 Completed"]);
    // It drops what it waited for.
    let waiting = [(OperationCreated, 25, 9, &[1, 0][..])];
    let waiting =
        [&entered[..2], &waiting, &entered[2..], &dropped[..1], &[(OperationDropped, 45, 9, NONE)], &dropped[1..]];
    let decoded = start().records(1, &waiting.concat()).round(100).decode();
    assert_eq!(story(&decoded, task(1)), ["10 spawn by 0", "20 poll", "30 return", "40 Cancelled"]);
}

/// The records that show that the last entry on the first thread is a poll are those of the drop on another one. After
/// `block_on` the thread is no worker any more, and continues as another thread of the stream.
#[test]
fn drop_on_another_thread_follows_the_last_poll() {
    let decode = |kind: &str, exit: RecordKind, in_one_round: bool| {
        let stream = ProbeStreamBuilder::new().site(1, kind, "").thread(1, Some(0)).thread(2, None);
        let polls = [(Enter, 20, 1, NONE), (Exit, 30, 1, NONE), (Wake, 35, 1, NONE), (Enter, 40, 1, NONE)];
        let polls = [&[(Spawn, 10, 1, &[1][..])][..], &polls, &[(exit, 50, 1, NONE)]].concat();
        let drops = [(Enter, 60, 1, NONE), (Exit, 61, 1, NONE), (TaskClosed, 62, 1, NONE)];
        let stream = stream.records(1, &polls);
        let stream = if in_one_round { stream } else { stream.round(55).round(56) };
        let decoded = stream.records(2, &drops).round(100).round(200).decode();
        assert_eq!(caveats(&decoded), "", "{kind}");
        story(&decoded, task(1))
    };
    let polls = ["10 spawn by 0", "20 poll", "30 return", "35 woken by driver", "40 poll", "50 return"];
    for in_one_round in [true, false] {
        let end = |kind, exit| {
            let story = decode(kind, exit, in_one_round);
            let (last, before) = story.split_last().expect("an end");
            assert_eq!(before, polls, "{kind}");
            last.clone()
        };
        assert_eq!(end("block_on", Exit), "60 Completed");
        assert_eq!(end("task", Exit), "60 Cancelled");
        assert_eq!(end("block_on", ExitPanicked), "60 Failed(\"panicked\")");
    }
}

#[test]
fn long_poll_is_shown_while_it_runs() {
    let stream = ProbeStreamBuilder::new().site(1, "task", "").thread(1, Some(0));
    let stream = stream.records(1, &[(Spawn, 10, 1, &[1]), (Enter, 20, 1, NONE)]).round(1_000).round(2_000);
    let mut decoder = AppProbeDecoder::of_connection();
    decoder.push(stream.bytes()).expect("a valid stream");
    let mut events = Vec::new();
    decoder.replay(100, &mut events);
    assert!(events.contains(&Event::PollStart { task: task(1), at: 20 }), "{events:?}");
}

#[test]
fn awaits_belong_to_the_task_that_polls_them() {
    let decoded = ProbeStreamBuilder::new()
        .site(1, "task", "")
        .site(2, "Sync", "Sender|Receiver")
        .site(3, "", "Receiver::await")
        .site(4, "timer", "Sleep")
        .site(5, "", "Sleep::new_timeout")
        .thread(1, Some(0))
        .records(
            1,
            &[
                (Spawn, 10, 1, &[1]),
                (PollStart, 20, 1, NONE),
                (ResourceCreated, 21, 100, &[2, 0]),
                (OperationCreated, 22, 200, &[3, 100]),
                (Spawn, 23, 2, &[1]),
                (PollEnd, 30, 1, NONE),
                (PollStart, 40, 2, NONE),
                (OperationPolled, 41, 200, NONE),
                (OperationPending, 42, 200, NONE),
                (ResourceCreated, 43, 101, &[4, 0]),
                (OperationCreated, 44, 201, &[5, 101]),
                (OperationPolled, 45, 201, NONE),
                (OperationPending, 46, 201, NONE),
                (PollEnd, 50, 2, NONE),
                (Wake, 60, 2, NONE),
                (PollStart, 70, 2, NONE),
                (OperationPolled, 71, 200, NONE),
                (OperationReady, 72, 200, NONE),
                (OperationDropped, 73, 200, NONE),
                (OperationDropped, 74, 201, NONE),
                (ResourceDropped, 75, 101, NONE),
                (PollEnd, 80, 2, NONE),
            ],
        )
        .round(100)
        .decode();
    let trace = &decoded.trace;
    let awaits: Vec<_> = trace.task(task(2)).expect("it lives").awaits().collect();
    assert_eq!((awaits.len(), trace.task(task(1)).expect("it lives").awaits().count()), (2, 0));
    let [oneshot, sleep] = [0, 1].map(|index| trace.awaits().get(awaits[index]).expect("an await"));
    assert_eq!(
        (oneshot.start, oneshot.end(), oneshot.polls, oneshot.outcome()),
        (41, Some(73), 2, AwaitOutcome::Ready)
    );
    assert_eq!((sleep.start, sleep.end(), sleep.outcome()), (45, Some(74), AwaitOutcome::Cancelled));
    let site = |of: &loopscope::trace::Await| trace.site(of.site).map(|site| (site.kind, site.source.to_string()));
    assert_eq!(site(&oneshot), Some((AwaitKind::Channel, "Receiver::await".to_owned())));
    assert_eq!(site(&sleep), Some((AwaitKind::Timer, "sleep".to_owned())));
    let kinds: Vec<_> = trace.resources().iter().map(|(_, entry)| entry.resource.kind).collect();
    assert_eq!(kinds, [ResourceKind::Channel, ResourceKind::Timer]);
    // Between its polls, the task waits for the channel rather than for the timer.
    assert!(
        matches!(trace.state_at(task(2), 55), Some(TaskState::Waiting(Some(id), AwaitKind::Channel)) if id == awaits[0])
    );
}

/// tokio releases a lock before it reports that. The next owner may report first.
#[test]
fn owners_follow_the_reports_of_locks() {
    let decoded = ProbeStreamBuilder::new()
        .site(1, "task", "")
        .site(2, "Sync", "Mutex")
        .attribute_name(1, "locked")
        .thread(1, Some(0))
        .thread(2, Some(1))
        .records(
            1,
            &[
                (Spawn, 10, 1, &[1]),
                (Spawn, 11, 2, &[1]),
                (ResourceCreated, 12, 100, &[2, 0]),
                (ResourceAttribute, 13, 100, &[1, 0]),
                (PollStart, 20, 1, NONE),
                (ResourceAttribute, 21, 100, &[1, 1]),
                (ResourceAttribute, 41, 100, &[1, 0]),
                (PollEnd, 50, 1, NONE),
            ],
        )
        .records(2, &[(PollStart, 30, 2, NONE), (ResourceAttribute, 40, 100, &[1, 1]), (PollEnd, 60, 2, NONE)])
        .round(100)
        .decode();
    let trace = &decoded.trace;
    let owners: Vec<_> = trace.resources().acquisitions().map(|held| (held.task, held.start, held.end())).collect();
    assert_eq!(owners, [(task(1), 21, Some(40)), (task(2), 40, None)]);
    let (_, lock) = trace.resources().iter().next().expect("a lock");
    assert!(lock.is_owned_exclusively() && trace.are_owners_reported());
}

#[test]
fn gaps_leave_outcomes_unknown() {
    let decoded = ProbeStreamBuilder::new()
        .site(1, "task", "")
        .site(3, "", "Notify::notified")
        .thread(1, Some(0))
        .records(
            1,
            &[
                (Spawn, 10, 1, &[1]),
                (PollStart, 20, 1, NONE),
                (OperationCreated, 21, 200, &[3, 0]),
                (OperationPolled, 22, 200, NONE),
                (OperationPending, 23, 200, NONE),
                (Dropped, 30, 500, &[60]),
                (Wake, 61, 1, NONE),
                (PollStart, 70, 1, NONE),
                (OperationDropped, 71, 200, NONE),
                (PollEnd, 80, 1, NONE),
                // Its spawn was dropped.
                (PollStart, 90, 2, NONE),
                (PollEnd, 95, 2, NONE),
            ],
        )
        .round(100)
        .decode();
    let trace = &decoded.trace;
    assert_eq!(
        story(&decoded, task(1)),
        ["10 spawn by 0", "20 poll", "60 return", "61 woken by unknown", "70 poll", "80 return"]
    );
    assert_eq!(story(&decoded, task(2)), ["90 spawn by 0", "90 poll", "95 return"]);
    let gaps: Vec<_> = trace.gaps().map(|gap| (gap.from, gap.to, gap.dropped)).collect();
    assert_eq!((gaps, trace.probe_feed_counts().1), (vec![(30, 60, 500)], 500));
    let (_, lost) = trace.awaits().iter().next().expect("an await");
    assert_eq!(lost.outcome(), AwaitOutcome::Unknown);
    assert_eq!(caveats(&decoded), "500 events dropped by the app: its buffers were full");
}

#[test]
fn snapshot_precedes_what_is_recorded() {
    let decoded = ProbeStreamBuilder::of(&hello())
        .site(1, "task", "")
        .site(2, "Sync", "Mutex")
        .attribute_name(1, "locked")
        .thread(1, Some(0))
        .records(
            0,
            &[
                (Spawn, 500, 7, &[1]),
                (Spawn, 400, 3, &[1]),
                (ResourceCreated, 300, 100, &[2, 0]),
                (ResourceAttribute, 300, 100, &[1, 1]),
            ],
        )
        // The thread is in the middle of a poll of task 7. Task 9 was spawned while the snapshot was made.
        .records(1, &[(Wake, 1_010, 3, NONE), (Spawn, 1_020, 9, &[1])])
        .records(0, &[(Spawn, 1_020, 9, &[1])])
        .records(1, &[(PollEnd, 1_030, 7, NONE), (Wake, 1_040, 5, NONE), (Wake, 1_041, 7, NONE)])
        .end_snapshot()
        .round(1_100)
        .records(1, &[(PollStart, 1_200, 3, NONE), (PollEnd, 1_300, 3, NONE)])
        .round(1_400)
        .decode();
    assert_eq!(story(&decoded, task(1)), ["400 spawn by 0", "1020 woken by 2", "1200 poll", "1300 return"]);
    assert_eq!(story(&decoded, task(2)), ["500 spawn by 0", "1020 poll", "1030 return", "1041 woken by driver"]);
    assert_eq!(story(&decoded, task(3)), ["1020 spawn by 2"]);
    let trace = &decoded.trace;
    let counts = [1, 2, 3].map(|number| trace.task(task(number)).expect("it lives").counts.polls);
    assert_eq!(counts, [1, 1, 0]);
    let gaps: Vec<_> = trace.gaps().map(|gap| (gap.from, gap.is_disconnected)).collect();
    assert_eq!((gaps, caveats(&decoded)), (vec![(0, true)], String::new()));
    let (_, lock) = trace.resources().iter().next().expect("a lock");
    assert_eq!((lock.created_at, lock.is_owned_exclusively(), trace.are_owners_reported()), (300, true, false));
}

#[test]
fn pauses_are_cut_out() {
    let decoded = ProbeStreamBuilder::new()
        .site(1, "task", "")
        .thread(1, Some(0))
        .records(
            1,
            &[
                (Spawn, 10, 1, &[1]),
                (Paused, 100, 1, &[1]),
                (Held, 150, 1, NONE),
                (Released, 160, 1, NONE),
                (Continued, 1_100, 0, NONE),
                (PollStart, 1_110, 1, NONE),
                (PollEnd, 1_120, 1, NONE),
            ],
        )
        .round(2_000)
        .decode();
    assert_eq!(story(&decoded, task(1)), ["10 spawn by 0", "110 poll", "120 return"]);
    assert_eq!(decoded.trace.pauses().collect::<Vec<_>>(), [100]);
    assert!(decoded.events.contains(&Event::Hold { task: task(1), at: 100 }));
    assert_eq!(decoded.trace.pauses_since(0).0.map(|pause| &pause.reason).collect::<Vec<_>>(), [&PauseReason::Step]);
}

#[test]
fn output_has_its_task_and_no_control_characters() {
    let output = Output { ticks: 20, task: 1, is_error: true, text: "red \u{1b}[31m".to_owned() };
    let stream = ProbeStreamBuilder::new().site(1, "task", "a\u{1b}b").thread(1, Some(0));
    let stream = stream.records(1, &[(Spawn, 10, 1, &[1])]).round(15).json(FrameKind::Output, &output).round(30);
    let decoded = stream.decode();
    let lines = decoded.trace.output().lines();
    assert!(lines[0].text.contains("red") && !lines[0].text.contains('\u{1b}'), "{lines:?}");
}

#[test]
fn other_programs_are_refused() {
    let refuse = |bytes: &[u8]| {
        let mut decoder = AppProbeDecoder::of_connection();
        decoder.push(bytes).expect_err("an error")
    };
    assert!(matches!(refuse(b"GET / HTTP/1.1\r\n\r\n"), ProbeError::NotAProbe(_)));
    assert!(matches!(refuse(&[0, 0, 0, 0, 1]), ProbeError::FrameLength(0)));
    assert!(matches!(refuse(&[0xff, 0xff, 0xff, 0xff, 1]), ProbeError::FrameLength(u32::MAX)));
    let newer = ProbeStreamBuilder::of(&Hello { protocol: 2, ..hello() });
    assert_eq!(refuse(newer.bytes()), ProbeError::Version(2));
    assert!(matches!(refuse(ProbeStreamBuilder::default().round(1).bytes()), ProbeError::NotAProbe(_)));
    let hidden = refuse(b"\x02\x00\x00\x00\x07\x1b[2J").to_string();
    assert!(!hidden.contains('\u{1b}'), "{hidden}");
}

#[test]
fn unknown_messages_are_skipped_and_counted() {
    let stream = ProbeStreamBuilder::new()
        .frame(99, b"later")
        .frame(FrameKind::Definition as u8, b"{\"later\":1}")
        .frame(FrameKind::Records as u8, &[1, 0])
        .frame(FrameKind::Records as u8, &[1, 0, 0, 0, 9, 9])
        .site(1, "task", "")
        .thread(1, Some(0))
        .records(1, &[(Spawn, 10, 1, &[1])])
        .round(20)
        .bye();
    let decoded = stream.decode();
    assert_eq!(caveats(&decoded), "1 records skipped: unknown or malformed; 3 messages skipped: unknown or malformed");
    assert!(decoded.decoder.has_ended() && decoded.trace.tasks().len() == 1);
}

#[test]
fn files_begin_with_their_magic_bytes() {
    let stream = ProbeStreamBuilder::new().site(1, "task", "").thread(1, Some(0));
    let stream = stream.records(1, &[(Spawn, 10, 1, &[1])]).round(20);
    let file = [FILE_MAGIC.as_slice(), stream.bytes()].concat();
    assert!(is_probe_file(&file) && !is_probe_file(stream.bytes()));
    for cut in [file.len(), file.len() - 1, 9, 5] {
        let decoded = Decoded::of(AppProbeDecoder::of_file(), &file[..cut]).expect("it may end anywhere");
        assert_eq!(decoded.trace.tasks().len(), usize::from(cut >= file.len() - 1), "{cut} bytes");
    }
    let open = |bytes: &[u8]| Decoded::of(AppProbeDecoder::of_file(), bytes).err();
    assert_eq!(open(b"LSPROBE\x02"), Some(ProbeError::Version(2)));
    assert!(matches!(open(stream.bytes()), Some(ProbeError::NotAProbe(_))));
}

#[test]
fn facts_decide_what_a_poll_needs() {
    // Without wakes, polls do not wait for them.
    let facts = Facts { wakes: false, ..hello().facts };
    let decoded = ProbeStreamBuilder::of(&Hello { facts, ..hello() })
        .end_snapshot()
        .site(1, "task", "")
        .thread(1, Some(0))
        .records(
            1,
            &[
                (Spawn, 10, 1, &[1]),
                (PollStart, 20, 1, NONE),
                (PollEnd, 30, 1, NONE),
                (PollStart, 40, 1, NONE),
                (PollPanicked, 50, 1, NONE),
                (TaskEnded, 51, 1, &[2]),
                (TaskClosed, 52, 1, NONE),
            ],
        )
        .round(100)
        .decode();
    assert_eq!(caveats(&decoded), "");
    assert!(matches!(decoded.trace.task(task(1)).expect("a task").outcome, Some(TaskOutcome::Failed(_))));
}

/// `UPDATE_SNAPSHOTS=1` writes it again.
#[test]
fn fuzz_seed_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/seeds/app_probe/every-kind");
    let seed = crate::probe_stream::seed();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
        std::fs::write(&path, seed.bytes()).expect("a writable file");
    }
    assert!(std::fs::read(&path).expect("the seed is in the repository") == seed.bytes());
    let kinds = RecordKind::ALL.iter().filter(|kind| **kind != Argument);
    let number = |kind: &RecordKind| *kind as u8;
    assert!(kinds.map(number).all(|kind| seed.bytes().contains(&kind)));
    assert_eq!(seed.decode().trace.tasks().len(), 5);
}
