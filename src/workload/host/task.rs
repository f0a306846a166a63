//! Tasks: coroutines that the loop runs side by side.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use mlua::{AnyUserData, Error, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::task::AbortHandle;

use super::coroutine::{Definition, coroutine_of, not_a_coroutine};
use super::holdings::Owner;
use super::{Host, locked};
use crate::lab::{TaskSpec, panic_message};
use crate::workload::fault::{Fault, Weight};

/// Tasks alive at once. A script's memory limit is usually reached before.
pub const TASKS_MAX: u32 = 1_000_000;

/// A task as the script holds it. Letting go of it does not stop it.
#[derive(Clone)]
pub(super) struct Task {
    pub name: Arc<str>,
    abort: AbortHandle,
    slot: Arc<Slot>,
}

/// How a task came out, kept for everybody who awaits it.
#[derive(Clone)]
enum Ended {
    Done(MultiValue),
    Failed(Fault),
    Cancelled,
    Panicked(String),
}

/// Where a task leaves how it came out. The task itself wakes whoever waits, once, so that the trace shows who ended
/// whose wait.
#[derive(Default)]
struct Slot {
    /// The how-manieth task of the run it was, and how it ended.
    ended: OnceLock<(u64, Ended)>,
    waiting: Mutex<Vec<Waker>>,
}

impl Slot {
    fn leave(&self, host: &Host, ended: Ended) {
        let _ = self.ended.set((host.tasks_ended.fetch_add(1, Ordering::Relaxed), ended));
        let waiting = std::mem::take(&mut *locked(&self.waiting));
        waiting.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<&(u64, Ended)> {
        if let Some(ended) = self.ended.get() {
            return Poll::Ready(ended);
        }
        let mut waiting = locked(&self.waiting);
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// Leaves that the task was cancelled, unless something else was left before.
struct Leaving(Arc<Slot>, Arc<Host>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if self.0.ended.get().is_none() {
            self.0.leave(&self.1, Ended::Cancelled);
        }
    }
}

impl Task {
    /// What it returned, or its error raised again in whoever awaits it.
    pub fn result(&self, line: Option<u32>) -> impl Future<Output = mlua::Result<MultiValue>> + Send + 'static {
        let (slot, name) = (Arc::clone(&self.slot), Arc::clone(&self.name));
        async move {
            let ill =
                |how: String| Error::external(Fault::new(format!("the task {name} {how}")).line(line).token("await"));
            match poll_fn(|context| slot.poll(context).map(|(_, ended)| ended.clone())).await {
                Ended::Done(values) => Ok(values),
                Ended::Failed(fault) => Err(Error::external(fault)),
                Ended::Cancelled => Err(ill("was cancelled".to_owned())),
                Ended::Panicked(message) => Err(ill(format!("panicked: {message}"))),
            }
        }
    }

    /// Ready once it has ended, with its place in the order in which tasks did.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<u64> {
        self.slot.poll(context).map(|(order, _)| *order)
    }

    /// Whether it ended by an error of its own. One that was cancelled did not.
    pub fn has_failed(&self) -> bool {
        matches!(self.slot.ended.get(), Some((_, Ended::Failed(_) | Ended::Panicked(_))))
    }

    pub fn cancel(&self) {
        self.abort.abort();
    }
}

impl UserData for Task {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("cancel", |_, this, ()| {
            this.cancel();
            Ok(())
        });
        methods.add_method("done", |_, this, ()| Ok(this.abort.is_finished()));
        methods.add_method("name", |_, this, ()| Ok(this.name.to_string()));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("task {}", this.name)));
    }
}

/// `create_task(coroutine, {name = …})`, and the same for each coroutine of `gather`, said by `by`.
pub(super) fn create(lua: &Lua, host: &Arc<Host>, value: &Value, name: Option<String>, by: &str) -> mlua::Result<Task> {
    let world = host.world(lua, by)?.clone();
    let line = host.caller_line(lua);
    let Some(coroutine) = value.as_userdata().and_then(coroutine_of) else {
        return Err(not_a_coroutine(lua, host, value, by));
    };
    let arguments = coroutine.begin(lua, host, by)?;
    let definition = Arc::clone(&coroutine.definition);
    let name: Arc<str> = name.unwrap_or_else(|| host.next_name(&definition.name)).into();
    let alive = Alive::new(host).ok_or_else(|| {
        let fault = Fault::new(format!("more than {TASKS_MAX} tasks are alive")).token(by).weight(Weight::Limit);
        host.misuse(lua, fault.hint("await some of them before making more"))
    })?;
    let spec =
        TaskSpec { name: name.to_string(), location: line.or(coroutine.line).map(|line| host.source.location(line)) };
    let slot = Arc::<Slot>::default();
    let future = {
        let (lua, host, name) = (lua.clone(), Arc::clone(host), Arc::clone(&name));
        let leaving = Leaving(Arc::clone(&slot), Arc::clone(&host));
        async move {
            // The Lua is kept alive too: a task outlives main where main did not wait for it.
            let _kept = (alive, lua);
            let ended = AssertUnwindSafe(body(&host, name, &definition, arguments)).catch_unwind().await;
            let (ended, told) = match ended {
                Ok(Ok(values)) => (Ended::Done(values), Ok(())),
                Ok(Err(fault)) => {
                    let text = fault.report(&host.source).to_string();
                    (Ended::Failed(fault), Err(text))
                }
                Err(panic) => {
                    leaving.0.leave(&host, Ended::Panicked(panic_message(&*panic).to_owned()));
                    resume_unwind(panic)
                }
            };
            leaving.0.leave(&host, ended);
            told
        }
    };
    let abort = world.spawn(spec, future).abort_handle();
    Ok(Task { name, abort, slot })
}

/// Runs a coroutine's body as the task of this name.
///
/// # Panics
/// Where the script asks for it, with `panic(message)`: here, outside Lua, so that it unwinds into the task's poll.
pub(super) async fn body(
    host: &Arc<Host>,
    name: Arc<str>,
    definition: &Definition,
    mut arguments: MultiValue,
) -> Result<MultiValue, Fault> {
    arguments.push_front(Value::Function(definition.function.clone()));
    // Made before the call and so dropped after it: what a task holds outlives its code.
    let owner = Owner { host: Arc::clone(host), holdings: Arc::default() };
    let outcome = {
        let mut call = pin!(host.run_function().call_async::<MultiValue>(arguments));
        poll_fn(|context| {
            locked(&host.stretch).begin();
            *locked(&host.holdings) = Arc::clone(&owner.holdings);
            call.as_mut().poll(context)
        })
        .await
    };
    let raised = match outcome {
        Ok(mut values) => match values.pop_front() {
            Some(Value::Boolean(true)) => return Ok(values),
            _ => values.pop_front().unwrap_or_default(),
        },
        Err(error) => Value::Error(Box::new(error)),
    };
    let fault = host.fault_of_task(&raised, &name);
    if fault.weight == Weight::Panic {
        panic!("{}", fault.message);
    }
    Err(fault)
}

/// Counts a task for as long as its future lives.
struct Alive(Arc<Host>);

impl Alive {
    fn new(host: &Arc<Host>) -> Option<Self> {
        let before = host.tasks_live.fetch_add(1, Ordering::Relaxed);
        // Made in any case: where it is refused, dropping it takes the count back.
        let alive = Self(Arc::clone(host));
        (before < TASKS_MAX).then_some(alive)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.tasks_live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The task that a value is.
pub(super) fn task_of(value: &AnyUserData) -> Option<Task> {
    value.borrow::<Task>().ok().map(|task| task.clone())
}
