//! Addresses as scripts write them, and whether the person lets the script reach them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mlua::{Lua, Value};

use super::Host;
use super::label::whole;
use super::language::describe;
use crate::control::ClockKind;
use crate::workload::fault::Fault;

/// Characters of a host's name; DNS allows no more.
const NAME_CHARS_MAX: usize = 253;

/// A place to listen at or to talk to, which the script may reach.
#[derive(Clone, Debug)]
pub(super) struct Address {
    place: Place,
    port: u16,
}

#[derive(Clone, Debug)]
enum Place {
    At(IpAddr),
    Named(String),
}

impl Address {
    /// A free port of this machine, chosen by the system.
    pub const FREE: Self = Self { place: Place::At(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: 0 };

    /// Reads `8080`, `"127.0.0.1:8080"`, `"[::1]:8080"` or `"example.org:80"`, given to `by`; a port alone is one of this
    /// machine's. Everything else is refused without permission, before any name is looked up.
    pub fn read(lua: &Lua, host: &Host, by: &str, value: &Value) -> mlua::Result<Self> {
        let text = match value {
            Value::String(text) => text.to_string_lossy(),
            port => {
                let port = whole(lua, host, by, port, 0, usize::from(u16::MAX))? as u16;
                return Ok(Self { port, ..Self::FREE });
            }
        };
        let Some(address) = Self::parse(&text) else {
            let fault = Fault::new(format!("{by} needs an address, and got {}", describe(value))).token(by);
            return Err(host.misuse(lua, fault.hint("write a port, or a text such as \"127.0.0.1:8080\"")));
        };
        if !address.is_here() && !host.permissions.net {
            let fault = Fault::new(format!("{by} may not reach {text}: a script reaches only this machine")).token(by);
            return Err(host.misuse(lua, fault.hint("use 127.0.0.1, or allow it: loopscope run … --allow-net")));
        }
        Ok(address)
    }

    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(Self { place: Place::At(address.ip()), port: address.port() });
        }
        let (name, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        // Not looked up: what it means here must not depend on anybody's name server.
        if name == "localhost" {
            return Some(Self { port, ..Self::FREE });
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_short = !name.is_empty() && name.len() <= NAME_CHARS_MAX;
        (is_short && name.chars().all(is_name)).then(|| Self { place: Place::Named(name.to_owned()), port })
    }

    fn is_here(&self) -> bool {
        matches!(self.place, Place::At(ip) if ip.is_loopback())
    }

    /// The one that this is, where it is no name.
    pub fn literal(&self) -> Option<SocketAddr> {
        match self.place {
            Place::At(ip) => Some(SocketAddr::new(ip, self.port)),
            Place::Named(_) => None,
        }
    }

    /// Every one that this may be; a name is looked up.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, Fault> {
        match &self.place {
            Place::At(ip) => Ok(vec![SocketAddr::new(*ip, self.port)]),
            Place::Named(name) => {
                let found = tokio::net::lookup_host((name.as_str(), self.port)).await;
                Ok(found.map_err(|error| failed(&format!("looking up {name}"), &error))?.collect())
            }
        }
    }
}

/// What touches the operating system lives by its clock: real sockets under a virtual one would make timers fire early.
pub(super) fn needs_real_clock(lua: &Lua, host: &Host, word: &str) -> mlua::Result<()> {
    if host.world(lua, word)?.clock() == ClockKind::Real {
        return Ok(());
    }
    let fault = Fault::new(format!("{word} needs the real clock")).token(word);
    Err(host.misuse(lua, fault.hint("write clock = \"real\" in the manifest, or run it with --clock real")))
}

pub(super) fn failed(what: &str, error: &std::io::Error) -> Fault {
    Fault::new(format!("{what} failed: {error}")).token("await")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_this_machine_is_known() {
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
            assert_eq!(Address::parse(text).map(|address| address.is_here()), Some(here), "{text}");
        }
        for text in ["", ":80", "127.0.0.1", "a b:80", "example.org:99999", "::1:80", "example.org:", "a/b:80"] {
            assert!(Address::parse(text).is_none(), "{text}");
        }
    }
}
