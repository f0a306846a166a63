//! From lines to events: who is polled, who wakes whom, and what is only the dropping of a future.
//!
//! A recording has no thread ids. On one thread entries and exits nest, so whoever was entered last is who acts. Where
//! they do not nest there is more than one thread, and who woke whom is a guess: of the one task that was in a poll, or
//! of nobody where several were.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::awaits::{Awaits, Names, Polled};
use super::held::{Asked, Held};
use super::line::{Field, Line, Value, WakerOp};
use crate::plain::plain_cow;
use crate::trace::{Cause, Ending, Event, Nanos, Spawned, TaskId, TaskKind};

/// Spans that are entered at once, of all threads together. Of so many some must have been left by lines that are lost.
pub const ENTERED_MAX: usize = 4_096;

/// Characters of a task's name that are kept.
const NAME_CHARS_MAX: usize = 256;

/// Tasks that are there at once, of which something is told.
const TASKS_MAX: usize = 1 << 20;

/// Tasks in all: there are no more ids of the trace.
const IDS_MAX: usize = u32::MAX as usize - 1;

/// Spawns that are remembered until the wire tells of them too.
const BORN_MAX: usize = 1 << 18;

/// A task that has not ended.
#[derive(Debug)]
struct Known {
    task: TaskId,
    kind: TaskKind,
    /// How often it is entered now.
    depth: u32,
    /// Whether what looks like its last poll is one.
    asked: Option<Asked>,
    /// Something called its waker since it was last entered, or it is new, or that is not known.
    woken: bool,
    was_polled: bool,
    /// The fact with which it was last left.
    left: u64,
    /// Between leaving it and entering it again nothing at all happened.
    went_on: bool,
}

/// A span that is entered now.
#[derive(Clone, Copy, Debug)]
struct Entered {
    span: u64,
    task: Option<TaskId>,
    /// An await of this task: what is entered inside it is part of it.
    awaited: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Teller {
    tasks: FxHashMap<u64, Known>,
    /// Tasks by their span and the moment of their spawn, in nanoseconds since 1970: so the wire knows them too, which has
    /// not asked for them yet. Only where there is a wire.
    born: FxHashMap<(u64, u64), TaskId>,
    /// These, and some that were asked for, in order.
    spawns: VecDeque<(u64, u64)>,
    told_tasks: usize,
    entered: Vec<Entered>,
    held: Held,
    /// Awaits, where somebody says what spans are.
    pub awaits: Option<Awaits>,
    many_threads: bool,
    /// Facts so far.
    facts: u64,
    /// The task that was left with the last fact, of whose poll it is to be decided.
    just_left: Option<(u64, Asked)>,
    /// Ids that a waker named and no line had told of.
    pub unspawned: u64,
    /// The last thing that was heard of is that lines are missing.
    has_missed: bool,
    /// Tasks past [`TASKS_MAX`], of which nothing is told.
    pub untold_tasks: u64,
}

impl Teller {
    /// What `line` tells, which was at `at`.
    pub fn tell(&mut self, line: &Line, at: Nanos, names: &impl Names, out: &mut impl FnMut(Event)) {
        self.facts += 1;
        self.has_missed = false;
        if let Some((left, asked)) = self.just_left.take() {
            let closes = matches!(line, Line::Close { id, .. } if *id == left);
            // On several threads others may come in between.
            if !closes && !self.many_threads {
                self.held.decide(asked, true, out);
            }
        }
        match line {
            Line::Spawn { id, at: born, fields } => {
                let task = self.spawn(*id, at, fields, out);
                if let Some(task) = task.filter(|_| self.awaits.is_some()) {
                    let spawn = (*id, born.epoch_ns().unwrap_or(0));
                    self.born.insert(spawn, task);
                    self.spawns.push_back(spawn);
                    if self.spawns.len() > BORN_MAX {
                        self.spawns.pop_front().and_then(|oldest| self.born.remove(&oldest));
                    }
                }
            }
            Line::Enter { id, .. } => self.enter(*id, at, names, out),
            Line::Exit { id, .. } => self.exit(*id, at, out),
            Line::Close { id, .. } => self.close(*id, at, out),
            Line::Waker { id, op: WakerOp::Wake { self_wake } | WakerOp::WakeByRef { self_wake }, .. } => {
                self.wake(*id, at, *self_wake, out);
            }
            Line::Waker { .. } => {}
        }
        self.held.pass(at, out);
    }

    /// Nothing more can be entered before something is left.
    pub fn is_full(&self) -> bool {
        self.entered.len() >= ENTERED_MAX
    }

    /// The task with this span that was spawned at this moment, in nanoseconds since 1970; once.
    pub fn born(&mut self, span: u64, epoch_ns: u64) -> Option<TaskId> {
        self.born.remove(&(span, epoch_ns))
    }

    fn spawn(&mut self, span: u64, at: Nanos, fields: &[Field], out: &mut impl FnMut(Event)) -> Option<TaskId> {
        let text = |wanted: &str| {
            fields.iter().find(|field| field.name == wanted).and_then(|field| match &field.value {
                Value::Text(text) => Some(&**text),
                _ => None,
            })
        };
        let kind = text("kind").map_or(TaskKind::Task, TaskKind::from_name);
        let name: String = text("task.name").unwrap_or_default().chars().take(NAME_CHARS_MAX).collect();
        if let Some(before) = self.tasks.remove(&span) {
            // Its close was lost: an id is given again only once it is free.
            self.end(before, at, out);
        }
        let number = |wanted: &str| {
            fields.iter().find(|field| field.name == wanted).and_then(|field| match field.value {
                Value::Number(number) => Some(number),
                _ => None,
            })
        };
        let spawned = Spawned {
            name: plain_cow(&name).into(),
            kind,
            parent: None,
            location: None,
            size_bytes: number("size.bytes"),
            boxed_from_bytes: number("original_size.bytes"),
        };
        self.add(span, at, spawned, out)
    }

    /// A new task; none where there are too many already.
    fn add(&mut self, span: u64, at: Nanos, mut spawned: Spawned, out: &mut impl FnMut(Event)) -> Option<TaskId> {
        if self.tasks.len() >= TASKS_MAX || self.told_tasks >= IDS_MAX {
            self.untold_tasks += 1;
            return None;
        }
        let kind = spawned.kind;
        let task = TaskId::from_index(self.told_tasks);
        self.told_tasks += 1;
        let known =
            Known { task, kind, depth: 0, asked: None, woken: true, was_polled: false, left: 0, went_on: false };
        self.tasks.insert(span, known);
        spawned.parent = self.acting();
        self.held.tell(Event::Spawn { task, at, spawned: Box::new(spawned) }, out);
        Some(task)
    }

    /// The task that is in a poll, as far as that is certain; the innermost one where polls nest.
    fn acting(&self) -> Option<TaskId> {
        let mut polled = self.entered.iter().rev().filter_map(|entered| entered.task);
        let last = polled.next();
        // On several threads it could be any of them.
        if self.many_threads && polled.next().is_some() { None } else { last }
    }

    fn enter(&mut self, span: u64, at: Nanos, names: &impl Names, out: &mut impl FnMut(Event)) {
        let mut entered = Entered { span, task: None, awaited: false };
        let mut is_pool = false;
        match self.tasks.get_mut(&span) {
            Some(known) => {
                // A runtime's own workers are closures of its blocking pool, and poll other tasks inside.
                entered.task = (known.kind != TaskKind::Blocking).then_some(known.task);
                known.depth += 1;
                if known.depth == 1 {
                    if let Some(asked) = known.asked {
                        // It goes on after it.
                        self.held.decide(asked, true, out);
                    }
                    // What a thread blocks on is polled without any call of a waker that is told of.
                    let woken = known.woken || !known.was_polled || known.kind == TaskKind::BlockOn;
                    known.went_on = known.left + 1 == self.facts;
                    known.asked = Some(self.held.entered(known.task, at, woken));
                    (known.woken, known.was_polled) = (false, true);
                    is_pool = known.kind == TaskKind::Blocking;
                }
            }
            None => {
                if let Some(task) = self.acting() {
                    entered.awaited = self.await_polled((task, span, at), names, out);
                }
            }
        }
        self.entered.push(entered);
        if is_pool {
            // A closure of the blocking pool runs beside the loop.
            self.many(at, out);
        }
    }

    /// A span that is no task's was entered in a poll. Tells whether that is an await.
    fn await_polled(
        &mut self,
        (task, span, at): (TaskId, u64, Nanos),
        names: &impl Names,
        out: &mut impl FnMut(Event),
    ) -> bool {
        let Some(awaits) = &mut self.awaits else { return false };
        let outer = self.entered.last().filter(|entered| entered.task.is_none()).map(|entered| entered.span);
        let inside = self.entered.iter().rev().take_while(|entered| entered.task.is_none());
        if inside.into_iter().any(|entered| entered.awaited) {
            return false;
        }
        awaits.polled(Polled { task, span, outer, at }, names, &mut |event| self.held.tell(event, out))
    }

    /// What was awaited without a name so far may have one by now.
    pub fn name_late(&mut self, names: &impl Names, out: &mut impl FnMut(Event)) {
        if let Some(awaits) = &mut self.awaits {
            awaits.name_late(names, &mut |event| self.held.tell(event, out));
        }
    }

    fn exit(&mut self, span: u64, at: Nanos, out: &mut impl FnMut(Event)) {
        let Some(index) = self.entered.iter().rposition(|entered| entered.span == span) else { return };
        let left = self.entered.remove(index);
        if left.task.is_some() && self.entered[index..].iter().any(|after| after.task.is_some()) {
            // Whoever was entered after it is still there: they are on another thread.
            self.many(at, out);
        }
        let Some(known) = self.tasks.get_mut(&span) else { return };
        known.depth = known.depth.saturating_sub(1);
        if known.depth > 0 {
            return;
        }
        known.left = self.facts;
        if let Some(awaits) = &mut self.awaits {
            awaits.left(known.task, &mut |event| self.held.tell(event, out));
        }
        if let Some(asked) = known.asked {
            self.held.left(asked, known.task, at, out);
            self.just_left = self.held.is_open(asked).then_some((span, asked));
        }
    }

    fn close(&mut self, span: u64, at: Nanos, out: &mut impl FnMut(Event)) {
        if let Some(known) = self.tasks.remove(&span) {
            self.end(known, at, out);
            self.entered.retain(|entered| entered.span != span);
        } else if let Some(awaits) = &mut self.awaits {
            awaits.closed(span, at, &mut |event| self.held.tell(event, out));
        }
    }

    fn end(&mut self, known: Known, at: Nanos, out: &mut impl FnMut(Event)) {
        if let Some(asked) = known.asked {
            self.held.decide(asked, false, out);
        }
        // A future that is ready is dropped by the very next thing that its thread does; one that was cancelled is not.
        // On several threads nothing tells.
        let is_task = matches!(known.kind, TaskKind::Task | TaskKind::Local);
        let outcome = if is_task && !self.many_threads && !known.went_on { Ending::Cancelled } else { Ending::Done };
        self.held.tell(Event::End { task: known.task, at, outcome }, out);
    }

    fn wake(&mut self, span: u64, at: Nanos, self_wake: bool, out: &mut impl FnMut(Event)) {
        if !self.tasks.contains_key(&span) {
            // Only tasks have wakers: the line that told of this one was lost.
            let nameless = Spawned::default();
            let told = self.add(span, at, nameless, out);
            self.unspawned += u64::from(told.is_some());
        }
        let cause = if self_wake { Cause::Own } else { self.cause() };
        if let Some(known) = self.tasks.get_mut(&span) {
            known.woken = true;
            self.held.tell(Event::Wake { task: known.task, at, cause }, out);
        }
    }

    fn cause(&self) -> Cause {
        match self.acting() {
            Some(task) => Cause::Task(task),
            None if self.entered.iter().any(|entered| entered.task.is_some()) => Cause::Thread,
            None => Cause::Driver,
        }
    }

    fn many(&mut self, at: Nanos, out: &mut impl FnMut(Event)) {
        if !std::mem::replace(&mut self.many_threads, true) {
            self.held.tell(Event::ManyThreads { at }, out);
        }
    }

    /// Lines are missing here: what was entered may have been left, and who was woken is not known.
    pub fn miss(&mut self, at: Nanos, out: &mut impl FnMut(Event)) {
        if std::mem::replace(&mut self.has_missed, true) {
            // Nothing was told since the last one.
            return;
        }
        self.just_left = None;
        self.entered.clear();
        for known in self.tasks.values_mut() {
            known.woken = true;
            if std::mem::take(&mut known.depth) > 0 {
                // Ended at the latest here; that it was seen to begin does not make it longer than that.
                if let Some(asked) = known.asked {
                    self.held.left(asked, known.task, at, out);
                }
            }
            if let Some(asked) = known.asked.take() {
                self.held.decide(asked, true, out);
            }
        }
    }

    /// Nothing came for `quiet_ns`: what waits for what comes next is decided.
    pub fn settle(&mut self, quiet_ns: u64, out: &mut impl FnMut(Event)) {
        self.held.settle(quiet_ns, out);
    }
}
