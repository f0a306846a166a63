//! Values that settings accept as a number or as text.

use serde::Deserialize;

/// A number or a string: settings accept both notations for speeds, sizes and times.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a string")]
pub(super) enum NumberOrText {
    Whole(u64),
    Number(f64),
    Text(String),
}

impl NumberOrText {
    /// Returns the value as text.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}
