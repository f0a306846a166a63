//! Microbenchmarks of the parts: from a record in the probe's ring to a row of the screen, an archive, or a message of
//! another program. They show where time goes. Promises about speed are measured by `side_by_side`.
//! ```sh
//! cargo bench --bench parts             # every part
//! cargo bench --bench parts -- archive  # parts with `archive` in their names
//! ```
//!
//! An item is what a part processes: an event, a cell, a lookup, a line, a task. Each sample is one round of many
//! items.

mod synthetic;

use std::cell::Cell;
use std::hint::black_box;

use console_api::tasks::{Stats, TaskUpdate};
use console_api::{Id, PollStats};
use divan::Bencher;
use divan::counter::ItemsCount;
use loopscope::feed::archive::{ArchiveHeader, ArchiveWriter, encode_beginning, read_archive};
use loopscope::feed::recording::{RecordingClock, RecordingDecoder, RecordingLine};
use loopscope::feed::wire::ConsoleMessage;
use loopscope::internals::feed::{ConsoleDecoder, PollSource};
use loopscope::internals::feed::{Probe, ProbeReader};
use loopscope::trace::{AwaitKind, AwaitSite, Axis, Event, Location, Nanos, TaskId, Trace, WakeSource};
use prost::Message as _;
use prost_types::Timestamp;
use synthetic::{EventMix, SyntheticLoop};

fn main() {
    // Slow benchmarks take fewer samples.
    let longest = std::time::Duration::from_secs(2);
    divan::Divan::default().sample_size(1).sample_count(100).max_time(longest).config_with_args().main();
}

/// Number of tasks of the synthetic loop.
const TASKS: usize = 1_000;

fn drain(ring: &mut ProbeReader) {
    while ring.drain(usize::MAX, |event| drop(black_box(event))) > 0 {}
}

/// Records written to a ring with free space: each round fills no more than a quarter of it.
mod record {
    use super::*;

    const ROUND: usize = 8_000;

    fn bench_record(bencher: Bencher, record: impl Fn(&Probe, Nanos)) {
        let (probe, writer, mut ring) = Probe::new(false, true);
        let _writing = writer.install();
        let at = Cell::new(0);
        bencher.counter(ItemsCount::new(ROUND)).with_inputs(|| drain(&mut ring)).bench_local_values(|()| {
            for _ in 0..ROUND {
                at.set(at.get() + 1_000);
                record(&probe, at.get());
            }
        });
    }

    /// The start and the end of a poll.
    #[divan::bench]
    fn poll(bencher: Bencher) {
        let task = TaskId::from_index(0);
        bench_record(bencher, |probe, at| {
            probe.poll_start(at, task);
            probe.poll_end(at + 500, task);
        });
    }

    #[divan::bench]
    fn wake(bencher: Bencher) {
        bench_record(bencher, |probe, at| probe.wake(at, TaskId::from_index(0), WakeSource::Driver));
    }

    /// The start of an await, one poll of it and its end.
    #[divan::bench]
    fn an_await(bencher: Bencher) {
        let task = TaskId::from_index(0);
        let location = Some(Location { file: "workload.lua".into(), line: 7 });
        let site = AwaitSite { kind: AwaitKind::Timer, source: "sleep".into(), location, chain: None };
        bench_record(bencher, |probe, at| {
            let id = probe.next_await_id();
            probe.await_start(at, id, task, &site);
            probe.await_poll(id, true);
            probe.await_end(at + 500, id);
        });
    }

    /// Decoding records to events.
    #[divan::bench]
    fn read_poll(bencher: Bencher) {
        let (probe, writer, mut ring) = Probe::new(false, true);
        let _writing = writer.install();
        let (task, mut at) = (TaskId::from_index(0), 0);
        let write_round = || {
            for _ in 0..ROUND {
                at += 1_000;
                probe.poll_start(at, task);
                probe.poll_end(at + 500, task);
            }
        };
        bencher.counter(ItemsCount::new(ROUND)).with_inputs(write_round).bench_local_values(|()| drain(&mut ring));
    }
}

/// Events ingested by a trace, by kind.
mod apply {
    use super::*;

    const ROUND: usize = 50_000;

    fn bench_apply(bencher: Bencher, mix: EventMix, is_wanted: fn(&Event) -> bool) {
        let synthetic = SyntheticLoop::new(TASKS, mix, 1);
        let is_base = |event: &Event| matches!(event, Event::NewAwaitSite { .. } | Event::Spawn { .. });
        let events: Vec<Event> = synthetic.filter(|event| is_base(event) || is_wanted(event)).take(ROUND).collect();
        let count = events.iter().filter(|event| !is_base(event)).count();
        let prepare = || {
            let (base, rest): (Vec<Event>, Vec<Event>) = events.iter().cloned().partition(is_base);
            let mut trace = Trace::default();
            base.into_iter().for_each(|event| trace.apply(event));
            (trace, rest)
        };
        bencher.counter(ItemsCount::new(count)).with_inputs(prepare).bench_local_values(|(mut trace, events)| {
            events.into_iter().for_each(|event| trace.apply(event));
            trace
        });
    }

    #[divan::bench]
    fn polls(bencher: Bencher) {
        bench_apply(bencher, EventMix::PollsOnly, |event| {
            matches!(event, Event::PollStart { .. } | Event::PollEnd { .. })
        });
    }

    #[divan::bench]
    fn polls_and_wakes(bencher: Bencher) {
        bench_apply(bencher, EventMix::PollsOnly, |_| true);
    }

    #[divan::bench]
    fn awaits(bencher: Bencher) {
        bench_apply(bencher, EventMix::Full, |event| {
            matches!(event, Event::AwaitStart { .. } | Event::AwaitPoll { .. } | Event::AwaitEnd { .. })
        });
    }

    #[divan::bench]
    fn everything(bencher: Bencher) {
        bench_apply(bencher, EventMix::Full, |_| true);
    }

    /// A single lane, whose blocks are sealed and packed as they fill: 32 cycles per block.
    #[divan::bench]
    fn polls_of_one_lane(bencher: Bencher) {
        let cycles = |count: u64| {
            let synthetic = SyntheticLoop::new(1, EventMix::PollsOnly, 1);
            synthetic.take(3 * count as usize).collect::<Vec<Event>>()
        };
        let events = cycles(32 * 100);
        let prepare = || (Trace::default(), events.clone());
        bencher.counter(ItemsCount::new(events.len())).with_inputs(prepare).bench_local_values(
            |(mut trace, events)| {
                events.into_iter().for_each(|event| trace.apply(event));
                trace
            },
        );
    }
}

/// Builds a trace of `events` events of the synthetic loop.
fn trace_of(events: usize) -> Trace {
    let mut trace = Trace::default();
    SyntheticLoop::new(TASKS, EventMix::Full, 1).take(events).for_each(|event| trace.apply(event));
    trace
}

/// Returns a generator of random numbers below a limit, so that queries miss the caches.
fn random() -> impl FnMut(u64) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

/// Queries of a frame on a trace of `events` events.
mod query {
    use super::*;

    const EVENTS: [usize; 2] = [50_000, 5_000_000];

    const COLUMNS: u16 = 150;

    #[divan::bench(args = EVENTS)]
    fn cell_of_a_new_window(bencher: Bencher, events: usize) {
        let (trace, mut random) = (trace_of(events), random());
        let query = || {
            let from = random(trace.now() / 2);
            (TaskId::from_index(random(TASKS as u64) as usize), from, from + trace.now() / 2)
        };
        bencher
            .counter(ItemsCount::new(COLUMNS))
            .with_inputs(query)
            .bench_local_values(|(task, from, to)| trace.window(task, Axis::Time, from, to, COLUMNS));
    }

    #[divan::bench(args = EVENTS)]
    fn state_at(bencher: Bencher, events: usize) {
        const ROUND: usize = 1_000;
        let (trace, mut random) = (trace_of(events), random());
        let query = || {
            let lookup = |_| (TaskId::from_index(random(TASKS as u64) as usize), random(trace.now()));
            (0..ROUND).map(lookup).collect::<Vec<_>>()
        };
        bencher.counter(ItemsCount::new(ROUND)).with_inputs(query).bench_local_values(|lookups| {
            lookups.into_iter().filter(|(task, at)| trace.state_at(*task, *at).is_some()).count()
        });
    }
}

/// Writing and reading an archive.
mod archive {
    use super::*;

    const EVENTS: usize = 500_000;

    fn encode(trace: &Trace) -> Vec<u8> {
        let mut bytes = encode_beginning(&ArchiveHeader { name: "synthetic".to_owned(), ..ArchiveHeader::default() });
        let mut writer = ArchiveWriter::default();
        writer.write_new_chunks(trace, &mut bytes).expect("a vector accepts writes");
        writer.flush(&mut bytes).expect("a vector accepts writes");
        bytes.extend(writer.encode_tail(trace, None, "").expect("the note is short"));
        bytes
    }

    #[divan::bench]
    fn write(bencher: Bencher) {
        let trace = trace_of(EVENTS);
        bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| encode(&trace));
    }

    #[divan::bench]
    fn open(bencher: Bencher) {
        let bytes = encode(&trace_of(EVENTS));
        bencher
            .counter(ItemsCount::new(EVENTS))
            .bench_local(|| read_archive(&*bytes, usize::MAX).expect("it was just encoded"));
    }
}

/// A console message about new tasks, from its bytes to events.
#[divan::bench]
fn wire_message(bencher: Bencher) {
    let at = |nanos: i32| Some(Timestamp { seconds: 1_700_000_000, nanos });
    let mut task_update = TaskUpdate::default();
    for id in 1..=TASKS as u64 {
        let polls = PollStats {
            polls: id,
            first_poll: at(1_000),
            last_poll_started: at(5_000),
            last_poll_ended: at(9_000),
            busy_time: None,
        };
        let stats = Stats { created_at: at(500), wakes: id, poll_stats: Some(polls), ..Stats::default() };
        task_update.new_tasks.push(console_api::tasks::Task { id: Some(Id { id }), ..Default::default() });
        task_update.stats_update.insert(id, stats);
    }
    let update =
        console_api::instrument::Update { now: at(10_000), task_update: Some(task_update), ..Default::default() };
    let bytes = tonic::codegen::Bytes::from(update.encode_to_vec());
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let message = ConsoleMessage::parse(bytes.clone()).expect("it was just encoded");
        let mut events = 0;
        ConsoleDecoder::new(PollSource::Console).decode(message, None, |decoded| events += decoded.len());
        assert!(events >= TASKS, "every task has an event");
    });
}

/// Lines of a recording: parsed, and decoded to events.
mod recording {
    use super::*;

    const POLLS: u64 = 5_000;

    fn lines() -> Vec<String> {
        let at = |ns: u64| {
            format!("\"at\":{{\"secs_since_epoch\":1700000000,\"nanos_since_epoch\":{}}}", ns % 1_000_000_000)
        };
        let fields = "[{\"name\":\"kind\",\"value\":\"task\"},{\"name\":\"task.id\",\"value\":1}]";
        let mut lines =
            vec!["{\"v\":1}".to_owned(), format!("{{\"Spawn\":{{\"id\":1,{},\"fields\":{fields}}}}}", at(0))];
        for poll in 0..POLLS {
            let at = at(1_000 * (poll + 1));
            let wake = "\"op\":{\"WakeByRef\":{\"self_wake\":false}}";
            lines.push(format!("{{\"Waker\":{{\"id\":1,{wake},{at}}}}}"));
            lines.extend(["Enter", "Exit"].map(|name| format!("{{\"{name}\":{{\"id\":1,{at}}}}}")));
        }
        lines
    }

    #[divan::bench]
    fn line(bencher: Bencher) {
        let lines = lines().split_off(1);
        bencher.counter(ItemsCount::new(lines.len())).bench_local(|| {
            for line in &lines {
                black_box(RecordingLine::parse(line.as_bytes()).expect("the line is valid"));
            }
        });
    }

    #[divan::bench]
    fn line_to_events(bencher: Bencher) {
        let lines = lines();
        let text = lines.join("\n") + "\n";
        bencher.counter(ItemsCount::new(lines.len())).bench_local(|| {
            let (mut recording, mut events) = (RecordingDecoder::new(RecordingClock::from_first()), 0);
            let mut left = text.as_bytes();
            while !left.is_empty() {
                left = recording.decode(left, &(), &mut |_| events += 1).expect("the recording is valid");
            }
            assert!(events as u64 >= POLLS, "every poll has an event");
        });
    }
}
