//! Runs a program on the embedded loop to its end, with both feeds, and summarizes the run.

use std::time::{Duration, Instant};

use loopscope::control::{ClockKind, FeedChoice, RunOutcome, SessionCommand, Speed};
use loopscope::lab::{LoopOptions, LoopProgram};
use loopscope::session::{LabSession, Session};
use loopscope::trace::{AwaitSite, Location, Nanos, TaskOutcome, Trace};

/// The time after which a run counts as hung.
pub const RUN_TIMEOUT: Duration = Duration::from_secs(300);

/// The summary of a run.
#[derive(Debug)]
pub struct FinishedRun {
    /// Main's result, `None` if the run was cancelled.
    pub outcome: Option<Result<serde_json::Value, String>>,
    pub elapsed_ns: Nanos,
    pub busy_ns: Nanos,
    pub polls: u64,
    /// Time, task and text of each line.
    pub output: Vec<(Nanos, String, String)>,
    /// Name and spawn location.
    pub tasks: Vec<(String, Option<Location>)>,
    /// Site, start and end, in order of their ends; of awaits that end at the same time, inner ones come first.
    pub awaits: Vec<(AwaitSite, Nanos, Nanos)>,
    /// Task and how it ended.
    pub task_outcomes: Vec<(String, String)>,
}

/// Runs to the end.
pub fn run(program: LoopProgram, seed: u64) -> FinishedRun {
    run_with_callback(program, seed, |_| {})
}

/// Runs to the end. Calls `meanwhile` between slices of events, which may stop the run.
pub fn run_with_callback(program: LoopProgram, seed: u64, meanwhile: impl FnMut(&mut LabSession)) -> FinishedRun {
    let session = run_session(program, seed, ClockKind::Virtual, FeedChoice::Both, meanwhile);
    summarize(session.trace(), session.outcome().expect("the run has ended"))
}

/// Runs to the end and passes the trace to `look`.
pub fn inspect_trace<R>(program: LoopProgram, clock: ClockKind, look: impl FnOnce(&Trace) -> R) -> R {
    look(run_session(program, 0, clock, FeedChoice::Both, |_| {}).trace())
}

/// Runs to the end on the virtual clock with these feeds, and returns the session.
pub fn run_with_feed(program: LoopProgram, seed: u64, feed: FeedChoice) -> LabSession {
    run_session(program, seed, ClockKind::Virtual, feed, |_| {})
}

/// Runs to the end on this clock.
pub fn run_on_clock(program: LoopProgram, clock: ClockKind) -> FinishedRun {
    let session = run_session(program, 0, clock, FeedChoice::Both, |_| {});
    summarize(session.trace(), session.outcome().expect("the run has ended"))
}

fn run_session(
    program: LoopProgram,
    seed: u64,
    clock: ClockKind,
    feed: FeedChoice,
    mut meanwhile: impl FnMut(&mut LabSession),
) -> LabSession {
    let options = LoopOptions { clock, speed: Speed::Max, feed, start_paused: false, seed, stop_at: None };
    let mut session = LabSession::start("rig", program, options, Trace::default()).expect("the loop thread starts");
    let deadline = Instant::now() + RUN_TIMEOUT;
    while !session.is_finished() {
        session.pump(Duration::from_millis(5));
        meanwhile(&mut session);
        session.wait(Duration::from_millis(5));
        assert!(Instant::now() < deadline, "the run did not end: {:?}", session.status());
    }
    // Disagreements need both feeds.
    if feed == FeedChoice::Both {
        assert_eq!(session.trace().disagreements().first(), None, "the feeds agree");
    }
    session
}

/// Requests the end of a run, as the user does.
pub fn request_quit(session: &mut LabSession) {
    session.command(SessionCommand::Quit);
}

fn summarize(trace: &Trace, outcome: &RunOutcome) -> FinishedRun {
    let name = |id| trace.task(id).map_or(String::new(), |task| task.name().into_owned());
    let mut awaits: Vec<_> = trace
        .awaits()
        .iter()
        .filter_map(|(id, entry)| Some((entry.end()?, id, trace.site(entry.site)?.clone(), entry.start)))
        .collect();
    awaits.sort_by_key(|(end, id, _, start)| (*end, std::cmp::Reverse(*start), std::cmp::Reverse(*id)));
    FinishedRun {
        outcome: match outcome {
            RunOutcome::Completed(value) => Some(Ok(value.clone())),
            RunOutcome::Failed(error) => Some(Err(error.clone())),
            RunOutcome::Cancelled | RunOutcome::Detached => None,
        },
        elapsed_ns: trace.now(),
        busy_ns: trace.counts().busy_ns,
        polls: trace.tasks().iter().map(|task| task.counts.polls).sum(),
        output: trace
            .output()
            .lines()
            .iter()
            .map(|line| (line.at, line.task.map_or(String::new(), name), line.text.to_string()))
            .collect(),
        tasks: trace.tasks().iter().map(|task| (task.name().into_owned(), task.meta.location.clone())).collect(),
        awaits: awaits.into_iter().map(|(end, _, site, start)| (site, start, end)).collect(),
        task_outcomes: trace
            .tasks()
            .iter()
            .map(|task| {
                let outcome = match &task.outcome {
                    None => "open".to_owned(),
                    Some(TaskOutcome::Completed) => "done".to_owned(),
                    Some(TaskOutcome::Cancelled) => "cancelled".to_owned(),
                    Some(TaskOutcome::Failed(message)) => message.to_string(),
                    Some(TaskOutcome::Unknown) => "unknown".to_owned(),
                };
                (task.name().into_owned(), outcome)
            })
            .collect(),
    }
}
