//! What the parts cost, each by itself: from a record in the probe's ring to a row of the screen, an archive or a message
//! of somebody else's. For finding out where time goes; what is promised is measured by `side_by_side`.
//!
//! ```sh
//! cargo bench --bench parts             # every part
//! cargo bench --bench parts -- archive  # those with this in their names
//! ```
//!
//! `item` is what the part is about: an event, a cell, a look-up, a line, a task. Each sample is one round of many items.

mod synthetic;

use std::cell::Cell;
use std::hint::black_box;

use console_api::tasks::{Stats, TaskUpdate};
use console_api::{Id, PollStats};
use divan::Bencher;
use divan::counter::ItemsCount;
use loopscope::feed::archive::{Head, Writer, beginning, read};
use loopscope::feed::console::{ForeignDoor, Polls};
use loopscope::feed::probe::{Probe, Ring};
use loopscope::feed::recording::{Line, Recording, Stamps};
use loopscope::feed::wire::Message;
use loopscope::trace::{AwaitKind, Axis, Cause, Event, Location, Nanos, Site, TaskId, Trace};
use prost::Message as _;
use prost_types::Timestamp;
use synthetic::{Synthetic, Telling};

fn main() {
    // Where there is little time, fewer samples are taken.
    let longest = std::time::Duration::from_secs(2);
    divan::Divan::default().sample_size(1).sample_count(100).max_time(longest).config_with_args().main();
}

/// Tasks of the loop that never ran.
const TASKS: usize = 1_000;

fn all_of(ring: &mut Ring) {
    while ring.take(usize::MAX, |event| drop(black_box(event))) > 0 {}
}

/// Records written to a ring that has room: no more than a quarter of it.
mod record {
    use super::*;

    const ROUND: usize = 10_000;

    fn recorded(bencher: Bencher, tell: impl Fn(&Probe, Nanos)) {
        let (probe, writer, mut ring) = Probe::new(false, true);
        let _writing = writer.install();
        let at = Cell::new(0);
        // Awaits are told in short where their task is the one that is being polled.
        probe.poll_start(0, TaskId::from_index(0));
        bencher.counter(ItemsCount::new(ROUND)).with_inputs(|| all_of(&mut ring)).bench_local_values(|()| {
            for _ in 0..ROUND {
                at.set(at.get() + 1_000);
                tell(&probe, at.get());
            }
        });
    }

    /// A poll's start and its end.
    #[divan::bench]
    fn poll(bencher: Bencher) {
        let task = TaskId::from_index(0);
        recorded(bencher, |probe, at| {
            probe.poll_start(at, task);
            probe.poll_end(at + 500, task);
        });
    }

    #[divan::bench]
    fn wake(bencher: Bencher) {
        recorded(bencher, |probe, at| probe.wake(at, TaskId::from_index(0), Cause::Driver));
    }

    /// An await's start, one poll of it and its end.
    #[divan::bench]
    fn an_await(bencher: Bencher) {
        let task = TaskId::from_index(0);
        let location = Some(Location { file: "workload.lua".into(), line: 7 });
        let site = Site { kind: AwaitKind::Timer, source: "sleep".into(), location };
        recorded(bencher, |probe, at| {
            let id = probe.next_await();
            probe.await_start(at, id, task, &site);
            probe.await_poll(id, true);
            probe.await_end(at + 500, id);
        });
    }

    /// The other end: records become events again.
    #[divan::bench]
    fn read_poll(bencher: Bencher) {
        let (probe, writer, mut ring) = Probe::new(false, true);
        let _writing = writer.install();
        let (task, mut at) = (TaskId::from_index(0), 0);
        let written = || {
            for _ in 0..ROUND {
                at += 1_000;
                probe.poll_start(at, task);
                probe.poll_end(at + 500, task);
            }
        };
        bencher.counter(ItemsCount::new(ROUND)).with_inputs(written).bench_local_values(|()| all_of(&mut ring));
    }
}

/// Events filed in a trace, of whichever kind.
mod apply {
    use super::*;

    const ROUND: usize = 50_000;

    fn applied(bencher: Bencher, telling: Telling, is_wanted: fn(&Event) -> bool) {
        let told = Synthetic::new(TASKS, telling, 1);
        let is_base = |event: &Event| matches!(event, Event::Site { .. } | Event::Spawn { .. });
        let events: Vec<Event> = told.filter(|event| is_base(event) || is_wanted(event)).take(ROUND).collect();
        let count = events.iter().filter(|event| !is_base(event)).count();
        let prepared = || {
            let (base, rest): (Vec<Event>, Vec<Event>) = events.iter().cloned().partition(is_base);
            let mut trace = Trace::default();
            base.into_iter().for_each(|event| trace.apply(event));
            (trace, rest)
        };
        bencher.counter(ItemsCount::new(count)).with_inputs(prepared).bench_local_values(|(mut trace, events)| {
            events.into_iter().for_each(|event| trace.apply(event));
            trace
        });
    }

    #[divan::bench]
    fn polls(bencher: Bencher) {
        applied(bencher, Telling::Polls, |event| matches!(event, Event::PollStart { .. } | Event::PollEnd { .. }));
    }

    #[divan::bench]
    fn polls_and_wakes(bencher: Bencher) {
        applied(bencher, Telling::Polls, |_| true);
    }

    #[divan::bench]
    fn awaits(bencher: Bencher) {
        applied(bencher, Telling::Whole, |event| {
            matches!(event, Event::AwaitStart { .. } | Event::AwaitPoll { .. } | Event::AwaitEnd { .. })
        });
    }

    #[divan::bench]
    fn everything(bencher: Bencher) {
        applied(bencher, Telling::Whole, |_| true);
    }

    /// One lane alone, whose blocks are sealed and packed as they fill: 32 cycles a block.
    #[divan::bench]
    fn polls_of_one_lane(bencher: Bencher) {
        let cycles = |count: u64| {
            let told = Synthetic::new(1, Telling::Polls, 1);
            told.take(3 * count as usize).collect::<Vec<Event>>()
        };
        let events = cycles(32 * 100);
        let prepared = || (Trace::default(), events.clone());
        bencher.counter(ItemsCount::new(events.len())).with_inputs(prepared).bench_local_values(
            |(mut trace, events)| {
                events.into_iter().for_each(|event| trace.apply(event));
                trace
            },
        );
    }
}

fn trace_of(events: usize) -> Trace {
    let mut trace = Trace::default();
    Synthetic::new(TASKS, Telling::Whole, 1).take(events).for_each(|event| trace.apply(event));
    trace
}

/// Places that nobody asked for before, for what was asked for is remembered.
fn chances() -> impl FnMut(u64) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

/// What a frame asks a trace of so many events.
mod query {
    use super::*;

    const EVENTS: [usize; 2] = [50_000, 5_000_000];

    const COLUMNS: u16 = 150;

    #[divan::bench(args = EVENTS)]
    fn cell_of_a_new_window(bencher: Bencher, events: usize) {
        let (trace, mut chance) = (trace_of(events), chances());
        let asked = || {
            let from = chance(trace.now() / 2);
            (TaskId::from_index(chance(TASKS as u64) as usize), from, from + trace.now() / 2)
        };
        bencher
            .counter(ItemsCount::new(COLUMNS))
            .with_inputs(asked)
            .bench_local_values(|(task, from, to)| trace.window(task, Axis::Time, from, to, COLUMNS));
    }

    #[divan::bench(args = EVENTS)]
    fn state_at(bencher: Bencher, events: usize) {
        const ROUND: usize = 1_000;
        let (trace, mut chance) = (trace_of(events), chances());
        let asked = || {
            let place = |_| (TaskId::from_index(chance(TASKS as u64) as usize), chance(trace.now()));
            (0..ROUND).map(place).collect::<Vec<_>>()
        };
        bencher.counter(ItemsCount::new(ROUND)).with_inputs(asked).bench_local_values(|asked| {
            asked.into_iter().filter(|(task, at)| trace.state_at(*task, *at).is_some()).count()
        });
    }
}

/// An archive of so many events, written at once and read.
mod archive {
    use super::*;

    const EVENTS: usize = 500_000;

    fn written(trace: &Trace) -> Vec<u8> {
        let mut bytes = beginning(&Head { name: "synthetic".to_owned(), ..Head::default() });
        let mut writer = Writer::default();
        writer.new_chunks(trace, &mut bytes).expect("memory takes it");
        writer.flush(&mut bytes).expect("memory takes it");
        bytes.extend(writer.rest(trace, None, "").expect("it is short"));
        bytes
    }

    #[divan::bench]
    fn write(bencher: Bencher) {
        let trace = trace_of(EVENTS);
        bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| written(&trace));
    }

    #[divan::bench]
    fn open(bencher: Bencher) {
        let bytes = written(&trace_of(EVENTS));
        bencher
            .counter(ItemsCount::new(EVENTS))
            .bench_local(|| read(&*bytes, usize::MAX).expect("it was just written"));
    }
}

/// A message that tells anew of so many tasks, from its bytes to events.
#[divan::bench]
fn wire_message(bencher: Bencher) {
    let at = |nanos: i32| Some(Timestamp { seconds: 1_700_000_000, nanos });
    let mut told = TaskUpdate::default();
    for id in 1..=TASKS as u64 {
        let polls = PollStats {
            polls: id,
            first_poll: at(1_000),
            last_poll_started: at(5_000),
            last_poll_ended: at(9_000),
            busy_time: None,
        };
        let stats = Stats { created_at: at(500), wakes: id, poll_stats: Some(polls), ..Stats::default() };
        told.new_tasks.push(console_api::tasks::Task { id: Some(Id { id }), ..Default::default() });
        told.stats_update.insert(id, stats);
    }
    let update = console_api::instrument::Update { now: at(10_000), task_update: Some(told), ..Default::default() };
    let bytes = tonic::codegen::Bytes::from(update.encode_to_vec());
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let message = Message::read(bytes.clone()).expect("it was just written");
        let mut events = 0;
        ForeignDoor::new(Polls::Told).hear(message, None, |told| events += told.len());
        assert!(events >= TASKS, "each is told of");
    });
}

/// Lines of a recording: parsed alone, and to events.
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
                black_box(Line::parse(line.as_bytes()).expect("it is right"));
            }
        });
    }

    #[divan::bench]
    fn line_to_events(bencher: Bencher) {
        let lines = lines();
        let text = lines.join("\n") + "\n";
        bencher.counter(ItemsCount::new(lines.len())).bench_local(|| {
            let (mut recording, mut events) = (Recording::new(Stamps::from_first()), 0);
            let mut left = text.as_bytes();
            while !left.is_empty() {
                left = recording.take(left, &(), &mut |_| events += 1).expect("it is one");
            }
            assert!(events as u64 >= POLLS, "polls are told of");
        });
    }
}
