//! `task_group(f)`: structured concurrency. No task outlives the group, and the first failure cancels the others.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use mlua::{AnyUserData, IntoLua, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};

use super::awaitable::{StartFn, run_inline};
use super::coroutine::definition_of;
use super::lock::lock;
use super::script_host::ScriptHost;
use super::task::{CancelOnDrop, ScriptTask, create_task, read_task_name};
use crate::trace::AwaitKind;
use crate::workload::fault::ScriptFault;

/// The argument of the group's body, which creates the member tasks.
struct ScriptGroup {
    host: Arc<ScriptHost>,
    members: Arc<Mutex<GroupMembers>>,
}

#[derive(Default)]
struct GroupMembers {
    tasks: Vec<ScriptTask>,
    has_ended: bool,
}

impl GroupMembers {
    /// Returns the member that failed first, once one has failed.
    fn poll_failed(&self, context: &mut Context<'_>) -> Poll<ScriptTask> {
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

impl UserData for ScriptGroup {
    lua_type_name!("Group");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("create_task", |lua, this, (value, options): (Value, Value)| {
            if lock(&this.members).has_ended {
                let fault = ScriptFault::new("this task group has ended").token("create_task");
                return Err(this
                    .host
                    .usage_error(lua, fault.hint("create its tasks inside task_group(function(group) … end)")));
            }
            let name = read_task_name(lua, &this.host, &options)?;
            let task = create_task(lua, &this.host, &value, name, "create_task")?;
            lock(&this.members).tasks.push(task.clone());
            Ok(task)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("task group"));
    }
}

/// Runs the body in the task that awaits the group; then that task waits for the members.
pub(super) fn task_group(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    source: &Arc<str>,
    body: Value,
) -> mlua::Result<AnyUserData> {
    host.loop_handle(lua, source)?;
    let function = match (definition_of(&body), &body) {
        (Some(definition), _) => definition.function.clone(),
        (None, Value::Function(function)) => function.clone(),
        (None, other) => {
            let got = super::values::describe(other);
            let fault = ScriptFault::new(format!("task_group needs a function, but got {got}")).token("task_group");
            return Err(host.usage_error(lua, fault.hint("write task_group(function(group) group:create_task(…) end)")));
        }
    };
    let members = Arc::<Mutex<GroupMembers>>::default();
    let group = ScriptGroup { host: Arc::clone(host), members: Arc::clone(&members) }.into_lua(lua)?;
    let (owned_host, name) = (Arc::clone(host), Arc::clone(source));
    let start: StartFn = Box::new(move |loop_handle, line| {
        let (loop_handle, host) = (loop_handle.clone(), owned_host);
        Box::pin(async move {
            let mut guard = GroupScope(Arc::clone(&members));
            let mut body = run_inline(&host, function, MultiValue::from_iter([group]));
            let body_result = poll_fn(|context| {
                if let Poll::Ready(ended) = body.as_mut().poll(context) {
                    return Poll::Ready(Ok(ended));
                }
                lock(&members).poll_failed(context).map(Err)
            })
            .await;
            // If a member failed, the body may still be running. It is dropped here.
            drop(body);
            let all_ended = poll_fn(|context| {
                let members = lock(&members);
                if !matches!(body_result, Ok(Ok(_))) || members.poll_failed(context).is_ready() {
                    members.tasks.iter().for_each(ScriptTask::cancel);
                }
                members.poll_all_ended(context)
            });
            let site = host.site(AwaitKind::Task, &name, line);
            loop_handle.await_at(&site, all_ended).await;
            let failed = poll_fn(|context| Poll::Ready(lock(&members).poll_failed(context))).await;
            guard.close();
            match (body_result, failed) {
                // The body failed before any member did.
                (Ok(Err(error)), _) => Err(error),
                (_, Poll::Ready(failed)) => failed.result(line).await,
                (Err(failed), Poll::Pending) => failed.result(line).await,
                (Ok(Ok(values)), Poll::Pending) => Ok(values),
            }
        })
    });
    super::awaitable::make_inline_awaitable(lua, host, source, start)
}

/// Cancels the members when the future that waits for them is dropped.
struct GroupScope(Arc<Mutex<GroupMembers>>);

impl GroupScope {
    fn close(&mut self) {
        lock(&self.0).has_ended = true;
    }
}

impl Drop for GroupScope {
    fn drop(&mut self) {
        let tasks = {
            let mut members = lock(&self.0);
            members.has_ended = true;
            std::mem::take(&mut members.tasks)
        };
        drop(CancelOnDrop { tasks });
    }
}
