//! The settings table `[findings]`: the thresholds of the lints by name. Times are seconds, or text with a unit.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::file::NumberOrText;
use super::size::MemorySize;
use crate::control::duration;
use crate::insight::{Threshold, ThresholdUnit, Thresholds};

/// Deserializes the table. Thresholds that it does not specify have their defaults.
pub(super) fn deserialize_thresholds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Thresholds>, D::Error> {
    from.deserialize_map(ThresholdsVisitor).map(Some)
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

/// Writes the table with every threshold, in the format of a settings file.
///
/// # Errors
/// Returns errors of the writer.
pub fn write_thresholds(thresholds: &Thresholds, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n[findings]")?;
    Thresholds::ALL.iter().try_for_each(|threshold| writeln!(out, "{}", threshold_line(threshold, thresholds)))
}

/// Formats a threshold as a line of a settings file, such as `blocked_loop = "100ms"`.
pub(super) fn threshold_line(threshold: &Threshold, thresholds: &Thresholds) -> String {
    let (name, value) = (threshold.name(), threshold.get(thresholds));
    match threshold.unit {
        ThresholdUnit::Time => format!("{name} = \"{}\"", humantime::format_duration(Duration::from_nanos(value))),
        // Exact to the byte, so that the output reads back as the same value.
        ThresholdUnit::Bytes if value.is_multiple_of(1 << 10) => format!("{name} = \"{} KiB\"", value >> 10),
        ThresholdUnit::Bytes | ThresholdUnit::Count | ThresholdUnit::Percent => format!("{name} = {value}"),
    }
}
