//! Awaits: which task waits in which operation, on which resource, from where.

use loopscope_probe::record::RecordKind;

use crate::peer::{Event, Stream, numbers, run};

/// The operations that a task has polled and that had to wait: name, type of the resource, and how they ended.
fn waits<'a>(stream: &'a Stream, events: &[&Event], task: u64) -> Vec<(&'a str, &'a str, RecordKind)> {
    let mut polled_by = std::collections::HashMap::new();
    let mut current = 0;
    let mut waits = Vec::new();
    for event in events {
        match event.kind {
            RecordKind::PollStart => current = event.subject,
            RecordKind::PollEnd => current = 0,
            RecordKind::OperationPending => drop(polled_by.insert(event.subject, current)),
            RecordKind::OperationReady | RecordKind::OperationDropped
                if polled_by.remove(&event.subject) == Some(task) =>
            {
                let created = |kind, subject| {
                    let mut created = stream.of_kind(kind).filter(|created| created.subject == subject);
                    created.next().expect("created")
                };
                let operation = created(RecordKind::OperationCreated, event.subject);
                let resource = operation.arguments[1];
                let resource_name = match resource {
                    0 => "",
                    _ => &stream.sites[&created(RecordKind::ResourceCreated, resource).arguments[0]].name,
                };
                waits.push((stream.sites[&operation.arguments[0]].name.as_str(), resource_name, event.kind));
            }
            _ => {}
        }
    }
    waits
}

#[test]
fn every_kind_of_await_is_attributed() {
    use RecordKind::{OperationDropped, OperationReady};

    let (stream, output) = run("awaits");
    stream.check();
    let events = stream.by_time();
    let tasks: Vec<u64> = numbers(&output, "await").concat();
    let of = |index: usize| waits(&stream, &events, tasks[index]);
    let acquire = ("Acquire::new", "Semaphore", OperationReady);
    // That of the semaphore in them is left out.
    assert_eq!(of(0), [("Mutex::lock", "Mutex", OperationReady)]);
    assert_eq!(of(1), [("RwLock::write", "RwLock", OperationReady)]);
    assert_eq!(of(2), [acquire, ("Semaphore::acquire", "Semaphore", OperationReady)]);
    assert_eq!(of(3), [("Barrier::wait", "Barrier", OperationReady)]);
    assert_eq!(of(4), [("Receiver::await", "Sender|Receiver", OperationReady)]);
    assert_eq!(of(5), [("Sleep::new_timeout", "Sleep", OperationReady)]);
    assert_eq!(
        of(6),
        [("Sleep::new_timeout", "Sleep", OperationReady), ("Interval::tick", "Interval", OperationReady)]
    );
    assert_eq!(of(7), [("receive order", "", OperationReady)]);
    assert_eq!(of(8), [("Mutex::lock", "Mutex", OperationDropped)]);
}

#[test]
fn resources_have_locations_containers_and_attributes() {
    let (stream, _) = run("awaits");
    let created: Vec<&Event> = stream.of_kind(RecordKind::ResourceCreated).collect();
    let site = |event: &Event| &stream.sites[&event.arguments[0]];
    let mutex = *created.iter().find(|event| site(event).name == "Mutex").expect("mutex");
    assert!(site(mutex).file.ends_with("apps/awaits.rs") && site(mutex).kind == "Sync" && site(mutex).line > 0);
    let inner = created.iter().find(|event| event.arguments[1] == mutex.subject).expect("its semaphore");
    assert!(site(inner).is_internal && site(inner).name == "Semaphore");

    let attributes = |resource: u64| -> Vec<(&str, u64)> {
        let changes = stream.of_kind(RecordKind::ResourceAttribute).filter(|event| event.subject == resource);
        changes.map(|event| (stream.attributes[&event.arguments[0]].as_str(), event.arguments[1])).collect()
    };
    let locked: Vec<u64> =
        attributes(mutex.subject).iter().filter(|change| change.0 == "locked").map(|change| change.1).collect();
    assert_eq!(locked, [0, 1, 0, 1, 0, 1, 0]);
    let semaphore = |event: &&&Event| site(event).name == "Semaphore" && !site(event).is_internal;
    let semaphore = created.iter().find(semaphore).expect("semaphore");
    let inner = created.iter().find(|event| event.arguments[1] == semaphore.subject).expect("its inner one");
    let permits = attributes(inner.subject).into_iter().fold(0, |permits, (name, value)| match name {
        "permits" => value,
        "permits +" => permits + value,
        "permits -" => permits - value,
        _ => permits,
    });
    assert_eq!(permits, 1);
    let dropped = stream.counts(RecordKind::ResourceDropped);
    assert!(created.iter().all(|event| dropped[&event.subject] == 1));
}
