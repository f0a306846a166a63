//! Replays the span lines of a recording into events: polls, wakes and their sources, and drops of futures.
//!
//! A recording has no thread ids. On one thread enters and exits nest, so the span entered last is the active one. If
//! they do not nest, there are several threads, and a wake source is inferred: the only task in a poll, or another
//! thread if several tasks are.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::await_tracker::AwaitTracker;
use super::line::{RecordingLine, SpawnField, SpawnFieldValue, WakerOp};
use super::pending_polls::{CandidateId, PendingPolls};
use super::poll_evidence::PolledTask;
use crate::feed::await_resolver::AwaitResolver;
use crate::sanitize::sanitize_cow;
use crate::trace::{Event, Nanos, TaskId, TaskKind, TaskMeta, TaskOutcome, WakeSource};

/// Spans entered at once, on all threads. Past this, lines with their exits must have been lost.
pub const ENTERED_MAX: usize = 4_096;

/// Longest task name kept, in characters.
const NAME_CHARS_MAX: usize = 256;

/// Live tasks; further ones are not emitted.
const TASKS_MAX: usize = 1 << 20;

/// Tasks in total: the limit of trace ids.
const IDS_MAX: usize = u32::MAX as usize - 1;

/// Spawns remembered until the wire reports the task as well.
const UNCLAIMED_MAX: usize = 1 << 18;

/// A task that has not ended.
#[derive(Debug)]
struct RecordedTask {
    task: TaskId,
    kind: TaskKind,
    /// Loop time of its last line.
    last_at: Nanos,
    /// How often its span is entered now.
    depth: u32,
    /// The candidate for its last poll.
    candidate: Option<CandidateId>,
    /// It was woken since it was last entered, is new, or that is unknown.
    is_woken: bool,
    was_polled: bool,
    /// Number of the line of its last exit.
    exited_on_line: u64,
    /// No line came between its last exit and the next enter.
    is_uninterrupted: bool,
}

/// A span that is entered now.
#[derive(Clone, Copy, Debug)]
struct EnteredSpan {
    span: u64,
    /// The task that it stands for, unless that is a closure on the blocking pool.
    task: Option<TaskId>,
    /// The task or closure that it stands for, unless that is a worker of the runtime.
    poller: Option<PolledTask>,
}

/// Replays lines in order, tracking entered spans and live tasks.
#[derive(Debug, Default)]
pub struct SpanReplayer {
    tasks: FxHashMap<u64, RecordedTask>,
    /// Tasks by span id and spawn time in nanoseconds since 1970, until the wire claims them. Empty without a wire.
    unclaimed_spawns: FxHashMap<(u64, u64), TaskId>,
    /// The same keys in order, including claimed ones.
    spawn_order: VecDeque<(u64, u64)>,
    task_count: usize,
    /// Live workers of multi-threaded runtimes.
    worker_count: usize,
    entered: Vec<EnteredSpan>,
    /// Scratch list of the tasks that are being polled.
    polled: Vec<PolledTask>,
    pending: PendingPolls,
    /// Tracks awaits, if spans can be resolved.
    pub awaits: Option<AwaitTracker>,
    is_multi_threaded: bool,
    /// Lines replayed so far.
    line_count: u64,
    /// The task whose exit was the previous line, with its undecided candidate.
    just_exited: Option<(u64, CandidateId)>,
    /// Tasks that a waker refers to, but no spawn line.
    pub unspawned: u64,
    /// Lines are missing since the last one replayed.
    is_after_gap: bool,
    /// Tasks past [`TASKS_MAX`], which are not emitted.
    pub hidden_tasks: u64,
}

impl SpanReplayer {
    /// Replays `line`, which happened at loop time `at`.
    pub fn replay(
        &mut self,
        line: &RecordingLine,
        at: Nanos,
        resolver: &impl AwaitResolver,
        out: &mut impl FnMut(Event),
    ) {
        self.line_count += 1;
        self.is_after_gap = false;
        let at = self.in_order(line, at);
        if let Some((left, candidate)) = self.just_exited.take() {
            let closes = matches!(line, RecordingLine::Close { id, .. } if *id == left);
            // On several threads other lines may come in between.
            if !closes && !self.is_multi_threaded {
                self.pending.resolve(candidate, true, out);
            }
        }
        match line {
            RecordingLine::Spawn { id, at: spawned_at, fields } => {
                let task = self.spawn(*id, at, fields, out);
                if let Some(task) = task.filter(|_| self.awaits.is_some()) {
                    let spawn = (*id, spawned_at.epoch_ns().unwrap_or(0));
                    self.unclaimed_spawns.insert(spawn, task);
                    self.spawn_order.push_back(spawn);
                    if self.spawn_order.len() > UNCLAIMED_MAX {
                        self.spawn_order.pop_front().and_then(|oldest| self.unclaimed_spawns.remove(&oldest));
                    }
                }
            }
            RecordingLine::Enter { id, .. } => self.enter(*id, at, resolver, out),
            RecordingLine::Exit { id, .. } => self.exit(*id, at, resolver, out),
            RecordingLine::Close { id, .. } => self.close(*id, at, resolver, out),
            RecordingLine::Waker { id, op: WakerOp::Wake { self_wake } | WakerOp::WakeByRef { self_wake }, .. } => {
                self.wake(*id, at, *self_wake, out);
            }
            RecordingLine::Waker { id, op: WakerOp::Clone, .. } => {
                if let Some(awaits) = &mut self.awaits {
                    awaits.waker_cloned(*id);
                }
            }
            RecordingLine::Waker { .. } => {}
        }
        self.pending.resolve_expired(at, out);
    }

    /// Returns `at`, but not before the previous line of the same task. Lines of different threads are out of order.
    fn in_order(&mut self, line: &RecordingLine, at: Nanos) -> Nanos {
        let (RecordingLine::Enter { id, .. }
        | RecordingLine::Exit { id, .. }
        | RecordingLine::Close { id, .. }
        | RecordingLine::Waker { id, .. }) = line
        else {
            return at;
        };
        let Some(entry) = self.tasks.get_mut(id) else { return at };
        entry.last_at = entry.last_at.max(at);
        entry.last_at
    }

    /// Whether [`ENTERED_MAX`] is reached, so that no further span can be entered.
    pub fn is_full(&self) -> bool {
        self.entered.len() >= ENTERED_MAX
    }

    /// Takes the task with this span id and this spawn time (nanoseconds since 1970). Returns it once.
    pub fn take_spawned_task(&mut self, span: u64, epoch_ns: u64) -> Option<TaskId> {
        self.unclaimed_spawns.remove(&(span, epoch_ns))
    }

    fn spawn(&mut self, span: u64, at: Nanos, fields: &[SpawnField], out: &mut impl FnMut(Event)) -> Option<TaskId> {
        let text = |wanted: &str| {
            fields.iter().find(|field| field.name == wanted).and_then(|field| match &field.value {
                SpawnFieldValue::Text(text) => Some(&**text),
                _ => None,
            })
        };
        let kind =
            text("kind").map_or(TaskKind::Task, |kind| TaskKind::from_fields(kind, text("fn").unwrap_or_default()));
        let name: String = text("task.name").unwrap_or_default().chars().take(NAME_CHARS_MAX).collect();
        if let Some(before) = self.tasks.remove(&span) {
            // Its close was lost: a span id is only reused once it is free.
            self.end(before, at, out);
        }
        let number = |wanted: &str| {
            fields.iter().find(|field| field.name == wanted).and_then(|field| match field.value {
                SpawnFieldValue::Number(number) => Some(number),
                _ => None,
            })
        };
        let spawned = TaskMeta {
            name: sanitize_cow(&name).into(),
            kind,
            parent: None,
            location: None,
            size_bytes: number("size.bytes"),
            original_size_bytes: number("original_size.bytes"),
        };
        self.add(span, at, spawned, out)
    }

    /// Adds a task. Returns `None` if a limit is reached.
    fn add(&mut self, span: u64, at: Nanos, mut spawned: TaskMeta, out: &mut impl FnMut(Event)) -> Option<TaskId> {
        if self.tasks.len() >= TASKS_MAX || self.task_count >= IDS_MAX {
            self.hidden_tasks += 1;
            return None;
        }
        let kind = spawned.kind;
        let task = TaskId::from_index(self.task_count);
        self.task_count += 1;
        let entry = RecordedTask {
            task,
            kind,
            last_at: at,
            depth: 0,
            candidate: None,
            is_woken: true,
            was_polled: false,
            exited_on_line: 0,
            is_uninterrupted: false,
        };
        self.worker_count += usize::from(kind == TaskKind::Worker);
        self.tasks.insert(span, entry);
        spawned.parent = self.polled_task();
        self.pending.emit(Event::Spawn { task, at, meta: Box::new(spawned) }, out);
        Some(task)
    }

    /// Returns the task that is being polled, innermost first; `None` if that is ambiguous.
    fn polled_task(&self) -> Option<TaskId> {
        let mut polled = self.entered.iter().rev().filter_map(|entered| entered.task);
        let last = polled.next();
        // On several threads it could be any of them.
        if self.is_multi_threaded && polled.next().is_some() { None } else { last }
    }

    fn enter(&mut self, span: u64, at: Nanos, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        let mut entered = EnteredSpan { span, task: None, poller: None };
        let mut is_pool = false;
        match self.tasks.get_mut(&span) {
            Some(entry) => {
                // Runtime workers are closures on the blocking pool, and poll other tasks inside.
                entered.task = (!entry.kind.is_off_loop()).then_some(entry.task);
                entered.poller = (entry.kind != TaskKind::Worker).then_some(PolledTask {
                    span,
                    task: entry.task,
                    has_recorded_waker: entry.kind.is_task(),
                });
                entry.depth += 1;
                if entry.depth == 1 {
                    if let Some(candidate) = entry.candidate {
                        // It is entered again, so the last one was a poll.
                        self.pending.resolve(candidate, true, out);
                    }
                    // tokio does not report the wakes of a `block_on` future.
                    let is_woken = entry.is_woken || !entry.was_polled || entry.kind == TaskKind::BlockOn;
                    entry.is_uninterrupted = entry.exited_on_line + 1 == self.line_count;
                    entry.candidate = Some(self.pending.begin_candidate(entry.task, at, is_woken));
                    (entry.is_woken, entry.was_polled) = (false, true);
                    is_pool = entry.kind.is_off_loop();
                }
            }
            None => {
                self.list_polled();
                if let Some(awaits) = &mut self.awaits {
                    awaits.enter((span, at), &self.polled, resolver, &mut |event| self.pending.emit(event, out));
                }
            }
        }
        self.entered.push(entered);
        if is_pool {
            // Closures of the blocking pool run on other threads.
            self.mark_multi_threaded(at, out);
        }
    }

    /// Lists the tasks that are being polled.
    fn list_polled(&mut self) {
        self.polled.clear();
        if self.awaits.is_none() {
            return;
        }
        // On one thread the task that was entered last is the one that is polled.
        let most = if self.is_multi_threaded { usize::MAX } else { 1 };
        self.polled.extend(self.entered.iter().rev().filter_map(|entered| entered.poller).take(most));
    }

    /// Resolves spans again that could not be resolved when they were entered.
    pub fn resolve_late_awaits(&mut self, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        self.list_polled();
        if let Some(awaits) = &mut self.awaits {
            awaits.resolve_late_awaits(&self.polled, resolver, &mut |event| self.pending.emit(event, out));
        }
    }

    /// Sets the interval of loop time in which the resolver has every ready poll of an await.
    pub fn set_reported_interval(&mut self, from: Nanos, until: Nanos) {
        if let Some(awaits) = &mut self.awaits {
            awaits.set_reported_interval(from, until);
        }
    }

    /// Resolves awaits for the last time, and counts those that cannot be attributed to a task.
    pub fn finish_awaits(&mut self, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        if let Some(awaits) = &mut self.awaits {
            awaits.finish(resolver, &mut |event| self.pending.emit(event, out));
        }
    }

    fn exit(&mut self, span: u64, at: Nanos, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        let Some(index) = self.entered.iter().rposition(|entered| entered.span == span) else { return };
        let left = self.entered.remove(index);
        if left.task.is_some() && self.entered[index..].iter().any(|after| after.task.is_some()) {
            // A task that was entered later is still entered, so it is on another thread.
            self.mark_multi_threaded(at, out);
        }
        let Some(entry) = self.tasks.get_mut(&span) else {
            if let Some(awaits) = &mut self.awaits {
                awaits.exit((span, at), resolver, &mut |event| self.pending.emit(event, out));
            }
            return;
        };
        entry.depth = entry.depth.saturating_sub(1);
        if entry.depth > 0 {
            return;
        }
        entry.exited_on_line = self.line_count;
        if let Some(awaits) = &mut self.awaits {
            awaits.poll_ended(entry.task, &mut |event| self.pending.emit(event, out));
        }
        if let Some(candidate) = entry.candidate {
            self.pending.end_candidate(candidate, entry.task, at, out);
            self.just_exited = self.pending.is_undecided(candidate).then_some((span, candidate));
        }
    }

    fn close(&mut self, span: u64, at: Nanos, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        if let Some(entry) = self.tasks.remove(&span) {
            self.end(entry, at, out);
            self.entered.retain(|entered| entered.span != span);
        } else if let Some(awaits) = &mut self.awaits {
            awaits.close((span, at), resolver, &mut |event| self.pending.emit(event, out));
        }
    }

    fn end(&mut self, entry: RecordedTask, at: Nanos, out: &mut impl FnMut(Event)) {
        if let Some(candidate) = entry.candidate {
            self.pending.resolve(candidate, false, out);
        }
        // A ready future is dropped by the next thing that its thread does; a cancelled one is not. On several threads
        // the two cannot be distinguished.
        let is_task = matches!(entry.kind, TaskKind::Task | TaskKind::Local);
        let outcome = if is_task && !self.is_multi_threaded && !entry.is_uninterrupted {
            TaskOutcome::Cancelled
        } else {
            TaskOutcome::Completed
        };
        self.worker_count -= usize::from(entry.kind == TaskKind::Worker);
        if let Some(awaits) = &mut self.awaits {
            awaits.task_ended(entry.task);
        }
        self.pending.emit(Event::TaskEnd { task: entry.task, at, outcome }, out);
    }

    fn wake(&mut self, span: u64, at: Nanos, self_wake: bool, out: &mut impl FnMut(Event)) {
        if !self.tasks.contains_key(&span) {
            // Only tasks have wakers, so the spawn line was lost.
            let nameless = TaskMeta::default();
            let added = self.add(span, at, nameless, out);
            self.unspawned += u64::from(added.is_some());
        }
        let source = if self_wake { WakeSource::SelfWake } else { self.wake_source() };
        if let Some(entry) = self.tasks.get_mut(&span) {
            entry.is_woken = true;
            self.pending.emit(Event::Wake { task: entry.task, at, source }, out);
        }
    }

    /// Returns what called a waker just now. On several threads it is known only if there is no other possibility.
    fn wake_source(&self) -> WakeSource {
        if self.is_multi_threaded {
            let mut polled = self.entered.iter().filter_map(|entered| entered.poller);
            return match (polled.next(), polled.next()) {
                // The only worker polls this task, so it does not run the driver.
                (Some(PolledTask { task, has_recorded_waker: true, .. }), None) if self.worker_count <= 1 => {
                    WakeSource::Task(task)
                }
                (None, _) => WakeSource::Driver,
                _ => WakeSource::Unknown,
            };
        }
        match self.polled_task() {
            Some(task) => WakeSource::Task(task),
            None if self.entered.iter().any(|entered| entered.task.is_some()) => WakeSource::Thread,
            None => WakeSource::Driver,
        }
    }

    fn mark_multi_threaded(&mut self, at: Nanos, out: &mut impl FnMut(Event)) {
        if !std::mem::replace(&mut self.is_multi_threaded, true) {
            self.pending.emit(Event::MultiThreadDetected { at }, out);
        }
    }

    /// Handles missing lines: entered spans may have been exited, and any task may have been woken.
    pub fn lines_missing(&mut self, at: Nanos, out: &mut impl FnMut(Event)) {
        if std::mem::replace(&mut self.is_after_gap, true) {
            // Nothing was replayed since the last time.
            return;
        }
        self.just_exited = None;
        self.entered.clear();
        for entry in self.tasks.values_mut() {
            entry.is_woken = true;
            if std::mem::take(&mut entry.depth) > 0 {
                // It ended here at the latest, and is not extended past that.
                if let Some(candidate) = entry.candidate {
                    self.pending.end_candidate(candidate, entry.task, at, out);
                }
            }
            if let Some(candidate) = entry.candidate.take() {
                self.pending.resolve(candidate, true, out);
            }
        }
    }

    /// Resolves candidates after no input for `quiet_ns`.
    pub fn flush_idle(&mut self, quiet_ns: u64, out: &mut impl FnMut(Event)) {
        self.pending.flush_idle(quiet_ns, out);
    }
}
