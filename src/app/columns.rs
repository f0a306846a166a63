//! The columns of tasks, in one list: the table, the labels of the timeline and every order of rows are made from it.

use std::borrow::Cow;

use super::time;
use crate::trace::{Cause, Nanos, State, Task, Trace};

/// What a column may look at.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub trace: &'a Trace,
    /// Loop time as of which everything is said.
    pub now: Nanos,
    /// It is a time past, of which counts that nobody keeps a history of are not known.
    pub is_past: bool,
}

impl<'a> Look<'a> {
    /// Everything as it is now.
    pub fn now(trace: &'a Trace) -> Self {
        Self { trace, now: trace.now(), is_past: false }
    }

    fn state(&self, task: &Task) -> Option<State> {
        if self.is_past { self.trace.state_at(task.id, self.now) } else { self.trace.state(task.id) }
    }
}

/// What rows are put in order by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

impl Key<'_> {
    /// The same, of its own.
    pub fn into_owned(self) -> Key<'static> {
        match self {
            Key::Number(number) => Key::Number(number),
            Key::Text(text) => Key::Text(text.into_owned().into()),
        }
    }
}

/// One column.
pub struct Column {
    /// Over the column, and what the command that sorts calls it.
    pub title: &'static str,
    /// Columns of the screen.
    pub width: u16,
    pub says: &'static str,
    /// Numbers stand at the right and are first put in order from the greatest.
    pub is_number: bool,
    key: for<'a> fn(Look<'a>, &'a Task) -> Key<'a>,
    text: fn(Look<'_>, &Task) -> String,
}

impl Column {
    pub fn key<'a>(&self, look: Look<'a>, task: &'a Task) -> Key<'a> {
        (self.key)(look, task)
    }

    /// What the table says of `task`.
    pub fn text(&self, look: Look<'_>, task: &Task) -> String {
        (self.text)(look, task)
    }
}

/// The column called `title`.
pub fn named(title: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.title == title)
}

/// How long it takes to look up what a task is in order by, in look-ups of what stands in its row: what it awaits is in a
/// packed block.
pub fn weight(index: usize) -> usize {
    if COLUMNS.get(index).is_some_and(|column| column.title == "on") { 5 } else { 1 }
}

/// All columns, in the order of the table. The first is the order in which rows stand unless another is asked for.
pub const COLUMNS: &[Column] = &[
    Column {
        title: "id",
        width: 7,
        says: "in order of spawning",
        is_number: true,
        key: |_, task| Key::Number(task.id.index() as u64),
        text: |_, task| task.id.to_string(),
    },
    Column {
        title: "task",
        width: 24,
        says: "its name",
        is_number: false,
        key: |_, task| Key::Text(task.name()),
        text: |_, task| task.name().into_owned(),
    },
    Column {
        title: "state",
        width: 10,
        says: "what it is doing",
        is_number: false,
        key: |look, task| Key::Number(look.state(task).map_or(9, rank)),
        text: |look, task| look.state(task).map_or("", State::name).to_owned(),
    },
    Column {
        title: "waits",
        width: 7,
        says: "for how long it has waited now",
        is_number: true,
        key: |look, task| Key::Number(waits_ns(look, task).unwrap_or(0)),
        text: |look, task| waits_ns(look, task).map_or_else(String::new, time::brief),
    },
    Column {
        title: "on",
        width: 16,
        says: "what it awaits",
        is_number: false,
        key: |look, task| Key::Text(awaited(look, task).into()),
        text: awaited,
    },
    Column {
        title: "polls",
        width: 7,
        says: "how often it was polled",
        is_number: true,
        key: |look, task| Key::Number(polls(look, task)),
        text: |look, task| short(polls(look, task)),
    },
    Column {
        title: "wakes",
        width: 7,
        says: "how often it was woken",
        is_number: true,
        key: |_, task| Key::Number(task.counts.wakes),
        text: |look, task| counted(look, task.counts.wakes),
    },
    Column {
        title: "self",
        width: 7,
        says: "how often it woke itself",
        is_number: true,
        key: |_, task| Key::Number(task.counts.self_wakes),
        text: |look, task| counted(look, task.counts.self_wakes),
    },
    Column {
        title: "wakers",
        width: 7,
        says: "wakers of it that are kept somewhere, where somebody counts them",
        is_number: true,
        key: |_, task| Key::Number(wakers(task).unwrap_or(0)),
        text: |look, task| wakers(task).map_or_else(String::new, |wakers| counted(look, wakers)),
    },
    Column {
        title: "busy",
        width: 7,
        says: "how long it ran in all",
        is_number: true,
        key: |look, task| Key::Number(task.lane.totals_at(look.now).busy_ns),
        text: |look, task| time::brief(task.lane.totals_at(look.now).busy_ns),
    },
    Column {
        title: "busy%",
        width: 6,
        says: "the share of its life that it ran",
        is_number: true,
        key: |look, task| Key::Number(busy_ppm(look, task)),
        text: |look, task| format!("{:.1}", busy_ppm(look, task) as f64 / 1e4),
    },
    Column {
        title: "ready",
        width: 7,
        says: "how long it was ready and waited for its turn",
        is_number: true,
        key: |look, task| Key::Number(task.lane.totals_at(look.now).scheduled_ns),
        text: |look, task| time::brief(task.lane.totals_at(look.now).scheduled_ns),
    },
    Column {
        title: "waited",
        width: 7,
        says: "how long it waited in all",
        is_number: true,
        key: |look, task| Key::Number(task.lane.totals_at(look.now).waiting_total_ns()),
        text: |look, task| time::brief(task.lane.totals_at(look.now).waiting_total_ns()),
    },
    Column {
        title: "life",
        width: 7,
        says: "from its spawn to its end, or to now",
        is_number: true,
        key: |look, task| Key::Number(life_ns(look, task)),
        text: |look, task| time::brief(life_ns(look, task)),
    },
    Column {
        title: "spawned",
        width: 8,
        says: "when it was spawned",
        is_number: true,
        key: |_, task| Key::Number(task.lane.spawned()),
        text: |_, task| time::brief(task.lane.spawned()),
    },
    Column {
        title: "by",
        width: 16,
        says: "which task spawned it",
        is_number: false,
        key: |_, task| Key::Number(task.spawned.parent.map_or(0, |id| id.index() as u64 + 1)),
        text: |look, task| task.spawned.parent.map_or_else(String::new, |id| name_of(look.trace, id)),
    },
    Column {
        title: "woken",
        width: 8,
        says: "when it was woken last",
        is_number: true,
        key: |_, task| Key::Number(woken(task).unwrap_or(0)),
        text: |look, task| match woken(task).filter(|at| *at <= look.now) {
            Some(at) => time::brief(at),
            None => String::new(),
        },
    },
    Column {
        title: "waker",
        width: 16,
        says: "who woke it last",
        is_number: false,
        key: |look, task| Key::Text(task.last_wake.map_or_else(String::new, |wake| cause(look.trace, wake.1)).into()),
        text: |look, task| match task.last_wake.filter(|(at, _)| *at <= look.now) {
            Some((_, by)) => cause(look.trace, by),
            None => String::new(),
        },
    },
    Column {
        title: "kind",
        width: 9,
        says: "a task, one that stays on a thread, a thread's own future, or a closure on the blocking pool",
        is_number: false,
        key: |_, task| Key::Text(task.spawned.kind.name().into()),
        text: |_, task| task.spawned.kind.name().to_owned(),
    },
    Column {
        title: "place",
        width: 40,
        says: "where it was spawned",
        is_number: false,
        key: |_, task| Key::Text(task.spawned.location.as_ref().map_or("", |place| &*place.file).into()),
        text: |_, task| task.spawned.location.as_ref().map_or_else(String::new, ToString::to_string),
    },
];

/// The column of names: it stays where it is when the others are scrolled.
pub const NAME: usize = 1;

/// Which columns a table of `width` shows when the first `left` of those that scroll are scrolled away: each with where
/// it begins and how wide it is.
pub fn shown(left: usize, width: u16) -> Vec<(usize, u16, u16)> {
    let scrolled = (0..COLUMNS.len()).filter(|index| *index != NAME).skip(left);
    let mut shown = Vec::new();
    let mut at = 0_u16;
    for index in std::iter::once(NAME).chain(scrolled) {
        let wanted = if index == NAME { COLUMNS[NAME].width.min(width / 3) } else { COLUMNS[index].width };
        // The last one may be cut, but not to nothing.
        let given = wanted.min(width.saturating_sub(at));
        if given < wanted.min(6) {
            break;
        }
        shown.push((index, at, given));
        at += given + 1;
    }
    shown
}

/// States by how much they ask to be looked at.
fn rank(state: State) -> u64 {
    match state {
        State::Running => 0,
        State::Scheduled => 1,
        State::Held => 2,
        State::Waiting(..) => 3,
        State::Failed => 4,
        State::Cancelled => 5,
        State::Done => 6,
    }
}

fn polls(look: Look<'_>, task: &Task) -> u64 {
    if look.is_past { task.lane.totals_at(look.now).polls } else { task.counts.polls }
}

/// A count that only its newest value is known of.
fn counted(look: Look<'_>, count: u64) -> String {
    if look.is_past { "-".to_owned() } else { short(count) }
}

fn wakers(task: &Task) -> Option<u64> {
    task.wakers().map(|(clones, drops)| clones.saturating_sub(drops))
}

fn life_ns(look: Look<'_>, task: &Task) -> u64 {
    task.lane.ended().map_or(look.now, |ended| ended.min(look.now)).saturating_sub(task.lane.spawned())
}

fn busy_ppm(look: Look<'_>, task: &Task) -> u64 {
    let busy = u128::from(task.lane.totals_at(look.now).busy_ns);
    u64::try_from(busy * 1_000_000 / u128::from(life_ns(look, task).max(1))).unwrap_or(u64::MAX)
}

/// For how long a task that waits has waited; `None` for one that does not.
fn waits_ns(look: Look<'_>, task: &Task) -> Option<u64> {
    let State::Waiting(on, _) = look.state(task)? else { return None };
    let awaited = on.and_then(|id| look.trace.awaits().get(id)).map(|found| found.start);
    let polled = || task.lane.cycle_at(look.now).and_then(|cycle| cycle.end());
    Some(look.now.saturating_sub(awaited.or_else(polled)?))
}

fn awaited(look: Look<'_>, task: &Task) -> String {
    let Some(State::Waiting(Some(on), _)) = look.state(task) else { return String::new() };
    let site = look.trace.awaits().get(on).and_then(|found| look.trace.site(found.site));
    site.map_or_else(String::new, |site| site.source.to_string())
}

/// A task by its name, in a few words.
pub fn name_of(trace: &Trace, id: crate::trace::TaskId) -> String {
    trace.task(id).map_or_else(|| format!("#{id}"), |task| task.name().into_owned())
}

/// Who woke, in a few words.
pub fn cause(trace: &Trace, cause: Cause) -> String {
    match cause {
        Cause::Task(id) => name_of(trace, id),
        Cause::Own => "itself".to_owned(),
        Cause::Driver => "a timer or I/O".to_owned(),
        Cause::Thread => "another thread".to_owned(),
        Cause::Person => "you".to_owned(),
    }
}

/// A count in at most six columns.
pub fn short(count: u64) -> String {
    match count {
        0..=999_999 => count.to_string(),
        1_000_000..=999_999_999 => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.1}G", count as f64 / 1e9),
    }
}

/// When it was woken last, as far as that was seen or told.
fn woken(task: &Task) -> Option<Nanos> {
    task.last_wake.map(|(at, _)| at).max(task.told_wake())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_can_be_scrolled_to_on_any_screen() {
        for width in [20, 40, 80, 200] {
            let mut seen: Vec<usize> =
                (0..COLUMNS.len() - 1).flat_map(|left| shown(left, width)).map(|(index, ..)| index).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), COLUMNS.len(), "{width}");
            for (_, at, columns) in shown(3, width) {
                assert!(at + columns <= width);
            }
        }
    }

    #[test]
    fn every_column_has_a_title_of_its_own_that_fits() {
        for (index, column) in COLUMNS.iter().enumerate() {
            assert_eq!(named(column.title), Some(index));
            assert!(column.title.len() < usize::from(column.width) && !column.says.is_empty(), "{}", column.title);
        }
    }
}
