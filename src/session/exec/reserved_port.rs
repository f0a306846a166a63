//! Reserving a TCP port for the app's console.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A local TCP port that is reserved until the app binds it.
///
/// On Linux, a bound socket with `SO_REUSEADDR` that does not listen keeps the port from being assigned automatically,
/// but does not prevent the app from binding it explicitly. On other systems it would, so there the port is only
/// chosen.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    /// The reserving socket.
    _socket: Option<TcpSocket>,
}

impl ReservedPort {
    /// Reserves an unused port.
    ///
    /// # Errors
    /// Returns an error if no port is available.
    pub fn reserve() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let number = socket.local_addr()?.port();
        Ok(Self { number, _socket: cfg!(target_os = "linux").then_some(socket) })
    }

    /// Returns the port number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn reserved_port_is_bound_only_explicitly() {
        let port = ReservedPort::reserve().expect("reserve a port");
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        // Without `SO_REUSEADDR`, as in an automatic assignment.
        let other = TcpSocket::new_v4().expect("create a socket");
        assert_eq!(other.bind(at).map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse));
        // A client must not mistake the reserving socket for the app.
        assert_eq!(TcpStream::connect(at).map_err(|error| error.kind()).err(), Some(io::ErrorKind::ConnectionRefused));
        let app = TcpListener::bind(at).expect("the app can bind the port");
        let client = TcpStream::connect(at).expect("the app listens");
        let (server, from) = app.accept().expect("accept the connection");
        assert_eq!(client.local_addr().expect("the client is connected"), from);
        // A restarted app can bind it again.
        drop((app, client, server));
        TcpListener::bind(at).expect("the app can bind the port again");
    }
}
