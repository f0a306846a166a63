//! The lab, driven as the screen drives it: programs in Rust on the real loop, with both witnesses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loopscope::app::Session;
use loopscope::control::{ClockKind, Command, FeedChoice, Outcome, Phase, Speed};
use loopscope::insight::{Thresholds, findings};
use loopscope::lab::{Options, Program, TaskSpec, World};
use loopscope::session::LabSession;
use loopscope::trace::{AwaitKind, PauseCause, Site, State, TaskId, Trace};

/// Long past anything that is still going to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options {
        clock: ClockKind::Virtual,
        speed: Speed::Max,
        feed: FeedChoice::Both,
        paused: false,
        seed: 0,
        until: None,
    }
}

fn spec(name: &str) -> TaskSpec {
    TaskSpec { name: name.into(), location: None }
}

fn site(kind: AwaitKind, source: &str) -> Site {
    Site { kind, source: source.into(), location: None }
}

async fn sleep(world: &World, seconds: u64) {
    world.await_at(&site(AwaitKind::Timer, "sleep"), world.sleep(Duration::from_secs(seconds))).await;
}

/// So many boards, each played `moves` times: 5 s of the player's own time, then 55 s of waiting.
fn exhibition(boards: usize, moves: usize) -> Program {
    Box::new(move |world: World| {
        let main = async move {
            let tasks: Vec<_> = (1..=boards)
                .map(|number| {
                    let inner = world.clone();
                    world.spawn(spec(&format!("board-{number}")), async move {
                        for _ in 0..moves {
                            inner
                                .block(&site(AwaitKind::Block, "work"), Duration::from_secs(5))
                                .map_err(|stopped| stopped.to_string())?;
                            sleep(&inner, 55).await;
                        }
                        Ok(())
                    })
                })
                .collect();
            for task in tasks {
                world.await_at(&site(AwaitKind::Task, "join"), task).await.map_err(|error| error.to_string())??;
            }
            world.print("done\x1b[2J");
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    })
}

fn start(program: Program, options: Options) -> LabSession {
    LabSession::start("test", program, options, Trace::default()).expect("a thread can be had")
}

/// Pumps until `reached`, or fails.
#[track_caller]
fn until(session: &mut LabSession, what: &str, reached: impl Fn(&LabSession) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        session.pump(Duration::from_millis(5));
        if reached(session) {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}: {:?}", session.status());
        session.wait(Duration::from_millis(5));
    }
}

fn finish(session: &mut LabSession) {
    until(session, "the end", LabSession::is_over);
}

fn task(trace: &Trace, name: &str) -> TaskId {
    trace.tasks().iter().find(|task| task.name() == name).expect("the task was spawned").id
}

#[test]
fn the_exhibition_takes_an_hour_and_the_witnesses_agree() {
    let mut session = start(exhibition(24, 30), options());
    finish(&mut session);
    let trace = session.trace();
    assert_eq!(session.outcome(), Some(&Outcome::Completed(serde_json::Value::Null)));
    assert_eq!(trace.now(), 3_655_000_000_000);
    assert_eq!(trace.counts().busy_ns, 3_600_000_000_000);
    assert_eq!(trace.counts().parked_ns, 55_000_000_000);
    assert_eq!(trace.disagreements(), []);
    assert_eq!(trace.console().1, 0, "console-subscriber dropped nothing");
    assert_eq!(trace.probe().1, 0, "the probe dropped nothing");
    assert_eq!(trace.tasks().len(), 25);
    assert_eq!(trace.awaits().iter().count(), 24 * 30 * 2 + 24);
    assert_eq!(trace.output().lines()[0].text.as_ref(), "done\u{fffd}[2J", "no control character gets through");
}

/// Generations of tasks, each spawned once the one before is over; `has_ended` is set by the last of them.
fn generations(count: usize, has_ended: Arc<AtomicBool>) -> Program {
    const TASKS: usize = 10;
    Box::new(move |world: World| {
        let main = async move {
            for generation in 0..count {
                let spawn = |number: usize| {
                    let inner = world.clone();
                    world.spawn(spec(&format!("task-{generation}-{number}")), async move {
                        sleep(&inner, 1).await;
                        // Much for the probe to tell, and little for the console.
                        for _ in 0..100 {
                            tokio::task::yield_now().await;
                        }
                        Ok(())
                    })
                };
                for task in (0..TASKS).map(spawn).collect::<Vec<_>>() {
                    world.await_at(&site(AwaitKind::Task, "join"), task).await.map_err(|error| error.to_string())??;
                }
            }
            has_ended.store(true, Ordering::Release);
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    })
}

#[test]
fn what_the_console_told_waits_until_the_tasks_are_there_however_much_has_gathered() {
    let has_ended = Arc::new(AtomicBool::new(false));
    let mut session = start(generations(60, has_ended.clone()), options());
    // Nobody takes anything in meanwhile: the probe's records gather, and so does what the console told of them. There is
    // room for all of it: otherwise the loop would wait.
    crate::outside::until("its end", || has_ended.load(Ordering::Acquire));
    finish(&mut session);
    assert_eq!(session.trace().tasks().len(), 601);
    assert_eq!(session.trace().disagreements().first(), None, "of {:?} updates", session.trace().console());
}

#[test]
fn one_feed_alone_is_enough_for_the_loop_to_run() {
    for feed in [FeedChoice::Probe, FeedChoice::Console] {
        let mut session = start(exhibition(3, 4), Options { feed, ..options() });
        finish(&mut session);
        assert_eq!(session.trace().now(), 4 * 60_000_000_000 + 10_000_000_000, "{feed:?}");
        assert_eq!(session.trace().tasks().len(), 4);
        let board = session.trace().task(task(session.trace(), "board-2")).expect("it is there");
        assert_eq!((board.counts.polls, board.counts.wakes, board.counts.awaits), (5, 4, 8), "{feed:?}");
    }
}

#[test]
fn the_wire_alone_tells_awaits_at_their_exact_times() {
    let awaits = |feed| {
        let mut session = start(exhibition(3, 4), Options { feed, ..options() });
        finish(&mut session);
        let trace = session.trace();
        let mut told: Vec<_> = trace
            .awaits()
            .iter()
            .map(|(_, told)| {
                let site = trace.site(told.site).expect("sites are told before their awaits");
                (told.start, told.end(), told.task, site.clone(), told.polls, told.outcome().name())
            })
            .collect();
        told.sort_by_key(|told| (told.0, told.1, told.2));
        told
    };
    assert_eq!(awaits(FeedChoice::Console), awaits(FeedChoice::Probe));
}

#[test]
fn steps_poll_exactly_as_often_as_asked() {
    let mut session = start(exhibition(5, 10), Options { paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == Phase::Paused);
    assert_eq!(session.trace().counts().polls, 0);
    for polls in [1, 6, 11, 18] {
        let more = polls - session.trace().counts().polls;
        session.command(Command::StepPolls(more as u32));
        until(&mut session, "the steps", |session| {
            session.trace().counts().polls >= polls && session.status().phase == Phase::Paused
        });
        session.pump(Duration::from_millis(5));
        assert_eq!(session.trace().counts().polls, polls);
    }
    session.command(Command::Resume);
    finish(&mut session);
    assert_eq!(session.trace().disagreements(), []);
}

#[test]
fn a_turn_ends_when_the_loop_parks_and_a_task_can_be_stepped_to() {
    let mut session = start(exhibition(5, 10), Options { paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == Phase::Paused);
    session.command(Command::StepTurn);
    until(&mut session, "the turn", |session| {
        session.trace().counts().parks == 1 && session.status().phase == Phase::Paused
    });
    assert_eq!(session.trace().counts().polls, 6, "main and each board once");
    let wanted = task(session.trace(), "board-4");
    session.command(Command::StepTo(wanted));
    until(&mut session, "board-4", |session| {
        session.trace().task(wanted).is_some_and(|task| task.counts.polls == 2)
            && session.status().phase == Phase::Paused
    });
    assert_eq!(session.trace().counts().polls, 10);
}

#[test]
fn a_held_task_waits_while_the_others_go_on_and_catches_up_when_released() {
    let mut session = start(exhibition(3, 6), Options { paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == Phase::Paused);
    session.command(Command::StepTurn);
    until(&mut session, "the turn", |session| session.trace().counts().parks == 1);
    let held = task(session.trace(), "board-2");
    session.command(Command::Hold(held));
    session.command(Command::Resume);
    until(&mut session, "the others' end", |session| session.trace().counts().done == 2);
    let polls = |session: &LabSession| session.trace().task(held).expect("it is there").counts.polls;
    assert_eq!(polls(&session), 1);
    assert_eq!(session.trace().state(held), Some(State::Held));
    session.command(Command::Release(held));
    finish(&mut session);
    assert_eq!(session.trace().state(held), Some(State::Done));
    assert_eq!(polls(&session), 7);
    assert_eq!(session.trace().disagreements(), []);
}

#[test]
fn a_task_that_is_held_while_scheduled_does_not_run() {
    let mut session = start(exhibition(3, 2), Options { paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == Phase::Paused);
    session.command(Command::StepPolls(1));
    until(&mut session, "main", |session| session.trace().tasks().len() == 4);
    let held = task(session.trace(), "board-1");
    session.command(Command::Hold(held));
    session.command(Command::Resume);
    until(&mut session, "the others' end", |session| session.trace().counts().done == 2);
    let stuck = session.trace().task(held).expect("it is there");
    assert_eq!((stuck.counts.polls, stuck.bounces()), (0, 1));
    session.command(Command::Release(held));
    finish(&mut session);
    assert_eq!(session.trace().disagreements(), [], "a bounce is a poll to console-subscriber only");
}

#[test]
fn a_paused_loop_stands_still_and_quits_from_there() {
    let mut session = start(exhibition(24, 30), Options { speed: Speed::Times(60.0), ..options() });
    until(&mut session, "some polls", |session| session.trace().counts().polls > 3);
    session.command(Command::Pause);
    until(&mut session, "the pause", |session| session.status().phase == Phase::Paused);
    session.pump(Duration::from_millis(5));
    let (now, polls) = (session.status().now, session.trace().counts().polls);
    until(&mut session, "the pause to be seen", |session| session.trace().pauses().next().is_some());
    assert_eq!((session.status().now, session.trace().counts().polls), (now, polls));
    session.stop(Duration::from_secs(1));
    assert_eq!(session.outcome(), Some(&Outcome::Cancelled));
    finish(&mut session);
    assert_eq!(session.trace().counts().cancelled, 25);
}

#[test]
fn quit_works_while_the_loop_blocks_and_while_it_waits() {
    for speed in [Speed::Times(0.1), Speed::Times(1.0)] {
        let mut session = start(exhibition(2, 2), Options { speed, ..options() });
        until(&mut session, "the block", |session| session.trace().counts().running == 1);
        session.stop(Duration::from_secs(1));
        assert_eq!(session.outcome(), Some(&Outcome::Cancelled));
    }
    let program: Program = Box::new(|world: World| {
        let main = async move {
            sleep(&world, 3600).await;
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    });
    let mut session = start(program, Options { clock: ClockKind::Real, ..options() });
    until(&mut session, "the park", |session| session.trace().is_parked() && session.trace().counts().waiting == 1);
    session.stop(Duration::from_secs(1));
    assert_eq!(session.outcome(), Some(&Outcome::Cancelled));
}

#[test]
fn a_panic_in_one_task_fails_that_task_and_leaves_the_loop_alive() {
    let program: Program = Box::new(|world: World| {
        let main = async move {
            let bad = world.spawn::<()>(spec("bad"), async { panic!("on purpose") });
            let joined = world.await_at(&site(AwaitKind::Task, "join"), bad).await;
            sleep(&world, 1).await;
            assert!(joined.is_err());
            Ok(serde_json::json!("alive"))
        };
        (spec("main"), Box::pin(main))
    });
    let mut session = start(program, options());
    finish(&mut session);
    assert_eq!(session.outcome(), Some(&Outcome::Completed(serde_json::json!("alive"))));
    let bad = task(session.trace(), "bad");
    assert_eq!(session.trace().state(bad), Some(State::Failed));
    assert_eq!(session.trace().disagreements(), []);
}

#[test]
fn a_release_while_paused_is_seen_at_once_and_time_still_stands() {
    let mut session = start(exhibition(3, 6), Options { paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == Phase::Paused);
    session.command(Command::StepTurn);
    until(&mut session, "the turn", |session| session.trace().counts().parks == 1);
    let held = task(session.trace(), "board-2");
    for _ in 0..3 {
        session.command(Command::Hold(held));
        assert_eq!(session.trace().state(held), Some(State::Held));
        session.command(Command::Release(held));
        assert!(matches!(session.trace().state(held), Some(State::Waiting(..))));
    }
    let now = session.status().now;
    session.command(Command::Hold(held));
    session.command(Command::StepPolls(2));
    until(&mut session, "the others", |session| {
        session.trace().counts().polls == 6 && session.status().phase == Phase::Paused
    });
    assert!(session.status().now > now);
    let now = session.status().now;
    session.command(Command::Release(held));
    until(&mut session, "the kept wake", |session| {
        session.trace().state(held) == Some(State::Scheduled) && session.status().phase == Phase::Paused
    });
    assert_eq!(session.status().now, now);
    session.command(Command::Resume);
    finish(&mut session);
    assert_eq!(session.trace().disagreements(), []);
}

/// `main` sleeps now and then, on the real clock, and `never` waits for nothing.
fn restless() -> Program {
    Box::new(|world: World| {
        let main = async move {
            let inner = world.clone();
            drop(world.spawn(spec("never"), async move {
                inner.await_at(&site(AwaitKind::Other, "nothing"), std::future::pending::<()>()).await;
                Ok(())
            }));
            loop {
                let nap = world.sleep(Duration::from_millis(1));
                world.await_at(&site(AwaitKind::Timer, "sleep"), nap).await;
            }
        };
        (spec("main"), Box::pin(main))
    })
}

#[test]
fn what_was_asked_for_is_still_to_be_done_when_the_whole_program_stood_still_meanwhile() {
    let has = |phase| move |session: &LabSession| session.status().phase == phase;
    let stand = |session: &mut LabSession| {
        until(session, "it to go on", has(Phase::Running));
        session.command(Command::Suspend(true));
        until(session, "it to stand", has(Phase::Paused));
        session.command(Command::Suspend(false));
        until(session, "it to go on", has(Phase::Running));
    };
    let stays = |session: &mut LabSession| {
        // Where it stands already it stays, and nobody but the person lets it go on.
        session.command(Command::Suspend(true));
        session.command(Command::Suspend(false));
        assert_eq!(session.status().phase, Phase::Paused);
        let has_step = |session: &LabSession| session.trace().pauses_since(0).0.any(|p| p.cause == PauseCause::Step);
        until(session, "the pause to be told", has_step);
        let causes: Vec<_> = session.trace().pauses_since(0).0.map(|pause| pause.cause.clone()).collect();
        assert_eq!(causes, [PauseCause::Suspended, PauseCause::Step]);
    };
    // So slow that nothing of it happens by itself.
    let slow = Options { speed: Speed::Times(0.001), ..options() };
    let (mut session, stop) = (start(exhibition(2, 3), slow), 42_000_000_000);
    session.command(Command::RunUntil(stop));
    stand(&mut session);
    session.command(Command::Speed(Speed::Max));
    until(&mut session, "what was asked for", has(Phase::Paused));
    assert_eq!(session.status().now, stop);
    stays(&mut session);

    let mut session = start(restless(), Options { clock: ClockKind::Real, ..options() });
    until(&mut session, "both", |session| {
        session.trace().tasks().iter().filter(|task| task.counts.polls > 0).count() > 1
    });
    let never = task(session.trace(), "never");
    session.command(Command::StepTo(never));
    stand(&mut session);
    let polls = session.trace().counts().polls;
    until(&mut session, "others to be polled", |session| session.trace().counts().polls > polls + 2);
    session.command(Command::Cancel(never));
    until(&mut session, "its turn", has(Phase::Paused));
    stays(&mut session);
    session.stop(PATIENCE);
}

#[test]
fn a_run_until_a_time_stops_there_and_goes_on() {
    let mut session = start(exhibition(2, 3), Options { paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == Phase::Paused);
    let stop = 42_000_000_000;
    session.command(Command::RunUntil(stop));
    until(&mut session, "the time", |session| session.status().phase == Phase::Paused && session.status().now == stop);
    session.command(Command::Resume);
    finish(&mut session);
    assert_eq!(session.trace().now(), 3 * 60_000_000_000 + 5_000_000_000);
}

#[test]
fn thousands_of_tasks_are_counted_by_both_witnesses_and_nothing_is_dropped() {
    let mut session = start(exhibition(2_000, 1), options());
    finish(&mut session);
    assert_eq!(session.trace().tasks().len(), 2_001);
    assert_eq!(session.trace().disagreements().first(), None);
    assert_eq!((session.trace().console().1, session.trace().probe().1), (0, 0));
}

/// Main sleeps so long, so often.
fn sleeper(seconds: u64, times: usize) -> Program {
    Box::new(move |world: World| {
        let main = async move {
            for _ in 0..times {
                sleep(&world, seconds).await;
            }
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    })
}

#[test]
fn a_wait_is_one_park_however_far_its_timer_is() {
    for seconds in [1, 8, 500, 100_000] {
        let mut session = start(sleeper(seconds, 3), options());
        finish(&mut session);
        assert_eq!((session.trace().counts().parks, session.trace().counts().turns), (3, 4), "{seconds} s");
        assert_eq!(session.trace().now(), 3 * seconds * 1_000_000_000);
    }
}

#[test]
fn turns_can_be_stepped_one_after_the_other() {
    let mut session = start(sleeper(500, 5), Options { paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == Phase::Paused);
    for turn in 1..=4 {
        session.command(Command::StepTurn);
        until(&mut session, "the turn", |session| {
            session.trace().counts().parks == turn && session.status().phase == Phase::Paused
        });
        assert_eq!(session.trace().counts().polls, turn);
    }
}

#[test]
fn a_step_is_not_spent_on_a_task_that_is_held_at_its_very_gate() {
    let mut session = start(exhibition(3, 2), Options { paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == Phase::Paused);
    session.command(Command::StepPolls(1));
    until(&mut session, "main", |session| {
        session.trace().tasks().len() == 4 && session.status().phase == Phase::Paused
    });
    // The loop stands before the poll of board-1.
    session.command(Command::Hold(task(session.trace(), "board-1")));
    session.command(Command::StepPolls(1));
    until(&mut session, "the step", |session| {
        session.trace().counts().polls == 2 && session.status().phase == Phase::Paused
    });
    let polls = |name| session.trace().task(task(session.trace(), name)).expect("it is there").counts.polls;
    assert_eq!((polls("board-1"), polls("board-2")), (0, 1));
}

#[test]
fn a_pause_on_the_real_clock_is_marked_and_cuts_no_sleep_short() {
    let mut session = start(sleeper(1, 1), Options { clock: ClockKind::Real, ..options() });
    until(&mut session, "the sleep", |session| session.trace().is_parked() && session.trace().counts().waiting == 1);
    session.command(Command::Pause);
    until(&mut session, "the pause", |session| session.status().phase == Phase::Paused);
    let now = session.status().now;
    let resumed = Instant::now() + Duration::from_millis(1_200);
    until(&mut session, "tokio's own timer to be long due", |_| Instant::now() > resumed);
    assert_eq!(session.status().now, now, "loop time stands still");
    assert_eq!(session.trace().pauses().count(), 1);
    // Twice at once: whatever the loop is about to do, its clock must go on in the end.
    session.command(Command::Resume);
    session.command(Command::Pause);
    session.command(Command::Resume);
    finish(&mut session);
    assert!(session.trace().now() >= 1_000_000_000, "{}", session.trace().now());
    assert_eq!(session.trace().disagreements(), []);
}

#[test]
fn what_the_wire_tells_after_the_end_brings_nobody_back_to_life() {
    let mut session = start(exhibition(3, 4), Options { feed: FeedChoice::Console, ..options() });
    finish(&mut session);
    let counts = session.trace().counts();
    assert_eq!((counts.running, counts.scheduled, counts.waiting, counts.done), (0, 0, 0, 4));
}

/// What the lab tells of a future's size is the program's own, whatever the lab puts around it.
#[test]
fn a_large_future_is_seen_where_it_is_spawned() {
    async fn carries<const BYTES: usize>(world: World) -> Result<(), String> {
        let buffer = [1_u8; BYTES];
        sleep(&world, 1).await;
        if buffer.iter().all(|byte| *byte == 1) { Ok(()) } else { Err("the buffer changed".into()) }
    }
    let program: Program = Box::new(|world: World| {
        let main = async move {
            let small = world.spawn(spec("small"), carries::<64>(world.clone()));
            let large = world.spawn(spec("large"), carries::<20_000>(world.clone()));
            for task in [small, large] {
                task.await.map_err(|error| error.to_string())??;
            }
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    });
    let mut session = start(program, options());
    finish(&mut session);
    let size = |name| session.trace().task(task(session.trace(), name)).and_then(|task| task.spawned.size_bytes);
    assert!(size("small").is_some_and(|bytes| (64..1_000).contains(&bytes)), "{:?}", size("small"));
    assert!(size("large").is_some_and(|bytes| (20_000..21_000).contains(&bytes)), "{:?}", size("large"));
    let found = findings(session.trace(), &Thresholds::default());
    let told: Vec<_> = found.listed.iter().map(|found| (found.name, found.task)).collect();
    assert_eq!(told, [("large-future", Some(task(session.trace(), "large")))]);
}
