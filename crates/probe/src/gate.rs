//! The gate, through which every poll goes while loopscope controls the program.
//!
//! A pause stops each thread before its next poll. While nothing is controlled, the gate costs one relaxed load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use crate::breakpoint::{Breakpoint, Condition};
use crate::events::{self, GATED, flags, set_flag};
use crate::protocol::Reply;
use crate::record::{Record, RecordKind};
use crate::thread::{self, ThreadState};
use crate::{clock, collector, hold, live, spawn};

/// What the gate does with polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Lets all of them pass.
    Open,
    /// Stops all of them.
    Closed,
    /// Lets this many pass, one after the other, then closes.
    StepPolls(u32),
    /// Lets all of them pass until this task was polled, then closes.
    StepToTask(u64),
}

/// Why the program pauses, as the argument of [`RecordKind::Paused`].
#[derive(Clone, Copy)]
#[repr(u64)]
enum PauseCause {
    User = 0,
    Step = 1,
    Breakpoint = 2,
}

struct GateState {
    mode: Mode,
    /// The task whose poll a step has let pass and that is polled now, or 0.
    stepping: u64,
    breakpoints: Vec<Breakpoint>,
    hit: Option<String>,
    /// The task at which the program paused, or 0.
    task: u64,
    /// How long the poll took that paused the program, in nanoseconds, if that is why.
    poll_ns: u64,
    /// The pause was reported as complete.
    is_paused: bool,
    /// 1, and 1 more for each command of the connection to continue or to step.
    continues: u64,
}

static STATE: Mutex<GateState> = Mutex::new(GateState {
    mode: Mode::Open,
    stepping: 0,
    breakpoints: Vec::new(),
    hit: None,
    task: 0,
    poll_ns: 0,
    is_paused: false,
    continues: 1,
});

static CHANGED: Condvar = Condvar::new();

/// What each thread polls, or 0.
static POLLING_THREADS: Mutex<Vec<Weak<AtomicU64>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a place in which a thread keeps what it polls.
pub(crate) fn add_thread() -> Arc<AtomicU64> {
    let polling = Arc::new(AtomicU64::new(0));
    let mut threads = lock(&POLLING_THREADS);
    threads.retain(|thread| thread.strong_count() > 0);
    threads.push(Arc::downgrade(&polling));
    polling
}

/// Stops the thread before the poll of a task as long as the gate demands it. Returns `false` if the task is to be held
/// instead. Call it only if [`GATED`] is set.
#[cold]
pub(crate) fn before_poll(thread: &ThreadState, task: u64) -> bool {
    let mut state = lock(&STATE);
    // Once the poll has hit a breakpoint, it passes when the gate opens.
    let mut was_hit = false;
    loop {
        if let Some(is_step) = state.admits(thread) {
            if hold::is_held_now(task) {
                return false;
            }
            if !was_hit && !spawn::is_held(task) {
                was_hit = check_breakpoints(&mut state, (task, 0), |condition| condition == Condition::PollStart);
                if was_hit {
                    continue;
                }
            }
            if let (true, Mode::StepPolls(polls)) = (is_step, state.mode) {
                (state.mode, state.stepping) = (Mode::StepPolls(polls - 1), task);
            }
            return true;
        }
        // A poll around this one stands still too.
        thread.set_polling(0);
        state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

impl GateState {
    /// Returns whether the next poll of this thread counts as a step; `None` if it has to wait.
    fn admits(&self, thread: &ThreadState) -> Option<bool> {
        match self.mode {
            Mode::Open | Mode::StepToTask(_) => Some(false),
            Mode::StepPolls(polls) if self.stepping == 0 && polls > 0 => Some(true),
            // A poll inside the poll of a step is part of it.
            Mode::StepPolls(_) if self.stepping != 0 && thread.polling() == self.stepping => Some(false),
            Mode::StepPolls(_) | Mode::Closed => None,
        }
    }
}

/// Notes that a poll has ended without its future, because the task is held. It is no step. Call it only if [`GATED`] is
/// set.
#[cold]
pub(crate) fn after_suppressed_poll(task: u64) {
    let mut state = lock(&STATE);
    if let Mode::StepPolls(polls) = state.mode
        && state.stepping == task
    {
        (state.mode, state.stepping) = (Mode::StepPolls(polls.saturating_add(1)), 0);
        CHANGED.notify_all();
    }
}

/// Notes that a poll has ended after this many ticks. Call it only if [`GATED`] is set.
#[cold]
pub(crate) fn after_poll(task: u64, ticks: u64) {
    let mut state = lock(&STATE);
    let poll_ns = u128::from(ticks) * 1_000_000_000 / u128::from(clock::ticks_per_second().max(1));
    let poll_ns = u64::try_from(poll_ns).unwrap_or(u64::MAX);
    let is_long = |condition| matches!(condition, Condition::LongPoll(limit_ns) if poll_ns > limit_ns);
    check_breakpoints(&mut state, (task, poll_ns), is_long);
    match state.mode {
        Mode::StepPolls(polls) if state.stepping == task => {
            state.stepping = 0;
            if polls == 0 {
                pause(&mut state, task, PauseCause::Step);
            }
            CHANGED.notify_all();
        }
        Mode::StepToTask(wanted) if wanted == task => pause(&mut state, task, PauseCause::Step),
        _ => {}
    }
}

/// Number of wakes that the gate has seen.
static WAKES: AtomicU64 = AtomicU64::new(1);

/// Returns the number of wakes that the gate has seen, from 1.
pub(crate) fn wakes() -> u64 {
    WAKES.load(Ordering::SeqCst)
}

/// Notes that a task was woken. Call it only if [`GATED`] is set.
#[cold]
pub(crate) fn on_wake(task: u64) {
    WAKES.fetch_add(1, Ordering::SeqCst);
    check_breakpoints(&mut lock(&STATE), (task, 0), |condition| condition == Condition::Wake);
}

/// Notes that a task has ended. Call it only if [`GATED`] is set.
#[cold]
pub(crate) fn on_end(task: u64) {
    check_breakpoints(&mut lock(&STATE), (task, 0), |condition| condition == Condition::End);
}

/// Pauses if a task hits a breakpoint with its poll of this length, if the length is known. Returns whether that happened.
fn check_breakpoints(state: &mut GateState, (task, poll_ns): (u64, u64), is_met: impl Fn(Condition) -> bool) -> bool {
    if state.mode == Mode::Closed || state.breakpoints.iter().all(|breakpoint| !is_met(breakpoint.condition)) {
        return false;
    }
    let name = live::task_name(task).unwrap_or_default();
    let id = task.to_string();
    let mut breakpoints = state.breakpoints.iter();
    let hit = breakpoints
        .find(|breakpoint| is_met(breakpoint.condition) && (breakpoint.matches(&name) || breakpoint.matches(&id)));
    let Some(text) = hit.map(|breakpoint| breakpoint.text.clone()) else { return false };
    state.hit = Some(text);
    state.poll_ns = poll_ns;
    pause(state, task, PauseCause::Breakpoint);
    true
}

/// Closes the gate. `task` is where the program pauses, or 0.
fn pause(state: &mut GateState, task: u64, cause: PauseCause) {
    state.mode = Mode::Closed;
    state.task = task;
    state.is_paused = false;
    let paused = Record::new(RecordKind::Paused, clock::ticks(), task);
    let _ = thread::with(|thread| thread.write([paused, Record::argument(cause as u64)]));
    collector::add_reply(reply(state));
}

/// Opens the gate as far as `mode` says.
fn resume(state: &mut GateState, mode: Mode) {
    let was_closed = state.mode != Mode::Open;
    state.continues = state.continues.saturating_add(1);
    (state.mode, state.stepping, state.task, state.hit, state.is_paused) = (mode, 0, 0, None, false);
    state.poll_ns = 0;
    if was_closed {
        events::write(RecordKind::Continued, 0);
        // The next pause may come before the command is answered.
        collector::add_reply(reply(state));
    }
    CHANGED.notify_all();
}

fn update_flag(state: &GateState) {
    set_flag(GATED, state.mode != Mode::Open || !state.breakpoints.is_empty());
}

fn reply(state: &GateState) -> Reply {
    Reply {
        may_control: true,
        is_pausing: state.mode == Mode::Closed,
        is_paused: state.is_paused,
        hit: state.hit.clone(),
        task: state.task,
        poll_ns: state.poll_ns,
        continues: state.continues,
        error: None,
    }
}

/// Returns the state of the gate.
pub(crate) fn status() -> Reply {
    reply(&lock(&STATE))
}

/// Stops every thread before its next poll.
pub(crate) fn close() {
    let mut state = lock(&STATE);
    set_flag(GATED, true);
    if state.mode != Mode::Closed {
        state.hit = None;
        pause(&mut state, 0, PauseCause::User);
    }
}

/// Lets all polls pass.
pub(crate) fn open() {
    let mut state = lock(&STATE);
    resume(&mut state, Mode::Open);
    update_flag(&state);
}

/// Lets this many polls pass, at least one, then closes.
pub(crate) fn step_polls(count: u32) {
    step(Mode::StepPolls(count.max(1)));
}

/// Lets all polls pass until a task was polled, then closes.
pub(crate) fn step_to_task(task: u64) {
    step(Mode::StepToTask(task));
}

fn step(mode: Mode) {
    let mut state = lock(&STATE);
    set_flag(GATED, true);
    resume(&mut state, mode);
}

/// Replaces the breakpoints.
pub(crate) fn set_breakpoints(breakpoints: Vec<Breakpoint>) {
    let mut state = lock(&STATE);
    state.breakpoints = breakpoints;
    update_flag(&state);
}

/// Opens the gate and removes the breakpoints, because loopscope is gone.
pub(crate) fn reset() {
    let mut state = lock(&STATE);
    state.breakpoints.clear();
    resume(&mut state, Mode::Open);
    state.continues = 1;
    update_flag(&state);
}

/// Finds out whether a pause is complete. The collector calls this once a round: a thread that passed the gate just
/// before it closed has noted its poll long before the round after.
pub(crate) fn check_pause(was_quiet: &mut bool) {
    if flags() & GATED == 0 {
        *was_quiet = false;
        return;
    }
    let mut state = lock(&STATE);
    let is_polling = |thread: &Weak<AtomicU64>| thread.upgrade().is_some_and(|task| task.load(Ordering::SeqCst) != 0);
    let is_quiet = state.mode == Mode::Closed && !lock(&POLLING_THREADS).iter().any(is_polling);
    let is_settled = is_quiet && std::mem::replace(was_quiet, is_quiet);
    *was_quiet = is_quiet;
    if is_settled && !state.is_paused {
        state.is_paused = true;
        collector::add_reply(reply(&state));
    }
}
