//! `loopscope open`, and what `attach --recording` does: files that tell what an app did.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::exit::{Exit, tell};
use super::headless::{self, Wanted};
use super::record::{self, Record, Records};
use super::run::ensure_terminal;
use super::screen;
use crate::control::{FeedChoice, SourceKind};
use crate::feed::{archive, recording};
use crate::report::Source;
use crate::session::{self, ArchiveSession, RecordingSession, Until};
use crate::settings::Settings;

/// Bytes at the beginning of a file that tell what it is.
const BEGINNING_BYTES: usize = 4_096;

const EXAMPLES: &str = "\
Examples:
  TOKIO_CONSOLE_RECORD_PATH=app.jsonl ./my-app     record an app that calls console_subscriber::init()
  loopscope open app.jsonl
  loopscope open app.jsonl --headless --json > report.json
  loopscope open app.jsonl --record app.loop       make an archive of it, in a fraction of the bytes
  loopscope run countasync --record run.loop       write a run to a file, and look at it again
  loopscope open run.loop";

/// What was typed after `open`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OpenArguments {
    /// An archive of loopscope's, or a recording of console-subscriber's, whole or still growing
    file: PathBuf,
    /// No screen: read it to its end and print a report
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    #[command(flatten)]
    record: Record,
    #[command(flatten)]
    wanted: Wanted,
}

/// Reads a file to its end, or as long as it grows.
pub(super) fn open(arguments: &OpenArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let wanted = arguments.headless.then_some((&arguments.wanted, None));
    if is_archive(&arguments.file) {
        ensure!(arguments.record.path().is_none(), "--record writes an archive, and that is one: copy it");
        return archived(&arguments.file, wanted.map(|(wanted, _)| wanted), settings);
    }
    recorded(&arguments.file, Until::Whole, &arguments.record, wanted, settings)
}

/// Whether the file at `path` begins as an archive does; what cannot be read is looked at as a recording, which says why.
fn is_archive(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let file =
        std::fs::metadata(path).ok().filter(|found| found.is_file()).and_then(|_| std::fs::File::open(path).ok());
    file.is_some_and(|file| file.take(16).read_to_end(&mut beginning).is_ok() && archive::is_archive(&beginning))
}

/// Looks at the archive at `path`, on screen or, with what is wanted of it, headless.
fn archived(path: &Path, headless: Option<&Wanted>, settings: &Settings) -> anyhow::Result<Exit> {
    let name = path.display().to_string();
    if headless.is_none() {
        ensure_terminal(&format!("loopscope open {name} --headless"))?;
    }
    let session = ArchiveSession::open(path, settings.memory_bytes);
    let mut session = session.with_context(|| format!("{name} cannot be opened"))?;
    let Some(wanted) = headless else { return screen::watch(vec![Box::new(session)], Records::default(), settings) };
    for note in session.notes() {
        tell(&format!("{name}: {note}"));
    }
    let source = session.archived();
    headless::watch(&mut session, None, &source, &settings.thresholds, wanted)
}

/// Looks at the recording at `path`, on screen or, with what is wanted of it and for so long, headless.
pub(super) fn recorded(
    path: &Path,
    until: Until,
    record: &Record,
    headless: Option<(&Wanted, Option<Duration>)>,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let name = path.display().to_string();
    check(path, until).with_context(|| format!("{name} cannot be opened"))?;
    if headless.is_none() {
        ensure_terminal(&format!("loopscope open {name} --headless"))?;
    }
    let is_itself = |written: &Path| written.canonicalize().ok().is_some_and(|at| path.canonicalize().ok() == Some(at));
    ensure!(!record.path().is_some_and(is_itself), "--record {name}: that is the file that is read");
    let mut records = record.records();
    let file = records.next()?;
    let session = RecordingSession::open(path, until, settings.memory_bytes);
    let session = session.with_context(|| format!("{name} cannot be opened"))?;
    let source = Source::foreign(SourceKind::Recording, name.clone());
    let Some((wanted, at_most)) = headless else {
        let session = record::onto(file, session, session::head(&source, FeedChoice::Probe))?;
        return screen::watch(vec![session], records, settings);
    };
    Ok(headless::watch_onto(file, session, at_most, &source, &settings.thresholds, wanted)?.0)
}

/// Whether the file at `path` is of a kind that can be looked at; one that is followed may still be empty.
fn check(path: &Path, until: Until) -> anyhow::Result<()> {
    let kind = std::fs::metadata(path).map_err(|error| anyhow::anyhow!("{error}"))?.file_type();
    if kind.is_dir() {
        bail!("it is a folder");
    }
    if !kind.is_file() {
        bail!("it is not a file\n`loopscope exec -- COMMAND` starts an app and reads its recording as it is made");
    }
    let mut beginning = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| anyhow::anyhow!("{error}"))?;
    let limit = u64::try_from(BEGINNING_BYTES).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut beginning).map_err(|error| anyhow::anyhow!("{error}"))?;
    if beginning.is_empty() && until == Until::Whole {
        bail!("it is empty: the app has recorded nothing");
    }
    recording::begins(&beginning)?;
    Ok(())
}
