//! Breakpoints stop the loop at the very place that they name.

use std::time::{Duration, Instant};

use loopscope::app::Session;
use loopscope::control::{Breakpoint, ClockKind, Command, FeedChoice, Hit, Phase, Speed};
use loopscope::lab::Options;
use loopscope::session::LabSession;
use loopscope::trace::{Ending, Nanos, PauseCause, State, TaskId, Trace};
use loopscope::workload::{program, script};

use crate::cli::loopscope;
use crate::pty::Terminal;
use crate::rig::PATIENCE;

const SECOND: Nanos = 1_000_000_000;

/// Three boards, each three times 5 s of the player's own time and then 55 s of waiting; main waits for all of them.
const EXHIBITION: &str = "return { title = 't', lesson = 'l', main = async(function()
  local all = {}
  for n = 1, 3 do all[n] = create_task(async(function()
    for _ = 1, 3 do block(5) await(sleep(55)) end
  end)(), { name = 'board-' .. n }) end
  await(gather(all))
end) }";

struct Stopping {
    session: LabSession,
}

impl Stopping {
    fn new(text: &str, clock: ClockKind, speed: Speed, breakpoints: &[&str]) -> Self {
        let manifest = script::read("breaks", "breaks.lua", text).unwrap_or_else(|error| panic!("{error}"));
        let program = program(&manifest, vec![]).expect("a script that loads");
        let options = Options { clock, speed, feed: FeedChoice::Both, paused: false, seed: 0, until: None };
        let read = |text: &&str| text.parse::<Breakpoint>().expect(text);
        let breakpoints: Vec<_> = breakpoints.iter().map(read).collect();
        let session = LabSession::start_with("breaks", program, options, Trace::default(), None, &breakpoints);
        Self { session: session.expect("a thread can be had") }
    }

    fn of_exhibition(breakpoints: &[&str]) -> Self {
        Self::new(EXHIBITION, ClockKind::Virtual, Speed::Max, breakpoints)
    }

    /// Runs until the loop stands still, and tells why; `None` where it came to its end.
    fn stops(&mut self) -> Option<Hit> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.session.pump(Duration::from_millis(5));
            match self.session.status().phase {
                Phase::Paused => {
                    // What was told before it stood still is taken in.
                    self.session.pump(Duration::from_millis(5));
                    return self.session.hit();
                }
                Phase::Ended => return None,
                _ => assert!(Instant::now() < deadline, "it does not stop: {:?}", self.session.status()),
            }
            self.session.wait(Duration::from_millis(1));
        }
    }

    /// Why it was paused, as the trace has it.
    fn causes(&self) -> Vec<PauseCause> {
        self.session.trace().pauses_since(0).0.map(|pause| pause.cause.clone()).collect()
    }

    fn goes_on(&mut self) {
        self.session.command(Command::Resume);
    }

    fn task(&self, name: &str) -> TaskId {
        let tasks = self.session.trace().tasks();
        tasks.iter().find(|task| task.name() == name).unwrap_or_else(|| panic!("no task {name}")).id
    }

    fn polls(&self, name: &str) -> u64 {
        self.session.trace().task(self.task(name)).map_or(0, |task| task.counts.polls)
    }

    /// The task, when, and how long.
    fn told(&self, hit: Option<Hit>) -> (String, Nanos, Nanos) {
        let hit = hit.expect("it stopped");
        let task = hit.task.and_then(|id| self.session.trace().task(id)).expect("a task is named");
        (task.name().into_owned(), hit.at, hit.length_ns)
    }
}

#[test]
fn before_a_poll_and_again_before_the_next() {
    let mut run = Stopping::of_exhibition(&["poll board-2"]);
    for round in 0..4 {
        let hit = run.stops();
        assert_eq!(run.told(hit).0, "board-2");
        assert_eq!((run.polls("board-1"), run.polls("board-2"), run.polls("board-3")), (round + 1, round, round));
        run.goes_on();
        assert_ne!(run.session.hit(), hit, "it goes on, so it is not stopped there any more");
    }
    assert_eq!(run.stops(), None, "each board is polled four times");
    assert_eq!(run.session.trace().disagreements(), []);
}

#[test]
fn at_a_wake_and_at_an_end_before_anything_else() {
    let mut run = Stopping::of_exhibition(&["wake board-*", "end board-1"]);
    let hit = run.stops();
    assert_eq!(run.told(hit), ("board-1".into(), 60 * SECOND, 0), "its 55 s begin after its own 5 s");
    assert_eq!(run.session.trace().state(run.task("board-1")), Some(State::Scheduled));
    assert_eq!(run.polls("board-1"), 1);
    let mut woken = 1;
    let ended = loop {
        run.goes_on();
        let hit = run.stops().expect("there is more to come");
        match hit.breakpoint {
            Breakpoint::Ended(_) => break hit,
            _ => woken += 1,
        }
    };
    assert_eq!(woken, 7, "twice each, and board-1 once more");
    assert_eq!(ended.task, Some(run.task("board-1")));
    let trace = run.session.trace();
    let task = trace.task(run.task("board-1")).expect("it is there");
    assert_eq!((&task.ending, task.end_step), (&Some(Ending::Done), Some(trace.steps())), "nothing was polled since");
    run.session.command(Command::ForgetBreaks);
    run.goes_on();
    assert_eq!(run.stops(), None);
    assert_eq!(run.session.trace().disagreements(), []);
}

#[test]
fn after_a_poll_and_in_a_wait_that_take_too_long() {
    let mut run = Stopping::of_exhibition(&["poll > 4s"]);
    let hit = run.stops();
    assert_eq!(run.told(hit), ("board-1".into(), 5 * SECOND, 5 * SECOND));
    assert_eq!((run.polls("board-1"), run.polls("board-2")), (1, 0));

    // Also in the midst of a poll that keeps the loop: board-3 plays from 10 s to 15 s.
    let mut run = Stopping::of_exhibition(&["wait board-1 > 7s"]);
    let hit = run.stops();
    assert_eq!(run.told(hit), ("board-1".into(), 12 * SECOND, 7 * SECOND));
    assert_eq!((run.session.status().now, run.polls("board-3")), (12 * SECOND, 1));

    let mut run = Stopping::of_exhibition(&["poll > 5s", "wait board-* > 30s", "wait main > 1h"]);
    for (name, begins) in [("board-1", 5), ("board-2", 10), ("board-3", 15), ("board-1", 65)] {
        let hit = run.stops();
        assert_eq!(run.told(hit), (name.into(), (begins + 30) * SECOND, 30 * SECOND));
        assert_eq!(run.session.status().now, (begins + 30) * SECOND, "to the nanosecond");
        run.goes_on();
    }
    run.session.command(Command::ForgetBreaks);
    run.goes_on();
    assert_eq!(run.stops(), None);
    assert_eq!(run.session.trace().now(), 190 * SECOND, "stopping took no loop time");
}

#[test]
fn what_waits_already_when_the_person_says_so() {
    let text = "return { title = 't', lesson = 'l', main = async(function() await(sleep('1h')) end) }";
    // On the real clock the loop is in the driver meanwhile, and nobody is there but whoever watches.
    for (clock, speed) in [(ClockKind::Real, Speed::Max), (ClockKind::Virtual, Speed::Times(1.0))] {
        let mut run = Stopping::new(text, clock, speed, &["wait > 40ms"]);
        let hit = run.stops();
        let (name, at, length) = run.told(hit);
        assert!(name == "main" && length >= 40_000_000 && at >= length, "{clock:?}: {hit:?}");
        assert_eq!(run.causes(), [PauseCause::Breakpoint("wait > 40ms".into())], "{clock:?}");
        run.session.stop(Duration::from_secs(5));
    }
}

#[test]
fn a_finding_stops_the_run_before_it_is_over() {
    let text = "return { title = 't', lesson = 'l', main = async(function() block(1) await(sleep('1h')) end) }";
    let mut run = Stopping::new(text, ClockKind::Virtual, Speed::Times(2.0), &["finding lost-*", "finding blocked-*"]);
    let hit = run.stops().expect("it stopped");
    assert_eq!((hit.finding, hit.task), ("blocked-loop", Some(run.task("main"))));
    // A finding is noticed from outside: the loop may be seen to stand still before the pause is read.
    let deadline = Instant::now() + PATIENCE;
    while run.causes().is_empty() && Instant::now() < deadline {
        run.session.wait(Duration::from_millis(1));
        run.session.pump(Duration::from_millis(5));
    }
    assert_eq!(run.causes(), [PauseCause::Breakpoint("finding blocked-*".into())]);
    run.goes_on();
    run.session.pump(Duration::from_millis(5));
    assert_eq!(run.session.hit(), None, "what is known is not found again");
    run.session.stop(Duration::from_secs(5));
}

#[test]
fn a_breakpoint_is_refused_where_it_makes_no_sense() {
    let ran = loopscope(&["run", "countasync", "--headless", "--break", "poll main"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("with --headless nobody does") && ran.err.contains("--until"), "{}", ran.err);
    let ran = loopscope(&["run", "countasync", "--break", "pol main"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("`pol main` is no breakpoint") && ran.err.contains("wake NAME"), "{}", ran.err);
}

#[test]
fn the_screen_says_where_it_stopped_and_why() {
    let mut terminal = Terminal::start(&["run", "chess-async", "--speed", "max", "--break", "poll board-7"], 100, 30);
    let selected = |name: &str, screen: &str| screen.lines().any(|line| line.contains('▸') && line.contains(name));
    // All of it at once: a frame may arrive in pieces.
    terminal.until("the stop, its reason and its task", |screen| {
        screen.contains("stopped: board-7 is about to be polled (break poll board-7)")
            && selected("board-7", screen)
            && screen.contains("PAUSED")
    });
    terminal.press(":break none\r");
    terminal.until_shows("every breakpoint is forgotten");
    terminal.press(":break end board-3\r");
    terminal.until_shows("stops at: end board-3");
    terminal.press(" ");
    terminal.until("the stop and its task", |screen| {
        screen.contains("stopped: board-3 ended") && selected("board-3", screen)
    });
    terminal.press(":break none\r ");
    terminal.until("the end", |screen| screen.contains("ENDED") && !screen.contains("stopped:"));
    // A breakpoint that is set after the end is there when it runs again.
    terminal.press(":break wake board-24\r");
    terminal.until_shows("stops at: wake board-24");
    terminal.press("r");
    terminal.until_shows("stopped: board-24 was woken");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
}
