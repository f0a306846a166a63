//! What tasks share, told to the trace by identity: who waits for which lock, who holds it, which signal nobody heard.
//!
//! None of it changes how a program runs. Without it a trace knows that two tasks wait on locks; with it, that each
//! waits for the other's.

use std::sync::Arc;

use super::awaiting::Awaiting;
use super::world::World;
use crate::trace::{Event, Location, Nanos, Resource, ResourceId, ResourceKind, Site, TaskId, Unawaited};

impl World {
    /// Tells of a thing that tasks share, and gives the id by which it is known from now on.
    pub fn resource(&self, resource: Resource) -> ResourceId {
        self.shared().probe.resource(self.now_ns(), resource)
    }

    /// The actor of this name: somebody who can do one thing at a time. The same name is the same actor.
    pub fn actor(&self, name: &str) -> ResourceId {
        self.resource(Resource { kind: ResourceKind::Actor, name: name.into(), location: None, size: 1 })
    }

    /// [`World::await_at`], for something that is known by identity.
    pub fn await_of<F: Future + Send>(&self, site: &Site, resource: ResourceId, future: F) -> Awaiting<F> {
        self.await_for(site, Some(resource), future)
    }

    /// From now until what is returned is dropped, the task that is being polled holds `resource`. Outside of any task
    /// nothing is told.
    pub fn take(&self, resource: ResourceId) -> Taken {
        let task = Self::current();
        if let Some(task) = task {
            self.tell(|at| Event::Acquire { resource, task, at });
        }
        Taken { resource, task, world: self.clone() }
    }

    /// A signal was given through `resource`, reached nobody, and is not kept for whoever comes later.
    pub fn unheard(&self, resource: ResourceId) {
        self.tell(|at| Event::Unheard { resource, task: Self::current(), at });
    }

    /// The task that is being polled, to be named later on.
    pub fn current_task(&self) -> Option<TaskId> {
        Self::current()
    }

    /// The program's main is over, and a coroutine of `name` that `task` made at `made_at` has not begun. Nothing is told
    /// where `task` is another one that is still alive: it may have been about to.
    pub fn never_awaited(&self, task: Option<TaskId>, made_at: Nanos, name: Arc<str>, location: Option<Location>) {
        if task != Self::current() && task.is_some_and(|task| self.find(task).is_some()) {
            return;
        }
        let coroutine = Box::new(Unawaited { name, location });
        self.tell(|_| Event::NeverAwaited { task, at: made_at, coroutine });
    }
}

/// A resource that a task holds until this is dropped, by whomever. See [`World::take`].
#[derive(Debug)]
pub struct Taken {
    resource: ResourceId,
    task: Option<TaskId>,
    world: World,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.world.tell(|at| Event::GiveBack { resource: self.resource, task, at });
        }
    }
}
