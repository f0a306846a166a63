//! What the program says about itself.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::protocol::{Facts, Hello, VERSION};
use crate::{clock, hooks, live};

/// A subscriber of the probe observes the spans of tokio.
static IS_SUBSCRIBED: AtomicBool = AtomicBool::new(false);

/// The user permits control without a secret.
static ALLOWS_CONTROL: AtomicBool = AtomicBool::new(false);

/// Notes that a subscriber of the probe observes the spans of tokio.
pub(crate) fn set_subscribed() {
    IS_SUBSCRIBED.store(true, Ordering::SeqCst);
}

/// Returns whether a subscriber of the probe observes the spans of tokio.
pub(crate) fn is_subscribed() -> bool {
    IS_SUBSCRIBED.load(Ordering::SeqCst)
}

/// Notes that the user permits control without a secret.
pub(crate) fn allow_control() {
    ALLOWS_CONTROL.store(true, Ordering::SeqCst);
}

/// Returns whether the user permits control without a secret.
pub(crate) fn allows_control() -> bool {
    ALLOWS_CONTROL.load(Ordering::SeqCst)
}

/// Returns what can be recorded.
pub(crate) fn facts() -> Facts {
    let has_spans = cfg!(tokio_unstable) && is_subscribed();
    let hooks = cfg!(tokio_unstable) && hooks::are_installed();
    Facts { polls: has_spans || hooks, wakes: has_spans, resources: has_spans, hooks }
}

/// Describes the program.
pub(crate) fn hello() -> Hello {
    let (base_unix_ns, base_monotonic_ns) = clock::base();
    let program = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Hello {
        protocol: VERSION,
        pid: std::process::id(),
        name,
        runtime: "tokio".to_owned(),
        runtime_version: String::new(),
        is_clock_virtual: false,
        probe: env!("CARGO_PKG_VERSION").to_owned(),
        // The probe is initialized first in `main`.
        started_unix_ns: base_unix_ns,
        base_unix_ns,
        base_monotonic_ns,
        ticks_per_second: clock::ticks_per_second(),
        boot_id: boot_id.trim().to_owned(),
        tasks: live::task_count(),
        facts: facts(),
        allows_control: allows_control(),
    }
}
