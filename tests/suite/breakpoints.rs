//! Breakpoints pause the loop exactly where they match.

use std::time::{Duration, Instant};

use loopscope::control::{Breakpoint, BreakpointHit, ClockKind, FeedChoice, RunPhase, SessionCommand, Speed};
use loopscope::lab::LoopOptions;
use loopscope::session::{LabSession, Session};
use loopscope::trace::{Nanos, PauseReason, TaskId, TaskOutcome, TaskState, Trace};
use loopscope::workload::{build_program, script};

use crate::cli::loopscope;
use crate::lab_harness::RUN_TIMEOUT;
use crate::pty::PtyTerminal;

const SECOND: Nanos = 1_000_000_000;

/// Three boards, each with three rounds of 5 s of the player's time and then 55 s of waiting; main waits for all of
/// them.
const EXHIBITION: &str = "return { title = 't', lesson = 'l', main = async(function()
  local all = {}
  for n = 1, 3 do all[n] = create_task(async(function()
    for _ = 1, 3 do block(5) await(sleep(55)) end
  end)(), { name = 'board-' .. n }) end
  await(gather(all))
end) }";

/// A run with breakpoints.
struct BreakpointRun {
    session: LabSession,
}

impl BreakpointRun {
    fn new(text: &str, clock: ClockKind, speed: Speed, breakpoints: &[&str]) -> Self {
        let manifest = script::read_manifest("breaks", "breaks.lua", text).unwrap_or_else(|error| panic!("{error}"));
        let program = build_program(&manifest, vec![]).expect("a script that loads");
        let options = LoopOptions { clock, speed, feed: FeedChoice::Both, start_paused: false, seed: 0, stop_at: None };
        let parse = |text: &&str| text.parse::<Breakpoint>().expect(text);
        let breakpoints: Vec<_> = breakpoints.iter().map(parse).collect();
        let session =
            LabSession::start_with_breakpoints("breaks", program, options, Trace::default(), None, &breakpoints);
        Self { session: session.expect("the loop thread starts") }
    }

    fn with_exhibition(breakpoints: &[&str]) -> Self {
        Self::new(EXHIBITION, ClockKind::Virtual, Speed::Max, breakpoints)
    }

    /// Runs until the loop pauses and returns the breakpoint hit; `None` at the end of the run.
    fn run_to_hit(&mut self) -> Option<BreakpointHit> {
        let deadline = Instant::now() + RUN_TIMEOUT;
        loop {
            self.session.pump(Duration::from_millis(5));
            match self.session.status().phase {
                RunPhase::Paused => {
                    // Apply the events from before the pause.
                    self.session.pump(Duration::from_millis(5));
                    return self.session.hit();
                }
                RunPhase::Ended => return None,
                _ => assert!(Instant::now() < deadline, "the loop does not pause: {:?}", self.session.status()),
            }
            self.session.wait(Duration::from_millis(1));
        }
    }

    /// Returns the causes of all pauses in the trace.
    fn causes(&self) -> Vec<PauseReason> {
        self.session.trace().pauses_since(0).0.map(|pause| pause.reason.clone()).collect()
    }

    fn resume(&mut self) {
        self.session.command(SessionCommand::Resume);
    }

    fn task(&self, name: &str) -> TaskId {
        let tasks = self.session.trace().tasks();
        tasks.iter().find(|task| task.name() == name).unwrap_or_else(|| panic!("no task {name}")).id
    }

    fn polls(&self, name: &str) -> u64 {
        self.session.trace().task(self.task(name)).map_or(0, |task| task.counts.polls)
    }

    /// Returns the task's name, the time and the duration of a hit.
    fn describe(&self, hit: Option<BreakpointHit>) -> (String, Nanos, Nanos) {
        let hit = hit.expect("a breakpoint was hit");
        let task = hit.task.and_then(|id| self.session.trace().task(id)).expect("the hit has a task");
        (task.name().into_owned(), hit.at, hit.duration_ns)
    }
}

#[test]
fn pauses_before_each_matching_poll() {
    let mut run = BreakpointRun::with_exhibition(&["poll board-2"]);
    for round in 0..4 {
        let hit = run.run_to_hit();
        assert_eq!(run.describe(hit).0, "board-2");
        assert_eq!((run.polls("board-1"), run.polls("board-2"), run.polls("board-3")), (round + 1, round, round));
        run.resume();
        assert_ne!(run.session.hit(), hit, "resuming clears the hit");
    }
    assert_eq!(run.run_to_hit(), None, "each board is polled four times");
    assert_eq!(run.session.trace().disagreements(), []);
}

#[test]
fn pauses_at_wake_and_end_before_next_poll() {
    let mut run = BreakpointRun::with_exhibition(&["wake board-*", "end board-1"]);
    let hit = run.run_to_hit();
    assert_eq!(run.describe(hit), ("board-1".into(), 60 * SECOND, 0), "55 s of waiting after 5 s of play");
    assert_eq!(run.session.trace().state(run.task("board-1")), Some(TaskState::Scheduled));
    assert_eq!(run.polls("board-1"), 1);
    let mut woken = 1;
    let ended = loop {
        run.resume();
        let hit = run.run_to_hit().expect("board-1 has not ended");
        match hit.breakpoint {
            Breakpoint::End(_) => break hit,
            _ => woken += 1,
        }
    };
    assert_eq!(woken, 7, "two wakes each, and one more of board-1");
    assert_eq!(ended.task, Some(run.task("board-1")));
    let trace = run.session.trace();
    let task = trace.task(run.task("board-1")).expect("the task exists");
    assert_eq!(
        (&task.outcome, task.end_step),
        (&Some(TaskOutcome::Completed), Some(trace.steps())),
        "nothing was polled since its end"
    );
    run.session.command(SessionCommand::ClearBreakpoints);
    run.resume();
    assert_eq!(run.run_to_hit(), None);
    assert_eq!(run.session.trace().disagreements(), []);
}

#[test]
fn pauses_on_long_poll_and_long_wait() {
    let mut run = BreakpointRun::with_exhibition(&["poll > 4s"]);
    let hit = run.run_to_hit();
    assert_eq!(run.describe(hit), ("board-1".into(), 5 * SECOND, 5 * SECOND));
    assert_eq!((run.polls("board-1"), run.polls("board-2")), (1, 0));

    // Also during a poll that blocks the loop: board-3 plays from 10 s to 15 s.
    let mut run = BreakpointRun::with_exhibition(&["wait board-1 > 7s"]);
    let hit = run.run_to_hit();
    assert_eq!(run.describe(hit), ("board-1".into(), 12 * SECOND, 7 * SECOND));
    assert_eq!((run.session.status().now, run.polls("board-3")), (12 * SECOND, 1));

    let mut run = BreakpointRun::with_exhibition(&["poll > 5s", "wait board-* > 30s", "wait main > 1h"]);
    for (name, begins) in [("board-1", 5), ("board-2", 10), ("board-3", 15), ("board-1", 65)] {
        let hit = run.run_to_hit();
        assert_eq!(run.describe(hit), (name.into(), (begins + 30) * SECOND, 30 * SECOND));
        assert_eq!(run.session.status().now, (begins + 30) * SECOND, "to the nanosecond");
        run.resume();
    }
    run.session.command(SessionCommand::ClearBreakpoints);
    run.resume();
    assert_eq!(run.run_to_hit(), None);
    assert_eq!(run.session.trace().now(), 190 * SECOND, "pauses take no loop time");
}

#[test]
fn long_wait_matches_task_already_waiting() {
    let text = "return { title = 't', lesson = 'l', main = async(function() await(sleep('1h')) end) }";
    // On the real clock the loop is in the driver meanwhile, so only the session checks.
    for (clock, speed) in [(ClockKind::Real, Speed::Max), (ClockKind::Virtual, Speed::Factor(1.0))] {
        let mut run = BreakpointRun::new(text, clock, speed, &["wait > 40ms"]);
        let hit = run.run_to_hit();
        let (name, at, length) = run.describe(hit);
        assert!(name == "main" && length >= 40_000_000 && at >= length, "{clock:?}: {hit:?}");
        assert_eq!(run.causes(), [PauseReason::Breakpoint("wait > 40ms".into())], "{clock:?}");
        run.session.stop(Duration::from_secs(5));
    }
}

#[test]
fn pauses_on_new_finding() {
    let text = "return { title = 't', lesson = 'l', main = async(function() block(1) await(sleep('1h')) end) }";
    let mut run =
        BreakpointRun::new(text, ClockKind::Virtual, Speed::Factor(2.0), &["finding lost-*", "finding blocked-*"]);
    let hit = run.run_to_hit().expect("a breakpoint was hit");
    assert_eq!((hit.finding, hit.task), ("blocked-loop", Some(run.task("main"))));
    // A finding is noticed outside the loop thread: the loop may be paused before the pause is read.
    let deadline = Instant::now() + RUN_TIMEOUT;
    while run.causes().is_empty() && Instant::now() < deadline {
        run.session.wait(Duration::from_millis(1));
        run.session.pump(Duration::from_millis(5));
    }
    assert_eq!(run.causes(), [PauseReason::Breakpoint("finding blocked-*".into())]);
    run.resume();
    run.session.pump(Duration::from_millis(5));
    assert_eq!(run.session.hit(), None, "a known finding does not pause again");
    run.session.stop(Duration::from_secs(5));
}

#[test]
fn rejects_useless_and_invalid_breakpoints() {
    let ran = loopscope(&["run", "countasync", "--headless", "--break", "poll main"]);
    assert_eq!((ran.exit_code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("cannot be used with --headless") && ran.stderr.contains("--until"), "{}", ran.stderr);
    let ran = loopscope(&["run", "countasync", "--break", "pol main"]);
    assert_eq!(ran.exit_code, Some(2));
    assert!(
        ran.stderr.contains("`pol main` is not a breakpoint") && ran.stderr.contains("wake NAME"),
        "{}",
        ran.stderr
    );
}

#[test]
fn screen_shows_breakpoint_hit() {
    let mut terminal =
        PtyTerminal::start(&["run", "chess-async", "--speed", "max", "--break", "poll board-7"], 100, 30);
    let selected = |name: &str, screen: &str| screen.lines().any(|line| line.contains('▸') && line.contains(name));
    // All at once, because a frame may arrive in pieces.
    terminal.wait_until("the stop, its reason and its task", |screen| {
        screen.contains("paused: board-7 is about to be polled (break poll board-7)")
            && selected("board-7", screen)
            && screen.contains("PAUSED")
    });
    terminal.press(":break none\r");
    terminal.wait_for_text("all breakpoints removed");
    terminal.press(":break end board-3\r");
    terminal.wait_for_text("breakpoints: end board-3");
    terminal.press(" ");
    terminal.wait_until("the stop and its task", |screen| {
        screen.contains("paused: board-3 ended") && selected("board-3", screen)
    });
    terminal.press(":break none\r ");
    terminal.wait_until("the end", |screen| screen.contains("ENDED") && !screen.contains("paused:"));
    // A breakpoint that is set after the end applies to the rerun.
    terminal.press(":break wake board-24\r");
    terminal.wait_for_text("breakpoints: wake board-24");
    terminal.press("r");
    terminal.wait_for_text("paused: board-24 was woken");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
}
