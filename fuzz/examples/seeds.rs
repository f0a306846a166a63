//! Writes the fuzz seeds: small valid files of each kind. The archives named `version3-…` are from an earlier version.

use std::fs;
use std::io;
use std::path::Path;

use console_api::async_ops::{self, AsyncOp, AsyncOpUpdate};
use console_api::field::{Name, Value};
use console_api::instrument::Update;
use console_api::resources::{self, PollOp, Resource, ResourceUpdate};
use console_api::tasks::{self, Task, TaskUpdate};
use console_api::{Attribute, Field, Id, Location, PollStats};
use loopscope::control::RunOutcome;
use loopscope::feed::archive::{ArchiveHeader, ArchivedParam, ArchiveWriter, encode_beginning};
use loopscope::internals::feed::{ConsoleDecoder, PollSource};
use loopscope::feed::wire::ConsoleMessage;
use loopscope::trace::{MalformedLine, WakeSource, TaskOutcome, Event, QueueSample, RecordingStats, TaskId, Trace, WorkerId};
use prost::Message as _;
use prost_types::Timestamp;

#[path = "../../tests/suite/probe_stream.rs"]
mod probe_stream;
#[path = "../../benches/synthetic.rs"]
mod synthetic;

use synthetic::{SyntheticLoop, EventMix};

fn archive(mix: EventMix, tasks: usize, events: usize, with_tail: bool) -> Vec<u8> {
    let params = vec![("seconds".to_owned(), ArchivedParam::Number(1.0))];
    let mut bytes = encode_beginning(&ArchiveHeader { name: "seed".to_owned(), params, ..ArchiveHeader::default() });
    let (mut trace, mut writer) = (Trace::default(), ArchiveWriter::default());
    for (number, event) in SyntheticLoop::new(tasks, mix, 1).take(events).enumerate() {
        trace.apply(event);
        if number % (events / 3) == 0 {
            writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
        }
    }
    writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
    writer.flush(&mut bytes).expect("writing to memory cannot fail");
    if with_tail {
        bytes.extend(writer.encode_tail(&trace, Some(&RunOutcome::Cancelled), "").expect("fits into one chunk"));
    }
    bytes
}

/// An archive of so many short tasks that most of their rows are evicted by the end.
fn evicted_tasks() -> Vec<u8> {
    let mut bytes = encode_beginning(&ArchiveHeader { name: "seed".to_owned(), ..ArchiveHeader::default() });
    let (mut trace, mut writer) = (Trace::with_budget(10_000), ArchiveWriter::default());
    for index in 0..60 {
        let (task, at) = (TaskId::from_index(index), index as u64 * 10);
        trace.apply(Event::Spawn { task, at, meta: Box::default() });
        trace.apply(Event::PollStart { task, at: at + 1 });
        trace.apply(Event::Wake { task, at: at + 2, source: WakeSource::SelfWake });
        trace.apply(Event::PollEnd { task, at: at + 3 });
        if index > 0 {
            trace.apply(Event::TaskEnd { task, at: at + 4, outcome: TaskOutcome::Completed });
        }
        writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
    }
    bytes.extend(writer.encode_tail(&trace, Some(&RunOutcome::Cancelled), "").expect("fits into one chunk"));
    bytes
}

/// An archive of a program with two workers, in sealed blocks and in its tail.
fn workers() -> Vec<u8> {
    let mut bytes = encode_beginning(&ArchiveHeader { name: "seed".to_owned(), source: "attach".to_owned(), ..ArchiveHeader::default() });
    let (mut trace, mut writer) = (Trace::default(), ArchiveWriter::default());
    trace.set_external();
    for index in 0..3 {
        trace.apply(Event::Spawn { task: TaskId::from_index(index), at: 0, meta: Box::default() });
    }
    for index in 0..2 {
        trace.apply(Event::NewWorker { id: WorkerId::from_index(index), at: 0, name: "tokio-rt-worker".into() });
    }
    for round in 0..120 {
        let (task, worker) = (TaskId::from_index(round % 3), WorkerId::from_index(round / 2 % 2));
        let at = round as u64 * 10;
        trace.apply(Event::WorkerUnpark { worker, at });
        trace.apply(Event::PollStart { task, at: at + 1 });
        trace.apply(Event::PollWorker { task, worker });
        trace.apply(Event::PollEnd { task, at: at + 4 });
        trace.apply(Event::WorkerPark { worker, at: at + 5 });
        trace.apply(Event::Wake { task, at: at + 8, source: WakeSource::Driver });
        let (at, depth) = (round as u64 * 10_000_000, round as u32 % 20);
        trace.apply(Event::QueueDepth(QueueSample { worker: Some(worker).filter(|_| round % 3 > 0), at, depth }));
    }
    writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
    writer.flush(&mut bytes).expect("writing to memory cannot fail");
    bytes.extend(writer.encode_tail(&trace, Some(&RunOutcome::Detached), "").expect("fits into one chunk"));
    bytes
}

/// An archive of another program, with everything that only such a trace has.
fn attached() -> Vec<u8> {
    let mut bytes = encode_beginning(&ArchiveHeader { name: "seed".to_owned(), source: "attach".to_owned(), ..ArchiveHeader::default() });
    let mut trace = Trace::default();
    trace.set_sampled();
    trace.set_external();
    let mut decoder = ConsoleDecoder::new(PollSource::Console);
    for update in updates() {
        let message = ConsoleMessage::parse(update.encode_to_vec().into()).expect("decode the encoded message");
        decoder.decode(message, None, |events| events.into_iter().for_each(|event| trace.apply(event)));
    }
    trace.apply(Event::Disconnected { from: 2_000_000, to: 3_000_000 });
    trace.apply(Event::Gap { from: 4_000_000, to: 5_000_000, dropped: 7 });
    trace.apply(Event::ConsoleLate);
    trace.apply(Event::OutsideInput { is_possible: Some(false) });
    for (interval, waited_ns) in [((1_000_000, 60_000_000), 20_000_000), ((50_000_000, 110_000_000), 5_000_000)] {
        trace.apply(Event::ProcessorWait { interval, worker: None, waited_ns });
    }
    trace.set_processor_waits_known_until(100_000_000);
    let malformed = vec![MalformedLine { line: 3, reason: "seed".to_owned() }];
    trace.set_recording_stats(RecordingStats { lines: 9, skipped_lines: 1, malformed, omitted_tasks: 2, ..RecordingStats::default() });
    let mut writer = ArchiveWriter::default();
    writer.write_sources(&[("src/seed.rs".into(), "fn seed() {}\n".to_owned())], &mut bytes).expect("writing to memory cannot fail");
    writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
    writer.flush(&mut bytes).expect("writing to memory cannot fail");
    bytes.extend(writer.encode_tail(&trace, Some(&RunOutcome::Detached), "seed").expect("fits into one chunk"));
    bytes
}

fn recording() -> String {
    let at = |ms: u64| format!("\"at\":{{\"secs_since_epoch\":1,\"nanos_since_epoch\":{}}}", ms * 1_000_000);
    let mut lines = vec![
        "{\"v\":1}".to_owned(),
        format!("{{\"Spawn\":{{\"id\":1,{},\"fields\":[{{\"name\":\"kind\",\"value\":\"task\"}}]}}}}", at(0)),
    ];
    for round in 0..20 {
        lines.push(format!("{{\"Enter\":{{\"id\":1,{}}}}}", at(round * 10 + 1)));
        lines.push(format!("{{\"Exit\":{{\"id\":1,{}}}}}", at(round * 10 + 3)));
        let wake = "\"op\":{\"Wake\":{\"self_wake\":false}}";
        lines.push(format!("{{\"Waker\":{{\"id\":1,{wake},{}}}}}", at(round * 10 + 8)));
    }
    lines.push(format!("{{\"Close\":{{\"id\":1,{}}}}}", at(300)));
    lines.join("\n") + "\n"
}

/// Updates of a program in which a task takes a lock repeatedly.
fn updates() -> impl Iterator<Item = Update> {
    let id = |id| Some(Id { id });
    let at = |ms: i64| Some(Timestamp { seconds: 1, nanos: i32::try_from(ms * 1_000_000).unwrap_or(0) });
    let name = |name: &str, value: &str| Field {
        metadata_id: None,
        name: Some(Name::StrName(name.to_owned())),
        value: Some(Value::StrVal(value.to_owned())),
    };
    let location = || Some(Location { file: Some("src/seed.rs".to_owned()), line: Some(1), ..Location::default() });
    (1..6).map(move |round: i64| {
        let is_first = round == 1;
        let polls = PollStats {
            polls: round as u64,
            last_poll_started: at(round * 10),
            last_poll_ended: at(round * 10 + 2),
            ..PollStats::default()
        };
        let stats = tasks::Stats {
            created_at: at(0),
            wakes: round as u64,
            last_wake: at(round * 10 - 1),
            poll_stats: Some(polls),
            ..tasks::Stats::default()
        };
        let task = Task { id: id(1), fields: vec![name("task.name", "seed")], location: location(), ..Task::default() };
        let task_update = TaskUpdate {
            new_tasks: is_first.then_some(task).into_iter().collect(),
            stats_update: [(1, stats)].into(),
            dropped_events: round as u64 / 4,
        };
        let lock = Resource { id: id(2), concrete_type: "Mutex".to_owned(), location: location(), ..Resource::default() };
        let locked = Attribute { field: Some(name("locked", "true")), unit: None };
        let lock_stats =
            resources::Stats { created_at: at(0), attributes: vec![locked], ..resources::Stats::default() };
        let operation = 10 + round as u64;
        let ready = PollOp {
            resource_id: id(2),
            name: "lock".to_owned(),
            task_id: id(1),
            async_op_id: id(operation),
            is_ready: true,
            ..PollOp::default()
        };
        let resource_update = ResourceUpdate {
            new_resources: is_first.then_some(lock).into_iter().collect(),
            stats_update: [(2, lock_stats)].into(),
            new_poll_ops: vec![ready],
            dropped_events: 0,
        };
        let lock_op =
            AsyncOp { id: id(operation), resource_id: id(2), source: "Mutex::lock".to_owned(), ..AsyncOp::default() };
        let lock_op_stats = async_ops::Stats {
            created_at: at(round * 10),
            dropped_at: at(round * 10 + 1),
            task_id: id(1),
            poll_stats: Some(PollStats { polls: 1, ..PollStats::default() }),
            ..async_ops::Stats::default()
        };
        let async_op_update = AsyncOpUpdate {
            new_async_ops: vec![lock_op],
            stats_update: [(operation, lock_op_stats)].into(),
            dropped_events: 0,
        };
        Update {
            now: at(round * 10 + 5),
            task_update: Some(task_update),
            resource_update: Some(resource_update),
            async_op_update: Some(async_op_update),
            ..Update::default()
        }
    })
}

fn wire() -> Vec<u8> {
    updates().flat_map(|update| update.encode_length_delimited_to_vec()).collect()
}

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/suite/seeds");
    let write = |kind: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder.join(kind))?;
        fs::write(folder.join(kind).join(name), bytes)
    };
    write("app_probe", "every-kind", probe_stream::seed().bytes())?;
    write("archive", "complete", &archive(EventMix::Full, 4, 900, true))?;
    write("archive", "polls", &archive(EventMix::PollsOnly, 2, 400, true))?;
    write("archive", "truncated", &archive(EventMix::Full, 2, 600, false))?;
    write("archive", "attached", &attached())?;
    write("archive", "workers", &workers())?;
    write("archive", "evicted-tasks", &evicted_tasks())?;
    write("recording", "one-task", recording().as_bytes())?;
    write("wire", "five-updates", &wire())
}
