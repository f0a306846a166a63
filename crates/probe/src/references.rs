//! References to spans. Tasks and resources count them in the live table. Operations are referred to once in nearly all
//! cases, so only further references are counted.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::events::{kind_of, number_of, span_kind};
use crate::live::{self, IdHasher};

/// Number of parts with a lock each.
const SHARDS: usize = 64;

type Shard = HashMap<u64, u32, BuildHasherDefault<IdHasher>>;

/// Further references to spans of operations.
static FURTHER: LazyLock<[Mutex<Shard>; SHARDS]> = LazyLock::new(|| std::array::from_fn(|_| Mutex::default()));

fn shard(span: u64) -> MutexGuard<'static, Shard> {
    FURTHER[number_of(span) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether the live table counts references to a span.
pub(crate) fn is_listed(span: u64) -> bool {
    (span_kind::TASK..=span_kind::RESOURCE).contains(&kind_of(span))
}

/// Counts one more reference.
pub(crate) fn add(span: u64) {
    match kind_of(span) {
        span_kind::OPERATION => *shard(span).entry(span).or_insert(0) += 1,
        _ if is_listed(span) => live::add_reference(span),
        // Nothing depends on the end of other spans.
        _ => {}
    }
}

/// Counts one reference to an operation less. Returns whether it was the last one.
pub(crate) fn remove(span: u64) -> bool {
    if kind_of(span) != span_kind::OPERATION {
        return false;
    }
    let mut further = shard(span);
    let Some(count) = further.get_mut(&span) else { return true };
    *count -= 1;
    if *count == 0 {
        further.remove(&span);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reference_closes_an_operation() {
        let span = (1 << 60) | span_kind::OPERATION;
        add(span);
        add(span);
        assert_eq!([remove(span), remove(span), remove(span)], [false, false, true]);
    }
}
