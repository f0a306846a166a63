//! Awaits that the program states: what each task waits for when it returns from a poll. And samples of stacks.

use super::StreamReplay;
use crate::feed::app_probe::suspension::Suspension;
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

    /// Handles a sample of the stack of a thread that polls a task.
    pub(super) fn sampled(&mut self, record: &TimedRecord, at: Nanos, events: &mut Vec<Event>) {
        let gaps = self.tasks.gaps;
        let live = self.tasks.get_mut(record.subject).filter(|live| live.polled_by.is_some());
        let stack = self.definitions.site(record.arguments[0]).and_then(|site| site.frames.as_ref());
        let (Some(live), Some(frame)) = (live, stack.and_then(|stack| asyncio_names::own_frame(stack))) else { return };
        let (task, at, frame) = (live.id, live.advance(at, gaps), frame.clone());
        events.push(Event::Notice(Box::new(Notice::Sampled { task, at, frame })));
    }
}
