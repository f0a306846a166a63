//! `udp()`: datagrams, on tokio's own. They come whole or not at all, in no order that anybody promises.

use std::sync::Arc;

use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::net::UdpSocket;

use super::Host;
use super::address::{Address, failed, needs_real_clock};
use super::awaitable::waiting;
use super::label::Label;
use super::language::describe;
use super::net::local;
use super::payload::Payload;
use crate::trace::{AwaitKind, ResourceKind};
use crate::workload::fault::Fault;

/// Bytes of the largest datagram that there can be.
const DATAGRAM_BYTES_MAX: usize = 1 << 16;

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "udp", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, at: Value| {
        needs_real_clock(lua, host, source)?;
        let at = local(lua, host, source, &at)?;
        let label = Label::new(lua, host, "udp", ResourceKind::Other, 0, &Value::Nil)?;
        let (socket, port) = std::net::UdpSocket::bind(at)
            .and_then(|socket| {
                socket.set_nonblocking(true)?;
                let port = socket.local_addr()?.port();
                Ok((label.made(lua, || UdpSocket::from_std(socket)).map_err(std::io::Error::other)??, port))
            })
            .map_err(|error| host.misuse(lua, failed(&format!("listening at {at}"), &error).token(&**source)))?;
        let (at_send, at_recv) = (label.source("send_to"), label.source("recv"));
        Ok(Datagrams { label, socket: Arc::new(socket), port, at_send, at_recv })
    });
    Ok(())
}

struct Datagrams {
    label: Label,
    socket: Arc<UdpSocket>,
    port: u16,
    at_send: Arc<str>,
    at_recv: Arc<str>,
}

impl UserData for Datagrams {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("port", |_, this, ()| Ok(this.port));
        methods.add_method("send_to", |lua, this, (text, to): (Value, Value)| {
            let host = &this.label.host;
            let Value::String(text) = text else {
                let fault = Fault::new(format!("send_to needs a text, and got {}", describe(&text))).token("send_to");
                return Err(host.misuse(lua, fault.hint("write await(socket:send_to(text, port))")));
            };
            let to = Address::read(lua, host, "send_to", &to)?;
            let (socket, payload) = (Arc::clone(&this.socket), Payload::new(lua, text));
            waiting(lua, &this.label, AwaitKind::Io, &this.at_send, move || async move {
                let to = to.resolve().await?.into_iter().next();
                let to = to.ok_or_else(|| Fault::new("no such host is known").token("send_to"))?;
                // One that is too long is for the system to refuse.
                socket
                    .send_to(&payload.beginning(DATAGRAM_BYTES_MAX), to)
                    .await
                    .map_err(|error| failed("sending", &error))?;
                Ok(MultiValue::new())
            })
        });
        // What came, and from where; the address is one that can be sent to.
        for name in ["recv", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let (socket, weak) = (Arc::clone(&this.socket), lua.weak());
                waiting(lua, &this.label, AwaitKind::Io, &this.at_recv, move || async move {
                    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
                    let received = socket.recv_from(&mut bytes).await;
                    let (count, from) = received.map_err(|error| failed("receiving", &error))?;
                    let Some(lua) = weak.try_upgrade() else { return Ok(MultiValue::new()) };
                    let text = |bytes: &[u8]| lua.create_string(bytes).map(Value::String);
                    let told = [text(&bytes[..count]), text(from.to_string().as_bytes())];
                    let told = told.into_iter().collect::<mlua::Result<Vec<_>>>();
                    Ok(MultiValue::from_iter(told.map_err(|error| Fault::new(error.to_string()))?))
                })
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("udp on port {}", this.port)));
    }
}
