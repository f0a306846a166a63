//! How a program sets the probe up.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing_core::Dispatch;

use crate::protocol::SOCKET_VARIABLE;
use crate::socket::{ListeningSocket, remove_own};
use crate::subscriber::ProbeSubscriber;
use crate::{clock, connection, hello, recorder};

/// How long a program that loopscope has started waits until recording begins.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The parts of the process that exist once.
struct Process {
    pid: u32,
    socket: Option<PathBuf>,
    problem: Option<String>,
}

static PROCESS: Mutex<Option<Process>> = Mutex::new(None);

/// Keeps the probe's socket. Dropping it sends what was recorded and removes the socket.
#[must_use = "the probe ends when this is dropped"]
#[derive(Debug)]
pub struct Guard {
    pid: u32,
    socket: Option<PathBuf>,
    problem: Option<String>,
}

impl Guard {
    /// Permits everyone who can connect to the socket, which is this user, to pause, step and cancel.
    pub fn allow_control(self) -> Self {
        hello::allow_control();
        self
    }

    /// Returns the path of the socket on which the program listens; `None` if it does not.
    pub fn socket(&self) -> Option<&std::path::Path> {
        self.socket.as_deref()
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
    Builder { memory_limit: None, recorder: None, panic_path: None }
}

/// Options of the probe. [`builder`] returns it.
#[derive(Clone, Debug)]
#[must_use = "the probe starts with `init` or `layer`"]
pub struct Builder {
    memory_limit: Option<usize>,
    /// Duration and bytes of the flight recorder.
    recorder: Option<(Duration, usize)>,
    panic_path: Option<PathBuf>,
}

impl Builder {
    /// Permits everyone who can connect to the socket, which is this user, to pause, step and cancel.
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
        start(problem)
    }
}

/// Returns what the build lacks.
fn build_problem() -> Option<String> {
    let problem = "built without `--cfg tokio_unstable`: tokio reports no polls, wakes or resources";
    (!cfg!(tokio_unstable)).then(|| problem.to_owned())
}

/// Starts to listen, once in a process, and returns a guard.
fn start(problem: Option<String>) -> Guard {
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
        *process = Some(Process { pid, socket, problem: problem.or(connection_problem) });
    }
    let (socket, problem) =
        process.as_ref().map_or((None, None), |process| (process.socket.clone(), process.problem.clone()));
    Guard { pid, socket, problem }
}

/// Connects to the loopscope that has started this program, and waits until it records.
fn connect(path: &std::path::Path) -> std::io::Result<()> {
    let stream = UnixStream::connect(path)?;
    let (sender, receiver) = mpsc::channel();
    connection::serve(stream, move || {
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
                Ok(stream) => connection::serve(stream, || {}),
                // Such as too many open files: a later connection may succeed.
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    })?;
    Ok(path)
}
