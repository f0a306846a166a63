//! What telling costs the loop, counted rather than timed.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::trace::{AwaitKind, Location, Resource, ResourceKind, Site};

/// What a task does again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    /// It gives its turn away: a poll, and its own wake.
    Yielding,
    /// The same as an await, inside an await for a resource that it then holds.
    Awaiting,
    /// It sleeps, and the loop parks.
    Sleeping,
}

impl Doing {
    async fn once(self, world: &World, (inner, outer): (&Site, &Site), resource: crate::trace::ResourceId) {
        match self {
            Self::Yielding => tokio::task::yield_now().await,
            Self::Awaiting => {
                let yielding = world.await_at(inner, world.quiet(tokio::task::yield_now));
                world.await_of(outer, resource, yielding).await;
                drop(world.take(resource));
            }
            Self::Sleeping => world.await_at(inner, world.sleep(Duration::from_millis(1))).await,
        }
    }
}

/// Runs two tasks that do this so often each, and counts what this thread allocated meanwhile, and the events told.
fn run(clock: ClockKind, doing: Doing, times: usize) -> (u64, usize) {
    let (probe, writer, mut ring) = Probe::new(clock == ClockKind::Virtual, true);
    let options = Options { clock, speed: Speed::Max, feed: FeedChoice::Probe, paused: false, seed: 0, until: None };
    let start = Start {
        dispatch: uninstrumented(),
        gate: Arc::new(Gate::new(Speed::Max, false)),
        probe: Arc::new(probe),
        writer,
        console: None,
        world: Arc::default(),
        kick: Arc::default(),
        map: None,
        options,
    };
    let program: Program = Box::new(move |world| {
        let described = Resource { kind: ResourceKind::Lock, name: "lock".into(), location: None, size: 1 };
        let resource = world.resource(described);
        let body = async move {
            let doing_so = || {
                let world = world.clone();
                async move {
                    let at = |line| Some(Location { file: "test.rs".into(), line });
                    let inner = Site { kind: AwaitKind::Yield, source: "inner".into(), location: at(1) };
                    let outer = Site { kind: AwaitKind::Sync, source: "outer".into(), location: at(2) };
                    for _ in 0..times {
                        doing.once(&world, (&inner, &outer), resource).await;
                    }
                    Ok::<_, String>(())
                }
            };
            let other = world.spawn(TaskSpec::default(), doing_so());
            doing_so().await?;
            other.await.map_err(|error| error.to_string())??;
            Ok(serde_json::Value::Null)
        };
        (TaskSpec::default(), Box::pin(body))
    });
    let is_over = AtomicBool::new(false);
    let read = || {
        let mut told = 0;
        loop {
            let was_over = is_over.load(Ordering::Acquire);
            if ring.take(usize::MAX, |_| told += 1) == 0 {
                if was_over {
                    return told;
                }
                ring.wait(Duration::from_millis(10));
            }
        }
    };
    std::thread::scope(|threads| {
        let reading = threads.spawn(read);
        let mut outcome = None;
        let counted = allocation_counter::measure(|| outcome = Some(start.run(program)));
        is_over.store(true, Ordering::Release);
        assert_eq!(outcome, Some(Outcome::Completed(serde_json::Value::Null)));
        (counted.count_total, reading.join().expect("it only reads"))
    })
}

/// Doing it ten thousand times more tells of it each time, and allocates no more.
fn telling_allocates_nothing(clock: ClockKind, doing: Doing, events_each: usize) {
    // The first run pays for what is made once in a process.
    run(clock, doing, 10);
    let (few_allocated, few_told) = run(clock, doing, 100);
    let (many_allocated, many_told) = run(clock, doing, 10_100);
    let told = many_told - few_told;
    assert!(told >= events_each * 2 * 10_000, "{told} were told, {doing:?} on a {} clock", clock.name());
    assert_eq!(many_allocated, few_allocated, "{doing:?} on a {} clock", clock.name());
}

#[test]
fn polls_and_wakes_are_told_without_allocating() {
    for clock in [ClockKind::Virtual, ClockKind::Real] {
        telling_allocates_nothing(clock, Doing::Yielding, 3);
    }
}

#[test]
fn awaits_are_told_without_allocating() {
    for clock in [ClockKind::Virtual, ClockKind::Real] {
        // A poll and its wake; start, two polls and end of two awaits; what one is for, and holding that.
        telling_allocates_nothing(clock, Doing::Awaiting, 3 + 2 * 4 + 3);
    }
}

#[test]
fn sleeps_and_parks_are_told_without_allocating() {
    telling_allocates_nothing(ClockKind::Virtual, Doing::Sleeping, 3 + 4);
}
