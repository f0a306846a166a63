//! TCP sockets, based on tokio's. They need the real clock and are limited to loopback unless the user allows more.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{Either, select};
use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::address::{NetAddress, io_fault, require_real_clock};
use super::awaitable::make_tokio_awaitable;
use super::outgoing_text::OutgoingText;
use super::resource_label::{ResourceLabel, whole_number};
use super::script_host::ScriptHost;
use super::values::describe;
use crate::trace::{AwaitKind, ResourceKind};
use crate::workload::fault::ScriptFault;

/// Maximum number of bytes of one `read`.
const READ_BYTES_MAX: usize = 1 << 20;

pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "tcp_listen", |lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, at: Value| {
        require_real_clock(lua, host, source)?;
        let at = bind_address(lua, host, source, &at)?;
        let label = ResourceLabel::new(lua, host, "tcp_listen", ResourceKind::Other, 0, &Value::Nil)?;
        let bound = std::net::TcpListener::bind(at)
            .and_then(|listener| {
                listener.set_nonblocking(true)?;
                let port = listener.local_addr()?.port();
                Ok((label.untraced(lua, || TcpListener::from_std(listener)).map_err(std::io::Error::other)??, port))
            })
            .map_err(|error| host.usage_error(lua, io_fault(&format!("listening at {at}"), &error).token(&**source)))?;
        let accept_source = label.await_source("accept");
        Ok(ScriptListener { label, listener: Arc::new(bound.0), port: bound.1, accept_source })
    });
    host_function!(lua, host, "tcp_connect", |lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, to: Value| {
        require_real_clock(lua, host, source)?;
        let to = NetAddress::from_argument(lua, host, source, &to)?;
        let label = ResourceLabel::new(lua, host, "tcp_connect", ResourceKind::Other, 0, &Value::Nil)?;
        let socket = ScriptSocket::new(lua, host)?;
        let (streams, socket) = (Arc::clone(&socket.halves), lua.create_userdata(socket)?);
        make_tokio_awaitable(lua, &label, AwaitKind::Io, source, move || async move {
            let stream = TcpStream::connect(&to.resolve().await?[..]).await;
            streams.open(stream.map_err(|error| io_fault("connecting", &error))?).await;
            Ok(MultiValue::from_iter([Value::UserData(socket)]))
        })
    });
    Ok(())
}

/// Reads the address argument of a function that binds a socket. The default is a free port on 127.0.0.1.
pub(super) fn bind_address(lua: &Lua, host: &ScriptHost, by: &str, at: &Value) -> mlua::Result<SocketAddr> {
    let at = if at.is_nil() { NetAddress::LOCAL_FREE_PORT } else { NetAddress::from_argument(lua, host, by, at)? };
    at.as_socket_addr().ok_or_else(|| {
        let fault = ScriptFault::new(format!("{by} needs an IP address, but got a host name")).token(by);
        host.usage_error(lua, fault.hint("write an address of this machine, such as \"127.0.0.1:8080\""))
    })
}

struct ScriptListener {
    label: ResourceLabel,
    listener: Arc<TcpListener>,
    port: u16,
    accept_source: Arc<str>,
}

impl UserData for ScriptListener {
    lua_type_name!("Listener");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("port", |_, this, ()| Ok(this.port));
        for name in ["accept", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let socket = ScriptSocket::new(lua, &this.label.host)?;
                let (streams, socket) = (Arc::clone(&socket.halves), lua.create_userdata(socket)?);
                let listener = Arc::clone(&this.listener);
                make_tokio_awaitable(lua, &this.label, AwaitKind::Io, &this.accept_source, move || async move {
                    let (stream, _) = listener.accept().await.map_err(|error| io_fault("accepting", &error))?;
                    streams.open(stream).await;
                    Ok(MultiValue::from_iter([Value::UserData(socket)]))
                })
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("listener on port {}", this.port)));
    }
}

/// The two halves of a connection. Each lock lets one task use its half at a time.
#[derive(Default)]
struct SocketHalves {
    read: AsyncMutex<Option<OwnedReadHalf>>,
    write: AsyncMutex<Option<OwnedWriteHalf>>,
    /// The script has called `close`. Pending reads and writes fail.
    is_closed: AtomicBool,
    /// The script has called `finish`. A task that is still writing drops the write half afterwards.
    is_finished: AtomicBool,
    closing: Notify,
}

impl SocketHalves {
    async fn open(&self, stream: TcpStream) {
        let (read, write) = stream.into_split();
        *self.read.lock().await = Some(read);
        *self.write.lock().await = Some(write);
    }

    /// Waits for `work`. Returns `None` if the socket is closed in the meantime.
    async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        // Subscribe before the check, so that a concurrent close is not missed.
        let closing = pin!(self.closing.notified());
        if self.is_closed.load(Ordering::Acquire) {
            return None;
        }
        match select(closing, pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.closing.notify_waiters();
        if let Ok(mut read) = self.read.try_lock() {
            *read = None;
        }
        self.finish();
    }

    fn finish(&self) {
        self.is_finished.store(true, Ordering::Release);
        if let Ok(mut write) = self.write.try_lock() {
            *write = None;
        }
    }
}

fn closed_fault(by: &str) -> ScriptFault {
    ScriptFault::new("the socket is closed").token(by)
}

struct ScriptSocket {
    label: ResourceLabel,
    halves: Arc<SocketHalves>,
    read_source: Arc<str>,
    write_source: Arc<str>,
}

impl ScriptSocket {
    fn new(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<Self> {
        let label = ResourceLabel::new(lua, host, "socket", ResourceKind::Other, 0, &Value::Nil)?;
        let halves = label.untraced(lua, Arc::default)?;
        Ok(Self { halves, read_source: label.await_source("read"), write_source: label.await_source("write"), label })
    }
}

impl UserData for ScriptSocket {
    lua_type_name!("Socket");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Returns at most `count` bytes as soon as there are any; nil once the peer has finished writing.
        for name in ["read", "next"] {
            methods.add_method(name, |lua, this, count: Value| {
                let count = match count {
                    Value::Nil => 64 << 10,
                    count => whole_number(lua, &this.label.host, "read", &count, 1, READ_BYTES_MAX)?,
                };
                let (halves, weak) = (Arc::clone(&this.halves), lua.weak());
                make_tokio_awaitable(lua, &this.label, AwaitKind::Io, &this.read_source, move || async move {
                    let mut slot = halves.read.lock().await;
                    let Some(half) = slot.as_mut() else { return Err(closed_fault("read")) };
                    let mut bytes = vec![0; count];
                    let Some(read) = halves.unless_closed(half.read(&mut bytes)).await else {
                        *slot = None;
                        return Err(closed_fault("read"));
                    };
                    let read = read.map_err(|error| io_fault("reading", &error))?;
                    let text = weak.try_upgrade().filter(|_| read > 0).map(|lua| lua.create_string(&bytes[..read]));
                    let text = text.transpose().map_err(|error| ScriptFault::new(error.to_string()))?;
                    Ok(MultiValue::from_iter([text.map_or(Value::Nil, Value::String)]))
                })
            });
        }
        methods.add_method("write", |lua, this, text: Value| {
            let Value::String(text) = text else {
                let fault =
                    ScriptFault::new(format!("write needs a string, but got {}", describe(&text))).token("write");
                return Err(this.label.host.usage_error(lua, fault));
            };
            let (halves, payload) = (Arc::clone(&this.halves), OutgoingText::new(lua, text));
            make_tokio_awaitable(lua, &this.label, AwaitKind::Io, &this.write_source, move || async move {
                let mut slot = halves.write.lock().await;
                let Some(half) = slot.as_mut() else { return Err(closed_fault("write")) };
                let write = async {
                    for chunk in payload.chunks() {
                        half.write_all(&chunk).await?;
                    }
                    Ok::<_, std::io::Error>(())
                };
                let written = halves.unless_closed(write).await;
                if halves.is_finished.load(Ordering::Acquire) {
                    *slot = None;
                }
                written.ok_or_else(|| closed_fault("write"))?.map_err(|error| io_fault("writing", &error))?;
                Ok(MultiValue::new())
            })
        });
        // Shuts down the write half: the peer reads nil. Reading is still possible.
        methods.add_method("finish", |_, this, ()| {
            this.halves.finish();
            Ok(())
        });
        methods.add_method("close", |_, this, ()| {
            this.halves.close();
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("socket"));
    }
}
