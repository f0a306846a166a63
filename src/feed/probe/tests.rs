//! Full rings, abandoned rings, and writes from several threads.

use super::*;

fn read_all(reader: &mut ProbeReader) -> Vec<Event> {
    let mut read = Vec::new();
    while reader.drain(usize::MAX, |event| read.push(event)) > 0 {}
    read
}

#[test]
fn full_ring_drops_polls_and_reports_gap() {
    let (probe, writer, mut reader) = Probe::new(false, true);
    let _guard = writer.install();
    let task = probe.next_task_id();
    for at in 0..RING_EVENTS as u64 + 5 {
        probe.emit(at, Event::PollStart { task, at });
    }
    let first = read_all(&mut reader);
    assert_eq!(first.len(), RING_EVENTS);
    assert_eq!(first.last(), Some(&Event::PollStart { task, at: RING_EVENTS as u64 - 1 }));
    let later = RING_EVENTS as u64 + 100;
    probe.emit(later, Event::Park { at: later });
    let gap = Event::Gap { from: RING_EVENTS as u64, to: later, dropped: 5 };
    assert_eq!(read_all(&mut reader), [Event::Park { at: later }, gap]);
    probe.emit(later, Event::Unpark { at: later });
    assert_eq!(read_all(&mut reader), [Event::Unpark { at: later }], "the gap is over");
}

#[test]
fn reports_gap_at_the_very_end() {
    let (probe, writer, mut reader) = Probe::new(false, true);
    let guard = writer.install();
    let task = probe.next_task_id();
    for at in 0..=RING_EVENTS as u64 {
        probe.emit(at, Event::PollStart { task, at });
    }
    let reader_thread = std::thread::spawn(move || {
        let mut last = None;
        while !reader.records.is_abandoned() || !reader.is_empty() {
            reader.drain(usize::MAX, |event| last = Some(event));
        }
        last
    });
    drop(guard);
    let end = RING_EVENTS as u64;
    let gap = Event::Gap { from: end, to: end, dropped: 1 };
    assert_eq!(reader_thread.join().expect("it only reads"), Some(gap));
}

#[test]
fn lossless_probe_blocks_until_read() {
    let (probe, writer, mut reader) = Probe::new(true, true);
    let events = RING_EVENTS as u64 * 3;
    let reader_thread = std::thread::spawn(move || {
        let mut times = Vec::new();
        while !reader.records.is_abandoned() || !reader.is_empty() {
            reader.drain(1000, |event| {
                if let Event::PollStart { at, .. } = event {
                    times.push(at);
                }
            });
        }
        times
    });
    let guard = writer.install();
    let task = probe.next_task_id();
    for at in 0..events {
        probe.emit(at, Event::PollStart { task, at });
    }
    drop(guard);
    assert!(reader_thread.join().expect("the reader only reads").into_iter().eq(0..events));
}

#[test]
fn probe_without_reader_never_blocks() {
    let (probe, writer, reader) = Probe::new(true, true);
    let _guard = writer.install();
    drop(reader);
    let task = probe.next_task_id();
    for at in 0..RING_EVENTS as u64 * 2 {
        probe.emit(at, Event::PollStart { task, at });
        probe.emit(at, Event::Hold { task, at });
    }
}

#[test]
fn probe_without_polls_records_only_the_rest() {
    let (probe, writer, mut reader) = Probe::new(true, false);
    let _guard = writer.install();
    let task = probe.next_task_id();
    probe.emit(0, Event::PollStart { task, at: 0 });
    probe.emit(0, Event::Output { task: None, at: 0, text: "One".into() });
    assert_eq!(read_all(&mut reader).len(), 1);
}

#[test]
fn side_events_keep_their_order() {
    let (probe, writer, mut reader) = Probe::new(true, true);
    let _guard = writer.install();
    let task = probe.next_task_id();
    let events: Vec<Event> = (0..3_000)
        .map(|at| match at % 3 {
            0 => Event::PollStart { task, at },
            1 => Event::Output { task: Some(task), at, text: "a line".into() },
            _ => Event::PollEnd { task, at },
        })
        .collect();
    for (at, event) in (0..).zip(&events) {
        probe.emit(at, event.clone());
    }
    assert_eq!(read_all(&mut reader), events);
}

#[test]
fn merges_other_threads_by_time() {
    let (probe, writer, mut reader) = Probe::new(false, true);
    let _guard = writer.install();
    let probe = Arc::new(probe);
    let (task, other) = (probe.next_task_id(), probe.next_task_id());
    // A pool thread wakes a task, then the loop thread polls it; both are written before anything is read.
    for at in [10, 30, 50] {
        let pool_probe = probe.clone();
        let wake = Event::Wake { task: other, at, source: WakeSource::Thread };
        std::thread::spawn(move || pool_probe.emit(at, wake)).join().expect("it only writes");
    }
    for at in [0, 20, 40, 60] {
        probe.emit(at, Event::PollStart { task, at });
    }
    let times = |events: Vec<Event>| -> Vec<Nanos> {
        events
            .iter()
            .map(|event| match event {
                Event::PollStart { at, .. } | Event::Wake { at, .. } => *at,
                other => panic!("unexpected {other:?}"),
            })
            .collect()
    };
    assert_eq!(times(read_all(&mut reader)), [0, 10, 20, 30, 40, 50, 60]);
}
