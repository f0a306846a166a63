//! Explanations of values that an external app reports and that differ from what their names suggest.
//!
//! docs/internals.md has the table of this behaviour of tokio and console-subscriber.

use crate::trace::{
    AwaitId, Resource, ResourceAttribute, ResourceEntry, ResourceKind, Task, TaskKind, TaskState, Trace,
};

/// Source of the awaits of tokio's internal semaphore.
const INTERNAL_ACQUIRE: &str = "Acquire::new";

/// Returns a hint of a few words about the value of an attribute.
pub fn attribute_hint(trace: &Trace, resource: &Resource, attribute: &ResourceAttribute) -> Option<&'static str> {
    if !trace.is_external() {
        return None;
    }
    match (resource.kind, &*attribute.name, &*attribute.value) {
        (ResourceKind::Semaphore, "permits", _) => Some("try_acquire, forget not subtracted"),
        (ResourceKind::Timer | ResourceKind::Interval, "duration", _) => Some("left when set"),
        (_, "value_received", "false") => Some("stays false after rx.await"),
        _ => None,
    }
}

/// Explains the attributes of a resource, a sentence each.
pub fn attribute_notes(trace: &Trace, entry: &ResourceEntry) -> Vec<String> {
    let explained = entry.attributes().iter().filter_map(|attribute| {
        attribute_hint(trace, &entry.resource, attribute)?;
        let explanation = match &*attribute.name {
            "permits" => {
                "tokio does not subtract try_acquire and forget, but adds their permits when they are dropped, so \
                 this can exceed what was made"
            }
            "duration" => "what was left when the timer was created or reset, not the whole sleep",
            _ => "tokio sets this only for try_recv, not for rx.await",
        };
        Some(format!("{} {}{}: {explanation}", attribute.name, attribute.value, attribute.unit))
    });
    explained.collect()
}

/// Explains the await of a resource that the app never named.
pub fn await_note(trace: &Trace, id: AwaitId) -> Option<String> {
    let site = trace.site(trace.awaits().get(id)?.site)?;
    let is_internal = trace.is_external() && &*site.source == INTERNAL_ACQUIRE;
    is_internal.then(|| "a semaphore inside tokio, such as that of a bounded mpsc channel with a full queue".to_owned())
}

/// Explains times and states of a task.
pub fn task_notes(trace: &Trace, task: &Task) -> Vec<String> {
    let mut notes = Vec::new();
    if !trace.is_external() {
        return notes;
    }
    if task.meta.kind == TaskKind::BlockOn {
        notes.push(
            "tokio does not report the wakes of a block_on future, so its time in the ready queue counts as waiting"
                .to_owned(),
        );
    }
    let has_no_waker = task.waker_counts().is_some_and(|(clones, drops)| clones > 0 && clones == drops);
    let waits = matches!(trace.state(task.id), Some(TaskState::Waiting(..)));
    if has_no_waker && waits && matches!(task.meta.kind, TaskKind::Task | TaskKind::Local) {
        notes.push(
            "it may have ended: a task that used spawn_blocking or block_in_place is reported as alive until that \
             work ends"
                .to_owned(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{AwaitKind, AwaitSite, Event, ResourceId, SiteId, TaskId, TaskMeta};

    /// Returns a trace of an external app with a resource of this kind and attribute, which a task awaits.
    fn trace_with(kind: ResourceKind, name: &str, value: &str) -> Trace {
        let mut trace = Trace::with_budget(1 << 20);
        trace.set_external();
        let (task, resource, site) = (TaskId::from_index(0), ResourceId::from_index(0), SiteId::from_index(0));
        let attribute = ResourceAttribute { name: name.into(), value: value.into(), unit: "".into() };
        let meta = TaskMeta { kind: TaskKind::BlockOn, ..TaskMeta::default() };
        trace.apply(Event::Spawn { task, at: 0, meta: Box::new(meta) });
        let described = Resource { kind, name: "it".into(), location: None, size: 0 };
        trace.apply(Event::NewResource { id: resource, at: 0, resource: Box::new(described) });
        trace.apply(Event::ResourceAttribute { resource, attribute: Box::new(attribute) });
        let source = AwaitSite { kind: AwaitKind::Sync, source: INTERNAL_ACQUIRE.into(), location: None, chain: None };
        trace.apply(Event::NewAwaitSite { id: site, site: Box::new(source) });
        trace.apply(Event::AwaitStart { id: AwaitId::from_index(0), task, at: 1, site });
        trace
    }

    #[test]
    fn explains_surprising_values() {
        for (kind, name, value, expected) in [
            (ResourceKind::Semaphore, "permits", "7", "exceed"),
            (ResourceKind::Timer, "duration", "600", "left"),
            (ResourceKind::Channel, "value_received", "false", "rx.await"),
        ] {
            let trace = trace_with(kind, name, value);
            let entry = trace.resources().entry(ResourceId::from_index(0)).expect("it was reported");
            let notes = attribute_notes(&trace, entry);
            assert!(notes.len() == 1 && notes[0].contains(expected), "{notes:?}");
        }
        let trace = trace_with(ResourceKind::Channel, "value_received", "true");
        let entry = trace.resources().entry(ResourceId::from_index(0)).expect("it was reported");
        assert!(attribute_notes(&trace, entry).is_empty());
        assert!(await_note(&trace, AwaitId::from_index(0)).is_some_and(|note| note.contains("bounded mpsc")));
        let notes = task_notes(&trace, trace.tasks().iter().next().expect("there is a task"));
        assert!(notes.len() == 1 && notes[0].contains("block_on"), "{notes:?}");
    }
}
