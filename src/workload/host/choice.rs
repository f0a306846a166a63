//! Choosing: `select` takes what is ready first and drops the rest, `as_completed` takes everything in the order in which
//! it gets ready.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use mlua::{AnyUserData, Function, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, Value};

use super::awaitable::{Awaitable, Begun, Start, awaitable};
use super::gather::CancelOnDrop;
use super::task::{Task, create, task_of};
use super::{Host, language, locked};
use crate::trace::AwaitKind;
use crate::workload::fault::Fault;

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    // Lua has a `select` of its own, for arguments; a table tells them apart.
    let of_arguments: Function = lua.globals().get("select")?;
    word!(lua, host, "select", move |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, arguments: MultiValue| {
        match arguments.front() {
            Some(Value::Table(branches)) => {
                let chosen = select(lua, host, source, branches)?;
                Ok(MultiValue::from_iter([Value::UserData(chosen)]))
            }
            _ => of_arguments.call(arguments).map_err(|error| host.misuse(lua, host.fault_of(&error))),
        }
    });
    word!(lua, host, "as_completed", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, arguments: MultiValue| {
        let tasks = super::gather::tasks_of(lua, host, arguments, source)?;
        let waited = tasks.into_iter().enumerate().collect();
        Ok(AsCompleted { host: Arc::clone(host), waited: Arc::new(Mutex::new(waited)), source: Arc::clone(source) })
    });
    word!(lua, host, "shield", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, value: Value| {
        let task = match value.as_userdata().and_then(task_of) {
            Some(task) => task,
            None => create(lua, host, &value, None, "shield")?,
        };
        // Nothing here cancels the task when the wait for it is dropped.
        let start: Start = Box::new(move |_, line| Box::pin(task.result(line)));
        awaitable(lua, host, AwaitKind::Task, source, start)
    });
    Ok(())
}

/// What a value is as one of several things to wait for: dropping it cancels the task that it is or became.
pub(super) fn branch(lua: &Lua, host: &Arc<Host>, value: &Value, by: &str) -> mlua::Result<Start> {
    if let Some(other) = value.as_userdata().and_then(|userdata| userdata.borrow::<Awaitable>().ok()) {
        let start = locked(&other.start).take().ok_or_else(|| {
            let fault = Fault::new(format!("this {} was awaited before; each one is awaited once", other.source));
            host.misuse(lua, fault.token(by))
        })?;
        return Ok(other.seen(host, start));
    }
    let task = match value.as_userdata().and_then(task_of) {
        Some(task) => task,
        None => create(lua, host, value, None, by)?,
    };
    Ok(Box::new(move |_, line| -> Begun {
        let result = task.result(line);
        let mut guard = CancelOnDrop { tasks: vec![task] };
        Box::pin(async move {
            let result = result.await;
            guard.tasks.clear();
            result
        })
    }))
}

/// Which one is looked at first is the seed's choice, as tokio's `select!` chooses by chance; `biased = true` looks in
/// order.
fn select(lua: &Lua, host: &Arc<Host>, source: &Arc<str>, table: &Table) -> mlua::Result<AnyUserData> {
    host.world(lua, source)?;
    let mut biased = false;
    let mut branches = Vec::new();
    for key in language::sorted_keys(lua, Value::Table(table.clone()))?.sequence_values::<Value>() {
        let key = key?;
        let value: Value = table.raw_get(key.clone())?;
        if key.as_string().is_some_and(|key| key == "biased") {
            biased = value == Value::Boolean(true);
        } else {
            branches.push((key, branch(lua, host, &value, source)?));
        }
    }
    if branches.is_empty() {
        let fault = Fault::new("select needs something to choose from").token("select");
        return Err(host.misuse(lua, fault.hint("write select{ a(), sleep(1) }")));
    }
    let chance = Arc::clone(host);
    let start: Start = Box::new(move |world, line| {
        let world = world.clone();
        Box::pin(async move {
            // Begun inside the select's own await, so that each branch shows as a part of it.
            let mut running: Vec<_> = branches.into_iter().map(|(key, start)| (key, start(&world, line))).collect();
            let (chosen, result) = poll_fn(|context| {
                let count = running.len();
                let first = if biased { 0 } else { locked(&chance.choice).between(0, count as i64 - 1) as usize };
                for index in (0..count).map(|step| (first + step) % count) {
                    if let Poll::Ready(result) = running[index].1.as_mut().poll(context) {
                        return Poll::Ready((index, result));
                    }
                }
                Poll::Pending
            })
            .await;
            let key = running[chosen].0.clone();
            drop(running);
            let mut values = result?;
            values.push_front(key);
            Ok(values)
        })
    });
    awaitable(lua, host, AwaitKind::Task, source, start)
}

/// Tasks to be taken in the order in which they end. Those that nobody takes go on.
struct AsCompleted {
    host: Arc<Host>,
    waited: Arc<Mutex<Vec<(usize, Task)>>>,
    source: Arc<str>,
}

impl UserData for AsCompleted {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // The place of the next one in the list, and what it returned; nil when all were taken.
        methods.add_method("next", |lua, this, ()| {
            let waited = Arc::clone(&this.waited);
            let start: Start = Box::new(move |_, line| {
                Box::pin(async move {
                    let Some((index, task)) = poll_fn(|context| first_ended(&waited, context)).await else {
                        return Ok(MultiValue::from_iter([Value::Nil]));
                    };
                    let mut values = task.result(line).await?;
                    values.push_front(Value::Integer(index as i64 + 1));
                    Ok(values)
                })
            });
            awaitable(lua, &this.host, AwaitKind::Task, &this.source, start)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("as_completed"));
    }
}

fn first_ended(
    waited: &Mutex<Vec<(usize, Task)>>,
    context: &mut std::task::Context<'_>,
) -> Poll<Option<(usize, Task)>> {
    let mut waited = locked(waited);
    if waited.is_empty() {
        return Poll::Ready(None);
    }
    let ended = waited.iter().enumerate().filter_map(|(place, (_, task))| match task.poll_ended(context) {
        Poll::Ready(order) => Some((order, place)),
        Poll::Pending => None,
    });
    match ended.min() {
        Some((_, place)) => Poll::Ready(Some(waited.remove(place))),
        None => Poll::Pending,
    }
}
