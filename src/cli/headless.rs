//! A run without a screen: to its end, then a report, then what was asserted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::assertion::{Assertion, Verdict};
use super::exit::{Exit, tell, to_stdout};
use super::run::Plan;
use crate::app::Session;
use crate::belongings;
use crate::control::{Command, Outcome, Phase, Status};
use crate::insight::Thresholds;
use crate::lab::{Listener, Program};
use crate::report::{Input, Report, Source, write_text};
use crate::session::{self, ArchiveFile, LabSession, Recorded};
use crate::trace::Trace;

/// How long an interrupted run may take to stop and to tell its last.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// How long to wait for the loop before looking again whether somebody interrupted.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What to print of a run, and what must hold of it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Wanted {
    /// Print the report as one JSON document
    #[arg(long, requires = "headless", help_heading = "Headless")]
    json: bool,
    /// Leave nothing out of the report, however long it gets
    #[arg(long, requires = "headless", help_heading = "Headless")]
    full: bool,
    /// Exit with 1 unless this holds of the JSON report: PATH OP VALUE, OP one of == != <= >= < >. May be given
    /// several times
    #[arg(long, value_name = "EXPR", requires = "headless", help_heading = "Headless")]
    assert: Vec<Assertion>,
}

/// Runs `program` as `plan` says, prints its report and gives the exit code.
pub(super) fn run(
    plan: &Plan,
    program: Program,
    listener: Option<Listener>,
    file: Option<ArchiveFile>,
    wanted: &Wanted,
) -> anyhow::Result<Exit> {
    let trace = Trace::with_budget(plan.memory_bytes);
    let session = LabSession::start_served(&plan.manifest.name, program, plan.options(), trace, listener)?;
    let session = session.with_source(&plan.manifest.file, &plan.manifest.text);
    Ok(watch_onto(file, session, None, &plan.source(), &plan.thresholds, wanted)?.0)
}

/// [`watch`], written to a file while it goes on, where there is one. Gives too how the session stands at the end.
pub(super) fn watch_onto(
    file: Option<ArchiveFile>,
    mut session: impl Session + 'static,
    at_most: Option<Duration>,
    source: &Source,
    thresholds: &Thresholds,
    wanted: &Wanted,
) -> anyhow::Result<(Exit, Status)> {
    let Some(file) = file else {
        let exit = watch(&mut session, at_most, source, thresholds, wanted)?;
        return Ok((exit, session.status()));
    };
    let head = session::head(source, session.status().feed);
    let mut recorded = Recorded::new(Box::new(session), file, head).context("the archive cannot be written")?;
    let mut exit = watch(&mut recorded, at_most, source, thresholds, wanted)?;
    recorded.finish();
    if let Some(problem) = recorded.problem() {
        tell(&problem);
        exit = if exit == Exit::Success { Exit::Failed } else { exit };
    }
    Ok((exit, recorded.watched().status()))
}

/// Takes signals for a wish to end, from now on; to be called before anything is started that must not be left behind.
pub(super) fn heed_signals() -> anyhow::Result<&'static Arc<AtomicBool>> {
    static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(interrupted) = INTERRUPTED.get() {
        return Ok(interrupted);
    }
    let interrupted = INTERRUPTED.get_or_init(Arc::default);
    // Under `nohup` a terminal that goes away is no wish to end.
    let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            // The first one ends the run and leaves a report, the second ends the program, with all that belongs to it.
            if interrupted.swap(true, Ordering::Relaxed) {
                belongings::sweep();
                std::process::exit(Exit::Interrupted.code().into());
            }
        }
    })?;
    Ok(interrupted)
}

/// Whoever started us wanted this signal to be ignored. Where the system does not tell, nobody did.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored >> (signal - 1) & 1 == 1)
}

/// Watches `session` to its end, or for so long, prints the report and gives the exit code.
pub(super) fn watch(
    session: &mut dyn Session,
    at_most: Option<Duration>,
    source: &Source,
    thresholds: &Thresholds,
    wanted: &Wanted,
) -> anyhow::Result<Exit> {
    let interrupted = heed_signals()?;
    let outcome = run_to_end(session, at_most, interrupted);

    let input = Input {
        source,
        trace: session.trace(),
        outcome: &outcome,
        feed: session.status().feed,
        thresholds,
        full: wanted.full,
    };
    to_stdout(|out| if wanted.json { Report::new(&input).write(out) } else { write_text(&input, out) })
        .context(super::exit::Broken("the report could not be written".to_owned()))?;
    let asserted = hold(&wanted.assert, &input);
    if interrupted.load(Ordering::Relaxed) {
        return Ok(Exit::Interrupted);
    }
    if let Some(error) = input.error() {
        tell(&format!("{} failed: {error}", source.name));
        return Ok(Exit::Failed);
    }
    Ok(asserted)
}

/// Takes in what happens until the run is over and every witness has told everything, or for `at_most`, and says how it
/// came out. Once `interrupted` is set the run is cancelled; a script that cannot be stopped is then left behind.
pub fn run_to_end(session: &mut dyn Session, at_most: Option<Duration>, interrupted: &AtomicBool) -> Outcome {
    let mut give_up: Option<Instant> = None;
    let enough = at_most.map(|at_most| Instant::now() + at_most);
    while session.status().phase != Phase::Ended {
        if !session.pump(LOOK_INTERVAL) {
            session.wait(LOOK_INTERVAL);
        }
        let is_enough = enough.is_some_and(|enough| Instant::now() >= enough);
        match give_up {
            None if is_enough || interrupted.load(Ordering::Relaxed) => {
                session.command(Command::Quit);
                give_up = Some(Instant::now() + STOP_PATIENCE);
            }
            Some(deadline) if Instant::now() >= deadline => break,
            _ => {}
        }
    }
    session.status().outcome.unwrap_or(Outcome::Cancelled)
}

/// Holds each assertion against the whole report, whatever part of it was printed, and tells of each that does not.
fn hold(assertions: &[Assertion], input: &Input) -> Exit {
    if assertions.is_empty() {
        return Exit::Success;
    }
    let report = Report::new(&Input { full: true, ..*input }).value();
    let mut exit = Exit::Success;
    for assertion in assertions {
        match assertion.check(&report) {
            Verdict::Holds => {}
            Verdict::Fails(message) => {
                tell(&message);
                exit = if exit == Exit::Success { Exit::Failed } else { exit };
            }
            Verdict::Senseless(message) => {
                tell(&message);
                exit = Exit::BadInput;
            }
        }
    }
    exit
}
