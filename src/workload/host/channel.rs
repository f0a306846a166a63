//! Channels, on tokio's own: mpsc, oneshot, broadcast and watch.

use std::sync::{Arc, Mutex};

use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex as Turn, broadcast, mpsc, oneshot, watch};

use super::awaitable::waiting;
use super::label::{Label, whole};
use super::{Host, locked};
use crate::trace::{AwaitKind, ResourceKind};
use crate::workload::fault::Fault;

/// Messages that a channel may be made to hold.
const CAPACITY_MAX: usize = 1_000_000;

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "channel", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, (capacity, options): (Value, Value)| {
        // `channel{name = "…"}` has no capacity, and so no limit.
        let (capacity, options) = if capacity.is_table() { (Value::Nil, capacity) } else { (capacity, options) };
        let size = if capacity.is_nil() { 0 } else { whole(lua, host, "channel", &capacity, 1, CAPACITY_MAX)? };
        let label = Arc::new(Label::new(lua, host, "channel", ResourceKind::Channel, size as u64, &options)?);
        let (sender, receiver) = if size == 0 {
            let (sender, receiver) = label.made(lua, mpsc::unbounded_channel)?;
            (Sender::Unbounded(sender), Receiver::Unbounded(receiver))
        } else {
            let (sender, receiver) = label.made(lua, || mpsc::channel(size))?;
            (Sender::Bounded(sender), Receiver::Bounded(receiver))
        };
        let receiver = label.made(lua, || Arc::new(Turn::new(receiver)))?;
        let (at_send, at_recv) = (label.source("send"), label.source("recv"));
        Ok(Channel { sender: Mutex::new(Some(sender)), receiver, at_send, at_recv, label })
    });
    word!(lua, host, "oneshot", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, options: Value| {
        let label = Arc::new(Label::new(lua, host, "oneshot", ResourceKind::Channel, 1, &options)?);
        let (sender, receiver) = label.made(lua, oneshot::channel)?;
        let receiver = label.made(lua, || Arc::new(Turn::new(Some(receiver))))?;
        Ok(Oneshot { sender: Mutex::new(Some(sender)), receiver, at_recv: label.source("recv"), label })
    });
    word!(lua, host, "broadcast", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, (capacity, options): (Value, Value)| {
        let capacity = whole(lua, host, "broadcast", &capacity, 1, CAPACITY_MAX)?;
        let label = Arc::new(Label::new(lua, host, "broadcast", ResourceKind::Channel, capacity as u64, &options)?);
        let sender = label.made(lua, || broadcast::Sender::new(capacity))?;
        Ok(Broadcast { sender: Mutex::new(Some(sender)), at_recv: label.source("recv"), label })
    });
    word!(lua, host, "watch", |lua: &Lua, host: &Arc<Host>, _: &Arc<str>, (value, options): (Value, Value)| {
        let label = Arc::new(Label::new(lua, host, "watch", ResourceKind::Channel, 1, &options)?);
        let sender = label.made(lua, || watch::Sender::new(value))?;
        Ok(Watch { sender: Mutex::new(Some(sender)), at_changed: label.source("changed"), label })
    });
    Ok(())
}

/// Refuses to send nil, which is what a receiver gets when nothing more comes.
fn something(lua: &Lua, label: &Label, value: Value) -> mlua::Result<Value> {
    if value.is_nil() {
        let fault = Fault::new(format!("a {label} cannot carry nil")).token("send");
        return Err(label.host.misuse(lua, fault.hint("nil is what a receiver gets when nothing more will come")));
    }
    Ok(value)
}

fn closed(label: &Label) -> Fault {
    Fault::new(format!("the {label} is closed")).token("send").hint("close it after the last send")
}

fn one(value: Value) -> MultiValue {
    MultiValue::from_iter([value])
}

/// Both ends of an mpsc channel: asyncio's Queue. Several receivers take turns, as tokio's would behind a mutex.
struct Channel {
    label: Arc<Label>,
    sender: Mutex<Option<Sender>>,
    receiver: Arc<Turn<Receiver>>,
    at_send: Arc<str>,
    at_recv: Arc<str>,
}

#[derive(Clone)]
enum Sender {
    Bounded(mpsc::Sender<Value>),
    Unbounded(mpsc::UnboundedSender<Value>),
}

enum Receiver {
    Bounded(mpsc::Receiver<Value>),
    Unbounded(mpsc::UnboundedReceiver<Value>),
}

impl Sender {
    async fn send(self, value: Value) -> bool {
        match self {
            Self::Bounded(sender) => sender.send(value).await.is_ok(),
            Self::Unbounded(sender) => sender.send(value).is_ok(),
        }
    }
}

impl Receiver {
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

impl Channel {
    fn sender(&self, lua: &Lua) -> mlua::Result<Sender> {
        locked(&self.sender).clone().ok_or_else(|| self.label.host.misuse(lua, closed(&self.label)))
    }
}

impl UserData for Channel {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("send", |lua, this, value: Value| {
            let (value, sender) = (something(lua, &this.label, value)?, this.sender(lua)?);
            let label = Arc::clone(&this.label);
            waiting(lua, &this.label, AwaitKind::Channel, &this.at_send, move || async move {
                if sender.send(value).await { Ok(MultiValue::new()) } else { Err(closed(&label)) }
            })
        });
        methods.add_method("try_send", |lua, this, value: Value| {
            let value = something(lua, &this.label, value)?;
            Ok(match this.sender(lua)? {
                Sender::Bounded(sender) => sender.try_send(value).is_ok(),
                Sender::Unbounded(sender) => sender.send(value).is_ok(),
            })
        });
        for name in ["recv", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let receiver = Arc::clone(&this.receiver);
                waiting(lua, &this.label, AwaitKind::Channel, &this.at_recv, move || async move {
                    let mut receiver = receiver.lock_owned().await;
                    Ok(one(receiver.recv().await.unwrap_or_default()))
                })
            });
        }
        // How many messages wait in it. Whoever receives right now has found none.
        methods.add_method("len", |_, this, ()| Ok(this.receiver.try_lock().map_or(0, |receiver| receiver.len())));
        methods.add_method("close", |_, this, ()| {
            let sender = locked(&this.sender).take();
            drop(sender);
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

/// One answer, sent once and received once.
struct Oneshot {
    label: Arc<Label>,
    sender: Mutex<Option<oneshot::Sender<Value>>>,
    receiver: Arc<Turn<Option<oneshot::Receiver<Value>>>>,
    at_recv: Arc<str>,
}

impl UserData for Oneshot {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // True where somebody can still receive it.
        methods.add_method("send", |lua, this, value: Value| match locked(&this.sender).take() {
            Some(sender) => Ok(sender.send(value).is_ok()),
            None => {
                let fault = Fault::new(format!("this {} was sent or closed before", this.label)).token("send");
                Err(this.label.host.misuse(lua, fault.hint("it carries one value; a channel carries many")))
            }
        });
        methods.add_method("recv", |lua, this, ()| {
            let (receiver, label) = (Arc::clone(&this.receiver), Arc::clone(&this.label));
            waiting(lua, &this.label, AwaitKind::Channel, &this.at_recv, move || async move {
                let mut receiver = receiver.lock_owned().await;
                let ill = |how| Fault::new(format!("the {label} was {how}")).token("await");
                let Some(waited) = receiver.as_mut() else { return Err(ill("received before")) };
                let answer = waited.await;
                *receiver = None;
                answer.map(one).map_err(|_| ill("closed without an answer"))
            })
        });
        methods.add_method("close", |_, this, ()| {
            let sender = locked(&this.sender).take();
            drop(sender);
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

/// Every subscriber gets every value, and one that is slow loses the oldest.
struct Broadcast {
    label: Arc<Label>,
    sender: Mutex<Option<broadcast::Sender<Value>>>,
    at_recv: Arc<str>,
}

impl UserData for Broadcast {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // How many subscribers it is on its way to.
        methods.add_method("send", |lua, this, value: Value| {
            let value = something(lua, &this.label, value)?;
            match &*locked(&this.sender) {
                Some(sender) => Ok(sender.send(value).unwrap_or(0)),
                None => Err(this.label.host.misuse(lua, closed(&this.label))),
            }
        });
        methods.add_method("subscribe", |lua, this, ()| {
            let receiver = match &*locked(&this.sender) {
                Some(sender) => sender.subscribe(),
                None => return Err(this.label.host.misuse(lua, closed(&this.label).token("subscribe"))),
            };
            let receiver = this.label.made(lua, || Arc::new(Turn::new(receiver)))?;
            Ok(Subscriber { label: Arc::clone(&this.label), receiver, at_recv: Arc::clone(&this.at_recv) })
        });
        methods.add_method("close", |_, this, ()| {
            let sender = locked(&this.sender).take();
            drop(sender);
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

struct Subscriber {
    label: Arc<Label>,
    receiver: Arc<Turn<broadcast::Receiver<Value>>>,
    at_recv: Arc<str>,
}

impl UserData for Subscriber {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // The value, and how many were lost just before it.
        for name in ["recv", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let receiver = Arc::clone(&this.receiver);
                waiting(lua, &this.label, AwaitKind::Channel, &this.at_recv, move || async move {
                    let mut receiver = receiver.lock_owned().await;
                    let mut lost = 0;
                    loop {
                        match receiver.recv().await {
                            Ok(value) => return Ok(MultiValue::from_iter([value, Value::Integer(lost)])),
                            Err(RecvError::Lagged(more)) => lost += more as i64,
                            Err(RecvError::Closed) => return Ok(one(Value::Nil)),
                        }
                    }
                })
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("subscriber of {}", this.label)));
    }
}

/// One value that changes, of which subscribers see the latest.
struct Watch {
    label: Arc<Label>,
    sender: Mutex<Option<watch::Sender<Value>>>,
    at_changed: Arc<str>,
}

impl UserData for Watch {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("set", |lua, this, value: Value| match &*locked(&this.sender) {
            Some(sender) => {
                drop(sender.send_replace(value));
                Ok(())
            }
            None => Err(this.label.host.misuse(lua, closed(&this.label).token("set"))),
        });
        methods.add_method("get", |lua, this, ()| match &*locked(&this.sender) {
            Some(sender) => Ok(sender.borrow().clone()),
            None => Err(this.label.host.misuse(lua, closed(&this.label).token("get"))),
        });
        methods.add_method("subscribe", |lua, this, ()| {
            let receiver = match &*locked(&this.sender) {
                Some(sender) => sender.subscribe(),
                None => return Err(this.label.host.misuse(lua, closed(&this.label).token("subscribe"))),
            };
            let receiver = this.label.made(lua, || Arc::new(Turn::new(receiver)))?;
            Ok(Watcher { label: Arc::clone(&this.label), receiver, at_changed: Arc::clone(&this.at_changed) })
        });
        methods.add_method("close", |_, this, ()| {
            let sender = locked(&this.sender).take();
            drop(sender);
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}

struct Watcher {
    label: Arc<Label>,
    receiver: Arc<Turn<watch::Receiver<Value>>>,
    at_changed: Arc<str>,
}

impl UserData for Watcher {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // The latest value once it is a new one; nil once nobody can change it any more.
        for name in ["changed", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let receiver = Arc::clone(&this.receiver);
                waiting(lua, &this.label, AwaitKind::Channel, &this.at_changed, move || async move {
                    let mut receiver = receiver.lock_owned().await;
                    let changed = receiver.changed().await;
                    Ok(one(changed.map_or(Value::Nil, |()| receiver.borrow_and_update().clone())))
                })
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("subscriber of {}", this.label)));
    }
}
