//! The columns of the task table. The table, the labels beside the lanes and the sort orders all use this one list.

use std::borrow::Cow;

use super::task_names::{describe_waker, task_name};
use super::time;
use crate::trace::{Nanos, Task, TaskState, Trace};

/// What the columns of a row are computed from.
#[derive(Clone, Copy)]
pub struct ColumnContext<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// Loop time, in nanoseconds, as of which all values are computed.
    pub now: Nanos,
    /// Whether `now` is in the past. Counts without a history are then not available.
    pub is_past: bool,
}

impl<'a> ColumnContext<'a> {
    /// Computes all values as of now.
    pub fn now(trace: &'a Trace) -> Self {
        Self { trace, now: trace.now(), is_past: false }
    }

    fn state(&self, task: &Task) -> Option<TaskState> {
        if self.is_past { self.trace.state_at(task.id, self.now) } else { self.trace.state(task.id) }
    }
}

/// Value by which rows are sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey<'a> {
    /// Sorts numerically.
    Number(u64),
    /// Sorts alphabetically.
    Text(Cow<'a, str>),
}

impl SortKey<'_> {
    /// Converts borrowed text into owned text.
    pub fn into_owned(self) -> SortKey<'static> {
        match self {
            SortKey::Number(number) => SortKey::Number(number),
            SortKey::Text(text) => SortKey::Text(text.into_owned().into()),
        }
    }
}

/// A column of the task table.
pub struct TaskColumn {
    /// Title of the column, and its name in the `sort` command.
    pub title: &'static str,
    /// Width in screen columns.
    pub width: u16,
    /// Description of the value.
    pub description: &'static str,
    /// Whether the value is a number: right-aligned, and sorted in descending order first.
    pub is_number: bool,
    /// Cost of looking up the sort key, relative to that of a value in the task's row.
    pub lookup_cost: usize,
    key: for<'a> fn(ColumnContext<'a>, &'a Task) -> SortKey<'a>,
    text: fn(ColumnContext<'_>, &Task) -> String,
}

impl TaskColumn {
    /// Returns the sort key of `task`.
    pub fn key<'a>(&self, context: ColumnContext<'a>, task: &'a Task) -> SortKey<'a> {
        (self.key)(context, task)
    }

    /// Returns the cell text of `task`.
    pub fn text(&self, context: ColumnContext<'_>, task: &Task) -> String {
        (self.text)(context, task)
    }
}

/// Returns the index of the column with this title.
pub fn find_by_title(title: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.title == title)
}

/// All columns, in the order of the table. The first one is the default order of the rows.
pub const COLUMNS: &[TaskColumn] = &[
    TaskColumn {
        title: "id",
        width: 7,
        description: "task id, in spawn order",
        is_number: true,
        lookup_cost: 1,
        key: |_, task| SortKey::Number(task.id.index() as u64),
        text: |_, task| task.id.to_string(),
    },
    TaskColumn {
        title: "task",
        width: 24,
        description: "task name",
        is_number: false,
        lookup_cost: 1,
        key: |_, task| SortKey::Text(task.name()),
        text: |_, task| task.name().into_owned(),
    },
    TaskColumn {
        title: "state",
        width: 10,
        description: "current state",
        is_number: false,
        lookup_cost: 1,
        key: |context, task| SortKey::Number(context.state(task).map_or(9, urgency)),
        text: |context, task| context.state(task).map_or("", TaskState::name).to_owned(),
    },
    TaskColumn {
        title: "wait",
        width: 7,
        description: "duration of the current wait",
        is_number: true,
        lookup_cost: 1,
        key: |context, task| SortKey::Number(current_wait_ns(context, task).unwrap_or(0)),
        text: |context, task| current_wait_ns(context, task).map_or_else(String::new, time::compact),
    },
    TaskColumn {
        title: "awaiting",
        width: 16,
        description: "current await",
        is_number: false,
        // The await is in a packed block.
        lookup_cost: 5,
        key: |context, task| SortKey::Text(awaited_source(context, task).into()),
        text: awaited_source,
    },
    TaskColumn {
        title: "polls",
        width: 7,
        description: "number of polls",
        is_number: true,
        lookup_cost: 1,
        key: |context, task| SortKey::Number(poll_count(context, task)),
        text: |context, task| compact_count(poll_count(context, task)),
    },
    TaskColumn {
        title: "wakes",
        width: 7,
        description: "number of wakes",
        is_number: true,
        lookup_cost: 1,
        key: |_, task| SortKey::Number(task.counts.wakes),
        text: |context, task| current_count(context, task.counts.wakes),
    },
    TaskColumn {
        title: "self",
        width: 7,
        description: "number of self-wakes",
        is_number: true,
        lookup_cost: 1,
        key: |_, task| SortKey::Number(task.counts.self_wakes),
        text: |context, task| current_count(context, task.counts.self_wakes),
    },
    TaskColumn {
        title: "clones",
        width: 7,
        description: "number of live waker clones, if the feed reports them",
        is_number: true,
        lookup_cost: 1,
        key: |_, task| SortKey::Number(task.live_wakers().unwrap_or(0)),
        text: |context, task| task.live_wakers().map_or_else(String::new, |wakers| current_count(context, wakers)),
    },
    TaskColumn {
        title: "busy",
        width: 7,
        description: "total time running",
        is_number: true,
        lookup_cost: 1,
        key: |context, task| SortKey::Number(task.lane.totals_at(context.now).busy_ns),
        text: |context, task| time::compact(task.lane.totals_at(context.now).busy_ns),
    },
    TaskColumn {
        title: "busy%",
        width: 6,
        description: "share of its lifetime that it was running",
        is_number: true,
        lookup_cost: 1,
        key: |context, task| SortKey::Number(busy_ppm(context, task)),
        text: |context, task| format!("{:.1}", busy_ppm(context, task) as f64 / 1e4),
    },
    TaskColumn {
        title: "sched",
        width: 7,
        description: "total time scheduled (woken, not yet polled)",
        is_number: true,
        lookup_cost: 1,
        key: |context, task| SortKey::Number(task.totals_at(context.now).0.scheduled_ns),
        text: |context, task| time::compact(task.totals_at(context.now).0.scheduled_ns),
    },
    TaskColumn {
        title: "waited",
        width: 7,
        description: "total time waiting",
        is_number: true,
        lookup_cost: 1,
        key: |context, task| SortKey::Number(task.totals_at(context.now).0.waiting_total_ns()),
        text: |context, task| time::compact(task.totals_at(context.now).0.waiting_total_ns()),
    },
    TaskColumn {
        title: "life",
        width: 7,
        description: "lifetime: from spawn to end, or to now",
        is_number: true,
        lookup_cost: 1,
        key: |context, task| SortKey::Number(life_ns(context, task)),
        text: |context, task| time::compact(life_ns(context, task)),
    },
    TaskColumn {
        title: "spawned",
        width: 8,
        description: "time of the spawn",
        is_number: true,
        lookup_cost: 1,
        key: |_, task| SortKey::Number(task.lane.spawned_at()),
        text: |_, task| time::compact(task.lane.spawned_at()),
    },
    TaskColumn {
        title: "parent",
        width: 16,
        description: "task that spawned it",
        is_number: false,
        lookup_cost: 1,
        key: |_, task| SortKey::Number(task.meta.parent.map_or(0, |id| id.index() as u64 + 1)),
        text: |context, task| task.meta.parent.map_or_else(String::new, |id| task_name(context.trace, id)),
    },
    TaskColumn {
        title: "woken",
        width: 8,
        description: "time of the last wake",
        is_number: true,
        lookup_cost: 1,
        key: |_, task| SortKey::Number(task.last_woken_at().unwrap_or(0)),
        text: |context, task| match task.last_woken_at().filter(|at| *at <= context.now) {
            Some(at) => time::compact(at),
            None => String::new(),
        },
    },
    TaskColumn {
        title: "woken by",
        width: 16,
        description: "source of the last wake",
        is_number: false,
        lookup_cost: 1,
        key: |context, task| {
            SortKey::Text(
                task.last_wake.map_or_else(String::new, |wake| describe_waker(context.trace, task.id, wake)).into(),
            )
        },
        text: |context, task| match task.last_wake.filter(|(at, _)| *at <= context.now) {
            Some(wake) => describe_waker(context.trace, task.id, wake),
            None => String::new(),
        },
    },
    TaskColumn {
        title: "worker",
        width: 7,
        description: "worker that ran its last poll, if known",
        is_number: true,
        // An earlier poll is in a packed block.
        lookup_cost: 5,
        key: |context, task| SortKey::Number(task.worker_at(context.now).map_or(0, |worker| worker.number().into())),
        text: |context, task| task.worker_at(context.now).map_or_else(String::new, |worker| worker.index().to_string()),
    },
    TaskColumn {
        title: "kind",
        width: 9,
        description: "task, local task, block_on future or blocking-pool closure",
        is_number: false,
        lookup_cost: 1,
        key: |_, task| SortKey::Text(task.meta.kind.screen_name().into()),
        text: |_, task| task.meta.kind.screen_name().to_owned(),
    },
    TaskColumn {
        title: "location",
        width: 40,
        description: "spawn location",
        is_number: false,
        lookup_cost: 1,
        key: |_, task| SortKey::Text(task.meta.location.as_ref().map_or("", |location| &*location.file).into()),
        text: |_, task| task.meta.location.as_ref().map_or_else(String::new, ToString::to_string),
    },
];

/// Index of the name column, which does not scroll.
pub const NAME_COLUMN: usize = 1;

/// Returns the columns that a table of `width` shows when the first `left` scrolling columns are scrolled away, each
/// as index, start column and width.
pub fn visible_columns(left: usize, width: u16) -> Vec<(usize, u16, u16)> {
    let scrolled = (0..COLUMNS.len()).filter(|index| *index != NAME_COLUMN).skip(left);
    let mut shown = Vec::new();
    let mut at = 0_u16;
    for index in std::iter::once(NAME_COLUMN).chain(scrolled) {
        let wanted =
            if index == NAME_COLUMN { COLUMNS[NAME_COLUMN].width.min(width / 3) } else { COLUMNS[index].width };
        // The last column may be truncated, but not to fewer than six columns.
        let width_left = wanted.min(width.saturating_sub(at));
        if width_left < wanted.min(6) {
            break;
        }
        shown.push((index, at, width_left));
        at += width_left + 1;
    }
    shown
}

/// Orders states by urgency: lower ranks need attention first.
fn urgency(state: TaskState) -> u64 {
    match state {
        TaskState::Running => 0,
        TaskState::Scheduled => 1,
        TaskState::Held => 2,
        TaskState::Waiting(..) => 3,
        TaskState::Failed => 4,
        TaskState::Cancelled => 5,
        TaskState::Ended => 6,
        TaskState::Completed => 7,
    }
}

fn poll_count(context: ColumnContext<'_>, task: &Task) -> u64 {
    if context.is_past { task.lane.totals_at(context.now).polls } else { task.counts.polls }
}

/// Formats a count of which only the current value is known.
fn current_count(context: ColumnContext<'_>, count: u64) -> String {
    if context.is_past { "-".to_owned() } else { compact_count(count) }
}

fn life_ns(context: ColumnContext<'_>, task: &Task) -> u64 {
    task.lane.ended_at().map_or(context.now, |ended| ended.min(context.now)).saturating_sub(task.lane.spawned_at())
}

fn busy_ppm(context: ColumnContext<'_>, task: &Task) -> u64 {
    let busy = u128::from(task.lane.totals_at(context.now).busy_ns);
    u64::try_from(busy * 1_000_000 / u128::from(life_ns(context, task).max(1))).unwrap_or(u64::MAX)
}

/// Returns how long a waiting task has waited; `None` if it is not waiting.
fn current_wait_ns(context: ColumnContext<'_>, task: &Task) -> Option<u64> {
    let TaskState::Waiting(on, _) = context.state(task)? else { return None };
    let awaited = on.and_then(|id| context.trace.awaits().get(id)).map(|entry| entry.start);
    let polled = || task.lane.cycle_at(context.now).and_then(|cycle| cycle.end());
    Some(context.now.saturating_sub(awaited.or_else(polled)?))
}

fn awaited_source(context: ColumnContext<'_>, task: &Task) -> String {
    let Some(TaskState::Waiting(Some(on), _)) = context.state(task) else { return String::new() };
    let site = context.trace.awaits().get(on).and_then(|entry| context.trace.site(entry.site));
    site.map_or_else(String::new, |site| site.source.to_string())
}

/// Formats a count in at most six columns.
fn compact_count(count: u64) -> String {
    match count {
        0..=999_999 => count.to_string(),
        1_000_000..=999_999_999 => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.1}G", count as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_reachable_at_any_width() {
        for width in [20, 40, 80, 200] {
            let mut reached: Vec<usize> =
                (0..COLUMNS.len() - 1).flat_map(|left| visible_columns(left, width)).map(|(index, ..)| index).collect();
            reached.sort_unstable();
            reached.dedup();
            assert_eq!(reached.len(), COLUMNS.len(), "{width}");
            for (_, at, columns) in visible_columns(3, width) {
                assert!(at + columns <= width);
            }
        }
    }

    #[test]
    fn column_titles_are_unique_and_fit() {
        for (index, column) in COLUMNS.iter().enumerate() {
            assert_eq!(find_by_title(column.title), Some(index));
            assert!(
                column.title.len() < usize::from(column.width) && !column.description.is_empty(),
                "{}",
                column.title
            );
        }
    }
}
