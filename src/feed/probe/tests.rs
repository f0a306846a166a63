//! Any events in order, full rings, abandoned rings, and writes from several threads.

use proptest::prelude::*;

use super::*;
use crate::trace::TaskOutcome;

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
    for at in 0..RING_RECORDS as u64 + 5 {
        probe.emit(at, Event::PollStart { task, at });
    }
    let first = read_all(&mut reader);
    assert_eq!(first.len(), RING_RECORDS);
    assert_eq!(first.last(), Some(&Event::PollStart { task, at: RING_RECORDS as u64 - 1 }));
    let later = RING_RECORDS as u64 + 100;
    probe.emit(later, Event::Park { at: later });
    let gap = Event::Gap { from: RING_RECORDS as u64, to: later, dropped: 5 };
    assert_eq!(read_all(&mut reader), [Event::Park { at: later }, gap]);
    probe.emit(later, Event::Unpark { at: later });
    assert_eq!(read_all(&mut reader), [Event::Unpark { at: later }], "the gap is over");
}

#[test]
fn reports_gap_at_the_very_end() {
    let (probe, writer, mut reader) = Probe::new(false, true);
    let guard = writer.install();
    let task = probe.next_task_id();
    for at in 0..=RING_RECORDS as u64 {
        probe.emit(at, Event::PollStart { task, at });
    }
    let reader_thread = std::thread::spawn(move || {
        let mut last = None;
        while !reader.records.is_closed() || !reader.is_empty() {
            reader.drain(usize::MAX, |event| last = Some(event));
        }
        last
    });
    drop(guard);
    let end = RING_RECORDS as u64;
    let gap = Event::Gap { from: end, to: end, dropped: 1 };
    assert_eq!(reader_thread.join().expect("it only reads"), Some(gap));
}

#[test]
fn lossless_probe_blocks_until_read() {
    let (probe, writer, mut reader) = Probe::new(true, true);
    let events = RING_RECORDS as u64 * 3;
    let reader_thread = std::thread::spawn(move || {
        let mut times = Vec::new();
        while !reader.records.is_closed() || !reader.is_empty() {
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
    for at in 0..RING_RECORDS as u64 * 2 {
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

/// Any event of the loop, most of them with records.
fn any_event() -> impl Strategy<Value = Event> {
    // Any number of an id, and often the first or last one.
    let index = || prop_oneof![3 => 0..3_usize, 1 => 0..u32::MAX as usize, 1 => Just(u32::MAX as usize - 1)];
    let time = prop_oneof![4 => 0..1_000_000_u64, 1 => TICKS_MAX - 2..TICKS_MAX + 2, 1 => any::<u64>()];
    (0..20_u8, index(), index(), index(), time).prop_map(|(kind, first, second, third, at)| {
        let (task, by) = (TaskId::from_index(first), TaskId::from_index(second));
        let (id, site) = (AwaitId::from_index(first), SiteId::from_index(third));
        let resource = ResourceId::from_index(third);
        let wake = |source| Event::Wake { task, at, source };
        let end = |outcome| Event::TaskEnd { task, at, outcome };
        match kind {
            0 => Event::PollStart { task, at },
            1 => Event::PollEnd { task, at },
            2 => wake(WakeSource::Task(by)),
            3 => wake(WakeSource::SelfWake),
            4 => wake(WakeSource::Driver),
            5 => wake(WakeSource::Thread),
            6 => wake(WakeSource::User),
            7 => wake(WakeSource::Unknown),
            8 => Event::AwaitStart { id, task: by, at, site },
            9 => Event::AwaitResource { id, resource },
            10 | 11 => Event::AwaitPoll { id, is_ready: kind == 10 },
            12 => Event::AwaitEnd { id, at },
            13 => Event::ResourceAcquire { resource, task, at },
            14 => Event::ResourceRelease { resource, task, at },
            15 => Event::Park { at },
            16 => Event::Unpark { at },
            17 => end([TaskOutcome::Completed, TaskOutcome::Cancelled, TaskOutcome::Unknown][third % 3].clone()),
            18 => end(TaskOutcome::Failed("no".into())),
            _ => Event::Output { task: Some(task), at, text: "a line".into() },
        }
    })
}

/// Time of an event, if it has one.
fn time_of(event: &Event) -> Nanos {
    match *event {
        Event::PollStart { at, .. }
        | Event::PollEnd { at, .. }
        | Event::Wake { at, .. }
        | Event::AwaitStart { at, .. }
        | Event::AwaitEnd { at, .. }
        | Event::ResourceAcquire { at, .. }
        | Event::ResourceRelease { at, .. }
        | Event::TaskEnd { at, .. }
        | Event::Park { at }
        | Event::Unpark { at }
        | Event::Output { at, .. } => at,
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_events_are_read_as_written(events in prop::collection::vec(any_event(), 0..500), at_a_time in 1..9_usize) {
        for is_lossless in [false, true] {
            let (probe, writer, mut reader) = Probe::new(is_lossless, true);
            let _guard = writer.install();
            for event in &events {
                probe.emit(time_of(event), event.clone());
            }
            let mut read = Vec::new();
            // A record and its argument may be taken one after the other.
            while !reader.is_empty() {
                reader.drain(at_a_time, |event| read.push(event));
            }
            prop_assert_eq!(&read, &events);
        }
    }
}

#[test]
fn frequent_events_need_one_or_two_records() {
    let (probe, writer, mut reader) = Probe::new(true, true);
    let _guard = writer.install();
    let (task, site) = (probe.next_task_id(), SiteId::from_index(5));
    let mut records_of = |event: Event| {
        probe.emit(1, event.clone());
        let records = reader.pending_records();
        assert_eq!(read_all(&mut reader), [event]);
        records
    };
    let id = AwaitId::from_index(2);
    let resource = ResourceId::from_index(3);
    for event in [
        Event::PollStart { task, at: 1 },
        Event::Wake { task, at: 1, source: WakeSource::Task(TaskId::from_index(9)) },
        Event::PollEnd { task, at: 1 },
        Event::AwaitResource { id, resource },
        Event::AwaitPoll { id, is_ready: true },
        Event::AwaitEnd { id, at: 1 },
        Event::ResourceAcquire { resource, task, at: 1 },
        Event::Park { at: 1 },
    ] {
        assert_eq!(records_of(event.clone()), 1, "{event:?}");
    }
    assert_eq!(records_of(Event::AwaitStart { id, task, at: 1, site }), 2);
    assert_eq!(records_of(Event::TaskEnd { task, at: 1, outcome: TaskOutcome::Completed }), 2);
}

#[test]
fn late_events_of_other_threads_are_merged() {
    let (probe, writer, mut reader) = Probe::new(true, true);
    let _guard = writer.install();
    let task = probe.next_task_id();
    // Later than a record can express.
    let (wake_at, at) = (TICKS_MAX + 5, TICKS_MAX + 6);
    let wake = Event::Wake { task, at: wake_at, source: WakeSource::Thread };
    std::thread::scope(|threads| {
        threads.spawn(|| probe.emit(wake_at, wake.clone())).join().expect("it only writes");
    });
    probe.poll_start(at, task);
    assert_eq!(read_all(&mut reader), [wake, Event::PollStart { task, at }]);
}

#[test]
fn structural_events_wait_even_in_a_gap() {
    let (probe, writer, mut reader) = Probe::new(false, true);
    let task = probe.next_task_id();
    let reader_thread = std::thread::spawn(move || {
        let (mut polls, mut dropped, mut ends) = (0, 0, 0);
        while !reader.records.is_closed() || !reader.is_empty() {
            reader.drain(1000, |event| match event {
                Event::PollStart { .. } => polls += 1,
                Event::Gap { dropped: events, .. } => dropped += events,
                Event::AwaitEnd { .. } => ends += 1,
                other => panic!("unexpected {other:?}"),
            });
        }
        (polls, dropped, ends)
    });
    let guard = writer.install();
    let events = RING_RECORDS as u64 * 3;
    for at in 0..events {
        probe.poll_start(at, task);
        probe.await_end(at, AwaitId::from_index(0));
    }
    drop(guard);
    let (polls, dropped, ends) = reader_thread.join().expect("the reader only reads");
    assert_eq!((polls + dropped, ends), (events, events));
}
