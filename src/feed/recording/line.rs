//! One line of a recording, as console-subscriber writes it, borrowed from the buffer that it was read into.

use std::borrow::Cow;
use std::fmt;

use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};

/// The format that is understood; console-subscriber writes it into the first line.
pub const VERSION: u64 = 1;

/// The first line.
#[derive(Debug, Deserialize)]
pub struct Header {
    pub v: u64,
}

/// What happened. Ids are those of spans: of tasks, of resources and of their operations.
#[derive(Debug, PartialEq, Deserialize)]
pub enum Line<'a> {
    Spawn {
        id: u64,
        at: Stamp,
        #[serde(borrow)]
        fields: Vec<Field<'a>>,
    },
    Enter {
        id: u64,
        at: Stamp,
    },
    Exit {
        id: u64,
        at: Stamp,
    },
    Close {
        id: u64,
        at: Stamp,
    },
    Waker {
        id: u64,
        op: WakerOp,
        at: Stamp,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum WakerOp {
    Wake { self_wake: bool },
    WakeByRef { self_wake: bool },
    Clone,
    Drop,
}

/// A time of the system's clock, as serde writes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Stamp {
    secs_since_epoch: u64,
    nanos_since_epoch: u32,
}

impl Stamp {
    pub(super) fn new(secs_since_epoch: u64, nanos_since_epoch: u32) -> Self {
        Self { secs_since_epoch, nanos_since_epoch }
    }

    /// Nanoseconds since 1970; `None` past the year 2554.
    pub fn epoch_ns(self) -> Option<u64> {
        self.secs_since_epoch.checked_mul(1_000_000_000)?.checked_add(self.nanos_since_epoch.into())
    }
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct Field<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub value: Value<'a>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Text(Cow<'a, str>),
    /// Of a kind that nothing here asks for.
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of a field")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }
}

/// Why a line tells nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untold {
    /// It is whole, and an event that is not of this version.
    Unknown,
    /// It is not what console-subscriber writes.
    Broken(String),
}

impl<'a> Line<'a> {
    /// Reads one line, without its end.
    ///
    /// # Errors
    /// Where it is broken, or tells of something that is not known.
    pub fn parse(line: &'a [u8]) -> Result<Self, Untold> {
        if let Some(line) = super::exact::read(line) {
            return Ok(line);
        }
        serde_json::from_slice(line).map_err(|error| {
            const KNOWN: [&str; 5] = ["Spawn", "Enter", "Exit", "Close", "Waker"];
            let whole: Result<FxHashMap<Cow<str>, IgnoredAny>, _> = serde_json::from_slice(line);
            match whole {
                Ok(events) if !events.is_empty() && events.keys().all(|name| !KNOWN.contains(&&**name)) => {
                    Untold::Unknown
                }
                // Its line number within this one line says nothing.
                _ => Untold::Broken(error.to_string().replace(" at line 1 column", " at column")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_version_one_is_read() {
        let at = Stamp { secs_since_epoch: 7, nanos_since_epoch: 9 };
        let stamp = r#""at":{"secs_since_epoch":7,"nanos_since_epoch":9}"#;
        let read = |text: &str| format!("{:?}", Line::parse(text.as_bytes()));
        let said = |line: Line| format!("{:?}", Ok::<_, Untold>(line));
        assert_eq!(read(&format!(r#"{{"Enter":{{"id":8,{stamp}}}}}"#)), said(Line::Enter { id: 8, at }));
        assert_eq!(
            read(&format!(r#"{{"Waker":{{"id":8,"op":{{"WakeByRef":{{"self_wake":true}}}},{stamp},"more":[1]}}}}"#)),
            said(Line::Waker { id: 8, op: WakerOp::WakeByRef { self_wake: true }, at })
        );
        assert_eq!(
            read(&format!(r#"{{"Waker":{{"id":8,"op":"Clone",{stamp}}}}}"#)),
            said(Line::Waker { id: 8, op: WakerOp::Clone, at })
        );
        let fields = r#"[{"name":"task.name","value":"a\"b"},{"name":"size","value":3},{"name":"x","value":-3}]"#;
        let fields_read = vec![
            Field { name: "task.name".into(), value: Value::Text("a\"b".into()) },
            Field { name: "size".into(), value: Value::Number(3) },
            Field { name: "x".into(), value: Value::Other },
        ];
        assert_eq!(
            read(&format!(r#"{{"Spawn":{{"id":8,{stamp},"fields":{fields}}}}}"#)),
            said(Line::Spawn { id: 8, at, fields: fields_read })
        );
        assert_eq!(at.epoch_ns(), Some(7_000_000_009));
    }

    #[test]
    fn what_is_broken_and_what_is_only_unknown_are_told_apart() {
        assert_eq!(Line::parse(br#"{"Resource":{"id":1}}"#), Err(Untold::Unknown));
        for broken in ["", "{", "[]", "7", "{}", r#"{"Enter":{"id":1}}"#, r#"{"Enter":{"id":-1,"at":{}}}"#, "\u{0}"] {
            assert!(matches!(Line::parse(broken.as_bytes()), Err(Untold::Broken(_))), "{broken:?}");
        }
    }
}
