//! Resources as the wire tells them: what they are, where they were made, what they say of themselves.

use std::hash::{Hash, Hasher};

use console_api::field::{Name, Value};
use console_api::resources::resource::kind::{Kind, Known};
use console_api::resources::{self, ResourceUpdate};
use rustc_hash::FxHasher;

use super::facts::{FIELDS_MAX, location};
use super::spans::Spans;
use super::stamps::{Stamp, Times};
use super::texts::{NAME_BYTES_MAX, Texts, cut};
use crate::trace::{Attribute, AwaitKind, Event, Location, Nanos, Resource, ResourceId, ResourceKind};

/// Resources that are there at once; more are counted and not shown.
pub const RESOURCES_MAX: usize = 1 << 18;

/// Resources of one session. A trace tells so many apart.
const RESOURCES_EVER_MAX: usize = (1 << 30) - 1;

/// Levels of resources within resources that are looked through for the one that a person made.
const LEVELS_MAX: usize = 8;

/// A resource as the wire told of it.
#[derive(Clone, Debug)]
pub struct Told {
    pub kind: AwaitKind,
    pub location: Option<Location>,
    /// Its own in the trace; `None` where resources are told by somebody else, and for what is only part of another.
    pub id: Option<ResourceId>,
    /// The one that this is a part of: tokio makes its mutex of a semaphore.
    part_of: Option<u64>,
    /// What it said of itself last.
    said: u64,
    /// A timer for one moment.
    is_sleep: bool,
    /// Operations on it are told of.
    has_operations: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Resources {
    spans: Spans<Told>,
    /// Resources are told as events; otherwise only remembered, for the awaits on them.
    tells: bool,
    next: usize,
    unshown: u64,
}

impl Resources {
    pub fn new(tells: bool) -> Self {
        Self { tells, ..Self::default() }
    }

    /// The resource that a person made and that `span` is, or is a part of.
    pub fn get(&self, span: u64) -> Option<&Told> {
        let mut told = self.spans.get(span)?;
        for _ in 0..LEVELS_MAX {
            match told.part_of.and_then(|whole| self.spans.get(whole)) {
                Some(whole) => told = whole,
                None => break,
            }
        }
        Some(told)
    }

    /// `span` is a part of another resource.
    pub fn is_part(&self, span: u64) -> bool {
        self.spans.get(span).is_some_and(|told| told.part_of.is_some())
    }

    /// An operation on `span` was told of.
    pub fn operate(&mut self, span: u64) {
        if let Some(told) = self.spans.get_mut(span) {
            told.has_operations = true;
        }
    }

    /// The timer that `span` is, where nobody tells of operations on it: to poll it is to sleep.
    pub fn sleep(&self, span: u64) -> Option<&Told> {
        self.spans.get(span).filter(|told| told.is_sleep && !told.has_operations)
    }

    /// How many resources are not shown, for there were too many.
    pub fn unshown(&self) -> u64 {
        self.unshown
    }

    /// Takes in what is new; with [`Resources::new`]`(true)`, as events in order of time.
    pub fn meet(&mut self, update: &ResourceUpdate, texts: &mut Texts, times: &impl Times, events: &mut Vec<Event>) {
        let mut new: Vec<_> = update
            .new_resources
            .iter()
            .filter_map(|resource| {
                let span = resource.id.as_ref()?.id;
                let created = update.stats_update.get(&span).and_then(|stats| stats.created_at);
                (!self.spans.is_known(span, Stamp::of(created))).then(|| (times.at(created), span, created, resource))
            })
            .collect();
        new.sort_unstable_by_key(|(at, span, ..)| (*at, *span));
        for (at, span, created, resource) in new {
            if self.spans.live() >= RESOURCES_MAX || self.next >= RESOURCES_EVER_MAX {
                self.unshown += 1;
                continue;
            }
            let whole = resource.parent_resource_id.as_ref().map(|id| id.id).filter(|_| resource.is_internal);
            let part_of = whole.filter(|whole| self.spans.get(*whole).is_some());
            let id = (self.tells && part_of.is_none()).then(|| ResourceId::from_index(self.next));
            let told = Told {
                kind: await_kind(resource),
                location: location(resource.location.as_ref(), texts),
                id,
                part_of,
                said: 0,
                is_sleep: is_timer(resource) && resource.concrete_type == "Sleep",
                has_operations: false,
            };
            if let Some(id) = id {
                self.next += 1;
                let described = Resource {
                    kind: resource_kind(resource),
                    name: texts.keep(&resource.concrete_type, NAME_BYTES_MAX),
                    location: told.location.clone(),
                    size: 0,
                };
                events.push(Event::Resource { resource: id, at, described: Box::new(described) });
            }
            let replaced = self.spans.meet(span, Stamp::of(created), told);
            // Its end went untold, but its id is another's now.
            events.extend(replaced.and_then(|told| told.id).map(|resource| Event::ResourceEnd { resource, at }));
        }
    }

    /// Takes in what resources say of themselves, and which are gone.
    pub fn follow(&mut self, update: &ResourceUpdate, texts: &mut Texts, times: &impl Times, events: &mut Vec<Event>) {
        let mut ended: Vec<(Nanos, ResourceId)> = Vec::new();
        for (span, stats) in &update.stats_update {
            let Some(told) = self.spans.live_mut(*span) else { continue };
            if let Some(resource) = told.id {
                let said = hash(&stats.attributes);
                if said != told.said {
                    told.said = said;
                    let attributes = stats.attributes.iter().take(FIELDS_MAX).filter_map(|told| attribute(told, texts));
                    events.extend(
                        attributes.map(|attribute| Event::Attribute { resource, attribute: Box::new(attribute) }),
                    );
                }
            }
            if stats.dropped_at.is_some() {
                ended.extend(told.id.map(|id| (times.at(stats.dropped_at), id)));
                self.spans.end(*span);
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

fn attribute(told: &console_api::Attribute, texts: &mut Texts) -> Option<Attribute> {
    let field = told.field.as_ref()?;
    let Some(Name::StrName(name)) = &field.name else { return None };
    let value = match field.value.as_ref()? {
        Value::DebugVal(text) | Value::StrVal(text) => cut(text, NAME_BYTES_MAX),
        Value::U64Val(number) => number.to_string(),
        Value::I64Val(number) => number.to_string(),
        Value::BoolVal(yes) => yes.to_string(),
    };
    let unit = texts.keep(told.unit.as_deref().unwrap_or_default(), NAME_BYTES_MAX);
    Some(Attribute { name: texts.keep(name, NAME_BYTES_MAX), value: value.into(), unit })
}

/// What tokio calls its own types.
fn resource_kind(resource: &resources::Resource) -> ResourceKind {
    match resource.concrete_type.as_str() {
        "Mutex" | "RwLock" => ResourceKind::Lock,
        "Semaphore" => ResourceKind::Semaphore,
        "Sender|Receiver" => ResourceKind::Channel,
        "Interval" => ResourceKind::Interval,
        _ if is_timer(resource) => ResourceKind::Timer,
        _ => ResourceKind::Other,
    }
}

fn await_kind(resource: &resources::Resource) -> AwaitKind {
    match resource.kind.as_ref().and_then(|kind| kind.kind.as_ref()) {
        _ if is_timer(resource) => AwaitKind::Timer,
        // tokio says of its channel for one value, too, that it is there to synchronise.
        _ if resource.concrete_type == "Sender|Receiver" => AwaitKind::Channel,
        Some(Kind::Other(name)) => AwaitKind::from_name(&cut(name, NAME_BYTES_MAX).to_ascii_lowercase()),
        _ => AwaitKind::Other,
    }
}

fn is_timer(resource: &resources::Resource) -> bool {
    matches!(resource.kind.as_ref().and_then(|kind| kind.kind.as_ref()), Some(Kind::Known(known)) if *known == Known::Timer as i32)
}
