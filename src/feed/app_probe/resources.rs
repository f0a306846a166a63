//! Resources of the program: their creation, attributes, owners and end.

use std::cmp::Ordering;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::definitions::{Definitions, KnownSite};
use super::lock_ownership::LockOwnership;
use super::timed_record::TimedRecord;
use crate::feed::{asyncio_names, tokio_names};
use crate::trace::{AwaitKind, Event, Location, Nanos, Resource, ResourceAttribute, ResourceId, ResourceKind, TaskId};

/// Live resources that are shown; further ones are only counted.
const RESOURCES_MAX: usize = 1 << 18;

/// Resources of one session: the limit of trace ids.
const RESOURCES_EVER_MAX: usize = (1 << 30) - 1;

/// Nesting levels followed from an internal resource to the one that user code created.
const LEVELS_MAX: usize = 8;

/// Attributes of one resource.
const ATTRIBUTES_MAX: usize = 32;

/// Attributes of tokio's and asyncio's resources that are true or false.
const BOOLEAN_ATTRIBUTES: [&str; 7] =
    ["locked", "write_locked", "tx_dropped", "rx_dropped", "value_sent", "value_received", "is_set"];

/// Whether a mutex is locked, and whether an RwLock is locked for writing.
const EXCLUSIVE_ATTRIBUTES: [&str; 2] = ["locked", "write_locked"];

/// Number of readers of an RwLock.
const READERS_ATTRIBUTE: &str = "current_readers";

/// A live resource.
#[derive(Debug)]
pub struct LiveResource {
    /// What awaiting it counts as.
    pub kind: AwaitKind,
    /// Where it was created.
    pub location: Option<Location>,
    /// Its trace id; `None` for internal parts.
    pub id: Option<ResourceId>,
    /// The id of its site.
    pub site: u64,
    /// The resource that this is a part of: tokio builds its mutex on a semaphore.
    part_of: Option<u64>,
    is_interval_timer: bool,
    /// Attributes of a part are those of the whole: the permits of a semaphore.
    inherits_attributes: bool,
    attributes: Vec<(Arc<str>, u64)>,
    lock: Option<Box<LockOwnership>>,
}

/// Texts of attributes that are shared by all events: locks change their attributes several times per lock.
#[derive(Debug)]
struct AttributeTexts {
    truths: [Arc<str>; 2],
    numbers: [Arc<str>; 16],
    no_unit: Arc<str>,
    milliseconds: Arc<str>,
}

impl Default for AttributeTexts {
    fn default() -> Self {
        Self {
            truths: ["false".into(), "true".into()],
            numbers: std::array::from_fn(|number| number.to_string().into()),
            no_unit: "".into(),
            milliseconds: "ms".into(),
        }
    }
}

impl AttributeTexts {
    fn truth(&self, value: bool) -> Arc<str> {
        Arc::clone(&self.truths[usize::from(value)])
    }

    fn number(&self, value: u64) -> Arc<str> {
        let shared = usize::try_from(value).ok().and_then(|value| self.numbers.get(value));
        shared.map_or_else(|| value.to_string().into(), Arc::clone)
    }
}

/// The live resources.
#[derive(Debug, Default)]
pub struct ResourceReplay {
    texts: AttributeTexts,
    live: FxHashMap<u64, LiveResource>,
    next: usize,
    hidden: u64,
}

impl ResourceReplay {
    /// Whether a resource is known.
    pub fn is_known(&self, number: u64) -> bool {
        self.live.contains_key(&number)
    }

    /// Returns how many resources are not shown because a limit is reached.
    pub fn hidden(&self) -> u64 {
        self.hidden
    }

    /// Returns the resource that user code created and that `number` is, or is a part of.
    pub fn whole(&self, number: u64) -> Option<&LiveResource> {
        self.live.get(&self.whole_number(number)?)
    }

    fn whole_number(&self, number: u64) -> Option<u64> {
        let mut number = number;
        let mut entry = self.live.get(&number)?;
        for _ in 0..LEVELS_MAX {
            let Some(whole) = entry.part_of.filter(|whole| self.live.contains_key(whole)) else { break };
            number = whole;
            entry = self.live.get(&whole)?;
        }
        Some(number)
    }

    /// Whether an operation on `number` is how tokio implements another operation.
    pub fn is_implementation(&self, number: u64) -> bool {
        self.live.get(&number).is_some_and(|entry| entry.is_interval_timer || entry.part_of.is_some())
    }

    /// Handles the creation of a resource.
    pub fn create(&mut self, record: &TimedRecord, at: Nanos, definitions: &Definitions, events: &mut Vec<Event>) {
        let [site_number, parent, _] = record.arguments;
        if self.live.contains_key(&record.subject) {
            // It is in the snapshot too.
            return;
        }
        if self.live.len() >= RESOURCES_MAX || self.next >= RESOURCES_EVER_MAX {
            self.hidden += 1;
            return;
        }
        let unknown = KnownSite::default();
        let site = definitions.site(site_number).unwrap_or(&unknown);
        let is_timer = site.kind.eq_ignore_ascii_case(tokio_names::TIMER_KIND);
        let part_of = Some(parent).filter(|parent| site.is_internal && self.live.contains_key(parent));
        let is_in_interval = || site.location.as_ref().is_some_and(|at| tokio_names::is_interval_file(&at.file));
        let kind = match definitions.states_kinds {
            true => asyncio_names::resource_kind(&site.kind),
            false => tokio_names::resource_kind(&site.name, is_timer),
        };
        let awaited = match definitions.states_kinds {
            true => asyncio_names::await_kind(kind),
            false => tokio_names::await_kind(&site.name, is_timer, Some(&site.kind)),
        };
        let id = part_of.is_none().then(|| ResourceId::from_index(self.next));
        if let Some(id) = id {
            self.next += 1;
            let resource = Resource { kind, name: Arc::clone(&site.name), location: site.location.clone(), size: 0 };
            events.push(Event::NewResource { id, at, resource: Box::new(resource) });
        }
        let entry = LiveResource {
            kind: awaited,
            location: site.location.clone(),
            id,
            site: site_number,
            part_of,
            is_interval_timer: is_timer && &*site.name == "Sleep" && is_in_interval(),
            inherits_attributes: kind == ResourceKind::Semaphore,
            attributes: Vec::new(),
            lock: (kind == ResourceKind::Lock).then(Box::default),
        };
        self.live.insert(record.subject, entry);
    }

    /// Handles the change of an attribute on a thread that polls `task`.
    pub fn change(
        &mut self,
        record: &TimedRecord,
        (task, at): (Option<TaskId>, Nanos),
        definitions: &Definitions,
        events: &mut Vec<Event>,
    ) {
        let [name, value, _] = record.arguments;
        let Some((name, change)) = definitions.attribute(name) else { return };
        let whole = self.whole_number(record.subject).filter(|whole| *whole != record.subject);
        let target = match whole {
            Some(whole) if self.live.get(&whole).is_some_and(|entry| entry.inherits_attributes) => whole,
            Some(_) => return,
            None => record.subject,
        };
        let Some(entry) = self.live.get_mut(&target) else { return };
        let Some(resource) = entry.id else { return };
        let index = entry.attributes.iter().position(|(known, _)| known == name);
        let before = index.map_or(0, |index| entry.attributes[index].1);
        let mut value = change.apply(before, value);
        if let Some(lock) = &mut entry.lock {
            if EXCLUSIVE_ATTRIBUTES.contains(&&**name) {
                match value {
                    // The initial value.
                    0 if index.is_none() && !lock.is_locked() => {}
                    0 => lock.unlock(resource, task, at, events),
                    _ => lock.lock(resource, task, at, events),
                }
                value = lock.is_locked().into();
            } else if &**name == READERS_ATTRIBUTE {
                match value.cmp(&before) {
                    Ordering::Greater => lock.add_reader(resource, task, at, events),
                    Ordering::Less => lock.remove_reader(resource, task, at, events),
                    Ordering::Equal => {}
                }
            }
        }
        match index {
            Some(index) => entry.attributes[index].1 = value,
            None if entry.attributes.len() < ATTRIBUTES_MAX => entry.attributes.push((Arc::clone(name), value)),
            None => return,
        }
        let texts = &self.texts;
        let text = if BOOLEAN_ATTRIBUTES.contains(&&**name) { texts.truth(value != 0) } else { texts.number(value) };
        // tokio reports the duration of a timer in milliseconds.
        let unit = if &**name == "duration" { &texts.milliseconds } else { &texts.no_unit };
        let attribute = ResourceAttribute { name: Arc::clone(name), value: text, unit: Arc::clone(unit) };
        events.push(Event::ResourceAttribute { resource, attribute: Box::new(attribute) });
    }

    /// Handles the drop of a resource.
    pub fn end(&mut self, number: u64, at: Nanos, events: &mut Vec<Event>) {
        let Some(mut entry) = self.live.remove(&number) else { return };
        let Some(resource) = entry.id else { return };
        if let Some(lock) = &mut entry.lock {
            lock.clear(resource, at, events);
        }
        events.push(Event::ResourceEnd { resource, at });
    }
}
