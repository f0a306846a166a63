//! Headless runs: run to the end, print a report, check the assertions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit::{CliExit, OperationError, print_error, to_stdout};
use super::plan::RunPlan;
use super::report_args::ReportArgs;
use crate::cleanup;
use crate::control::{RunOutcome, RunPhase, SessionCommand, SessionStatus};
use crate::insight::{Thresholds, run_lints};
use crate::lab::{ConsoleListener, LoopProgram};
use crate::report::{ReportInput, RunSource};
use crate::session::{self, ArchiveFile, ArchivingSession, LabSession, Session};
use crate::trace::Trace;

/// Maximum time for an interrupted run to stop and deliver its last events.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum wait for events before checking for an interrupt.
const WAIT_INTERVAL: Duration = Duration::from_millis(20);

/// Runs `program` according to `plan`, prints its report and returns the exit code.
pub(super) fn run(
    plan: &RunPlan,
    program: LoopProgram,
    listener: Option<ConsoleListener>,
    file: Option<ArchiveFile>,
    report_args: &ReportArgs,
) -> anyhow::Result<CliExit> {
    let trace = Trace::with_budget(plan.memory_bytes);
    let session = LabSession::start_with_listener(&plan.manifest.name, program, plan.options(), trace, listener)?;
    let session = session.with_source(&plan.manifest.file, &plan.manifest.text);
    Ok(archive_and_report(file, session, None, &plan.source(), &plan.thresholds, report_args)?.0)
}

/// Runs `session` to its end or for `at_most`, archiving it to `file` if given, and prints the report.
///
/// Returns the exit code and the final status of the session.
pub(super) fn archive_and_report(
    file: Option<ArchiveFile>,
    mut session: impl Session + 'static,
    at_most: Option<Duration>,
    source: &RunSource,
    thresholds: &Thresholds,
    report_args: &ReportArgs,
) -> anyhow::Result<(CliExit, SessionStatus)> {
    let Some(file) = file else {
        let exit = run_and_report(&mut session, at_most, source, thresholds, report_args)?;
        return Ok((exit, session.status()));
    };
    let head = session::archive_head(source, session.status().feed);
    let mut archiving = ArchivingSession::new(Box::new(session), file, head).context("cannot write the archive")?;
    let mut exit = run_and_report(&mut archiving, at_most, source, thresholds, report_args)?;
    archiving.finish();
    if let Some(problem) = archiving.problem() {
        print_error(&problem);
        exit = if exit == CliExit::Success { CliExit::Failed } else { exit };
    }
    Ok((exit, archiving.inner().status()))
}

/// Installs signal handlers that interrupt the run. Call this before starting any process.
///
/// The first signal sets the returned flag; the second ends loopscope immediately, after cleaning up.
pub(super) fn handle_signals() -> anyhow::Result<&'static Arc<AtomicBool>> {
    static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(interrupted) = INTERRUPTED.get() {
        return Ok(interrupted);
    }
    let interrupted = INTERRUPTED.get_or_init(Arc::default);
    // Under `nohup`, SIGHUP is ignored and must stay so.
    let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            // The first signal ends the run with a report; the second exits at once.
            if interrupted.swap(true, Ordering::Relaxed) {
                cleanup::clean_up_all();
                std::process::exit(CliExit::Interrupted.code().into());
            }
        }
    })?;
    Ok(interrupted)
}

/// Returns whether the parent process set this signal to be ignored. Returns `false` on systems without `/proc`.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored >> (signal - 1) & 1 == 1)
}

/// Runs `session` to its end or for `at_most`, prints the report and returns the exit code.
pub(super) fn run_and_report(
    session: &mut dyn Session,
    at_most: Option<Duration>,
    source: &RunSource,
    thresholds: &Thresholds,
    report_args: &ReportArgs,
) -> anyhow::Result<CliExit> {
    let interrupted = handle_signals()?;
    let outcome = run_to_end(session, at_most, interrupted);

    let findings = run_lints(session.trace(), thresholds);
    let input = ReportInput {
        source,
        trace: session.trace(),
        outcome: &outcome,
        feed: session.status().feed,
        findings: &findings,
        full: report_args.full(),
    };
    to_stdout(|out| report_args.format().write(&input, out))
        .context(OperationError("cannot write the report".to_owned()))?;
    let assertions_exit = report_args.check(&input);
    if interrupted.load(Ordering::Relaxed) {
        return Ok(CliExit::Interrupted);
    }
    if let Some(error) = input.error() {
        print_error(&format!("{} failed: {error}", source.name));
        return Ok(CliExit::Failed);
    }
    Ok(assertions_exit)
}

/// Pumps `session` until it has ended or `at_most` has passed, and returns the outcome of the run.
///
/// Once `interrupted` is set, the run is cancelled. A script that cannot be interrupted is abandoned after 3 seconds.
pub fn run_to_end(session: &mut dyn Session, at_most: Option<Duration>, interrupted: &AtomicBool) -> RunOutcome {
    let mut stop_deadline: Option<Instant> = None;
    let end_at = at_most.map(|at_most| Instant::now() + at_most);
    while session.status().phase != RunPhase::Ended {
        if !session.pump(WAIT_INTERVAL) {
            session.wait(WAIT_INTERVAL);
        }
        let is_time_up = end_at.is_some_and(|end_at| Instant::now() >= end_at);
        match stop_deadline {
            None if is_time_up || interrupted.load(Ordering::Relaxed) => {
                session.command(SessionCommand::Quit);
                stop_deadline = Some(Instant::now() + STOP_TIMEOUT);
            }
            Some(deadline) if Instant::now() >= deadline => break,
            _ => {}
        }
    }
    session.status().outcome.unwrap_or(RunOutcome::Cancelled)
}
