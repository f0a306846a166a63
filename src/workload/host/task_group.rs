//! `task_group(f)`: structured concurrency. No task outlives the group, and the first failure cancels the others.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use mlua::{AnyUserData, Error, IntoLua, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};

use super::awaitable::{StartFn, create_task_with_options};
use super::body::CancelRequest;
use super::coroutine::definition_of;
use super::errors::fault_from_error;
use super::inline_body::InlineBody;
use super::lock::lock;
use super::script_host::ScriptHost;
use super::task_handle::{CancelOnDrop, ScriptTask};
use crate::trace::AwaitKind;
use crate::workload::fault::{FaultKind, ScriptFault};

/// The argument of the group's body, which creates the member tasks.
struct ScriptGroup {
    host: Arc<ScriptHost>,
    members: Arc<Mutex<GroupMembers>>,
}

#[derive(Default)]
struct GroupMembers {
    tasks: Vec<ScriptTask>,
    /// Number of tasks, from the first, that were cancelled because the group fails.
    cancelled: usize,
    has_ended: bool,
}

/// The state of the members of a group.
struct MembersState {
    any_failed: bool,
    all_ended: bool,
}

impl GroupMembers {
    /// Polls all members that have not ended. Members that ended without an error are removed, until the group fails.
    fn poll(&mut self, context: &mut Context<'_>) -> MembersState {
        let mut state = MembersState { any_failed: false, all_ended: true };
        let keeps_all = self.cancelled > 0;
        self.tasks.retain(|task| {
            let has_ended = task.poll_ended(context).is_ready();
            let has_failed = has_ended && task.has_failed();
            state.any_failed |= has_failed;
            state.all_ended &= has_ended;
            keeps_all || !has_ended || has_failed
        });
        state
    }

    /// Cancels each member once. Returns whether one of them has code of the script to run for that.
    fn cancel(&mut self) -> bool {
        let from = std::mem::replace(&mut self.cancelled, self.tasks.len());
        let mut runs_code = false;
        for task in &self.tasks[from..] {
            runs_code |= !task.can_be_dropped();
            task.cancel(None);
        }
        runs_code
    }

    /// Returns the errors of the failed members, in the order in which they failed.
    fn errors(&self, line: Option<u32>) -> Vec<ScriptFault> {
        let mut failed: Vec<_> = self.tasks.iter().filter(|task| task.has_failed()).collect();
        failed.sort_by_key(|task| task.end_order());
        let outcomes = failed.into_iter().filter_map(|task| Some((task, task.outcome()?.clone())));
        outcomes.filter_map(|(task, outcome)| outcome.into_result(task.name(), line).err()).collect()
    }
}

/// Joins the errors of a group into one: the first, with the messages of the others.
fn join_errors(host: &ScriptHost, errors: Vec<ScriptFault>) -> Option<ScriptFault> {
    let mut errors = errors.into_iter();
    let mut first = errors.next()?;
    let others: Vec<String> = errors.map(|fault| fault.position_and_message(&host.source)).collect();
    if !others.is_empty() {
        let noun = if others.len() == 1 { "error" } else { "errors" };
        first.message =
            format!("{} (and {} more {noun} in the task group: {})", first.message, others.len(), others.join("; "));
    }
    Some(first)
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
            let task = create_task_with_options(lua, &this.host, &value, &options)?;
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
            let mut scope = GroupScope(Arc::clone(&members));
            let (body_result, mut request) = run_group_body(&host, &members, function, group).await;
            let has_failed = body_result.is_err();
            let mut is_aborting = has_failed;
            let all_ended = poll_fn(|context| {
                let mut members = lock(&members);
                if let Some(taken) = host.take_cancel() {
                    request = if is_aborting { request.take() } else { Some(taken) };
                    is_aborting = true;
                }
                let state = members.poll(context);
                is_aborting |= state.any_failed;
                if is_aborting {
                    members.cancel();
                }
                if state.all_ended { Poll::Ready(()) } else { Poll::Pending }
            });
            let site = host.site(AwaitKind::Task, &name, line);
            loop_handle.await_at(&site, all_ended).await;
            scope.close();
            let mut errors = lock(&members).errors(line);
            let cancelled = match body_result {
                Ok(values) if errors.is_empty() && request.is_none() => return Ok(values),
                Ok(_) => None,
                Err(fault) if fault.kind == FaultKind::Error => {
                    errors.push(fault);
                    None
                }
                Err(fault) if fault.kind == FaultKind::Cancelled => Some(fault),
                // A stop or a reached limit.
                Err(fault) => return Err(Error::external(fault)),
            };
            let request = request.map(|request| request.fault(line));
            let fault = join_errors(&host, errors).or(request).or(cancelled);
            Err(Error::external(fault.unwrap_or_else(|| ScriptFault::new("the task group was cancelled"))))
        })
    });
    super::awaitable::make_inline_awaitable(lua, host, source, start)
}

/// Runs the body of a group to its end. If a member fails before, the body is cancelled. Also returns the cancel that
/// came from the task, if the body ended with it.
async fn run_group_body(
    host: &Arc<ScriptHost>,
    members: &Mutex<GroupMembers>,
    function: mlua::Function,
    group: Value,
) -> (Result<MultiValue, ScriptFault>, Option<CancelRequest>) {
    let mut body = InlineBody::new(host, function, MultiValue::from_iter([group]));
    let mut is_aborting = false;
    let mut is_cancel_due = false;
    let ended = poll_fn(|context| {
        loop {
            if std::mem::take(&mut is_cancel_due) {
                body.cancel();
            }
            if let Poll::Ready(ended) = Pin::new(&mut body).poll(context) {
                return Poll::Ready(ended);
            }
            let mut members = lock(members);
            if is_aborting || !members.poll(context).any_failed {
                return Poll::Pending;
            }
            is_aborting = true;
            is_cancel_due = true;
            if members.cancel() {
                // The members clean up first, as in asyncio.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    })
    .await;
    let ended = ended.map_err(|error| fault_from_error(host, &error));
    let was_cancelled = ended.as_ref().is_err_and(|fault| fault.kind == FaultKind::Cancelled);
    let request = body.cancel_from_task().filter(|_| was_cancelled).cloned();
    (ended, request)
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
