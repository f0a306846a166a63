//! `udp()`: UDP sockets, based on tokio's. Datagrams arrive whole or not at all, in no guaranteed order.

use std::sync::Arc;

use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::net::UdpSocket;

use super::address::{NetAddress, io_fault, require_real_clock};
use super::awaitable::make_tokio_awaitable;
use super::outgoing_text::OutgoingText;
use super::resource_label::ResourceLabel;
use super::script_host::ScriptHost;
use super::tcp::bind_address;
use super::values::describe;
use crate::trace::{AwaitKind, ResourceKind};
use crate::workload::fault::ScriptFault;

/// Buffer size for one datagram, at least the largest possible size.
const DATAGRAM_BYTES_MAX: usize = 1 << 16;

pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "udp", |lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, at: Value| {
        require_real_clock(lua, host, source)?;
        let at = bind_address(lua, host, source, &at)?;
        let label = ResourceLabel::new(lua, host, "udp", ResourceKind::Other, 0, &Value::Nil)?;
        let (socket, port) = std::net::UdpSocket::bind(at)
            .and_then(|socket| {
                socket.set_nonblocking(true)?;
                let port = socket.local_addr()?.port();
                Ok((label.untraced(lua, || UdpSocket::from_std(socket)).map_err(std::io::Error::other)??, port))
            })
            .map_err(|error| host.usage_error(lua, io_fault(&format!("listening at {at}"), &error).token(&**source)))?;
        let (send_source, recv_source) = (label.await_source("send_to"), label.await_source("recv"));
        Ok(ScriptUdpSocket { label, socket: Arc::new(socket), port, send_source, recv_source })
    });
    Ok(())
}

struct ScriptUdpSocket {
    label: ResourceLabel,
    socket: Arc<UdpSocket>,
    port: u16,
    send_source: Arc<str>,
    recv_source: Arc<str>,
}

impl UserData for ScriptUdpSocket {
    lua_type_name!("UdpSocket");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("port", |_, this, ()| Ok(this.port));
        methods.add_method("send_to", |lua, this, (text, to): (Value, Value)| {
            let host = &this.label.host;
            let Value::String(text) = text else {
                let fault =
                    ScriptFault::new(format!("send_to needs a string, but got {}", describe(&text))).token("send_to");
                return Err(host.usage_error(lua, fault.hint("write await(socket:send_to(text, port))")));
            };
            let to = NetAddress::from_argument(lua, host, "send_to", &to)?;
            let (socket, payload) = (Arc::clone(&this.socket), OutgoingText::new(lua, text));
            make_tokio_awaitable(lua, &this.label, AwaitKind::Io, &this.send_source, move || async move {
                let to = to.resolve().await?.into_iter().next();
                let to = to.ok_or_else(|| ScriptFault::new("the host name has no address").token("send_to"))?;
                // The system rejects datagrams that are too long.
                socket
                    .send_to(&payload.prefix(DATAGRAM_BYTES_MAX), to)
                    .await
                    .map_err(|error| io_fault("sending", &error))?;
                Ok(MultiValue::new())
            })
        });
        // Returns the datagram and the sender's address, which `send_to` accepts.
        for name in ["recv", "next"] {
            methods.add_method(name, |lua, this, ()| {
                let (socket, weak) = (Arc::clone(&this.socket), lua.weak());
                make_tokio_awaitable(lua, &this.label, AwaitKind::Io, &this.recv_source, move || async move {
                    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
                    let received = socket.recv_from(&mut bytes).await;
                    let (count, from) = received.map_err(|error| io_fault("receiving", &error))?;
                    let Some(lua) = weak.try_upgrade() else { return Ok(MultiValue::new()) };
                    let text = |bytes: &[u8]| lua.create_string(bytes).map(Value::String);
                    let values = [text(&bytes[..count]), text(from.to_string().as_bytes())];
                    let values = values.into_iter().collect::<mlua::Result<Vec<_>>>();
                    Ok(MultiValue::from_iter(values.map_err(|error| ScriptFault::new(error.to_string()))?))
                })
            });
        }
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("udp on port {}", this.port)));
    }
}
