//! Reads what the wire reports of one task, field by field. Stateless.

use console_api::field::{Name, Value};
use console_api::{Attribute, Field, Location as WireLocation, Metadata, tasks};
use prost_types::{Duration, Timestamp};

use super::text_interner::{FILE_BYTES_MAX, NAME_BYTES_MAX, TextInterner};
use super::wire_clock::{ToLoopTime, WireTimestamp};
use crate::trace::{Location, Nanos, TaskActivity, TaskCounts, TaskKind, TaskMeta, TaskStats};

/// Fields of one entity that are searched.
pub const FIELDS_MAX: usize = 64;

/// Whether this is tokio's own span for tasks, so that the program is instrumented. Older versions use another name.
pub fn is_spawn(span: &Metadata) -> bool {
    span.name == "runtime.spawn" || (span.name == "task" && span.target == "tokio::task")
}

/// Reads name, kind, location and sizes of a task. The wire does not carry its parent.
pub fn task_meta(task: &tasks::Task, interner: &mut TextInterner) -> TaskMeta {
    let name = text_field(task, "task.name").unwrap_or_default();
    let function = text_field(task, "fn").unwrap_or_default();
    let kind = text_field(task, "kind").map_or(TaskKind::Task, |kind| TaskKind::from_fields(kind, function));
    TaskMeta {
        name: interner.intern(name, NAME_BYTES_MAX),
        kind,
        parent: None,
        location: location(task.location.as_ref(), interner),
        size_bytes: number_field(task, "size.bytes"),
        original_size_bytes: number_field(task, "original_size.bytes"),
    }
}

fn number_field(task: &tasks::Task, name: &str) -> Option<u64> {
    match field_value(task, name)? {
        Value::U64Val(number) => Some(*number),
        _ => None,
    }
}

/// Returns tokio's own task id, as a number.
pub fn tokio_task_id(task: &tasks::Task) -> Option<u64> {
    number_field(task, "task.id")
}

/// Converts a location; `None` without a file or line.
pub fn location(location: Option<&WireLocation>, interner: &mut TextInterner) -> Option<Location> {
    let location = location?;
    let file = location.file.as_deref().filter(|file| !file.is_empty())?;
    Some(Location { file: interner.intern(file, FILE_BYTES_MAX), line: location.line? })
}

fn field_value<'a>(task: &'a tasks::Task, name: &str) -> Option<&'a Value> {
    let is_called = |field: &&Field| matches!(&field.name, Some(Name::StrName(called)) if called == name);
    task.fields.iter().take(FIELDS_MAX).find(is_called)?.value.as_ref()
}

fn text_field<'a>(task: &'a tasks::Task, name: &str) -> Option<&'a str> {
    match field_value(task, name)? {
        Value::StrVal(text) | Value::DebugVal(text) => Some(text),
        _ => None,
    }
}

/// Returns the number that an attribute of a resource or an operation has: the first one of this name, and of this unit
/// if one is given.
pub fn number_attribute(attributes: &[Attribute], wanted: &str, unit: Option<&str>) -> Option<u64> {
    let is_unit = |attribute: &&Attribute| unit.is_none() || attribute.unit.as_deref() == unit;
    attributes.iter().take(FIELDS_MAX).filter(is_unit).find_map(|attribute| {
        let field = attribute.field.as_ref()?;
        match (field.name.as_ref()?, field.value.as_ref()?) {
            (Name::StrName(name), Value::U64Val(number)) if name == wanted => Some(*number),
            _ => None,
        }
    })
}

/// Reads poll and wake counts of one task. Awaits are counted elsewhere.
///
/// tracing enters a span once more to drop the instrumented future, and console-subscriber counts that as a poll. So
/// the count of a dropped task is one too high and is corrected here.
pub fn counts(stats: &tasks::Stats) -> TaskCounts {
    let polls = stats.poll_stats.as_ref().map_or(0, |stats| stats.polls);
    TaskCounts {
        polls: polls - u64::from(stats.dropped_at.is_some()).min(polls),
        wakes: stats.wakes,
        self_wakes: stats.self_wakes,
        awaits: 0,
    }
}

/// Reads the last poll (start, and end unless it is running) and the last wake of a task.
pub fn last_poll_and_wake(
    stats: &tasks::Stats,
    times: &impl ToLoopTime,
) -> (Option<(Nanos, Option<Nanos>)>, Option<Nanos>) {
    let polled = stats.poll_stats.as_ref().and_then(|poll| {
        let start = times.loop_time(Some(poll.last_poll_started?));
        // While a poll is running, the end is that of the poll before.
        let end = poll.last_poll_ended.filter(|end| is_later(end, poll.last_poll_started.as_ref()));
        Some((start, end.map(|end| times.loop_time(Some(end)).max(start))))
    });
    (polled, stats.last_wake.map(|wake| times.loop_time(Some(wake))))
}

fn is_later(stamp: &Timestamp, than: Option<&Timestamp>) -> bool {
    than.is_some_and(|than| (stamp.seconds, stamp.nanos) >= (than.seconds, than.nanos))
}

/// Derives what a task was doing when `stats` were read.
pub fn doing(stats: &tasks::Stats) -> TaskActivity {
    let poll = stats.poll_stats.as_ref();
    let started = poll.and_then(|poll| WireTimestamp::from_proto(poll.last_poll_started));
    let ended = poll.and_then(|poll| WireTimestamp::from_proto(poll.last_poll_ended));
    match (started, WireTimestamp::from_proto(stats.last_wake)) {
        (Some(started), _) if ended.is_none_or(|ended| ended < started) => TaskActivity::Running,
        // A first poll needs no wake.
        (None, _) => TaskActivity::Scheduled,
        (Some(started), Some(woken)) if woken >= started => TaskActivity::Scheduled,
        (Some(_), _) => TaskActivity::Waiting,
    }
}

/// Reads the totals of a task's life up to `at`.
///
/// console-subscriber adds an interval (a poll, a stay in the ready queue) when it ends, so the current one is added
/// here. So is the stay before the first poll, which console-subscriber never counts.
///
/// tokio does not report the wakes of a `block_on` future. console-subscriber therefore counts all of its waiting as
/// time in the ready queue, where such a future never is; that time is left out. So is the time of a task that was
/// dropped and never woken: it waited from its first poll to the drop, which console-subscriber counts as a poll.
pub fn measured(stats: &tasks::Stats, kind: TaskKind, at: Nanos, times: &impl ToLoopTime) -> TaskStats {
    let poll = stats.poll_stats.as_ref();
    let has_ended = stats.dropped_at.is_some();
    let doing = if has_ended { TaskActivity::Waiting } else { doing(stats) };
    let since = |stamp: Option<Timestamp>| stamp.map_or(0, |stamp| at.saturating_sub(times.loop_time(Some(stamp))));
    let first_polled = poll.and_then(|poll| poll.first_poll).map_or(at, |first| times.loop_time(Some(first)));
    let first_scheduled_ns =
        stats.created_at.map_or(0, |created| first_polled.saturating_sub(times.loop_time(Some(created))));
    let (busy_now_ns, scheduled_now_ns) = match (doing, poll) {
        (TaskActivity::Running, Some(poll)) => (since(poll.last_poll_started), 0),
        (TaskActivity::Scheduled, Some(poll)) if poll.first_poll.is_some() => {
            let is_woken_last =
                WireTimestamp::from_proto(stats.last_wake) >= WireTimestamp::from_proto(poll.last_poll_ended);
            (0, since(if is_woken_last { stats.last_wake } else { poll.last_poll_ended }))
        }
        _ => (0, 0),
    };
    let is_never_queued = kind == TaskKind::BlockOn || (has_ended && kind.is_task() && stats.wakes == 0);
    let queued_ns = if is_never_queued { 0 } else { nanos(stats.scheduled_time) };
    let scheduled_ns = queued_ns.saturating_add(first_scheduled_ns);
    TaskStats {
        polls: counts(stats).polls,
        busy_ns: nanos(poll.and_then(|poll| poll.busy_time)).saturating_add(busy_now_ns),
        scheduled_ns: scheduled_ns.saturating_add(scheduled_now_ns),
        activity: doing,
        waker_clones: stats.waker_clones,
        waker_drops: stats.waker_drops,
    }
}

fn nanos(duration: Option<Duration>) -> u64 {
    let Some(Duration { seconds, nanos }) = duration else { return 0 };
    let seconds = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::try_from(nanos).unwrap_or(0))
}
