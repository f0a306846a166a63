//! Decides whether the first record of a thread can be handled, or depends on a record of another thread.

use loopscope_probe::record::RecordKind;

use super::operations::OperationReplay;
use super::resources::ResourceReplay;
use super::tasks::{TaskPresence, TaskTable};
use super::thread_context::{EnterRole, ThreadContext};
use super::thread_merger::{Dependency, RecordVerdict, ThreadQueue};
use super::timed_record::TimedRecord;
use crate::trace::TaskKind;

/// Records after an entry that are searched for what shows whether it is a poll or a drop.
const SEARCHED_MAX: usize = 4_096;

/// Records that are searched for what a thread does.
const SEARCHED_FOR_CONTEXT_MAX: usize = 64;

/// Everything that decides.
#[derive(Clone, Copy)]
pub struct Causality<'a> {
    pub tasks: &'a TaskTable,
    pub contexts: &'a [ThreadContext],
    pub resources: &'a ResourceReplay,
    pub operations: &'a OperationReplay,
    /// The program records wakes.
    pub has_wakes: bool,
}

impl Causality<'_> {
    /// Judges the first record of a thread.
    pub fn judge(&self, queue: &ThreadQueue) -> RecordVerdict<EnterRole> {
        let ready = RecordVerdict::Ready(EnterRole::Poll);
        let Some(record) = queue.records.front() else { return ready };
        let wait = |dependency| RecordVerdict::Wait(dependency, EnterRole::Poll);
        match record.kind {
            RecordKind::PollStart if self.is_sampled(queue, record) => ready,
            RecordKind::PollStart | RecordKind::BlockingStart => self.judge_hooked(queue, record),
            RecordKind::Sampled if self.starts_poll(queue, record) => self.judge_hooked(queue, record),
            RecordKind::Enter => self.judge_enter(queue, record),
            RecordKind::TaskEnded | RecordKind::TaskClosed if self.is_polled_elsewhere(queue, record.subject) => {
                wait(Dependency::Task(record.subject))
            }
            RecordKind::Wake if self.is_unknown(queue) => {
                RecordVerdict::Wait(Dependency::NextRecord(queue.index), EnterRole::Poll)
            }
            RecordKind::Wake | RecordKind::WakeDeferred | RecordKind::WokenBy
                if self.is_for_a_later_poll(queue, record) =>
            {
                wait(Dependency::Task(record.subject))
            }
            RecordKind::Wake
            | RecordKind::WakeDeferred
            | RecordKind::WokenBy
            | RecordKind::Suspended
            | RecordKind::Sampled
            | RecordKind::Blocked
            | RecordKind::WakerCloned
            | RecordKind::WakerDropped
            | RecordKind::TaskEnded
            | RecordKind::TaskClosed
            | RecordKind::Held
            | RecordKind::Released
                if self.is_missing(record.subject) =>
            {
                wait(Dependency::Task(record.subject))
            }
            RecordKind::ResourceAttribute | RecordKind::ResourceDropped if !self.has_resource(record.subject) => {
                wait(Dependency::Resource(record.subject))
            }
            RecordKind::OperationCreated | RecordKind::Suspended if !self.has_resource(record.arguments[1]) => {
                wait(Dependency::Resource(record.arguments[1]))
            }
            RecordKind::OperationPolled
            | RecordKind::OperationPending
            | RecordKind::OperationReady
            | RecordKind::OperationDropped
                if !self.operations.is_known(record.subject) && self.operations.hidden() == 0 =>
            {
                wait(Dependency::Operation(record.subject))
            }
            _ => ready,
        }
    }

    /// Whether a wake follows a poll of the task that waits for the end of the previous one, and needs no further wake.
    fn is_for_a_later_poll(&self, queue: &ThreadQueue, record: &TimedRecord) -> bool {
        queue.waiting_since_ticks.is_some_and(|ticks| ticks < record.ticks)
            && self.tasks.get(record.subject).is_some_and(|task| task.is_woken)
            && self.is_polled_elsewhere(queue, record.subject)
    }

    /// Whether a sample has shown the poll that a record starts.
    fn is_sampled(&self, queue: &ThreadQueue, record: &TimedRecord) -> bool {
        let context = self.contexts.get(queue.index);
        context.is_some_and(|context| context.sampled == Some((record.subject, record.ticks)))
    }

    /// Whether a sample shows a poll of which the start is not recorded yet.
    fn starts_poll(&self, queue: &ThreadQueue, record: &TimedRecord) -> bool {
        let is_idle = self.contexts.get(queue.index).is_none_or(|context| context.polled().is_none());
        record.arguments[1] > 0 && is_idle
    }

    /// Judges what a hook announced as a poll. Of a cancelled task it is the drop of the future.
    fn judge_hooked(&self, queue: &ThreadQueue, record: &TimedRecord) -> RecordVerdict<EnterRole> {
        let number = record.subject;
        if self.has_ended(number) {
            return RecordVerdict::Ready(EnterRole::Nested);
        }
        if self.is_missing(number) || self.is_polled_elsewhere(queue, number) {
            return RecordVerdict::Wait(Dependency::Task(number), EnterRole::Poll);
        }
        let ends = [RecordKind::PollEnd, RecordKind::PollPanicked, RecordKind::PollSkipped];
        let mut records = queue.records.iter().skip(1).take(SEARCHED_MAX);
        match records.by_ref().find(|other| other.subject == number && ends.contains(&other.kind)) {
            // Of a cancelled task the end follows; otherwise the user holds it.
            Some(end) if end.kind == RecordKind::PollSkipped => match records.next() {
                Some(next) if next.subject == number && next.kind == RecordKind::TaskEnded => {
                    RecordVerdict::Ready(EnterRole::Drop { has_completed: false })
                }
                Some(_) => RecordVerdict::Ready(EnterRole::Suppressed),
                None => RecordVerdict::Wait(Dependency::NextRecord(queue.index), EnterRole::Suppressed),
            },
            // It has begun, and the task was not woken: it may have been cancelled.
            None if !self.expects_poll(number) && queue.records.len() <= SEARCHED_MAX => {
                RecordVerdict::Wait(Dependency::Task(number), EnterRole::ProbablePoll)
            }
            _ => self.judge_poll(queue, record, EnterRole::Poll),
        }
    }

    fn judge_enter(&self, queue: &ThreadQueue, record: &TimedRecord) -> RecordVerdict<EnterRole> {
        let number = record.subject;
        let context = self.contexts.get(queue.index);
        if context.is_some_and(|context| context.is_inside(number)) || self.has_ended(number) {
            return RecordVerdict::Ready(EnterRole::Nested);
        }
        if self.is_missing(number) || self.is_polled_elsewhere(queue, number) {
            return RecordVerdict::Wait(Dependency::Task(number), EnterRole::ProbablePoll);
        }
        let follows_poll = context
            .and_then(|context| context.last_exit)
            .is_some_and(|exit| exit.number == number && !exit.has_panicked);
        // A thread returns from blocking on a future only when that has completed, or panics.
        let is_block_on = self.tasks.get(number).is_some_and(|task| task.kind == TaskKind::BlockOn);
        match classify(queue, number) {
            EntryKind::Drop { drops_awaits } => {
                let has_completed = is_block_on || (follows_poll && !drops_awaits);
                let role = EnterRole::Drop { has_completed };
                // An entry that another thread left before was a poll: a drop is the last one.
                let is_last = queue.waiting_since_ticks.is_none_or(|ticks| ticks >= record.ticks);
                if is_last { RecordVerdict::Ready(role) } else { RecordVerdict::Wait(Dependency::Task(number), role) }
            }
            EntryKind::Poll => self.judge_poll(queue, record, EnterRole::Poll),
            EntryKind::Suppressed => RecordVerdict::Ready(EnterRole::Suppressed),
            EntryKind::Undecided { has_exited: false } if self.expects_poll(number) => {
                self.judge_poll(queue, record, EnterRole::ProbablePoll)
            }
            EntryKind::Undecided { has_exited } => {
                let role = if has_exited { EnterRole::Poll } else { EnterRole::ProbablePoll };
                RecordVerdict::Wait(Dependency::Task(number), role)
            }
        }
    }

    fn judge_poll(&self, queue: &ThreadQueue, record: &TimedRecord, role: EnterRole) -> RecordVerdict<EnterRole> {
        let number = record.subject;
        let Some(task) = self.tasks.get(number) else {
            return if self.is_missing(number) {
                RecordVerdict::Wait(Dependency::Task(number), role)
            } else {
                RecordVerdict::Ready(role)
            };
        };
        // Wakes of a future that a thread blocks on are not reported.
        let needs_wake = self.has_wakes && task.kind.is_task() && task.gaps == self.tasks.gaps;
        if (needs_wake && !task.is_woken) || self.is_polled_elsewhere(queue, number) {
            return RecordVerdict::Wait(Dependency::Task(number), role);
        }
        RecordVerdict::Ready(role)
    }

    /// Whether nothing shows yet what the thread does, because its records begin in the middle.
    fn is_unknown(&self, queue: &ThreadQueue) -> bool {
        let shows = |record: &TimedRecord| {
            use RecordKind::{BlockingEnd, BlockingStart, Enter, Exit, Park, PollEnd, PollSkipped, PollStart, Unpark};
            let kinds = [BlockingEnd, BlockingStart, Enter, Exit, Park, PollEnd, PollSkipped, PollStart, Unpark];
            kinds.contains(&record.kind)
        };
        let is_unknown = self.contexts.get(queue.index).is_some_and(|context| context.is_unknown);
        is_unknown && !queue.records.iter().take(SEARCHED_FOR_CONTEXT_MAX).any(shows)
    }

    /// Whether the next entry of a task is a poll in all likelihood. One that takes long need not be waited for.
    fn expects_poll(&self, number: u64) -> bool {
        self.tasks.get(number).is_some_and(|task| task.is_woken || !task.kind.is_task())
    }

    /// Whether the spawn of a task is outstanding. After a gap it may have been dropped.
    fn is_missing(&self, number: u64) -> bool {
        self.tasks.gaps == 0 && self.tasks.presence(number) == TaskPresence::Missing
    }

    fn has_ended(&self, number: u64) -> bool {
        self.tasks.presence(number) == TaskPresence::Ended
    }

    fn is_polled_elsewhere(&self, queue: &ThreadQueue, number: u64) -> bool {
        self.tasks.get(number).and_then(|task| task.polled_by).is_some_and(|thread| thread != queue.index)
    }

    fn has_resource(&self, number: u64) -> bool {
        number == 0 || self.tasks.gaps > 0 || self.resources.hidden() > 0 || self.resources.is_known(number)
    }
}

/// What the entry of a task's span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    Poll,
    /// The task is held, so that its future was not polled.
    Suppressed,
    /// The drop of its future, and whether awaits or wakers are dropped with it.
    Drop {
        drops_awaits: bool,
    },
    /// The records that show it have not arrived yet.
    Undecided {
        has_exited: bool,
    },
}

/// Finds out what the first record of a thread is: the entry of task `number`. It is the drop of its future if the task
/// is closed right after its exit.
fn classify(queue: &ThreadQueue, number: u64) -> EntryKind {
    let is_of_task = |record: &TimedRecord| record.subject == number;
    let mut records = queue.records.iter().skip(1).take(SEARCHED_MAX);
    let mut drops_awaits = false;
    let mut has_exited = false;
    for record in &mut records {
        match record.kind {
            RecordKind::PollSkipped if is_of_task(record) => return EntryKind::Suppressed,
            RecordKind::Exit | RecordKind::ExitPanicked if is_of_task(record) => {
                has_exited = true;
                break;
            }
            RecordKind::WakerDropped => drops_awaits |= is_of_task(record),
            RecordKind::OperationDropped => drops_awaits = true,
            _ => {}
        }
    }
    let is_of_drop = |record: &&TimedRecord| {
        let kinds = [RecordKind::WakerDropped, RecordKind::WakerCloned, RecordKind::TaskEnded];
        is_of_task(record) && kinds.contains(&record.kind)
    };
    match records.find(|record| !is_of_drop(record)) {
        Some(next) if has_exited && next.kind == RecordKind::TaskClosed && is_of_task(next) => {
            EntryKind::Drop { drops_awaits }
        }
        Some(_) => EntryKind::Poll,
        None if queue.records.len() > SEARCHED_MAX => EntryKind::Poll,
        None => EntryKind::Undecided { has_exited },
    }
}
