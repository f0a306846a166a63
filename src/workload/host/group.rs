//! `task_group(f)`: tasks that none outlives. Whichever fails first, a task or the group's own body, cancels the rest.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use mlua::{AnyUserData, IntoLua, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};

use super::awaitable::{Start, inline};
use super::coroutine::definition_of;
use super::gather::CancelOnDrop;
use super::task::{Task, create};
use super::{Host, locked};
use crate::trace::AwaitKind;
use crate::workload::fault::Fault;

/// What the body is given to make tasks with.
struct Group {
    host: Arc<Host>,
    members: Arc<Mutex<Members>>,
}

#[derive(Default)]
struct Members {
    tasks: Vec<Task>,
    over: bool,
}

impl Members {
    /// Ready with the first member that did not end well, once there is one.
    fn poll_failed(&self, context: &mut Context<'_>) -> Poll<Task> {
        let failed = self.tasks.iter().filter_map(|task| match task.poll_ended(context) {
            Poll::Ready(order) if task.has_failed() => Some((order, task)),
            _ => None,
        });
        match failed.min_by_key(|(order, _)| *order) {
            Some((_, task)) => Poll::Ready(task.clone()),
            None => Poll::Pending,
        }
    }

    fn poll_all_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        let waiting = self.tasks.iter().filter(|task| task.poll_ended(context).is_pending()).count();
        if waiting == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl UserData for Group {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("create_task", |lua, this, (value, options): (Value, Value)| {
            if locked(&this.members).over {
                let fault = Fault::new("this task group is over").token("create_task");
                return Err(this
                    .host
                    .misuse(lua, fault.hint("make its tasks inside task_group(function(group) … end)")));
            }
            let name = super::language::task_name(lua, &this.host, &options)?;
            let task = create(lua, &this.host, &value, name, "create_task")?;
            locked(&this.members).tasks.push(task.clone());
            Ok(task)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("task group"));
    }
}

/// The body runs in the task that awaits the group; then that task waits for the members.
pub(super) fn task_group(lua: &Lua, host: &Arc<Host>, source: &Arc<str>, body: Value) -> mlua::Result<AnyUserData> {
    host.world(lua, source)?;
    let function = match (definition_of(&body), &body) {
        (Some(definition), _) => definition.function.clone(),
        (None, Value::Function(function)) => function.clone(),
        (None, other) => {
            let got = super::language::describe(other);
            let fault = Fault::new(format!("task_group needs a function, and got {got}")).token("task_group");
            return Err(host.misuse(lua, fault.hint("write task_group(function(group) group:create_task(…) end)")));
        }
    };
    let members = Arc::<Mutex<Members>>::default();
    let group = Group { host: Arc::clone(host), members: Arc::clone(&members) }.into_lua(lua)?;
    let (host_then, name) = (Arc::clone(host), Arc::clone(source));
    let start: Start = Box::new(move |world, line| {
        let (world, host) = (world.clone(), host_then);
        Box::pin(async move {
            let mut guard = Structured(Arc::clone(&members));
            let mut body = inline(&host, function, MultiValue::from_iter([group]));
            let told = poll_fn(|context| {
                if let Poll::Ready(ended) = body.as_mut().poll(context) {
                    return Poll::Ready(Ok(ended));
                }
                locked(&members).poll_failed(context).map(Err)
            })
            .await;
            // A body that is still at work is dropped here: somebody failed.
            drop(body);
            let all_ended = poll_fn(|context| {
                let members = locked(&members);
                if !matches!(told, Ok(Ok(_))) || members.poll_failed(context).is_ready() {
                    members.tasks.iter().for_each(Task::cancel);
                }
                members.poll_all_ended(context)
            });
            let site = host.site(AwaitKind::Task, &name, line);
            world.await_at(&site, all_ended).await;
            let failed = poll_fn(|context| Poll::Ready(locked(&members).poll_failed(context))).await;
            guard.close();
            match (told, failed) {
                // The body's own error came first.
                (Ok(Err(error)), _) => Err(error),
                (_, Poll::Ready(failed)) => failed.result(line).await,
                (Err(failed), Poll::Pending) => failed.result(line).await,
                (Ok(Ok(values)), Poll::Pending) => Ok(values),
            }
        })
    });
    super::awaitable::unseen(lua, host, source, start)
}

/// Cancels the members when whoever waited for them is gone.
struct Structured(Arc<Mutex<Members>>);

impl Structured {
    fn close(&mut self) {
        locked(&self.0).over = true;
    }
}

impl Drop for Structured {
    fn drop(&mut self) {
        let tasks = {
            let mut members = locked(&self.0);
            members.over = true;
            std::mem::take(&mut members.tasks)
        };
        drop(CancelOnDrop { tasks });
    }
}
