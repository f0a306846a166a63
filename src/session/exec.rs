//! Sessions that start an app. If the app has the probe, it connects, and its probe is the only feed. Otherwise its live
//! recording, its console and its output are correlated. A Python program has the probe if it runs asyncio.

mod app_console;
mod app_end;
mod app_parts;
mod correlator;
mod freeze;
mod output;
mod output_events;
mod output_matcher;
mod output_reader;
mod pipe;
mod probe_listener;
mod probed_app;
mod process;
mod python;
mod recorded_app;
mod reserved_port;
mod time_queue;
mod waker_backlog;

pub use process::{AppStdin, wait_for_stopping_apps};
pub use python::PythonCommand;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::interface::Session;
use crate::control::{BreakpointHit, ClockKind, SessionCommand, SessionStatus};
use crate::insight::Thresholds;
use crate::trace::Trace;
use app_parts::AppLabel;
use probe_listener::ProbeListener;
use probed_app::ProbedApp;
use recorded_app::RecordedApp;

/// Maximum length of the session name in characters.
const NAME_CHARS_MAX: usize = 200;

/// How the app is observed.
enum AppSession {
    /// Through its console and recording, as long as it has not connected with its probe.
    Recorded(Box<RecordedApp>),
    /// Through its probe.
    Probed(Box<ProbedApp>),
}

/// A session that starts an app and watches it.
pub struct ExecSession {
    name: String,
    app: AppSession,
    listener: ProbeListener,
    memory_bytes: usize,
    thresholds: Thresholds,
}

impl ExecSession {
    /// Starts `command`. If that fails, the session is created as ended, with the error as its outcome.
    ///
    /// # Errors
    /// Returns an error if a pipe, a port, a socket or a thread cannot be created.
    pub fn start(command: &[OsString], stdin: AppStdin, memory_bytes: usize) -> std::io::Result<Self> {
        Self::start_with_clock(command, stdin, memory_bytes, ClockKind::Real)
    }

    /// Starts `command`, which is asked for this clock. If that fails, the session is created as ended, with the error as its
    /// outcome. Whether the app has such a clock is known once it has connected.
    ///
    /// # Errors
    /// Returns an error if a pipe, a port, a socket or a thread cannot be created.
    pub fn start_with_clock(
        command: &[OsString],
        stdin: AppStdin,
        memory_bytes: usize,
        clock: ClockKind,
    ) -> std::io::Result<Self> {
        let name = session_name(command);
        let label = AppLabel { name: name.clone(), python: PythonCommand::of(command) };
        let started =
            RecordedApp::start((command, label), stdin, memory_bytes, |folder| ProbeListener::open(folder, clock));
        let (app, listener) = started?;
        let app = AppSession::Recorded(Box::new(app));
        Ok(Self { name, app, listener, memory_bytes, thresholds: Thresholds::default() })
    }

    /// Sets the folder in which the app was built, which resolves relative source paths.
    #[must_use]
    pub fn with_source_folder(mut self, folder: PathBuf) -> Self {
        if let AppSession::Recorded(app) = &mut self.app {
            app.set_source_folder(folder);
        }
        self
    }

    /// Sets the thresholds for breakpoints on findings.
    #[must_use]
    pub fn with_thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// Returns the name of the session: the command line, shortened.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn session(&self) -> &dyn Session {
        match &self.app {
            AppSession::Recorded(app) => &**app,
            AppSession::Probed(app) => &**app,
        }
    }

    fn session_mut(&mut self) -> &mut dyn Session {
        match &mut self.app {
            AppSession::Recorded(app) => &mut **app,
            AppSession::Probed(app) => &mut **app,
        }
    }

    /// Observes the app through its probe from now on, if it has connected. It waits for that, so nothing was recorded
    /// before. What it has printed before is kept.
    fn accept_probe(&mut self) {
        let Some(stream) = self.listener.accept() else { return };
        if let AppSession::Recorded(app) = &mut self.app
            && let Some(parts) = app.take_parts()
        {
            let secret = self.listener.secret().to_owned();
            let app = ProbedApp::start(parts, stream, secret, self.memory_bytes, self.thresholds);
            self.app = AppSession::Probed(Box::new(app));
        }
        // Otherwise it is another process of the app. It goes on without a peer once the connection is dropped.
    }
}

/// Joins and sanitizes a command line, limited to [`NAME_CHARS_MAX`] characters.
fn session_name(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    crate::sanitize::sanitize(&words.join(" ")).chars().take(NAME_CHARS_MAX).collect()
}

impl Session for ExecSession {
    fn trace(&self) -> &Trace {
        self.session().trace()
    }

    fn status(&self) -> SessionStatus {
        self.session().status()
    }

    fn pump(&mut self, budget: Duration) -> bool {
        self.accept_probe();
        self.session_mut().pump(budget)
    }

    fn command(&mut self, command: SessionCommand) {
        self.session_mut().command(command);
    }

    fn hit(&self) -> Option<BreakpointHit> {
        self.session().hit()
    }

    fn wait(&self, at_most: Duration) {
        self.session().wait(at_most);
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        self.session().sources()
    }
}
