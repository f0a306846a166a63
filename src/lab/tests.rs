//! The cost of instrumentation on the loop thread, in allocations.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::trace::{AwaitKind, AwaitSite, Location, Resource, ResourceKind};

/// What a task does repeatedly.
#[derive(Clone, Copy, Debug, PartialEq)]
enum RepeatedAction {
    /// Yields: one poll and one wake by itself.
    Yield,
    /// Yields as an await, inside an await of a resource that it then holds.
    AwaitResource,
    /// Sleeps, so that the loop parks.
    Sleep,
}

impl RepeatedAction {
    async fn once(
        self,
        loop_handle: &LoopHandle,
        (inner, outer): (&AwaitSite, &AwaitSite),
        resource: crate::trace::ResourceId,
    ) {
        match self {
            Self::Yield => tokio::task::yield_now().await,
            Self::AwaitResource => {
                let yield_now = loop_handle.await_at(inner, loop_handle.untraced(tokio::task::yield_now));
                loop_handle.await_resource(outer, resource, yield_now).await;
                drop(loop_handle.acquire(resource));
            }
            Self::Sleep => loop_handle.await_at(inner, loop_handle.sleep(Duration::from_millis(1))).await,
        }
    }
}

/// Runs two tasks that repeat this. Returns the allocations of this thread and the number of events reported.
fn run(clock: ClockKind, action: RepeatedAction, times: usize) -> (u64, usize) {
    let (probe, writer, mut probe_reader) = Probe::new(clock == ClockKind::Virtual, true);
    let options =
        LoopOptions { clock, speed: Speed::Max, feed: FeedChoice::Probe, start_paused: false, seed: 0, stop_at: None };
    let setup = LoopSetup {
        dispatch: untraced_dispatch(),
        gate: Arc::new(Gate::new(Speed::Max, false)),
        probe: Arc::new(probe),
        writer,
        console: None,
        shared: Arc::default(),
        root_wakeup: Arc::default(),
        time_map: None,
        options,
    };
    let program: LoopProgram = Box::new(move |loop_handle| {
        let lock = Resource { kind: ResourceKind::Lock, name: "lock".into(), location: None, size: 1 };
        let resource = loop_handle.register_resource(lock);
        let body = async move {
            let repeated = || {
                let loop_handle = loop_handle.clone();
                async move {
                    let at = |line| Some(Location { file: "test.rs".into(), line });
                    let inner =
                        AwaitSite { kind: AwaitKind::Yield, source: "inner".into(), location: at(1), chain: None };
                    let outer =
                        AwaitSite { kind: AwaitKind::Sync, source: "outer".into(), location: at(2), chain: None };
                    for _ in 0..times {
                        action.once(&loop_handle, (&inner, &outer), resource).await;
                    }
                    Ok::<_, String>(())
                }
            };
            let other = loop_handle.spawn(TaskSpec::default(), repeated());
            repeated().await?;
            other.await.map_err(|error| error.to_string())??;
            Ok(serde_json::Value::Null)
        };
        (TaskSpec::default(), Box::pin(body))
    });
    let has_ended = AtomicBool::new(false);
    let read = || {
        let mut events = 0;
        loop {
            let had_ended = has_ended.load(Ordering::Acquire);
            if probe_reader.drain(usize::MAX, |_| events += 1) == 0 {
                if had_ended {
                    return events;
                }
                probe_reader.wait(Duration::from_millis(10));
            }
        }
    };
    std::thread::scope(|threads| {
        let reader = threads.spawn(read);
        let mut outcome = None;
        let counted = allocation_counter::measure(|| outcome = Some(setup.run(program)));
        has_ended.store(true, Ordering::Release);
        assert_eq!(outcome, Some(RunOutcome::Completed(serde_json::Value::Null)));
        (counted.count_total, reader.join().expect("the reader does not panic"))
    })
}

/// 10,000 more repetitions report more events, but allocate no more.
fn assert_allocation_free(clock: ClockKind, action: RepeatedAction, events_each: usize) {
    // The first run also allocates what is created once per process.
    run(clock, action, 10);
    let (few_allocated, few_events) = run(clock, action, 100);
    let (many_allocated, many_events) = run(clock, action, 10_100);
    let reported = many_events - few_events;
    assert!(reported >= events_each * 2 * 10_000, "{reported} events reported, {action:?} on a {} clock", clock.name());
    assert_eq!(many_allocated, few_allocated, "{action:?} on a {} clock", clock.name());
}

#[test]
fn polls_and_wakes_do_not_allocate() {
    for clock in [ClockKind::Virtual, ClockKind::Real] {
        assert_allocation_free(clock, RepeatedAction::Yield, 3);
    }
}

#[test]
fn awaits_do_not_allocate() {
    for clock in [ClockKind::Virtual, ClockKind::Real] {
        // A poll and its wake; start, two polls and end of two awaits; the resource of one await, its acquire and its
        // release.
        assert_allocation_free(clock, RepeatedAction::AwaitResource, 3 + 2 * 4 + 3);
    }
}

#[test]
fn sleeps_and_parks_do_not_allocate() {
    assert_allocation_free(ClockKind::Virtual, RepeatedAction::Sleep, 3 + 4);
}
