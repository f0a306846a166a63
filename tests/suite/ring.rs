//! The probe's ring as the session reads it: what does not fit, and what other threads tell.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use loopscope::app::Session;
use loopscope::control::{ClockKind, FeedChoice, Outcome, Speed};
use loopscope::lab::{Options, Program, TaskSpec};
use loopscope::session::LabSession;
use loopscope::trace::{Cause, Ending, Trace};

/// Long past anything that is still going to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Far more polls than the ring has room for.
const POLLS: usize = 200_000;

fn spec(name: &str) -> TaskSpec {
    TaskSpec { name: name.into(), location: None }
}

fn start(program: Program, clock: ClockKind) -> LabSession {
    let options = Options { clock, speed: Speed::Max, feed: FeedChoice::Probe, paused: false, seed: 0, until: None };
    LabSession::start("ring", program, options, Trace::default()).expect("a thread can be had")
}

fn run_to_end(session: &mut LabSession) {
    let deadline = Instant::now() + PATIENCE;
    while !session.is_over() {
        session.pump(Duration::from_millis(5));
        session.wait(Duration::from_millis(5));
        assert!(Instant::now() < deadline, "the run did not end: {:?}", session.status());
    }
    assert_eq!(session.outcome(), Some(&Outcome::Completed(serde_json::Value::Null)));
}

/// Yields very often and says when that is done.
fn greedy() -> (Program, mpsc::Receiver<()>) {
    let (done, is_done) = mpsc::channel();
    let program: Program = Box::new(move |_| {
        let body = async move {
            for _ in 0..POLLS {
                tokio::task::yield_now().await;
            }
            done.send(()).map_err(|error| error.to_string())?;
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(body))
    });
    (program, is_done)
}

#[test]
fn on_the_real_clock_a_reader_that_is_away_holds_nobody_up_and_is_told_what_it_missed() {
    let (program, is_done) = greedy();
    let mut session = start(program, ClockKind::Real);
    // Nobody reads until the program has gone through all of it.
    is_done.recv_timeout(PATIENCE).expect("a full ring stops no poll");
    run_to_end(&mut session);
    let trace = session.trace();
    let (told, dropped) = trace.probe();
    assert!(dropped > 0, "{told} events fit into the ring");
    assert_eq!(trace.gaps().map(|gap| gap.dropped).sum::<u64>(), dropped);
    // Start, end and wake of each poll, and little else.
    let happened = told + dropped;
    assert!((3 * POLLS as u64..3 * POLLS as u64 + 100).contains(&happened), "{told} told and {dropped} dropped");
    for gap in trace.gaps() {
        assert!(gap.from < gap.to && gap.to <= trace.now(), "{gap:?} in a run of {} ns", trace.now());
    }
    // What was told before the gap ended before it, and the end of the task was waited with.
    let main = trace.tasks().first().expect("main was spawned");
    assert_eq!(main.ending, Some(Ending::Done));
    assert!(main.counts.polls < POLLS as u64);
}

#[test]
fn on_the_virtual_clock_a_reader_that_is_away_is_waited_for() {
    let (program, is_done) = greedy();
    let mut session = start(program, ClockKind::Virtual);
    run_to_end(&mut session);
    is_done.try_recv().expect("main came to its end");
    let trace = session.trace();
    assert_eq!((trace.probe().1, trace.gaps().count()), (0, 0));
    assert_eq!(trace.counts().polls, POLLS as u64 + 1);
    assert_eq!(trace.now(), 0, "waiting takes no loop time");
}

#[test]
fn a_wake_from_the_pool_comes_before_the_poll_that_it_leads_to() {
    const CALLS: usize = 300;
    let program: Program = Box::new(|_| {
        let body = async {
            for _ in 0..CALLS {
                let (go, may_go) = mpsc::channel();
                let call = tokio::task::spawn_blocking(move || may_go.recv().is_ok());
                // Only from its own poll on does main wait for it, so every call ends with a wake from its thread.
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
    assert_eq!(main.last_wake.map(|(_, cause)| cause), Some(Cause::Thread));
    // Each poll but the first was woken for, by a wake that was filed in the cycle before it.
    let cycles: Vec<_> = main.lane.cycles().collect();
    assert_eq!(cycles.len(), CALLS + 1);
    for pair in cycles.windows(2) {
        let woken = pair[0].woken().expect("a wake leads to each poll");
        assert!(pair[0].start <= woken && woken <= pair[1].start, "{pair:?}");
    }
}
