//! The app itself: how it is started, stopped for a while, ended, and how it came out.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::control::Outcome;

/// How long the app may take to end when it is asked to, before it is made to.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// How often the app publishes what only its console tells. Its aggregator takes in no more than 128 events at a time, so
/// this is also how fast names come: 12,800 a second.
const PUBLISH_INTERVAL: &str = "10ms";

/// How long the app's console remembers what is gone. It goes through all of it each time, and nobody else needs it.
const RETENTION: &str = "2s";

/// Where the app's standard input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// From where ours does.
    Ours,
    /// From nowhere: ours is the screen's.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub struct App {
    child: Child,
    /// It leads a process group of its own.
    has_group: bool,
    ended: Option<ExitStatus>,
    /// When it is made to end.
    deadline: Option<Instant>,
}

/// A port on this machine that nobody listens at.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

impl App {
    /// Starts `command`, which is to listen at `port` and to record into `recording`.
    ///
    /// # Errors
    /// Where it cannot be started, in words for a person.
    pub fn start(command: &[OsString], port: u16, recording: &Path, stdin: Stdin) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("there is no command to start")?;
        // A group of its own may not read from the terminal.
        let has_group = stdin == Stdin::Nothing || !std::io::IsTerminal::is_terminal(&io::stdin());
        let mut starting = Command::new(program);
        starting
            .args(arguments)
            .env("TOKIO_CONSOLE_BIND", format!("127.0.0.1:{port}"))
            .env("TOKIO_CONSOLE_PUBLISH_INTERVAL", PUBLISH_INTERVAL)
            .env("TOKIO_CONSOLE_RECORD_PATH", recording)
            .env("TOKIO_CONSOLE_RETENTION", std::env::var_os("TOKIO_CONSOLE_RETENTION").unwrap_or(RETENTION.into()))
            .stdin(if stdin == Stdin::Ours { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if has_group {
            starting.process_group(0);
        }
        let child = starting.spawn().map_err(|error| refusal(program, &error))?;
        Ok(Self { child, has_group, ended: None, deadline: None })
    }

    /// Its standard output and standard error, once.
    pub fn streams(&mut self) -> (Option<std::process::ChildStdout>, Option<std::process::ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// How it came out, once it has. One that was asked to end and takes too long is made to.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        if self.ended.is_none() && self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.signal(Signal::KILL);
        }
        self.ended
    }

    /// Asks it to end.
    pub fn end(&mut self) {
        if self.ended().is_none() && self.deadline.is_none() {
            self.deadline = Some(Instant::now() + END_PATIENCE);
            self.signal(Signal::TERM);
            // One that stands still hears of it only when it goes on.
            self.signal(Signal::CONT);
        }
    }

    /// Stops it, or lets it go on. Tells whether that could be done.
    pub fn freeze(&mut self, is_frozen: bool) -> bool {
        self.ended().is_none() && self.signal(if is_frozen { Signal::STOP } else { Signal::CONT })
    }

    /// Only while it has not been waited for: until then its number is nobody else's.
    fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return false };
        let sent = if self.has_group {
            rustix::process::kill_process_group(pid, signal)
        } else {
            rustix::process::kill_process(pid, signal)
        };
        sent.is_ok()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.end();
        while self.ended().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// How the app came out by itself.
pub fn outcome(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Completed(serde_json::Value::Null),
        (Some(code), _) => Outcome::Failed(format!("exited with {code}")),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal);
            Outcome::Failed(format!("killed by {}", name.map_or_else(|| format!("signal {signal}"), str::to_owned)))
        }
        (None, None) => Outcome::Failed("ended, and the system does not say how".to_owned()),
    }
}

fn refusal(program: &OsString, error: &io::Error) -> String {
    let name = program.to_string_lossy();
    let why = match error.kind() {
        io::ErrorKind::NotFound if name.contains('/') => "there is no such file, or what it is to be run by is missing",
        io::ErrorKind::NotFound => "it was not found in PATH; give a path, such as ./app or target/debug/app",
        io::ErrorKind::PermissionDenied => "it is not executable, or is a folder; `chmod +x` makes a file executable",
        _ => return format!("`{name}` could not be started: {error}"),
    };
    format!("`{name}` could not be started: {why}")
}
