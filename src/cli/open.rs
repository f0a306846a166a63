//! The command `open`: shows archives, files of the probe, and recordings.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::exit::{CliExit, print_error};
use super::headless;
use super::open_recording::open_recording;
use super::record::{self, ArchiveFileSeries, RecordArgs};
use super::report_args::ReportArgs;
use super::screen;
use super::terminal_check::ensure_terminal;
use crate::control::{FeedChoice, RunOutcome, SourceKind};
use crate::feed::{app_probe, archive};
use crate::report::RunSource;
use crate::session::{self, ArchiveSession, ProbeSession, ReadUntil};
use crate::settings::Settings;

const EXAMPLES: &str = "\
Examples:
  TOKIO_CONSOLE_RECORD_PATH=app.jsonl ./my-app     record an app
  loopscope open app.jsonl                         show the recording
  loopscope open app.jsonl --headless --json > report.json
  loopscope open app.jsonl --record app.loop       convert it to an archive
  loopscope run countasync --record run.loop       archive a run
  loopscope open run.loop                          show the archive
  loopscope open crash.lsprobe                     show a flight recording
  loopscope open crash.lsprobe --record crash.loop convert it to an archive";

/// Arguments of `loopscope open`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct OpenArgs {
    /// Archive, flight recording, or console-subscriber recording
    ///
    /// A recording may still be growing.
    file: PathBuf,
    /// Print a report instead of showing the screen
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    report_args: ReportArgs,
}

#[cfg(test)]
impl OpenArgs {
    /// Returns whether it prints a report.
    pub fn is_headless(&self) -> bool {
        self.headless
    }
}

/// Runs the command.
pub(super) fn open(args: &OpenArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    let report_args = args.headless.then_some((&args.report_args, None));
    if has_header(&args.file, archive::is_archive) {
        ensure!(
            args.record.path().is_none(),
            "--record: `{}` is already an archive\nhelp: copy the file instead",
            args.file.display()
        );
        return open_archive(&args.file, report_args.map(|(report_args, _)| report_args), settings);
    }
    if has_header(&args.file, app_probe::is_probe_file) {
        return open_probe_file(args, settings);
    }
    // A report covers what is there; the screen follows an app that still writes.
    let until = if report_args.is_some() { ReadUntil::EndOfFile } else { ReadUntil::WritersGone };
    open_recording(&args.file, until, &args.record, report_args, settings)
}

/// Returns whether the first bytes of the file at `path` are as expected. Unreadable files are handled as recordings, which
/// reports the error.
fn has_header(path: &Path, is_expected: impl Fn(&[u8]) -> bool) -> bool {
    let mut header = Vec::new();
    let file =
        std::fs::metadata(path).ok().filter(|found| found.is_file()).and_then(|_| std::fs::File::open(path).ok());
    file.is_some_and(|file| file.take(16).read_to_end(&mut header).is_ok() && is_expected(&header))
}

/// Shows a file that an app with the probe wrote, on screen or headless.
fn open_probe_file(args: &OpenArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    let name = args.file.display().to_string();
    if !args.headless {
        ensure_terminal()?;
    }
    let mut archive_files = args.record.file_series();
    let file = archive_files.next()?;
    let session = ProbeSession::open(&args.file, settings.memory_bytes);
    let session = session.with_context(|| format!("cannot open `{name}`"))?;
    let source = RunSource::external(SourceKind::Recording, name);
    if args.headless {
        let (thresholds, report_args) = (&settings.thresholds, &args.report_args);
        let (exit, status) = headless::archive_and_report(file, session, None, &source, thresholds, report_args)?;
        // What is missing in a failed one is the error that was printed.
        let note = status.connection.map(|connection| connection.note).filter(|note| note != "complete");
        if let (Some(note), Some(RunOutcome::Completed(_))) = (note, &status.outcome) {
            print_error(&format!("{}: {note}", source.name));
        }
        return Ok(exit);
    }
    let session = record::archive_session(file, session, session::archive_head(&source, FeedChoice::Probe))?;
    screen::watch(vec![session], archive_files, settings)
}

/// Shows the archive at `path` on screen, or headless if report arguments are given.
fn open_archive(path: &Path, headless: Option<&ReportArgs>, settings: &Settings) -> anyhow::Result<CliExit> {
    let name = path.display().to_string();
    if headless.is_none() {
        ensure_terminal()?;
    }
    let session = ArchiveSession::open(path, settings.memory_bytes);
    let mut session = session.with_context(|| format!("cannot open `{name}`"))?;
    let Some(report_args) = headless else {
        return screen::watch(vec![Box::new(session)], ArchiveFileSeries::default(), settings);
    };
    for note in session.notes() {
        print_error(&format!("{name}: {note}"));
    }
    let source = session.run_source();
    headless::run_and_report(&mut session, None, &source, &settings.thresholds, report_args)
}
