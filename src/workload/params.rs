//! Parses and checks the values of workload parameters.

use super::closest_match::closest_match;
use super::manifest::{Manifest, Param, ParamKind, ParamValue};
use crate::control::duration;

/// The reason why a parameter setting is invalid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParamError {
    /// The workload has no parameter of this name.
    #[error("`{workload}` has no parameter `{name}`{advice}")]
    Unknown {
        /// The name of the workload.
        workload: String,
        /// The unknown parameter name.
        name: String,
        /// A suggestion that continues the message.
        advice: String,
    },
    /// The value is not of the parameter's type or not within its bounds.
    #[error("parameter `{name}`: {reason}")]
    Invalid {
        /// The name of the parameter.
        name: String,
        /// What is wrong with the value, and which values are allowed.
        reason: String,
    },
}

impl Param {
    /// Parses and checks a value.
    ///
    /// # Errors
    /// Returns a message for the user that names the allowed values.
    pub fn parse(&self, text: &str) -> Result<ParamValue, String> {
        let value = match &self.kind {
            ParamKind::Number { .. } => ParamValue::Number(
                text.trim()
                    .replace('_', "")
                    .parse()
                    .map_err(|_| format!("`{text}` is not a number; help: use {}", self.allowed_values()))?,
            ),
            ParamKind::Duration { .. } => ParamValue::Duration(duration::parse(text)?),
            ParamKind::Boolean => ParamValue::Boolean(match text.trim() {
                "true" | "yes" | "on" | "1" => true,
                "false" | "no" | "off" | "0" => false,
                _ => return Err(format!("`{text}` is neither true nor false")),
            }),
            ParamKind::Choice(_) => ParamValue::Text(text.trim().to_owned()),
            ParamKind::Text { .. } => ParamValue::Text(text.to_owned()),
        };
        self.check(&value)?;
        Ok(value)
    }

    /// Checks that `value` has this parameter's type and is within its bounds.
    ///
    /// # Errors
    /// Returns a message for the user that names the allowed values.
    pub fn check(&self, value: &ParamValue) -> Result<(), String> {
        match (&self.kind, value) {
            (ParamKind::Number { min, max, whole }, ParamValue::Number(number)) => {
                if *whole && number.fract() != 0.0 {
                    return Err(format!("{number} is not whole; help: use {}", self.allowed_values()));
                }
                // The negated range check also rejects NaN.
                if !(*min..=*max).contains(number) {
                    return Err(format!("{number} is out of bounds; help: use {}", self.allowed_values()));
                }
            }
            (ParamKind::Duration { min, max }, ParamValue::Duration(duration)) => {
                if !(*min..=*max).contains(duration) {
                    return Err(format!("{value} is out of bounds; help: use {}", self.allowed_values()));
                }
            }
            (ParamKind::Boolean, ParamValue::Boolean(_)) => {}
            (ParamKind::Choice(choices), ParamValue::Text(text)) => {
                if !choices.contains(text) {
                    let near = closest_match(text, choices.iter().map(String::as_str));
                    let advice = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                    return Err(format!("`{text}` is not a choice; help: use {}{advice}", self.allowed_values()));
                }
            }
            (ParamKind::Text { max_chars }, ParamValue::Text(text)) => {
                let chars = text.chars().count();
                if chars > *max_chars {
                    return Err(format!("too long: {chars} characters; help: use {}", self.allowed_values()));
                }
            }
            _ => return Err(format!("`{value}` has the wrong type; help: use {}", self.allowed_values())),
        }
        Ok(())
    }

    /// Describes the allowed values, for example `a whole number from 1 to 100`.
    pub fn allowed_values(&self) -> String {
        match &self.kind {
            ParamKind::Number { min, max, whole } => {
                format!("a {}number from {min} to {max}", if *whole { "whole " } else { "" })
            }
            ParamKind::Duration { min, max } => {
                let (min, max) = (ParamValue::Duration(*min), ParamValue::Duration(*max));
                format!("a duration from {min} to {max}")
            }
            ParamKind::Boolean => "true or false".to_owned(),
            ParamKind::Choice(choices) => format!("one of {}", choices.join(", ")),
            ParamKind::Text { max_chars } => format!("at most {max_chars} characters"),
        }
    }
}

/// Returns a value for every parameter, in the manifest's order. The last setting of a name wins over the default.
///
/// # Errors
/// Fails if a setting names an unknown parameter or has an invalid value.
///
/// ```
/// use loopscope::workload::{catalog, params};
///
/// let manifest = catalog::find("countasync")?;
/// let error = params::resolve(&manifest, &[("counter".to_owned(), "5".to_owned())]).unwrap_err();
/// assert!(error.to_string().contains("did you mean `counters`?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn resolve(manifest: &Manifest, settings: &[(String, String)]) -> Result<Vec<(String, ParamValue)>, ParamError> {
    let mut values: Vec<_> = manifest.params.iter().map(|param| (param.name.clone(), param.default.clone())).collect();
    for (name, text) in settings {
        let Some(index) = manifest.params.iter().position(|param| param.name == *name) else {
            return Err(unknown_param(manifest, name));
        };
        values[index].1 =
            manifest.params[index].parse(text).map_err(|reason| ParamError::Invalid { name: name.clone(), reason })?;
    }
    Ok(values)
}

fn unknown_param(manifest: &Manifest, name: &str) -> ParamError {
    let names: Vec<&str> = manifest.params.iter().map(|param| param.name.as_str()).collect();
    let advice = match closest_match(name, names.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if names.is_empty() => "; it has no parameters".to_owned(),
        None => format!("; its parameters are {}", names.join(", ")),
    };
    ParamError::Unknown { workload: manifest.name.clone(), name: name.to_owned(), advice }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::ClockKind;
    use crate::workload::manifest::Expectations;

    fn param(name: &str, kind: ParamKind, default: ParamValue) -> Param {
        Param { name: name.to_owned(), help: String::new(), kind, default }
    }

    fn manifest() -> Manifest {
        let second = Duration::from_secs(1);
        Manifest {
            name: "demo".to_owned(),
            title: String::new(),
            lesson: String::new(),
            clock: ClockKind::Virtual,
            params: vec![
                param("counters", ParamKind::Number { min: 1.0, max: 10.0, whole: true }, ParamValue::Number(3.0)),
                param("pause", ParamKind::Duration { min: second, max: 60 * second }, ParamValue::Duration(second)),
                param(
                    "style",
                    ParamKind::Choice(vec!["calm".to_owned(), "wild".to_owned()]),
                    ParamValue::Text("calm".to_owned()),
                ),
            ],
            expects: Expectations::default(),
            file: "demo.lua".to_owned(),
            path: None,
            text: String::new(),
        }
    }

    fn settings(name: &str, text: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), text.to_owned())]
    }

    #[test]
    fn settings_override_defaults_in_order() {
        let values = resolve(&manifest(), &settings("pause", "1m")).expect("in bounds");
        assert_eq!(
            values,
            [
                ("counters".to_owned(), ParamValue::Number(3.0)),
                ("pause".to_owned(), ParamValue::Duration(Duration::from_secs(60))),
                ("style".to_owned(), ParamValue::Text("calm".to_owned())),
            ]
        );
    }

    #[test]
    fn error_names_allowed_values() {
        for (name, text, message) in [
            ("counters", "11", "parameter `counters`: 11 is out of bounds; help: use a whole number from 1 to 10"),
            ("counters", "2.5", "parameter `counters`: 2.5 is not whole; help: use a whole number from 1 to 10"),
            ("counters", "NaN", "parameter `counters`: NaN is not whole; help: use a whole number from 1 to 10"),
            ("counters", "many", "parameter `counters`: `many` is not a number; help: use a whole number from 1 to 10"),
            ("pause", "2h", "parameter `pause`: 2h is out of bounds; help: use a duration from 1s to 1m"),
            (
                "style",
                "wilt",
                "parameter `style`: `wilt` is not a choice; help: use one of calm, wild; did you mean `wild`?",
            ),
            ("conuters", "1", "`demo` has no parameter `conuters`; did you mean `counters`?"),
            ("zzz", "1", "`demo` has no parameter `zzz`; its parameters are counters, pause, style"),
        ] {
            let refusal = resolve(&manifest(), &settings(name, text)).expect_err(text);
            assert_eq!(refusal.to_string(), message);
        }
    }
}
