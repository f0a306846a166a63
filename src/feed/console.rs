//! console-subscriber's updates, turned into events: ids of the wire become ids of the trace, here and nowhere else.

use std::sync::{Arc, Mutex, PoisonError};

use console_api::field::{Name, Value};
use console_api::instrument::Update;
use console_api::{async_ops, tasks};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::trace::{Counts, Event, TaskId};

/// tokio's number of each task that the lab spawned, until the wire has told of it: the number is the one thing that
/// both know.
#[derive(Clone, Debug, Default)]
pub struct TaskNumbers(Arc<Mutex<FxHashMap<u64, TaskId>>>);

impl TaskNumbers {
    pub fn tell(&self, tokio: tokio::task::Id, task: TaskId) {
        // The number is nowhere to be had but in what the id prints.
        if let Ok(number) = tokio.to_string().parse() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, task);
        }
    }

    fn take(&self, number: u64) -> Option<TaskId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }
}

/// A task as the wire has told of it so far.
#[derive(Clone, Copy, Debug)]
struct Known {
    task: TaskId,
    counts: Counts,
}

/// See the module. One door serves one session.
#[derive(Debug)]
pub struct Door {
    numbers: TaskNumbers,
    /// By span id.
    tasks: FxHashMap<u64, Known>,
    /// Async operations that are counted for their task already, by span id.
    counted_ops: FxHashSet<u64>,
}

impl Door {
    pub fn new(numbers: TaskNumbers) -> Self {
        Self { numbers, tasks: FxHashMap::default(), counted_ops: FxHashSet::default() }
    }

    /// What `update` says, as events.
    pub fn events(&mut self, update: Update) -> Vec<Event> {
        let mut dropped = 0;
        let mut touched = Vec::new();
        if let Some(told) = update.task_update {
            dropped += told.dropped_events;
            for task in &told.new_tasks {
                self.meet(task);
            }
            for (span, stats) in told.stats_update {
                let Some(known) = self.tasks.get_mut(&span) else { continue };
                known.counts = Counts { awaits: known.counts.awaits, ..counts(&stats) };
                touched.push(span);
            }
        }
        if let Some(told) = update.async_op_update {
            dropped += told.dropped_events;
            for (operation, stats) in told.stats_update {
                touched.extend(self.count_await(operation, &stats));
            }
        }
        dropped += update.resource_update.map_or(0, |told| told.dropped_events);
        touched.sort_unstable();
        touched.dedup();
        let mut events: Vec<Event> = touched
            .iter()
            .filter_map(|span| self.tasks.get(span))
            .map(|known| Event::Counted { task: known.task, counts: known.counts })
            .collect();
        events.push(Event::ConsoleUpdate { dropped });
        events
    }

    fn meet(&mut self, task: &tasks::Task) {
        let (Some(span), Some(number)) = (&task.id, tokio_number(task)) else { return };
        if let Some(task) = self.numbers.take(number) {
            self.tasks.insert(span.id, Known { task, counts: Counts::default() });
        }
    }

    /// Counts an await for the task that polled it, once. Returns that task's span id when it did.
    fn count_await(&mut self, operation: u64, stats: &async_ops::Stats) -> Option<u64> {
        let span = stats.task_id.as_ref()?.id;
        let first = self.counted_ops.insert(operation);
        if stats.dropped_at.is_some() {
            self.counted_ops.remove(&operation);
        }
        let known = self.tasks.get_mut(&span).filter(|_| first)?;
        known.counts.awaits += 1;
        Some(span)
    }
}

/// The counts of one task, as polls of its own code.
///
/// tracing enters a span once more to drop what it instruments, and console-subscriber counts that as a poll: a task
/// that is gone has one poll too many.
fn counts(stats: &tasks::Stats) -> Counts {
    let polls = stats.poll_stats.as_ref().map_or(0, |stats| stats.polls);
    Counts {
        polls: polls - u64::from(stats.dropped_at.is_some()).min(polls),
        wakes: stats.wakes,
        self_wakes: stats.self_wakes,
        awaits: 0,
    }
}

fn tokio_number(task: &tasks::Task) -> Option<u64> {
    task.fields.iter().find_map(|field| match (&field.name, &field.value) {
        (Some(Name::StrName(name)), Some(Value::U64Val(number))) if name == "task.id" => Some(*number),
        _ => None,
    })
}
