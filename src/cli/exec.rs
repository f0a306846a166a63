//! `loopscope exec`: an app that uses console-subscriber, started and watched, on screen or headless.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use super::attach::source_folder;
use super::exit::{Broken, Exit, tell};
use super::headless::{self, Wanted};
use super::record::{self, Record};
use super::run::ensure_terminal;
use super::screen;
use crate::control::{FeedChoice, SourceKind};
use crate::report::Source;
use crate::session::{self, ExecSession, Stdin, wait_for_left};
use crate::settings::Settings;
use crate::terminal;
use crate::workload::duration;

const EXAMPLES: &str = "\
Examples:
  loopscope exec -- ./target/debug/my-app --port 8080
  loopscope exec --headless --for 10s -- ./my-app
  loopscope exec --record seen.loop -- ./my-app
  loopscope exec --headless --json -- ./my-app < input > report.json

The app has to call console_subscriber::init(), and to be built with tokio's feature `tracing` and with
RUSTFLAGS=\"--cfg tokio_unstable\". It is not changed otherwise: it listens at a port that is free, and records into a
pipe. When loopscope ends, so does the app, with all that it started and that is still in its process group. Only where
--headless reads standard input from a terminal the app has no group of its own, and what it started is its to end.";

/// What was typed after `exec`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExecArguments {
    /// The app and its arguments, after `--`
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<OsString>,
    /// No screen: let it run to its end and print a report. Its standard input is ours then
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    /// End the app after so long: seconds, or text such as 10ms or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "headless", help_heading = "Headless")]
    r#for: Option<Duration>,
    /// Where the app was built, to show the lines of its source, if that is neither here nor where its `target` is
    #[arg(long, value_name = "FOLDER")]
    source: Option<PathBuf>,
    #[command(flatten)]
    record: Record,
    #[command(flatten)]
    wanted: Wanted,
}

pub(super) fn exec(arguments: &ExecArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let exit = watch(arguments, settings);
    // The session is gone by now, and its app perhaps not yet.
    wait_for_left();
    exit
}

fn watch(arguments: &ExecArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let words: Vec<_> = arguments.command.iter().map(|word| word.to_string_lossy()).collect();
    let name = words.join(" ");
    if arguments.headless {
        headless::heed_signals()?;
    } else {
        ensure_terminal(&format!("loopscope exec --headless -- {name}"))?;
        terminal::heed_signals()?;
    }
    let folder = match &arguments.source {
        Some(folder) => Some(source_folder(folder)?),
        None => arguments
            .command
            .first()
            .zip(std::env::current_dir().ok())
            .and_then(|(app, here)| session::built_in(app, &here)),
    };
    let mut records = arguments.record.records();
    let file = records.next()?;
    let stdin = if arguments.headless { Stdin::Ours } else { Stdin::Nothing };
    let started = ExecSession::start(&arguments.command, stdin, settings.memory_bytes);
    let mut session = started.context(Broken(format!("{name} cannot be watched")))?;
    if let Some(folder) = folder {
        session = session.built_in(folder);
    }
    let source = Source::foreign(SourceKind::Exec, session.name().to_owned());
    if !arguments.headless {
        let session = record::onto(file, session, session::head(&source, FeedChoice::Both))?;
        return screen::watch(vec![session], records, settings);
    }
    let (wanted, thresholds) = (&arguments.wanted, &settings.thresholds);
    let (exit, status) = headless::watch_onto(file, session, arguments.r#for, &source, thresholds, wanted)?;
    if let Some(note) = status.link.map(|link| link.note).filter(|note| !note.is_empty()) {
        tell(&format!("{}: {note}", source.name));
    }
    Ok(exit)
}
