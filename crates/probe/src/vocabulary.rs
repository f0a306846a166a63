//! The spans and events that tokio emits about tasks, resources and operations.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use arrayvec::ArrayString;
use tracing_core::field::{Field, Visit};
use tracing_core::{Event, Metadata};

use crate::sites::SiteKey;

/// What a callsite stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallsiteKind {
    /// The span of a task.
    Task,
    /// The span of a resource.
    Resource,
    /// The span of an operation.
    Operation,
    /// The span of the polls of an operation.
    OperationPoll,
    /// An event of a waker.
    Waker,
    /// An event that says whether the poll of an operation was ready.
    PollOp,
    /// An event that changes an attribute of a resource.
    ResourceUpdate,
}

/// Kinds of callsites that were seen, each with the address of its metadata, which stays where it is: comparing the names
/// anew for each span would take longer than recording it.
static SEEN: [AtomicUsize; SEEN_MAX] = [const { AtomicUsize::new(0) }; SEEN_MAX];
const SEEN_MAX: usize = 256;

impl CallsiteKind {
    const ALL: [Self; 7] = [
        Self::Task,
        Self::Resource,
        Self::Operation,
        Self::OperationPoll,
        Self::Waker,
        Self::PollOp,
        Self::ResourceUpdate,
    ];

    /// Returns the kind of a callsite that may be seen again; `None` if it is not one of tokio's.
    #[inline]
    pub(crate) fn of_static(metadata: &'static Metadata<'static>) -> Option<Self> {
        let address = std::ptr::from_ref(metadata).addr();
        // Metadata is aligned to eight bytes, which leaves three bits for the kind.
        let seen = SEEN.get((address >> 3) % SEEN_MAX)?;
        let found = seen.load(Ordering::Relaxed);
        if found & !7 == address {
            return Self::ALL.get((found & 7).wrapping_sub(1)).copied();
        }
        let kind = Self::of(metadata)?;
        if address & 7 == 0 {
            seen.store(address | (kind as usize + 1), Ordering::Relaxed);
        }
        Some(kind)
    }

    /// Returns the kind of a callsite; `None` if it is not one of tokio's.
    pub(crate) fn of(metadata: &Metadata<'_>) -> Option<Self> {
        if metadata.is_span() {
            return match metadata.name() {
                "runtime.spawn" => Some(Self::Task),
                "runtime.resource" => Some(Self::Resource),
                "runtime.resource.async_op" => Some(Self::Operation),
                "runtime.resource.async_op.poll" => Some(Self::OperationPoll),
                _ => None,
            };
        }
        match metadata.target() {
            "tokio::task::waker" => Some(Self::Waker),
            "runtime::resource::poll_op" => Some(Self::PollOp),
            "runtime::resource::state_update" => Some(Self::ResourceUpdate),
            _ => None,
        }
    }

    /// Returns whether spans of this kind are observed even while nothing is recorded.
    pub(crate) fn is_always_observed(self) -> bool {
        matches!(self, Self::Task | Self::Resource)
    }
}

/// Text of limited length. What does not fit is cut.
#[derive(Default)]
pub(crate) struct Text<const N: usize>(ArrayString<N>);

impl<const N: usize> Text<N> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn set(&mut self, text: &str) {
        self.0.clear();
        let _ = self.write_str(text);
    }

    fn set_debug(&mut self, value: &dyn fmt::Debug) {
        self.0.clear();
        let _ = write!(self, "{value:?}");
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut fitting = text.len().min(self.0.remaining_capacity());
        while !text.is_char_boundary(fitting) {
            fitting -= 1;
        }
        text.get(..fitting).map_or(Ok(()), |text| self.0.write_str(text))
    }
}

/// Fields of a new span.
#[derive(Default)]
pub(crate) struct SpanFields {
    pub(crate) task_id: u64,
    pub(crate) task_name: Text<128>,
    pub(crate) kind: Text<32>,
    /// Type of a resource, source of an operation, or function of a task.
    pub(crate) name: Text<256>,
    file: Text<256>,
    line: u32,
    column: u32,
    size_bytes: u64,
    original_size_bytes: u64,
    is_internal: bool,
    /// The attributes of the resources in it are its own.
    pub(crate) inherits: bool,
}

impl SpanFields {
    /// Clears the fields.
    pub(crate) fn clear(&mut self) {
        self.task_name.0.clear();
        self.kind.0.clear();
        self.name.0.clear();
        self.file.0.clear();
        (self.task_id, self.line, self.column) = (0, 0, 0);
        (self.size_bytes, self.original_size_bytes) = (0, 0);
        (self.is_internal, self.inherits) = (false, false);
    }

    /// Returns the site that the fields describe.
    pub(crate) fn site(&self) -> SiteKey<'_> {
        SiteKey {
            kind: self.kind.as_str(),
            name: self.name.as_str(),
            file: self.file.as_str(),
            line: self.line,
            column: self.column,
            size_bytes: self.size_bytes,
            original_size_bytes: self.original_size_bytes,
            is_internal: self.is_internal,
        }
    }
}

impl Visit for SpanFields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "task.id" => self.task_id = value,
            "size.bytes" => self.size_bytes = value,
            "original_size.bytes" => self.original_size_bytes = value,
            "loc.line" => self.line = u32::try_from(value).unwrap_or(0),
            "loc.col" => self.column = u32::try_from(value).unwrap_or(0),
            _ => {}
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_u64(field, u64::try_from(value).unwrap_or(0));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "is_internal" => self.is_internal = value,
            "inherits_child_attrs" => self.inherits = value,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "loc.file" => self.file.set(value),
            "kind" => self.kind.set(value),
            "concrete_type" | "source" | "fn" => self.name.set(value),
            "task.name" => self.task_name.set(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "kind" => self.kind.set_debug(value),
            "concrete_type" | "source" | "fn" => self.name.set_debug(value),
            "task.name" => self.task_name.set_debug(value),
            _ => {}
        }
    }
}

/// What happened to a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakerOp {
    Wake,
    Clone,
    Drop,
}

/// The id of the span of the task that an event of a waker names.
#[derive(Default)]
pub(crate) struct WakerSpan(pub(crate) u64);

impl Visit for WakerSpan {
    #[inline]
    fn record_u64(&mut self, _field: &Field, value: u64) {
        // The only number.
        self.0 = value;
    }

    #[inline]
    fn record_str(&mut self, _field: &Field, _value: &str) {}

    #[inline]
    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

/// What an event of a waker says that has happened.
#[derive(Default)]
pub(crate) struct WakerOpField(pub(crate) Option<WakerOp>);

impl Visit for WakerOpField {
    fn record_str(&mut self, _field: &Field, value: &str) {
        self.0 = match value {
            "waker.wake" | "waker.wake_by_ref" => Some(WakerOp::Wake),
            "waker.clone" => Some(WakerOp::Clone),
            "waker.drop" => Some(WakerOp::Drop),
            _ => self.0,
        };
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

/// Returns whether the poll of an operation was ready, as a `poll_op` event says.
pub(crate) fn is_ready(event: &Event<'_>) -> Option<bool> {
    #[derive(Default)]
    struct PollOpFields(Option<bool>);

    impl Visit for PollOpFields {
        fn record_bool(&mut self, field: &Field, value: bool) {
            if field.name() == "is_ready" {
                self.0 = Some(value);
            }
        }

        fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
    }

    let mut fields = PollOpFields::default();
    event.record(&mut fields);
    fields.0
}

/// An attribute of a resource, as a `state_update` event says. Only numbers and truth values are recorded.
#[derive(Default)]
pub(crate) struct AttributeFields {
    /// Name of the attribute. A name that ends in ` +` or ` -` changes its value by the number.
    pub(crate) name: Text<64>,
    pub(crate) value: Option<u64>,
}

impl AttributeFields {
    /// Returns the attribute that an event changes.
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    fn set(&mut self, field: &Field, value: u64) {
        if self.value.is_none() {
            self.name.set(field.name());
            self.value = Some(value);
        }
    }
}

impl Visit for AttributeFields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        // Attributes count; a negative one would be read as its two's complement.
        self.set(field, value.cast_unsigned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, u64::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name().ends_with(".op") {
            let suffix = match value {
                "add" => " +",
                "sub" => " -",
                _ => return,
            };
            let _ = self.name.write_str(suffix);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}
