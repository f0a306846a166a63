//! `loopscope open`, and what `attach --recording` does: files that tell what an app did.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::exit::Exit;
use super::headless::{self, Wanted};
use super::run::ensure_terminal;
use super::screen;
use crate::control::{ClockKind, SourceKind};
use crate::feed::recording;
use crate::report::Source;
use crate::session::{RecordingSession, Until};
use crate::settings::Settings;

/// Bytes at the beginning of a file that tell what it is.
const BEGINNING_BYTES: usize = 4_096;

const EXAMPLES: &str = "\
Examples:
  TOKIO_CONSOLE_RECORD_PATH=app.jsonl ./my-app     record an app that calls console_subscriber::init()
  loopscope open app.jsonl
  loopscope open app.jsonl --headless --json > report.json";

/// What was typed after `open`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OpenArguments {
    /// A recording of console-subscriber's, whole or still growing
    file: PathBuf,
    /// No screen: read it to its end and print a report
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    #[command(flatten)]
    wanted: Wanted,
}

/// Reads a file to its end, or as long as it grows.
pub(super) fn open(arguments: &OpenArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let wanted = arguments.headless.then_some((&arguments.wanted, None));
    recorded(&arguments.file, Until::Whole, wanted, settings)
}

/// Looks at the recording at `path`, on screen or, with what is wanted of it and for so long, headless.
pub(super) fn recorded(
    path: &Path,
    until: Until,
    headless: Option<(&Wanted, Option<Duration>)>,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let name = path.display().to_string();
    check(path, until).with_context(|| format!("{name} cannot be opened"))?;
    let start = || RecordingSession::open(path, until, settings.memory_bytes);
    let Some((wanted, at_most)) = headless else {
        ensure_terminal(&format!("loopscope open {name} --headless"))?;
        let session = start().with_context(|| format!("{name} cannot be opened"))?;
        return screen::watch(vec![Box::new(session)], settings);
    };
    let mut session = start().with_context(|| format!("{name} cannot be opened"))?;
    let source =
        Source { kind: SourceKind::Recording, name: name.clone(), params: Vec::new(), clock: ClockKind::Real, seed: 0 };
    headless::watch(&mut session, at_most, &source, &settings.thresholds, wanted)
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
