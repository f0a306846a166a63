//! Rings that are full, that nobody reads, and that several threads write to.

use super::*;

fn read_all(ring: &mut Ring) -> Vec<Event> {
    let mut read = Vec::new();
    while ring.take(usize::MAX, |event| read.push(event)) > 0 {}
    read
}

#[test]
fn a_full_ring_drops_polls_counts_them_and_says_where() {
    let (probe, writer, mut ring) = Probe::new(false, true);
    let _writing = writer.install();
    let task = probe.next_task();
    for at in 0..RING_EVENTS as u64 + 5 {
        probe.tell(at, Event::PollStart { task, at });
    }
    let first = read_all(&mut ring);
    assert_eq!(first.len(), RING_EVENTS);
    assert_eq!(first.last(), Some(&Event::PollStart { task, at: RING_EVENTS as u64 - 1 }));
    let later = RING_EVENTS as u64 + 100;
    probe.tell(later, Event::Park { at: later });
    let gap = Event::Gap { from: RING_EVENTS as u64, to: later, dropped: 5 };
    assert_eq!(read_all(&mut ring), [Event::Park { at: later }, gap]);
    probe.tell(later, Event::Unpark { at: later });
    assert_eq!(read_all(&mut ring), [Event::Unpark { at: later }], "the gap is over");
}

#[test]
fn a_gap_at_the_very_end_is_told_too() {
    let (probe, writer, mut ring) = Probe::new(false, true);
    let writing = writer.install();
    let task = probe.next_task();
    for at in 0..=RING_EVENTS as u64 {
        probe.tell(at, Event::PollStart { task, at });
    }
    let reading = std::thread::spawn(move || {
        let mut last = None;
        while !ring.records.is_abandoned() || !ring.is_empty() {
            ring.take(usize::MAX, |event| last = Some(event));
        }
        last
    });
    drop(writing);
    let end = RING_EVENTS as u64;
    let gap = Event::Gap { from: end, to: end, dropped: 1 };
    assert_eq!(reading.join().expect("it only reads"), Some(gap));
}

#[test]
fn a_lossless_probe_waits_for_its_reader() {
    let (probe, writer, mut ring) = Probe::new(true, true);
    let told = RING_EVENTS as u64 * 3;
    let reader = std::thread::spawn(move || {
        let mut times = Vec::new();
        while !ring.records.is_abandoned() || !ring.is_empty() {
            ring.take(1000, |event| {
                if let Event::PollStart { at, .. } = event {
                    times.push(at);
                }
            });
        }
        times
    });
    let writing = writer.install();
    let task = probe.next_task();
    for at in 0..told {
        probe.tell(at, Event::PollStart { task, at });
    }
    drop(writing);
    assert!(reader.join().expect("the reader only reads").into_iter().eq(0..told));
}

#[test]
fn a_probe_without_a_reader_never_waits() {
    let (probe, writer, ring) = Probe::new(true, true);
    let _writing = writer.install();
    drop(ring);
    let task = probe.next_task();
    for at in 0..RING_EVENTS as u64 * 2 {
        probe.tell(at, Event::PollStart { task, at });
        probe.tell(at, Event::Hold { task, at });
    }
}

#[test]
fn a_probe_that_does_not_watch_tells_only_what_no_other_witness_knows() {
    let (probe, writer, mut ring) = Probe::new(true, false);
    let _writing = writer.install();
    let task = probe.next_task();
    probe.tell(0, Event::PollStart { task, at: 0 });
    probe.tell(0, Event::Output { task: None, at: 0, text: "One".into() });
    assert_eq!(read_all(&mut ring).len(), 1);
}

#[test]
fn rare_facts_keep_their_place_among_the_frequent() {
    let (probe, writer, mut ring) = Probe::new(true, true);
    let _writing = writer.install();
    let task = probe.next_task();
    let told: Vec<Event> = (0..3_000)
        .map(|at| match at % 3 {
            0 => Event::PollStart { task, at },
            1 => Event::Output { task: Some(task), at, text: "a line".into() },
            _ => Event::PollEnd { task, at },
        })
        .collect();
    for (at, event) in (0..).zip(&told) {
        probe.tell(at, event.clone());
    }
    assert_eq!(read_all(&mut ring), told);
}

#[test]
fn other_threads_facts_come_in_order_of_time() {
    let (probe, writer, mut ring) = Probe::new(false, true);
    let _writing = writer.install();
    let probe = Arc::new(probe);
    let (task, other) = (probe.next_task(), probe.next_task());
    // A pool's thread wakes a task, and the loop's thread then polls it; both have told before anybody reads.
    for at in [10, 30, 50] {
        let poolside = probe.clone();
        let wake = Event::Wake { task: other, at, cause: Cause::Thread };
        std::thread::spawn(move || poolside.tell(at, wake)).join().expect("it only tells");
    }
    for at in [0, 20, 40, 60] {
        probe.tell(at, Event::PollStart { task, at });
    }
    let times = |events: Vec<Event>| -> Vec<Nanos> {
        events
            .iter()
            .map(|event| match event {
                Event::PollStart { at, .. } | Event::Wake { at, .. } => *at,
                other => panic!("nobody told {other:?}"),
            })
            .collect()
    };
    assert_eq!(times(read_all(&mut ring)), [0, 10, 20, 30, 40, 50, 60]);
}
