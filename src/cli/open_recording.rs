//! Shows a console-subscriber recording, for the commands `open` and `attach --recording`.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::exit::{CliExit, print_error};
use super::headless;
use super::record::{self, RecordArgs};
use super::report_args::ReportArgs;
use super::screen;
use super::terminal_check::ensure_terminal;
use crate::control::{FeedChoice, RunOutcome, SourceKind};
use crate::feed::{app_probe, archive, recording};
use crate::report::RunSource;
use crate::session::{self, ReadUntil, RecordingSession};
use crate::settings::Settings;

/// Number of bytes to read to identify a recording.
const HEADER_BYTES: u64 = 4_096;

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
        ensure_terminal()?;
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
    let thresholds = &settings.thresholds;
    let (exit, status) = headless::archive_and_report(file, session, at_most, &source, thresholds, report_args)?;
    // Only another run ends the reading of a file before its end.
    if until == ReadUntil::EndOfFile
        && status.outcome == Some(RunOutcome::Detached)
        && let Some(note) = status.connection.map(|connection| connection.note).filter(|note| !note.is_empty())
    {
        print_error(&format!("{name}: {note}"));
    }
    Ok(exit)
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
    file.take(HEADER_BYTES).read_to_end(&mut header).map_err(|error| anyhow::anyhow!("{error}"))?;
    if header.is_empty() && until != ReadUntil::UserQuit {
        bail!("empty recording: the app recorded no events");
    }
    if app_probe::is_probe_file(&header) {
        bail!("it is a flight recording\nhelp: `loopscope open {}` shows it", path.display());
    }
    if archive::is_archive(&header) {
        bail!("it is an archive\nhelp: `loopscope open {}` shows it", path.display());
    }
    recording::check_beginning(&header)?;
    Ok(())
}
