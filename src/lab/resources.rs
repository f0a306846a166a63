//! Reports of shared resources by identity: who waits for which lock, who holds it, which notification was lost.
//!
//! None of this changes how a program runs. Without it the trace knows that two tasks wait on locks; with it, that each
//! waits for the other's.

use std::sync::Arc;

use super::instrumented_await::InstrumentedAwait;
use super::loop_handle::LoopHandle;
use super::loop_thread;
use crate::trace::{AwaitSite, Event, Location, Nanos, Resource, ResourceId, ResourceKind, TaskId, UnawaitedCoroutine};

impl LoopHandle {
    /// Registers a resource that tasks share and returns its id.
    pub fn register_resource(&self, resource: Resource) -> ResourceId {
        self.shared().probe.register_resource(self.now_ns(), resource)
    }

    /// Returns the actor with this name: a resource that does one thing at a time. Equal names give the same actor.
    pub fn actor(&self, name: &str) -> ResourceId {
        self.register_resource(Resource { kind: ResourceKind::Actor, name: name.into(), location: None, size: 1 })
    }

    /// Like [`LoopHandle::await_at`], for an await of a registered resource.
    pub fn await_resource<F: Future + Send>(
        &self,
        site: &AwaitSite,
        resource: ResourceId,
        future: F,
    ) -> InstrumentedAwait<F> {
        self.await_for(site, Some(resource), future)
    }

    /// Reports that the current task holds `resource` until the guard is dropped. Reports nothing outside a task.
    pub fn acquire(&self, resource: ResourceId) -> ResourceGuard {
        let task = loop_thread::current_task();
        if let Some(task) = task {
            self.shared().emit(|at| Event::ResourceAcquire { resource, task, at });
        }
        ResourceGuard { resource, task, loop_handle: self.clone() }
    }

    /// Reports that a notification through `resource` had no receiver and is not stored for later ones.
    pub fn notify_lost(&self, resource: ResourceId) {
        self.shared().emit(|at| Event::NotificationLost { resource, task: loop_thread::current_task(), at });
    }

    /// Returns the task that is being polled, if any.
    pub fn current_task(&self) -> Option<TaskId> {
        loop_thread::current_task()
    }

    /// Reports that the coroutine `name`, which `task` created at `made_at`, was never started before main ended.
    /// Reports nothing if `task` is another task that is still alive, because that could still start it.
    pub fn report_never_awaited(
        &self,
        task: Option<TaskId>,
        made_at: Nanos,
        name: Arc<str>,
        location: Option<Location>,
    ) {
        if task != loop_thread::current_task() && task.is_some_and(|task| self.shared().find_task(task).is_some()) {
            return;
        }
        let coroutine = Box::new(UnawaitedCoroutine { name, location });
        self.shared().emit(|_| Event::NeverAwaited { task, at: made_at, coroutine });
    }
}

/// Reports the release of a resource on drop, from any task. Created by [`LoopHandle::acquire`].
#[derive(Debug)]
pub struct ResourceGuard {
    resource: ResourceId,
    task: Option<TaskId>,
    loop_handle: LoopHandle,
}

impl Drop for ResourceGuard {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.loop_handle.shared().emit(|at| Event::ResourceRelease { resource: self.resource, task, at });
        }
    }
}
