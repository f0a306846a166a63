//! Turns spans and events of tokio into records. Spans have ids of the probe's own: the number of the task, resource or
//! operation, and its kind in the lowest bits.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tracing_core::{Event, Metadata, span};

use crate::clock;
use crate::gate;
use crate::live::{self, LiveEntry};
use crate::operations;
use crate::queues;
use crate::record::{Record, RecordKind};
use crate::sites;
use crate::slots::{self, SlotEntry, slot_flags};
use crate::tasks;
use crate::thread::{self, ThreadState};
use crate::vocabulary::{AttributeFields, CallsiteKind, SpanFields, WakerOp, WakerOpField, WakerSpan, is_ready};

/// What the process does for a peer or for the flight recorder.
static FLAGS: AtomicU32 = AtomicU32::new(0);

/// Events are recorded.
pub(crate) const RECORDING: u32 = 1;

/// Polls go through the gate.
pub(crate) const GATED: u32 = 2;

/// Tasks are held.
pub(crate) const HOLDING: u32 = 4;

/// Number of the recording.
static RECORDING_NUMBER: AtomicU32 = AtomicU32::new(0);

/// Returns the number of the recording, which is the last one if nothing is recorded.
pub(crate) fn recording() -> u32 {
    RECORDING_NUMBER.load(Ordering::Relaxed)
}

/// Begins a recording.
pub(crate) fn begin_recording() {
    RECORDING_NUMBER.fetch_add(1, Ordering::SeqCst);
    set_flag(RECORDING, true);
}

/// Returns the flags.
#[inline]
pub(crate) fn flags() -> u32 {
    FLAGS.load(Ordering::Relaxed)
}

/// Sets or clears flags.
pub(crate) fn set_flag(flag: u32, is_set: bool) {
    if is_set {
        FLAGS.fetch_or(flag, Ordering::SeqCst);
    } else {
        FLAGS.fetch_and(!flag, Ordering::SeqCst);
    }
}

/// Returns whether events are recorded.
#[inline]
pub(crate) fn is_recording() -> bool {
    flags() & RECORDING != 0
}

/// Kind of a span, in the lowest bits of its id.
pub(crate) mod span_kind {
    pub(crate) const BITS: u32 = 3;
    pub(crate) const TASK: u64 = 1;
    /// A future of `block_on`.
    pub(crate) const BLOCK_ON: u64 = 2;
    /// A closure of the blocking pool.
    pub(crate) const BLOCKING: u64 = 3;
    /// A worker of the runtime, which is a closure of the blocking pool too.
    pub(crate) const WORKER: u64 = 4;
    pub(crate) const RESOURCE: u64 = 5;
    pub(crate) const OPERATION: u64 = 6;
    pub(crate) const OPERATION_POLL: u64 = 7;
}

use span_kind::{BLOCK_ON, BLOCKING, OPERATION, OPERATION_POLL, RESOURCE, TASK, WORKER};

#[inline]
pub(crate) fn span_id(number: u64, kind: u64) -> u64 {
    number << span_kind::BITS | kind
}

#[inline]
pub(crate) fn kind_of(span: u64) -> u64 {
    span & ((1 << span_kind::BITS) - 1)
}

/// Returns the number of the task, or of the slot of the resource or operation.
#[inline]
pub(crate) fn number_of(span: u64) -> u64 {
    span >> span_kind::BITS
}

/// Returns the id of the span of a spawned task.
#[inline]
pub(crate) fn task_span(task: u64) -> u64 {
    span_id(task, TASK)
}

fn with_thread(then: impl FnOnce(&ThreadState)) {
    let _ = thread::with(then);
}

/// Returns whether a callsite should be observed now.
pub(crate) fn is_observed(metadata: &Metadata<'_>) -> bool {
    match CallsiteKind::of(metadata) {
        Some(CallsiteKind::Waker) => is_recording() && !is_ignored_waker(metadata),
        Some(kind) => kind.is_always_observed() || is_recording(),
        None => false,
    }
}

/// Returns the id of a span that is not observed.
fn unobserved_span() -> u64 {
    span_id(thread::next_id(), 0)
}

/// Notes a new span and returns its id. `parent` is the id of its explicit parent.
pub(crate) fn new_span(attributes: &span::Attributes<'_>, parent: Option<u64>) -> u64 {
    let Some(kind) = CallsiteKind::of_static(attributes.metadata()) else { return unobserved_span() };
    if kind == CallsiteKind::OperationPoll {
        let operation = parent.or_else(|| thread::with(|thread| thread.innermost(|span| kind_of(span) == OPERATION))?);
        return operation.map_or_else(unobserved_span, |span| span_id(number_of(span), OPERATION_POLL));
    }
    let add = |fields: &mut SpanFields| {
        fields.clear();
        attributes.record(fields);
        match kind {
            CallsiteKind::Task => new_task(fields),
            CallsiteKind::Resource => new_resource(fields),
            _ => new_operation(fields, parent),
        }
    };
    let added = FIELDS.try_with(|fields| fields.try_borrow_mut().ok().map(|mut fields| add(&mut fields)));
    // A value of a field creates a span itself while it is formatted, or the thread ends.
    added.ok().flatten().unwrap_or_else(|| add(&mut SpanFields::default()))
}

thread_local! {
    static FIELDS: RefCell<SpanFields> = RefCell::new(SpanFields::default());
}

fn new_task(fields: &SpanFields) -> u64 {
    let mut site = fields.site();
    let kind = match site.kind {
        "block_on" => BLOCK_ON,
        // tokio's own workers are closures of the blocking pool.
        "blocking" if site.name.contains("tokio::runtime::scheduler::multi_thread::worker") => {
            site.kind = "worker";
            WORKER
        }
        "blocking" => BLOCKING,
        _ => TASK,
    };
    let (task, ticks) = (fields.task_id, clock::ticks());
    let (span, site) = (span_id(task, kind), sites::site_id(&site));
    let name = fields.task_name.as_str();
    let name = (!name.is_empty()).then(|| Box::from(name));
    if is_recording() {
        if let Some(name) = &name {
            crate::collector::add_task_name(task, name);
        }
        with_thread(|thread| thread.write([Record::new(RecordKind::Spawn, ticks, task), Record::argument(site)]));
    }
    live::insert(span, LiveEntry { references: 1, ticks, site, name, has_hooks: false, has_span: true });
    if kind == WORKER {
        queues::keep_for_worker(span);
    }
    span
}

/// Returns the span of the innermost resource that the thread has entered.
fn entered_resource() -> Option<u64> {
    thread::with(|thread| thread.innermost(|span| kind_of(span) == RESOURCE)).flatten()
}

fn new_resource(fields: &SpanFields) -> u64 {
    let (id, ticks) = (thread::next_id(), clock::ticks());
    let site = fields.site();
    let parent = entered_resource();
    let mut flags = slot_flags::RESOURCE;
    if fields.inherits {
        flags |= slot_flags::INHERITS;
    }
    if site.is_internal && parent.is_some_and(|span| slots::flags(number_of(span)) & slot_flags::INHERITS == 0) {
        flags |= slot_flags::REDUNDANT;
    }
    let (site, parent) = (sites::site_id(&site), parent.map_or(0, |span| slots::id(number_of(span))));
    let slot = slots::insert(SlotEntry { id, ticks, site, parent, flags });
    if is_recording() {
        let record = Record::new(RecordKind::ResourceCreated, ticks, id);
        with_thread(|thread| thread.write([record, Record::argument(site), Record::argument(parent)]));
    }
    slot.map_or_else(unobserved_span, |slot| span_id(slot, RESOURCE))
}

fn new_operation(fields: &SpanFields, parent: Option<u64>) -> u64 {
    let resource = parent.filter(|&span| kind_of(span) == RESOURCE).or_else(entered_resource).map(number_of);
    if !is_recording() || resource.is_some_and(is_redundant) {
        return unobserved_span();
    }
    let (site, resource) = (sites::site_id(&fields.site()), resource.map_or(0, slots::id));
    // It is reported at its first poll.
    let slot = slots::insert(SlotEntry { id: thread::next_id(), ticks: 0, site, parent: resource, flags: 0 });
    slot.map_or_else(unobserved_span, |slot| span_id(slot, OPERATION))
}

/// Returns whether the operations and attributes of a resource are those of the resource that contains it, such as
/// those of the semaphore in a mutex.
fn is_redundant(slot: u64) -> bool {
    slots::flags(slot) & slot_flags::REDUNDANT != 0
}

/// Writes a record of this thread without arguments.
#[inline]
pub(crate) fn write(kind: RecordKind, subject: u64) {
    let _ = thread::with(|thread| thread.write([Record::new(kind, clock::ticks(), subject)]));
}

/// Notes that the thread entered a span.
#[inline]
pub(crate) fn enter(span: u64) {
    match kind_of(span) {
        TASK => with_thread(|thread| tasks::enter(thread, span)),
        BLOCK_ON => with_thread(|thread| {
            queues::keep_for_block_on(thread, span);
            tasks::enter(thread, span);
        }),
        BLOCKING => with_thread(|thread| tasks::enter_blocking(thread, span)),
        RESOURCE | OPERATION => with_thread(|thread| thread.enter(span, 0)),
        OPERATION_POLL => with_thread(|thread| {
            thread.enter(span, if is_recording() { clock::ticks() } else { 0 });
        }),
        _ => {}
    }
}

/// Notes that the thread exited a span.
#[inline]
pub(crate) fn exit(span: u64) {
    match kind_of(span) {
        TASK | BLOCK_ON => with_thread(|thread| tasks::exit(thread, span)),
        BLOCKING => with_thread(|thread| tasks::exit_blocking(thread, span)),
        RESOURCE | OPERATION => with_thread(|thread| {
            thread.exit(span);
        }),
        OPERATION_POLL => with_thread(|thread| {
            if let Some(entered) = thread.exit(span).filter(|entered| entered.start_ticks > 0 && is_recording()) {
                // Without an event, the poll returned an error, such as that of a closed semaphore.
                let is_ready = entered.is_ready.unwrap_or_else(|| !std::thread::panicking());
                operations::write_poll_of_slot(thread, number_of(span), entered.start_ticks, is_ready);
            }
        }),
        WORKER => queues::release(span),
        _ => {}
    }
}

/// Notes that nothing refers to a span any more. `entry` is what the live table held about a task.
pub(crate) fn close(span: u64, entry: Option<&LiveEntry>) {
    let slot = number_of(span);
    match kind_of(span) {
        TASK..=WORKER => {
            with_thread(|thread| tasks::close(thread, span, entry.is_some_and(|entry| entry.has_hooks)));
            // The records of the last exit and of the close stay together.
            if matches!(kind_of(span), BLOCK_ON | WORKER) {
                queues::release(span);
            }
            return;
        }
        RESOURCE if is_recording() => write(RecordKind::ResourceDropped, slots::id(slot)),
        OPERATION if is_recording() => {
            let (reported, ended) = (slot_flags::REPORTED, slot_flags::ENDED);
            if slots::flags(slot) & (reported | ended) == reported {
                write(RecordKind::OperationDropped, slots::id(slot));
            }
        }
        RESOURCE | OPERATION => {}
        _ => return,
    }
    slots::free(slot);
}

/// Callsites of waker events by what they report, learned from the first event of each.
static WAKE_CALLSITES: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static IGNORED_CALLSITES: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

fn address(metadata: &Metadata<'_>) -> usize {
    std::ptr::from_ref(metadata).addr()
}

fn is_ignored_waker(metadata: &Metadata<'_>) -> bool {
    IGNORED_CALLSITES.iter().any(|callsite| callsite.load(Ordering::Relaxed) == address(metadata))
}

/// Notes an event. `to_span` returns the id of a span that the event names.
#[inline]
pub(crate) fn event(event: &Event<'_>, to_span: impl Fn(u64) -> Option<u64>) {
    let metadata = event.metadata();
    let address = address(metadata);
    let is_wake = WAKE_CALLSITES.iter().any(|callsite| callsite.load(Ordering::Relaxed) == address);
    if is_wake {
        return record_wake(event, to_span);
    }
    other_event(event, to_span);
}

#[inline]
fn record_wake(event: &Event<'_>, to_span: impl Fn(u64) -> Option<u64>) {
    let mut span = WakerSpan::default();
    event.record(&mut span);
    if let Some(span) = to_span(span.0).filter(|_| is_recording()) {
        write(RecordKind::Wake, number_of(span));
        if flags() & GATED != 0 {
            gate::on_wake(number_of(span));
        }
    }
}

fn other_event(event: &Event<'_>, to_span: impl Fn(u64) -> Option<u64>) {
    match CallsiteKind::of_static(event.metadata()) {
        Some(CallsiteKind::Waker) => {
            let mut op = WakerOpField::default();
            event.record(&mut op);
            let is_wake = op.0 == Some(WakerOp::Wake);
            let callsites = if is_wake { &WAKE_CALLSITES } else { &IGNORED_CALLSITES };
            learn(callsites, address(event.metadata()));
            if is_wake {
                record_wake(event, to_span);
            }
        }
        Some(CallsiteKind::PollOp) => {
            if let Some(is_ready) = is_ready(event) {
                with_thread(|thread| thread.set_ready(is_ready, |span| kind_of(span) == OPERATION_POLL));
            }
        }
        Some(CallsiteKind::ResourceUpdate) if is_recording() => {
            let Some(slot) = entered_resource().map(number_of).filter(|&slot| !is_redundant(slot)) else { return };
            let fields = AttributeFields::of(event);
            if let Some(value) = fields.value {
                let name = sites::attribute_id(fields.name.as_str());
                let record = Record::new(RecordKind::ResourceAttribute, clock::ticks(), slots::id(slot));
                with_thread(|thread| thread.write([record, Record::argument(name), Record::argument(value)]));
            }
        }
        _ => {}
    }
}

/// Remembers a callsite in the first free place.
#[cold]
fn learn(callsites: &[AtomicUsize; 2], address: usize) {
    for callsite in callsites {
        let old = callsite.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed);
        if old.is_ok() || old == Err(address) {
            crate::collector::rebuild_soon();
            return;
        }
    }
}
