//! What telling costs the loop, counted rather than timed.

use super::*;

/// Runs two tasks that yield so often each, and counts what this thread allocated meanwhile, and the events told.
fn run(clock: ClockKind, yields: usize) -> (u64, usize) {
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
        let body = async move {
            let yielding = move || async move {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                Ok::<_, String>(())
            };
            let other = world.spawn(TaskSpec::default(), yielding());
            yielding().await?;
            other.await.map_err(|error| error.to_string())??;
            Ok(serde_json::Value::Null)
        };
        (TaskSpec::default(), Box::pin(body))
    });
    let mut outcome = None;
    let counted = allocation_counter::measure(|| outcome = Some(start.run(program)));
    assert_eq!(outcome, Some(Outcome::Completed(serde_json::Value::Null)));
    let mut told = 0;
    while ring.take(usize::MAX, |_| told += 1) > 0 {}
    (counted.count_total, told)
}

#[test]
fn polls_and_wakes_are_told_without_allocating() {
    for clock in [ClockKind::Virtual, ClockKind::Real] {
        // The first run pays for what is made once in a process.
        run(clock, 10);
        let (few_allocated, few_told) = run(clock, 100);
        let (many_allocated, many_told) = run(clock, 10_100);
        assert!(many_told >= few_told + 2 * 3 * 10_000, "{many_told} and {few_told} were told");
        assert_eq!(many_allocated, few_allocated, "on a {} clock", clock.name());
    }
}
