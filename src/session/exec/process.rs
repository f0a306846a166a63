//! The app's process: start, stop and continue, termination and exit status.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::cleanup::TrackedProcess;
use crate::control::RunOutcome;

/// Time between SIGTERM and SIGKILL.
const TERM_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum time that the end of loopscope waits for apps. It exceeds [`TERM_TIMEOUT`], so all are killed by then.
const EXIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Apps that are being terminated, each by its own thread. The thread drops its sender when the app is gone.
static STOPPING_APPS: Mutex<Vec<Receiver<()>>> = Mutex::new(Vec::new());

/// Publish interval of the app's console.
///
/// The aggregator of console-subscriber processes at most 128 events per interval, so this also limits the rate of
/// names: 25,600 events per second while less than half of its buffer is used.
const PUBLISH_INTERVAL: &str = "5ms";

/// Settings of the app's console that the user's environment may override.
const CONSOLE_DEFAULTS: [(&str, &str); 2] = [
    // Retention of ended entities. The aggregator scans all retained entries at each interval, so it is short. It must
    // exceed the time from the start of the console until loopscope is connected.
    ("TOKIO_CONSOLE_RETENTION", "500ms"),
    // From half of this number of events on, the aggregator drains its buffer without waiting for the interval, so a
    // smaller buffer makes its data less late; the other half is for bursts.
    ("TOKIO_CONSOLE_BUFFER_CAPACITY", "8192"),
];

/// Standard input of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppStdin {
    /// The standard input of loopscope.
    Inherit,
    /// `/dev/null`, because the screen reads loopscope's standard input.
    Null,
}

/// Variables by which an app finds loopscope with its probe: names and values.
pub type ProbeVariables = Vec<(&'static str, OsString)>;

/// The process of an app.
///
/// It is reaped only on drop. Until then its process id cannot be reused, so the id is safe for signalling the rest of
/// its process group, even after the process itself has ended.
#[derive(Debug)]
pub struct AppProcess {
    /// `None` after ownership has moved to a terminating thread.
    child: Option<(Child, TrackedProcess)>,
    /// The exit status, once known.
    exit_status: Option<ExitStatus>,
    /// When the process is killed.
    deadline: Option<Instant>,
    /// Dropping may block until the process has ended.
    is_blocking_drop: bool,
}

impl AppProcess {
    /// Starts `command` with its console on `port` and its recording in the file `recording`.
    ///
    /// # Errors
    /// Returns a message for the user if the command cannot be started.
    pub fn start(
        command: &[OsString],
        port: u16,
        recording: &Path,
        probe: &[(&'static str, OsString)],
        stdin: AppStdin,
    ) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("no command given")?;
        // A background process group cannot read from the terminal.
        let has_group = stdin == AppStdin::Null || !std::io::IsTerminal::is_terminal(&io::stdin());
        let mut builder = Command::new(program);
        builder
            .args(arguments)
            .env("TOKIO_CONSOLE_BIND", format!("127.0.0.1:{port}"))
            .env("TOKIO_CONSOLE_PUBLISH_INTERVAL", PUBLISH_INTERVAL)
            .env("TOKIO_CONSOLE_RECORD_PATH", recording)
            .envs(probe.iter().map(|(name, value)| (name, value)))
            .envs(CONSOLE_DEFAULTS.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()))
            .stdin(if stdin == AppStdin::Inherit { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = Some(TrackedProcess::spawn(&mut builder, has_group).map_err(|error| start_error(program, &error))?);
        Ok(Self { child, exit_status: None, deadline: None, is_blocking_drop: false })
    }

    /// Takes the process's standard output and standard error. Later calls return `None`.
    pub fn streams(&mut self) -> (Option<std::process::ChildStdout>, Option<std::process::ChildStderr>) {
        let Some((child, _)) = &mut self.child else { return (None, None) };
        (child.stdout.take(), child.stderr.take())
    }

    /// Returns the process id, or `None` after ownership has moved to a terminating thread.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(|(child, _)| child.id())
    }

    /// Returns the exit status, or `None` while the process runs. Kills the process group once its deadline has passed.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.exit_status.is_none() {
            self.exit_status = self.child.as_ref().and_then(|(_, process)| exit_status_of(process.pid()));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.signal(Signal::KILL);
        }
        self.exit_status
    }

    /// Sends SIGTERM to the process group and sets the deadline for SIGKILL.
    pub fn terminate(&mut self) {
        if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + TERM_TIMEOUT);
            self.signal(Signal::TERM);
            // A stopped process handles SIGTERM only after SIGCONT.
            self.signal(Signal::CONT);
        }
    }

    /// Stops (SIGSTOP) or continues (SIGCONT) the process group. Returns whether that succeeded.
    pub fn freeze(&mut self, is_frozen: bool) -> bool {
        self.exit_status().is_none() && self.signal(if is_frozen { Signal::STOP } else { Signal::CONT })
    }

    fn signal(&self, signal: Signal) -> bool {
        self.child.as_ref().is_some_and(|(_, process)| process.signal(signal))
    }

    /// Waits for the process to end, up to its deadline, then kills what is left of its group and reaps it.
    fn reap(&mut self) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| Instant::now() >= deadline);
        while self.exit_status().is_none() && !is_due(self.deadline) {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.signal(Signal::KILL);
        if let Some((mut child, process)) = self.child.take() {
            drop(process);
            // The process has ended or was killed, so this returns soon. It releases the process id.
            let _ = child.wait();
        }
    }
}

impl Drop for AppProcess {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        if self.exit_status().is_none() {
            self.terminate();
        }
        if self.is_blocking_drop || self.exit_status.is_some() {
            return self.reap();
        }
        // Do not block the thread that draws the screen: wait on another thread.
        let &mut Self { exit_status, deadline, .. } = self;
        let stopping = Self { child: self.child.take(), exit_status, deadline, is_blocking_drop: true };
        let (gone_sender, app_gone) = bounded(0);
        let mut all = STOPPING_APPS.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.try_recv() == Err(crossbeam_channel::TryRecvError::Empty));
        all.push(app_gone);
        drop(all);
        // If the thread cannot be created, the closure is dropped here, which waits for the process.
        let _ = std::thread::Builder::new().name("loopscope-ending".into()).spawn(move || {
            drop(stopping);
            drop::<crossbeam_channel::Sender<()>>(gone_sender);
        });
    }
}

/// Waits until all apps that are being terminated are gone, for at most 3 seconds. Call it before loopscope exits.
pub fn wait_for_stopping_apps() {
    let deadline = Instant::now() + EXIT_TIMEOUT;
    let all = std::mem::take(&mut *STOPPING_APPS.lock().unwrap_or_else(PoisonError::into_inner));
    for app_gone in all {
        // Nothing is ever sent; the disconnect is the signal.
        let _ = app_gone.recv_deadline(deadline);
    }
}

/// Returns the exit status of the process without reaping it, or `None` while it runs.
fn exit_status_of(pid: Pid) -> Option<ExitStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(pid), options).ok().flatten()?;
    // The encoding of `wait`: the exit code in the second byte, the signal in the first.
    let signal = status.terminating_signal().unwrap_or(0);
    Some(ExitStatus::from_raw((status.exit_status().unwrap_or(0) << 8) | signal))
}

/// Converts the exit status of the app to the outcome of the session.
pub fn outcome_of(status: ExitStatus) -> RunOutcome {
    match (status.code(), status.signal()) {
        (Some(0), _) => RunOutcome::Completed(serde_json::Value::Null),
        (Some(code), _) => RunOutcome::Failed(format!("exited with code {code}")),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal);
            RunOutcome::Failed(format!("killed by {}", name.map_or_else(|| format!("signal {signal}"), str::to_owned)))
        }
        (None, None) => RunOutcome::Failed("ended with an unknown status".to_owned()),
    }
}

/// Returns the message for a command that cannot be started.
fn start_error(program: &OsString, error: &io::Error) -> String {
    let name = program.to_string_lossy();
    let reason = match error.kind() {
        io::ErrorKind::NotFound if name.contains('/') => "no such file, or its interpreter is missing",
        io::ErrorKind::NotFound => "not found in PATH\nhelp: give a path, such as ./app or target/debug/app",
        io::ErrorKind::PermissionDenied => "not executable\nhelp: make the file executable with `chmod +x`",
        _ => return format!("cannot start `{name}`: {error}"),
    };
    format!("cannot start `{name}`: {reason}")
}
