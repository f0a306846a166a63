//! Channels, based on tokio's: mpsc, oneshot, broadcast and watch.

use std::sync::{Arc, Mutex};

use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex as AsyncMutex, broadcast, mpsc, oneshot, watch};

use super::awaitable::make_tokio_awaitable;
use super::lock::lock;
use super::resource_label::{ResourceLabel, whole_number};
use super::script_host::ScriptHost;
use super::unfinished_jobs::UnfinishedJobs;
use crate::trace::{AwaitKind, ResourceKind};
use crate::workload::fault::ScriptFault;

/// Maximum capacity of a channel, in messages.
const CAPACITY_MAX: usize = 1_000_000;

pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(
        lua,
        host,
        "channel",
        |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, (capacity, options): (Value, Value)| {
            // `channel{name = "…"}` has no capacity and is unbounded.
            let (capacity, options) = if capacity.is_table() { (Value::Nil, capacity) } else { (capacity, options) };
            let size =
                if capacity.is_nil() { 0 } else { whole_number(lua, host, "channel", &capacity, 1, CAPACITY_MAX)? };
            let label =
                Arc::new(ResourceLabel::new(lua, host, "channel", ResourceKind::Channel, size as u64, &options)?);
            let (sender, receiver) = if size == 0 {
                let (sender, receiver) = label.untraced(lua, mpsc::unbounded_channel)?;
                (MpscSender::Unbounded(sender), MpscReceiver::Unbounded(receiver))
            } else {
                let (sender, receiver) = label.untraced(lua, || mpsc::channel(size))?;
                (MpscSender::Bounded(sender), MpscReceiver::Bounded(receiver))
            };
            let receiver = label.untraced(lua, || Arc::new(AsyncMutex::new(receiver)))?;
            let (send_source, recv_source) = (label.await_source("send"), label.await_source("recv"));
            let (join_source, unfinished) = (label.await_source("join"), Arc::default());
            Ok(ScriptChannel {
                sender: Mutex::new(Some(sender)),
                receiver,
                unfinished,
                send_source,
                recv_source,
                join_source,
                label,
            })
        }
    );
    host_function!(lua, host, "oneshot", |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, options: Value| {
        let label = Arc::new(ResourceLabel::new(lua, host, "oneshot", ResourceKind::Channel, 1, &options)?);
        let (sender, receiver) = label.untraced(lua, oneshot::channel)?;
        let receiver = label.untraced(lua, || Arc::new(AsyncMutex::new(Some(receiver))))?;
        Ok(ScriptOneshot { sender: Mutex::new(Some(sender)), receiver, recv_source: label.await_source("recv"), label })
    });
    host_function!(
        lua,
        host,
        "broadcast",
        |lua: &Lua, host: &Arc<ScriptHost>, _: &Arc<str>, (capacity, options): (Value, Value)| {
            let capacity = whole_number(lua, host, "broadcast", &capacity, 1, CAPACITY_MAX)?;
            let label =
                Arc::new(ResourceLabel::new(lua, host, "broadcast", ResourceKind::Channel, capacity as u64, &options)?);
            let sender = label.untraced(lua, || broadcast::Sender::new(capacity))?;
            Ok(ScriptBroadcast { sender: Mutex::new(Some(sender)), recv_source: label.await_source("recv"), label })
        }
    );
    host_function!(lua, host, "watch", |lua: &Lua,
                                        host: &Arc<ScriptHost>,
                                        _: &Arc<str>,
                                        (value, options): (Value, Value)| {
        let label = Arc::new(ResourceLabel::new(lua, host, "watch", ResourceKind::Channel, 1, &options)?);
        let sender = label.untraced(lua, || watch::Sender::new(value))?;
        Ok(ScriptWatch { sender: Mutex::new(Some(sender)), changed_source: label.await_source("changed"), label })
    });
    Ok(())
}

/// Rejects nil, which a receiver gets after the last message.
fn reject_nil(lua: &Lua, label: &ResourceLabel, value: Value) -> mlua::Result<Value> {
    if value.is_nil() {
        let fault = ScriptFault::new(format!("a {label} cannot carry nil")).token("send");
        return Err(label.host.usage_error(lua, fault.hint("a receiver gets nil after the last message")));
    }
    Ok(value)
}

fn closed_fault(label: &ResourceLabel) -> ScriptFault {
    ScriptFault::new(format!("the {label} is closed")).token("send").hint("close it after the last send")
}

fn single_value(value: Value) -> MultiValue {
    MultiValue::from_iter([value])
}

/// Both ends of an mpsc channel, like asyncio's `Queue`. Concurrent receivers take turns, as behind a tokio mutex.
struct ScriptChannel {
    label: Arc<ResourceLabel>,
    sender: Mutex<Option<MpscSender>>,
    receiver: Arc<AsyncMutex<MpscReceiver>>,
    unfinished: Arc<UnfinishedJobs>,
    send_source: Arc<str>,
    recv_source: Arc<str>,
    join_source: Arc<str>,
}

#[derive(Clone)]
enum MpscSender {
    Bounded(mpsc::Sender<Value>),
    Unbounded(mpsc::UnboundedSender<Value>),
}

enum MpscReceiver {
    Bounded(mpsc::Receiver<Value>),
    Unbounded(mpsc::UnboundedReceiver<Value>),
}

impl MpscSender {
    async fn send(self, value: Value) -> bool {
        match self {
            Self::Bounded(sender) => sender.send(value).await.is_ok(),
            Self::Unbounded(sender) => sender.send(value).is_ok(),
        }
    }
}

impl MpscReceiver {
    async fn recv(&mut self) -> Option<Value> {
        match self {
            Self::Bounded(receiver) => receiver.recv().await,
            Self::Unbounded(receiver) => receiver.recv().await,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Bounded(receiver) => receiver.len(),
            Self::Unbounded(receiver) => receiver.len(),
        }
    }
}

impl ScriptChannel {
    fn sender(&self, lua: &Lua) -> mlua::Result<MpscSender> {
        lock(&self.sender).clone().ok_or_else(|| self.label.host.usage_error(lua, closed_fault(&self.label)))
    }
}

impl UserData for ScriptChannel {
    lua_type_name!("Channel");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("send", |lua, this, value: Value| {
            let (value, sender) = (reject_nil(lua, &this.label, value)?, this.sender(lua)?);
            let (label, unfinished) = (Arc::clone(&this.label), Arc::clone(&this.unfinished));
            make_tokio_awaitable(lua, &this.label, AwaitKind::Channel, &this.send_source, move || async move {
                if !sender.send(value).await {
                    return Err(closed_fault(&label));
                }
                unfinished.add();
                Ok(MultiValue::new())
            })
        });
        methods.add_method("try_send", |lua, this, value: Value| {
            let value = reject_nil(lua, &this.label, value)?;
            let was_sent = match this.sender(lua)? {
                MpscSender::Bounded(sender) => sender.try_send(value).is_ok(),
                MpscSender::Unbounded(sender) => sender.send(value).is_ok(),
            };
            if was_sent {
                this.unfinished.add();
            }
            Ok(was_sent)
        });
        for name in ["recv", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let receiver = Arc::clone(&this.receiver);
                make_tokio_awaitable(lua, &this.label, AwaitKind::Channel, &this.recv_source, move || async move {
                    let mut receiver = receiver.lock_owned().await;
                    Ok(single_value(receiver.recv().await.unwrap_or_default()))
                })
            });
        }
        // Marks one received message as finished, for `join`.
        methods.add_method("task_done", |lua, this, ()| {
            if this.unfinished.finish() {
                return Ok(());
            }
            let fault =
                ScriptFault::new(format!("task_done was called more often than the {} got messages", this.label));
            Err(this.label.host.usage_error(lua, fault.token("task_done")))
        });
        // Waits until every message that was sent is finished.
        methods.add_method("join", |lua, this, ()| {
            let unfinished = Arc::clone(&this.unfinished);
            make_tokio_awaitable(lua, &this.label, AwaitKind::Channel, &this.join_source, move || async move {
                unfinished.join().await;
                Ok(MultiValue::new())
            })
        });
        // Number of queued messages. If the receiver is locked, a task is waiting, so the queue is empty.
        methods.add_method("len", |_, this, ()| Ok(this.receiver.try_lock().map_or(0, |receiver| receiver.len())));
        methods.add_method("close", |_, this, ()| {
            let sender = lock(&this.sender).take();
            drop(sender);
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

/// A channel for one value, sent once and received once.
struct ScriptOneshot {
    label: Arc<ResourceLabel>,
    sender: Mutex<Option<oneshot::Sender<Value>>>,
    receiver: Arc<AsyncMutex<Option<oneshot::Receiver<Value>>>>,
    recv_source: Arc<str>,
}

impl UserData for ScriptOneshot {
    lua_type_name!("Oneshot");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Returns whether the value can still be received.
        methods.add_method("send", |lua, this, value: Value| match lock(&this.sender).take() {
            Some(sender) => Ok(sender.send(value).is_ok()),
            None => {
                let fault = ScriptFault::new(format!("this {} was already sent or closed", this.label)).token("send");
                Err(this.label.host.usage_error(lua, fault.hint("it carries one value; a channel carries many")))
            }
        });
        methods.add_method("recv", |lua, this, ()| {
            let (receiver, label) = (Arc::clone(&this.receiver), Arc::clone(&this.label));
            make_tokio_awaitable(lua, &this.label, AwaitKind::Channel, &this.recv_source, move || async move {
                let mut receiver = receiver.lock_owned().await;
                let failure = |how| ScriptFault::new(format!("the {label} was {how}")).token("await");
                let Some(pending) = receiver.as_mut() else { return Err(failure("already received")) };
                let answer = pending.await;
                *receiver = None;
                answer.map(single_value).map_err(|_| failure("closed without an answer"))
            })
        });
        methods.add_method("close", |_, this, ()| {
            let sender = lock(&this.sender).take();
            drop(sender);
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

/// A channel that sends every value to every subscriber. A slow subscriber loses the oldest values.
struct ScriptBroadcast {
    label: Arc<ResourceLabel>,
    sender: Mutex<Option<broadcast::Sender<Value>>>,
    recv_source: Arc<str>,
}

impl UserData for ScriptBroadcast {
    lua_type_name!("Broadcast");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Returns the number of subscribers.
        methods.add_method("send", |lua, this, value: Value| {
            let value = reject_nil(lua, &this.label, value)?;
            match &*lock(&this.sender) {
                Some(sender) => Ok(sender.send(value).unwrap_or(0)),
                None => Err(this.label.host.usage_error(lua, closed_fault(&this.label))),
            }
        });
        methods.add_method("subscribe", |lua, this, ()| {
            let receiver = match &*lock(&this.sender) {
                Some(sender) => sender.subscribe(),
                None => return Err(this.label.host.usage_error(lua, closed_fault(&this.label).token("subscribe"))),
            };
            let receiver = this.label.untraced(lua, || Arc::new(AsyncMutex::new(receiver)))?;
            Ok(ScriptSubscriber {
                label: Arc::clone(&this.label),
                receiver,
                recv_source: Arc::clone(&this.recv_source),
            })
        });
        methods.add_method("close", |_, this, ()| {
            let sender = lock(&this.sender).take();
            drop(sender);
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

struct ScriptSubscriber {
    label: Arc<ResourceLabel>,
    receiver: Arc<AsyncMutex<broadcast::Receiver<Value>>>,
    recv_source: Arc<str>,
}

impl UserData for ScriptSubscriber {
    lua_type_name!("Subscriber");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Returns the value and the number of values lost just before it.
        for name in ["recv", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let receiver = Arc::clone(&this.receiver);
                make_tokio_awaitable(lua, &this.label, AwaitKind::Channel, &this.recv_source, move || async move {
                    let mut receiver = receiver.lock_owned().await;
                    let mut lost = 0;
                    loop {
                        match receiver.recv().await {
                            Ok(value) => return Ok(MultiValue::from_iter([value, Value::Integer(lost)])),
                            Err(RecvError::Lagged(more)) => lost += more as i64,
                            Err(RecvError::Closed) => return Ok(single_value(Value::Nil)),
                        }
                    }
                })
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("subscriber of {}", this.label)));
    }
}

/// A value that changes; subscribers get the latest one.
struct ScriptWatch {
    label: Arc<ResourceLabel>,
    sender: Mutex<Option<watch::Sender<Value>>>,
    changed_source: Arc<str>,
}

impl UserData for ScriptWatch {
    lua_type_name!("Watch");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("set", |lua, this, value: Value| match &*lock(&this.sender) {
            Some(sender) => {
                drop(sender.send_replace(value));
                Ok(())
            }
            None => Err(this.label.host.usage_error(lua, closed_fault(&this.label).token("set"))),
        });
        methods.add_method("get", |lua, this, ()| match &*lock(&this.sender) {
            Some(sender) => Ok(sender.borrow().clone()),
            None => Err(this.label.host.usage_error(lua, closed_fault(&this.label).token("get"))),
        });
        methods.add_method("subscribe", |lua, this, ()| {
            let receiver = match &*lock(&this.sender) {
                Some(sender) => sender.subscribe(),
                None => return Err(this.label.host.usage_error(lua, closed_fault(&this.label).token("subscribe"))),
            };
            let receiver = this.label.untraced(lua, || Arc::new(AsyncMutex::new(receiver)))?;
            Ok(ScriptWatcher {
                label: Arc::clone(&this.label),
                receiver,
                changed_source: Arc::clone(&this.changed_source),
            })
        });
        methods.add_method("close", |_, this, ()| {
            let sender = lock(&this.sender).take();
            drop(sender);
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

struct ScriptWatcher {
    label: Arc<ResourceLabel>,
    receiver: Arc<AsyncMutex<watch::Receiver<Value>>>,
    changed_source: Arc<str>,
}

impl UserData for ScriptWatcher {
    lua_type_name!("Watcher");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Waits for a new value and returns the latest; returns nil after `close`.
        for name in ["changed", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let receiver = Arc::clone(&this.receiver);
                make_tokio_awaitable(lua, &this.label, AwaitKind::Channel, &this.changed_source, move || async move {
                    let mut receiver = receiver.lock_owned().await;
                    let changed = receiver.changed().await;
                    Ok(single_value(changed.map_or(Value::Nil, |()| receiver.borrow_and_update().clone())))
                })
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("subscriber of {}", this.label)));
    }
}
