//! What a person types for a parameter, read and checked.

use super::manifest::{Param, ParamKind, ParamValue};

impl Param {
    /// Reads `text` as a value of this parameter, or says what is allowed.
    pub fn parse(&self, text: &str) -> Result<ParamValue, String> {
        match &self.kind {
            ParamKind::Number { min, max, .. } => match text.trim().parse::<f64>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(ParamValue::Number(number)),
                _ => Err(format!("`{text}` is not a number from {min} to {max}")),
            },
            ParamKind::Duration { min, max } => match humantime::parse_duration(text.trim()) {
                Ok(duration) if (*min..=*max).contains(&duration) => Ok(ParamValue::Duration(duration)),
                _ => Err(format!("`{text}` is not a duration from {min:?} to {max:?}")),
            },
            ParamKind::Boolean => match text.trim() {
                "true" | "yes" => Ok(ParamValue::Boolean(true)),
                "false" | "no" => Ok(ParamValue::Boolean(false)),
                _ => Err(format!("`{text}` is neither true nor false")),
            },
            ParamKind::Choice(choices) if choices.iter().any(|choice| choice == text) => {
                Ok(ParamValue::Text(text.into()))
            }
            ParamKind::Choice(choices) => Err(format!("`{text}` is none of {}", choices.join(", "))),
            ParamKind::Text { max_chars } if text.chars().count() <= *max_chars => Ok(ParamValue::Text(text.into())),
            ParamKind::Text { max_chars } => Err(format!("longer than {max_chars} characters")),
        }
    }
}
