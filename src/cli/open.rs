//! The command `open`, and `attach --recording`: shows archives and recordings.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::exit::{CliExit, print_error};
use super::headless::{self, ReportArgs};
use super::record::{self, ArchiveFileSeries, RecordArgs};
use super::run::ensure_terminal;
use super::screen;
use crate::control::{FeedChoice, SourceKind};
use crate::feed::{archive, recording};
use crate::report::RunSource;
use crate::session::{self, ArchiveSession, ReadUntil, RecordingSession};
use crate::settings::Settings;

/// Number of bytes to read to identify a recording.
const HEADER_BYTES: usize = 4_096;

const EXAMPLES: &str = "\
Examples:
  TOKIO_CONSOLE_RECORD_PATH=app.jsonl ./my-app     record an app
  loopscope open app.jsonl                         show the recording
  loopscope open app.jsonl --headless --json > report.json
  loopscope open app.jsonl --record app.loop       convert it to a smaller archive
  loopscope run countasync --record run.loop       archive a run
  loopscope open run.loop                          show the archive";

/// Arguments of `loopscope open`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OpenArgs {
    /// Loopscope archive, or console-subscriber recording (complete or growing)
    file: PathBuf,
    /// Read the file to its end without a screen and print a report
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    report_args: ReportArgs,
}

/// Runs the command.
pub(super) fn open(args: &OpenArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    let report_args = args.headless.then_some((&args.report_args, None));
    if is_archive(&args.file) {
        ensure!(args.record.path().is_none(), "--record: the file is already an archive\nhelp: copy it");
        return open_archive(&args.file, report_args.map(|(report_args, _)| report_args), settings);
    }
    open_recording(&args.file, ReadUntil::EndOfFile, &args.record, report_args, settings)
}

/// Returns whether the file at `path` has the header of an archive. Unreadable files are handled as recordings, which
/// reports the error.
fn is_archive(path: &Path) -> bool {
    let mut header = Vec::new();
    let file =
        std::fs::metadata(path).ok().filter(|found| found.is_file()).and_then(|_| std::fs::File::open(path).ok());
    file.is_some_and(|file| file.take(16).read_to_end(&mut header).is_ok() && archive::is_archive(&header))
}

/// Shows the archive at `path` on screen, or headless if report arguments are given.
fn open_archive(path: &Path, headless: Option<&ReportArgs>, settings: &Settings) -> anyhow::Result<CliExit> {
    let name = path.display().to_string();
    if headless.is_none() {
        ensure_terminal(&format!("loopscope open {name} --headless"))?;
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

/// Shows the recording at `path` on screen, or headless if report arguments and an optional time limit are given.
pub(super) fn open_recording(
    path: &Path,
    until: ReadUntil,
    record: &RecordArgs,
    headless: Option<(&ReportArgs, Option<Duration>)>,
    settings: &Settings,
) -> anyhow::Result<CliExit> {
    let name = path.display().to_string();
    check_recording(path, until).with_context(|| format!("cannot open `{name}`"))?;
    if headless.is_none() {
        ensure_terminal(&format!("loopscope open {name} --headless"))?;
    }
    let is_input_file =
        |written: &Path| written.canonicalize().ok().is_some_and(|at| path.canonicalize().ok() == Some(at));
    ensure!(!record.path().is_some_and(is_input_file), "--record: `{name}` is the input file");
    let mut archive_files = record.file_series();
    let file = archive_files.next()?;
    let session = RecordingSession::open(path, until, settings.memory_bytes);
    let session = session.with_context(|| format!("cannot open `{name}`"))?;
    let source = RunSource::external(SourceKind::Recording, name.clone());
    let Some((report_args, at_most)) = headless else {
        let session = record::archive_session(file, session, session::archive_head(&source, FeedChoice::Probe))?;
        return screen::watch(vec![session], archive_files, settings);
    };
    Ok(headless::archive_and_report(file, session, at_most, &source, &settings.thresholds, report_args)?.0)
}

/// Checks that the file at `path` is a recording. A file to follow may be empty.
fn check_recording(path: &Path, until: ReadUntil) -> anyhow::Result<()> {
    let kind = std::fs::metadata(path).map_err(|error| anyhow::anyhow!("{error}"))?.file_type();
    if kind.is_dir() {
        bail!("it is a folder");
    }
    if !kind.is_file() {
        bail!("not a regular file\nhelp: `loopscope exec -- COMMAND` starts an app and reads its live recording");
    }
    let mut header = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| anyhow::anyhow!("{error}"))?;
    let limit = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut header).map_err(|error| anyhow::anyhow!("{error}"))?;
    if header.is_empty() && until == ReadUntil::EndOfFile {
        bail!("empty recording: the app recorded no events");
    }
    recording::check_beginning(&header)?;
    Ok(())
}
