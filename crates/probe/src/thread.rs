//! State of a thread: its ring, what it polls, and which spans it has entered.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::collector;
use crate::record::Record;
use crate::ring::{self, Writer};

/// Ids of resources and operations that a thread takes at a time.
const ID_BLOCK: u64 = 1 << 10;

/// Spans that a thread can have entered. Those inside further ones are not tracked.
const ENTERED_MAX: usize = 1 << 10;

static NEXT_THREAD: AtomicU32 = AtomicU32::new(1);
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A span of a resource or an operation that the thread has entered.
#[derive(Clone, Copy)]
pub(crate) struct Entered {
    /// Id of the span.
    pub(crate) span: u64,
    /// Time in ticks, for a poll of an operation.
    pub(crate) start_ticks: u64,
    /// What the last `poll_op` event said, for a poll of an operation.
    pub(crate) is_ready: Option<bool>,
}

/// A poll that a hook reported. Each part has a cell of its own, so that no load waits for several smaller stores.
pub(crate) struct HookedPoll {
    /// The task, or 0.
    pub(crate) task: Cell<u64>,
    /// How often its span was entered since, up to [`poll_state::ENTERS`], and what else has happened.
    pub(crate) state: Cell<u32>,
    /// Time of its start in ticks; only while polls go through the gate.
    pub(crate) start_ticks: Cell<u64>,
    /// Time at which its span was exited last, in ticks; 0 if it was not, or is not recorded. Another worker may poll the
    /// task between that and the hook.
    pub(crate) exit_ticks: Cell<u64>,
}

/// What has happened during a poll.
pub(crate) mod poll_state {
    /// Mask of the number of times that the span was entered.
    pub(crate) const ENTERS: u32 = 3;
    /// The span was exited by a panic.
    pub(crate) const PANICKED: u32 = 4;
    /// The span was closed, because the future was dropped.
    pub(crate) const CLOSED: u32 = 8;
    /// The task has ended.
    pub(crate) const ENDED: u32 = 16;
    /// The task is held, so that its future was not polled.
    pub(crate) const SUSPENDED: u32 = 32;
    /// The poll is inside another one that a hook reported.
    pub(crate) const NESTED: u32 = 64;
    /// The poll is inside any other one.
    pub(crate) const INSIDE: u32 = 128;
    /// The future was dropped before it had completed.
    pub(crate) const DROPPED: u32 = 256;
}

impl HookedPoll {
    const fn new() -> Self {
        Self { task: Cell::new(0), state: Cell::new(0), start_ticks: Cell::new(0), exit_ticks: Cell::new(0) }
    }

    /// Notes that something has happened during the poll.
    pub(crate) fn add(&self, state: u32) {
        self.state.set(self.state.get() | state);
    }

    /// Returns task, state and time of the start.
    pub(crate) fn get(&self) -> (u64, u32, u64) {
        (self.task.get(), self.state.get(), self.start_ticks.get())
    }

    /// Replaces task, state and time of the start.
    pub(crate) fn set(&self, (task, state, start_ticks): (u64, u32, u64)) {
        self.task.set(task);
        self.state.set(state);
        self.start_ticks.set(start_ticks);
        self.exit_ticks.set(0);
    }
}

/// A closure of the blocking pool.
#[derive(Clone, Copy)]
pub(crate) struct BlockingRun {
    /// Its span, or 0.
    pub(crate) span: u64,
    /// How often it was entered.
    pub(crate) enters: u32,
    /// It was exited by a panic.
    pub(crate) has_panicked: bool,
}

impl BlockingRun {
    pub(crate) const NONE: Self = Self { span: 0, enters: 0, has_panicked: false };
}

/// State of a thread.
pub(crate) struct ThreadState {
    writer: RefCell<Option<Writer>>,
    /// Time of the last record in ticks.
    pub(crate) last_ticks: Cell<u64>,
    /// The next id of this thread's block, and the end of the block.
    ids: Cell<(u64, u64)>,
    /// Worker and runtime of the thread, as far as it is known: index + 1, or 0.
    worker: Cell<(u32, u32)>,
    /// The poll that a hook reported.
    pub(crate) hooked: HookedPoll,
    /// Polls of other runtimes around that one.
    pub(crate) outer_polls: RefCell<Vec<(u64, u32, u64)>>,
    /// Tasks whose polls are around the one under way.
    outer_tasks: RefCell<Vec<u64>>,
    /// The recording in which a poll began last, of a runtime without hooks.
    pub(crate) recording: Cell<u32>,
    /// The thread was unwinding already when it entered the span of a task.
    pub(crate) was_panicking: Cell<bool>,
    /// The task that panicked outside of such a poll, while its future was dropped; or 0.
    pub(crate) panicked_task: Cell<u64>,
    /// The task whose poll did not run its future because it is held, of a runtime without hooks; or 0.
    pub(crate) suppressed_task: Cell<u64>,
    /// The task whose future was dropped outside of such a poll and whose end a hook will report; or 0.
    pub(crate) closed_task: Cell<u64>,
    /// The closure of the blocking pool that ran last.
    pub(crate) blocking: Cell<BlockingRun>,
    /// The span of the `block_on` that was entered last, or 0.
    pub(crate) block_on: Cell<u64>,
    entered: RefCell<Vec<Entered>>,
    /// What the thread polls, for the gate.
    polling: OnceCell<Arc<AtomicU64>>,
    /// Time in ticks at which the span of a task was entered last; only while polls go through the gate.
    pub(crate) start_ticks: Cell<u64>,
    /// The span of a task that was exited last, and how many wakes the gate had seen by then; or 0.
    pub(crate) last_exit: Cell<(u64, u64)>,
}

thread_local! {
    static THREAD: ThreadState = const {
        ThreadState {
            writer: RefCell::new(None),
            last_ticks: Cell::new(0),
            ids: Cell::new((0, 0)),
            worker: Cell::new((0, 0)),
            hooked: HookedPoll::new(),
            outer_polls: RefCell::new(Vec::new()),
            outer_tasks: RefCell::new(Vec::new()),
            recording: Cell::new(0),
            was_panicking: Cell::new(false),
            panicked_task: Cell::new(0),
            suppressed_task: Cell::new(0),
            closed_task: Cell::new(0),
            blocking: Cell::new(BlockingRun::NONE),
            block_on: Cell::new(0),
            entered: RefCell::new(Vec::new()),
            polling: OnceCell::new(),
            start_ticks: Cell::new(0),
            last_exit: Cell::new((0, 0)),
        }
    };
}

/// Calls `with` with the state of this thread. Returns `None` while the thread ends.
#[inline]
pub(crate) fn with<R>(with: impl FnOnce(&ThreadState) -> R) -> Option<R> {
    THREAD.try_with(with).ok()
}

/// Returns a new id for a resource or operation.
pub(crate) fn next_id() -> u64 {
    let id = with(|thread| {
        let (mut next, mut end) = thread.ids.get();
        if next == end {
            next = NEXT_ID.fetch_add(ID_BLOCK, Ordering::Relaxed);
            end = next + ID_BLOCK;
        }
        thread.ids.set((next + 1, end));
        next
    });
    id.unwrap_or_else(|| NEXT_ID.fetch_add(1, Ordering::Relaxed))
}

impl ThreadState {
    /// Writes the records of one event. It is inlined, so that they stay in registers: the processor waits when it loads
    /// 16 bytes that were just stored as twice eight.
    #[inline(always)]
    pub(crate) fn write<const N: usize>(&self, records: [Record; N]) {
        self.last_ticks.set(records.first().map_or(0, |record| record.ticks()));
        if let Ok(mut writer) = self.writer.try_borrow_mut()
            && let Some(writer) = writer.as_mut()
            && writer.has_room(N)
        {
            if writer.push(records) {
                collector::wake();
            }
            return;
        }
        self.write_slowly(&records);
    }

    /// Writes the first records of the thread, or those for which its ring has no room.
    #[cold]
    fn write_slowly(&self, records: &[Record]) {
        if self.writer.try_borrow().is_ok_and(|writer| writer.is_none()) {
            // The first record may be a wake by the driver, before the thread polls or parks.
            crate::hooks::note_worker(self);
        }
        let Ok(mut writer) = self.writer.try_borrow_mut() else { return };
        if writer.get_or_insert_with(|| self.new_writer()).write(records) {
            collector::wake();
        }
    }

    #[cold]
    fn new_writer(&self) -> Writer {
        let (writer, reader) = ring::thread_ring();
        let (worker, runtime) = self.worker.get();
        let id = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let (worker, system_id) = (worker.checked_sub(1), system_id().unwrap_or(0));
        let thread = crate::protocol::Thread { id, name, worker, runtime, system_id };
        collector::add_thread(thread, reader);
        writer
    }

    /// Notes which worker of which runtime this thread is: index + 1, or 0. A thread that becomes another worker
    /// continues under a new id.
    #[inline]
    pub(crate) fn set_worker(&self, worker: u32, runtime: impl FnOnce() -> u32) {
        if self.worker.get().0 != worker {
            self.change_worker(worker, runtime());
        }
    }

    /// Notes that this thread is no worker any more, although tokio still says so until the poll under way has ended.
    #[cold]
    pub(crate) fn leave_worker(&self) {
        self.set_worker(0, || 0);
    }

    #[cold]
    fn change_worker(&self, worker: u32, runtime: u32) {
        self.worker.set((worker, runtime));
        if let Ok(mut writer) = self.writer.try_borrow_mut() {
            *writer = None;
        }
    }

    /// Notes which task the thread polls, or 0.
    #[inline]
    pub(crate) fn set_polling(&self, task: u64) {
        self.polling.get_or_init(crate::gate::add_thread).store(task, Ordering::Relaxed);
    }

    /// Notes that a poll begins, which may be inside the poll under way. Returns whether it is.
    #[inline]
    pub(crate) fn begin_inner_poll(&self) -> bool {
        let outer = self.polling();
        outer != 0 && self.push_outer(outer)
    }

    #[cold]
    fn push_outer(&self, outer: u64) -> bool {
        let Ok(mut outer_tasks) = self.outer_tasks.try_borrow_mut() else { return false };
        // Without hooks, the end of a poll is not noted once recording has stopped.
        let is_current = self.hooked.task.get() == outer || self.recording.get() == crate::events::recording();
        if !is_current {
            outer_tasks.clear();
            return false;
        }
        outer_tasks.push(outer);
        true
    }

    /// Notes that a poll has ended, after [`begin_inner_poll`](Self::begin_inner_poll). The poll around it goes on.
    pub(crate) fn end_inner_poll(&self) {
        let outer = self.outer_tasks.try_borrow_mut().ok().and_then(|mut outer_tasks| outer_tasks.pop());
        self.set_polling(outer.unwrap_or(0));
    }

    /// Returns which task the thread polls, or 0.
    pub(crate) fn polling(&self) -> u64 {
        self.polling.get().map_or(0, |polling| polling.load(Ordering::Relaxed))
    }

    /// Notes that the thread has entered the span of a resource or operation.
    pub(crate) fn enter(&self, span: u64, start_ticks: u64) {
        if let Ok(mut entered) = self.entered.try_borrow_mut()
            && entered.len() < ENTERED_MAX
        {
            entered.push(Entered { span, start_ticks, is_ready: None });
        }
    }

    /// Notes that the thread has exited a span, and returns what is known about it.
    pub(crate) fn exit(&self, span: u64) -> Option<Entered> {
        let mut entered = self.entered.try_borrow_mut().ok()?;
        let index = entered.iter().rposition(|entered| entered.span == span)?;
        Some(entered.remove(index))
    }

    /// Returns the innermost entered span for which `is_wanted` holds.
    pub(crate) fn innermost(&self, is_wanted: impl Fn(u64) -> bool) -> Option<u64> {
        let entered = self.entered.try_borrow().ok()?;
        entered.iter().rev().map(|entered| entered.span).find(|&span| is_wanted(span))
    }

    /// Notes whether the innermost operation that is polled was ready.
    pub(crate) fn set_ready(&self, is_ready: bool, is_poll: impl Fn(u64) -> bool) {
        if let Ok(mut entered) = self.entered.try_borrow_mut()
            && let Some(entered) = entered.iter_mut().rev().find(|entered| is_poll(entered.span))
        {
            entered.is_ready = Some(is_ready);
        }
    }
}

/// Returns the id of this thread in the system, if the system names it.
fn system_id() -> Option<u32> {
    std::fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}
