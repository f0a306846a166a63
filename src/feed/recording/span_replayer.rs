//! Replays the span lines of a recording into events: polls, wakes and their sources, and drops of futures.
//!
//! A recording has no thread ids. On one thread enters and exits nest, so the span entered last is the active one. If
//! they do not nest, there are several threads.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::await_tracker::AwaitTracker;
use super::closed_tasks::ClosedTasks;
use super::entered_spans::EnteredSpans;
use super::line::{RecordingLine, SpawnField, SpawnFieldValue, WakerOp};
use super::pending_polls::{CandidateId, PendingPolls, PriorWake};
use super::poll_evidence::PolledTask;
use super::task_ending::TaskEnding;
use crate::feed::await_resolver::AwaitResolver;
use crate::sanitize::sanitize_cow;
use crate::trace::{Event, Nanos, TaskId, TaskKind, TaskMeta, TaskOutcome, WakeSource};

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
    /// What its lines show about its end.
    ending: TaskEnding,
}

/// Replays lines in order, tracking entered spans and live tasks.
#[derive(Debug, Default)]
pub struct SpanReplayer {
    tasks: FxHashMap<u64, RecordedTask>,
    closed: ClosedTasks,
    /// Tasks by span id and spawn time in nanoseconds since 1970, until the wire claims them. Empty without a wire.
    unclaimed_spawns: FxHashMap<(u64, u64), TaskId>,
    /// The same keys in order, including claimed ones.
    spawn_order: VecDeque<(u64, u64)>,
    task_count: usize,
    entered: EnteredSpans,
    /// Scratch list of the tasks that are being polled.
    polled: Vec<PolledTask>,
    pending: PendingPolls,
    /// Tracks awaits, if spans can be resolved.
    pub awaits: Option<AwaitTracker>,
    /// The current line happened before the previous line of its task.
    is_late: bool,
    /// Wakes are recorded.
    has_wakes: bool,
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
            if !closes && !self.entered.is_multi_threaded {
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
            RecordingLine::Waker { id, .. } => {
                if let Some(entry) = self.tasks.get_mut(id) {
                    entry.ending.waker_dropped();
                }
            }
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
        self.is_late = at < entry.last_at;
        entry.last_at = entry.last_at.max(at);
        entry.last_at
    }

    /// Whether too many spans are entered, so that no further span can be entered.
    pub fn is_full(&self) -> bool {
        self.entered.is_full()
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
            ending: TaskEnding::default(),
        };
        self.entered.worker_count += usize::from(kind == TaskKind::Worker);
        self.closed.remove(span);
        self.tasks.insert(span, entry);
        spawned.parent = self.entered.polled_task();
        self.pending.emit(Event::Spawn { task, at, meta: Box::new(spawned) }, out);
        Some(task)
    }

    fn enter(&mut self, span: u64, at: Nanos, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        match self.tasks.get_mut(&span) {
            Some(entry) => {
                entry.depth += 1;
                if entry.depth == 1 {
                    if let Some(candidate) = entry.candidate {
                        // It is entered again, so the last one was a poll.
                        self.pending.resolve(candidate, true, out);
                    }
                    let prior_wake = match entry.kind {
                        _ if entry.is_woken || !entry.was_polled => PriorWake::Woken,
                        // tokio does not report the wakes of a `block_on` future.
                        TaskKind::BlockOn => PriorWake::Unknown,
                        _ => PriorWake::NotWoken,
                    };
                    entry.ending.enter(at, self.line_count);
                    entry.candidate = Some(self.pending.begin_candidate(entry.task, at, prior_wake));
                    (entry.is_woken, entry.was_polled) = (false, true);
                }
                let (task, kind) = (entry.task, entry.kind);
                self.entered.enter_task(span, task, kind);
                if kind.is_off_loop() {
                    // Closures of the blocking pool run on other threads.
                    self.mark_multi_threaded(at, out);
                }
            }
            None => {
                self.list_polled();
                if let Some(awaits) = &mut self.awaits {
                    awaits.enter((span, at), &self.polled, resolver, &mut |event| self.pending.emit(event, out));
                }
                self.entered.enter_other(span);
            }
        }
    }

    /// Lists the tasks that are being polled.
    fn list_polled(&mut self) {
        self.polled.clear();
        if self.awaits.is_some() {
            self.polled.extend(self.entered.pollers());
        }
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
        let Some(is_overlapping) = self.entered.exit(span) else { return };
        if is_overlapping {
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
        entry.ending.exit(at, self.line_count);
        if let Some(awaits) = &mut self.awaits {
            awaits.poll_ended(entry.task, resolver, &mut |event| self.pending.emit(event, out));
        }
        if let Some(candidate) = entry.candidate {
            let outcome = entry.ending.outcome(self.entered.is_multi_threaded, self.entered.worker_count > 0);
            let outcome = Some(outcome).filter(|_| entry.kind.is_task() && self.has_wakes && entry.ending.has_wakes());
            self.pending.end_candidate(candidate, (entry.task, at), outcome, out);
            self.just_exited = self.pending.is_decided_next(candidate).then_some((span, candidate));
        }
    }

    fn close(&mut self, span: u64, at: Nanos, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        if let Some(entry) = self.tasks.remove(&span) {
            self.closed.add(span, entry.task, at);
            self.end(entry, at, out);
            self.entered.close(span);
        } else if let Some(awaits) = &mut self.awaits {
            awaits.close((span, at), resolver, &mut |event| self.pending.emit(event, out));
        }
    }

    fn end(&mut self, entry: RecordedTask, at: Nanos, out: &mut impl FnMut(Event)) {
        if let Some(candidate) = entry.candidate {
            self.pending.resolve(candidate, false, out);
        }
        let outcome = if entry.kind.is_task() {
            entry.ending.outcome(self.entered.is_multi_threaded, self.entered.worker_count > 0)
        } else {
            TaskOutcome::Completed
        };
        self.entered.worker_count -= usize::from(entry.kind == TaskKind::Worker);
        if let Some(awaits) = &mut self.awaits {
            awaits.task_ended(entry.task);
        }
        self.pending.emit(Event::TaskEnd { task: entry.task, at, outcome }, out);
    }

    fn wake(&mut self, span: u64, at: Nanos, self_wake: bool, out: &mut impl FnMut(Event)) {
        let source = if self_wake { WakeSource::SelfWake } else { self.entered.wake_source() };
        if !self.tasks.contains_key(&span) {
            if let Some((task, closed_at)) = self.closed.find(span) {
                // It preceded the close, which another thread recorded.
                return self.pending.emit(Event::Wake { task, at: at.max(closed_at), source }, out);
            }
            // Only tasks have wakers, so the spawn line was lost.
            let nameless = TaskMeta::default();
            let added = self.add(span, at, nameless, out);
            self.unspawned += u64::from(added.is_some());
        }
        if let Some(entry) = self.tasks.get_mut(&span) {
            entry.is_woken = true;
            entry.ending.wake();
            self.has_wakes = true;
            if let Some(candidate) = entry.candidate.filter(|_| self.is_late) {
                self.pending.mark_woken(candidate);
            }
            self.pending.emit(Event::Wake { task: entry.task, at, source }, out);
        }
    }

    fn mark_multi_threaded(&mut self, at: Nanos, out: &mut impl FnMut(Event)) {
        if !std::mem::replace(&mut self.entered.is_multi_threaded, true) {
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
        self.awaits.iter_mut().for_each(AwaitTracker::lines_missing);
        for entry in self.tasks.values_mut() {
            entry.is_woken = true;
            if std::mem::take(&mut entry.depth) > 0 {
                // It ended here or earlier, and is not extended past that.
                if let Some(candidate) = entry.candidate {
                    self.pending.end_candidate(candidate, (entry.task, at), None, out);
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
