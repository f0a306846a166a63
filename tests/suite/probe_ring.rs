//! The probe's ring as the session reads it: overflow, and events of other threads.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use loopscope::control::{ClockKind, FeedChoice, RunOutcome, Speed};
use loopscope::lab::{LoopOptions, LoopProgram, TaskSpec};
use loopscope::session::{LabSession, Session};
use loopscope::trace::{TaskOutcome, Trace, WakeSource};

/// The time after which a run counts as hung.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// Far more polls than fit the ring.
const POLLS: usize = 200_000;

fn spec(name: &str) -> TaskSpec {
    TaskSpec { name: name.into(), location: None }
}

fn start(program: LoopProgram, clock: ClockKind) -> LabSession {
    let options =
        LoopOptions { clock, speed: Speed::Max, feed: FeedChoice::Probe, start_paused: false, seed: 0, stop_at: None };
    LabSession::start("ring", program, options, Trace::default()).expect("the loop thread starts")
}

fn run_to_end(session: &mut LabSession) {
    let deadline = Instant::now() + RUN_TIMEOUT;
    while !session.is_finished() {
        session.pump(Duration::from_millis(5));
        session.wait(Duration::from_millis(5));
        assert!(Instant::now() < deadline, "the run did not end: {:?}", session.status());
    }
    assert_eq!(session.outcome(), Some(&RunOutcome::Completed(serde_json::Value::Null)));
}

/// A program that yields [`POLLS`] times, and the receiver of its completion.
fn yielding() -> (LoopProgram, mpsc::Receiver<()>) {
    let (done, finished) = mpsc::channel();
    let program: LoopProgram = Box::new(move |_| {
        let body = async move {
            for _ in 0..POLLS {
                tokio::task::yield_now().await;
            }
            done.send(()).map_err(|error| error.to_string())?;
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(body))
    });
    (program, finished)
}

#[test]
fn real_clock_drops_and_counts_overflow() {
    let (program, finished) = yielding();
    let mut session = start(program, ClockKind::Real);
    // Nothing is read until the program has finished.
    finished.recv_timeout(RUN_TIMEOUT).expect("a full ring stops no poll");
    run_to_end(&mut session);
    let trace = session.trace();
    let (received, dropped) = trace.probe_feed_counts();
    assert!(dropped > 0, "{received} events fit into the ring");
    assert_eq!(trace.gaps().map(|gap| gap.dropped).sum::<u64>(), dropped);
    // Start, end and wake of each poll, and few other events.
    let total = received + dropped;
    assert!((3 * POLLS as u64..3 * POLLS as u64 + 100).contains(&total), "{received} received and {dropped} dropped");
    for gap in trace.gaps() {
        assert!(gap.from < gap.to && gap.to <= trace.now(), "{gap:?} in a run of {} ns", trace.now());
    }
    // Polls before the gap are counted, and the end of the task waits for space in the ring.
    let main = trace.tasks().first().expect("main was spawned");
    assert_eq!(main.outcome, Some(TaskOutcome::Completed));
    assert!(main.counts.polls < POLLS as u64);
}

#[test]
fn virtual_clock_waits_for_reader() {
    let (program, finished) = yielding();
    let mut session = start(program, ClockKind::Virtual);
    run_to_end(&mut session);
    finished.try_recv().expect("main has finished");
    let trace = session.trace();
    assert_eq!((trace.probe_feed_counts().1, trace.gaps().count()), (0, 0));
    assert_eq!(trace.counts().polls, POLLS as u64 + 1);
    assert_eq!(trace.now(), 0, "waiting takes no loop time");
}

#[test]
fn pool_wake_precedes_its_poll() {
    const CALLS: usize = 300;
    let program: LoopProgram = Box::new(|_| {
        let body = async {
            for _ in 0..CALLS {
                let (go, may_go) = mpsc::channel();
                let call = tokio::task::spawn_blocking(move || may_go.recv().is_ok());
                // The call may only finish once main has polled it, so every call ends with a wake from its thread.
                let mut call = std::pin::pin!(call);
                let mut go = Some(go);
                let went = std::future::poll_fn(|context| {
                    let polled = call.as_mut().poll(context);
                    if let (true, Some(go)) = (polled.is_pending(), go.take()) {
                        let _ = go.send(());
                    }
                    polled
                });
                assert!(went.await.map_err(|error| error.to_string())?);
            }
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(body))
    });
    let mut session = start(program, ClockKind::Real);
    run_to_end(&mut session);
    let trace = session.trace();
    let main = trace.tasks().first().expect("main was spawned");
    assert_eq!(main.counts.wakes, CALLS as u64);
    assert_eq!(main.last_wake.map(|(_, cause)| cause), Some(WakeSource::Thread));
    // Each poll but the first follows a wake that is filed in the cycle before it.
    let cycles: Vec<_> = main.lane.cycles().collect();
    assert_eq!(cycles.len(), CALLS + 1);
    for pair in cycles.windows(2) {
        let woken = pair[0].scheduled_at().expect("each poll follows a wake");
        assert!(pair[0].start <= woken && woken <= pair[1].start, "{pair:?}");
    }
}
