//! Polls and ends of tasks, from their spans and from the hooks of their runtime.
//!
//! tokio enters the span of a task for each poll, and once more when it drops the future. Where hooks are installed,
//! they report the polls; the span then says what happened in between.

use crate::clock;
use crate::events::{GATED, HOLDING, RECORDING, flags, is_recording, kind_of, number_of, span_kind, task_span};
use crate::gate;
use crate::live::{self, LiveEntry};
use crate::record::{Record, RecordKind};
use crate::thread::{BlockingRun, ThreadState, poll_state};

/// How a task ended, as the argument of [`RecordKind::TaskEnded`].
#[derive(Clone, Copy)]
#[repr(u64)]
enum Outcome {
    Completed = 0,
    Cancelled = 1,
    Panicked = 2,
    Unknown = 3,
}

fn write_end(thread: &ThreadState, task: u64, outcome: Outcome) {
    if flags() & GATED != 0 {
        gate::on_end(task);
    }
    if is_recording() {
        let record = Record::new(RecordKind::TaskEnded, clock::ticks(), task);
        thread.write([record, Record::argument(outcome as u64)]);
    }
}

#[inline]
fn write(thread: &ThreadState, kind: RecordKind, task: u64) {
    if is_recording() {
        thread.write([Record::new(kind, clock::ticks(), task)]);
    }
}

/// Returns whether hooks report the polls and the end of a task.
#[inline]
fn has_hooks(span: u64) -> bool {
    crate::hooks::are_installed() && live::has_hooks(span)
}

/// Notes that the span of a task was entered.
#[inline]
pub(crate) fn enter(thread: &ThreadState, span: u64) {
    thread.was_panicking.set(std::thread::panicking());
    if thread.hooked.task.get() == number_of(span) {
        let state = thread.hooked.state.get();
        let is_counted = state & poll_state::ENTERS < poll_state::ENTERS;
        thread.hooked.state.set(state + u32::from(is_counted));
    } else if is_recording() && !has_hooks(span) {
        let is_gated = flags() & GATED != 0;
        let is_inside = thread.begin_inner_poll();
        if is_gated && !is_drop(thread, span) {
            // Without a hook, only `spawn` holds tasks.
            gate::before_poll(thread, number_of(span));
        }
        thread.set_polling(number_of(span));
        thread.recording.set(crate::events::recording());
        // The records of a poll, with those inside it, stay on one thread id.
        if !is_inside {
            crate::hooks::note_worker(thread);
        }
        write(thread, RecordKind::Enter, number_of(span));
        if is_gated {
            thread.start_ticks.set(clock::ticks());
        }
    }
}

/// Returns whether the span that is entered, or was entered last, is that of a future that is dropped: it follows the
/// poll of the task, and no task was woken in between.
fn is_drop(thread: &ThreadState, span: u64) -> bool {
    thread.last_exit.get() == (span, gate::wakes())
}

/// Notes that the span of a task was exited.
#[inline]
pub(crate) fn exit(thread: &ThreadState, span: u64) {
    let task = number_of(span);
    let has_panicked = std::thread::panicking() && !thread.was_panicking.get();
    if thread.hooked.task.get() == task {
        if has_panicked {
            thread.hooked.add(poll_state::PANICKED);
        } else if is_recording() {
            thread.hooked.exit_ticks.set(clock::ticks());
        }
        return;
    }
    if has_panicked {
        thread.panicked_task.set(task);
    }
    if is_recording() && !has_hooks(span) {
        let is_suppressed = flags() & HOLDING != 0 && thread.suppressed_task.replace(0) == task;
        write(thread, exit_kind(has_panicked, is_suppressed), task);
        thread.end_inner_poll();
        if is_suppressed {
            thread.last_exit.set((0, 0));
            after_suppressed_poll(task);
        } else if flags() & GATED != 0 {
            let is_poll = !is_drop(thread, span);
            thread.last_exit.set((span, gate::wakes()));
            if is_poll {
                gate::after_poll(task, clock::ticks().saturating_sub(thread.start_ticks.get()));
            }
        } else {
            thread.last_exit.set((0, 0));
        }
    }
}

fn exit_kind(has_panicked: bool, is_suppressed: bool) -> RecordKind {
    match (has_panicked, is_suppressed) {
        (true, _) => RecordKind::ExitPanicked,
        (false, true) => RecordKind::PollSkipped,
        (false, false) => RecordKind::Exit,
    }
}

fn after_suppressed_poll(task: u64) {
    if flags() & GATED != 0 {
        gate::after_suppressed_poll(task);
    }
}

/// Notes that the span of a task was closed, because its future was dropped.
pub(crate) fn close(thread: &ThreadState, span: u64, has_hooks: bool) {
    let task = number_of(span);
    if thread.hooked.task.get() == task {
        // The hook that is called after the poll reports it.
        return thread.hooked.add(poll_state::CLOSED);
    }
    if has_hooks {
        flush_closed_task(thread);
        thread.closed_task.set(task);
        return;
    } else if kind_of(span) == span_kind::BLOCKING {
        end_blocking(thread, span);
    } else if thread.panicked_task.replace(0) == task {
        write_end(thread, task, Outcome::Panicked);
    }
    write(thread, RecordKind::TaskClosed, task);
}

/// Reports that a task was closed whose end no hook reported.
fn flush_closed_task(thread: &ThreadState) {
    let task = thread.closed_task.replace(0);
    if task != 0 {
        write(thread, RecordKind::TaskClosed, task);
    }
}

/// Notes that the span of a closure of the blocking pool was entered. A closure runs once. The second time that its
/// span is entered, it is dropped.
pub(crate) fn enter_blocking(thread: &ThreadState, span: u64) {
    thread.was_panicking.set(std::thread::panicking());
    let mut run = thread.blocking.get();
    if run.span != span {
        run = BlockingRun { span, ..BlockingRun::NONE };
    }
    run.enters += 1;
    thread.blocking.set(run);
    if run.enters == 1 && is_recording() {
        crate::hooks::note_worker(thread);
        write(thread, RecordKind::BlockingStart, number_of(span));
    }
}

/// Notes that the span of a closure of the blocking pool was exited.
pub(crate) fn exit_blocking(thread: &ThreadState, span: u64) {
    let mut run = thread.blocking.get();
    if run.span != span {
        return write(thread, RecordKind::BlockingEnd, number_of(span));
    }
    run.has_panicked |= std::thread::panicking() && !thread.was_panicking.get();
    thread.blocking.set(run);
    if run.enters == 1 {
        write(thread, RecordKind::BlockingEnd, number_of(span));
    }
}

fn end_blocking(thread: &ThreadState, span: u64) {
    let run = thread.blocking.get();
    if run.span != span {
        return;
    }
    thread.blocking.set(BlockingRun::NONE);
    let is_skipped = run.enters == 1;
    if is_skipped {
        write(thread, RecordKind::PollSkipped, number_of(span));
    }
    let outcome = match (run.has_panicked, is_skipped) {
        (true, _) => Outcome::Panicked,
        (false, true) => Outcome::Cancelled,
        (false, false) => Outcome::Completed,
    };
    write_end(thread, number_of(span), outcome);
}

/// Notes that a task was spawned on a runtime with hooks. `site` returns the id of its site.
pub(crate) fn hooked_spawn(thread: &ThreadState, task: u64, site: impl FnOnce() -> u64) {
    let span = task_span(task);
    if live::set_hooks(span) {
        return;
    }
    // There is no subscriber that observes the spans.
    let (site, ticks) = (site(), clock::ticks());
    live::insert(span, LiveEntry { references: 0, ticks, site, name: None, has_hooks: true, has_span: false });
    if is_recording() {
        thread.write([Record::new(RecordKind::Spawn, ticks, task), Record::argument(site)]);
    }
}

/// Blocks the thread while a hook holds the task. Returns whether it still is the worker that it was.
#[cfg(tokio_unstable)]
fn wait_until_released(thread: &ThreadState, task: u64) -> bool {
    let is_worker = !crate::hold::is_held_now(task) || crate::hold::block(task);
    if !is_worker {
        thread.leave_worker();
    }
    is_worker
}

/// Returns that the thread still is the worker that it was: without hooks, nothing is held here.
#[cfg(not(tokio_unstable))]
fn wait_until_released(_: &ThreadState, _: u64) -> bool {
    true
}

/// Stops the thread before a poll until the task is not held and the gate lets it pass. Returns whether the thread is still
/// the worker that it was.
#[cold]
fn pass_gate(thread: &ThreadState, task: u64) -> bool {
    let mut is_worker = true;
    loop {
        is_worker &= wait_until_released(thread, task);
        if flags() & GATED == 0 || gate::before_poll(thread, task) {
            return is_worker;
        }
    }
}

/// Notes that a hook was called before a poll.
#[inline]
pub(crate) fn hooked_poll_start(thread: &ThreadState, task: u64) {
    let flags = flags();
    let (mut start_ticks, mut is_worker) = (0, true);
    let mut state = if thread.begin_inner_poll() { poll_state::INSIDE } else { 0 };
    if flags & (GATED | HOLDING) != 0 {
        is_worker = pass_gate(thread, task);
        start_ticks = clock::ticks();
    }
    thread.set_polling(task);
    if thread.hooked.task.get() != 0
        && let Ok(mut outer_polls) = thread.outer_polls.try_borrow_mut()
    {
        outer_polls.push(thread.hooked.get());
        state |= poll_state::NESTED;
    }
    thread.hooked.set((task, state, start_ticks));
    if flags & RECORDING != 0 {
        // The records of a poll, with those inside it, stay on one thread id.
        if is_worker && state == 0 {
            crate::hooks::note_worker(thread);
        }
        thread.write([Record::new(RecordKind::PollStart, clock::ticks(), task)]);
    }
}

/// Reports the end of a poll and of its task with one event.
fn write_last_poll(thread: &ThreadState, kind: RecordKind, task: u64, outcome: Outcome, is_closed: bool) {
    if flags() & GATED != 0 {
        gate::on_end(task);
    }
    if !is_recording() {
        return;
    }
    let ticks = clock::ticks();
    let (poll, end) = (Record::new(kind, ticks, task), Record::new(RecordKind::TaskEnded, ticks, task));
    let outcome = Record::argument(outcome as u64);
    if is_closed {
        thread.write([poll, end, outcome, Record::new(RecordKind::TaskClosed, ticks, task)]);
    } else {
        thread.write([poll, end, outcome]);
    }
}

/// Notes that a hook was called after a poll.
#[inline]
pub(crate) fn hooked_poll_end(thread: &ThreadState, task: u64) {
    let (_, state, start_ticks) = thread.hooked.get();
    if state & !poll_state::ENTERS == 0 {
        thread.hooked.task.set(0);
        thread.set_polling(0);
        if is_recording() {
            let exit_ticks = thread.hooked.exit_ticks.get();
            // Usually nothing was recorded since.
            let is_last = exit_ticks != 0 && exit_ticks >= thread.last_ticks.get();
            let ticks = if is_last { exit_ticks } else { clock::ticks() };
            thread.write([Record::new(RecordKind::PollEnd, ticks, task)]);
        }
    } else {
        end_unusual_poll(thread, task, state);
    }
    if state & poll_state::SUSPENDED != 0 {
        after_suppressed_poll(task);
    } else if flags() & GATED != 0 {
        let elapsed = if start_ticks == 0 { 0 } else { clock::ticks().saturating_sub(start_ticks) };
        gate::after_poll(task, elapsed);
    }
}

/// Reports a poll after which the task does not simply wait.
#[inline(never)]
fn end_unusual_poll(thread: &ThreadState, task: u64, state: u32) {
    let (enters, has) = (state & poll_state::ENTERS, |flag| state & flag != 0);
    let has_panicked = has(poll_state::PANICKED);
    let kind = match has_panicked {
        _ if has(poll_state::SUSPENDED) || (has(poll_state::ENDED) && enters == 1) => RecordKind::PollSkipped,
        true => RecordKind::PollPanicked,
        false => RecordKind::PollEnd,
    };
    if has(poll_state::ENDED) {
        let outcome = match enters {
            _ if has_panicked => Outcome::Panicked,
            0 => Outcome::Unknown,
            1 => Outcome::Cancelled,
            _ if has(poll_state::DROPPED) => Outcome::Cancelled,
            _ => Outcome::Completed,
        };
        let is_closed = has(poll_state::CLOSED) || live::remove_without_span(task_span(task));
        write_last_poll(thread, kind, task, outcome, is_closed);
    } else {
        write(thread, kind, task);
        if has(poll_state::CLOSED) {
            write(thread, RecordKind::TaskClosed, task);
        }
    }
    let outer = thread.outer_polls.try_borrow_mut().ok();
    let outer = outer.filter(|_| has(poll_state::NESTED)).and_then(|mut outer_polls| outer_polls.pop());
    thread.hooked.set(outer.unwrap_or_default());
    if has(poll_state::INSIDE) {
        thread.end_inner_poll();
    } else {
        thread.set_polling(0);
    }
}

/// Notes that the current poll of a task did not run its future, because the task is held.
pub(crate) fn note_suspended(thread: &ThreadState, task: u64) {
    if thread.hooked.task.get() == task {
        thread.hooked.add(poll_state::SUSPENDED);
    } else {
        thread.suppressed_task.set(task);
    }
}

/// Notes that the future of a task is dropped before it has completed. In the current poll, that is an abort.
pub(crate) fn note_dropped(thread: &ThreadState, task: u64) {
    if thread.hooked.task.get() == task {
        thread.hooked.add(poll_state::DROPPED);
    }
}

/// Notes that a hook was called because a task has ended.
pub(crate) fn hooked_end(thread: &ThreadState, task: u64) {
    #[cfg(tokio_unstable)]
    if flags() & HOLDING != 0 {
        // The runtime shuts down.
        crate::hold::release(task);
    }
    if thread.hooked.task.get() == task {
        // What the poll was is known after it.
        return thread.hooked.add(poll_state::ENDED);
    }
    let is_closed = thread.closed_task.get() == task;
    let has_no_span = live::remove_without_span(task_span(task));
    if !is_closed && !has_no_span && !live::has_hooks(task_span(task)) {
        return;
    }
    // Outside of a poll, a task ends because its future was dropped.
    let has_panicked = thread.panicked_task.replace(0) == task;
    write_end(thread, task, if has_panicked { Outcome::Panicked } else { Outcome::Cancelled });
    if is_closed {
        thread.closed_task.set(0);
    }
    if is_closed || has_no_span {
        write(thread, RecordKind::TaskClosed, task);
    }
}
