//! The TCP port on which a program listens if it was asked to.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::connection;
use crate::handshake::{
    ADDRESS_VARIABLE, NONCE_BYTES, OPENING, PROOF_BYTES, SECRET_FILE_VARIABLE, SECRET_VARIABLE, Side, check_secret,
    is_equal, new_nonce, proof, read_array, secret_of_environment,
};
use crate::peer_stream::PeerStream;

/// How long a peer may take for its proof, all of it together.
const PROOF_TIMEOUT: Duration = Duration::from_secs(5);

/// Peers that may be about to prove that they know the secret. Further ones are closed.
const UNPROVEN_MAX: usize = 16;

/// After this many milliseconds without an acknowledgement, Linux ends a connection. A program that is paused by a peer
/// which has vanished resumes then. A peer that is only slow, or suspended, still acknowledges.
const UNACKNOWLEDGED_MS_MAX: u32 = 60_000;

/// How long to wait after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Number of peers that have not proven anything yet.
static UNPROVEN: AtomicUsize = AtomicUsize::new(0);

/// A secret, which no debug output shows.
#[derive(Clone)]
struct TcpSecret(Vec<u8>);

impl fmt::Debug for TcpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TcpSecret")
    }
}

/// Where to listen, and the secret that peers have to know.
#[derive(Clone, Debug)]
pub(crate) struct TcpOptions {
    addresses: Result<Vec<SocketAddr>, String>,
    secret: TcpSecret,
}

impl TcpOptions {
    pub(crate) fn new(address: impl ToSocketAddrs, secret: Vec<u8>) -> Self {
        let addresses = address.to_socket_addrs().map(Iterator::collect).map_err(|error| error.to_string());
        Self { addresses, secret: TcpSecret(secret) }
    }

    /// Returns what the environment asks for, if anything.
    fn of_environment() -> Result<Option<Self>, String> {
        let Some(address) = std::env::var_os(ADDRESS_VARIABLE).filter(|address| !address.is_empty()) else {
            return Ok(None);
        };
        let address = address.into_string().map_err(|_| format!("{ADDRESS_VARIABLE} is not text"))?;
        match secret_of_environment()? {
            Some(secret) => Ok(Some(Self::new(address, secret))),
            None => Err(format!("without a secret: set {SECRET_VARIABLE} or {SECRET_FILE_VARIABLE}")),
        }
    }
}

/// Listens as the environment asks, or else as the program does. Returns the address, if either does.
pub(crate) fn listen(of_program: Option<TcpOptions>) -> Result<Option<SocketAddr>, String> {
    let Some(options) = TcpOptions::of_environment()?.or(of_program) else { return Ok(None) };
    check_secret(&options.secret.0)?;
    let addresses = options.addresses?;
    let listener = TcpListener::bind(&addresses[..]).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let secret: Arc<[u8]> = options.secret.0.into();
    connection::spawn_thread(move || accept_all(&listener, &secret)).map_err(|error| error.to_string())?;
    Ok(Some(address))
}

fn accept_all(listener: &TcpListener, secret: &Arc<[u8]>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let Some(unproven) = UnprovenCount::new() else { continue };
        let secret = Arc::clone(secret);
        // Without a thread, there is no connection.
        drop(connection::spawn_thread(move || {
            let is_proven = check_peer(&stream, &secret, Instant::now() + PROOF_TIMEOUT).is_ok();
            drop(unproven);
            if is_proven {
                connection::serve(PeerStream::Tcp(stream), || {});
            }
        }));
    }
}

/// Counts a peer that has not proven anything, as long as this lives.
struct UnprovenCount;

impl UnprovenCount {
    fn new() -> Option<Self> {
        let count = Self;
        (UNPROVEN.fetch_add(1, Ordering::SeqCst) < UNPROVEN_MAX).then_some(count)
    }
}

impl Drop for UnprovenCount {
    fn drop(&mut self) {
        UNPROVEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Has the peer prove that it knows the secret, and proves the same to it.
fn check_peer(mut stream: &TcpStream, secret: &[u8], deadline: Instant) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS_MAX)?;
    stream.set_write_timeout(Some(PROOF_TIMEOUT))?;
    if read_array::<{ OPENING.len() }>(stream, deadline)? != *OPENING {
        return Err(ErrorKind::InvalidData.into());
    }
    let nonces: [[u8; NONCE_BYTES]; 2] = [read_array(stream, deadline)?, new_nonce()?];
    stream.write_all(&nonces[1])?;
    let given: [u8; PROOF_BYTES] = read_array(stream, deadline)?;
    if !is_equal(&given, &proof(secret, Side::Loopscope, &nonces)) {
        return Err(ErrorKind::PermissionDenied.into());
    }
    stream.write_all(&proof(secret, Side::Program, &nonces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_output_shows_the_secret() {
        let options = TcpOptions::new("127.0.0.1:0", b"0123456789abcdef".to_vec());
        let shown = format!("{options:?}");
        assert!(shown.contains("127.0.0.1:0") && shown.contains("TcpSecret"), "{shown}");
        assert!(!shown.contains("0123") && !shown.contains("48, 49"), "{shown}");
    }

    /// A peer that sends a byte now and then does not outlive the deadline.
    #[test]
    fn a_slow_peer_is_closed_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let mut peer = TcpStream::connect(listener.local_addr().expect("address")).expect("connected");
        let (stream, _) = listener.accept().expect("connection");
        peer.write_all(OPENING).expect("sent");
        let error = check_peer(&stream, b"0123456789abcdef", Instant::now()).expect_err("too late");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
