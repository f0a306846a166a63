//! The interface of sessions, and of what starts them. Screen, headless run and recorder use a session only through it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::control::{Breakpoint, BreakpointHit, ClockKind, SessionCommand, SessionStatus, Speed};
use crate::trace::Trace;
use crate::workload::manifest::{Manifest, ParamValue};

/// A session: a trace that is filled while it is shown.
pub trait Session {
    /// Returns the trace of everything recorded so far.
    fn trace(&self) -> &Trace;

    /// Returns the current status of the session.
    fn status(&self) -> SessionStatus;

    /// Processes pending events for at most about `budget`; returns whether anything changed.
    fn pump(&mut self, budget: Duration) -> bool;

    /// Sends a command to the loop. Never blocks; a command that does not apply now has no effect.
    fn command(&mut self, command: SessionCommand);

    /// Returns the breakpoint hit that paused the loop, until the loop resumes.
    fn hit(&self) -> Option<BreakpointHit> {
        None
    }

    /// Waits until events may be pending, or for at most `at_most`.
    fn wait(&self, at_most: Duration);

    /// Returns the session that follows this one, once. An attached session has a successor when a new process appears
    /// at its address.
    fn successor(&mut self) -> Option<Box<dyn Session>> {
        None
    }

    /// Returns the source files that locations name (such as the workload's script) with their texts, in order of
    /// arrival.
    fn sources(&self) -> &[(Arc<str>, String)] {
        &[]
    }

    /// Returns the text of a source file by the name that locations use.
    fn source(&self, file: &str) -> Option<&str> {
        self.sources().iter().find(|(name, _)| **name == *file).map(|(_, text)| text.as_str())
    }
}

impl<S: Session + ?Sized> Session for Box<S> {
    fn trace(&self) -> &Trace {
        (**self).trace()
    }

    fn status(&self) -> SessionStatus {
        (**self).status()
    }

    fn pump(&mut self, budget: Duration) -> bool {
        (**self).pump(budget)
    }

    fn command(&mut self, command: SessionCommand) {
        (**self).command(command);
    }

    fn hit(&self) -> Option<BreakpointHit> {
        (**self).hit()
    }

    fn wait(&self, at_most: Duration) {
        (**self).wait(at_most);
    }

    fn successor(&mut self) -> Option<Box<dyn Session>> {
        (**self).successor()
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        (**self).sources()
    }
}

/// Starts sessions, and provides the catalog of the picker.
pub trait Launcher {
    /// Returns the workloads that can be run. Empty when attached to another program.
    fn catalog(&self) -> &[Manifest];

    /// Returns a one-line warning about the catalog, such as that a workload could not be loaded.
    fn catalog_warning(&self) -> Option<String> {
        None
    }

    /// Starts a run. Reads the script from its file again. The error is a message for the user, with what to do.
    fn launch(&mut self, launch: &LaunchRequest) -> Result<Box<dyn Session>, String>;

    /// Returns the running apps that can be attached to, by process id, if the list is new since the last call. Never
    /// blocks.
    fn running_apps(&mut self) -> Option<Vec<RunningApp>> {
        None
    }

    /// Attaches to the program at `address`. The error says what is wrong with the address.
    fn attach(&mut self, address: &str) -> Result<Box<dyn Session>, String> {
        Err(format!("cannot attach to `{address}`: not supported here"))
    }

    /// Saves the trace of `session`, which `launched` started if this launcher did, to a file of this name. Returns a
    /// text for the user, in both cases.
    fn save(
        &mut self,
        file: &str,
        _session: &dyn Session,
        _launched: Option<&LaunchRequest>,
    ) -> Result<String, String> {
        Err(format!("cannot save to `{file}`: not supported here"))
    }

    /// Returns the script file of a workload for editing. A built-in script is first copied to the user's workloads.
    fn editable_script(&mut self, name: &str) -> Result<PathBuf, String> {
        Err(format!("`{name}` has no script to edit"))
    }

    /// Reloads a script after it was edited. The error says what is wrong with it.
    fn reload(&mut self, _name: &str) -> Result<(), String> {
        Ok(())
    }
}

/// A running app that can be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningApp {
    /// Its process id.
    pub pid: u32,
    /// Its name, without control characters.
    pub name: String,
    /// How long it has been running, if that is known.
    pub age: Option<Duration>,
    /// Number of live tasks; or why it did not say.
    pub tasks: Result<u64, String>,
}

/// What to launch: a workload and the options of its run.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchRequest {
    /// The workload's name, as in the catalog.
    pub name: String,
    /// Parameters that differ from their defaults, by name.
    pub params: Vec<(String, ParamValue)>,
    /// Speed of the virtual clock; `None` for the value of the settings.
    pub speed: Option<Speed>,
    /// The clock; `None` for the one that the workload declares.
    pub clock: Option<ClockKind>,
    /// Pause before the first poll.
    pub start_paused: bool,
    /// Breakpoints to set at the start.
    pub breakpoints: Vec<Breakpoint>,
}

impl LaunchRequest {
    /// A run of the workload `name` with every parameter at its default.
    pub fn with_defaults(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            params: Vec::new(),
            speed: None,
            clock: None,
            start_paused: false,
            breakpoints: Vec::new(),
        }
    }
}
