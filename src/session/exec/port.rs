//! A port for the app's console, kept for it until it listens there.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// See the module.
///
/// On Linux a port that a socket is bound to, without listening, is given to nobody who asks for any; whoever asks for this
/// one may have it, as the app does. Elsewhere that would keep the app from it too, so there it is only found.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _kept: Option<TcpSocket>,
}

impl Port {
    /// A port of this machine that nobody uses.
    ///
    /// # Errors
    /// Where there is none.
    pub fn keep() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let number = socket.local_addr()?.port();
        Ok(Self { number, _kept: cfg!(target_os = "linux").then_some(socket) })
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn nobody_is_given_it_but_who_asks_for_it() {
        let port = Port::keep().expect("there is a port");
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        // As the system looks for one: without a wish to share.
        let other = TcpSocket::new_v4().expect("a socket can be had");
        assert_eq!(other.bind(at).map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse));
        // Nobody listens yet, which is not to be taken for an answer.
        assert_eq!(TcpStream::connect(at).map_err(|error| error.kind()).err(), Some(io::ErrorKind::ConnectionRefused));
        let app = TcpListener::bind(at).expect("the app may listen there");
        let near = TcpStream::connect(at).expect("it listens");
        let (_far, from) = app.accept().expect("somebody called");
        assert_eq!(near.local_addr().expect("it is connected"), from);
        // And once more after it was restarted.
        drop((app, near, _far));
        TcpListener::bind(at).expect("it may listen there again");
    }
}
