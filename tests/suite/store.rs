//! The trace as a store: memory and allocations per event, and cached answers that equal fresh ones.

use loopscope::trace::{Axis, LaneCell, TaskId, TaskState, Trace};

use crate::synthetic::{EventMix, SyntheticLoop};

const TASKS: usize = 100;

/// Builds a trace of a synthetic loop.
fn filled_trace(mix: EventMix, tasks: usize, events: usize) -> Trace {
    let mut trace = Trace::default();
    SyntheticLoop::new(tasks, mix, 7).take(events).for_each(|event| trace.apply(event));
    trace
}

/// The promise is 24 bytes per event for 10 million events of 1,000 tasks. The fixed cost of a task weighs more here.
#[test]
fn event_takes_few_bytes() {
    const EVENTS: usize = 600_000;
    for mix in [EventMix::Full, EventMix::PollsOnly] {
        let mut retained_bytes = 0;
        let mut trace = None;
        let allocated = allocation_counter::measure(|| {
            let filled = filled_trace(mix, TASKS, EVENTS);
            retained_bytes = filled.retained_bytes();
            trace = Some(filled);
        });
        let (counted, allocated) =
            (retained_bytes as f64 / EVENTS as f64, allocated.bytes_current as f64 / EVENTS as f64);
        assert!(counted < 10.0, "{mix:?}: {counted:.2} bytes per event");
        assert!(
            allocated < counted * 1.1 && allocated > counted * 0.7,
            "{mix:?}: {allocated:.2} bytes per event are allocated, {counted:.2} counted"
        );
    }
}

#[test]
fn ingest_allocates_only_blocks() {
    const EVENTS: usize = 400_000;
    let mut events = SyntheticLoop::new(TASKS, EventMix::Full, 7);
    let mut trace = Trace::default();
    events.by_ref().take(EVENTS).for_each(|event| trace.apply(event));
    let mut batch: Vec<_> = events.take(EVENTS).collect();
    let counted = allocation_counter::measure(|| batch.drain(..).for_each(|event| trace.apply(event)));
    // A poll is about seven events. Each 32 polls make one block of cycles, each 64 awaits one of awaits and one of
    // ids.
    let blocks = EVENTS / 7 * 4 / 64;
    assert!(counted.count_total < blocks as u64 * 2, "{} allocations for about {blocks} blocks", counted.count_total);
}

/// Two traces ingest the same events. One is queried all along, so its answers come from caches.
#[test]
fn cached_answers_equal_fresh_ones() {
    const EVENTS: usize = 300_000;
    for budget_bytes in [usize::MAX, 400_000] {
        let (mut warm, mut fresh) = (Trace::with_budget(budget_bytes), Trace::with_budget(budget_bytes));
        let mut events = SyntheticLoop::new(TASKS, EventMix::Full, 7);
        let rows: Vec<TaskId> = (0..40).map(TaskId::from_index).collect();
        let end =
            SyntheticLoop::new(TASKS, EventMix::Full, 7).take(EVENTS).fold(Trace::default(), |mut trace, event| {
                trace.apply(event);
                trace
            });
        // All windows but the last have columns of equal width, which are cached. Two of them have columns in common.
        let column = end.now() / 120;
        let windows = [
            (0, column * 121, 121),
            (column * 40, column * 110, 70),
            (end.now() - 5_000_000, end.now(), 200),
            (end.now() / 3, end.now() / 2 + 1, 77),
        ];
        let query = |trace: &Trace, (from, to, columns): (u64, u64, u16)| -> Vec<Vec<LaneCell>> {
            rows.iter().map(|id| trace.window(*id, Axis::Time, from, to, columns)).collect()
        };
        let loop_strip = |trace: &Trace| {
            let edges = (0..100).map(|column| (end.now() / 100 * column, end.now() / 100 * (column + 1)));
            let ready_peaks: Vec<_> = edges.map(|(from, to)| trace.max_ready(from, to)).collect();
            (ready_peaks, trace.loop_window(0, end.now() / 100 * 100, 100, trace.now()))
        };
        for round in 0..30 {
            for event in events.by_ref().take(EVENTS / 30) {
                warm.apply(event.clone());
                fresh.apply(event);
            }
            query(&warm, windows[round / 10]);
            query(&warm, windows[round % 2]);
            loop_strip(&warm);
            assert_eq!(query(&warm, windows[0]), query(&warm.clone(), windows[0]));
        }
        for window in windows {
            assert_eq!(query(&warm, window), query(&fresh, window), "{budget_bytes}");
            assert_eq!(query(&warm, window), query(&fresh, window), "repeated");
        }
        assert_eq!(loop_strip(&warm), loop_strip(&fresh));
        assert_eq!(warm.gaps().count() > 0, budget_bytes < usize::MAX, "a small budget evicts");
    }
}

/// Cells that come from block boundaries alone agree with a sum over every cycle.
#[test]
fn cells_equal_sums_over_cycles() {
    let trace = filled_trace(EventMix::Full, 5, 200_000);
    let (end, steps) = (trace.now(), u64::from(trace.steps()));
    let mut dense = 0;
    for task in trace.tasks() {
        let cycles: Vec<_> = task.lane.cycles().collect();
        for (from, to, columns) in [(0, end, 100), (end / 3, end / 2, 33), (end / 7, end / 7 + 3_000_000, 50)] {
            let cells = trace.window(task.id, Axis::Time, from, to, columns);
            for (column, cell) in (0..columns).zip(cells) {
                let edge = |column| loopscope::trace::column_edge(from, to, column, columns);
                let (start, end) = (edge(column), edge(column + 1));
                let totals = |at: u64| at.checked_sub(1).map(|at| task.lane.totals_at(at)).unwrap_or_default();
                let truth = totals(end).since(&totals(start));
                let polls = cycles.iter().filter(|cycle| (start..end).contains(&cycle.start)).count() as u64;
                let waiting_ns = truth.waiting_total_ns();
                assert_eq!(cell.polls > 0, polls > 0, "{start} to {end}");
                assert_eq!(
                    cell.is_mostly_running,
                    truth.busy_ns > 0 && truth.busy_ns >= truth.scheduled_ns + waiting_ns
                );
                if !cell.is_dense {
                    let exact = (truth.polls, truth.busy_ns, truth.scheduled_ns, waiting_ns);
                    assert_eq!((cell.polls, cell.busy_ns, cell.scheduled_ns, cell.waiting_ns), exact);
                    assert_eq!((cell.polls, cell.state), (polls, trace.state_at(task.id, end - 1)), "{start} to {end}");
                }
                dense += usize::from(cell.is_dense);
            }
        }
        for (from, to, columns) in [(0, steps, 100), (steps / 2, steps / 2 + 60, 60), (0, 9, 40)] {
            let cells = trace.window(task.id, Axis::Steps, from, to, columns);
            for (column, cell) in (0..columns).zip(cells) {
                let edge = |column| loopscope::trace::column_edge(from, to, column, columns);
                let (first, until) = (edge(column), edge(column + 1).max(edge(column) + 1));
                let inside = cycles.iter().filter(|cycle| (first..until).contains(&cycle.step.into())).count() as u64;
                assert!(cell.polls == inside || (cell.is_dense && cell.polls.abs_diff(inside) < 64));
                assert_eq!(cell.state == Some(TaskState::Running), inside > 0, "steps {first} to {until}");
                dense += usize::from(cell.is_dense);
            }
        }
    }
    assert!(dense > 100, "{dense} cells come from block boundaries");
}
