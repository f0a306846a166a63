//! Sampled depths of the queues of runtimes.

use std::collections::HashMap;

use loopscope_probe::record::RecordKind::{GlobalQueueDepth, LocalQueueDepth};

use crate::apps::queues::{RUNTIMES, SPAWNED, SPAWNED_FROM_OUTSIDE};
use crate::peer::{App, Stream, numbers};

/// Returns the last depths of the queues of the newest runtime: the global one, and that of worker 0.
fn depths(stream: &Stream) -> (u64, u64, u64) {
    let runtime = stream.of_kind(GlobalQueueDepth).map(|event| event.subject).max().unwrap_or(0);
    let of_runtime = |kind| stream.of_kind(kind).filter(move |event| event.subject == runtime);
    let global = of_runtime(GlobalQueueDepth).last().map_or(0, |event| event.arguments[0]);
    let local = of_runtime(LocalQueueDepth).last().map_or(0, |event| {
        assert_eq!(event.arguments[0], 0, "there is one worker");
        event.arguments[1]
    });
    (runtime, global, local)
}

/// On a multi-threaded runtime, the task that was spawned last is not in the queue, but in the slot of the task that runs
/// next.
fn check_queues(arguments: &str) {
    let mut app = App::start(&format!("queues {arguments}"), &[]);
    app.connection.begin();
    let mut stream = Stream::default();
    let mut last_runtime = 0;
    for is_multi_threaded in RUNTIMES {
        let local = if is_multi_threaded { SPAWNED - 1 } else { SPAWNED };
        app.connection.read_until(&mut stream, |stream| {
            let (runtime, global, found) = depths(stream);
            runtime > last_runtime && (global, found) == (SPAWNED_FROM_OUTSIDE, local)
        });
        // The definition of the worker may be in the next round.
        app.connection.read_rounds(&mut stream, 2);
        let (runtime, ..) = depths(&stream);
        // The workers belong to the runtime that the depths name.
        let worker = stream.threads.values().find(|thread| thread.runtime as u64 == runtime);
        assert_eq!(worker.expect("thread of the runtime").worker, Some(0));
        last_runtime = runtime;
        app.write_line("go on");
    }
    let output = app.finish_into(&mut stream);
    let left = numbers(&output, "left");
    assert_eq!(left.len(), RUNTIMES.len(), "{output}");
    for counts in left {
        assert_eq!((counts[0], counts[1]), (1, 1), "something keeps the runtime or its task: {output}");
        assert!(counts[3] <= counts[2], "files of the runtime are open: {output}");
    }
    let mut last = HashMap::new();
    for event in stream.of_kind(GlobalQueueDepth).chain(stream.of_kind(LocalQueueDepth)) {
        let depth = *event.arguments.last().expect("depth");
        let before = last.insert((event.kind, event.subject), depth);
        assert_ne!(before, Some(depth), "only changes are recorded: {event:?}");
    }
    assert!(last.values().all(|depth| *depth == 0), "queues of runtimes that are gone: {last:?}");
}

#[test]
fn queue_depths_are_those_of_the_runtime() {
    check_queues("hooks");
}

#[test]
fn queue_depths_need_no_hooks() {
    check_queues("spans");
}
