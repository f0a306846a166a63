//! `loopscope run`: from what was typed to a checked plan, then on screen or headless.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::catalog::own_folder;
use super::exit::{Exit, tell};
use super::headless::{self, Wanted};
use super::record::Record;
use super::{loop_time, screen};
use crate::control::{BREAKPOINTS_MAX, Breakpoint, ClockKind, FeedChoice, SourceKind, Speed};
use crate::feed::wire::Address;
use crate::insight::Thresholds;
use crate::lab::{Listener, Options};
use crate::report::Source;
use crate::settings::Settings;
use crate::trace::Nanos;
use crate::workload::manifest::{Manifest, ParamValue};
use crate::workload::{Permissions, catalog, params, program_with};

const EXAMPLES: &str = "\
Examples:
  loopscope run countasync
  loopscope run chess-async --set opponents=8 --speed 600
  loopscope run my-script.lua --paused
  loopscope run countsync --headless
  loopscope run countasync --headless --json > report.json
  loopscope run countasync --headless --assert 'elapsed_ns == 1s' --assert 'feeds.agree == true'";

/// What was typed after `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArguments {
    /// A workload's name, or a script of your own
    #[arg(value_name = "NAME|FILE.lua")]
    workload: String,
    /// Set a parameter; `loopscope show NAME` lists them. May be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,
    /// Where the workload's random numbers begin: the same seed, the same run
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Live by the machine's clock or by a virtual one; without this the workload says
    #[arg(long, value_parser = PossibleValuesParser::new(["real", "virtual"]).map(|name| clock_called(&name)))]
    clock: Option<ClockKind>,
    /// Virtual seconds per real second, 0.1 to 1000000, or max. On screen 1 unless a setting says otherwise, headless
    /// max
    #[arg(long, value_name = "N|max")]
    speed: Option<Speed>,
    /// Which witnesses watch the loop
    #[arg(long, default_value = "both",
        value_parser = PossibleValuesParser::new(["console", "probe", "both"]).map(|name| feed_called(&name)))]
    feed: FeedChoice,
    /// Stop before the first poll
    #[arg(long, conflicts_with = "headless")]
    paused: bool,
    /// End the run when loop time reaches this: seconds, or text such as 10ms or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = loop_time)]
    until: Option<Nanos>,
    /// Pause by itself: poll NAME, wake NAME, end NAME, poll > 10ms, wait > 1s, or finding. NAME may end in * for any
    /// that begin so. May be given several times
    #[arg(long = "break", value_name = "EXPR")]
    breakpoints: Vec<Breakpoint>,
    #[command(flatten)]
    record: Record,
    /// Let tokio-console, or another loopscope, look at this run: at http://HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDR")]
    serve: Option<Address>,
    /// Let the script's sockets reach other machines, and be reached from them. Without this they stay on this one
    #[arg(long)]
    allow_net: bool,
    /// Let the script read and write the files in this folder. Without this it has an empty one, which goes with the run
    #[arg(long, value_name = "FOLDER")]
    allow_folder: Option<PathBuf>,
    /// No screen: run to the end and print a report
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    #[command(flatten)]
    wanted: Wanted,
}

/// A run that was asked for and checked: nothing in it can be refused any more.
#[derive(Clone, Debug)]
pub struct Plan {
    pub manifest: Manifest,
    /// In the order of the manifest, defaults included.
    pub params: Vec<(String, ParamValue)>,
    pub seed: u64,
    pub clock: ClockKind,
    /// How fast a virtual clock starts; a real clock takes no notice.
    pub speed: Speed,
    pub feed: FeedChoice,
    /// Stop before the first poll.
    pub paused: bool,
    /// End the run, as cancelled, when loop time reaches this.
    pub until: Option<Nanos>,
    /// Where the loop is to stop by itself.
    pub breakpoints: Vec<Breakpoint>,
    /// What the script may reach.
    pub permissions: Permissions,
    /// Bytes that the trace may keep.
    pub memory_bytes: usize,
    /// From where on something is worth a finding.
    pub thresholds: Thresholds,
}

impl Plan {
    /// How the lab is to run it.
    pub fn options(&self) -> Options {
        Options {
            clock: self.clock,
            speed: self.speed,
            feed: self.feed,
            paused: self.paused,
            seed: self.seed,
            until: self.until,
        }
    }

    /// What a report calls this run.
    pub fn source(&self) -> Source {
        Source {
            kind: SourceKind::Workload,
            name: self.manifest.name.clone(),
            params: self.params.clone(),
            clock: self.clock,
            seed: self.seed,
        }
    }
}

pub(super) fn run(arguments: RunArguments, settings: &Settings) -> anyhow::Result<Exit> {
    if !arguments.headless {
        let again = format!("loopscope run {} --headless", arguments.workload);
        ensure_terminal(&again)?;
    }
    let plan = plan(&arguments, settings)?;
    let listener = arguments.serve.as_ref().map(|address| listen(address, plan.feed)).transpose()?;
    if !arguments.headless {
        return screen::run(plan, listener, arguments.record.records(), settings);
    }
    let program = program_with(&plan.manifest, plan.params.clone(), plan.permissions.clone())?;
    headless::run(&plan, program, listener, arguments.record.file()?, &arguments.wanted)
}

/// Opens the socket where consoles may look at the run, and says so where other machines can reach it.
fn listen(address: &Address, feed: FeedChoice) -> anyhow::Result<Listener> {
    ensure!(feed.console(), "--serve shows what console-subscriber tells, and with --feed probe it is not there");
    let listener = Listener::bind(address).with_context(|| format!("--serve {address}: nobody can listen there"))?;
    if !listener.is_local() {
        tell(&format!(
            "warning: whoever reaches {address} can watch this run, without being asked for anything; nobody can control it"
        ));
    }
    Ok(listener)
}

/// Opens the picker.
pub(super) fn pick(settings: &Settings) -> anyhow::Result<Exit> {
    ensure_terminal("loopscope run NAME --headless")?;
    screen::pick(settings)
}

pub(super) fn ensure_terminal(instead: &str) -> anyhow::Result<()> {
    ensure!(
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        "this is not a terminal, so there is no screen to draw on\nwithout one, type: {instead}"
    );
    Ok(())
}

fn plan(arguments: &RunArguments, settings: &Settings) -> anyhow::Result<Plan> {
    if arguments.headless && !arguments.breakpoints.is_empty() {
        bail!(
            "--break stops the loop for somebody to look at it, and with --headless nobody does: leave out one of the two\n\
             to end a run early, give --until; to hold it to a promise, --assert"
        );
    }
    ensure!(arguments.breakpoints.len() <= BREAKPOINTS_MAX, "more than {BREAKPOINTS_MAX} breakpoints");
    let manifest = catalog::find_with(&arguments.workload, &own_folder())?;
    let params = params::resolve(&manifest, &arguments.set)?;
    let clock = arguments.clock.unwrap_or(manifest.clock);
    if arguments.speed.is_some() && clock == ClockKind::Real {
        bail!("--speed needs a virtual clock, and {} runs on the real one: add --clock virtual", manifest.name);
    }
    let permissions = permissions(arguments, &manifest.name, clock)?;
    let unsaid = if arguments.headless { Speed::Max } else { settings.speed };
    Ok(Plan {
        manifest,
        params,
        seed: arguments.seed,
        clock,
        speed: arguments.speed.unwrap_or(unsaid),
        feed: arguments.feed,
        paused: arguments.paused,
        until: arguments.until,
        breakpoints: arguments.breakpoints.clone(),
        permissions,
        memory_bytes: settings.memory_bytes,
        thresholds: settings.thresholds,
    })
}

/// What is allowed. Only on the real clock does a script touch the system at all, so elsewhere it would mean nothing.
fn permissions(arguments: &RunArguments, name: &str, clock: ClockKind) -> anyhow::Result<Permissions> {
    let folder = arguments.allow_folder.as_deref();
    let asked = [("--allow-net", arguments.allow_net), ("--allow-folder", folder.is_some())];
    if let Some((flag, _)) = asked.iter().find(|(_, asked)| *asked && clock == ClockKind::Virtual) {
        bail!("{flag} needs the real clock, and {name} runs on the virtual one: add --clock real");
    }
    if let Some(folder) = folder {
        ensure!(folder.is_dir(), "--allow-folder {}: there is no such folder", folder.display());
    }
    Ok(Permissions { net: arguments.allow_net, folder: arguments.allow_folder.clone() })
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`: write NAME=VALUE"))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

fn clock_called(name: &str) -> ClockKind {
    if name == "real" { ClockKind::Real } else { ClockKind::Virtual }
}

fn feed_called(name: &str) -> FeedChoice {
    match name {
        "console" => FeedChoice::Console,
        "probe" => FeedChoice::Probe,
        _ => FeedChoice::Both,
    }
}
