//! The command `run`: turns arguments into a validated plan and runs it on screen or headless.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::catalog::user_folder;
use super::exit::{CliExit, print_error};
use super::headless;
use super::plan::RunPlan;
use super::record::RecordArgs;
use super::report_args::ReportArgs;
use super::screen;
use super::terminal_check::ensure_terminal;
use crate::control::{BREAKPOINTS_MAX, Breakpoint, ClockKind, FeedChoice, Speed, duration};
use crate::feed::wire::ConsoleAddress;
use crate::lab::ConsoleListener;
use crate::settings::Settings;
use crate::trace::Nanos;
use crate::workload::{Permissions, build_program_with, catalog, params};

const EXAMPLES: &str = "\
Examples:
  loopscope run countasync
  loopscope run chess-async --set opponents=8 --speed 600
  loopscope run my-script.lua --paused
  loopscope run countsync --headless
  loopscope run countasync --headless --json > report.json
  loopscope run countasync --headless --assert 'elapsed_ns == 1s'";

/// Arguments of `loopscope run`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct RunArgs {
    /// Workload name or script file
    #[arg(value_name = "NAME|FILE.lua")]
    workload: String,
    /// Set a parameter (repeatable)
    ///
    /// `loopscope show NAME` lists the parameters of a workload.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,
    /// Set the random seed
    ///
    /// Equal seeds give identical runs on a virtual clock.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Set the clock of the loop [default: chosen by the workload]
    #[arg(long, value_parser = PossibleValuesParser::new(["real", "virtual"]).map(|name| parse_clock(&name)))]
    clock: Option<ClockKind>,
    /// Set the speed of a virtual clock [default: the setting `speed`]
    ///
    /// Virtual seconds per real second, 0.1 to 1000000, or max, which never waits. The default of a headless run is max.
    #[arg(long, value_name = "N|max")]
    speed: Option<Speed>,
    /// Choose the feeds that record the loop
    #[arg(long, default_value = "both",
        value_parser = PossibleValuesParser::new(["console", "probe", "both"]).map(|name| parse_feed(&name)))]
    feed: FeedChoice,
    /// Start paused, before the first poll
    #[arg(long, conflicts_with = "headless")]
    paused: bool,
    /// End the run at this loop time
    ///
    /// Seconds, or text such as 10ms or 1h30m.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_nanos)]
    until: Option<Nanos>,
    /// Set a breakpoint (repeatable)
    ///
    /// EXPR is one of: poll NAME, wake NAME, end NAME, poll [NAME] > 10ms, wait [NAME] > 1s, or finding [LINT]. A name
    /// that ends in * matches every name with that prefix.
    #[arg(long = "break", value_name = "EXPR")]
    breakpoints: Vec<Breakpoint>,
    #[command(flatten)]
    record: RecordArgs,
    /// Serve the run to tokio-console or another loopscope
    ///
    /// ADDR is http://HOST:PORT or unix:PATH. Clients can watch the run without authentication, but not control it.
    #[arg(long, value_name = "ADDR")]
    serve: Option<ConsoleAddress>,
    /// Allow the script's sockets to reach other machines
    ///
    /// Other machines can reach them too. The default is this machine only. Needs the real clock.
    #[arg(long)]
    allow_net: bool,
    /// Allow the script to read and write files in this folder
    ///
    /// The default is an empty temporary folder. Needs the real clock.
    #[arg(long, value_name = "FOLDER")]
    allow_folder: Option<PathBuf>,
    /// Print a report instead of showing the screen
    #[arg(long, help_heading = "Headless")]
    headless: bool,
    #[command(flatten)]
    report_args: ReportArgs,
}

#[cfg(test)]
impl RunArgs {
    /// Returns whether it prints a report, and has no option that contradicts it.
    pub fn is_accepted_headless(&self) -> bool {
        self.headless && self.breakpoints.is_empty()
    }
}

/// Runs the command.
pub(super) fn run(args: RunArgs, settings: &Settings) -> anyhow::Result<CliExit> {
    if !args.headless {
        ensure_terminal()?;
    }
    let plan = plan(&args, settings)?;
    let listener = args.serve.as_ref().map(|address| listen(address, plan.feed)).transpose()?;
    if !args.headless {
        return screen::run(plan, listener, args.record.file_series(), settings);
    }
    let program = build_program_with(&plan.manifest, plan.params.clone(), plan.permissions.clone())?;
    headless::run(&plan, program, listener, args.record.file()?, &args.report_args)
}

/// Opens the socket for external consoles. Warns if other machines can reach it.
fn listen(address: &ConsoleAddress, feed: FeedChoice) -> anyhow::Result<ConsoleListener> {
    ensure!(feed.has_console(), "--serve needs the console feed, which --feed probe disables");
    let listener = ConsoleListener::bind(address).with_context(|| format!("--serve: cannot listen at `{address}`"))?;
    if !listener.is_local() {
        print_error(&format!(
            "warning: any client that can reach {address} can watch this run without authentication, but not control it"
        ));
    }
    Ok(listener)
}

/// Opens the picker.
pub(super) fn pick(settings: &Settings) -> anyhow::Result<CliExit> {
    ensure_terminal()?;
    screen::pick(settings)
}

/// Validates the arguments.
fn plan(args: &RunArgs, settings: &Settings) -> anyhow::Result<RunPlan> {
    if args.headless && !args.breakpoints.is_empty() {
        bail!(
            "--break cannot be used with --headless: nothing would resume the loop\n\
             help: use --until to end a run early, or --assert to check it"
        );
    }
    ensure!(args.breakpoints.len() <= BREAKPOINTS_MAX, "too many breakpoints: the limit is {BREAKPOINTS_MAX}");
    let manifest = catalog::find_in(&args.workload, &user_folder())?;
    let params = params::resolve(&manifest, &args.set)?;
    let clock = args.clock.unwrap_or(manifest.clock);
    if args.speed.is_some() && clock == ClockKind::Real {
        bail!("--speed needs a virtual clock, but this run uses the real clock\nhelp: use --clock virtual");
    }
    let permissions = permissions(args, clock)?;
    let default_speed = if args.headless { Speed::Max } else { settings.speed };
    Ok(RunPlan {
        manifest,
        params,
        seed: args.seed,
        clock,
        speed: args.speed.unwrap_or(default_speed),
        feed: args.feed,
        paused: args.paused,
        until: args.until,
        breakpoints: args.breakpoints.clone(),
        permissions,
        memory_bytes: settings.memory_bytes,
        thresholds: settings.thresholds,
    })
}

/// Returns the permissions of the script. They need the real clock: on a virtual clock scripts have no system access.
fn permissions(args: &RunArgs, clock: ClockKind) -> anyhow::Result<Permissions> {
    let folder = args.allow_folder.as_deref();
    let asked = [("--allow-net", args.allow_net), ("--allow-folder", folder.is_some())];
    if let Some((flag, _)) = asked.iter().find(|(_, asked)| *asked && clock == ClockKind::Virtual) {
        bail!("{flag} needs the real clock, but this run uses a virtual clock\nhelp: use --clock real");
    }
    if let Some(folder) = folder {
        ensure!(folder.is_dir(), "--allow-folder: no such folder `{}`", folder.display());
    }
    Ok(Permissions { net: args.allow_net, folder: args.allow_folder.clone() })
}

/// Parses `NAME=VALUE`.
fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("missing `=` in `{text}`: use NAME=VALUE"))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

pub(super) fn parse_clock(name: &str) -> ClockKind {
    if name == "real" { ClockKind::Real } else { ClockKind::Virtual }
}

fn parse_feed(name: &str) -> FeedChoice {
    match name {
        "console" => FeedChoice::Console,
        "probe" => FeedChoice::Probe,
        _ => FeedChoice::Both,
    }
}
