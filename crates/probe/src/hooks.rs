//! Hooks of a runtime.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Builder;

use crate::events::is_recording;
use crate::record::RecordKind;
use crate::thread::{self, ThreadState};

/// Hooks were installed on a runtime.
static ARE_INSTALLED: AtomicBool = AtomicBool::new(false);

/// Returns whether hooks were installed on a runtime.
pub(crate) fn are_installed() -> bool {
    ARE_INSTALLED.load(Ordering::Relaxed)
}

/// Installs the probe's hooks on a runtime that is about to be built, and returns the builder.
///
/// They report polls, spawns, ends and parks where they happen, so that the end of a task is known exactly, and they
/// are where a pause takes effect. Without them, polls come from tokio's tracing spans, parks are unknown, and whether a
/// task completed or was cancelled is unknown.
///
/// tokio keeps one callback of each kind: a later call of `on_thread_park`, `on_thread_unpark`, `on_task_spawn`,
/// `on_before_task_poll`, `on_after_task_poll` or `on_task_terminate` replaces the probe's, and this call replaces an
/// earlier one.
///
/// Tasks of a `LocalSet` and futures of `block_on` have no hooks; their polls come from spans in any case. A task that
/// is aborted while it is polled is reported as completed: tokio makes no difference that a hook could see. Only
/// [`spawn`](crate::spawn) knows better.
///
/// Without `--cfg tokio_unstable`, only the hooks for parks exist.
///
/// ```
/// let _probe = loopscope_probe::init();
/// let mut builder = tokio::runtime::Builder::new_current_thread();
/// let runtime = loopscope_probe::runtime(&mut builder).enable_all().build()?;
/// assert_eq!(runtime.block_on(async { tokio::spawn(async { 42 }).await })?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn runtime(builder: &mut Builder) -> &mut Builder {
    ARE_INSTALLED.store(true, Ordering::Relaxed);
    builder.on_thread_park(|| record_park(RecordKind::Park)).on_thread_unpark(|| record_park(RecordKind::Unpark));
    #[cfg(tokio_unstable)]
    install_task_hooks(builder);
    builder
}

fn record_park(kind: RecordKind) {
    if is_recording() {
        let _ = thread::with(|thread| {
            note_worker(thread);
            thread.write([crate::record::Record::new(kind, crate::clock::ticks(), 0)]);
        });
    }
}

#[cfg(tokio_unstable)]
fn install_task_hooks(builder: &mut Builder) {
    use crate::tasks;
    use tokio::runtime::TaskMeta;

    let with = |then: &dyn Fn(&ThreadState)| {
        let _ = thread::with(then);
    };
    builder
        .on_task_spawn(move |meta: &TaskMeta<'_>| {
            with(&|thread| {
                tasks::hooked_spawn(thread, number(&meta.id()), || {
                    let location = meta.spawned_at();
                    crate::sites::site_id(&crate::sites::SiteKey {
                        kind: "task",
                        file: location.file(),
                        line: location.line(),
                        column: location.column(),
                        ..Default::default()
                    })
                });
            });
        })
        .on_before_task_poll(|meta: &TaskMeta<'_>| {
            let _ = thread::with(|thread| tasks::hooked_poll_start(thread, number(&meta.id())));
        })
        .on_after_task_poll(|meta: &TaskMeta<'_>| {
            let _ = thread::with(|thread| tasks::hooked_poll_end(thread, number(&meta.id())));
        })
        .on_task_terminate(move |meta: &TaskMeta<'_>| {
            with(&|thread| tasks::hooked_end(thread, number(&meta.id())));
        });
}

/// Notes which worker this thread is.
#[inline]
pub(crate) fn note_worker(thread: &ThreadState) {
    #[cfg(tokio_unstable)]
    {
        let worker = tokio::runtime::worker_index().map_or(0, |index| u32::try_from(index + 1).unwrap_or(0));
        thread.set_worker(worker, || {
            let runtime = tokio::runtime::Handle::try_current().map_or(0, |handle| number(&handle.id()));
            u32::try_from(runtime).unwrap_or(u32::MAX)
        });
    }
    #[cfg(not(tokio_unstable))]
    let _ = thread;
}

/// Returns the number of an id of tokio, which only its hash shows without formatting it.
#[inline]
pub(crate) fn number(id: &impl std::hash::Hash) -> u64 {
    struct NumberHasher(u64);

    impl std::hash::Hasher for NumberHasher {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            // Not reached: ids hash as one `u64`.
            let mut number = [0; 8];
            for (target, &byte) in number.iter_mut().zip(bytes) {
                *target = byte;
            }
            self.0 = u64::from_le_bytes(number);
        }

        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }

    let mut hasher = NumberHasher(0);
    id.hash(&mut hasher);
    hasher.0
}
