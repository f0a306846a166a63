//! A run without a screen: to its end, then a report, then what was asserted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::assertion::{Assertion, Verdict};
use super::exit::{Exit, tell, to_stdout};
use super::run::Plan;
use crate::control::{Command, Outcome};
use crate::lab::Program;
use crate::report::{Input, Report, write_text};
use crate::session::LabSession;
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
pub(super) fn run(plan: &Plan, program: Program, wanted: &Wanted) -> anyhow::Result<Exit> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal ends the run and leaves a report, the second ends the program.
        let code = Exit::Interrupted.code().into();
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let trace = Trace::with_budget(plan.memory_bytes);
    let mut session = LabSession::start(&plan.manifest.name, program, plan.options(), trace)?;
    let outcome = run_to_end(&mut session, &interrupted);

    let source = plan.source();
    let input = Input {
        source: &source,
        trace: session.trace(),
        outcome: &outcome,
        feed: plan.feed,
        thresholds: &plan.thresholds,
        full: wanted.full,
    };
    to_stdout(|out| if wanted.json { Report::new(&input).write(out) } else { write_text(&input, out) })
        .context(super::exit::Broken("the report could not be written".to_owned()))?;
    let asserted = hold(&wanted.assert, &input);
    if interrupted.load(Ordering::Relaxed) {
        return Ok(Exit::Interrupted);
    }
    if let Some(error) = input.error() {
        tell(&format!("{} failed: {error}", plan.manifest.name));
        return Ok(Exit::Failed);
    }
    Ok(asserted)
}

/// Takes in what happens until the run is over and every witness has told everything, and says how it came out. Once
/// `interrupted` is set the run is cancelled; a script that cannot be stopped is then left behind.
pub fn run_to_end(session: &mut LabSession, interrupted: &AtomicBool) -> Outcome {
    let mut give_up: Option<Instant> = None;
    while !session.is_over() {
        if !session.pump(LOOK_INTERVAL) {
            session.wait(LOOK_INTERVAL);
        }
        match give_up {
            None if interrupted.load(Ordering::Relaxed) => {
                session.command(Command::Quit);
                give_up = Some(Instant::now() + STOP_PATIENCE);
            }
            Some(deadline) if Instant::now() >= deadline => break,
            _ => {}
        }
    }
    session.outcome().cloned().unwrap_or(Outcome::Cancelled)
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
