//! Polls, wakes and gaps.

use loopscope_probe::record::RecordKind;

use super::StreamReplay;
use crate::feed::app_probe::thread_context::{EnterRole, EnteredTask, LastExit};
use crate::feed::app_probe::timed_record::TimedRecord;
use crate::trace::{Event, Nanos, TaskKind, TaskMeta, TaskOutcome, WakeSource};

/// Message of a task that panicked. Its own message is in the program's output.
pub(super) const PANICKED: &str = "panicked";

impl StreamReplay {
    /// Starts a poll of the task `number` on a thread.
    pub(super) fn start_poll(
        &mut self,
        thread: usize,
        number: u64,
        (role, at): (EnterRole, Nanos),
        events: &mut Vec<Event>,
    ) {
        if self.contexts[thread].is_inside(number) && self.tasks.gaps == 0 {
            self.enter_role(thread, number, EnterRole::Nested);
            return;
        }
        self.create_missing(number, at, events);
        let gaps = self.tasks.gaps;
        if let Some(task) = self.tasks.get_mut(number) {
            let at = task.advance(at, gaps);
            // The end of the previous poll was dropped, or did not arrive in time.
            if task.polled_by.replace(thread).is_some() {
                events.push(Event::PollEnd { task: task.id, at });
            }
            task.is_woken = false;
            task.suspension.iter_mut().for_each(|suspension| suspension.polled_at = Some(at));
            let task = task.id;
            let worker = self.workers.worker(self.contexts[thread].id, at, events);
            events.push(Event::PollStart { task, at });
            events.extend(worker.map(|worker| Event::PollWorker { task, worker }));
        }
        self.enter_role(thread, number, role);
    }

    fn enter_role(&mut self, thread: usize, number: u64, role: EnterRole) {
        let task = self.tasks.get(number);
        let entered = EnteredTask {
            number,
            task: task.map(|task| task.id),
            role,
            is_worker: task.is_some_and(|task| task.kind == TaskKind::Worker),
        };
        self.contexts[thread].enter(entered);
    }

    /// Enters the span of a task, for a poll or for the drop of its future.
    pub(super) fn enter(
        &mut self,
        thread: usize,
        number: u64,
        (role, at): (EnterRole, Nanos),
        last_exit: Option<LastExit>,
        events: &mut Vec<Event>,
    ) {
        match role {
            EnterRole::Poll | EnterRole::ProbablePoll => self.start_poll(thread, number, (role, at), events),
            EnterRole::Nested => self.enter_role(thread, number, role),
            EnterRole::Suppressed => {
                self.enter_role(thread, number, role);
                let gaps = self.tasks.gaps;
                if let Some(task) = self.tasks.get_mut(number) {
                    let (at, task) = (task.advance(at, gaps), task.id);
                    events.push(Event::PollSuppressed { task, at });
                }
            }
            EnterRole::Drop { has_completed } => {
                self.enter_role(thread, number, role);
                let has_panicked = last_exit.is_some_and(|exit| exit.number == number && exit.has_panicked);
                let known = self.tasks.get_mut(number).and_then(|task| task.outcome.take());
                let outcome = match (known, has_panicked, has_completed) {
                    (Some(outcome), ..) => outcome,
                    (None, true, _) => TaskOutcome::Failed(PANICKED.into()),
                    (None, false, true) => TaskOutcome::Completed,
                    (None, false, false) => TaskOutcome::Cancelled,
                };
                self.end_task(number, outcome, at, events);
            }
        }
    }

    /// Ends a poll of the task `number` on a thread.
    pub(super) fn end_poll(
        &mut self,
        thread: usize,
        number: u64,
        (has_panicked, at): (bool, Nanos),
        events: &mut Vec<Event>,
    ) {
        let Some(entered) = self.contexts[thread].exit(number).filter(|entered| entered.role.is_poll()) else { return };
        let is_probable = entered.role == EnterRole::ProbablePoll;
        self.contexts[thread].last_exit = Some(LastExit { number, has_panicked, is_probable });
        let gaps = self.tasks.gaps;
        let Some(task) = self.tasks.get_mut(number).filter(|task| task.polled_by == Some(thread)) else { return };
        task.polled_by = None;
        let (id, at) = (task.id, task.advance(at, gaps));
        for operation in task.take_unpolled() {
            events.extend(self.operations.open_await(operation, id).map(|id| Event::AwaitUnpolled { id }));
        }
        events.push(Event::PollEnd { task: id, at });
        if has_panicked {
            task.outcome = Some(TaskOutcome::Failed(PANICKED.into()));
        }
        let has_ended = task.is_closed || (task.outcome.is_some() && !has_panicked);
        if std::mem::take(&mut task.lacks_wake) && !has_ended {
            self.counts.doubtful += 1;
        }
        if has_ended {
            let outcome = task.outcome.take().unwrap_or(TaskOutcome::Completed);
            self.end_task(number, outcome, at, events);
        }
    }

    /// Wakes the task `number` from a thread. `is_deferred`: the task has asked for it itself.
    pub(super) fn wake(
        &mut self,
        thread: usize,
        number: u64,
        (is_deferred, at): (bool, Nanos),
        events: &mut Vec<Event>,
    ) {
        let gaps = self.tasks.gaps;
        let Some(task) = self.tasks.get_mut(number) else { return };
        let at = task.advance(at, gaps);
        task.is_woken = true;
        let source = if is_deferred { WakeSource::SelfWake } else { self.contexts[thread].wake_source(task.id) };
        events.push(Event::Wake { task: task.id, at, source });
    }

    /// Wakes a task by what the arguments of a record name.
    pub(super) fn wake_by(&mut self, record: &TimedRecord, at: Nanos, events: &mut Vec<Event>) {
        let [cause, waker, _] = record.arguments;
        let waker = self.tasks.id_of(waker);
        let gaps = self.tasks.gaps;
        let Some(woken) = self.tasks.get_mut(record.subject) else { return };
        let at = woken.advance(at, gaps);
        woken.is_woken = true;
        let source = match (cause, waker) {
            (0, _) => WakeSource::Driver,
            (1, _) => WakeSource::Thread,
            (2, Some(waker)) if waker == woken.id => WakeSource::SelfWake,
            (2, Some(waker)) => WakeSource::Task(waker),
            _ => WakeSource::Unknown,
        };
        events.push(Event::Wake { task: woken.id, at, source });
    }

    /// Notes that a thread parks or unparks, so that it polls nothing and runs the driver.
    pub(super) fn park(&mut self, thread: usize, (is_park, at): (bool, Nanos), events: &mut Vec<Event>) {
        if let Some(worker) = self.workers.worker(self.contexts[thread].id, at, events) {
            events.push(match is_park {
                true => Event::WorkerPark { worker, at },
                false => Event::WorkerUnpark { worker, at },
            });
        }
        let context = &mut self.contexts[thread];
        context.is_worker = true;
        context.is_unknown &= context.polled().is_some();
    }

    /// Handles a sample of the depth of a queue. Numbers that no program has are ignored, and depths are cut.
    pub(super) fn sample_queue(&mut self, record: &TimedRecord, at: Nanos, events: &mut Vec<Event>) {
        let Ok(runtime) = u32::try_from(record.subject) else { return };
        let [first, second, _] = record.arguments;
        let depth = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        match (record.kind, u32::try_from(first)) {
            (RecordKind::LocalQueueDepth, Ok(worker)) => {
                self.workers.sample_local((runtime, worker), at, depth(second), events);
            }
            (RecordKind::GlobalQueueDepth, _) => self.workers.sample_global(runtime, at, depth(first), events),
            _ => {}
        }
    }

    /// Handles a gap in the records of a thread.
    pub(super) fn add_gap(&mut self, thread: usize, record: &TimedRecord, events: &mut Vec<Event>) {
        let from = self.clock.loop_time(record.ticks);
        let to = self.clock.loop_time(record.arguments[0]).max(from);
        events.push(Event::Gap { from, to, dropped: record.subject });
        self.counts.dropped = self.counts.dropped.saturating_add(record.subject);
        self.tasks.gaps = self.tasks.gaps.saturating_add(1);
        self.operations.add_gap();
        for entered in self.contexts[thread].reset() {
            let Some(task) = self.tasks.get_mut(entered.number).filter(|task| task.polled_by == Some(thread)) else {
                continue;
            };
            // When it ended is not known.
            task.polled_by = None;
            task.last_at = task.last_at.max(to);
            events.push(Event::PollEnd { task: task.id, at: task.last_at });
        }
    }

    /// Adds a task whose spawn was dropped.
    fn create_missing(&mut self, number: u64, at: Nanos, events: &mut Vec<Event>) {
        use crate::feed::app_probe::tasks::TaskPresence;
        if self.tasks.presence(number) == TaskPresence::Missing
            && let Some(task) = self.tasks.spawn(number, TaskKind::Task, at)
        {
            if let Some(live) = self.tasks.get_mut(number) {
                live.wakers = None;
            }
            events.push(Event::Spawn { task, at, meta: Box::new(TaskMeta::default()) });
        }
    }
}
