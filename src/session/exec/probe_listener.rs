//! The socket to which a started app connects with its probe.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use loopscope_probe::protocol::{CLOCK_VARIABLE, SECRET_VARIABLE, SOCKET_VARIABLE};

use super::process::ProbeVariables;
use super::python;
use crate::control::ClockKind;

/// Length of the secret in random bytes.
const SECRET_BYTES: usize = 16;

/// A listening socket, and the secret that permits control of whatever connects.
#[derive(Debug)]
pub struct ProbeListener {
    listener: UnixListener,
    secret: String,
}

impl ProbeListener {
    /// Creates a socket and the module for Python in a private folder. Also returns the variables by which the app finds
    /// them.
    ///
    /// # Errors
    /// Returns an error if the socket, the module or the secret cannot be created.
    pub fn open(folder: &Path, clock: ClockKind) -> io::Result<(Self, ProbeVariables)> {
        let path = folder.join("probe");
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        let mut random = [0; SECRET_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let socket = (SOCKET_VARIABLE, path.into_os_string());
        let mut variables = vec![socket, (SECRET_VARIABLE, secret.clone().into()), python::install(folder)?];
        variables.extend((clock == ClockKind::Virtual).then(|| (CLOCK_VARIABLE, clock.name().into())));
        Ok((Self { listener, secret }, variables))
    }

    /// Returns the next connection, if there is one.
    pub fn accept(&self) -> Option<UnixStream> {
        self.listener.accept().ok().map(|(stream, _)| stream)
    }

    /// Returns the secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}
