//! Connections, on tokio's own: on the real clock only, and only to this machine unless the person allows more.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{Either, select};
use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as Turn, Notify};

use super::Host;
use super::address::{Address, failed, needs_real_clock};
use super::awaitable::waiting;
use super::label::{Label, whole};
use super::language::describe;
use super::payload::Payload;
use crate::trace::{AwaitKind, ResourceKind};
use crate::workload::fault::Fault;

/// Bytes of one read.
const READ_BYTES_MAX: usize = 1 << 20;

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "tcp_listen", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, at: Value| {
        needs_real_clock(lua, host, source)?;
        let at = local(lua, host, source, &at)?;
        let label = Label::new(lua, host, "tcp_listen", ResourceKind::Other, 0, &Value::Nil)?;
        let bound = std::net::TcpListener::bind(at)
            .and_then(|listener| {
                listener.set_nonblocking(true)?;
                let port = listener.local_addr()?.port();
                Ok((label.made(lua, || TcpListener::from_std(listener)).map_err(std::io::Error::other)??, port))
            })
            .map_err(|error| host.misuse(lua, failed(&format!("listening at {at}"), &error).token(&**source)))?;
        let at_accept = label.source("accept");
        Ok(Listener { label, listener: Arc::new(bound.0), port: bound.1, at_accept })
    });
    word!(lua, host, "tcp_connect", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, to: Value| {
        needs_real_clock(lua, host, source)?;
        let to = Address::read(lua, host, source, &to)?;
        let label = Label::new(lua, host, "tcp_connect", ResourceKind::Other, 0, &Value::Nil)?;
        let socket = Socket::new(lua, host)?;
        let (streams, socket) = (Arc::clone(&socket.halves), lua.create_userdata(socket)?);
        waiting(lua, &label, AwaitKind::Io, source, move || async move {
            let stream = TcpStream::connect(&to.resolve().await?[..]).await;
            streams.open(stream.map_err(|error| failed("connecting", &error))?).await;
            Ok(MultiValue::from_iter([Value::UserData(socket)]))
        })
    });
    Ok(())
}

/// Where a socket of this machine's is to be: a free port unless the script says which.
pub(super) fn local(lua: &Lua, host: &Host, by: &str, at: &Value) -> mlua::Result<SocketAddr> {
    let at = if at.is_nil() { Address::FREE } else { Address::read(lua, host, by, at)? };
    at.literal().ok_or_else(|| {
        let fault = Fault::new(format!("{by} needs a number for its host, and got a name")).token(by);
        host.misuse(lua, fault.hint("write the machine's own address, such as \"127.0.0.1:8080\""))
    })
}

struct Listener {
    label: Label,
    listener: Arc<TcpListener>,
    port: u16,
    at_accept: Arc<str>,
}

impl UserData for Listener {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("port", |_, this, ()| Ok(this.port));
        for name in ["accept", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let socket = Socket::new(lua, &this.label.host)?;
                let (streams, socket) = (Arc::clone(&socket.halves), lua.create_userdata(socket)?);
                let listener = Arc::clone(&this.listener);
                waiting(lua, &this.label, AwaitKind::Io, &this.at_accept, move || async move {
                    let (stream, _) = listener.accept().await.map_err(|error| failed("accepting", &error))?;
                    streams.open(stream).await;
                    Ok(MultiValue::from_iter([Value::UserData(socket)]))
                })
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("listener on port {}", this.port)));
    }
}

/// The two ways of a connection, each used by one task at a time.
#[derive(Default)]
struct Halves {
    read: Turn<Option<OwnedReadHalf>>,
    write: Turn<Option<OwnedWriteHalf>>,
    /// The script closed it, or finished writing: whoever is at it lets go.
    is_closed: AtomicBool,
    is_finished: AtomicBool,
    closing: Notify,
}

impl Halves {
    async fn open(&self, stream: TcpStream) {
        let (read, write) = stream.into_split();
        *self.read.lock().await = Some(read);
        *self.write.lock().await = Some(write);
    }

    /// Waits for `work`, unless the socket is closed meanwhile.
    async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        // Asked for before looking: a close in between must not be missed.
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

fn closed(by: &str) -> Fault {
    Fault::new("the socket is closed").token(by)
}

struct Socket {
    label: Label,
    halves: Arc<Halves>,
    at_read: Arc<str>,
    at_write: Arc<str>,
}

impl Socket {
    fn new(lua: &Lua, host: &Arc<Host>) -> mlua::Result<Self> {
        let label = Label::new(lua, host, "socket", ResourceKind::Other, 0, &Value::Nil)?;
        let halves = label.made(lua, Arc::default)?;
        Ok(Self { halves, at_read: label.source("read"), at_write: label.source("write"), label })
    }
}

impl UserData for Socket {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Up to so many bytes, as soon as there are any; nil once the other side has closed.
        for name in ["read", "next"] {
            methods.add_method(name, |lua, this, count: Value| {
                let count = match count {
                    Value::Nil => 64 << 10,
                    count => whole(lua, &this.label.host, "read", &count, 1, READ_BYTES_MAX)?,
                };
                let (halves, weak) = (Arc::clone(&this.halves), lua.weak());
                waiting(lua, &this.label, AwaitKind::Io, &this.at_read, move || async move {
                    let mut slot = halves.read.lock().await;
                    let Some(half) = slot.as_mut() else { return Err(closed("read")) };
                    let mut bytes = vec![0; count];
                    let Some(read) = halves.unless_closed(half.read(&mut bytes)).await else {
                        *slot = None;
                        return Err(closed("read"));
                    };
                    let read = read.map_err(|error| failed("reading", &error))?;
                    let text = weak.try_upgrade().filter(|_| read > 0).map(|lua| lua.create_string(&bytes[..read]));
                    let text = text.transpose().map_err(|error| Fault::new(error.to_string()))?;
                    Ok(MultiValue::from_iter([text.map_or(Value::Nil, Value::String)]))
                })
            });
        }
        methods.add_method("write", |lua, this, text: Value| {
            let Value::String(text) = text else {
                let fault = Fault::new(format!("write needs a text, and got {}", describe(&text))).token("write");
                return Err(this.label.host.misuse(lua, fault));
            };
            let (halves, payload) = (Arc::clone(&this.halves), Payload::new(lua, text));
            waiting(lua, &this.label, AwaitKind::Io, &this.at_write, move || async move {
                let mut slot = halves.write.lock().await;
                let Some(half) = slot.as_mut() else { return Err(closed("write")) };
                let write = async {
                    for piece in payload.pieces() {
                        half.write_all(&piece).await?;
                    }
                    Ok::<_, std::io::Error>(())
                };
                let written = halves.unless_closed(write).await;
                if halves.is_finished.load(Ordering::Acquire) {
                    *slot = None;
                }
                written.ok_or_else(|| closed("write"))?.map_err(|error| failed("writing", &error))?;
                Ok(MultiValue::new())
            })
        });
        // Says that nothing more will be written: the other side reads nil. What comes can still be read.
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
