//! Facts that wait until it is certain that they are ones.
//!
//! tracing enters a task's span once more to drop its future, and console-subscriber records that as it records a poll.
//! Only what comes after tells the two apart: the span closes right after its last exit. So what looks like a poll is
//! held back, with everything behind it, until that is decided. On one thread this takes one line more.

use std::collections::VecDeque;

use crate::trace::{Event, Nanos, TaskId};

/// Facts that wait at most; past that the oldest question is decided in favour of a poll.
const HELD_MAX: usize = 1 << 16;

/// What looks like a poll is one if it has not ended after so long: 300 ms. A drop is short, but its thread may have to
/// wait for a processor in the midst of it.
const OPEN_NS: u64 = 300_000_000;
/// Where nobody woke the task it must be a drop, unless lines came in another order than things happened: 1 s.
const UNWOKEN_NS: u64 = 1_000_000_000;
/// On several threads, lines of others come between the last exit and the close; but not for longer than 50 ms.
const ENDED_NS: u64 = 50_000_000;

#[derive(Debug)]
enum Entry {
    Sure(Event),
    Maybe(Event),
    Nothing,
}

/// One entry and exit of a task whose meaning is open.
#[derive(Clone, Copy, Debug)]
struct Question {
    start: u64,
    end: Option<u64>,
    /// When it was entered; once it was left, when that was.
    at: Nanos,
    woken: bool,
    decided: bool,
}

impl Question {
    fn patience_ns(&self) -> u64 {
        match (self.woken, self.end) {
            (false, _) => UNWOKEN_NS,
            (true, None) => OPEN_NS,
            (true, Some(_)) => ENDED_NS,
        }
    }
}

/// The number of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(u64);

/// See the module.
#[derive(Debug, Default)]
pub struct Held {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    questions: VecDeque<Question>,
    /// The number of the first question.
    first_question: u64,
}

impl Held {
    /// Tells `event`, or keeps it behind what waits.
    pub fn tell(&mut self, event: Event, out: &mut impl FnMut(Event)) {
        if self.entries.is_empty() {
            return out(event);
        }
        self.entries.push_back(Entry::Sure(event));
        if self.entries.len() > HELD_MAX {
            self.decide_first(out);
        }
    }

    /// `task` was entered; it was woken for that, or was not.
    pub fn entered(&mut self, task: TaskId, at: Nanos, woken: bool) -> Asked {
        let start = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry::Maybe(Event::PollStart { task, at }));
        self.questions.push_back(Question { start, end: None, at, woken, decided: false });
        Asked(self.first_question + self.questions.len() as u64 - 1)
    }

    /// And left again.
    pub fn left(&mut self, asked: Asked, task: TaskId, at: Nanos, out: &mut impl FnMut(Event)) {
        let end = self.first + self.entries.len() as u64;
        let event = Event::PollEnd { task, at };
        match self.question(asked) {
            Some(question) if !question.decided => {
                (question.end, question.at) = (Some(end), at);
                self.entries.push_back(Entry::Maybe(event));
            }
            _ => self.tell(event, out),
        }
    }

    /// It is not decided yet whether that was a poll.
    pub fn is_open(&mut self, asked: Asked) -> bool {
        self.question(asked).is_some_and(|question| !question.decided)
    }

    /// That was a poll, or it was not.
    pub fn decide(&mut self, asked: Asked, is_poll: bool, out: &mut impl FnMut(Event)) {
        let first = self.first;
        let Some(question) = self.question(asked).filter(|question| !question.decided) else { return };
        question.decided = true;
        let (start, end) = (question.start, question.end);
        for number in std::iter::once(start).chain(end) {
            let index = usize::try_from(number - first).unwrap_or(usize::MAX);
            let Some(entry) = self.entries.get_mut(index) else { continue };
            *entry = match std::mem::replace(entry, Entry::Nothing) {
                Entry::Maybe(event) if is_poll => Entry::Sure(event),
                Entry::Maybe(_) => Entry::Nothing,
                other => other,
            };
        }
        self.flush(out);
    }

    /// It is `now` in the recording: what has waited for long enough is decided.
    pub fn pass(&mut self, now: Nanos, out: &mut impl FnMut(Event)) {
        while self.questions.front().is_some_and(|first| now.saturating_sub(first.at) > first.patience_ns()) {
            self.decide_first(out);
        }
    }

    /// Nothing came for `quiet_ns`, of whatever clock.
    pub fn settle(&mut self, quiet_ns: u64, out: &mut impl FnMut(Event)) {
        // One that takes longer holds up those behind it, and not the other way round.
        while self.questions.front().is_some_and(|first| quiet_ns > first.patience_ns().min(UNWOKEN_NS)) {
            self.decide_first(out);
        }
    }

    fn decide_first(&mut self, out: &mut impl FnMut(Event)) {
        self.decide(Asked(self.first_question), true, out);
    }

    fn question(&mut self, asked: Asked) -> Option<&mut Question> {
        let index = asked.0.checked_sub(self.first_question)?;
        self.questions.get_mut(usize::try_from(index).ok()?)
    }

    fn flush(&mut self, out: &mut impl FnMut(Event)) {
        while self.questions.front().is_some_and(|question| question.decided) {
            self.questions.pop_front();
            self.first_question += 1;
        }
        while let Some(entry) = self.entries.front_mut() {
            match std::mem::replace(entry, Entry::Nothing) {
                Entry::Sure(event) => out(event),
                Entry::Nothing => {}
                Entry::Maybe(event) => {
                    *entry = Entry::Maybe(event);
                    return;
                }
            }
            self.entries.pop_front();
            self.first += 1;
        }
    }
}
