//! `loopscope attach`: a program that is not ours, on screen or headless.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::exit::{Broken, Exit, tell};
use super::headless::{self, Wanted};
use super::open;
use super::record::{self, Record};
use super::run::ensure_terminal;
use super::screen;
use crate::app::Session;
use crate::control::{FeedChoice, LinkState, SourceKind};
use crate::feed::wire::{Address, DEFAULT_ADDRESS};
use crate::report::Source;
use crate::session::{self, AttachSession, Until};
use crate::settings::Settings;
use crate::workload::duration;

/// How long a headless attach waits for somebody to answer, where it is not said how long it is to last.
const REACH_PATIENCE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  loopscope attach                            a program on this machine, at the usual port
  loopscope attach 7000 unix:/tmp/app.sock    two programs
  loopscope attach --for 3s --headless --json > report.json
  loopscope attach --record seen.loop         write what is seen to a file, for `loopscope open`
  loopscope attach --for 3s --headless --assert 'loop.polls > 0'

The program has to call console_subscriber::init(), and to be built with tokio's feature `tracing` and with
RUSTFLAGS=\"--cfg tokio_unstable\".";

/// What was typed after `attach`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AttachArguments {
    /// Where the program listens: http://HOST:PORT, HOST:PORT, PORT or unix:PATH
    #[arg(value_name = "ADDR", default_value = DEFAULT_ADDRESS)]
    addresses: Vec<Address>,
    /// Follow a recording that an app makes (TOKIO_CONSOLE_RECORD_PATH) instead, while it grows
    #[arg(long, value_name = "FILE", conflicts_with = "addresses")]
    recording: Option<PathBuf>,
    /// Watch no longer than this: 3s, 500ms, 2min. Without it a headless attach lasts until the program goes or Ctrl-C
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "headless", help_heading = "Headless")]
    r#for: Option<Duration>,
    /// No screen: print a report when it is over. Exit 1 if nobody answered in that time, or within 10s
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    /// Where the program was built, to show the lines of its source: the places that it tells of are mostly relative to that
    #[arg(long, value_name = "FOLDER", conflicts_with = "recording")]
    source: Option<PathBuf>,
    #[command(flatten)]
    record: Record,
    #[command(flatten)]
    wanted: Wanted,
}

/// Watches what was asked for.
pub(super) fn attach(arguments: &AttachArguments, settings: &Settings) -> anyhow::Result<Exit> {
    if let Some(recording) = &arguments.recording {
        let headless = arguments.headless.then_some((&arguments.wanted, arguments.r#for));
        return open::recorded(recording, Until::Told, &arguments.record, headless, settings);
    }
    if arguments.headless {
        return attach_headless(arguments, settings);
    }
    ensure_terminal("loopscope attach --headless --for 3s")?;
    let folder = built_in(arguments)?;
    let mut records = arguments.record.records();
    let mut sessions: Vec<Box<dyn Session>> = Vec::new();
    for address in &arguments.addresses {
        let file = records.next()?;
        let head = session::head(&source(address), FeedChoice::Console);
        sessions.push(record::onto(file, start(address, folder.clone(), settings)?, head)?);
    }
    screen::watch(sessions, records, settings)
}

fn attach_headless(arguments: &AttachArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let [address] = arguments.addresses.as_slice() else {
        bail!("one report is of one program: call `loopscope attach --headless` once for each address");
    };
    let folder = built_in(arguments)?;
    let (file, source) = (arguments.record.file()?, source(address));
    let mut session = start(address, folder, settings)?;
    if arguments.r#for.is_none() {
        session.give_up_after(REACH_PATIENCE);
    }
    let (wanted, thresholds) = (&arguments.wanted, &settings.thresholds);
    let (exit, status) = headless::watch_onto(file, session, arguments.r#for, &source, thresholds, wanted)?;
    let is_seen = |state| matches!(state, LinkState::Live | LinkState::Lost);
    if let Some(link) = status.link.filter(|link| is_seen(link.state) && !link.note.is_empty()) {
        tell(&format!("{address}: {}", link.note));
    }
    Ok(exit)
}

/// The folder that was given with `--source`.
///
/// # Errors
/// Where there is none.
pub(super) fn source_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    ensure!(folder.is_dir(), "--source {}: there is no such folder", folder.display());
    Ok(folder.to_owned())
}

/// What a report, or an archive, calls what is at `address`.
pub(super) fn source(address: &Address) -> Source {
    Source::foreign(SourceKind::Attach, address.to_string())
}

fn built_in(arguments: &AttachArguments) -> anyhow::Result<Option<PathBuf>> {
    arguments.source.as_deref().map(source_folder).transpose()
}

fn start(address: &Address, folder: Option<PathBuf>, settings: &Settings) -> anyhow::Result<AttachSession> {
    let session = AttachSession::start_built_in(folder, address, settings.memory_bytes);
    session.context(Broken("no thread could be had".to_owned()))
}
