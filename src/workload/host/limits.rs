//! Limits of the resources that a script may use.

use std::time::Duration;

/// Maximum CPU time of a script in one poll: 10 s. It excludes pauses, blocking calls and time in which other threads
/// had the processor.
pub(super) const POLL_CPU_MAX: Duration = Duration::from_secs(10);

/// Maximum CPU time of a script's top level, which only builds a table: 2 s.
pub(super) const LOADING_CPU_MAX: Duration = Duration::from_secs(2);

/// Maximum CPU time of a script's top level in a listing of many scripts: 200 ms.
pub(super) const LISTING_CPU_MAX: Duration = Duration::from_millis(200);

/// Maximum memory of a script: 256 MiB.
pub(super) const MEMORY_BYTES_MAX: usize = 256 << 20;

/// Maximum number of live tasks. The memory limit of a script is usually reached first.
pub(super) const TASKS_MAX: u32 = 1_000_000;
