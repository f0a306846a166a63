//! Gives external consoles the script's own file and line for each task.
//!
//! tokio takes the location of a spawn from its caller, which is always the same line of the lab. Spans for tasks must
//! be tokio's own, because its wakers refer to them. So a layer replaces the location in the fields of the span, before
//! console-subscriber reads them.

use std::cell::RefCell;
use std::fmt::Debug;

use tracing::field::{DisplayValue, Field, Visit, display};
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber, Value};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::trace::Location;

/// Maximum number of fields of a span whose location is replaced. tokio's span has eight.
const FIELDS_MAX: usize = 16;

/// Column of a script's locations, as in the spans of awaits: only the line is known.
const COLUMN: u64 = 1;

thread_local! {
    /// Location of the task that this thread is spawning.
    static SPAWN_LOCATION: RefCell<Option<Location>> = const { RefCell::new(None) };
}

/// Calls `spawn`, which spawns a task at `location`.
pub fn spawn_at<R>(location: Option<Location>, spawn: impl FnOnce() -> R) -> R {
    SPAWN_LOCATION.set(location);
    let spawned = spawn();
    SPAWN_LOCATION.set(None);
    spawned
}

/// Wraps a layer that reads the locations of tasks.
pub struct SpawnLocationLayer<L>(pub L);

impl<S: Subscriber, L: Layer<S>> Layer<S> for SpawnLocationLayer<L> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let is_task = attributes.metadata().name() == "runtime.spawn";
        match SPAWN_LOCATION.with_borrow(Clone::clone).filter(|_| is_task) {
            Some(location) => {
                let mut fields = SpanFields { location, values: Vec::new() };
                attributes.record(&mut fields);
                fields.visit_attributes(attributes, |attributes| self.0.on_new_span(attributes, id, context));
            }
            None => self.0.on_new_span(attributes, id, context),
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.0.on_event(event, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.on_close(id, context);
    }
}

/// The value of a field.
enum FieldValue {
    Text(String),
    Unsigned(u64),
    Signed(i64),
    Boolean(bool),
    /// Text that was recorded with its `Debug` or `Display` representation.
    Formatted(DisplayValue<String>),
}

impl FieldValue {
    fn as_value(&self) -> &dyn Value {
        match self {
            Self::Text(text) => text,
            Self::Unsigned(number) => number,
            Self::Signed(number) => number,
            Self::Boolean(yes) => yes,
            Self::Formatted(text) => text,
        }
    }
}

/// The fields of a span, with another location.
struct SpanFields {
    location: Location,
    values: Vec<(Field, FieldValue)>,
}

impl SpanFields {
    fn push(&mut self, field: &Field, value: FieldValue) {
        let value = match field.name() {
            "loc.file" => FieldValue::Text(self.location.file.to_string()),
            "loc.line" => FieldValue::Unsigned(self.location.line.into()),
            "loc.col" => FieldValue::Unsigned(COLUMN),
            _ => value,
        };
        self.values.push((field.clone(), value));
    }

    /// Calls `visit` with attributes that have these fields; with the original ones if there are too many.
    fn visit_attributes(&self, original: &Attributes<'_>, visit: impl FnOnce(&Attributes<'_>)) {
        let Some((padding, _)) = self.values.first().filter(|_| self.values.len() <= FIELDS_MAX) else {
            return visit(original);
        };
        let values: [(&Field, Option<&dyn Value>); FIELDS_MAX] = std::array::from_fn(|index| {
            self.values.get(index).map_or((padding, None), |(field, value)| (field, Some(value.as_value())))
        });
        let metadata = original.metadata();
        let values = metadata.fields().value_set(&values);
        match original.parent() {
            Some(parent) => visit(&Attributes::child_of(parent.clone(), metadata, &values)),
            None if original.is_root() => visit(&Attributes::new_root(metadata, &values)),
            None => visit(&Attributes::new(metadata, &values)),
        }
    }
}

impl Visit for SpanFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, FieldValue::Text(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, FieldValue::Unsigned(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, FieldValue::Signed(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, FieldValue::Boolean(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push(field, FieldValue::Formatted(display(format!("{value:?}"))));
    }
}
