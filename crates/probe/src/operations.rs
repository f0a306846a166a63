//! Polls of operations. An operation is reported when its first poll returns, with all records at once: most are ready
//! then, and one event costs less than four. Records of a thread are in the order of their times, so the poll seems to
//! begin after whatever was recorded during it.

use crate::clock;
use crate::record::{Record, RecordKind};
use crate::slots::{self, slot_flags};
use crate::thread::ThreadState;

/// What is reported about an operation at its first poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewOperation {
    pub(crate) id: u64,
    pub(crate) site: u64,
    /// Its resource, or 0.
    pub(crate) resource: u64,
}

/// Reports an operation whose first poll began at `start_ticks` and ends now. One that is ready is dropped as well.
pub(crate) fn write_first_poll(thread: &ThreadState, operation: NewOperation, start_ticks: u64, is_ready: bool) {
    let NewOperation { id, site, resource } = operation;
    let (start_ticks, end_ticks) = (start_ticks.max(thread.last_ticks.get()), clock::ticks());
    let created = Record::new(RecordKind::OperationCreated, start_ticks, id);
    let (site, resource) = (Record::argument(site), Record::argument(resource));
    let polled = Record::new(RecordKind::OperationPolled, start_ticks, id);
    if is_ready {
        let ready = Record::new(RecordKind::OperationReady, end_ticks, id);
        let dropped = Record::new(RecordKind::OperationDropped, end_ticks, id);
        thread.write([created, site, resource, polled, ready, dropped]);
    } else {
        let pending = Record::new(RecordKind::OperationPending, end_ticks, id);
        thread.write([created, site, resource, polled, pending]);
    }
    thread.last_ticks.set(end_ticks);
}

/// Reports a later poll that began at `start_ticks` and ends now. An operation that is ready is dropped as well.
pub(crate) fn write_poll(thread: &ThreadState, id: u64, start_ticks: u64, is_ready: bool) {
    let (start_ticks, end_ticks) = (start_ticks.max(thread.last_ticks.get()), clock::ticks());
    let polled = Record::new(RecordKind::OperationPolled, start_ticks, id);
    if is_ready {
        let ready = Record::new(RecordKind::OperationReady, end_ticks, id);
        thread.write([polled, ready, Record::new(RecordKind::OperationDropped, end_ticks, id)]);
    } else {
        thread.write([polled, Record::new(RecordKind::OperationPending, end_ticks, id)]);
    }
    thread.last_ticks.set(end_ticks);
}

/// Reports the poll of the operation in a slot.
pub(crate) fn write_poll_of_slot(thread: &ThreadState, slot: u64, start_ticks: u64, is_ready: bool) {
    let Some(entry) = slots::get(slot) else { return };
    if entry.flags & slot_flags::ENDED != 0 {
        return;
    }
    if entry.flags & slot_flags::REPORTED == 0 {
        let operation = NewOperation { id: entry.id, site: entry.site, resource: entry.parent };
        write_first_poll(thread, operation, start_ticks, is_ready);
    } else {
        write_poll(thread, entry.id, start_ticks, is_ready);
    }
    slots::add_flags(slot, if is_ready { slot_flags::ENDED } else { slot_flags::REPORTED });
}
