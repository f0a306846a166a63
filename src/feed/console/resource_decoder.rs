//! Decodes resources from the wire: kind, creation location and attributes.

use std::hash::{Hash, Hasher};

use console_api::field::{Name, Value};
use console_api::resources::resource::kind::{Kind, Known};
use console_api::resources::{self, ResourceUpdate};
use rustc_hash::FxHasher;

use super::span_map::SpanMap;
use super::task_stats::{FIELDS_MAX, location, number_attribute};
use super::text_interner::{NAME_BYTES_MAX, TextInterner};
use super::wire_clock::{ToLoopTime, WireTimestamp};
use crate::feed::await_resolver::ReportedSpan;
use crate::feed::tokio_names;
use crate::sanitize::truncate;
use crate::trace::{AwaitKind, Event, Location, Nanos, Resource, ResourceAttribute, ResourceId, ResourceKind};

/// Live resources that are shown; further ones are only counted.
pub const RESOURCES_MAX: usize = 1 << 18;

/// Resources of one session: the limit of trace ids.
const RESOURCES_EVER_MAX: usize = (1 << 30) - 1;

/// Nesting levels followed from an internal resource to the one that user code created.
const LEVELS_MAX: usize = 8;

/// A resource that the wire has reported.
#[derive(Clone, Debug)]
pub struct WireResource {
    /// What awaiting it counts as.
    pub kind: AwaitKind,
    /// Where it was created.
    pub location: Option<Location>,
    /// Its trace id; `None` for internal parts, and where another feed emits resources.
    pub id: Option<ResourceId>,
    /// Span id of the resource that this is a part of: tokio builds its mutex on a semaphore.
    part_of: Option<u64>,
    /// Hash of the attributes that were emitted last.
    attributes_hash: u64,
    /// Whether it is a `Sleep`.
    is_sleep: bool,
    /// Whether it is the timer inside an interval.
    is_interval_timer: bool,
    /// Time from its first poll, or its last reset, to its deadline in nanoseconds: the attribute `duration` of timers.
    duration_ns: Option<u64>,
    /// Whether an operation on it was reported.
    has_operations: bool,
}

/// Decodes resources, by span id.
#[derive(Debug, Default)]
pub struct ResourceDecoder {
    spans: SpanMap<WireResource>,
    /// Emits resources as events; otherwise they are only kept for the awaits on them.
    emits: bool,
    next: usize,
    hidden: u64,
}

impl ResourceDecoder {
    /// Creates a decoder. With `emits` it emits resources as events.
    pub fn new(emits: bool) -> Self {
        Self { emits, ..Self::default() }
    }

    /// Returns the resource that user code created and that `span` is, or is a part of.
    pub fn get(&self, span: u64) -> Option<&WireResource> {
        let mut entry = self.spans.get(span)?;
        for _ in 0..LEVELS_MAX {
            match entry.part_of.and_then(|whole| self.spans.get(whole)) {
                Some(whole) => entry = whole,
                None => break,
            }
        }
        Some(entry)
    }

    /// Whether an operation on `span` is how tokio implements another operation. `is_nested`: it is inside another one.
    pub fn is_implementation(&self, span: u64, is_nested: bool) -> bool {
        self.spans.get(span).is_some_and(|entry| entry.is_interval_timer || (is_nested && entry.part_of.is_some()))
    }

    /// Returns what is reported of `span`.
    pub fn reported(&self, span: u64) -> ReportedSpan {
        match (self.spans.get(span), self.sleep(span)) {
            (None, _) => ReportedSpan::Unreported,
            (Some(_), None) => ReportedSpan::NotAwaited,
            (Some(_), Some(sleep)) => ReportedSpan::Sleep { duration_ns: sleep.duration_ns },
        }
    }

    /// Records that an operation on `span` was reported.
    pub fn note_operation(&mut self, span: u64) {
        if let Some(entry) = self.spans.get_mut(span) {
            entry.has_operations = true;
        }
    }

    /// Returns the timer `span` if it has no operations: polling it is sleeping.
    pub fn sleep(&self, span: u64) -> Option<&WireResource> {
        self.spans.get(span).filter(|entry| entry.is_sleep && !entry.is_interval_timer && !entry.has_operations)
    }

    /// Returns how many resources are not shown because a limit is reached.
    pub fn hidden(&self) -> u64 {
        self.hidden
    }

    /// Decodes new resources. Emits them in order of time if created with [`ResourceDecoder::new`]`(true)`.
    pub fn decode_new(
        &mut self,
        update: &ResourceUpdate,
        interner: &mut TextInterner,
        times: &impl ToLoopTime,
        events: &mut Vec<Event>,
    ) {
        let mut new: Vec<_> = update
            .new_resources
            .iter()
            .filter_map(|resource| {
                let span = resource.id.as_ref()?.id;
                let created = update.stats_update.get(&span).and_then(|stats| stats.created_at);
                (!self.spans.is_known(span, WireTimestamp::from_proto(created)))
                    .then(|| (times.loop_time(created), span, created, resource))
            })
            .collect();
        new.sort_unstable_by_key(|(at, span, ..)| (*at, *span));
        for (at, span, created, resource) in new {
            if self.spans.open_count() >= RESOURCES_MAX || self.next >= RESOURCES_EVER_MAX {
                self.hidden += 1;
                continue;
            }
            let whole = resource.parent_resource_id.as_ref().map(|id| id.id).filter(|_| resource.is_internal);
            let part_of = whole.filter(|whole| self.spans.get(*whole).is_some());
            let id = (self.emits && part_of.is_none()).then(|| ResourceId::from_index(self.next));
            let entry = WireResource {
                kind: await_kind(resource),
                location: location(resource.location.as_ref(), interner),
                id,
                part_of,
                attributes_hash: 0,
                is_sleep: is_timer(resource) && resource.concrete_type == "Sleep",
                is_interval_timer: is_interval_timer(resource),
                duration_ns: None,
                has_operations: false,
            };
            if let Some(id) = id {
                self.next += 1;
                let described = Resource {
                    kind: resource_kind(resource),
                    name: interner.intern(&resource.concrete_type, NAME_BYTES_MAX),
                    location: entry.location.clone(),
                    size: 0,
                };
                events.push(Event::NewResource { id, at, resource: Box::new(described) });
            }
            let replaced = self.spans.insert(span, WireTimestamp::from_proto(created), entry);
            // The end of the replaced resource was not reported, but its id has been reused.
            events.extend(replaced.and_then(|entry| entry.id).map(|resource| Event::ResourceEnd { resource, at }));
        }
    }

    /// Decodes attributes and ends of known resources.
    pub fn decode_changes(
        &mut self,
        update: &ResourceUpdate,
        interner: &mut TextInterner,
        times: &impl ToLoopTime,
        events: &mut Vec<Event>,
    ) {
        let mut ended: Vec<(Nanos, ResourceId)> = Vec::new();
        for (span, stats) in &update.stats_update {
            let Some(entry) = self.spans.open_mut(*span) else { continue };
            if entry.is_sleep {
                entry.duration_ns = timer_duration_ns(&stats.attributes).or(entry.duration_ns);
            }
            if let Some(resource) = entry.id {
                let attributes_hash = hash(&stats.attributes);
                if attributes_hash != entry.attributes_hash {
                    entry.attributes_hash = attributes_hash;
                    let attributes =
                        stats.attributes.iter().take(FIELDS_MAX).filter_map(|wire| attribute(wire, interner));
                    events.extend(
                        attributes
                            .map(|attribute| Event::ResourceAttribute { resource, attribute: Box::new(attribute) }),
                    );
                }
            }
            if stats.dropped_at.is_some() {
                ended.extend(entry.id.map(|id| (times.loop_time(stats.dropped_at), id)));
                self.spans.close(*span);
            }
        }
        ended.sort_unstable();
        events.extend(ended.into_iter().map(|(at, resource)| Event::ResourceEnd { resource, at }));
    }
}

fn hash(attributes: &[console_api::Attribute]) -> u64 {
    let mut hasher = FxHasher::default();
    for attribute in attributes {
        let field = attribute.field.as_ref();
        if let Some(Name::StrName(name)) = field.and_then(|field| field.name.as_ref()) {
            name.hash(&mut hasher);
        }
        match field.and_then(|field| field.value.as_ref()) {
            Some(Value::DebugVal(text) | Value::StrVal(text)) => text.hash(&mut hasher),
            Some(Value::U64Val(number)) => number.hash(&mut hasher),
            Some(Value::I64Val(number)) => number.hash(&mut hasher),
            Some(Value::BoolVal(yes)) => yes.hash(&mut hasher),
            None => {}
        }
        attribute.unit.hash(&mut hasher);
    }
    hasher.finish()
}

fn attribute(wire: &console_api::Attribute, interner: &mut TextInterner) -> Option<ResourceAttribute> {
    let field = wire.field.as_ref()?;
    let Some(Name::StrName(name)) = &field.name else { return None };
    let value = match field.value.as_ref()? {
        Value::DebugVal(text) | Value::StrVal(text) => truncate(text, NAME_BYTES_MAX),
        Value::U64Val(number) => number.to_string(),
        Value::I64Val(number) => number.to_string(),
        Value::BoolVal(yes) => yes.to_string(),
    };
    let unit = interner.intern(wire.unit.as_deref().unwrap_or_default(), NAME_BYTES_MAX);
    Some(ResourceAttribute { name: interner.intern(name, NAME_BYTES_MAX), value: value.into(), unit })
}

fn resource_kind(resource: &resources::Resource) -> ResourceKind {
    tokio_names::resource_kind(&resource.concrete_type, is_timer(resource))
}

fn await_kind(resource: &resources::Resource) -> AwaitKind {
    let kind = match resource.kind.as_ref().and_then(|kind| kind.kind.as_ref()) {
        Some(Kind::Other(name)) => Some(truncate(name, NAME_BYTES_MAX)),
        _ => None,
    };
    tokio_names::await_kind(&resource.concrete_type, is_timer(resource), kind.as_deref())
}

/// Returns the attribute `duration` of a timer in nanoseconds. tokio reports it in milliseconds.
fn timer_duration_ns(attributes: &[console_api::Attribute]) -> Option<u64> {
    number_attribute(attributes, "duration", Some("ms")).map(|millis| millis.saturating_mul(1_000_000))
}

/// Whether `resource` is the timer inside an interval.
fn is_interval_timer(resource: &resources::Resource) -> bool {
    let file = resource.location.as_ref().and_then(|location| location.file.as_deref()).unwrap_or_default();
    is_timer(resource) && resource.concrete_type == "Sleep" && tokio_names::is_interval_file(file)
}

fn is_timer(resource: &resources::Resource) -> bool {
    matches!(resource.kind.as_ref().and_then(|kind| kind.kind.as_ref()), Some(Kind::Known(known)) if *known == Known::Timer as i32)
}
