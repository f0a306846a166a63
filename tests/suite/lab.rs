//! The embedded loop, controlled as the screen controls it: Rust programs on the real loop, with both feeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loopscope::control::{ClockKind, FeedChoice, RunOutcome, RunPhase, SessionCommand, Speed};
use loopscope::insight::{Thresholds, run_lints};
use loopscope::lab::{LoopHandle, LoopOptions, LoopProgram, TaskSpec};
use loopscope::session::{LabSession, Session};
use loopscope::trace::{AwaitKind, AwaitSite, PauseReason, TaskId, TaskState, Trace};

/// The time after which a run counts as hung.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

fn options() -> LoopOptions {
    LoopOptions {
        clock: ClockKind::Virtual,
        speed: Speed::Max,
        feed: FeedChoice::Both,
        start_paused: false,
        seed: 0,
        stop_at: None,
    }
}

fn spec(name: &str) -> TaskSpec {
    TaskSpec { name: name.into(), location: None }
}

fn site(kind: AwaitKind, source: &str) -> AwaitSite {
    AwaitSite { kind, source: source.into(), location: None, chain: None }
}

async fn sleep(loop_handle: &LoopHandle, seconds: u64) {
    loop_handle.await_at(&site(AwaitKind::Timer, "sleep"), loop_handle.sleep(Duration::from_secs(seconds))).await;
}

/// Boards with `moves` rounds each: 5 s of the player's own time, then 55 s of waiting.
fn exhibition(boards: usize, moves: usize) -> LoopProgram {
    Box::new(move |loop_handle: LoopHandle| {
        let main = async move {
            let tasks: Vec<_> = (1..=boards)
                .map(|number| {
                    let inner = loop_handle.clone();
                    loop_handle.spawn(spec(&format!("board-{number}")), async move {
                        for _ in 0..moves {
                            inner
                                .block(&site(AwaitKind::BlockingCall, "work"), Duration::from_secs(5))
                                .map_err(|stopped| stopped.to_string())?;
                            sleep(&inner, 55).await;
                        }
                        Ok(())
                    })
                })
                .collect();
            for task in tasks {
                loop_handle
                    .await_at(&site(AwaitKind::Task, "join"), task)
                    .await
                    .map_err(|error| error.to_string())??;
            }
            loop_handle.print("done\x1b[2J");
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    })
}

fn start(program: LoopProgram, options: LoopOptions) -> LabSession {
    LabSession::start("test", program, options, Trace::default()).expect("the loop thread starts")
}

/// Pumps until `reached` or the timeout.
#[track_caller]
fn until(session: &mut LabSession, what: &str, reached: impl Fn(&LabSession) -> bool) {
    let deadline = Instant::now() + RUN_TIMEOUT;
    loop {
        session.pump(Duration::from_millis(5));
        if reached(session) {
            return;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}: {:?}", session.status());
        session.wait(Duration::from_millis(5));
    }
}

fn finish(session: &mut LabSession) {
    until(session, "the end", LabSession::is_finished);
}

fn task(trace: &Trace, name: &str) -> TaskId {
    trace.tasks().iter().find(|task| task.name() == name).expect("the task was spawned").id
}

#[test]
fn exhibition_takes_an_hour_and_feeds_agree() {
    let mut session = start(exhibition(24, 30), options());
    finish(&mut session);
    let trace = session.trace();
    assert_eq!(session.outcome(), Some(&RunOutcome::Completed(serde_json::Value::Null)));
    assert_eq!(trace.now(), 3_655_000_000_000);
    assert_eq!(trace.counts().busy_ns, 3_600_000_000_000);
    assert_eq!(trace.counts().parked_ns, 55_000_000_000);
    assert_eq!(trace.disagreements(), []);
    assert_eq!(trace.console_feed_counts().1, 0, "console-subscriber dropped nothing");
    assert_eq!(trace.probe_feed_counts().1, 0, "the probe dropped nothing");
    assert_eq!(trace.tasks().len(), 25);
    assert_eq!(trace.awaits().iter().count(), 24 * 30 * 2 + 24);
    assert_eq!(trace.output().lines()[0].text.as_ref(), "done\u{fffd}[2J", "control characters are replaced");
}

/// Generations of tasks, each spawned after the one before has ended. Sets `has_ended` at the end.
fn generations(count: usize, has_ended: Arc<AtomicBool>) -> LoopProgram {
    const TASKS: usize = 10;
    Box::new(move |loop_handle: LoopHandle| {
        let main = async move {
            for generation in 0..count {
                let spawn = |number: usize| {
                    let inner = loop_handle.clone();
                    loop_handle.spawn(spec(&format!("task-{generation}-{number}")), async move {
                        sleep(&inner, 1).await;
                        // Many events for the probe and few for the console.
                        for _ in 0..50 {
                            tokio::task::yield_now().await;
                        }
                        Ok(())
                    })
                };
                for task in (0..TASKS).map(spawn).collect::<Vec<_>>() {
                    loop_handle
                        .await_at(&site(AwaitKind::Task, "join"), task)
                        .await
                        .map_err(|error| error.to_string())??;
                }
            }
            has_ended.store(true, Ordering::Release);
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    })
}

#[test]
fn console_data_waits_for_unread_probe_events() {
    let has_ended = Arc::new(AtomicBool::new(false));
    let mut session = start(generations(60, has_ended.clone()), options());
    // The session is not pumped meanwhile, so events of both feeds queue up. There is space for all of them; otherwise
    // the loop would wait.
    crate::example_app::wait_until("its end", || has_ended.load(Ordering::Acquire));
    finish(&mut session);
    assert_eq!(session.trace().tasks().len(), 601);
    assert_eq!(session.trace().disagreements().first(), None, "of {:?} updates", session.trace().console_feed_counts());
}

#[test]
fn runs_with_either_feed_alone() {
    for feed in [FeedChoice::Probe, FeedChoice::Console] {
        let mut session = start(exhibition(3, 4), LoopOptions { feed, ..options() });
        finish(&mut session);
        assert_eq!(session.trace().now(), 4 * 60_000_000_000 + 10_000_000_000, "{feed:?}");
        assert_eq!(session.trace().tasks().len(), 4);
        let board = session.trace().task(task(session.trace(), "board-2")).expect("the task exists");
        assert_eq!((board.counts.polls, board.counts.wakes, board.counts.awaits), (5, 4, 8), "{feed:?}");
    }
}

#[test]
fn console_alone_reports_exact_awaits() {
    let awaits = |feed| {
        let mut session = start(exhibition(3, 4), LoopOptions { feed, ..options() });
        finish(&mut session);
        let trace = session.trace();
        let mut entries: Vec<_> = trace
            .awaits()
            .iter()
            .map(|(_, entry)| {
                let site = trace.site(entry.site).expect("sites precede their awaits");
                (entry.start, entry.end(), entry.task, site.clone(), entry.polls, entry.outcome().name())
            })
            .collect();
        entries.sort_by_key(|entry| (entry.0, entry.1, entry.2));
        entries
    };
    assert_eq!(awaits(FeedChoice::Console), awaits(FeedChoice::Probe));
}

#[test]
fn step_polls_the_requested_number() {
    let mut session = start(exhibition(5, 10), LoopOptions { start_paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == RunPhase::Paused);
    assert_eq!(session.trace().counts().polls, 0);
    for polls in [1, 6, 11, 18] {
        let more = polls - session.trace().counts().polls;
        session.command(SessionCommand::StepPolls(more as u32));
        until(&mut session, "the steps", |session| {
            session.trace().counts().polls >= polls && session.status().phase == RunPhase::Paused
        });
        session.pump(Duration::from_millis(5));
        assert_eq!(session.trace().counts().polls, polls);
    }
    session.command(SessionCommand::Resume);
    finish(&mut session);
    assert_eq!(session.trace().disagreements(), []);
}

#[test]
fn steps_one_turn_and_to_a_task() {
    let mut session = start(exhibition(5, 10), LoopOptions { start_paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == RunPhase::Paused);
    session.command(SessionCommand::StepTurn);
    until(&mut session, "the turn", |session| {
        session.trace().counts().parks == 1 && session.status().phase == RunPhase::Paused
    });
    assert_eq!(session.trace().counts().polls, 6, "main and each board once");
    let wanted = task(session.trace(), "board-4");
    session.command(SessionCommand::StepToTask(wanted));
    until(&mut session, "board-4", |session| {
        session.trace().task(wanted).is_some_and(|task| task.counts.polls == 2)
            && session.status().phase == RunPhase::Paused
    });
    assert_eq!(session.trace().counts().polls, 10);
}

#[test]
fn held_task_waits_until_released() {
    let mut session = start(exhibition(3, 6), LoopOptions { start_paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == RunPhase::Paused);
    session.command(SessionCommand::StepTurn);
    until(&mut session, "the turn", |session| session.trace().counts().parks == 1);
    let held = task(session.trace(), "board-2");
    session.command(SessionCommand::Hold(held));
    session.command(SessionCommand::Resume);
    until(&mut session, "the others' end", |session| session.trace().counts().completed == 2);
    let polls = |session: &LabSession| session.trace().task(held).expect("the task exists").counts.polls;
    assert_eq!(polls(&session), 1);
    assert_eq!(session.trace().state(held), Some(TaskState::Held));
    session.command(SessionCommand::Release(held));
    finish(&mut session);
    assert_eq!(session.trace().state(held), Some(TaskState::Completed));
    assert_eq!(polls(&session), 7);
    assert_eq!(session.trace().disagreements(), []);
}

#[test]
fn task_held_while_scheduled_does_not_run() {
    let mut session = start(exhibition(3, 2), LoopOptions { start_paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == RunPhase::Paused);
    session.command(SessionCommand::StepPolls(1));
    until(&mut session, "main", |session| session.trace().tasks().len() == 4);
    let held = task(session.trace(), "board-1");
    session.command(SessionCommand::Hold(held));
    session.command(SessionCommand::Resume);
    until(&mut session, "the others' end", |session| session.trace().counts().completed == 2);
    let held_task = session.trace().task(held).expect("the task exists");
    assert_eq!((held_task.counts.polls, held_task.suppressed_polls()), (0, 1));
    session.command(SessionCommand::Release(held));
    finish(&mut session);
    assert_eq!(session.trace().disagreements(), [], "only console-subscriber counts a suppressed poll");
}

#[test]
fn paused_loop_stops_time_and_can_quit() {
    let mut session = start(exhibition(24, 30), LoopOptions { speed: Speed::Factor(60.0), ..options() });
    until(&mut session, "some polls", |session| session.trace().counts().polls > 3);
    session.command(SessionCommand::Pause);
    until(&mut session, "the pause", |session| session.status().phase == RunPhase::Paused);
    session.pump(Duration::from_millis(5));
    let (now, polls) = (session.status().now, session.trace().counts().polls);
    until(&mut session, "the pause in the trace", |session| session.trace().pauses().next().is_some());
    assert_eq!((session.status().now, session.trace().counts().polls), (now, polls));
    session.stop(Duration::from_secs(1));
    assert_eq!(session.outcome(), Some(&RunOutcome::Cancelled));
    finish(&mut session);
    assert_eq!(session.trace().counts().cancelled, 25);
}

#[test]
fn quits_while_blocking_and_while_parked() {
    for speed in [Speed::Factor(0.1), Speed::Factor(1.0)] {
        let mut session = start(exhibition(2, 2), LoopOptions { speed, ..options() });
        until(&mut session, "the block", |session| session.trace().counts().running == 1);
        session.stop(Duration::from_secs(1));
        assert_eq!(session.outcome(), Some(&RunOutcome::Cancelled));
    }
    let program: LoopProgram = Box::new(|loop_handle: LoopHandle| {
        let main = async move {
            sleep(&loop_handle, 3600).await;
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    });
    let mut session = start(program, LoopOptions { clock: ClockKind::Real, ..options() });
    until(&mut session, "the park", |session| session.trace().is_parked() && session.trace().counts().waiting == 1);
    session.stop(Duration::from_secs(1));
    assert_eq!(session.outcome(), Some(&RunOutcome::Cancelled));
}

#[test]
fn panic_fails_only_its_task() {
    let program: LoopProgram = Box::new(|loop_handle: LoopHandle| {
        let main = async move {
            let bad = loop_handle.spawn::<()>(spec("bad"), async { panic!("on purpose") });
            let joined = loop_handle.await_at(&site(AwaitKind::Task, "join"), bad).await;
            sleep(&loop_handle, 1).await;
            assert!(joined.is_err());
            Ok(serde_json::json!("alive"))
        };
        (spec("main"), Box::pin(main))
    });
    let mut session = start(program, options());
    finish(&mut session);
    assert_eq!(session.outcome(), Some(&RunOutcome::Completed(serde_json::json!("alive"))));
    let bad = task(session.trace(), "bad");
    assert_eq!(session.trace().state(bad), Some(TaskState::Failed));
    assert_eq!(session.trace().disagreements(), []);
}

#[test]
fn release_while_paused_stops_time() {
    let mut session = start(exhibition(3, 6), LoopOptions { start_paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == RunPhase::Paused);
    session.command(SessionCommand::StepTurn);
    until(&mut session, "the turn", |session| session.trace().counts().parks == 1);
    let held = task(session.trace(), "board-2");
    for _ in 0..3 {
        session.command(SessionCommand::Hold(held));
        assert_eq!(session.trace().state(held), Some(TaskState::Held));
        session.command(SessionCommand::Release(held));
        assert!(matches!(session.trace().state(held), Some(TaskState::Waiting(..))));
    }
    let now = session.status().now;
    session.command(SessionCommand::Hold(held));
    session.command(SessionCommand::StepPolls(2));
    until(&mut session, "the others", |session| {
        session.trace().counts().polls == 6 && session.status().phase == RunPhase::Paused
    });
    assert!(session.status().now > now);
    let now = session.status().now;
    session.command(SessionCommand::Release(held));
    until(&mut session, "the deferred wake", |session| {
        session.trace().state(held) == Some(TaskState::Scheduled) && session.status().phase == RunPhase::Paused
    });
    assert_eq!(session.status().now, now);
    session.command(SessionCommand::Resume);
    finish(&mut session);
    assert_eq!(session.trace().disagreements(), []);
}

/// `main` sleeps repeatedly on the real clock, and `never` waits forever.
fn sleeping_and_waiting() -> LoopProgram {
    Box::new(|loop_handle: LoopHandle| {
        let main = async move {
            let inner = loop_handle.clone();
            drop(loop_handle.spawn(spec("never"), async move {
                inner.await_at(&site(AwaitKind::Other, "nothing"), std::future::pending::<()>()).await;
                Ok(())
            }));
            loop {
                let sleep = loop_handle.sleep(Duration::from_millis(1));
                loop_handle.await_at(&site(AwaitKind::Timer, "sleep"), sleep).await;
            }
        };
        (spec("main"), Box::pin(main))
    })
}

#[test]
fn suspend_preserves_pending_steps() {
    let has = |phase| move |session: &LabSession| session.status().phase == phase;
    let suspend_and_resume = |session: &mut LabSession| {
        until(session, "it to run", has(RunPhase::Running));
        session.command(SessionCommand::Suspend(true));
        until(session, "it to pause", has(RunPhase::Paused));
        session.command(SessionCommand::Suspend(false));
        until(session, "it to run", has(RunPhase::Running));
    };
    let assert_stays_paused = |session: &mut LabSession| {
        // If it is paused already it stays paused: only the user resumes it.
        session.command(SessionCommand::Suspend(true));
        session.command(SessionCommand::Suspend(false));
        assert_eq!(session.status().phase, RunPhase::Paused);
        let has_step = |session: &LabSession| session.trace().pauses_since(0).0.any(|p| p.reason == PauseReason::Step);
        until(session, "the pause in the trace", has_step);
        let causes: Vec<_> = session.trace().pauses_since(0).0.map(|pause| pause.reason.clone()).collect();
        assert_eq!(causes, [PauseReason::Suspended, PauseReason::Step]);
    };
    // So slow that nothing happens by itself.
    let slow = LoopOptions { speed: Speed::Factor(0.001), ..options() };
    let (mut session, stop) = (start(exhibition(2, 3), slow), 42_000_000_000);
    session.command(SessionCommand::RunUntil(stop));
    suspend_and_resume(&mut session);
    session.command(SessionCommand::SetSpeed(Speed::Max));
    until(&mut session, "the requested time", has(RunPhase::Paused));
    assert_eq!(session.status().now, stop);
    assert_stays_paused(&mut session);

    let mut session = start(sleeping_and_waiting(), LoopOptions { clock: ClockKind::Real, ..options() });
    until(&mut session, "both", |session| {
        session.trace().tasks().iter().filter(|task| task.counts.polls > 0).count() > 1
    });
    let never = task(session.trace(), "never");
    session.command(SessionCommand::StepToTask(never));
    suspend_and_resume(&mut session);
    let polls = session.trace().counts().polls;
    until(&mut session, "others to be polled", |session| session.trace().counts().polls > polls + 2);
    session.command(SessionCommand::Cancel(never));
    until(&mut session, "its turn", has(RunPhase::Paused));
    assert_stays_paused(&mut session);
    session.stop(RUN_TIMEOUT);
}

#[test]
fn run_until_pauses_at_the_time() {
    let mut session = start(exhibition(2, 3), LoopOptions { start_paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == RunPhase::Paused);
    let stop = 42_000_000_000;
    session.command(SessionCommand::RunUntil(stop));
    until(&mut session, "the time", |session| {
        session.status().phase == RunPhase::Paused && session.status().now == stop
    });
    session.command(SessionCommand::Resume);
    finish(&mut session);
    assert_eq!(session.trace().now(), 3 * 60_000_000_000 + 5_000_000_000);
}

#[test]
fn feeds_agree_on_thousands_of_tasks() {
    let mut session = start(exhibition(2_000, 1), options());
    finish(&mut session);
    assert_eq!(session.trace().tasks().len(), 2_001);
    assert_eq!(session.trace().disagreements().first(), None);
    assert_eq!((session.trace().console_feed_counts().1, session.trace().probe_feed_counts().1), (0, 0));
}

/// Main sleeps `seconds`, `times` times.
fn sleeper(seconds: u64, times: usize) -> LoopProgram {
    Box::new(move |loop_handle: LoopHandle| {
        let main = async move {
            for _ in 0..times {
                sleep(&loop_handle, seconds).await;
            }
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    })
}

#[test]
fn any_wait_is_one_park() {
    for seconds in [1, 8, 500, 100_000] {
        let mut session = start(sleeper(seconds, 3), options());
        finish(&mut session);
        assert_eq!((session.trace().counts().parks, session.trace().counts().turns), (3, 4), "{seconds} s");
        assert_eq!(session.trace().now(), 3 * seconds * 1_000_000_000);
    }
}

#[test]
fn steps_consecutive_turns() {
    let mut session = start(sleeper(500, 5), LoopOptions { start_paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == RunPhase::Paused);
    for turn in 1..=4 {
        session.command(SessionCommand::StepTurn);
        until(&mut session, "the turn", |session| {
            session.trace().counts().parks == turn && session.status().phase == RunPhase::Paused
        });
        assert_eq!(session.trace().counts().polls, turn);
    }
}

#[test]
fn held_task_uses_no_step() {
    let mut session = start(exhibition(3, 2), LoopOptions { start_paused: true, ..options() });
    until(&mut session, "the first pause", |session| session.status().phase == RunPhase::Paused);
    session.command(SessionCommand::StepPolls(1));
    until(&mut session, "main", |session| {
        session.trace().tasks().len() == 4 && session.status().phase == RunPhase::Paused
    });
    // The loop is paused before the poll of board-1.
    session.command(SessionCommand::Hold(task(session.trace(), "board-1")));
    session.command(SessionCommand::StepPolls(1));
    until(&mut session, "the step", |session| {
        session.trace().counts().polls == 2 && session.status().phase == RunPhase::Paused
    });
    let polls = |name| session.trace().task(task(session.trace(), name)).expect("the task exists").counts.polls;
    assert_eq!((polls("board-1"), polls("board-2")), (0, 1));
}

#[test]
fn real_clock_pause_shortens_no_sleep() {
    let mut session = start(sleeper(1, 1), LoopOptions { clock: ClockKind::Real, ..options() });
    until(&mut session, "the sleep", |session| session.trace().is_parked() && session.trace().counts().waiting == 1);
    session.command(SessionCommand::Pause);
    until(&mut session, "the pause", |session| session.status().phase == RunPhase::Paused);
    let now = session.status().now;
    let resumed = Instant::now() + Duration::from_millis(1_200);
    until(&mut session, "tokio's own timer to be long due", |_| Instant::now() > resumed);
    assert_eq!(session.status().now, now, "loop time does not advance");
    assert_eq!(session.trace().pauses().count(), 1);
    // Twice in a row: whatever the loop is about to do, its clock must run in the end.
    session.command(SessionCommand::Resume);
    session.command(SessionCommand::Pause);
    session.command(SessionCommand::Resume);
    finish(&mut session);
    assert!(session.trace().now() >= 1_000_000_000, "{}", session.trace().now());
    assert_eq!(session.trace().disagreements(), []);
}

#[test]
fn late_console_updates_revive_no_task() {
    let mut session = start(exhibition(3, 4), LoopOptions { feed: FeedChoice::Console, ..options() });
    finish(&mut session);
    let counts = session.trace().counts();
    assert_eq!((counts.running, counts.scheduled, counts.waiting, counts.completed), (0, 0, 0, 4));
}

/// The reported future size is that of the program's own future, without the wrapper.
#[test]
fn reports_large_future_size() {
    async fn hold_buffer<const BYTES: usize>(loop_handle: LoopHandle) -> Result<(), String> {
        let buffer = [1_u8; BYTES];
        sleep(&loop_handle, 1).await;
        if buffer.iter().all(|byte| *byte == 1) { Ok(()) } else { Err("the buffer changed".into()) }
    }
    let program: LoopProgram = Box::new(|loop_handle: LoopHandle| {
        let main = async move {
            let small = loop_handle.spawn(spec("small"), hold_buffer::<64>(loop_handle.clone()));
            let large = loop_handle.spawn(spec("large"), hold_buffer::<20_000>(loop_handle.clone()));
            for task in [small, large] {
                task.await.map_err(|error| error.to_string())??;
            }
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    });
    let mut session = start(program, options());
    finish(&mut session);
    let size = |name| session.trace().task(task(session.trace(), name)).and_then(|task| task.meta.size_bytes);
    assert!(size("small").is_some_and(|bytes| (64..1_000).contains(&bytes)), "{:?}", size("small"));
    assert!(size("large").is_some_and(|bytes| (20_000..21_000).contains(&bytes)), "{:?}", size("large"));
    let found = run_lints(session.trace(), &Thresholds::default());
    let listed: Vec<_> = found.listed.iter().map(|found| (found.name, found.task)).collect();
    assert_eq!(listed, [("large-future", Some(task(session.trace(), "large")))]);
}
