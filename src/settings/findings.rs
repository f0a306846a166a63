//! The settings table `[findings]`: the thresholds of the lints by name. Times are seconds, or text with a unit.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::number_or_text::NumberOrText;
use super::size::MemorySize;
use crate::control::duration;
use crate::insight::{Threshold, ThresholdUnit, Thresholds};

/// Deserializes the table. Thresholds that it does not specify have their defaults.
pub(super) struct ThresholdsSeed;

impl<'de> DeserializeSeed<'de> for ThresholdsSeed {
    type Value = Thresholds;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Thresholds, D::Error> {
        from.deserialize_map(ThresholdsVisitor)
    }
}

/// Visitor for the map from threshold names to values.
struct ThresholdsVisitor;

impl<'de> Visitor<'de> for ThresholdsVisitor {
    type Value = Thresholds;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a table of thresholds")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Thresholds, M::Error> {
        let mut thresholds = Thresholds::default();
        while let Some(threshold) = map.next_key_seed(ThresholdNameSeed)? {
            let value = map.next_value_seed(ThresholdValueSeed(threshold.unit))?;
            threshold.set(&mut thresholds, value);
        }
        Ok(thresholds)
    }
}

/// Deserializes a key. An unknown name is an error at the key's position.
struct ThresholdNameSeed;

impl<'de> DeserializeSeed<'de> for ThresholdNameSeed {
    type Value = &'static Threshold;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let key = String::deserialize(from)?;
        let found = Thresholds::ALL.iter().find(|threshold| threshold.name() == key);
        found.ok_or_else(|| {
            let names: Vec<_> = Thresholds::ALL.iter().map(Threshold::name).collect();
            D::Error::custom(format!("unknown threshold `{key}`, expected one of {}", names.join(", ")))
        })
    }
}

/// Deserializes a value into the unit of its threshold: nanoseconds, percent, bytes or a count.
struct ThresholdValueSeed(ThresholdUnit);

impl<'de> DeserializeSeed<'de> for ThresholdValueSeed {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<u64, D::Error> {
        let value = NumberOrText::deserialize(from)?;
        let from_seconds = |seconds| duration::from_seconds(seconds).map(duration::to_nanos).map_err(D::Error::custom);
        let refuse = |text: String, what: &str| D::Error::custom(format!("`{text}` is not {what}"));
        match (self.0, value) {
            (ThresholdUnit::Time, NumberOrText::Whole(seconds)) => from_seconds(seconds as f64),
            (ThresholdUnit::Time, NumberOrText::Number(seconds)) => from_seconds(seconds),
            (ThresholdUnit::Time, NumberOrText::Text(text)) => duration::parse_nanos(&text).map_err(D::Error::custom),
            (ThresholdUnit::Count, NumberOrText::Whole(count)) => Ok(count),
            (ThresholdUnit::Percent, NumberOrText::Whole(percent)) => Ok(percent),
            (ThresholdUnit::Bytes, NumberOrText::Whole(bytes)) => Ok(bytes),
            (ThresholdUnit::Bytes, NumberOrText::Text(text)) => {
                MemorySize::parse_bytes(&text).map(|bytes| bytes as u64).map_err(D::Error::custom)
            }
            (_, value) => Err(refuse(value.into_text(), "a whole number")),
        }
    }
}

/// Returns the value of a threshold in the notation of the settings file. It parses to the same value.
pub(super) fn format_threshold(threshold: &Threshold, thresholds: &Thresholds) -> String {
    let value = threshold.get(thresholds);
    match threshold.unit {
        ThresholdUnit::Time => format!("\"{}\"", humantime::format_duration(Duration::from_nanos(value))),
        ThresholdUnit::Bytes => match usize::try_from(value) {
            Ok(bytes) => format!("\"{}\"", MemorySize { bytes }),
            Err(_) => value.to_string(),
        },
        ThresholdUnit::Count | ThresholdUnit::Percent => value.to_string(),
    }
}
