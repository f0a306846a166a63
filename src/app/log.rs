//! The log of a session: what there is to say of the watching itself, with its time.

use std::collections::VecDeque;

use crate::control::{LinkState, Phase, Status, Steering};
use crate::trace::{Nanos, Pause, PauseCause, Trace};

/// Lines that are kept; the oldest go first.
const LINES_MAX: usize = 1_000;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Plain,
    Warning,
    Loss,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Loop time when it was seen.
    pub at: Nanos,
    pub weight: Weight,
    pub text: String,
    /// What it is of: a note of the same as the last one takes its place.
    topic: Topic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    Once,
    Retrying,
    Lost,
    Dropped,
    Forgotten,
}

/// What is known already.
#[derive(Clone, Debug, Default)]
struct Known {
    link: Option<(std::mem::Discriminant<LinkState>, u32, String)>,
    phase: Option<Phase>,
    pauses: u64,
    gap_from: Option<Nanos>,
    forgotten_to: Nanos,
    console_dropped: u64,
    has_many_threads: bool,
    has_outcome: bool,
}

/// The lines; see the module.
#[derive(Clone, Debug, Default)]
pub struct Log {
    notes: VecDeque<Note>,
    known: Known,
}

impl Log {
    /// Every line that is kept, oldest first.
    pub fn notes(&self) -> &VecDeque<Note> {
        &self.notes
    }

    /// Looks at what is new since the last time.
    pub fn observe(&mut self, trace: &Trace, status: &Status) {
        let at = trace.now().max(status.now);
        self.link(at, status);
        self.phase(at, status);
        self.losses(at, trace);
        let (pauses, count) = trace.pauses_since(self.known.pauses);
        self.known.pauses = count;
        for Pause { at, cause } in pauses {
            self.note(*at, Weight::Plain, Topic::Once, paused(cause, status.steering));
        }
        if let Some(since) = trace.many_threads().filter(|_| !self.known.has_many_threads) {
            self.known.has_many_threads = true;
            let text = "several threads poll: who woke whom is a guess from here on";
            self.note(since, Weight::Warning, Topic::Once, text.to_owned());
        }
        if let Some(outcome) = status.outcome.as_ref().filter(|_| !self.known.has_outcome) {
            self.known.has_outcome = true;
            self.note(at, Weight::Plain, Topic::Once, format!("it is over: {}", outcome.name()));
        }
    }

    fn link(&mut self, at: Nanos, status: &Status) {
        let Some(link) = &status.link else { return };
        let attempts = if let LinkState::Retrying { attempts, .. } = link.state { attempts } else { 0 };
        let now = (std::mem::discriminant(&link.state), attempts, link.note.clone());
        if self.known.link.as_ref() == Some(&now) {
            return;
        }
        self.known.link = Some(now);
        let (weight, topic, lead) = match link.state {
            LinkState::Connecting => (Weight::Plain, Topic::Once, "connecting".to_owned()),
            LinkState::Waiting => (Weight::Plain, Topic::Once, "connected, waiting for the first update".to_owned()),
            LinkState::Live => (Weight::Plain, Topic::Once, "live".to_owned()),
            LinkState::Lost => (Weight::Loss, Topic::Lost, "lost".to_owned()),
            LinkState::Retrying { attempts, .. } => {
                (Weight::Warning, Topic::Retrying, format!("not reached, attempt {attempts}"))
            }
        };
        let note = link.note.strip_prefix("lost: ").unwrap_or(&link.note);
        let text = if note.is_empty() { lead } else { format!("{lead}: {note}") };
        self.note(at, weight, topic, text);
    }

    fn phase(&mut self, at: Nanos, status: &Status) {
        let before = self.known.phase.replace(status.phase);
        let text = match (before, status.phase, status.steering) {
            (Some(before), now, _) if before == now => return,
            (Some(Phase::Paused), Phase::Running, Steering::Process) => "the process goes on",
            (Some(Phase::Paused), Phase::Running, Steering::Loop) => "the loop goes on",
            _ => return,
        };
        self.note(at, Weight::Plain, Topic::Once, text.to_owned());
    }

    fn losses(&mut self, at: Nanos, trace: &Trace) {
        let dropped = trace.console().1;
        let more = dropped.saturating_sub(self.known.console_dropped);
        if more > 0 {
            self.known.console_dropped = dropped;
            let text = format!("the program's console dropped events for want of room: {dropped} so far");
            self.note(at, Weight::Loss, Topic::Dropped, text);
        }
        let after = self.known.gap_from;
        let is_new = |from: Nanos| after.is_none_or(|last| from > last);
        let lost = trace.gaps().filter(|gap| !gap.is_forgotten());
        let lost: Vec<_> = lost.rev().take_while(|gap| is_new(gap.from)).copied().collect();
        for gap in lost.into_iter().rev() {
            self.known.gap_from = Some(gap.from);
            let length = super::time::duration(gap.to.saturating_sub(gap.from));
            let text = match gap.is_unwatched {
                true => {
                    format!("nobody listened for {length}: single polls and what came and went meanwhile are missing")
                }
                false => format!("{} facts lost within {length}", gap.dropped),
            };
            self.note(gap.from, Weight::Loss, Topic::Once, text);
        }
        let forgotten = trace.gaps().rev().find(|gap| gap.is_forgotten()).map_or(0, |gap| gap.to);
        if forgotten > self.known.forgotten_to {
            self.known.forgotten_to = forgotten;
            let text = format!(
                "out of memory for more: of some tasks, what was before {} is forgotten",
                super::time::duration(forgotten)
            );
            self.note(at, Weight::Loss, Topic::Forgotten, text);
        }
    }

    fn note(&mut self, at: Nanos, weight: Weight, topic: Topic, text: String) {
        let note = Note { at, weight, text, topic };
        match self.notes.back_mut() {
            Some(last) if topic != Topic::Once && last.topic == topic => *last = note,
            _ => {
                if self.notes.len() == LINES_MAX {
                    self.notes.pop_front();
                }
                self.notes.push_back(note);
            }
        }
    }
}

/// Who paused it, and why, in a sentence.
fn paused(cause: &PauseCause, steering: Steering) -> String {
    let what = if steering == Steering::Process { "the process" } else { "the loop" };
    match cause {
        PauseCause::Person if steering == Steering::Process => "you stopped the process here".to_owned(),
        PauseCause::Person => "you paused the loop here".to_owned(),
        PauseCause::Breakpoint(words) => format!("the breakpoint `{words}` stopped {what} here"),
        PauseCause::Step => format!("{what} came as far as you asked for, and stopped here"),
        PauseCause::Suspended => format!("{what} stood here while loopscope was suspended"),
    }
}
