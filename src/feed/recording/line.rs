//! One line of a recording as console-subscriber writes it, borrowed from the input buffer.

mod fast_parse;

use std::borrow::Cow;
use std::fmt;

use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};

/// The supported format version, as in the header line.
pub const FORMAT_VERSION: u64 = 1;

/// The first line.
#[derive(Debug, Deserialize)]
pub struct RecordingHeader {
    /// Format version.
    pub v: u64,
}

/// An event. Ids are span ids of tasks, resources and async operations.
#[derive(Debug, PartialEq, Deserialize)]
pub enum RecordingLine<'a> {
    /// A task was spawned.
    Spawn {
        /// The task's span id.
        id: u64,
        /// When it was spawned.
        at: RecordingTimestamp,
        /// Fields of the span, such as `task.name`.
        #[serde(borrow)]
        fields: Vec<SpawnField<'a>>,
    },
    /// A span was entered: for a task, a poll.
    Enter {
        /// The span id.
        id: u64,
        /// When it was entered.
        at: RecordingTimestamp,
    },
    /// A span was exited.
    Exit {
        /// The span id.
        id: u64,
        /// When it was exited.
        at: RecordingTimestamp,
    },
    /// A span was closed.
    Close {
        /// The span id.
        id: u64,
        /// When it was closed.
        at: RecordingTimestamp,
    },
    /// A waker was used.
    Waker {
        /// The span id of the task that the waker wakes.
        id: u64,
        /// What was done with the waker.
        op: WakerOp,
        /// When.
        at: RecordingTimestamp,
    },
}

/// What was done with a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum WakerOp {
    /// Woken by value.
    Wake {
        /// Whether it happened during the task's own poll.
        self_wake: bool,
    },
    /// Woken by reference.
    WakeByRef {
        /// Whether it happened during the task's own poll.
        self_wake: bool,
    },
    /// Cloned.
    Clone,
    /// Dropped.
    Drop,
}

/// A system time in serde's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct RecordingTimestamp {
    secs_since_epoch: u64,
    nanos_since_epoch: u32,
}

impl RecordingTimestamp {
    /// Creates a timestamp from its parts.
    fn new(secs_since_epoch: u64, nanos_since_epoch: u32) -> Self {
        Self { secs_since_epoch, nanos_since_epoch }
    }

    /// Returns nanoseconds since 1970; `None` past the year 2554.
    pub fn epoch_ns(self) -> Option<u64> {
        self.secs_since_epoch.checked_mul(1_000_000_000)?.checked_add(self.nanos_since_epoch.into())
    }
}

/// A field of a task's span.
#[derive(Debug, PartialEq, Deserialize)]
pub struct SpawnField<'a> {
    #[serde(borrow)]
    /// The field's name, for example `task.name`.
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    /// The field's value.
    pub value: SpawnFieldValue<'a>,
}

/// The value of a [`SpawnField`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpawnFieldValue<'a> {
    /// An unsigned integer.
    Number(u64),
    /// A string.
    Text(Cow<'a, str>),
    /// Any other type; not used.
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for SpawnFieldValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpawnFieldVisitor)
    }
}

struct SpawnFieldVisitor;

impl<'de> Visitor<'de> for SpawnFieldVisitor {
    type Value = SpawnFieldValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field value")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(SpawnFieldValue::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(SpawnFieldValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(SpawnFieldValue::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(SpawnFieldValue::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(SpawnFieldValue::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(SpawnFieldValue::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(SpawnFieldValue::Text(Cow::Owned(text.to_owned())))
    }
}

/// Why a line yields no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// It is well-formed, but of a kind that this version does not have.
    UnknownEvent,
    /// It is malformed. Holds the reason.
    Malformed(String),
}

impl<'a> RecordingLine<'a> {
    /// Parses one line, without its end.
    ///
    /// # Errors
    /// If it is malformed, or an unknown event.
    pub fn parse(line: &'a [u8]) -> Result<Self, LineError> {
        if let Some(line) = fast_parse::parse(line) {
            return Ok(line);
        }
        serde_json::from_slice(line).map_err(|error| {
            const EVENT_NAMES: [&str; 5] = ["Spawn", "Enter", "Exit", "Close", "Waker"];
            let whole: Result<FxHashMap<Cow<str>, IgnoredAny>, _> = serde_json::from_slice(line);
            match whole {
                Ok(events) if !events.is_empty() && events.keys().all(|name| !EVENT_NAMES.contains(&&**name)) => {
                    LineError::UnknownEvent
                }
                // The line number within this one line is meaningless.
                _ => LineError::Malformed(error.to_string().replace(" at line 1 column", " at column")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_event_of_version_1() {
        let at = RecordingTimestamp { secs_since_epoch: 7, nanos_since_epoch: 9 };
        let stamp = r#""at":{"secs_since_epoch":7,"nanos_since_epoch":9}"#;
        let read = |text: &str| format!("{:?}", RecordingLine::parse(text.as_bytes()));
        let expected = |line: RecordingLine| format!("{:?}", Ok::<_, LineError>(line));
        assert_eq!(read(&format!(r#"{{"Enter":{{"id":8,{stamp}}}}}"#)), expected(RecordingLine::Enter { id: 8, at }));
        assert_eq!(
            read(&format!(r#"{{"Waker":{{"id":8,"op":{{"WakeByRef":{{"self_wake":true}}}},{stamp},"more":[1]}}}}"#)),
            expected(RecordingLine::Waker { id: 8, op: WakerOp::WakeByRef { self_wake: true }, at })
        );
        assert_eq!(
            read(&format!(r#"{{"Waker":{{"id":8,"op":"Clone",{stamp}}}}}"#)),
            expected(RecordingLine::Waker { id: 8, op: WakerOp::Clone, at })
        );
        let fields = r#"[{"name":"task.name","value":"a\"b"},{"name":"size","value":3},{"name":"x","value":-3}]"#;
        let fields_read = vec![
            SpawnField { name: "task.name".into(), value: SpawnFieldValue::Text("a\"b".into()) },
            SpawnField { name: "size".into(), value: SpawnFieldValue::Number(3) },
            SpawnField { name: "x".into(), value: SpawnFieldValue::Other },
        ];
        assert_eq!(
            read(&format!(r#"{{"Spawn":{{"id":8,{stamp},"fields":{fields}}}}}"#)),
            expected(RecordingLine::Spawn { id: 8, at, fields: fields_read })
        );
        assert_eq!(at.epoch_ns(), Some(7_000_000_009));
    }

    #[test]
    fn tells_malformed_from_unknown_lines() {
        assert_eq!(RecordingLine::parse(br#"{"Resource":{"id":1}}"#), Err(LineError::UnknownEvent));
        for malformed in ["", "{", "[]", "7", "{}", r#"{"Enter":{"id":1}}"#, r#"{"Enter":{"id":-1,"at":{}}}"#, "\u{0}"]
        {
            assert!(
                matches!(RecordingLine::parse(malformed.as_bytes()), Err(LineError::Malformed(_))),
                "{malformed:?}"
            );
        }
    }
}
