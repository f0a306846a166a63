//! Sockets, on tokio's own: on the real clock only, and on this machine only.

use std::net::Ipv4Addr;
use std::sync::Arc;

use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex as Turn;

use super::Host;
use super::awaitable::waiting;
use super::label::{Label, whole};
use super::language::describe;
use crate::control::ClockKind;
use crate::trace::{AwaitKind, ResourceKind};
use crate::workload::fault::Fault;

/// Bytes of one read.
const READ_BYTES_MAX: usize = 1 << 20;

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "tcp_listen", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, ()| {
        allow(lua, host, source)?;
        let label = Label::new(lua, host, "tcp_listen", ResourceKind::Other, 0, &Value::Nil)?;
        let bound = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| {
                listener.set_nonblocking(true)?;
                let port = listener.local_addr()?.port();
                Ok((label.made(lua, || TcpListener::from_std(listener)).map_err(std::io::Error::other)??, port))
            })
            .map_err(|error| host.misuse(lua, Fault::new(format!("no port to listen on: {error}")).token(&**source)))?;
        let at_accept = label.source("accept");
        Ok(Listener { label, listener: Arc::new(bound.0), port: bound.1, at_accept })
    });
    word!(lua, host, "tcp_connect", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, port: Value| {
        allow(lua, host, source)?;
        let port = whole(lua, host, source, &port, 1, usize::from(u16::MAX))? as u16;
        let label = Label::new(lua, host, "tcp_connect", ResourceKind::Other, 0, &Value::Nil)?;
        let socket = Socket::new(lua, host)?;
        let (streams, socket) = (Arc::clone(&socket.halves), lua.create_userdata(socket)?);
        waiting(lua, &label, AwaitKind::Io, source, move || async move {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
            streams.open(stream.map_err(|error| failed("connecting", &error))?).await;
            Ok(MultiValue::from_iter([Value::UserData(socket)]))
        })
    });
    Ok(())
}

/// Real sockets on a virtual clock would make timers fire early.
fn allow(lua: &Lua, host: &Host, word: &str) -> mlua::Result<()> {
    if host.world(lua, word)?.clock() == ClockKind::Real {
        return Ok(());
    }
    let fault = Fault::new(format!("{word} needs the real clock")).token(word);
    Err(host.misuse(lua, fault.hint("write clock = \"real\" in the manifest, or run it with --clock real")))
}

fn failed(what: &str, error: &std::io::Error) -> Fault {
    Fault::new(format!("{what} failed: {error}")).token("await")
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
}

impl Halves {
    async fn open(&self, stream: TcpStream) {
        let (read, write) = stream.into_split();
        *self.read.lock().await = Some(read);
        *self.write.lock().await = Some(write);
    }
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
        methods.add_method("read", |lua, this, count: Value| {
            let count = match count {
                Value::Nil => 64 << 10,
                count => whole(lua, &this.label.host, "read", &count, 1, READ_BYTES_MAX)?,
            };
            let (halves, weak) = (Arc::clone(&this.halves), lua.weak());
            waiting(lua, &this.label, AwaitKind::Io, &this.at_read, move || async move {
                let mut half = halves.read.lock().await;
                let Some(half) = half.as_mut() else { return Err(Fault::new("the socket is closed").token("read")) };
                let mut bytes = vec![0; count];
                let read = half.read(&mut bytes).await.map_err(|error| failed("reading", &error))?;
                let text = weak.try_upgrade().filter(|_| read > 0).map(|lua| lua.create_string(&bytes[..read]));
                let text = text.transpose().map_err(|error| Fault::new(error.to_string()))?;
                Ok(MultiValue::from_iter([text.map_or(Value::Nil, Value::String)]))
            })
        });
        methods.add_method("write", |lua, this, text: Value| {
            let Value::String(text) = text else {
                let fault = Fault::new(format!("write needs a text, and got {}", describe(&text))).token("write");
                return Err(this.label.host.misuse(lua, fault));
            };
            let (halves, bytes) = (Arc::clone(&this.halves), text.as_bytes().to_vec());
            waiting(lua, &this.label, AwaitKind::Io, &this.at_write, move || async move {
                let mut half = halves.write.lock().await;
                let Some(half) = half.as_mut() else { return Err(Fault::new("the socket is closed").token("write")) };
                half.write_all(&bytes).await.map_err(|error| failed("writing", &error))?;
                Ok(MultiValue::new())
            })
        });
        // Says that nothing more will be written: the other side reads nil. What comes can still be read.
        methods.add_method("finish", |_, this, ()| {
            if let Ok(mut half) = this.halves.write.try_lock() {
                *half = None;
            }
            Ok(())
        });
        methods.add_method("close", |_, this, ()| {
            if let (Ok(mut read), Ok(mut write)) = (this.halves.read.try_lock(), this.halves.write.try_lock()) {
                (*read, *write) = (None, None);
            }
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("socket"));
    }
}
