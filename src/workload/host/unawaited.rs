//! Coroutines that were made and have not begun: once main is over, the ones that were forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Host, locked};
use crate::trace::{Nanos, TaskId};

/// Coroutines that are remembered at a time. A script that makes more before it awaits the first has begun all of those
/// that are remembered long before it ends, or has forgotten enough to be told.
const REMEMBERED_MAX: usize = 10_000;

/// In the order in which they were made.
#[derive(Default)]
pub(super) struct Unawaited {
    made: u64,
    waiting: BTreeMap<u64, Made>,
}

struct Made {
    by: Option<TaskId>,
    at: Nanos,
    name: Arc<str>,
    line: Option<u32>,
}

impl Unawaited {
    pub fn begun(&mut self, number: u64) {
        self.waiting.remove(&number);
    }
}

/// Remembers a coroutine that was just made, and gives its number.
pub(super) fn made(host: &Host, name: &Arc<str>, line: Option<u32>) -> u64 {
    let mut unawaited = locked(&host.unawaited);
    unawaited.made += 1;
    let number = unawaited.made;
    if let Some(world) = host.world.get().filter(|_| unawaited.waiting.len() < REMEMBERED_MAX) {
        let made = Made { by: world.current_task(), at: world.now_ns(), name: Arc::clone(name), line };
        unawaited.waiting.insert(number, made);
    }
    number
}

/// Tells of each that is left. For when main is over.
pub(super) fn tell(host: &Host) {
    let left = std::mem::take(&mut locked(&host.unawaited).waiting);
    let Some(world) = host.world.get() else { return };
    for made in left.into_values() {
        world.never_awaited(made.by, made.at, made.name, made.line.map(|line| host.source.location(line)));
    }
}
