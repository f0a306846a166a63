//! What `attach` connects to: a console, or a program with the probe.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use loopscope_probe::{PeerStream, handshake};

use super::exit::OperationError;
use crate::control::SourceKind;
use crate::feed::wire::{AddressError, ConsoleAddress, DEFAULT_ADDRESS};
use crate::insight::units::{human_ns, pluralize};
use crate::report::RunSource;
use crate::session::{
    AttachSession, ProbeAddress, ProbeSession, ProbedProcess, Session, connect_tcp, connect_to, probed_processes,
};
use crate::settings::Settings;

/// What to attach to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AttachTarget {
    /// The console at this address.
    Console(ConsoleAddress),
    /// The probe of the process with this id.
    Process(u32),
    /// The probe at this TCP address.
    Probe(ProbeAddress),
}

/// How to attach.
#[derive(Clone, Debug, Default)]
pub(super) struct AttachOptions {
    /// Folder of the source files.
    pub folder: Option<PathBuf>,
    /// The secret of TCP connections.
    pub secret: SecretArgs,
}

/// Where the secret of a TCP connection is.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SecretArgs {
    /// Read the secret for probe://HOST:PORT from this file
    ///
    /// By default from LOOPSCOPE_PROBE_TCP_SECRET, or from the file that LOOPSCOPE_PROBE_TCP_SECRET_FILE names.
    #[arg(long = "secret-file", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl SecretArgs {
    /// Reads the secret.
    ///
    /// # Errors
    /// Returns an error if there is none, or if it is too short.
    fn read(&self) -> anyhow::Result<Vec<u8>> {
        let secret = match &self.file {
            Some(path) => handshake::read_secret(path).map(Some),
            None => handshake::secret_of_environment(),
        };
        secret.map_err(|problem| anyhow!("{problem}"))?.ok_or_else(|| {
            anyhow!(
                "missing secret for TCP\nhelp: name a file that holds it with `--secret-file`, or set {} or {}",
                handshake::SECRET_FILE_VARIABLE,
                handshake::SECRET_VARIABLE
            )
        })
    }
}

impl FromStr for AttachTarget {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.trim().starts_with("probe:") {
            return text.parse().map(Self::Probe);
        }
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
            Self::Probe(address) => address.fmt(f),
        }
    }
}

impl AttachTarget {
    /// Returns the source of reports and archives.
    pub fn run_source(&self) -> RunSource {
        RunSource::external(SourceKind::Attach, self.to_string())
    }

    /// Connects to the probe.
    ///
    /// # Errors
    /// Returns an error if this is a console, if the process has no probe, or if either side does not know the secret.
    pub fn connect_to_probe(&self, secret: &SecretArgs) -> anyhow::Result<PeerStream> {
        match self {
            Self::Console(address) => {
                bail!("{address} is a console, not a probe\nhelp: use pid:PID or probe://HOST:PORT")
            }
            Self::Process(pid) => Ok(connect_to(*pid).map(PeerStream::from).map_err(|error| {
                let help = "`loopscope doctor` lists the running apps that have the probe";
                OperationError(format!("process {pid} cannot be attached to: {error}\nhelp: {help}"))
            })?),
            Self::Probe(address) => Ok(connect_tcp(address, &secret.read()?)
                .map_err(|error| OperationError(format!("{address} cannot be attached to: {error}")))?),
        }
    }

    /// Starts to attach, without waiting for the network. A session that cannot connect ends, and says why.
    ///
    /// # Errors
    /// Returns an error if the process has no probe, if there is no secret, or if a thread cannot be created.
    pub fn start_in_background(&self, options: &AttachOptions, settings: &Settings) -> anyhow::Result<AttachedSession> {
        let Self::Probe(address) = self else { return self.start(options, settings) };
        let (secret, folder) = (options.secret.read()?, options.folder.clone());
        let session = ProbeSession::connect(address.clone(), secret, folder, settings.memory_bytes);
        AttachedSession::of_probe(session, settings)
    }

    /// Starts to attach.
    ///
    /// # Errors
    /// Returns an error if the probe cannot be connected to, or if a thread cannot be created.
    pub fn start(&self, options: &AttachOptions, settings: &Settings) -> anyhow::Result<AttachedSession> {
        let folder = options.folder.clone();
        if let Self::Console(address) = self {
            let session = AttachSession::start_with_source_folder(folder, address, settings.memory_bytes);
            return Ok(AttachedSession::Console(Box::new(session.with_context(thread_error)?)));
        }
        let socket = self.connect_to_probe(&options.secret)?;
        let session = ProbeSession::attach(socket, self.to_string(), folder, settings.memory_bytes);
        AttachedSession::of_probe(session, settings)
    }
}

pub(super) fn thread_error() -> OperationError {
    OperationError("cannot create a thread".to_owned())
}

/// A session that was attached.
pub(super) enum AttachedSession {
    Console(Box<AttachSession>),
    Probe(Box<ProbeSession>),
}

impl AttachedSession {
    fn of_probe(session: std::io::Result<ProbeSession>, settings: &Settings) -> anyhow::Result<Self> {
        let mut session = session.with_context(thread_error)?;
        session.set_thresholds(settings.thresholds);
        Ok(Self::Probe(Box::new(session)))
    }

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

/// What to attach to where the user names nothing.
pub(super) enum DefaultTarget {
    /// The only running program with the probe, or else the default console.
    Only(AttachTarget),
    /// Several programs, of which the user chooses one.
    OneOf(Vec<ProbedProcess>),
}

impl DefaultTarget {
    /// Looks for running programs.
    ///
    /// # Errors
    /// Returns an error if the folder of their sockets is not private.
    pub fn find() -> anyhow::Result<Self> {
        let found = probed_processes().map_err(|error| OperationError(error.to_string()))?;
        Ok(match found.as_slice() {
            [] => Self::Only(AttachTarget::Console(DEFAULT_ADDRESS.parse()?)),
            [only] => Self::Only(AttachTarget::Process(only.pid)),
            _ => Self::OneOf(found),
        })
    }

    /// Returns the only one. Without a screen, the user is not asked.
    ///
    /// # Errors
    /// Returns the list of the programs if there are several.
    pub fn only(self) -> anyhow::Result<AttachTarget> {
        match self {
            Self::Only(target) => Ok(target),
            Self::OneOf(found) => bail!(
                "several apps with the probe are running:\n{}\nhelp: name one, such as `loopscope attach pid:{}`",
                describe_all(&found).join("\n"),
                found.first().map_or(0, |first| first.pid)
            ),
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
