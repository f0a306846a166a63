//! The seam to whatever is looked at: a run, an attached program or a recording, and what starts one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::control::{Breakpoint, ClockKind, Command, Hit, Speed, Status};
use crate::trace::Trace;
use crate::workload::manifest::{Manifest, ParamValue};

/// One thing being looked at.
pub trait Session {
    /// Everything that is known to have happened.
    fn trace(&self) -> &Trace;

    /// The session at a glance, as of now.
    fn status(&self) -> Status;

    /// Takes in what happened, for at most about `budget`; true if anything changed.
    fn pump(&mut self, budget: Duration) -> bool;

    /// Asks the loop for something. Never blocks; a command that makes no sense now changes nothing.
    fn command(&mut self, command: Command);

    /// Where and why the loop stopped by itself, until it goes on.
    fn hit(&self) -> Option<Hit> {
        None
    }

    /// Waits until something may have happened, or `at_most`.
    fn wait(&self, at_most: Duration);

    /// Another session that this one led to, once: at the address where a program was, there is another now.
    fn successor(&mut self) -> Option<Box<dyn Session>> {
        None
    }

    /// Source files that locations name (the workload's script), each with its text, in the order in which they came.
    fn sources(&self) -> &[(Arc<str>, String)] {
        &[]
    }

    /// Text of a source file named in locations, to show the awaited line.
    fn source(&self, file: &str) -> Option<&str> {
        self.sources().iter().find(|(name, _)| **name == *file).map(|(_, text)| text.as_str())
    }
}

/// Starts sessions; the picker reads its catalog.
pub trait Launcher {
    /// What can be run. Empty where nothing can, as when attached to somebody else's program.
    fn catalog(&self) -> &[Manifest];

    /// What there is to say of the catalog, in a line: that something is missing in it.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Starts a run, or says in lines that a person can act on why it cannot. A script is read from its file again.
    fn launch(&mut self, launch: &Launch) -> Result<Box<dyn Session>, String>;

    /// Begins to watch the program that listens at `address`, or says what is wrong with the address.
    fn attach(&mut self, address: &str) -> Result<Box<dyn Session>, String> {
        Err(format!("nothing can be attached to from here, so not {address}"))
    }

    /// Writes everything that was seen of `session`, which `launched` started if anything here did, to a file of this name.
    /// Says what became of it, or why that cannot be.
    fn save(&mut self, file: &str, _session: &dyn Session, _launched: Option<&Launch>) -> Result<String, String> {
        Err(format!("nothing can be saved from here, so not {file}"))
    }

    /// The file of the script of this name, to be edited: a built-in one is first copied to where the person's own are.
    fn to_edit(&mut self, name: &str) -> Result<PathBuf, String> {
        Err(format!("{name} has no script to be edited"))
    }

    /// Reads a script from its file again, after it was edited, or says what is wrong with it.
    fn edited(&mut self, _name: &str) -> Result<(), String> {
        Ok(())
    }
}

/// A run that a person asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The workload's name, as in the catalog.
    pub name: String,
    /// Parameters that differ from their defaults, by name.
    pub values: Vec<(String, ParamValue)>,
    /// `None` for what the settings say.
    pub speed: Option<Speed>,
    /// `None` for the clock that the workload asks for.
    pub clock: Option<ClockKind>,
    /// Stop before the first poll.
    pub paused: bool,
    /// Where the loop is to stop by itself.
    pub breakpoints: Vec<Breakpoint>,
}

impl Launch {
    /// The workload called `name` as it stands: every parameter at its default.
    pub fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: Vec::new(),
            speed: None,
            clock: None,
            paused: false,
            breakpoints: Vec::new(),
        }
    }
}
