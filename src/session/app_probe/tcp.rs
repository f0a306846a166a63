//! Connects to the TCP port of a program with the probe: `probe://HOST:PORT`.
//!
//! Each side proves that it knows the secret, before anything else is sent.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::{Duration, Instant};

use loopscope_probe::PeerStream;
use loopscope_probe::handshake::{NONCE_BYTES, OPENING, PROOF_BYTES, Side, is_equal, new_nonce, proof, read_array};

use crate::feed::wire::{AddressError, ConsoleAddress};

/// How long to wait for each address of a host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;

/// How long the program may take for its proof.
const PROOF_TIMEOUT: Duration = Duration::from_secs(5);

/// Address of the TCP port of a program with the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeAddress {
    /// Host name or IP address; IPv6 without brackets.
    host: String,
    port: u16,
}

impl FromStr for ProbeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let invalid = || AddressError::Probe(text.to_owned());
        let authority = text.trim().strip_prefix("probe://").ok_or_else(invalid)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        // There is no default port.
        let (host, port) = authority.rsplit_once(':').ok_or_else(invalid)?;
        let has_port = host.ends_with(']') || !host.is_empty() && !host.contains(':');
        match format!("http://{authority}").parse() {
            Ok(ConsoleAddress::Tcp { host, port: number }) if has_port && port.parse() == Ok(number) => {
                Ok(Self { host, port: number })
            }
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for ProbeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "probe://[{host}]:{port}") } else { write!(f, "probe://{host}:{port}") }
    }
}

/// Connects to a program and proves that this side knows its secret.
///
/// # Errors
/// Returns a message for the user if the program cannot be reached, or if either side does not know the secret.
pub fn connect_tcp(address: &ProbeAddress, secret: &[u8]) -> Result<PeerStream, String> {
    let stream = connect(address).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PROOF_TIMEOUT;
    exchange_proofs(&stream, secret, deadline).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "it closed the connection: the secret is wrong, or too many others connect".to_owned()
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it does not answer: it may be another program".to_owned(),
        _ => error.to_string(),
    })?;
    Ok(PeerStream::Tcp(stream))
}

fn connect(ProbeAddress { host, port }: &ProbeAddress) -> io::Result<TcpStream> {
    let mut result = Err(io::Error::new(ErrorKind::NotFound, "the host has no address"));
    for address in (host.as_str(), *port).to_socket_addrs()?.take(ADDRESSES_MAX) {
        result = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
        if result.is_ok() {
            break;
        }
    }
    let stream = result?;
    stream.set_nodelay(true)?;
    detect_loss(&stream)?;
    Ok(stream)
}

/// Has the system notice within about half a minute that the other machine is gone.
#[cfg(target_os = "linux")]
fn detect_loss(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;

    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn detect_loss(_stream: &TcpStream) -> io::Result<()> {
    Ok(())
}

fn exchange_proofs(mut stream: &TcpStream, secret: &[u8], deadline: Instant) -> io::Result<()> {
    stream.set_write_timeout(Some(PROOF_TIMEOUT))?;
    let mut nonces = [new_nonce()?, [0; NONCE_BYTES]];
    stream.write_all(&[&OPENING[..], &nonces[0]].concat())?;
    nonces[1] = read_array(stream, deadline)?;
    stream.write_all(&proof(secret, Side::Loopscope, &nonces))?;
    let given: [u8; PROOF_BYTES] = read_array(stream, deadline)?;
    if !is_equal(&given, &proof(secret, Side::Program, &nonces)) {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "the program there does not know the secret"));
    }
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn parses_addresses_with_a_port() {
        let parse = |text: &str| text.parse::<ProbeAddress>().map(|address| address.to_string());
        for text in ["probe://127.0.0.1:7000", "probe://my-host.example:1", "probe://[::1]:65535"] {
            assert_eq!(parse(text).as_deref(), Ok(text));
        }
        assert_eq!(parse(" probe://localhost:7000/ ").as_deref(), Ok("probe://localhost:7000"));
        for text in [
            "127.0.0.1:7000",
            "probe://",
            "probe://host",
            "probe://7000",
            "probe://:7000",
            "probe://host:0",
            "probe://host:65536",
            "probe://host:+7",
            "probe://::1",
            "probe://[::1]",
            "probe://secret@host:7000",
            "probe://host:7000/path",
            "probe://a b:7000",
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains("help: use probe://HOST:PORT"), "{error}");
        }
    }

    /// Programs at the other end that are none with the probe, or do not know the secret.
    #[test]
    fn other_programs_are_refused() {
        let cases: [(&[u8], &str); 4] = [
            (b"", "it closed the connection"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it closed the connection"),
            (&[7; NONCE_BYTES], "it closed the connection"),
            (&[7; 100], "does not know the secret"),
        ];
        for (answer, expected) in cases {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let other = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut opening = [0; OPENING.len() + NONCE_BYTES];
                stream.read_exact(&mut opening).expect("the opening");
                stream.write_all(answer).expect("written");
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
                rest
            });
            let address = ProbeAddress { host: "127.0.0.1".to_owned(), port };
            let secret = b"0123456789abcdef";
            let error = connect_tcp(&address, secret).expect_err("no program with the probe");
            assert!(error.contains(expected), "{error}");
            let sent = other.join().expect("it is not stuck");
            assert!(sent.len() <= PROOF_BYTES && !sent.windows(4).any(|part| secret.starts_with(part)));
        }
    }
}
