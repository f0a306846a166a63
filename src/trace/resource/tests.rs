//! Acquisitions, and which resources are retained.

use super::*;

#[test]
fn releases_the_last_acquisition_first() {
    let (lock, task) = (ResourceId::from_index(0), TaskId::from_index(0));
    let mut resources = Resources::default();
    resources.acquire(lock, task, 1);
    resources.acquire(lock, task, 2);
    resources.release(lock, task, 5);
    resources.release(lock, TaskId::from_index(1), 6);
    let intervals: Vec<_> =
        resources.acquisitions().map(|acquisition| (acquisition.start, acquisition.end())).collect();
    assert_eq!(intervals, [(1, None), (2, Some(5))]);
    resources.release(lock, task, 7);
    assert_eq!((resources.evict_before(6), resources.evict_before(8)), (0, 2), "the oldest first");
}

#[test]
fn evicts_dropped_resources_before_live_ones() {
    let resource = |kind| Resource { kind, name: "lock".into(), location: None, size: 0 };
    let mut resources = Resources::default();
    let lock = ResourceId::from_index(0);
    resources.insert(lock, 0, resource(ResourceKind::Lock));
    for index in 1..=RETAINED_RESOURCES_MAX + 10 {
        let id = ResourceId::from_index(index);
        resources.insert(id, index as u64, resource(ResourceKind::Timer));
        resources.set_dropped(id, index as u64 + 1);
    }
    let attribute = |value: &str| ResourceAttribute { name: "locked".into(), value: value.into(), unit: "".into() };
    resources.set_attribute(lock, attribute("true"));
    resources.set_attribute(lock, attribute("false"));
    let entry = resources.entry(lock).expect("the lock still exists");
    assert_eq!((entry.dropped_at(), entry.attributes()), (None, &[attribute("false")][..]));
    assert!(resources.entry(ResourceId::from_index(1)).is_none(), "the oldest dropped one");
    assert_eq!(resources.iter().count(), RETAINED_RESOURCES_MAX + 1);
    assert!(!resources.set_dropped(lock, 99), "nothing is evicted");
    assert_eq!(resources.entry(lock).and_then(ResourceEntry::dropped_at), Some(99));
}

/// A lock that lives as long as the app is dropped at its end, together with many others.
#[test]
fn resources_that_lived_long_are_retained() {
    let resource = || Resource { kind: ResourceKind::Lock, name: "lock".into(), location: None, size: 0 };
    let mut resources = Resources::default();
    let count = 3 * RETAINED_RESOURCES_MAX;
    for index in 0..count {
        resources.insert(ResourceId::from_index(index), 0, resource());
    }
    let evicted = (0..count).filter(|index| resources.set_dropped(ResourceId::from_index(*index), 1)).count();
    assert_eq!((evicted, resources.iter().count()), (RETAINED_RESOURCES_MAX, 2 * RETAINED_RESOURCES_MAX));
    assert!(resources.entry(ResourceId::from_index(RETAINED_RESOURCES_MAX - 1)).is_none(), "dropped first");
    assert!(resources.entry(ResourceId::from_index(RETAINED_RESOURCES_MAX)).is_some());
    assert!(!resources.set_dropped(ResourceId::from_index(RETAINED_RESOURCES_MAX), 2), "dropped before");
}
