//! How a program sets the probe up.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing_core::Dispatch;

use crate::peer_stream::PeerStream;
use crate::problems::print_problem;
use crate::protocol::SOCKET_VARIABLE;
use crate::socket::{ListeningSocket, remove_own};
use crate::subscriber::ProbeSubscriber;
use crate::tcp::{self, TcpOptions};
use crate::{clock, connection, hello, recorder, signal_dump};

/// How long a program that loopscope has started waits until recording begins.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The parts of the process that exist once.
struct Process {
    pid: u32,
    socket: Option<PathBuf>,
    tcp_address: Option<SocketAddr>,
    problem: Option<String>,
}

static PROCESS: Mutex<Option<Process>> = Mutex::new(None);

/// Keeps the probe's socket. Dropping it sends what was recorded and removes the socket.
#[must_use = "the probe ends when this is dropped"]
#[derive(Debug)]
pub struct Guard {
    pid: u32,
    socket: Option<PathBuf>,
    tcp_address: Option<SocketAddr>,
    problem: Option<String>,
}

impl Guard {
    /// Permits everyone who can connect to pause, step and cancel. That is this user, and whoever knows the secret of
    /// [`Builder::listen_tcp`].
    pub fn allow_control(self) -> Self {
        hello::allow_control();
        self
    }

    /// Returns the path of the socket on which the program listens; `None` if it does not.
    pub fn socket(&self) -> Option<&std::path::Path> {
        self.socket.as_deref()
    }

    /// Returns the TCP address on which the program listens; `None` if it does not.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp_address
    }

    /// Returns what is missing in the set-up, if anything.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            connection::end();
            self.socket.iter().for_each(|path| remove_own(path, self.pid));
        }
    }
}

/// Sets the probe up as [`Builder::init`] does, without options. Call it first in `main`, and keep the guard until the
/// end.
///
/// ```
/// let _probe = loopscope_probe::init().allow_control();
/// ```
pub fn init() -> Guard {
    builder().init()
}

/// Returns a builder with options for the probe.
///
/// ```
/// let _probe = loopscope_probe::builder().memory_limit(16 << 20).init();
/// ```
pub fn builder() -> Builder {
    Builder { memory_limit: None, recorder: None, panic_path: None, signal_dump: None, tcp: None }
}

/// Options of the probe. [`builder`] returns it.
#[derive(Clone, Debug)]
#[must_use = "the probe starts with `init` or `layer`"]
pub struct Builder {
    memory_limit: Option<usize>,
    /// Duration and bytes of the flight recorder.
    recorder: Option<(Duration, usize)>,
    panic_path: Option<PathBuf>,
    /// Signal, and folder of the recordings that it asks for.
    signal_dump: Option<(i32, PathBuf)>,
    tcp: Option<TcpOptions>,
}

impl Builder {
    /// Permits everyone who can connect to pause, step and cancel. That is this user, and whoever knows the secret of
    /// [`Builder::listen_tcp`].
    pub fn allow_control(self) -> Self {
        hello::allow_control();
        self
    }

    /// Limits the memory for records that wait to be sent, in bytes for all threads together; 128 MiB by default. A
    /// thread starts with 16 KiB, which it has in any case, and takes more only while its records do not fit. Records
    /// that do not fit then are dropped and counted.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Keeps the events of at least the last `duration` in memory, unless they need more than `bytes`. [`dump`] writes
    /// them into a file, and `loopscope attach --dump` asks for them. Memory use may exceed `bytes` by a quarter, by a
    /// snapshot of all tasks and resources that live, and by what happens within some milliseconds.
    ///
    /// [`dump`]: crate::dump
    pub fn flight_recorder(mut self, duration: Duration, bytes: usize) -> Self {
        self.recorder = Some((duration, bytes));
        self
    }

    /// Writes what the flight recorder holds into this file at a panic of any thread or task, at most once in 10 s. A
    /// panic hook that is set later replaces this one.
    pub fn dump_on_panic(mut self, path: impl Into<PathBuf>) -> Self {
        self.panic_path = Some(path.into());
        self
    }

    /// Writes what the flight recorder holds into a new file in this folder whenever the process receives this signal,
    /// even if all its other threads are blocked. The name of the file holds the program, its process id and the time,
    /// such as `service-1234-20260131T235959Z.lsprobe`. No file is overwritten. The folder is created if it does not
    /// exist. Errors are printed on standard error.
    ///
    /// The signal is SIGUSR1, SIGUSR2 or a real-time signal of Linux, as its number. Any other is refused, because the
    /// system would no longer do what it does by default: SIGTERM would not end the program.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tokio::signal::unix::SignalKind;
    ///
    /// let _probe = loopscope_probe::builder()
    ///     .flight_recorder(Duration::from_secs(30), 64 << 20)
    ///     .dump_on_signal(SignalKind::user_defined1().as_raw_value(), std::env::temp_dir())
    ///     .init();
    /// ```
    pub fn dump_on_signal(mut self, signal: i32, folder: impl Into<PathBuf>) -> Self {
        self.signal_dump = Some((signal, folder.into()));
        self
    }

    /// Listens on a TCP port as well, for peers that prove that they know the secret, which has at least 16 bytes.
    /// [`Guard::tcp_address`] returns the address, which is useful for port 0.
    ///
    /// Nothing is encrypted: whoever can read the network sees everything but the secret. Listen on 127.0.0.1 and use a
    /// tunnel, such as that of `ssh -L`.
    ///
    /// The environment variable `LOOPSCOPE_PROBE_TCP` asks for the same, with the secret in `LOOPSCOPE_PROBE_TCP_SECRET`
    /// or in the file that `LOOPSCOPE_PROBE_TCP_SECRET_FILE` names. It takes precedence.
    ///
    /// ```
    /// # let secret = b"0123456789abcdef".to_vec();
    /// let probe = loopscope_probe::builder().listen_tcp("127.0.0.1:0", secret).init();
    /// println!("loopscope attach probe://{}", probe.tcp_address().expect("a free port"));
    /// ```
    pub fn listen_tcp(mut self, address: impl ToSocketAddrs, secret: impl Into<Vec<u8>>) -> Self {
        self.tcp = Some(TcpOptions::new(address, secret.into()));
        self
    }

    /// Sets the probe up.
    ///
    /// It becomes the global default subscriber of `tracing`. A program that has another one uses
    /// [`layer`](crate::layer) instead. Nothing here fails: [`Guard::problem`] says what is missing.
    pub fn init(self) -> Guard {
        self.apply();
        let mut problem = build_problem();
        if !hello::is_subscribed() {
            match tracing_core::dispatcher::set_global_default(Dispatch::new(ProbeSubscriber)) {
                Ok(()) => hello::set_subscribed(),
                Err(_) => {
                    let other = "another `tracing` subscriber is set: use `loopscope_probe::layer()`";
                    problem = Some(other.to_owned());
                }
            }
        }
        self.start(problem)
    }

    /// Returns a layer for a `tracing_subscriber` registry, as [`layer`](crate::layer) does, with these options.
    #[cfg(feature = "layer")]
    pub fn layer<S>(self) -> crate::ProbeLayer<S>
    where
        S: tracing_core::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    {
        self.apply();
        hello::set_subscribed();
        // The guard of a later `init` ends the probe.
        std::mem::forget(self.start(build_problem()));
        crate::layer::new()
    }

    fn apply(&self) {
        clock::start();
        self.memory_limit.into_iter().for_each(crate::ring::set_total_bytes_max);
    }

    /// Starts the flight recorder and listens.
    fn start(self, mut problem: Option<String>) -> Guard {
        if let Some((duration, bytes)) = self.recorder
            && let Err(error) = recorder::start(duration, bytes)
        {
            problem.get_or_insert(format!("no flight recorder: {error}"));
        }
        self.panic_path.into_iter().for_each(recorder::dump_on_panic);
        if let Some((signal, folder)) = self.signal_dump
            && let Err(error) = signal_dump::start(signal, folder)
        {
            let error = format!("no flight recording at a signal: {error}");
            print_problem(&error);
            problem.get_or_insert(error);
        }
        start(problem, self.tcp)
    }
}

/// Returns what the build lacks.
fn build_problem() -> Option<String> {
    let problem = "built without `--cfg tokio_unstable`: tokio reports no polls, wakes or resources";
    (!cfg!(tokio_unstable)).then(|| problem.to_owned())
}

/// Starts to listen, once in a process, and returns a guard.
fn start(problem: Option<String>, tcp: Option<TcpOptions>) -> Guard {
    let pid = std::process::id();
    let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    // A forked child has a probe of its own.
    let is_first = process.as_ref().is_none_or(|process| process.pid != pid);
    if is_first {
        let (socket, connection_problem) = match std::env::var_os(SOCKET_VARIABLE) {
            Some(path) => (None, connect(&PathBuf::from(path)).err()),
            None => match listen() {
                Ok(path) => (Some(path), None),
                Err(error) => (None, Some(error)),
            },
        };
        let connection_problem = connection_problem.map(|error| format!("cannot be attached to: {error}"));
        let (tcp_address, tcp_problem) = match tcp::listen(tcp) {
            Ok(address) => (address, None),
            Err(error) => (None, Some(format!("does not listen on TCP: {error}"))),
        };
        // Whoever asked for a port expects it, and may not read the guard.
        tcp_problem.iter().for_each(print_problem);
        let problem = problem.or(tcp_problem).or(connection_problem);
        *process = Some(Process { pid, socket, tcp_address, problem });
    }
    match &*process {
        Some(Process { socket, tcp_address, problem, .. }) => {
            Guard { pid, socket: socket.clone(), tcp_address: *tcp_address, problem: problem.clone() }
        }
        None => Guard { pid, socket: None, tcp_address: None, problem: None },
    }
}

/// Connects to the loopscope that has started this program, and waits until it records.
fn connect(path: &std::path::Path) -> std::io::Result<()> {
    let stream = UnixStream::connect(path)?;
    let (sender, receiver) = mpsc::channel();
    connection::serve(PeerStream::Unix(stream), move || {
        // The receiver is gone after the timeout.
        let _ = sender.send(());
    });
    let _ = receiver.recv_timeout(START_TIMEOUT);
    Ok(())
}

fn listen() -> std::io::Result<PathBuf> {
    let socket = ListeningSocket::bind()?;
    let path = socket.path;
    connection::spawn_thread(move || {
        for stream in socket.listener.incoming() {
            match stream {
                Ok(stream) => connection::serve(PeerStream::Unix(stream), || {}),
                // Such as too many open files: a later connection may succeed.
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    })?;
    Ok(path)
}
