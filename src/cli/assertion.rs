//! Assertions about the JSON report: `--assert 'PATH OP VALUE'`.
//!
//! A path may select entries of a list: `findings[name=deadlock].count == 0`. The language is deliberately small, without
//! arithmetic or boolean operators. Use several `--assert` options, or process the report with another tool.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::lint_name;
use crate::control::duration;

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

/// A segment of a path: `name`, `[index]` or `[field=value]`.
#[derive(Clone, Debug, PartialEq)]
enum PathSegment {
    Key(String),
    Index(usize),
    /// The entries of a list whose field has this value.
    Filter(String, Value),
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
        let at = find_operator(text).ok_or_else(|| usage_error("missing operator"))?;
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

/// Returns the position of the first operator outside of brackets.
fn find_operator(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    let is_operator = |(_, char): &(usize, char)| {
        depth += i32::from(*char == '[') - i32::from(*char == ']');
        depth == 0 && matches!(char, '=' | '!' | '<' | '>')
    };
    let outside = text.char_indices().find(is_operator).map(|(at, _)| at);
    // A bracket that is not closed is an error of the path.
    outside.or_else(|| text.find(['=', '!', '<', '>']))
}

/// Splits a path at the dots outside of brackets.
fn split_path(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let is_separator = |char: char| {
        depth += i32::from(char == '[') - i32::from(char == ']');
        depth == 0 && char == '.'
    };
    text.split(is_separator).collect()
}

/// Parses what is in brackets: an index, or a field and its value.
fn parse_brackets(text: &str) -> Result<PathSegment, String> {
    let Some((field, value_text)) = text.split_once('=') else {
        return text.parse().map(PathSegment::Index).map_err(|_| format!("invalid index `{text}`"));
    };
    let (field, value_text) = (field.trim(), value_text.trim());
    if field.is_empty() || value_text.is_empty() {
        return Err(format!("invalid filter `{text}`"));
    }
    let value = parse_value(value_text, field.ends_with("_ns"))?;
    Ok(PathSegment::Filter(field.to_owned(), value))
}

/// Rejects a filter of findings by a name that no lint has: it would never match.
fn check_lint_name(path: &[PathSegment]) -> Result<(), String> {
    match path {
        [PathSegment::Key(list), PathSegment::Filter(field, Value::String(name)), ..]
            if list == "findings" && field == "name" =>
        {
            lint_name::parse_lint_name(name).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// Parses a path such as `tasks[0].state` or `findings[name=leak].count`.
fn parse_path(text: &str) -> Result<Vec<PathSegment>, String> {
    let mut segments = Vec::new();
    for part in split_path(text) {
        let (key, mut indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        let is_name = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        if !is_name(key) {
            return Err(format!("invalid field `{part}`"));
        }
        segments.push(PathSegment::Key(key.to_owned()));
        while let Some((index, rest)) = indices.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            segments.push(parse_brackets(index)?);
            indices = rest;
        }
        if !indices.is_empty() {
            return Err(format!("invalid field `{part}`"));
        }
    }
    check_lint_name(&segments)?;
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

    /// Returns the value at the path. Lists have two fields: `length`, and `count`, the sum of the counts of their
    /// entries. An entry without a count counts as one.
    fn find(&self, report: &Value) -> Result<Value, String> {
        let mut found = Cow::Borrowed(report);
        let mut location = String::from("the report");
        for segment in &self.path {
            found = match (segment, found.as_ref()) {
                (PathSegment::Key(key), Value::Array(items)) if key == "length" => return Ok(items.len().into()),
                (PathSegment::Key(key), Value::Array(items)) if key == "count" => return Ok(sum_counts(items).into()),
                (PathSegment::Key(key), Value::Object(fields)) => {
                    if !fields.contains_key(key) {
                        let known: Vec<&str> = fields.keys().map(String::as_str).take(KEYS_OFFERED_MAX).collect();
                        return Err(format!("{location} has no field `{key}`; its fields are {}", known.join(", ")));
                    }
                    location.clone_from(key);
                    part_of(found, key.as_str())
                }
                (PathSegment::Key(key), Value::Array(_)) => {
                    return Err(format!(
                        "{location} is a list: use length, count or an index such as [0] instead of `{key}`"
                    ));
                }
                (PathSegment::Index(index), Value::Array(items)) => {
                    if *index >= items.len() {
                        return Err(format!("{location} has {} entries", items.len()));
                    }
                    location = format!("{location}[{index}]");
                    part_of(found, *index)
                }
                (PathSegment::Filter(field, value), Value::Array(items)) => {
                    location = format!("{location}[{field}={value}]");
                    Cow::Owned(select(items, field, value, &location)?)
                }
                _ => return Err(format!("{location} is {found}, which has no fields")),
            };
        }
        Ok(found.into_owned())
    }
}

/// Returns a part of `found`, which has it. Copies it only from a copy.
fn part_of<'a>(found: Cow<'a, Value>, part: impl serde_json::value::Index) -> Cow<'a, Value> {
    match found {
        Cow::Borrowed(whole) => Cow::Borrowed(&whole[part]),
        Cow::Owned(whole) => Cow::Owned(whole[part].clone()),
    }
}

/// Returns the entries whose field has this value.
fn select(items: &[Value], field: &str, value: &Value, location: &str) -> Result<Value, String> {
    let is_unknown = |item: &Value| item.as_object().is_none_or(|fields| !fields.contains_key(field));
    if items.iter().any(is_unknown) {
        return Err(format!("{location}: the entries have no field `{field}`"));
    }
    Ok(items.iter().filter(|item| equal(&item[field], value)).cloned().collect())
}

/// Returns the sum of the field `count` of all entries; an entry without it counts as one.
fn sum_counts(items: &[Value]) -> u64 {
    items.iter().fold(0, |sum, item| sum.saturating_add(item["count"].as_u64().unwrap_or(1)))
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
