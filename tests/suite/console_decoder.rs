//! `ConsoleDecoder` against arbitrary input: it never panics, emits nothing twice, never moves time back, and decodes a
//! message in parts like a whole one.

use std::collections::HashMap;

use console_api::async_ops::{self, AsyncOp, AsyncOpUpdate};
use console_api::field::{Name, Value};
use console_api::instrument::Update;
use console_api::resources::resource::{Kind, kind};
use console_api::resources::{self, PollOp, Resource, ResourceUpdate};
use console_api::tasks::{self, Task, TaskUpdate};
use console_api::{Attribute, Field, Id, Location, Metadata, PollStats, RegisterMetadata, register_metadata};
use loopscope::feed::wire::ConsoleMessage;
use loopscope::internals::feed::ConsoleHealth;
use loopscope::internals::feed::{ConsoleDecoder, PollSource};
use loopscope::trace::{Event, TaskOutcome, Trace};
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use prost_types::{Duration, Timestamp};

fn stamp() -> impl Strategy<Value = Option<Timestamp>> {
    let seconds = prop_oneof![8 => 1_000_i64..1_010, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => 0_i64..5_000];
    let nanos = prop_oneof![8 => 0..1_000_000_000_i32, 1 => Just(i32::MIN), 1 => Just(i32::MAX)];
    option::weighted(0.8, (seconds, nanos).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }))
}

fn duration() -> impl Strategy<Value = Option<Duration>> {
    let seconds = prop_oneof![8 => 0_i64..5, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    option::of((seconds, any::<i32>()).prop_map(|(seconds, nanos)| Duration { seconds, nanos }))
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0_u64..50, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

/// Few different ids, so that they collide.
fn id() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 0_u64..6, 1 => Just(u64::MAX)]
}

fn some_id() -> impl Strategy<Value = Option<Id>> {
    option::weighted(0.9, id().prop_map(|id| Id { id }))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("kind".to_owned()),
        Just("task.name".to_owned()),
        Just("blocking".to_owned()),
        ".{0,8}",
        Just("ä".repeat(5_000))
    ]
}

fn field() -> impl Strategy<Value = Field> {
    let value = prop_oneof![
        text().prop_map(Value::StrVal),
        text().prop_map(Value::DebugVal),
        count().prop_map(Value::U64Val),
        any::<i64>().prop_map(Value::I64Val),
        any::<bool>().prop_map(Value::BoolVal),
    ];
    let name = prop_oneof![4 => text().prop_map(Name::StrName), 1 => any::<u64>().prop_map(Name::NameIdx)];
    (option::of(name), option::of(value)).prop_map(|(name, value)| Field { metadata_id: None, name, value })
}

fn location() -> impl Strategy<Value = Option<Location>> {
    option::of((option::of(text()), option::of(any::<u32>())).prop_map(|(file, line)| Location {
        file,
        module_path: None,
        line,
        column: None,
    }))
}

fn polls() -> impl Strategy<Value = Option<PollStats>> {
    let polls = (count(), stamp(), stamp(), stamp(), duration());
    option::of(polls.prop_map(|(polls, first_poll, last_poll_started, last_poll_ended, busy_time)| PollStats {
        polls,
        first_poll,
        last_poll_started,
        last_poll_ended,
        busy_time,
    }))
}

fn task_update() -> impl Strategy<Value = TaskUpdate> {
    let task = (some_id(), vec(field(), 0..4), location()).prop_map(|(id, fields, location)| Task {
        id,
        fields,
        location,
        ..Task::default()
    });
    let dropped_at = option::weighted(0.2, stamp()).prop_map(Option::flatten);
    let stats = (stamp(), dropped_at, count(), count(), stamp(), polls(), count(), duration()).prop_map(
        |(created_at, dropped_at, wakes, waker_clones, last_wake, poll_stats, self_wakes, scheduled_time)| {
            tasks::Stats {
                created_at,
                dropped_at,
                wakes,
                waker_clones,
                waker_drops: wakes,
                last_wake,
                poll_stats,
                self_wakes,
                scheduled_time,
            }
        },
    );
    (vec(task, 0..5), hash_map(id(), stats, 0..5), count())
        .prop_map(|(new_tasks, stats_update, dropped_events)| TaskUpdate { new_tasks, stats_update, dropped_events })
}

fn resource_update() -> impl Strategy<Value = ResourceUpdate> {
    let kind = option::of(prop_oneof![any::<i32>().prop_map(kind::Kind::Known), text().prop_map(kind::Kind::Other)]);
    let kind = option::of(kind.prop_map(|kind| Kind { kind }));
    let resource = (some_id(), text(), kind, location(), option::of(some_id()), any::<bool>()).prop_map(
        |(id, concrete_type, kind, location, parent, is_internal)| Resource {
            id,
            concrete_type,
            kind,
            location,
            parent_resource_id: parent.flatten(),
            is_internal,
            ..Resource::default()
        },
    );
    let attribute = (option::of(field()), option::of(text())).prop_map(|(field, unit)| Attribute { field, unit });
    let stats =
        (stamp(), option::of(stamp()), vec(attribute, 0..3)).prop_map(|(created_at, dropped_at, attributes)| {
            resources::Stats { created_at, dropped_at: dropped_at.flatten(), attributes }
        });
    let poll = (some_id(), any::<bool>()).prop_map(|(async_op_id, is_ready)| PollOp {
        async_op_id,
        is_ready,
        ..PollOp::default()
    });
    (vec(resource, 0..4), hash_map(id(), stats, 0..4), vec(poll, 0..3), count()).prop_map(
        |(new_resources, stats_update, new_poll_ops, dropped_events)| ResourceUpdate {
            new_resources,
            stats_update,
            new_poll_ops,
            dropped_events,
        },
    )
}

fn async_op_update() -> impl Strategy<Value = AsyncOpUpdate> {
    let operation =
        (some_id(), text(), option::of(some_id()), some_id()).prop_map(|(id, source, parent, resource_id)| AsyncOp {
            id,
            source,
            parent_async_op_id: parent.flatten(),
            resource_id,
            ..AsyncOp::default()
        });
    let stats =
        (stamp(), option::of(stamp()), some_id(), polls()).prop_map(|(created_at, dropped_at, task_id, poll_stats)| {
            async_ops::Stats {
                created_at,
                dropped_at: dropped_at.flatten(),
                task_id,
                poll_stats,
                attributes: Vec::new(),
            }
        });
    (vec(operation, 0..4), hash_map(id(), stats, 0..4), count()).prop_map(
        |(new_async_ops, stats_update, dropped_events)| AsyncOpUpdate { new_async_ops, stats_update, dropped_events },
    )
}

fn update() -> impl Strategy<Value = Update> {
    let parts = (stamp(), option::of(task_update()), option::of(resource_update()), option::of(async_op_update()));
    parts.prop_map(|(now, task_update, resource_update, async_op_update)| Update {
        now,
        task_update,
        resource_update,
        async_op_update,
        new_metadata: None,
    })
}

fn trace() -> Trace {
    let mut trace = Trace::default();
    trace.set_sampled();
    trace.set_external();
    trace
}

/// Decodes an update as received from the network: as bytes, in parts.
fn in_parts(decoder: &mut ConsoleDecoder, update: &Update, arrived: Option<u64>) -> Vec<Event> {
    let message = ConsoleMessage::parse(update.encode_to_vec().into()).expect("decode the encoded message");
    let mut events = Vec::new();
    decoder.decode(message, arrived, |part| events.extend(part));
    events
}

/// Decodes an update as a single part.
fn as_a_whole(decoder: &mut ConsoleDecoder, update: Update, arrived: Option<u64>) -> Vec<Event> {
    decoder.begin_message(
        &ConsoleMessage::parse(update.encode_to_vec().into()).expect("decode the encoded message"),
        arrived,
    );
    let mut events = decoder.decode_part(update);
    events.extend(decoder.finish_message(0));
    events
}

/// Decodes arbitrary bytes, if they are a message.
fn decode_bytes(bytes: Vec<u8>) -> Option<Trace> {
    let message = ConsoleMessage::parse(bytes.into()).ok()?;
    let mut trace = trace();
    ConsoleDecoder::new(PollSource::Console)
        .decode(message, None, |part| part.into_iter().for_each(|event| trace.apply(event)));
    Some(trace)
}

/// Asserts the invariants of every decoded trace.
fn assert_invariants(trace: &Trace) {
    for task in trace.tasks() {
        assert!(task.meta.name.len() <= 256);
        assert!(task.meta.location.as_ref().is_none_or(|location| location.file.len() <= 1_024));
        let (mut busy_ns, mut polls) = (0, 0);
        for at in [0, trace.now() / 2, trace.now(), u64::MAX] {
            let totals = task.lane.totals_at(at);
            assert!(totals.busy_ns >= busy_ns && totals.polls >= polls, "sums never shrink");
            (busy_ns, polls) = (totals.busy_ns, totals.polls);
        }
        assert_eq!(task.outcome.is_some(), task.lane.ended_at().is_some());
        assert!(!matches!(task.outcome, Some(TaskOutcome::Failed(_))), "the wire reports no errors");
        let cells = trace.window(task.id, loopscope::trace::Axis::Time, 0, trace.now().saturating_add(1), 7);
        assert_eq!(cells.len(), 7);
    }
    for (_, resource) in trace.resources().iter() {
        assert!(resource.dropped_at().is_none_or(|to| to >= resource.created_at));
        assert!(
            resource.attributes().iter().all(|attribute| attribute.value.len() <= 256 && attribute.name.len() <= 256)
        );
    }
    for (_, found) in trace.awaits().iter() {
        assert!(found.end().is_none_or(|end| end >= found.start));
        assert!(trace.task(found.task).is_some() && trace.site(found.site).is_some());
    }
}

proptest! {
    #[test]
    fn updates_never_panic_or_turn_time_back(updates in vec(update(), 1..8), polls in any::<bool>()) {
        let mut decoder = ConsoleDecoder::new(if polls { PollSource::Console } else { PollSource::Recording });
        let (mut trace, mut now) = (trace(), 0);
        for (index, update) in updates.into_iter().enumerate() {
            if index == 4 {
                decoder.reconnect();
            }
            for event in in_parts(&mut decoder, &update, Some(index as u64 * 1_000_000_000)) {
                trace.apply(event);
                prop_assert!(trace.now() >= now);
                now = trace.now();
            }
            assert_invariants(&trace);
        }
        let _ = decoder.caveats();
    }

    #[test]
    fn parts_decode_like_a_whole_message(updates in vec(update(), 1..5)) {
        let decoders = [ConsoleDecoder::new(PollSource::Console), ConsoleDecoder::new(PollSource::Console)];
        let [mut whole, mut apart] = decoders;
        let (mut one, mut other) = (trace(), trace());
        for (index, update) in updates.into_iter().enumerate() {
            let arrived = Some(index as u64 * 1_000_000_000);
            in_parts(&mut apart, &update, arrived).into_iter().for_each(|event| other.apply(event));
            as_a_whole(&mut whole, update, arrived).into_iter().for_each(|event| one.apply(event));
        }
        assert_invariants(&other);
        let laid_out = |trace: &Trace| -> HashMap<_, usize> {
            let mut tasks = HashMap::new();
            for task in trace.tasks() {
                let key = (task.meta.name.to_string(), task.lane.spawned_at(), task.counts.polls, task.counts.wakes);
                *tasks.entry(key).or_default() += 1;
            }
            tasks
        };
        prop_assert_eq!(one.now(), other.now());
        prop_assert_eq!(laid_out(&one), laid_out(&other));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        if let Some(trace) = decode_bytes(bytes) {
            assert_invariants(&trace);
        }
    }

    #[test]
    fn mutated_messages_never_panic(update in update(), changes in vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut bytes = update.encode_to_vec();
        for (place, byte) in changes {
            if !bytes.is_empty() {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
        }
        if let Some(mut trace) = decode_bytes(bytes) {
            trace.apply(Event::Advance { at: 5 });
            assert_invariants(&trace);
        }
    }
}

#[test]
fn reused_span_id_is_another_task() {
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let update = |created, now| {
        let stats = tasks::Stats { created_at: at(created), ..tasks::Stats::default() };
        let new_tasks = vec![Task { id: Some(Id { id: 7 }), ..Task::default() }];
        let task_update = Some(TaskUpdate { new_tasks, stats_update: [(7, stats)].into(), dropped_events: 0 });
        Update { now: at(now), task_update, ..Update::default() }
    };
    let (mut decoder, mut trace) = (ConsoleDecoder::new(PollSource::Console), trace());
    for update in [update(1, 2), update(1, 3), update(4, 5)] {
        in_parts(&mut decoder, &update, None).into_iter().for_each(|event| trace.apply(event));
    }
    assert_eq!(trace.tasks().len(), 2);
    let [first, second] = trace.tasks().iter().collect::<Vec<_>>()[..] else { panic!("two tasks") };
    assert_eq!((first.lane.ended_at(), second.lane.ended_at()), (Some(3_000_000_000), None), "its span id was reused");
    assert_eq!(
        (decoder.task_for_span(7), decoder.span_for_task(first.id), decoder.span_for_task(second.id)),
        (Some(second.id), None, Some(7))
    );
}

#[test]
fn tasks_with_only_counts_have_no_name() {
    let stats =
        tasks::Stats { created_at: Some(Timestamp { seconds: 1, nanos: 0 }), wakes: 3, ..tasks::Stats::default() };
    let task_update = Some(TaskUpdate { stats_update: [(9, stats)].into(), ..TaskUpdate::default() });
    let (mut decoder, mut trace) = (ConsoleDecoder::new(PollSource::Console), trace());
    let update = Update { task_update, ..Update::default() };
    in_parts(&mut decoder, &update, None).into_iter().for_each(|event| trace.apply(event));
    let first = trace.tasks().first().expect("the task exists");
    assert_eq!((first.name().into_owned(), first.counts.wakes), ("task 1".into(), 3));
    assert!(decoder.caveats().starts_with("1 tasks without a name"), "{}", decoder.caveats());
}

/// An empty field takes two bytes on the wire, and forty times as much in memory.
#[test]
fn decoding_bounds_memory() {
    const FIELDS: usize = 30_000;
    let empty = Field { metadata_id: None, name: None, value: None };
    let task = |id| Task { id: Some(Id { id }), fields: vec![empty.clone(); FIELDS], ..Task::default() };
    let task_update = TaskUpdate { new_tasks: (1..=200).map(task).collect(), ..TaskUpdate::default() };
    let bytes = Update { task_update: Some(task_update), ..Update::default() }.encode_to_vec();
    let (sent, whole) = (bytes.len() as u64, (200 * FIELDS * size_of::<Field>()) as u64);
    assert!(whole > 30 * sent);
    let message = || ConsoleMessage::parse(bytes.clone().into()).expect("decode the encoded message");
    let mut event_count = 0;
    let decoding = allocation_counter::measure(|| {
        ConsoleDecoder::new(PollSource::Recording).decode(message(), None, |events| event_count += events.len());
    });
    let diagnosing = allocation_counter::measure(|| ConsoleHealth::default().observe(message()));
    assert!(event_count >= 200, "all of them are reported");
    for allocated in [decoding.bytes_max, diagnosing.bytes_max] {
        assert!(allocated < sent + whole / 4, "{allocated} bytes at once for {sent}, of {whole}");
    }
}

/// An update of new tasks that were all created at `created`.
fn new_tasks(now: i64, ids: std::ops::Range<u64>, created: i64) -> Update {
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let stats = tasks::Stats { created_at: at(created), ..tasks::Stats::default() };
    let new_tasks = ids.clone().map(|id| Task { id: Some(Id { id }), ..Task::default() }).collect();
    let stats_update = ids.map(|id| (id, stats)).collect();
    let task_update = Some(TaskUpdate { new_tasks, stats_update, dropped_events: 0 });
    Update { now: at(now), task_update, ..Update::default() }
}

#[test]
fn reports_a_lagging_console_until_it_keeps_up() {
    for (polls, has_advice) in [(PollSource::Console, true), (PollSource::Recording, false)] {
        let mut decoder = ConsoleDecoder::new(polls);
        let late = [(10, 0..500, 1), (11, 0..500, 1), (12, 500..628, 2)].map(|(now, ids, created)| {
            in_parts(&mut decoder, &new_tasks(now, ids, created), None);
            decoder.caveats()
        });
        // For a process that loopscope started there is no such advice: it publishes as often as it can.
        assert_eq!(late[2].contains("PUBLISH_INTERVAL"), has_advice, "{late:?}");
    }
    let mut decoder = ConsoleDecoder::new(PollSource::Console);
    let mut note = |update: Update| {
        in_parts(&mut decoder, &update, None);
        decoder.caveats()
    };
    assert_eq!(note(new_tasks(10, 0..500, 1)), "", "the whole state");
    assert_eq!(note(new_tasks(11, 0..500, 1)), "", "repeated");
    let late = note(new_tasks(12, 500..628, 2));
    assert!(late.contains("cannot keep up") && late.contains("10 s late"), "{late}");
    assert_eq!(note(new_tasks(13, 628..640, 2)), "", "nothing is pending");
    assert_eq!(note(new_tasks(14, 640..768, 14)), "", "many at once, without a lag");
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn operation(polls: u64, dropped_at: Option<Timestamp>) -> AsyncOpUpdate {
    let poll_stats = Some(PollStats { polls, ..PollStats::default() });
    let task_id = Some(Id { id: 1 });
    let stats = async_ops::Stats { created_at: at(1_002), dropped_at, task_id, poll_stats, attributes: Vec::new() };
    let async_op = AsyncOp { id: Some(Id { id: 3 }), resource_id: Some(Id { id: 2 }), ..AsyncOp::default() };
    AsyncOpUpdate { new_async_ops: vec![async_op], stats_update: HashMap::from([(3, stats)]), dropped_events: 0 }
}

fn polled(operation: u64, is_ready: bool) -> PollOp {
    PollOp { async_op_id: Some(Id { id: operation }), is_ready, ..PollOp::default() }
}

/// Decodes an operation that ends in the third update, with one poll and `others` polls of another operation, and then
/// `fourth`. Returns outcome, polls and end of its await after the third update and at the end.
fn await_outcomes(others: usize, fourth: Option<Update>) -> [(&'static str, u32, Option<u64>); 2] {
    let task = Task { id: Some(Id { id: 1 }), ..Task::default() };
    let task_stats = tasks::Stats { created_at: at(1_000), ..tasks::Stats::default() };
    let resource = Resource { id: Some(Id { id: 2 }), concrete_type: "Mutex".into(), ..Resource::default() };
    let first = Update {
        now: at(1_001),
        task_update: Some(TaskUpdate {
            new_tasks: vec![task],
            stats_update: HashMap::from([(1, task_stats)]),
            dropped_events: 0,
        }),
        resource_update: Some(ResourceUpdate { new_resources: vec![resource], ..ResourceUpdate::default() }),
        ..Update::default()
    };
    let polls = |count| ResourceUpdate { new_poll_ops: vec![polled(7, false); count], ..ResourceUpdate::default() };
    let third = Update {
        now: at(1_004),
        resource_update: Some(polls(others)),
        async_op_update: Some(operation(1, at(1_003))),
        ..Update::default()
    };
    let (mut decoder, mut trace) = (ConsoleDecoder::new(PollSource::Console), trace());
    let mut apply = |events: Vec<Event>| {
        events.into_iter().for_each(|event| trace.apply(event));
        trace.awaits().iter().next().map(|(_, found)| (found.outcome().name(), found.polls, found.end()))
    };
    for update in [first.clone(), first] {
        assert_eq!(apply(in_parts(&mut decoder, &update, None)), None);
    }
    let third = apply(in_parts(&mut decoder, &third, None)).expect("the await exists");
    let last = match fourth {
        Some(mut update) => {
            update.resource_update.get_or_insert_with(|| polls(others));
            in_parts(&mut decoder, &update, None)
        }
        None => decoder.close(),
    };
    [third, apply(last).expect("the await still exists")]
}

#[test]
fn await_outcome_waits_for_its_last_poll() {
    let over = Some(3_000_000_000);
    let open = ("pending", 1, None);
    let update = |resource_update, async_op_update| {
        Some(Update { now: at(1_005), resource_update, async_op_update, ..Update::default() })
    };
    let ready = || ResourceUpdate { new_poll_ops: vec![polled(3, true)], ..ResourceUpdate::default() };
    // The end was read while the last poll was still in the buffer.
    assert_eq!(await_outcomes(0, update(Some(ready()), Some(operation(2, at(1_003))))), [open, ("ready", 2, over)]);
    assert_eq!(await_outcomes(0, update(Some(ready()), None)), [open, ("ready", 1, over)]);
    assert_eq!(await_outcomes(0, update(None, Some(operation(2, at(1_003))))), [open, ("cancelled", 2, over)]);
    assert_eq!(await_outcomes(0, update(None, None)), [open, ("cancelled", 1, over)]);
    // The buffer may hold more than one update takes, or there is no further update.
    assert_eq!(await_outcomes(128, update(None, None)), [open, ("unknown", 1, over)]);
    assert_eq!(await_outcomes(0, None), [open, ("unknown", 1, over)]);
}

#[test]
fn both_spawn_spans_mean_instrumented() {
    let instrumented = |name: &str, target: &str| {
        let metadata = Metadata { name: name.into(), target: target.into(), ..Metadata::default() };
        let new_metadata = register_metadata::NewMetadata { id: None, metadata: Some(metadata) };
        let new_metadata = Some(RegisterMetadata { metadata: vec![new_metadata] });
        let update = Update { now: at(1), new_metadata, ..Update::default() };
        let (mut decoder, mut health) = (ConsoleDecoder::new(PollSource::Console), ConsoleHealth::default());
        health.observe(ConsoleMessage::parse(update.encode_to_vec().into()).expect("decode the encoded message"));
        in_parts(&mut decoder, &update, None);
        let is_instrumented = health.diagnose().iter().any(|line| line.cause.contains("tokio is instrumented"));
        assert_eq!(decoder.is_instrumented(), is_instrumented, "{name}");
        is_instrumented
    };
    assert!(instrumented("runtime.spawn", "tokio::task") && instrumented("task", "tokio::task"));
    assert!(!instrumented("task", "my_app") && !instrumented("runtime.resource", "tokio::sync"));
}
