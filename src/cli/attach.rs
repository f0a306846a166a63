//! The command `attach`: watches running apps through their probe or their console.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;

use super::attach_target::{AttachOptions, AttachTarget, DefaultTarget, SecretArgs};
use super::exit::{CliExit, OperationError, print_error};
use super::external_app::source_folder;
use super::headless;
use super::open_recording::open_recording;
use super::record::{self, RecordArgs};
use super::report_args::ReportArgs;
use super::screen;
use super::terminal_check::ensure_terminal;
use crate::control::{ConnectionState, duration};
use crate::session::{self, ReadUntil, Session, save_flight_recording};
use crate::settings::Settings;

/// Maximum time that a headless attach without `--for` waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  loopscope attach                            attach to the running app
  loopscope attach pid:1234                   attach to the probe of a process
  loopscope attach probe://127.0.0.1:7700 --secret-file secret.txt
  loopscope attach 7000 unix:/tmp/app.sock    attach to two consoles
  loopscope attach --dump crash.lsprobe       save its flight recording
  loopscope attach --for 3s --headless --json > report.json
  loopscope attach --record app.loop          write an archive
  loopscope attach --for 3s --headless --assert 'loop.polls > 0'

Without an address, loopscope attaches to the running app of this user that has the probe. If there are several, it \
shows a list to choose from. If there is none, it attaches to the console at 127.0.0.1:6669.

An app has the probe if it calls loopscope_probe::init(), and a console if it calls console_subscriber::init(). It must \
be built with tokio's feature `tracing` and with RUSTFLAGS=\"--cfg tokio_unstable\".";

/// Arguments of `loopscope attach`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct AttachArgs {
    /// Apps to attach to [default: the running app]
    ///
    /// By default the running app that has the probe, else http://127.0.0.1:6669.
    ///
    /// pid:PID is the probe of a process, and probe://HOST:PORT the TCP port of a probe. An app's console is
    /// http://HOST:PORT, HOST:PORT, PORT or unix:PATH.
    #[arg(value_name = "ADDR")]
    addresses: Vec<AttachTarget>,
    /// Save the flight recording of the app to this file, and exit
    ///
    /// The app must have the probe, and its flight recorder must be on. `loopscope open FILE` shows the file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["recording", "headless", "for", "path"])]
    dump: Option<PathBuf>,
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
    secret: SecretArgs,
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
        self.addresses.len().max(1)
    }
}

/// Runs the command.
pub(super) fn attach(args: &AttachArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    if let Some(recording) = &args.recording {
        let headless = args.headless.then_some((&args.report_args, args.r#for));
        return open_recording(recording, ReadUntil::UserQuit, &args.record, headless, settings);
    }
    if let Some(file) = &args.dump {
        return dump(args, file);
    }
    if args.headless {
        return attach_headless(args, settings);
    }
    ensure_terminal()?;
    let options = options(args)?;
    let mut archive_files = args.record.file_series();
    let targets = match args.addresses.as_slice() {
        [] => match DefaultTarget::find()? {
            DefaultTarget::Only(target) => vec![target],
            DefaultTarget::OneOf(found) => return screen::choose_app(found, options, archive_files, settings),
        },
        named => named.to_vec(),
    };
    let mut sessions: Vec<Box<dyn Session>> = Vec::new();
    for target in &targets {
        let file = archive_files.next()?;
        let session = target.start(&options, settings)?.into_session();
        let head = session::archive_head(&target.run_source(), session.status().feed);
        sessions.push(record::archive_session(file, session, head)?);
    }
    screen::watch_attached(sessions, options, archive_files, settings)
}

/// Attaches to one app without a screen.
fn attach_headless(args: &AttachArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    let target = match args.addresses.as_slice() {
        [] => DefaultTarget::find()?.only()?,
        [target] => target.clone(),
        _ => bail!("--headless takes only one address\nhelp: run `loopscope attach --headless` once for each address"),
    };
    let options = options(args)?;
    let (file, source) = (args.record.file()?, target.run_source());
    let mut session = target.start(&options, settings)?;
    if args.r#for.is_none() {
        session.set_answer_timeout(ANSWER_TIMEOUT);
    }
    let (report_args, thresholds) = (&args.report_args, &settings.thresholds);
    let session = session.into_session();
    let (exit, status) = headless::archive_and_report(file, session, args.r#for, &source, thresholds, report_args)?;
    let has_data = |state| matches!(state, ConnectionState::Live | ConnectionState::Lost);
    if let Some(connection) =
        status.connection.filter(|connection| has_data(connection.state) && !connection.note.is_empty())
    {
        print_error(&format!("{target}: {}", connection.note));
    }
    Ok(exit)
}

/// Saves the flight recording of an app.
fn dump(args: &AttachArgs, file: &Path) -> anyhow::Result<CliExit> {
    let target = match args.addresses.as_slice() {
        [] => DefaultTarget::find()?.only()?,
        [target] => target.clone(),
        _ => bail!("--dump takes only one address"),
    };
    if let AttachTarget::Console(_) = target {
        bail!("--dump: no running app has the probe\nhelp: name one, such as `loopscope attach --dump FILE pid:1234`");
    }
    let socket = target.connect_to_probe(&args.secret)?;
    let cannot_save = |error: String| OperationError(format!("cannot save the flight recording of {target}: {error}"));
    let bytes = save_flight_recording(&socket, file).map_err(cannot_save)?;
    print_error(&format!("saved {bytes} bytes to `{0}`; `loopscope open {0}` shows them", file.display()));
    Ok(CliExit::Success)
}

/// Returns how to attach, with the checked folder of `--source`.
fn options(args: &AttachArgs) -> anyhow::Result<AttachOptions> {
    let folder = args.source.as_deref().map(source_folder).transpose()?;
    Ok(AttachOptions { folder, secret: args.secret.clone() })
}
