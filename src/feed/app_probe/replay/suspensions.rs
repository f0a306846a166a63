//! Awaits that the program states: what each task waits for when it returns from a poll. And samples of stacks, and calls
//! that blocked.

use super::StreamReplay;
use crate::feed::app_probe::suspension::Suspension;
use crate::feed::app_probe::thread_context::EnterRole;
use crate::feed::app_probe::timed_record::TimedRecord;
use crate::feed::asyncio_names;
use crate::trace::{Event, Nanos, Notice};

impl StreamReplay {
    /// Handles that a task waits for an await from the end of this poll on.
    pub(super) fn suspend(&mut self, record: &TimedRecord, at: Nanos, events: &mut Vec<Event>) {
        let [site, resource, number] = record.arguments;
        let gaps = self.tasks.gaps;
        let Some(live) = self.tasks.get_mut(record.subject) else { return };
        let at = live.advance(at, gaps);
        if let Some(suspension) = live.suspension.as_mut().filter(|suspension| suspension.number == number) {
            (suspension.polled_at, suspension.end, suspension.gaps) = (None, None, gaps);
            events.push(Event::AwaitPoll { id: suspension.id, is_ready: false });
            return;
        }
        if let Some(suspension) = live.suspension.take() {
            suspension.finish(at, None, gaps, events);
        }
        let (known, task) = ((&mut self.definitions, &self.resources), live.id);
        let Some(id) = self.operations.start_await((site, resource), (task, at), known, events) else { return };
        events.push(Event::AwaitPoll { id, is_ready: false });
        live.suspension = Some(Suspension { id, number, polled_at: None, end: None, gaps });
    }

    /// Handles how the await ended for which a task waited.
    pub(super) fn await_ended(&mut self, record: &TimedRecord) {
        let live = self.tasks.get_mut(record.subject);
        if let Some(suspension) = live.and_then(|live| live.suspension.as_mut()) {
            suspension.end = Some(record.arguments[0]);
        }
    }

    /// Handles a sample of the stack of a thread that polls a task. The start of the poll may not be recorded yet.
    pub(super) fn sampled(&mut self, thread: usize, record: &TimedRecord, at: Nanos, events: &mut Vec<Event>) {
        let gaps = self.tasks.gaps;
        let start = record.arguments[1];
        let started_at = self.clock.loop_time(start);
        let is_idle = self.contexts[thread].polled().is_none();
        let live = self.tasks.get(record.subject);
        if start > 0 && is_idle && live.is_some_and(|live| live.polled_by.is_none() && live.last_at <= started_at) {
            self.start_poll(thread, record.subject, (EnterRole::Poll, started_at), events);
            self.contexts[thread].sampled = Some((record.subject, start));
        }
        let live = self.tasks.get_mut(record.subject).filter(|live| live.polled_by.is_some());
        let stack = self.definitions.site(record.arguments[0]).and_then(|site| site.frames.as_ref());
        let (Some(live), Some(frame)) = (live, stack.and_then(|stack| asyncio_names::own_frame(stack))) else { return };
        let (task, at, frame) = (live.id, live.advance(at, gaps), frame.clone());
        events.push(Event::Notice(Box::new(Notice::Sampled { task, at, frame })));
    }

    /// Handles a call in which a task has blocked its thread, which is an await inside the poll.
    pub(super) fn blocked(&mut self, record: &TimedRecord, at: Nanos, events: &mut Vec<Event>) {
        let gaps = self.tasks.gaps;
        let [site, start, _] = record.arguments;
        let started_at = self.clock.loop_time(start);
        let Some(live) = self.tasks.get_mut(record.subject).filter(|live| live.polled_by.is_some()) else { return };
        let (task, from) = (live.id, live.advance(started_at.min(at), gaps));
        let to = live.advance(at, gaps);
        let known = (&mut self.definitions, &self.resources);
        let Some(id) = self.operations.start_await((site, 0), (task, from), known, events) else { return };
        events.extend([Event::AwaitPoll { id, is_ready: true }, Event::AwaitEnd { id, at: to }]);
    }
}
