//! Turns records in order into events of the trace.

mod lifecycle;
mod messages;
mod polls;
mod suspensions;

use loopscope_probe::protocol::{Definition, Facts, Hello};
use loopscope_probe::record::RecordKind;

use super::causality::Causality;
use super::definitions::Definitions;
use super::operations::OperationReplay;
use super::resources::ResourceReplay;
use super::tasks::TaskTable;
use super::thread_context::{EnterRole, ThreadContext};
use super::thread_merger::{Dependency, RecordVerdict, TakenRecord, ThreadMerger, ThreadQueue};
use super::tick_clock::TickClock;
use super::timed_record::TimedRecord;
use super::workers::Workers;
use crate::feed::asyncio_names;
use crate::feed::console::NAME_BYTES_MAX;
use crate::trace::{Event, Nanos, PauseReason, TaskId, TaskKind, WorkerId};
use messages::PendingMessages;

/// Number of inconsistencies of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayCounts {
    /// Records that were handled.
    pub records: u64,
    /// Records that waited in vain for what they depend on.
    pub doubtful: u64,
    /// Records that the program dropped.
    pub dropped: u64,
}

/// The state of one stream.
#[derive(Debug, Default)]
pub struct StreamReplay {
    pub tasks: TaskTable,
    pub clock: TickClock,
    pub counts: ReplayCounts,
    facts: Facts,
    definitions: Definitions,
    contexts: Vec<ThreadContext>,
    resources: ResourceReplay,
    operations: OperationReplay,
    workers: Workers,
    /// Hooks of a runtime have reported something, and a task of a runtime without hooks was polled.
    has_hooks: bool,
    lacks_hooks: bool,
    /// Something lived before recording began.
    has_past: bool,
    observed_from: Nanos,
    /// The breakpoint that was hit last.
    pub breakpoint: Option<Box<str>>,
    is_paused: bool,
    /// Output and notices that wait for the records before them.
    messages: PendingMessages,
    /// Tasks of which the number of wakers has changed.
    new_wakers: Vec<u64>,
}

impl StreamReplay {
    /// Handles the description of the program.
    pub fn begin(&mut self, hello: &Hello) {
        self.clock = TickClock::new(hello.ticks_per_second, hello.base_monotonic_ns);
        self.facts = hello.facts;
        self.definitions.states_kinds = hello.runtime == asyncio_names::RUNTIME;
    }

    /// Returns how many tasks, resources and awaits are not shown because a limit is reached.
    pub fn hidden(&self) -> u64 {
        self.tasks.hidden() + self.resources.hidden() + self.operations.hidden()
    }

    /// Returns what the program records. It may install hooks after it has described itself.
    pub fn facts(&self) -> Facts {
        Facts { hooks: self.facts.hooks || self.has_hooks || !self.lacks_hooks, ..self.facts }
    }

    /// Adds a definition.
    pub fn define(&mut self, definition: &Definition, events: &mut Vec<Event>) {
        match definition {
            Definition::Thread(thread) => {
                let name = self.definitions.text(&thread.name, NAME_BYTES_MAX);
                self.workers.define(thread, &name);
            }
            Definition::Notice(notice) => self.notice(notice, events),
            definition => self.definitions.add(definition),
        }
    }

    /// Begins with what lived when recording began, at `from` ticks. `spawned` are tasks and resources whose creation is
    /// in the records of a thread too.
    pub fn begin_recording(
        &mut self,
        mut snapshot: Vec<TimedRecord>,
        from: u64,
        spawned: impl Fn(&TimedRecord) -> bool,
        events: &mut Vec<Event>,
    ) {
        snapshot.sort_by_key(|record| record.ticks);
        let mut context = ThreadContext::default();
        for record in snapshot.iter().filter(|record| !spawned(record)) {
            let at = self.clock.loop_time(record.ticks.min(from));
            match record.kind {
                RecordKind::Spawn => self.spawn(record, &context, at, events),
                RecordKind::ResourceCreated => self.resources.create(record, at, &self.definitions, events),
                RecordKind::ResourceAttribute => {
                    self.resources.change(record, (None, at), &self.definitions, events);
                }
                _ => {}
            }
        }
        context.reset();
        self.has_past = self.tasks.count() > 0;
        self.tasks.begin();
        if !self.has_past {
            self.operations.begin_without_past();
            return;
        }
        self.observed_from = self.clock.loop_time(from);
        if self.observed_from > 0 {
            events.push(Event::Disconnected { from: 0, to: self.observed_from });
        }
        for task in self.tasks.live_ids() {
            let number = self.tasks.number_of(task);
            if let Some(live) = number.and_then(|number| self.tasks.get_mut(number)) {
                live.wakers = None;
                let at = live.advance(self.observed_from, 0);
                events.push(Event::ObservedFrom { task, at });
            }
        }
    }

    /// Prepares for records of a thread that were added to the merger.
    pub fn add_thread(&mut self, index: usize, id: u32, records: &[TimedRecord], events: &mut Vec<Event>) {
        while self.contexts.len() <= index {
            self.contexts.push(ThreadContext::new(id, self.has_past));
        }
        let is_worker = self.workers.is_worker(id);
        let Some(context) = self.contexts.get_mut(index) else { return };
        context.is_worker |= is_worker;
        if context.is_unknown {
            self.observe_past(index, records, events);
        }
    }

    /// Finds out from the next records of a thread what it was doing before.
    fn observe_past(&mut self, index: usize, records: &[TimedRecord], events: &mut Vec<Event>) {
        let mut decisive = records.iter().enumerate().filter_map(|(position, record)| match record.kind {
            RecordKind::PollStart
            | RecordKind::Enter
            | RecordKind::BlockingStart
            | RecordKind::Park
            | RecordKind::Unpark => Some(None),
            RecordKind::PollEnd | RecordKind::PollPanicked | RecordKind::BlockingEnd => Some(Some(record.subject)),
            RecordKind::PollSkipped => Some(None),
            RecordKind::Exit | RecordKind::ExitPanicked => {
                let is_drop = records.get(position + 1).is_some_and(|next| next.kind == RecordKind::TaskClosed);
                Some(Some(record.subject).filter(|_| !is_drop))
            }
            _ => None,
        });
        let Some(polled) = decisive.next() else { return };
        let at = self.observed_from;
        match polled {
            Some(number) if self.tasks.get(number).is_some_and(|task| task.polled_by.is_none()) => {
                self.start_poll(index, number, (EnterRole::Poll, at), events);
            }
            Some(_) => {}
            None => self.contexts[index].is_unknown = false,
        }
    }

    /// Judges the first record of a thread.
    pub fn judge(&self, queue: &ThreadQueue) -> RecordVerdict<EnterRole> {
        let causality = Causality {
            tasks: &self.tasks,
            contexts: &self.contexts,
            resources: &self.resources,
            operations: &self.operations,
            has_wakes: self.facts.wakes,
        };
        causality.judge(queue)
    }

    /// Handles a record.
    pub fn apply(&mut self, taken: &TakenRecord<EnterRole>, merger: &mut ThreadMerger, events: &mut Vec<Event>) {
        let TakenRecord { thread, record, verdict, missing } = *taken;
        let number = record.subject;
        let at = self.clock.loop_time(record.ticks);
        self.counts.records += 1;
        let was_doubtful = self.counts.doubtful > 0;
        self.count_doubt(thread, &record, missing);
        let last_exit = self.contexts[thread].last_exit.take();
        self.has_hooks |= matches!(record.kind, RecordKind::PollStart | RecordKind::Park);
        self.lacks_hooks |=
            record.kind == RecordKind::Enter && self.tasks.get(number).is_some_and(|task| task.kind == TaskKind::Task);
        if verdict == EnterRole::Nested && !self.contexts[thread].is_inside(number) && self.tasks.has_seen_end(number) {
            // Its end was taken before this poll.
            self.counts.doubtful += 1;
        }
        match record.kind {
            RecordKind::PollStart if self.contexts[thread].sampled == Some((number, record.ticks)) => {}
            RecordKind::PollStart | RecordKind::BlockingStart | RecordKind::Enter => {
                self.enter(thread, number, (verdict, at), last_exit, events);
            }
            RecordKind::PollEnd | RecordKind::PollSkipped | RecordKind::Exit | RecordKind::BlockingEnd => {
                self.end_poll(thread, number, (false, at), events);
            }
            RecordKind::PollPanicked | RecordKind::ExitPanicked => {
                self.end_poll(thread, number, (true, at), events);
            }
            RecordKind::Wake => self.wake(thread, number, (false, at), events),
            RecordKind::WakeDeferred => self.wake(thread, number, (true, at), events),
            RecordKind::WokenBy => self.wake_by(&record, at, events),
            RecordKind::Suspended => self.suspend(&record, at, events),
            RecordKind::AwaitEnded => self.await_ended(&record),
            RecordKind::Sampled => self.sampled(thread, &record, at, events),
            RecordKind::Blocked => self.blocked(&record, at, events),
            RecordKind::WakerCloned => self.count_wakers(number, (1, 0)),
            RecordKind::WakerDropped => {
                // A waker that is dropped after a poll does not separate it from the drop of the future.
                self.contexts[thread].last_exit = last_exit;
                self.count_wakers(number, (0, 1));
            }
            RecordKind::Spawn => {
                let context = std::mem::take(&mut self.contexts[thread]);
                self.spawn(&record, &context, at, events);
                self.contexts[thread] = context;
            }
            RecordKind::TaskEnded => self.task_ended(number, record.arguments[0], at, events),
            RecordKind::TaskClosed => self.task_closed(number, last_exit, at, events),
            RecordKind::Park => self.park(thread, (true, at), events),
            RecordKind::Unpark => self.park(thread, (false, at), events),
            RecordKind::ResourceCreated => self.resources.create(&record, at, &self.definitions, events),
            RecordKind::ResourceDropped => self.resources.end(number, at, events),
            RecordKind::ResourceAttribute => {
                let task = self.contexts[thread].polled_task();
                self.resources.change(&record, (task, at), &self.definitions, events);
            }
            RecordKind::OperationCreated => self.operations.create(&record, &self.resources),
            RecordKind::OperationPolled => self.poll_operation(thread, number, at, events),
            RecordKind::OperationPending => self.finish_operation(thread, number, false, events),
            RecordKind::OperationReady => self.finish_operation(thread, number, true, events),
            RecordKind::OperationDropped => {
                self.contexts[thread].exit_operation(number);
                self.operations.end(number, at, events);
            }
            RecordKind::Dropped => self.add_gap(thread, &record, events),
            RecordKind::Held => self.hold(number, (true, at), events),
            RecordKind::Released => self.hold(number, (false, at), events),
            RecordKind::Paused => self.pause(&record, events),
            RecordKind::Continued => {
                self.clock.resume(record.ticks);
                self.is_paused = false;
            }
            RecordKind::LocalQueueDepth | RecordKind::GlobalQueueDepth => self.sample_queue(&record, at, events),
            // Whole polls were taken apart.
            RecordKind::Argument | RecordKind::Polled => {}
        }
        if !was_doubtful && self.counts.doubtful > 0 {
            events.push(Event::OrderDoubtful);
        }
        self.resolve(&record, merger);
    }

    /// Lets records go on that wait for this one.
    fn resolve(&self, record: &TimedRecord, merger: &mut ThreadMerger) {
        merger.resolve(match record.kind {
            RecordKind::ResourceCreated => Dependency::Resource(record.subject),
            RecordKind::OperationCreated => Dependency::Operation(record.subject),
            _ => Dependency::Task(record.subject),
        });
    }

    /// Counts a record that has waited in vain. A task that was aborted is polled without a wake.
    fn count_doubt(&mut self, thread: usize, record: &TimedRecord, missing: Option<Dependency>) {
        let has_wakes = self.facts.wakes;
        let is_doubtful = match missing {
            None | Some(Dependency::NextRecord(_)) => false,
            Some(Dependency::Resource(_) | Dependency::Operation(_)) => true,
            Some(Dependency::Task(number)) => match self.tasks.get_mut(number) {
                None => true,
                Some(task) if task.polled_by.is_some_and(|other| other != thread) => true,
                Some(task) => {
                    let is_poll = matches!(record.kind, RecordKind::PollStart | RecordKind::Enter);
                    task.lacks_wake = is_poll && has_wakes && !task.is_woken && task.kind.is_task();
                    false
                }
            },
        };
        self.counts.doubtful += u64::from(is_doubtful);
    }

    fn poll_operation(&mut self, thread: usize, number: u64, at: Nanos, events: &mut Vec<Event>) {
        let context = &mut self.contexts[thread];
        context.enter_operation(number);
        let is_unknown = context.is_unknown;
        let Some(polled) = context.polled().copied().filter(|polled| polled.task.is_some()) else {
            if is_unknown {
                self.operations.poll_by_unknown(number, events);
            }
            return;
        };
        let live = self.tasks.get_mut(polled.number);
        let at = live.as_ref().map_or(at, |live| at.max(live.last_at));
        let task = polled.task;
        if self.operations.poll(number, (task, at), (&mut self.definitions, &self.resources), events)
            && let Some(live) = live
        {
            live.add_polled(number);
        }
    }

    fn finish_operation(&mut self, thread: usize, number: u64, is_ready: bool, events: &mut Vec<Event>) {
        self.contexts[thread].exit_operation(number);
        self.operations.finish_poll(number, self.contexts[thread].polled_task(), is_ready, events);
    }

    fn pause(&mut self, record: &TimedRecord, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_paused, true) {
            return;
        }
        let at = self.clock.loop_time(record.ticks);
        self.clock.pause(record.ticks);
        let reason = match record.arguments[0] {
            1 => PauseReason::Step,
            2 => PauseReason::Breakpoint(self.breakpoint.clone().unwrap_or_else(|| "unknown".into())),
            _ => PauseReason::User,
        };
        events.push(Event::Pause { at, reason });
    }

    /// Returns each worker with the thread in the system that it is, if that is known.
    pub fn system_threads(&self) -> impl Iterator<Item = (WorkerId, Option<u32>)> + '_ {
        self.workers.system_threads()
    }

    /// Returns the id in the stream of a live task.
    pub fn number_of(&self, task: TaskId) -> Option<u64> {
        self.tasks.number_of(task)
    }
}
