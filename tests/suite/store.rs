//! The trace as a store: what it costs to keep an event and to take one in, and that what was asked before is told again
//! as it is now.

use loopscope::trace::{Axis, Cell, State, TaskId, Trace};

use crate::synthetic::{Synthetic, Telling};

const TASKS: usize = 100;

fn filled(telling: Telling, tasks: usize, events: usize) -> Trace {
    let mut trace = Trace::default();
    Synthetic::new(tasks, telling, 7).take(events).for_each(|event| trace.apply(event));
    trace
}

/// The promise is 24 bytes an event at 10 million events of 1,000 tasks; what every task costs by itself weighs more here.
#[test]
fn an_event_is_kept_in_few_bytes_and_every_one_of_them_is_counted() {
    const EVENTS: usize = 600_000;
    for telling in [Telling::Whole, Telling::Polls] {
        let mut kept_bytes = 0;
        let mut trace = None;
        let allocated = allocation_counter::measure(|| {
            let filled = filled(telling, TASKS, EVENTS);
            kept_bytes = filled.kept_bytes();
            trace = Some(filled);
        });
        let (kept, held) = (kept_bytes as f64 / EVENTS as f64, allocated.bytes_current as f64 / EVENTS as f64);
        assert!(kept < 10.0, "{telling:?}: {kept:.2} bytes an event");
        assert!(
            held < kept * 1.1 && held > kept * 0.7,
            "{telling:?}: {held:.2} bytes an event are held, {kept:.2} said"
        );
    }
}

#[test]
fn taking_an_event_in_allocates_nothing_but_blocks() {
    const EVENTS: usize = 400_000;
    let mut told = Synthetic::new(TASKS, Telling::Whole, 7);
    let mut trace = Trace::default();
    told.by_ref().take(EVENTS).for_each(|event| trace.apply(event));
    let mut batch: Vec<_> = told.take(EVENTS).collect();
    let counted = allocation_counter::measure(|| batch.drain(..).for_each(|event| trace.apply(event)));
    // A poll is about seven events. Of 32 polls one block of cycles, of 64 awaits one of awaits and one of ids are made.
    let blocks = EVENTS / 7 * 4 / 64;
    assert!(counted.count_total < blocks as u64 * 2, "{} allocations for about {blocks} blocks", counted.count_total);
}

#[test]
fn what_was_asked_before_is_answered_as_if_it_were_asked_for_the_first_time() {
    const EVENTS: usize = 300_000;
    for budget_bytes in [usize::MAX, 400_000] {
        let (mut asked, mut fresh) = (Trace::with_budget(budget_bytes), Trace::with_budget(budget_bytes));
        let mut told = Synthetic::new(TASKS, Telling::Whole, 7);
        let rows: Vec<TaskId> = (0..40).map(TaskId::from_index).collect();
        let end = Synthetic::new(TASKS, Telling::Whole, 7).take(EVENTS).fold(Trace::default(), |mut trace, event| {
            trace.apply(event);
            trace
        });
        // All but the last are of columns of one width, which are remembered; two of them have columns in common.
        let column = end.now() / 120;
        let windows = [
            (0, column * 121, 121),
            (column * 40, column * 110, 70),
            (end.now() - 5_000_000, end.now(), 200),
            (end.now() / 3, end.now() / 2 + 1, 77),
        ];
        let ask = |trace: &Trace, (from, to, columns): (u64, u64, u16)| -> Vec<Vec<Cell>> {
            rows.iter().map(|id| trace.window(*id, Axis::Time, from, to, columns)).collect()
        };
        let strip = |trace: &Trace| {
            let edges = (0..100).map(|column| (end.now() / 100 * column, end.now() / 100 * (column + 1)));
            let readies: Vec<_> = edges.map(|(from, to)| trace.ready_max(from, to)).collect();
            (readies, trace.loop_window(0, end.now() / 100 * 100, 100, trace.now()))
        };
        for round in 0..30 {
            for event in told.by_ref().take(EVENTS / 30) {
                asked.apply(event.clone());
                fresh.apply(event);
            }
            ask(&asked, windows[round / 10]);
            ask(&asked, windows[round % 2]);
            strip(&asked);
            assert_eq!(ask(&asked, windows[0]), ask(&asked.clone(), windows[0]));
        }
        for window in windows {
            assert_eq!(ask(&asked, window), ask(&fresh, window), "{budget_bytes}");
            assert_eq!(ask(&asked, window), ask(&fresh, window), "and once more");
        }
        assert_eq!(strip(&asked), strip(&fresh));
        assert_eq!(
            asked.gaps().count() > 0,
            budget_bytes < usize::MAX,
            "something is forgotten where there is no room"
        );
    }
}

/// Whatever is looked up by the blocks of a lane alone, what is drawn is what every single cycle says.
#[test]
fn a_window_is_drawn_as_a_sum_over_all_cycles_says() {
    let trace = filled(Telling::Whole, 5, 200_000);
    let (end, steps) = (trace.now(), u64::from(trace.steps()));
    let mut crowded = 0;
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
                assert_eq!(cell.mostly_running, truth.busy_ns > 0 && truth.busy_ns >= truth.scheduled_ns + waiting_ns);
                if !cell.is_crowded {
                    let exact = (truth.polls, truth.busy_ns, truth.scheduled_ns, waiting_ns);
                    assert_eq!((cell.polls, cell.busy_ns, cell.scheduled_ns, cell.waiting_ns), exact);
                    assert_eq!((cell.polls, cell.state), (polls, trace.state_at(task.id, end - 1)), "{start} to {end}");
                }
                crowded += usize::from(cell.is_crowded);
            }
        }
        for (from, to, columns) in [(0, steps, 100), (steps / 2, steps / 2 + 60, 60), (0, 9, 40)] {
            let cells = trace.window(task.id, Axis::Steps, from, to, columns);
            for (column, cell) in (0..columns).zip(cells) {
                let edge = |column| loopscope::trace::column_edge(from, to, column, columns);
                let (first, until) = (edge(column), edge(column + 1).max(edge(column) + 1));
                let inside = cycles.iter().filter(|cycle| (first..until).contains(&cycle.step.into())).count() as u64;
                assert!(cell.polls == inside || (cell.is_crowded && cell.polls.abs_diff(inside) < 64));
                assert_eq!(cell.state == Some(State::Running), inside > 0, "steps {first} to {until}");
                crowded += usize::from(cell.is_crowded);
            }
        }
    }
    assert!(crowded > 100, "{crowded} columns are looked up by blocks");
}
