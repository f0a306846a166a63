//! What `attach` connects to: a console, or a program with the probe.

use std::fmt;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{Context, bail};

use super::exit::OperationError;
use crate::control::SourceKind;
use crate::feed::wire::{AddressError, ConsoleAddress, DEFAULT_ADDRESS};
use crate::insight::units::{human_ns, pluralize};
use crate::report::RunSource;
use crate::session::{AttachSession, ProbeSession, ProbedProcess, Session, connect_to, probed_processes};
use crate::settings::Settings;

/// What to attach to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AttachTarget {
    /// The console at this address.
    Console(ConsoleAddress),
    /// The probe of the process with this id.
    Process(u32),
}

impl FromStr for AttachTarget {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.trim().strip_prefix("pid:") {
            Some(pid) => match pid.parse() {
                Ok(pid) => Ok(Self::Process(pid)),
                Err(_) => Err(AddressError::Process(text.to_owned())),
            },
            None => text.parse().map(Self::Console),
        }
    }
}

impl fmt::Display for AttachTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Console(address) => address.fmt(f),
            Self::Process(pid) => write!(f, "pid:{pid}"),
        }
    }
}

impl AttachTarget {
    /// Returns the source of reports and archives.
    pub fn run_source(&self) -> RunSource {
        RunSource::external(SourceKind::Attach, self.to_string())
    }

    /// Starts to attach.
    ///
    /// # Errors
    /// Returns an error if the process has no probe, or if a thread cannot be created.
    pub fn start(&self, folder: Option<PathBuf>, settings: &Settings) -> anyhow::Result<AttachedSession> {
        let thread_error = || OperationError("cannot create a thread".to_owned());
        match self {
            Self::Console(address) => {
                let session = AttachSession::start_with_source_folder(folder, address, settings.memory_bytes);
                Ok(AttachedSession::Console(Box::new(session.with_context(thread_error)?)))
            }
            Self::Process(pid) => {
                let stream = connect_to(*pid).map_err(|error| {
                    OperationError(format!(
                        "process {pid} cannot be attached to: {error}\nhelp: `loopscope doctor` lists the running apps \
                         that have the probe"
                    ))
                })?;
                let session = ProbeSession::attach(stream, self.to_string(), folder, settings.memory_bytes);
                let mut session = session.with_context(thread_error)?;
                session.set_thresholds(settings.thresholds);
                Ok(AttachedSession::Probe(Box::new(session)))
            }
        }
    }
}

/// A session that was attached.
pub(super) enum AttachedSession {
    Console(Box<AttachSession>),
    Probe(Box<ProbeSession>),
}

impl AttachedSession {
    /// Makes the session fail if the app does not answer in time.
    pub fn set_answer_timeout(&mut self, timeout: std::time::Duration) {
        match self {
            Self::Console(session) => session.set_answer_timeout(timeout),
            Self::Probe(session) => session.set_answer_timeout(timeout),
        }
    }

    /// Returns the session.
    pub fn into_session(self) -> Box<dyn Session> {
        match self {
            Self::Console(session) => session,
            Self::Probe(session) => session,
        }
    }
}

/// Returns what to attach to where the user names nothing: the running program with the probe, else the default
/// console. If there are several programs, `choose` asks for one.
///
/// # Errors
/// Returns an error if there are several and none was chosen, or if the folder of their sockets is not private.
pub(super) fn default_target(
    choose: impl FnOnce(&[ProbedProcess]) -> anyhow::Result<u32>,
) -> anyhow::Result<AttachTarget> {
    let found = probed_processes().map_err(|error| OperationError(error.to_string()))?;
    Ok(match found.as_slice() {
        [] => AttachTarget::Console(DEFAULT_ADDRESS.parse()?),
        [only] => AttachTarget::Process(only.pid),
        several => AttachTarget::Process(choose(several)?),
    })
}

/// Fails with the list of the programs: without a screen, the user is not asked.
pub(super) fn refuse_to_choose(found: &[ProbedProcess]) -> anyhow::Result<u32> {
    bail!(
        "several apps with the probe are running:\n{}\nhelp: name one, such as `loopscope attach pid:{}`",
        describe_all(found).join("\n"),
        found.first().map_or(0, |first| first.pid)
    )
}

/// Asks the user at the terminal for one of the programs.
///
/// # Errors
/// Returns an error if the user chooses none.
pub(super) fn choose_at_terminal(found: &[ProbedProcess]) -> anyhow::Result<u32> {
    let mut output = std::io::stderr().lock();
    writeln!(output, "Several apps with the probe are running:")?;
    for (number, line) in describe_all(found).iter().enumerate() {
        writeln!(output, "{:>3}{line}", number + 1)?;
    }
    let mut input = std::io::stdin().lock();
    loop {
        write!(output, "Attach to which one, 1 to {}? (empty: none) ", found.len())?;
        output.flush()?;
        let mut line = String::new();
        input.read_line(&mut line)?;
        match line.trim() {
            "" => bail!("none was chosen\nhelp: name one, such as `loopscope attach pid:PID`"),
            answer => {
                let chosen = answer.parse::<usize>().ok().and_then(|number| found.get(number.checked_sub(1)?));
                if let Some(chosen) = chosen {
                    return Ok(chosen.pid);
                }
            }
        }
    }
}

/// Describes programs, one a line: process id, name, age and tasks.
pub(super) fn describe_all(found: &[ProbedProcess]) -> Vec<String> {
    let now = SystemTime::now();
    let describe = |process: &ProbedProcess| {
        let ns = |age: std::time::Duration| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let age = process.age(now).map_or_else(String::new, |age| format!("for {}", human_ns(ns(age))));
        let tasks = match &process.hello {
            Ok(hello) => pluralize(hello.tasks, "task"),
            Err(reason) => reason.clone(),
        };
        format!("  pid {:<8} {:<20} {age:<14} {tasks}", process.pid, process.name())
    };
    found.iter().map(describe).collect()
}
