//! Parses socket addresses and checks whether the script may use them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mlua::{Lua, Value};

use super::resource_label::whole_number;
use super::script_host::ScriptHost;
use super::values::describe;
use crate::control::ClockKind;
use crate::workload::fault::ScriptFault;

/// Maximum length of a host name: the limit of DNS.
const NAME_CHARS_MAX: usize = 253;

/// A socket address that the script is allowed to use.
#[derive(Clone, Debug)]
pub(super) struct NetAddress {
    host: NetHost,
    port: u16,
}

#[derive(Clone, Debug)]
enum NetHost {
    Ip(IpAddr),
    Name(String),
}

impl NetAddress {
    /// 127.0.0.1 with a free port that the system chooses.
    pub const LOCAL_FREE_PORT: Self = Self { host: NetHost::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: 0 };

    /// Reads an address argument of the function `by`.
    ///
    /// Accepts `8080`, `"127.0.0.1:8080"`, `"[::1]:8080"` and `"example.org:80"`. A number is a port on 127.0.0.1.
    /// Without the network permission, only loopback addresses are accepted, and no name is resolved.
    pub fn from_argument(lua: &Lua, host: &ScriptHost, by: &str, value: &Value) -> mlua::Result<Self> {
        let text = match value {
            Value::String(text) => text.to_string_lossy(),
            port => {
                let port = whole_number(lua, host, by, port, 0, usize::from(u16::MAX))? as u16;
                return Ok(Self { port, ..Self::LOCAL_FREE_PORT });
            }
        };
        let Some(address) = Self::parse(&text) else {
            let fault = ScriptFault::new(format!("{by} needs an address, but got {}", describe(value))).token(by);
            return Err(host.usage_error(lua, fault.hint("write a port, or a string such as \"127.0.0.1:8080\"")));
        };
        if !address.is_loopback_host() && !host.permissions.net {
            let fault =
                ScriptFault::new(format!("{by} may not reach {text}: a script reaches only this machine")).token(by);
            return Err(host.usage_error(lua, fault.hint("use 127.0.0.1, or allow it: loopscope run … --allow-net")));
        }
        Ok(address)
    }

    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(Self { host: NetHost::Ip(address.ip()), port: address.port() });
        }
        let (name, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        // `localhost` is not resolved, so that its meaning does not depend on a name server.
        if name == "localhost" {
            return Some(Self { port, ..Self::LOCAL_FREE_PORT });
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_short = !name.is_empty() && name.len() <= NAME_CHARS_MAX;
        (is_short && name.chars().all(is_name)).then(|| Self { host: NetHost::Name(name.to_owned()), port })
    }

    fn is_loopback_host(&self) -> bool {
        matches!(self.host, NetHost::Ip(ip) if ip.is_loopback())
    }

    /// Returns the socket address, or `None` for a host name.
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        match self.host {
            NetHost::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            NetHost::Name(_) => None,
        }
    }

    /// Returns the socket addresses. A host name is resolved.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, ScriptFault> {
        match &self.host {
            NetHost::Ip(ip) => Ok(vec![SocketAddr::new(*ip, self.port)]),
            NetHost::Name(name) => {
                let found = tokio::net::lookup_host((name.as_str(), self.port)).await;
                Ok(found.map_err(|error| io_fault(&format!("looking up {name}"), &error))?.collect())
            }
        }
    }
}

/// Fails on a virtual clock, where real I/O would make timers fire early.
pub(super) fn require_real_clock(lua: &Lua, host: &ScriptHost, word: &str) -> mlua::Result<()> {
    if host.loop_handle(lua, word)?.clock() == ClockKind::Real {
        return Ok(());
    }
    let fault = ScriptFault::new(format!("{word} needs the real clock")).token(word);
    Err(host.usage_error(lua, fault.hint("write clock = \"real\" in the manifest, or run it with --clock real")))
}

/// Converts an I/O error: `WHAT failed: ERROR`.
pub(super) fn io_fault(what: &str, error: &std::io::Error) -> ScriptFault {
    ScriptFault::new(format!("{what} failed: {error}")).token("await")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_addresses_and_detects_loopback() {
        for (text, here) in [
            ("127.0.0.1:80", true),
            ("localhost:80", true),
            ("127.9.9.9:1", true),
            ("[::1]:80", true),
            ("0.0.0.0:0", false),
            ("10.0.0.1:80", false),
            ("[::]:80", false),
            ("[::ffff:127.0.0.1]:80", false),
            ("example.org:80", false),
            ("localhost.example.org:80", false),
        ] {
            assert_eq!(NetAddress::parse(text).map(|address| address.is_loopback_host()), Some(here), "{text}");
        }
        for text in ["", ":80", "127.0.0.1", "a b:80", "example.org:99999", "::1:80", "example.org:", "a/b:80"] {
            assert!(NetAddress::parse(text).is_none(), "{text}");
        }
    }
}
