//! What the wire says of one task, read field by field: nothing here remembers anything.

use console_api::field::{Name, Value};
use console_api::{Field, Location as Place, Metadata, tasks};
use prost_types::{Duration, Timestamp};

use super::stamps::{Stamp, Times};
use super::texts::{FILE_BYTES_MAX, NAME_BYTES_MAX, Texts};
use crate::trace::{Counts, Doing, Location, Measured, Nanos, Spawned, TaskKind};

/// Fields of one thing that are looked at.
pub const FIELDS_MAX: usize = 64;

/// Spans like this are tokio's own, for tasks: the program is built with what it takes. Older versions have another name.
pub fn is_spawn(span: &Metadata) -> bool {
    span.name == "runtime.spawn" || (span.name == "task" && span.target == "tokio::task")
}

/// What a task is from its spawn on. The wire does not tell who spawned it.
pub fn spawned(task: &tasks::Task, texts: &mut Texts) -> Spawned {
    let name = text(task, "task.name").unwrap_or_default();
    let kind = text(task, "kind").map_or(TaskKind::Task, TaskKind::from_name);
    Spawned {
        name: texts.keep(name, NAME_BYTES_MAX),
        kind,
        parent: None,
        location: location(task.location.as_ref(), texts),
        size_bytes: number_of(task, "size.bytes"),
        boxed_from_bytes: number_of(task, "original_size.bytes"),
    }
}

fn number_of(task: &tasks::Task, name: &str) -> Option<u64> {
    match value(task, name)? {
        Value::U64Val(number) => Some(*number),
        _ => None,
    }
}

/// tokio's own number of a task.
pub fn number(task: &tasks::Task) -> Option<u64> {
    number_of(task, "task.id")
}

pub fn location(place: Option<&Place>, texts: &mut Texts) -> Option<Location> {
    let place = place?;
    let file = place.file.as_deref().filter(|file| !file.is_empty())?;
    Some(Location { file: texts.keep(file, FILE_BYTES_MAX), line: place.line? })
}

fn value<'a>(task: &'a tasks::Task, name: &str) -> Option<&'a Value> {
    let is_called = |field: &&Field| matches!(&field.name, Some(Name::StrName(called)) if called == name);
    task.fields.iter().take(FIELDS_MAX).find(is_called)?.value.as_ref()
}

fn text<'a>(task: &'a tasks::Task, name: &str) -> Option<&'a str> {
    match value(task, name)? {
        Value::StrVal(text) | Value::DebugVal(text) => Some(text),
        _ => None,
    }
}

/// The counts of one task, as polls of its own code; awaits are counted elsewhere.
///
/// tracing enters a span once more to drop what it instruments, and console-subscriber counts that as a poll: a task
/// that is gone has one poll too many.
pub fn counts(stats: &tasks::Stats) -> Counts {
    let polls = stats.poll_stats.as_ref().map_or(0, |stats| stats.polls);
    Counts {
        polls: polls - u64::from(stats.dropped_at.is_some()).min(polls),
        wakes: stats.wakes,
        self_wakes: stats.self_wakes,
        awaits: 0,
    }
}

/// The last poll and wake that `stats` tell of, for a sample.
pub fn last(stats: &tasks::Stats, times: &impl Times) -> (Option<(Nanos, Option<Nanos>)>, Option<Nanos>) {
    let polled = stats.poll_stats.as_ref().and_then(|poll| {
        let start = times.at(Some(poll.last_poll_started?));
        // During a poll the end is still that of the one before.
        let end = poll.last_poll_ended.filter(|end| is_later(end, poll.last_poll_started.as_ref()));
        Some((start, end.map(|end| times.at(Some(end)).max(start))))
    });
    (polled, stats.last_wake.map(|wake| times.at(Some(wake))))
}

fn is_later(stamp: &Timestamp, than: Option<&Timestamp>) -> bool {
    than.is_some_and(|than| (stamp.seconds, stamp.nanos) >= (than.seconds, than.nanos))
}

/// What a task was doing when `stats` were read.
pub fn doing(stats: &tasks::Stats) -> Doing {
    let poll = stats.poll_stats.as_ref();
    let started = poll.and_then(|poll| Stamp::of(poll.last_poll_started));
    let ended = poll.and_then(|poll| Stamp::of(poll.last_poll_ended));
    match (started, Stamp::of(stats.last_wake)) {
        (Some(started), _) if ended.is_none_or(|ended| ended < started) => Doing::Running,
        // Nobody wakes a task for its first poll.
        (None, _) => Doing::Scheduled,
        (Some(started), Some(woken)) if woken >= started => Doing::Scheduled,
        (Some(_), _) => Doing::Waiting,
    }
}

/// Sums over a task's life up to `at`. What goes on just now (a poll, a stay in the ready queue) has not been added up
/// yet where it is counted, and is added here; so is the stay before the first poll, which is never added up there.
///
/// tokio does not tell of the wakes of a future that a thread blocks on, and then console-subscriber takes all of its
/// waiting for time in the ready queue, where such a future never is.
pub fn measured(stats: &tasks::Stats, kind: TaskKind, at: Nanos, times: &impl Times) -> Measured {
    let poll = stats.poll_stats.as_ref();
    let is_over = stats.dropped_at.is_some();
    let doing = if is_over { Doing::Waiting } else { doing(stats) };
    let since = |stamp: Option<Timestamp>| stamp.map_or(0, |stamp| at.saturating_sub(times.at(Some(stamp))));
    let first_polled = poll.and_then(|poll| poll.first_poll).map_or(at, |first| times.at(Some(first)));
    let first_scheduled_ns = stats.created_at.map_or(0, |created| first_polled.saturating_sub(times.at(Some(created))));
    let (busy_now_ns, scheduled_now_ns) = match (doing, poll) {
        (Doing::Running, Some(poll)) => (since(poll.last_poll_started), 0),
        (Doing::Scheduled, Some(poll)) if poll.first_poll.is_some() => {
            let is_woken_last = Stamp::of(stats.last_wake) >= Stamp::of(poll.last_poll_ended);
            (0, since(if is_woken_last { stats.last_wake } else { poll.last_poll_ended }))
        }
        _ => (0, 0),
    };
    let queued_ns = if kind == TaskKind::BlockOn { 0 } else { nanos(stats.scheduled_time) };
    let scheduled_ns = queued_ns.saturating_add(first_scheduled_ns);
    Measured {
        polls: counts(stats).polls,
        busy_ns: nanos(poll.and_then(|poll| poll.busy_time)).saturating_add(busy_now_ns),
        scheduled_ns: scheduled_ns.saturating_add(scheduled_now_ns),
        doing,
        waker_clones: stats.waker_clones,
        waker_drops: stats.waker_drops,
    }
}

fn nanos(duration: Option<Duration>) -> u64 {
    let Some(Duration { seconds, nanos }) = duration else { return 0 };
    let seconds = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::try_from(nanos).unwrap_or(0))
}
