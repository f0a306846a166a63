//! The command `exec`: starts an app that has the probe or uses console-subscriber, and watches it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::exit::{CliExit, OperationError, print_error};
use super::external_app::source_folder;
use super::headless;
use super::record::{self, RecordArgs};
use super::report_args::ReportArgs;
use super::run::parse_clock;
use super::screen;
use super::terminal_check::ensure_terminal;
use crate::control::{ClockKind, FeedChoice, RunOutcome, SourceKind, duration, measured_cost};
use crate::report::RunSource;
use crate::session::{self, AppStdin, ExecSession, PythonCommand, wait_for_stopping_apps};
use crate::settings::Settings;
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  loopscope exec -- ./target/debug/my-app --port 8080
  loopscope exec --headless --for 10s -- ./my-app
  loopscope exec --record app.loop -- ./my-app
  loopscope exec --headless --json -- ./my-app < input > report.json
  loopscope exec -- python3 app.py
  loopscope exec --clock virtual -- python3 app.py

A Python program with asyncio is observed as it is (docs/asyncio.md). A tokio app must call loopscope_probe::init() or \
console_subscriber::init(), and must be built with tokio's feature `tracing` and with RUSTFLAGS=\"--cfg tokio_unstable\". \
An app with the probe connects to a socket of loopscope, and can be paused and stepped. Of any other app, loopscope sets \
the console to a free port and the recording to a pipe. Measured by the bench `outside_probe_over_console`: the probe adds \
63 ns to a poll that yields, and console-subscriber's layer 487 ns, without the recording.

When loopscope exits, it terminates the app and its process group. Exception: with --headless and a terminal as \
standard input, the app shares loopscope's process group, and its child processes are not terminated.";

/// Arguments of `loopscope exec`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ExecArgs {
    /// App and its arguments, after `--`
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<OsString>,
    /// Print a report instead of showing the screen
    ///
    /// Runs the app to its end. The app inherits standard input.
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    /// Terminate the app after this time
    ///
    /// Seconds, or text such as 10ms or 1h30m.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "headless", help_heading = "Headless")]
    r#for: Option<Duration>,
    /// Read source lines in the folder in which the app was built
    ///
    /// The locations that the app reports are relative to this folder. By default it is guessed from the app's path.
    #[arg(long, value_name = "FOLDER")]
    source: Option<PathBuf>,
    /// Set the clock of a Python program
    ///
    /// On a virtual clock, waiting takes no time: whenever nothing is ready, time advances to the next timer. Only for
    /// programs with asyncio that sleep and compute.
    #[arg(long, value_parser = PossibleValuesParser::new(["real", "virtual"]).map(|name| parse_clock(&name)))]
    clock: Option<ClockKind>,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    report_args: ReportArgs,
}

#[cfg(test)]
impl ExecArgs {
    /// Returns whether it prints a report.
    pub fn is_headless(&self) -> bool {
        self.headless
    }
}

/// Runs the command, then waits for the app to end.
pub(super) fn exec(args: &ExecArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    let exit = watch(args, settings);
    // The session is dropped, but its app may still be terminating.
    wait_for_stopping_apps();
    exit
}

fn watch(args: &ExecArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    let command: Vec<_> = args.command.iter().map(|word| word.to_string_lossy()).collect();
    let name = command.join(" ");
    if args.headless {
        headless::handle_signals()?;
    } else {
        ensure_terminal()?;
        terminal::handle_early_signals()?;
    }
    let folder = match &args.source {
        Some(folder) => Some(source_folder(folder)?),
        None => args
            .command
            .first()
            .zip(std::env::current_dir().ok())
            .and_then(|(app, here)| session::guess_build_folder(app, &here)),
    };
    let mut archive_files = args.record.file_series();
    let file = archive_files.next()?;
    let python = PythonCommand::of(&args.command);
    if let Some(problem) = python.and_then(PythonCommand::problem).filter(|_| args.headless) {
        print_error(&format!("{name}: {problem}"));
    }
    let stdin = if args.headless { AppStdin::Inherit } else { AppStdin::Null };
    let clock = args.clock.unwrap_or(ClockKind::Real);
    let started = ExecSession::start_with_clock(&args.command, stdin, settings.memory_bytes, clock);
    let mut session = started.context(OperationError(format!("cannot start observing `{name}`")))?;
    session = session.with_thresholds(settings.thresholds);
    if let Some(folder) = folder {
        session = session.with_source_folder(folder);
    }
    let source = RunSource { clock, ..RunSource::external(SourceKind::Exec, session.name().to_owned()) };
    if !args.headless {
        let session = record::archive_session(file, session, session::archive_head(&source, FeedChoice::Both))?;
        return screen::watch(vec![session], archive_files, settings);
    }
    let (report_args, thresholds) = (&args.report_args, &settings.thresholds);
    let (exit, status) = headless::archive_and_report(file, session, args.r#for, &source, thresholds, report_args)?;
    let way = if status.feed == FeedChoice::Probe { "its probe" } else { "its console and recording" };
    if clock == ClockKind::Virtual && status.clock == ClockKind::Real {
        let problem = "the clock was real: only Python programs with asyncio have a virtual clock";
        return Err(OperationError(format!("{name}: {problem}")).into());
    }
    // The cost was measured for tokio.
    if python.is_some() {
        if status.feed == FeedChoice::Probe {
            print_error(&format!("{}: observed through loopscope's module for Python", source.name));
        }
    } else if !matches!(status.outcome, Some(RunOutcome::Failed(_))) {
        print_error(&format!("{}: observed through {way}: {}", source.name, measured_cost(status.feed)));
    }
    if let Some(note) = status.connection.map(|connection| connection.note).filter(|note| !note.is_empty()) {
        print_error(&format!("{}: {note}", source.name));
    }
    Ok(exit)
}
