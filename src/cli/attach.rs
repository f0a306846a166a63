//! The command `attach`: watches running apps through their console.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use super::exit::{CliExit, OperationError, print_error};
use super::external_app::{run_source, source_folder};
use super::headless;
use super::open_recording::open_recording;
use super::record::{self, RecordArgs};
use super::report_args::ReportArgs;
use super::screen;
use super::terminal_check::ensure_terminal;
use crate::control::{ConnectionState, FeedChoice, duration};
use crate::feed::wire::{ConsoleAddress, DEFAULT_ADDRESS};
use crate::session::{self, AttachSession, ReadUntil, Session};
use crate::settings::Settings;

/// Maximum time that a headless attach without `--for` waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  loopscope attach                            attach to 127.0.0.1:6669
  loopscope attach 7000 unix:/tmp/app.sock    attach to two apps
  loopscope attach --for 3s --headless --json > report.json
  loopscope attach --record app.loop          write an archive
  loopscope attach --for 3s --headless --assert 'loop.polls > 0'

The app must call console_subscriber::init(), and must be built with tokio's feature `tracing` and \
with RUSTFLAGS=\"--cfg tokio_unstable\".";

/// Arguments of `loopscope attach`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct AttachArgs {
    /// Addresses of the apps' consoles
    ///
    /// Forms of an address: http://HOST:PORT, HOST:PORT, PORT or unix:PATH.
    #[arg(value_name = "ADDR", default_value = DEFAULT_ADDRESS)]
    addresses: Vec<ConsoleAddress>,
    /// Follow a growing recording instead of a console
    ///
    /// An app writes a recording if TOKIO_CONSOLE_RECORD_PATH names a file.
    #[arg(long, value_name = "FILE", conflicts_with = "addresses")]
    recording: Option<PathBuf>,
    /// Detach after this time [default: when the app exits]
    ///
    /// Seconds, or text such as 10ms or 1h30m. Ctrl-C detaches at any time.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "headless", help_heading = "Headless")]
    r#for: Option<Duration>,
    /// Print a report instead of showing the screen
    ///
    /// Exits with 1 if the app does not answer within --for (without --for: within 10 seconds).
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    /// Read source lines in the folder in which the app was built
    ///
    /// The locations that the app reports are relative to this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "recording")]
    source: Option<PathBuf>,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    report_args: ReportArgs,
}

impl AttachArgs {
    /// Returns whether it prints a report.
    #[cfg(test)]
    pub fn is_headless(&self) -> bool {
        self.headless
    }

    /// Returns the number of addresses, including the default one.
    pub fn address_count(&self) -> usize {
        self.addresses.len()
    }
}

/// Runs the command.
pub(super) fn attach(args: &AttachArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    if let Some(recording) = &args.recording {
        let headless = args.headless.then_some((&args.report_args, args.r#for));
        return open_recording(recording, ReadUntil::UserQuit, &args.record, headless, settings);
    }
    if args.headless {
        return attach_headless(args, settings);
    }
    ensure_terminal()?;
    let folder = source_folder_arg(args)?;
    let mut archive_files = args.record.file_series();
    let mut sessions: Vec<Box<dyn Session>> = Vec::new();
    for address in &args.addresses {
        let file = archive_files.next()?;
        let head = session::archive_head(&run_source(address), FeedChoice::Console);
        sessions.push(record::archive_session(file, start(address, folder.clone(), settings)?, head)?);
    }
    screen::watch(sessions, archive_files, settings)
}

/// Attaches to one app without a screen.
fn attach_headless(args: &AttachArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    let [address] = args.addresses.as_slice() else {
        bail!("--headless takes only one address\nhelp: run `loopscope attach --headless` once for each address");
    };
    let folder = source_folder_arg(args)?;
    let (file, source) = (args.record.file()?, run_source(address));
    let mut session = start(address, folder, settings)?;
    if args.r#for.is_none() {
        session.set_answer_timeout(ANSWER_TIMEOUT);
    }
    let (report_args, thresholds) = (&args.report_args, &settings.thresholds);
    let (exit, status) = headless::archive_and_report(file, session, args.r#for, &source, thresholds, report_args)?;
    let has_data = |state| matches!(state, ConnectionState::Live | ConnectionState::Lost);
    if let Some(connection) =
        status.connection.filter(|connection| has_data(connection.state) && !connection.note.is_empty())
    {
        print_error(&format!("{address}: {}", connection.note));
    }
    Ok(exit)
}

/// Returns the checked folder of `--source`, if given.
fn source_folder_arg(args: &AttachArgs) -> anyhow::Result<Option<PathBuf>> {
    args.source.as_deref().map(source_folder).transpose()
}

/// Starts a session for `address`.
fn start(address: &ConsoleAddress, folder: Option<PathBuf>, settings: &Settings) -> anyhow::Result<AttachSession> {
    let session = AttachSession::start_with_source_folder(folder, address, settings.memory_bytes);
    session.context(OperationError("cannot create a thread".to_owned()))
}
