//! The names that tokio gives its resources and operations, and what they mean. Shared by all feeds from tokio programs.

use crate::trace::{AwaitKind, ResourceKind};

/// The kind by which tokio reports timers.
pub const TIMER_KIND: &str = "timer";

/// Maps tokio's type names to resource kinds.
pub fn resource_kind(concrete_type: &str, is_timer: bool) -> ResourceKind {
    match concrete_type {
        "Mutex" | "RwLock" => ResourceKind::Lock,
        "Semaphore" => ResourceKind::Semaphore,
        "Sender|Receiver" => ResourceKind::Channel,
        "Interval" => ResourceKind::Interval,
        _ if is_timer => ResourceKind::Timer,
        _ => ResourceKind::Other,
    }
}

/// Returns what awaiting a resource of this type counts as. `kind` is the kind that tokio states.
pub fn await_kind(concrete_type: &str, is_timer: bool, kind: Option<&str>) -> AwaitKind {
    match kind {
        _ if is_timer => AwaitKind::Timer,
        // tokio reports oneshot channels as synchronization.
        _ if concrete_type == "Sender|Receiver" => AwaitKind::Channel,
        Some(kind) => AwaitKind::from_name(&kind.to_ascii_lowercase()),
        None => AwaitKind::Other,
    }
}

/// Whether `file` is the one in which tokio's `Interval` creates the timer that it resets at each tick. The timers of user
/// code are located in its own files.
pub fn is_interval_file(file: &str) -> bool {
    let mut parts = file.rsplit(['/', '\\']);
    let is_interval_file = ["interval.rs", "time", "src"].into_iter().all(|part| parts.next() == Some(part));
    is_interval_file && parts.next().is_some_and(|package| package == "tokio" || package.starts_with("tokio-1"))
}
