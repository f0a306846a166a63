//! The trace as a store: what it costs to keep an event and to take one in, and that what was asked before is told again
//! as it is now.

use loopscope::trace::{Axis, Cell, TaskId, Trace};

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
        let windows =
            [(0, end.now(), 120), (end.now() / 3, end.now() / 2, 77), (end.now() - 5_000_000, end.now(), 200)];
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
