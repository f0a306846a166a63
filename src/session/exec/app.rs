//! The app itself: how it is started, stopped for a while, ended, and how it came out.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::belongings::OwnProcess;
use crate::control::Outcome;

/// How long the app may take to end when it is asked to, before it is made to.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// How long our own end waits for the apps that we started: they are made to end before that.
const EXIT_PATIENCE: Duration = Duration::from_secs(3);

/// Apps that are being ended, each by a thread: whoever sends to these drops its end once the app is gone.
static LEAVING: Mutex<Vec<Receiver<()>>> = Mutex::new(Vec::new());

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
///
/// Its process is waited for only when this is dropped. Until then its number is nobody else's, so that what is left of
/// its group can be ended by it, even where the process itself is gone.
#[derive(Debug)]
pub struct App {
    /// `None` once it is somebody else's to end.
    child: Option<(Child, OwnProcess)>,
    ended: Option<ExitStatus>,
    /// When it is made to end.
    deadline: Option<Instant>,
    /// Whoever drops this has the time to wait.
    may_wait: bool,
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
        let child = Some(OwnProcess::start(&mut starting, has_group).map_err(|error| refusal(program, &error))?);
        Ok(Self { child, ended: None, deadline: None, may_wait: false })
    }

    /// Its standard output and standard error, once.
    pub fn streams(&mut self) -> (Option<std::process::ChildStdout>, Option<std::process::ChildStderr>) {
        let Some((child, _)) = &mut self.child else { return (None, None) };
        (child.stdout.take(), child.stderr.take())
    }

    /// How it came out, once it has. What was asked to end and takes too long is made to, the rest of its group as well.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.as_ref().and_then(|(_, process)| look(process.pid()));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.signal(Signal::KILL);
        }
        self.ended
    }

    /// Asks it to end, and what it started.
    pub fn end(&mut self) {
        if self.deadline.is_none() {
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

    fn signal(&self, signal: Signal) -> bool {
        self.child.as_ref().is_some_and(|(_, process)| process.signal(signal))
    }

    /// Waits for it to end, or makes it, and what is left of its group with it.
    fn reap(&mut self) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| Instant::now() >= deadline);
        while self.ended().is_none() && !is_due(self.deadline) {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.signal(Signal::KILL);
        if let Some((mut child, process)) = self.child.take() {
            drop(process);
            // It has ended, or cannot but do so now: this gives its number back.
            let _ = child.wait();
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        if self.ended().is_none() {
            self.end();
        }
        if self.may_wait || self.ended.is_some() {
            return self.reap();
        }
        // Whoever drops it may have a screen to draw.
        let &mut Self { ended, deadline, .. } = self;
        let left = Self { child: self.child.take(), ended, deadline, may_wait: true };
        let (gone, leaving) = bounded(0);
        let mut all = LEAVING.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.try_recv() == Err(crossbeam_channel::TryRecvError::Empty));
        all.push(leaving);
        drop(all);
        // Without a thread it is dropped, and so ended, right here.
        let _ = std::thread::Builder::new().name("loopscope-ending".into()).spawn(move || {
            drop(left);
            drop::<crossbeam_channel::Sender<()>>(gone);
        });
    }
}

/// Waits until every app that was left is gone, for so long as that may take; to be called before this program ends.
pub fn wait_for_left() {
    let deadline = Instant::now() + EXIT_PATIENCE;
    let all = std::mem::take(&mut *LEAVING.lock().unwrap_or_else(PoisonError::into_inner));
    for leaving in all {
        // Nothing is ever sent: that its other end is gone is the message.
        let _ = leaving.recv_deadline(deadline);
    }
}

/// How the process came out, if it has; it goes on being ours to wait for.
fn look(pid: Pid) -> Option<ExitStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(pid), options).ok().flatten()?;
    // As `wait` would have it: the code above the signal.
    let signal = status.terminating_signal().unwrap_or(0);
    Some(ExitStatus::from_raw((status.exit_status().unwrap_or(0) << 8) | signal))
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
