//! The table `[findings]`: the thresholds of the lints by name, times as text with a unit or as seconds.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::file::Said;
use super::size::Size;
use crate::insight::{Measure, Threshold, Thresholds};

/// Reads the table.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Thresholds>, D::Error> {
    from.deserialize_map(Table).map(Some)
}

struct Table;

impl<'de> Visitor<'de> for Table {
    type Value = Thresholds;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a table of thresholds")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Thresholds, M::Error> {
        let mut thresholds = Thresholds::default();
        while let Some(threshold) = map.next_key_seed(Name)? {
            let value = map.next_value_seed(Value(threshold.measure))?;
            threshold.set(&mut thresholds, value);
        }
        Ok(thresholds)
    }
}

/// A key, refused where it stands if nothing is called so.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = &'static Threshold;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let said = String::deserialize(from)?;
        let found = Thresholds::ALL.iter().find(|threshold| threshold.name() == said);
        found.ok_or_else(|| {
            let names: Vec<_> = Thresholds::ALL.iter().map(Threshold::name).collect();
            D::Error::custom(format!("unknown threshold `{said}`, expected one of {}", names.join(", ")))
        })
    }
}

/// A value, in the unit that its threshold is kept in.
struct Value(Measure);

impl<'de> DeserializeSeed<'de> for Value {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<u64, D::Error> {
        let said = Said::deserialize(from)?;
        let refuse = |text: String, what: &str| D::Error::custom(format!("`{text}` is not {what}"));
        match (self.0, said) {
            (Measure::Time, Said::Whole(seconds)) => Ok(seconds.saturating_mul(1_000_000_000)),
            (Measure::Time, Said::Number(seconds)) => Duration::try_from_secs_f64(seconds)
                .map(nanoseconds)
                .map_err(|_| refuse(seconds.to_string(), "a duration: give seconds, or text such as \"10ms\"")),
            (Measure::Time, Said::Text(text)) => humantime::parse_duration(&text)
                .map(nanoseconds)
                .map_err(|_| refuse(text, "a duration: give seconds, or text such as \"10ms\"")),
            (Measure::Count, Said::Whole(count)) => Ok(count),
            (Measure::Percent, Said::Whole(percent)) => Ok(percent),
            (Measure::Size, Said::Whole(bytes)) => Ok(bytes),
            (Measure::Size, Said::Text(text)) => {
                Size::amount(&text).map(|bytes| bytes as u64).map_err(D::Error::custom)
            }
            (_, said) => Err(refuse(said.text(), "a whole number")),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes the table with every threshold, as a settings file has it.
///
/// # Errors
/// Whatever the writer refuses.
pub fn write_findings(thresholds: &Thresholds, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n[findings]")?;
    for threshold in Thresholds::ALL {
        let value = threshold.get(thresholds);
        match threshold.measure {
            Measure::Time => {
                let duration = humantime::format_duration(Duration::from_nanos(value)).to_string();
                writeln!(out, "{} = \"{duration}\"", threshold.name())?;
            }
            // To the byte: what is written here is read again.
            Measure::Size if value.is_multiple_of(1 << 10) => {
                writeln!(out, "{} = \"{} KiB\"", threshold.name(), value >> 10)?;
            }
            Measure::Size => writeln!(out, "{} = {value}", threshold.name())?,
            Measure::Count | Measure::Percent => writeln!(out, "{} = {value}", threshold.name())?,
        }
    }
    Ok(())
}
