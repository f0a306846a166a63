//! Runs a program on the real lab to its end, with both witnesses, and lays out what it left behind.

use std::time::{Duration, Instant};

use loopscope::app::Session;
use loopscope::control::{ClockKind, Command, FeedChoice, Outcome, Speed};
use loopscope::lab::{Options, Program};
use loopscope::session::LabSession;
use loopscope::trace::{Ending, Location, Nanos, Site, Trace};

/// Long past anything that is still going to happen.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    /// `None` where the run was cancelled.
    pub outcome: Option<Result<serde_json::Value, String>>,
    pub elapsed_ns: Nanos,
    pub busy_ns: Nanos,
    pub polls: u64,
    /// Time, task, text.
    pub output: Vec<(Nanos, String, String)>,
    /// Name, location.
    pub tasks: Vec<(String, Option<Location>)>,
    /// Site, start, end; in the order in which they were dropped, as far as times tell, inner ones first.
    pub awaits: Vec<(Site, Nanos, Nanos)>,
    /// Task, how it ended.
    pub endings: Vec<(String, String)>,
}

/// Runs to the end.
pub fn run(program: Program, seed: u64) -> Ran {
    run_and(program, seed, |_| {})
}

/// Runs to the end, or until somebody stops it from `meanwhile`.
pub fn run_and(program: Program, seed: u64, meanwhile: impl FnMut(&mut LabSession)) -> Ran {
    let session = run_session(program, seed, ClockKind::Virtual, FeedChoice::Both, meanwhile);
    lay_out(session.trace(), session.outcome().expect("it is over"))
}

/// Runs to the end and looks at the trace itself.
pub fn run_for_trace<R>(program: Program, clock: ClockKind, look: impl FnOnce(&Trace) -> R) -> R {
    look(run_session(program, 0, clock, FeedChoice::Both, |_| {}).trace())
}

/// Runs to the end on the virtual clock, told by these witnesses, and hands over the whole session.
pub fn run_told_by(program: Program, seed: u64, feed: FeedChoice) -> LabSession {
    run_session(program, seed, ClockKind::Virtual, feed, |_| {})
}

/// Runs to the end on this clock.
pub fn run_on(program: Program, clock: ClockKind) -> Ran {
    let session = run_session(program, 0, clock, FeedChoice::Both, |_| {});
    lay_out(session.trace(), session.outcome().expect("it is over"))
}

fn run_session(
    program: Program,
    seed: u64,
    clock: ClockKind,
    feed: FeedChoice,
    mut meanwhile: impl FnMut(&mut LabSession),
) -> LabSession {
    let options = Options { clock, speed: Speed::Max, feed, paused: false, seed, until: None };
    let mut session = LabSession::start("rig", program, options, Trace::default()).expect("a thread can be had");
    let deadline = Instant::now() + PATIENCE;
    while !session.is_over() {
        session.pump(Duration::from_millis(5));
        meanwhile(&mut session);
        session.wait(Duration::from_millis(5));
        assert!(Instant::now() < deadline, "the run did not end: {:?}", session.status());
    }
    // One witness alone has nobody to agree with.
    if feed == FeedChoice::Both {
        assert_eq!(session.trace().disagreements().first(), None, "the witnesses agree");
    }
    session
}

/// Asks a run to stop, as a person does.
pub fn stop(session: &mut LabSession) {
    session.command(Command::Quit);
}

fn lay_out(trace: &Trace, outcome: &Outcome) -> Ran {
    let name = |id| trace.task(id).map_or(String::new(), |task| task.name().into_owned());
    let mut awaits: Vec<_> = trace
        .awaits()
        .iter()
        .filter_map(|(id, told)| Some((told.end()?, id, trace.site(told.site)?.clone(), told.start)))
        .collect();
    awaits.sort_by_key(|(end, id, _, start)| (*end, std::cmp::Reverse(*start), std::cmp::Reverse(*id)));
    Ran {
        outcome: match outcome {
            Outcome::Completed(value) => Some(Ok(value.clone())),
            Outcome::Failed(error) => Some(Err(error.clone())),
            Outcome::Cancelled | Outcome::Detached => None,
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
        tasks: trace.tasks().iter().map(|task| (task.name().into_owned(), task.spawned.location.clone())).collect(),
        awaits: awaits.into_iter().map(|(end, _, site, start)| (site, start, end)).collect(),
        endings: trace
            .tasks()
            .iter()
            .map(|task| {
                let how = match &task.ending {
                    None => "open".to_owned(),
                    Some(Ending::Done) => "done".to_owned(),
                    Some(Ending::Cancelled) => "cancelled".to_owned(),
                    Some(Ending::Failed(message)) => message.to_string(),
                };
                (task.name().into_owned(), how)
            })
            .collect(),
    }
}
