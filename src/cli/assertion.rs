//! Assertions about the JSON report: `--assert 'PATH OP VALUE'`.
//!
//! The language is deliberately small, without arithmetic or boolean operators. Use several `--assert` options, or
//! process the report with another tool.

use crate::control::duration;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Maximum number of field names listed in an error.
const KEYS_OFFERED_MAX: usize = 20;

/// A parsed assertion.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// Source text.
    text: String,
    path: Vec<PathSegment>,
    operator: AssertOperator,
    /// Source text of the value.
    value_text: String,
    value: Value,
}

/// A segment of a path: `name` or `[index]`.
#[derive(Clone, Debug, PartialEq)]
enum PathSegment {
    Key(String),
    Index(usize),
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AssertOperator {
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Below,
    Above,
}

/// The result of checking an assertion.
#[derive(Clone, Debug, PartialEq)]
pub enum AssertResult {
    /// The assertion holds.
    Passed,
    /// The assertion does not hold. The message includes the actual value.
    Failed(String),
    /// The assertion does not apply to this report. The message includes the reason.
    Invalid(String),
}

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Longer operators first, so that `<=` does not parse as `<`.
        const OPERATORS: [(&str, AssertOperator); 6] = [
            ("==", AssertOperator::Equal),
            ("!=", AssertOperator::Unequal),
            ("<=", AssertOperator::AtMost),
            (">=", AssertOperator::AtLeast),
            ("<", AssertOperator::Below),
            (">", AssertOperator::Above),
        ];
        let usage_error = |what: &str| format!("{what} in `{text}`: use PATH OP VALUE, such as 'loop.busy_ns <= 3s'");
        let at = text.find(['=', '!', '<', '>']).ok_or_else(|| usage_error("missing operator"))?;
        let (sign, operator) = OPERATORS
            .into_iter()
            .find(|(sign, _)| text[at..].starts_with(sign))
            .ok_or_else(|| usage_error("unknown operator (== != <= >= < >)"))?;
        let path = parse_path(text[..at].trim()).map_err(|what| usage_error(&what))?;
        let value_text = text[at + sign.len()..].trim().to_owned();
        if value_text.is_empty() {
            return Err(usage_error("missing value"));
        }
        let is_time = matches!(path.last(), Some(PathSegment::Key(key)) if key.ends_with("_ns"));
        let value = parse_value(&value_text, is_time).map_err(|what| usage_error(&what))?;
        if !matches!(operator, AssertOperator::Equal | AssertOperator::Unequal) && !value.is_number() {
            return Err(usage_error("only numbers and durations can be ordered"));
        }
        Ok(Self { text: text.to_owned(), path, operator, value_text, value })
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Parses a path such as `tasks[0].state`.
fn parse_path(text: &str) -> Result<Vec<PathSegment>, String> {
    let mut segments = Vec::new();
    for part in text.split('.') {
        let (key, mut indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        let is_name = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        if !is_name(key) {
            return Err(format!("invalid field `{part}`"));
        }
        segments.push(PathSegment::Key(key.to_owned()));
        while let Some((index, rest)) = indices.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            segments.push(PathSegment::Index(index.parse().map_err(|_| format!("invalid index `{index}`"))?));
            indices = rest;
        }
        if !indices.is_empty() {
            return Err(format!("invalid field `{part}`"));
        }
    }
    Ok(segments)
}

/// Parses a value: JSON, a duration if the field is a time, or else a bare word.
fn parse_value(value_text: &str, is_time: bool) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_str(value_text) {
        return Ok(value);
    }
    if is_time {
        return duration::parse_nanos(value_text).map(Value::from);
    }
    if value_text.starts_with(['"', '=', '{', '[']) {
        return Err(format!("`{value_text}` is not a value"));
    }
    Ok(Value::from(value_text))
}

impl Assertion {
    /// Checks the assertion against a JSON report.
    pub fn check(&self, report: &Value) -> AssertResult {
        let actual = match self.find(report) {
            Ok(actual) => actual,
            Err(reason) => return AssertResult::Invalid(format!("`{self}` cannot be checked: {reason}")),
        };
        let holds = match self.operator {
            AssertOperator::Equal => equal(&actual, &self.value),
            AssertOperator::Unequal => !equal(&actual, &self.value),
            ordered => match compare(&actual, &self.value) {
                Some(order) => ordered.allows(order),
                None => {
                    let what = format!("{actual} cannot be compared with {}", self.value_text);
                    return AssertResult::Invalid(format!("`{self}` cannot be checked: {what}"));
                }
            },
        };
        if holds {
            AssertResult::Passed
        } else {
            AssertResult::Failed(format!("`{self}` does not hold: it is {actual}"))
        }
    }

    /// Returns the value at the path. Lists have one field, `length`.
    fn find(&self, report: &Value) -> Result<Value, String> {
        let mut found = report;
        let mut location = String::from("the report");
        for segment in &self.path {
            match (segment, found) {
                (PathSegment::Key(key), Value::Array(items)) if key == "length" => return Ok(items.len().into()),
                (PathSegment::Key(key), Value::Object(fields)) => {
                    found = fields.get(key).ok_or_else(|| {
                        let known: Vec<&str> = fields.keys().map(String::as_str).take(KEYS_OFFERED_MAX).collect();
                        format!("{location} has no field `{key}`; its fields are {}", known.join(", "))
                    })?;
                    location.clone_from(key);
                }
                (PathSegment::Key(key), Value::Array(_)) => {
                    return Err(format!("{location} is a list: use length or an index such as [0] instead of `{key}`"));
                }
                (PathSegment::Index(index), Value::Array(items)) => {
                    found = items.get(*index).ok_or_else(|| format!("{location} has {} entries", items.len()))?;
                    location = format!("{location}[{index}]");
                }
                _ => return Err(format!("{location} is {found}, which has no fields")),
            }
        }
        Ok(found.clone())
    }
}

impl AssertOperator {
    fn allows(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::AtMost => order.is_le(),
            Self::AtLeast => order.is_ge(),
            Self::Below => order.is_lt(),
            Self::Above => order.is_gt(),
        }
    }
}

/// Returns whether two values are equal. Numbers are compared by value: `1` equals `1.0`.
fn equal(actual: &Value, value: &Value) -> bool {
    compare(actual, value).map_or_else(|| actual == value, Ordering::is_eq)
}

/// Returns the order of two numbers. Integers are compared exactly: nanoseconds exceed the precision of `f64`.
fn compare(actual: &Value, value: &Value) -> Option<Ordering> {
    let whole = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    match (whole(actual), whole(value)) {
        (Some(actual), Some(value)) => Some(actual.cmp(&value)),
        _ => actual.as_f64()?.partial_cmp(&value.as_f64()?),
    }
}
